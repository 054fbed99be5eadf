"""Reads the weights of other networks into the lab's, and writes them back."""
