"""The verbs that make, prove and deploy controllers that learn."""

from __future__ import annotations

from functools import partial

import typer

from myoloop.answers import EXIT_CODES

training = typer.Typer()
verb = partial(training.command, epilog=EXIT_CODES)
