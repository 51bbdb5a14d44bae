"""From samples to a request; pure."""
