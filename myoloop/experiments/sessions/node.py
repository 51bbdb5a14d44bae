"""The director's process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from myoloop.experiments.sessions.director import Director, DirectorSettings
from myoloop.platform.stepping import SteppedBody
from myoloop.platform.steps import Stepped

CYCLE_NS = 20_000_000


def director_body() -> SteppedBody:
    """Work of role ``director``; only an operator may tell it what to do."""
    return SteppedBody("director", _build, lambda _: (), CYCLE_NS, obeys=frozenset({"operator"}))


def _build(settings: Mapping[str, Any]) -> tuple[Stepped, str]:
    chosen = msgspec.convert(settings["director"], DirectorSettings)
    return Director(chosen), msgspec.json.encode(chosen).decode()
