"""The folders of runs and of sweeps."""
