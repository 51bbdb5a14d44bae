"""What outlives a session: identity, allocation, audit, signatures, and what a person's record holds."""
