"""Rules of `lint`, by what they look at: the file itself, its dose, the rig that is to serve it."""
