"""Outcome measures: what they are, what they need, and how each is computed from a recording and its forms."""
