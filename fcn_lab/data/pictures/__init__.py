"""Picture files of every kind, decoded in one way."""
