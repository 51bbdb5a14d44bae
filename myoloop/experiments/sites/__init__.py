"""The site library: where pads and EMG electrodes go, where they must not, how to see that the right muscle answers."""
