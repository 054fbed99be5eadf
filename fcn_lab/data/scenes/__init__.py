"""Street scenes drawn from nothing: a street in metres, a camera, paint from far to near."""
