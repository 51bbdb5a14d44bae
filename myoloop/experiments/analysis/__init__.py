"""What is made of a recording afterwards: one session as arrays, its summary, its exports."""
