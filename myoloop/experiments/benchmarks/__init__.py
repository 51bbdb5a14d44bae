"""What is measured about the loop itself, beside plain baselines in the same run."""
