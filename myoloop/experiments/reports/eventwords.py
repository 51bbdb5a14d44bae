"""What an event carries, in words with units, for the table of events."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: What a node was asked to do, as the gate knows it.
_ACTS = {
    "set_envelope": "set the envelope",
    "confirm": "confirm the envelope",
    "arm": "arm",
    "step": "one step up",
    "pause": "pause",
    "acknowledge": "acknowledge the latch",
}
#: Ends of names that say a unit.
_UNITS = {
    "ma": "mA", "ua": "µA", "us": "µs", "ms": "ms", "s": "s", "hz": "Hz", "uv": "µV", "uc": "µC", "mc": "mC",
    "ohm": "Ω", "rad": "rad",
}  # fmt: skip


def event_words(kind: str, values: Mapping[str, Any]) -> str:
    """Say what an event carries.

    Parameters
    ----------
    kind, values
        As the event has them.
    """
    if kind == "act" and "act" in values:
        asked = _ACTS.get(str(values["act"]), _plain(str(values["act"])))
        return f"{asked}: {'done' if values.get('ok') else 'refused'}"
    if {"from", "to"} <= values.keys():
        return f"from {values['from']} to {values['to']}"
    if kind == "envelope":
        return ", ".join(f"{channel} at most {_number(limit)} mA" for channel, limit in values.items())
    if kind == "score" and "score" in values:
        return f"pain {_number(values['score'])} of 10, said by {values.get('who') or 'nobody named'}"
    return ", ".join(_said(name, value) for name, value in values.items())


def _said(name: str, value: Any) -> str:
    words, _, end = name.rpartition("_")
    unit = _UNITS.get(end) if words else None
    if isinstance(value, bool):
        return _plain(name) if value else f"not {_plain(name)}"
    if unit is not None:
        return f"{_plain(words)} {_number(value)} {unit}"
    return f"{_plain(name)} {_number(value)}"


def _plain(name: str) -> str:
    return name.replace("_", " ")


def _number(value: Any) -> str:
    if value is None:
        return "not known"
    return f"{value:g}" if isinstance(value, float) else str(value)
