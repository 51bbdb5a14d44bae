"""Recordings of other programs, made into sessions like ours: a mapping file says what is what.

``reading`` and ``xdf`` read, ``times`` says when each sample was and where some are missing, ``write`` makes the
session; ``guess`` drafts a mapping, ``observe`` lets a controller look at what was imported.
"""
