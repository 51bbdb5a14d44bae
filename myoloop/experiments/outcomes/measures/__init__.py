"""One file for each family of outcomes that came after the first ones; a new one is a new file with `MEASURES`."""
