"""What a controller asks for, given what it knows."""
