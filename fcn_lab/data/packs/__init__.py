"""Decoded frames, packed once into arrays on disk."""
