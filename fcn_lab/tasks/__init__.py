"""The tasks that `task=` starts: classes whose `run(folder)` does the task."""
