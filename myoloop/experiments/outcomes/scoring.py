"""Every instrument there is, and scoring by its id: each file in ``instruments/`` is found by itself."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from myoloop.experiments.outcomes import instruments
from myoloop.experiments.outcomes.instrument import Instrument, Score, ScoreKind
from myoloop.platform.errors import UserError


class NotScored(UserError, ValueError):
    """An instrument that is not there; one clear line."""


def _found() -> dict[str, Instrument]:
    found: dict[str, Instrument] = {}
    for module in sorted(each.name for each in iter_modules(instruments.__path__)):
        for instrument in import_module(f"{instruments.__name__}.{module}").INSTRUMENTS:
            if instrument.id in found:
                raise ValueError(f"instruments/{module}.py: {instrument.id} is there already")
            found[instrument.id] = instrument
    return found


INSTRUMENTS: dict[str, Instrument] = _found()
#: By the score's name: the instrument, and the score.
SCORES: dict[str, tuple[Instrument, ScoreKind]] = {
    kind.name: (instrument, kind) for instrument in INSTRUMENTS.values() for kind in instrument.scores
}


def instrument_of(name: str) -> Instrument:
    """An instrument by its id.

    Raises
    ------
    NotScored
        If there is none; a near name is offered.
    """
    if name in INSTRUMENTS:
        return INSTRUMENTS[name]
    near = difflib.get_close_matches(name, INSTRUMENTS, n=1)
    meant = f" (did you mean {near[0]}?)" if near else ""
    raise NotScored(f"found {name!r}{meant}, allowed: {', '.join(INSTRUMENTS)}")


def score(name: str, values: Mapping[str, Any]) -> dict[str, Score]:
    """Score the answers to one instrument, by its id; see :meth:`Instrument.score`.

    Raises
    ------
    NotScored
        If there is no such instrument.
    """
    return instrument_of(name).score(values)
