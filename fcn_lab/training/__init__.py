"""What Lightning trains, on which data, with what settings."""
