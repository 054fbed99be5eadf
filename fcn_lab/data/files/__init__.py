"""Files and lists on disk."""
