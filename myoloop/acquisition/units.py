"""Units that recordings and streams are written in, and what makes them SI."""

from __future__ import annotations

import math

_SPELLED = {
    "V": "V volt volts",
    "mV": "mV millivolt millivolts",
    "uV": "uV µV μV microvolt microvolts",
    "nV": "nV nanovolt nanovolts",
    "m/s^2": "m/s^2 m/s2 m/s² meters/second^2",
    "g": "g",
    "mg": "mg",
    "rad/s": "rad/s",
    "deg/s": "deg/s dps °/s degrees/second",
    "N": "N newton newtons",
    "kgf": "kgf",
    "Nm": "Nm N*m N·m",
    "rad": "rad",
    "deg": "deg ° degrees",
    "1": "1 counts none",
}

_FACTORS: dict[str, tuple[str, float]] = {
    "V": ("V", 1.0),
    "mV": ("V", 1e-3),
    "uV": ("V", 1e-6),
    "nV": ("V", 1e-9),
    "m/s^2": ("m/s^2", 1.0),
    "g": ("m/s^2", 9.80665),
    "mg": ("m/s^2", 9.80665e-3),
    "rad/s": ("rad/s", 1.0),
    "deg/s": ("rad/s", math.pi / 180.0),
    "N": ("N", 1.0),
    "kgf": ("N", 9.80665),
    "Nm": ("Nm", 1.0),
    "rad": ("rad", 1.0),
    "deg": ("rad", math.pi / 180.0),
    "1": ("1", 1.0),
}

_BY_SPELLING = {spelling: unit for unit, spellings in _SPELLED.items() for spelling in spellings.split()}

#: As they are best written.
UNITS = tuple(_FACTORS)


def to_si(unit: str) -> tuple[str, float]:
    """SI unit of a unit, and what to multiply with to get there.

    Upper and lower case differ, except in words such as ``microvolts``.

    Raises
    ------
    ValueError
        If it is not in the table; the text names those that are.
    """
    text = unit.strip()
    known = _BY_SPELLING.get(text) or (_BY_SPELLING.get(text.lower()) if len(text) > 4 else None)
    if known is None:
        raise ValueError(f"found unit {unit!r}, allowed: {', '.join(UNITS)}")
    return _FACTORS[known]
