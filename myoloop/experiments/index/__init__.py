"""The index of a study: what each recording is worth, and why what is left out is left out."""
