"""Freezes composed words into one file, and builds objects from it."""
