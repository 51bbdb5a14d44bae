"""One file for each instrument that is scored from answers; a new one is a new file with `INSTRUMENTS`."""
