"""Rule 9: the bytes, read again, say what was allowed and nothing more."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest

from myoloop.stimulators.gate import ChannelLimits, DeviceLimits, Setting, WireOutput, disagreement

DEVICE = DeviceLimits(4, 100.0, 0.5, (20.0, 1000.0), (0.5, 200.0))
LEFT = Setting("left", 10.0, 300.0, 40.0)
RIGHT = Setting("right", 5.0, 200.0, 35.0)
WIRE_LEFT = WireOutput(0, 10.0, 300.0, 40.0, 0)
WIRE_RIGHT = WireOutput(1, 5.0, 200.0, 35.0, 0)


def judged(envelope, allowed, decoded, calibrating=False, device=DEVICE):
    return disagreement(allowed, decoded, envelope, device, calibrating)


def test_the_same_is_right_in_any_order(envelope):
    assert judged(envelope, [LEFT], [WIRE_LEFT]) == ""
    assert judged(envelope, [LEFT, RIGHT], [WIRE_LEFT, WIRE_RIGHT]) == ""
    assert judged(envelope, [LEFT, RIGHT], [WIRE_RIGHT, WIRE_LEFT]) == ""


def test_zero_bytes_are_right_where_zero_is_allowed_only(envelope):
    assert judged(envelope, [], []) == ""
    assert judged(None, [], []) == ""
    assert judged(envelope, [LEFT], []) == "bytes say zero where current is allowed"


def test_current_without_an_envelope_is_wrong():
    assert judged(None, [LEFT], [WIRE_LEFT]) == "bytes say current, and there is no envelope"


@pytest.mark.parametrize("output", [1, 2, -1, 99])
def test_current_on_another_output_is_wrong(envelope, output):
    why = judged(envelope, [LEFT], [replace(WIRE_LEFT, output=output)])
    assert why == f"bytes say current on output {output}, where none is allowed"


def test_current_twice_on_an_output_is_wrong(envelope):
    assert judged(envelope, [LEFT], [WIRE_LEFT, WIRE_LEFT]) == "bytes say current on output 0, where none is allowed"


def test_a_channel_left_out_is_wrong(envelope):
    assert judged(envelope, [LEFT, RIGHT], [WIRE_LEFT]) == "bytes say nothing of right"
    assert judged(envelope, [RIGHT, LEFT, Setting("third", 1.0, 300.0, 40.0)], [WIRE_LEFT]) == (
        "bytes say nothing of right, third"
    )


@pytest.mark.parametrize("net", [1, -1, 3000])
def test_a_pulse_that_is_not_balanced_is_wrong(envelope, net):
    why = judged(envelope, [LEFT], [replace(WIRE_LEFT, net_charge_wire=net)])
    assert why == f"bytes for output 0 are not balanced: net {net}"


@pytest.mark.parametrize(
    ("current_ma", "right"),
    [
        (10.0, True),
        (10.0 * (1 + 1e-10), True),
        (10.0 * (1 + 1.05e-9), False),
        (10.5, False),
        (9.75, True),
        (9.500001, True),
        (9.5, False),
        (0.0, False),
        (-10.0, False),
        (nan, False),
        (inf, False),
    ],
)
def test_current_is_what_was_allowed_or_less_by_under_a_step(envelope, current_ma, right):
    assert (judged(envelope, [LEFT], [replace(WIRE_LEFT, current_ma=current_ma)]) == "") == right


def test_too_much_and_too_little_are_told(envelope):
    too_much = judged(envelope, [LEFT], [replace(WIRE_LEFT, current_ma=10.5)])
    assert too_much.startswith("bytes for left say 10.5 mA, at most 10 (")
    too_little = judged(envelope, [LEFT], [replace(WIRE_LEFT, current_ma=9.0)])
    assert too_little == "bytes for left say 9 mA, allowed is 10"


@pytest.mark.parametrize(("field", "value", "unit"), [("phase_us", 300.001, "us"), ("rate_hz", 40.001, "Hz")])
def test_width_and_rate_are_exactly_what_was_allowed(envelope, field, value, unit):
    right = getattr(LEFT, field)
    for wrong in (value, 2 * right - value):
        why = judged(envelope, [LEFT], [replace(WIRE_LEFT, **{field: wrong})])
        assert why == f"bytes for left say {wrong:g} {unit}, allowed is {right:g}"
    assert judged(envelope, [LEFT], [replace(WIRE_LEFT, **{field: right * (1 + 1e-10)})]) == ""


@pytest.mark.parametrize("field", ["phase_us", "rate_hz"])
@pytest.mark.parametrize("value", [nan, inf, 0.0, -1.0])
def test_width_and_rate_that_are_none_are_wrong(envelope, field, value):
    assert judged(envelope, [LEFT], [replace(WIRE_LEFT, **{field: value})]).startswith("bytes for left")


@pytest.mark.parametrize("field", ["phase_us", "rate_hz"])
def test_they_are_in_range_even_if_the_allowed_is_not(envelope, field):
    """The bytes are judged by the limits again, and not only by the verdict."""
    wild = replace(LEFT, **{field: 900.0})
    wire = replace(WIRE_LEFT, **{field: 900.0})
    assert "is not within" in judged(envelope, [wild], [wire])


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"channels": (ChannelLimits("left", 0, 25.0, 9.5),)}, "current"),
        ({"charge_per_phase_uc": 2.5}, "charge per phase"),
        ({"rms_ma": 1.0}, "r.m.s. current"),
    ],
)
def test_current_is_within_the_limits_even_if_the_verdict_is_not(envelope, changes, rule):
    why = judged(replace(envelope, **changes), [LEFT], [WIRE_LEFT])
    assert why.startswith("bytes for left say 10 mA, at most ")
    assert why.endswith(f"({rule})")


def test_in_calibration_its_cap_counts(envelope):
    low = replace(envelope, channels=(ChannelLimits("left", 0, 25.0, 2.0),))
    assert judged(low, [LEFT], [WIRE_LEFT], calibrating=True) == ""
    assert judged(low, [LEFT], [WIRE_LEFT], calibrating=False) != ""
    assert judged(replace(low, current_ma_calibrating=9.0), [LEFT], [WIRE_LEFT], calibrating=True) != ""


def test_the_device_counts_too(envelope):
    assert judged(envelope, [LEFT], [WIRE_LEFT], device=replace(DEVICE, current_max_ma=9.0)) != ""
    assert judged(envelope, [LEFT], [WIRE_LEFT], device=replace(DEVICE, phase_us=(20.0, 250.0))) != ""
