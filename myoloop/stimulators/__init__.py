"""From a request to current."""
