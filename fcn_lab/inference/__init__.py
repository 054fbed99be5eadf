"""Trained networks on pictures of any size."""
