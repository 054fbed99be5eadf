"""The process that runs one frozen config."""
