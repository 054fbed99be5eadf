"""W&B's workspace, report and sweep of a study, as code."""
