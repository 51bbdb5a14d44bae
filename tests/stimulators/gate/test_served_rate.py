"""Rule 9 for rates: a device that counts periods in steps gets the nearest rate that is not above what was asked."""

from __future__ import annotations

from dataclasses import replace
from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.gate import DeviceLimits, EnvelopeError
from myoloop.stimulators.gate.limits import served_rate_hz

QUARTERS = DeviceLimits(4, 100.0, 0.5, (20.0, 1000.0), (0.5, 200.0), 250.0)


@pytest.mark.parametrize(
    ("rate_hz", "step_us", "period_us"),
    [(35.0, 250.0, 28750.0), (35.0, 500.0, 29000.0), (40.0, 250.0, 25000.0), (30.0, 1.0, 33334.0)],
)
def test_the_period_is_the_next_longer_one_of_the_device(rate_hz, step_us, period_us):
    assert 1e6 / served_rate_hz(rate_hz, step_us) == pytest.approx(period_us, rel=1e-12)


def test_a_device_without_steps_gets_what_was_asked():
    assert served_rate_hz(33.3, 0.0) == 33.3


@settings(deadline=None)
@given(st.floats(0.1, 2000.0), st.sampled_from([1.0, 250.0, 500.0, 1000.0]))
def test_it_is_never_faster_and_less_than_a_step_slower(rate_hz, step_us):
    served_hz = served_rate_hz(rate_hz, step_us)
    assert served_hz <= rate_hz * (1 + 1e-9)
    assert 1e6 / served_hz - 1e6 / rate_hz < step_us
    # What is served is served as it is: there is no creeping from step to step.
    assert served_rate_hz(served_hz, step_us) == served_hz


def test_what_is_allowed_is_at_the_devices_rate(new_gate, wish):
    bench = new_gate(device=QUARTERS).to_stimulating(5.0, rate_hz=35.0)
    (allowed,) = bench.step(wish(5.0, rate_hz=35.0)).allowed
    assert (allowed.current_ma, allowed.rate_hz) == (5.0, 1e6 / 28750.0)
    (asked,) = bench.verdict.requested
    assert asked.rate_hz == 35.0


def test_a_rate_that_would_be_served_below_the_least_allowed_is_refused_and_no_fault(new_gate, envelope, wish):
    # 7 Hz are 142857.14 us, and the device's next longer period is 143000 us: 6.993 Hz.
    bench = new_gate(replace(envelope, rate_hz=(7.0, 80.0)), device=QUARTERS).to_armed()
    verdict = bench.step(wish(5.0, rate_hz=7.0))
    assert (verdict.allowed, verdict.rule) == ((), "range")
    assert verdict.reasons == ("range: left: 6.99301 Hz is not within 7 to 80",)
    assert bench.name == "ARMED"
    # Where nothing flows the rate counts for nothing.
    for rate_hz in (7.0, 0.0, -1.0):
        assert bench.step(wish(0.0, rate_hz=rate_hz)).rule == ""
    # 8 Hz are 125000 us.
    assert bench.step(wish(5.0, rate_hz=8.0)).allowed


@pytest.mark.parametrize("step_us", [-1.0, nan, inf])
def test_a_step_that_is_none_is_refused(step_us):
    with pytest.raises(EnvelopeError, match="period_step_us"):
        DeviceLimits(4, 100.0, 0.5, (20.0, 1000.0), (0.5, 200.0), step_us)
