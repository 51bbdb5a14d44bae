"""Events that a detector found, corrected by a person: audited, beside the recording, which is never altered."""
