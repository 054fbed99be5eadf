"""Many cells, frozen, run and taken up again."""
