"""Engines of sweeps: who runs which cell where. Each is a word of hydra/launcher=."""
