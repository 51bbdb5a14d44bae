"""The virtual subject."""
