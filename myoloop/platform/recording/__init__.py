"""The one file of a session: written, read, verified, recovered."""
