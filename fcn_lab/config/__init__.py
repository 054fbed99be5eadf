"""From composed words to one frozen file, and to objects."""
