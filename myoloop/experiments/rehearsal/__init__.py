"""A rig tried on a dummy load: a whole session on it, what came of it, and where that is kept."""
