"""The engines, on which the cells of a sweep run."""
