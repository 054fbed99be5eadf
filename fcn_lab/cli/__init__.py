"""The command line: arguments, composition and the launchers of sweeps."""
