"""What a researcher does with the loop."""
