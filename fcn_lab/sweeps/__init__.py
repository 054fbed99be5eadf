"""Sweeps: many cells that are frozen, run, and continued after an interruption."""
