"""Frames and labels: where they come from, how they are kept, how they are varied."""
