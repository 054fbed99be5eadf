"""Weights of other networks into ours, and back out of them."""
