"""The operator's console: pages of a running session, served on this host's loopback alone."""
