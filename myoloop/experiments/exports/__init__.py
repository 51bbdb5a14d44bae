"""Sessions for other programs, one module a format; the verb ``export`` calls :func:`~.exporting.export`.

Whatever the format: samples are the recorded ones; what is missing is never closed up (NaN, or ``BAD_gap`` where a
format has no NaN), and a stretch whose clock jumped is a file of its own; code version and hash of the input stand in
it; what was simulated says so; nobody's arm, name or date of birth does.
"""
