"""Whole studies: planted ones with known effects, and the analysis that has to find them again."""
