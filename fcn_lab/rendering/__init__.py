"""Pages, pictures, and tables in a terminal."""
