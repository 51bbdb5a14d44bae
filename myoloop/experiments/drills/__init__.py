"""Drills: a session for each thing that can fail, each during a train, and what the device's ledger says of it."""
