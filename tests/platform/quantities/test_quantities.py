"""Quantities: what people write becomes a float of a named unit, or is refused with what is allowed."""

from __future__ import annotations

import contextlib
import math

import pint
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.quantities import EXAMPLES, UNITS, QuantityError, format_quantity, parse

#: How pint writes our units; density is r.m.s. by definition, which pint does not know.
PINT = {
    "uA": "microampere", "mA": "milliampere", "A": "ampere",
    "ns": "nanosecond", "us": "microsecond", "ms": "millisecond", "s": "second", "min": "minute", "h": "hour",
    "d": "day", "wk": "week",
    "Hz": "hertz", "kHz": "kilohertz",
    "nC": "nanocoulomb", "uC": "microcoulomb", "mC": "millicoulomb", "C": "coulomb",
    "uV": "microvolt", "mV": "millivolt", "V": "volt",
    "Ohm": "ohm", "kOhm": "kiloohm",
    "mm": "millimeter", "cm": "centimeter", "m": "meter",
    "mm2": "millimeter**2", "cm2": "centimeter**2", "m2": "meter**2",
    "deg": "degree",
    "uA/s": "microampere/second", "mA/s": "milliampere/second", "A/s": "ampere/second",
    "uA_rms/cm2": "microampere/centimeter**2", "mA_rms/cm2": "milliampere/centimeter**2",
    "mW/cm2": "milliwatt/centimeter**2", "W/cm2": "watt/centimeter**2",
    "%": "percent", "1": "dimensionless",
}  # fmt: skip
NAMED = sorted(name for name in UNITS if name != "1")
PAIRS = [(a, b) for a in NAMED for b in UNITS if UNITS[a].dimension == UNITS[b].dimension]
registry = pint.UnitRegistry(cache_folder=None)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("40 mA", "mA", 40.0),
        ("500 uA", "mA", 0.5),
        ("500 µA", "mA", 0.5),  # micro sign
        ("500 \N{GREEK SMALL LETTER MU}A", "mA", 0.5),
        ("0.5mA", "uA", 500.0),
        ("250 us", "us", 250.0),
        ("2 s", "us", 2e6),
        ("20 min", "s", 1200.0),
        ("20 h", "s", 72000.0),
        ("4 wk", "d", 28.0),
        ("35 Hz", "Hz", 35.0),
        ("1 kHz", "Hz", 1000.0),
        ("12 uC", "uC", 12.0),
        ("50 %", "1", 0.5),
        ("5x9 cm", "cm2", 45.0),
        ("5 × 9 cm", "cm2", 45.0),
        ("50x90mm", "cm2", 45.0),
        ("45 cm2", "cm2", 45.0),
        ("45 cm²", "cm2", 45.0),
        ("1 mA/s", "mA/s", 1.0),
        ("1 mA_rms/cm2", "mA_rms/cm2", 1.0),
        ("5 kOhm", "Ohm", 5000.0),
        ("5 kΩ", "Ohm", 5000.0),
        ("1e-3 A", "mA", 1.0),
        ("-3 mV", "uV", -3000.0),
        ("  7 deg ", "deg", 7.0),
    ],
)  # fmt: skip
def test_what_people_write(text, unit, value):
    assert parse(text, unit) == value


@pytest.mark.parametrize("dimension", sorted(EXAMPLES))
def test_the_example_in_a_message_is_itself_allowed(dimension):
    unit = next(name for name, row in UNITS.items() if row.dimension == dimension)
    for text in EXAMPLES[dimension].split(" or "):
        assert math.isfinite(parse(text, unit))


@pytest.mark.parametrize("found", [40, 40.0, "40", "40.5", math.nan, math.inf, 0])
def test_a_missing_unit_is_refused(found):
    with pytest.raises(QuantityError, match=r"no unit; allowed is a current with its unit \(uA, mA, A\), like 40 mA"):
        parse(found, "mA")


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("40 s", "mA", "this is a time; allowed is a current"),
        ("40 mC", "mA", "this is a charge"),
        ("40 mA/s", "mA", "this is a current slope"),
        ("5x9 cm", "cm", "this is an area; allowed is a length"),
        ("5x9 mA", "mA", "sides of a pad are lengths"),
        ("5 cm", "cm2", "this is a length; allowed is an area"),
        ("1 mA/cm2", "mA_rms/cm2", "unit 'mA/cm2' is not known"),
        ("40 MA", "mA", "unit 'MA' is not known"),
        ("40 ma", "mA", "unit 'ma' is not known"),
        ("40 milliampere", "mA", "is not known"),
        ("40 1", "1", "not a number and a unit"),
    ],
)
def test_another_dimension_or_an_unknown_unit_is_refused(text, unit, says):
    with pytest.raises(QuantityError) as caught:
        parse(text, unit)
    assert says in caught.value.why
    assert "allowed is" in caught.value.why


@pytest.mark.parametrize(
    "found",
    ["nan mA", "inf mA", "-inf mA", "", " ", "mA", "mA 40", "forty mA", "40 mA 50 mA", "4 0 mA", "0,5 mA", "40 m A",
     "1_000 mA", "0x10 mA", "٤٠ mA", "1e9999999999 mA", "9" * 500 + " mA", "5x cm", "40 mA\n1", None, True, [], {},
     b"40 mA"],
)  # fmt: skip
def test_garbage_is_refused(found):
    with pytest.raises(QuantityError, match="allowed is a current with its unit"):
        parse(found, "mA")


def test_a_number_beyond_all_floats_is_refused():
    with pytest.raises(QuantityError, match="not a finite number"):
        parse("1e999 mA", "uA")


@given(value=st.floats(allow_nan=False, allow_infinity=False, min_value=-1e12, max_value=1e12))
@settings(deadline=None)
def test_microampere_are_never_read_as_milliampere(value):
    text = format_quantity(value, "uA")
    assert parse(text, "uA") == value
    assert parse(text, "mA") == pytest.approx(value / 1000, rel=1e-15, abs=0)


@given(pair=st.sampled_from(PAIRS), value=st.floats(min_value=-1e9, max_value=1e9).filter(lambda x: abs(x) > 1e-9))
@settings(deadline=None, max_examples=300)
def test_every_conversion_agrees_with_pint(pair, value):
    written, unit = pair
    ours = parse(format_quantity(value, written), unit)
    theirs = registry.Quantity(value, PINT[written]).to(PINT[unit]).magnitude
    assert ours == pytest.approx(theirs, rel=1e-12)


@given(unit=st.sampled_from(NAMED), value=st.floats(allow_nan=False, allow_infinity=False))
@settings(deadline=None)
def test_what_is_written_is_read_back_bit_for_bit(unit, value):
    assert parse(format_quantity(value, unit), unit) == value


@given(text=st.text(max_size=30), unit=st.sampled_from(sorted(UNITS)))
@settings(deadline=None)
def test_any_text_gives_a_finite_number_or_a_refusal(text, unit):
    value = 0.0
    with contextlib.suppress(QuantityError):
        value = parse(text, unit)
    assert math.isfinite(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_nothing_that_is_no_number_is_written(value):
    with pytest.raises(QuantityError, match="not a finite number"):
        format_quantity(value, "mA")


def test_a_share_is_written_in_percent():
    assert format_quantity(0.5, "1") == "50 %"
