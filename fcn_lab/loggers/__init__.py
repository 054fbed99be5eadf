"""Where a run's scores go besides its folder."""
