"""Director, thresholds, trials and the one who operates."""
