"""Where scores are logged to."""
