"""Units of recordings and streams become SI, or are refused by name."""

from __future__ import annotations

import math

import pytest

from myoloop.acquisition.units import UNITS, to_si


@pytest.mark.parametrize(
    ("unit", "si", "factor"),
    [
        ("V", "V", 1.0), ("mV", "V", 1e-3), ("uV", "V", 1e-6), ("µV", "V", 1e-6), ("Microvolts", "V", 1e-6),
        ("g", "m/s^2", 9.80665), ("m/s2", "m/s^2", 1.0), ("dps", "rad/s", math.pi / 180), ("N", "N", 1.0),
        (" mV ", "V", 1e-3), ("1", "1", 1.0),
    ],
)  # fmt: skip
def test_a_known_unit_has_its_factor(unit, si, factor):
    assert to_si(unit) == (si, factor)


@pytest.mark.parametrize("unit", ["MV", "UV", "v", "", "furlong", "G"])
def test_an_unknown_unit_or_one_in_the_wrong_case_is_refused(unit):
    with pytest.raises(ValueError, match="allowed: V, mV, uV"):
        to_si(unit)


def test_the_units_in_messages_are_known_themselves():
    for unit in UNITS:
        to_si(unit)
