"""What `task=` starts: classes given all they need, whose `run(folder)` does the task."""
