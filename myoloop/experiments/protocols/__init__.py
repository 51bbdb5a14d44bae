"""The protocol file: schema, lint and the shipped presets."""
