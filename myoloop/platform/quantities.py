"""Quantities as people write them: ``40 mA``, ``500 uA``, ``250 us``, ``5x9 cm``.

Read once, at the edge, into a float of a named unit; everywhere inside, the unit stands in the variable's name. The
table is our own and short, so that a unit which is not in it is refused instead of guessed: upper and lower case
differ, and a prefix is never dropped. Values are converted as exact fractions and rounded once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from math import isfinite

from myoloop.platform.errors import UserError


class QuantityError(UserError, ValueError):
    """A text that is not the quantity asked for.

    Attributes
    ----------
    found
        What was there.
    why
        What is wrong with it and what is allowed, in one sentence.
    """

    def __init__(self, found: object, why: str) -> None:
        super().__init__(f"found {_shown(found)}: {why}")
        self.found = found
        self.why = why


@dataclass(frozen=True, slots=True)
class Unit:
    """One row of the table.

    Attributes
    ----------
    dimension
        What it measures; only units of one dimension convert into each other.
    factor
        How much of the dimension's base unit it is, exactly.
    """

    dimension: str
    factor: Fraction


def _rows(dimension: str, **factors: str | int) -> dict[str, Unit]:
    return {name.replace("_per_", "/"): Unit(dimension, Fraction(factor)) for name, factor in factors.items()}


UNITS: dict[str, Unit] = {
    **_rows("current", uA="1e-6", mA="1e-3", A=1),
    **_rows("time", ns="1e-9", us="1e-6", ms="1e-3", s=1, min=60, h=3600, d=86400, wk=604800),
    **_rows("rate", Hz=1, kHz=1000),
    **_rows("charge", nC="1e-9", uC="1e-6", mC="1e-3", C=1),
    **_rows("voltage", uV="1e-6", mV="1e-3", V=1),
    **_rows("resistance", Ohm=1, kOhm=1000),
    **_rows("length", mm="1e-3", cm="1e-2", m=1),
    **_rows("area", mm2="1e-6", cm2="1e-4", m2=1),
    **_rows("angle", deg=1),
    **_rows("current slope", uA_per_s="1e-6", mA_per_s="1e-3", A_per_s=1),
    **_rows("r.m.s. current density", uA_rms_per_cm2="1e-2", mA_rms_per_cm2=10),
    **_rows("power density", mW_per_cm2=10, W_per_cm2=10000),
    "%": Unit("share", Fraction(1, 100)),
    "1": Unit("share", Fraction(1)),
}

#: How a quantity of each dimension is written, for messages.
EXAMPLES: dict[str, str] = {
    "current": "40 mA",
    "time": "250 us",
    "rate": "35 Hz",
    "charge": "12 uC",
    "voltage": "20 uV",
    "resistance": "5 kOhm",
    "length": "5 cm",
    "area": "5x9 cm or 45 cm2",
    "angle": "30 deg",
    "current slope": "5 mA/s",
    "r.m.s. current density": "1 mA_rms/cm2",
    "power density": "50 mW/cm2",
    "share": "50 %",
}

# Bounded, so that no text can ask for a number of a million digits.
_NUMBER = r"[+-]?[0-9]{1,30}(?:\.[0-9]{1,30})?(?:[eE][+-]?[0-9]{1,3})?"
_QUANTITY = re.compile(rf"({_NUMBER})\s*([^\s0-9.+-]\S*)?")
_PAD = re.compile(rf"({_NUMBER})\s*[x×]\s*({_NUMBER})\s*([^\s0-9.+-]\S*)")
# What keyboards and copied texts hold in place of our letters.
_SPELLINGS = str.maketrans(
    {
        "\N{MICRO SIGN}": "u",
        "\N{GREEK SMALL LETTER MU}": "u",
        "\N{OHM SIGN}": "Ohm",
        "\N{GREEK CAPITAL LETTER OMEGA}": "Ohm",
        "\N{SUPERSCRIPT TWO}": "2",
    }
)


def parse(text: object, unit: str) -> float:
    """Read a quantity into a float of `unit`.

    Parameters
    ----------
    text
        A number and a unit, with or without a space between; for an area also a pad's sides, ``5x9 cm``.
    unit
        A unit of the table; what is read must be of its dimension.

    Raises
    ------
    QuantityError
        If the unit is missing, not known or of another dimension, or the number is none or not finite.
    KeyError
        If `unit` itself is not in the table.
    """
    wanted = UNITS[unit]
    if isinstance(text, bool) or not isinstance(text, str | int | float):
        raise QuantityError(text, f"allowed is {allowed(wanted.dimension)}")
    if not isinstance(text, str):
        raise QuantityError(text, f"no unit; allowed is {allowed(wanted.dimension)}")
    plain = text.strip().translate(_SPELLINGS)
    amount, name = _take_apart(text, plain, wanted.dimension)
    found = UNITS.get(name)
    if found is None or name == "1":
        raise QuantityError(text, f"unit {name[:20]!r} is not known; allowed is {allowed(wanted.dimension)}")
    if _is_pad(plain):
        # Sides are lengths, their product is an area.
        if found.dimension != "length":
            raise QuantityError(text, f"sides of a pad are lengths; allowed is {allowed(wanted.dimension)}")
        found = Unit("area", found.factor**2)
    if found.dimension != wanted.dimension:
        raise QuantityError(text, f"this is {_article(found.dimension)}; allowed is {allowed(wanted.dimension)}")
    try:
        value = float(amount * found.factor / wanted.factor)
    except OverflowError:
        raise QuantityError(text, f"not a finite number; allowed is {allowed(wanted.dimension)}") from None
    return value


def format_quantity(value: float, unit: str) -> str:
    """Write a quantity so that :func:`parse` gives the same float back.

    Raises
    ------
    QuantityError
        If `value` is NaN or infinite.
    KeyError
        If `unit` is not in the table.
    """
    dimension = UNITS[unit].dimension
    if not isfinite(value):
        raise QuantityError(value, f"not a finite number; allowed is {allowed(dimension)}")
    if unit == "1":
        # A bare share has no name to be written with; percent does, and reads back within one rounding.
        return f"{_digits(value * 100)} %"
    return f"{_digits(value)} {unit}"


def allowed(dimension: str) -> str:
    """Say what is allowed, such as: a current with its unit (uA, mA, A), like 40 mA."""
    names = ", ".join(name for name, unit in UNITS.items() if unit.dimension == dimension and name != "1")
    return f"{_article(dimension)} with its unit ({names}), like {EXAMPLES[dimension]}"


def _take_apart(text: object, plain: str, dimension: str) -> tuple[Fraction, str]:
    pad = _PAD.fullmatch(plain)
    if pad is not None:
        return Fraction(pad[1]) * Fraction(pad[2]), pad[3]
    match = _QUANTITY.fullmatch(plain)
    if match is None:
        raise QuantityError(text, f"not a number and a unit; allowed is {allowed(dimension)}")
    if match[2] is None:
        raise QuantityError(text, f"no unit; allowed is {allowed(dimension)}")
    return Fraction(match[1]), match[2]


def _is_pad(plain: str) -> bool:
    return _PAD.fullmatch(plain) is not None


def _digits(value: float) -> str:
    text = repr(float(value))
    return text.removesuffix(".0")


def _article(dimension: str) -> str:
    return f"{'an' if dimension[0] in 'aeiou' else 'a'} {dimension}"


def _shown(found: object) -> str:
    text = repr(found)
    return text if len(text) <= 60 else f"{text[:57]}..."
