"""What can be known of the muscle, and when it cannot."""
