"""A local page on which trained networks label the same picture side by side."""
