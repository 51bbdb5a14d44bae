"""Nominal pulses: those of what is shown, at its rate, the same whatever is given."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.gate import Setting
from myoloop.stimulators.nominal_pulses import UNCERTAINTY_NS, NominalPulses

MS, S = 1_000_000, 1_000_000_000


def left(current_ma: float = 10.0, rate_hz: float = 40.0) -> Setting:
    return Setting("left", current_ma, 300.0, rate_hz)


def times(pulses: NominalPulses, now_ns: int) -> list[int]:
    return [t_ns for told in pulses.until(now_ns) for t_ns in told.t_ns]


def test_the_first_pulse_falls_with_the_order_and_the_others_at_the_rate():
    pulses = NominalPulses()
    pulses.give([left()], S)
    assert times(pulses, S + 100 * MS) == [S, S + 25 * MS, S + 50 * MS, S + 75 * MS, S + 100 * MS]
    assert times(pulses, S + 120 * MS) == []


def test_a_change_of_current_breaks_no_train():
    pulses = NominalPulses()
    pulses.give([left()], 0)
    pulses.until(30 * MS)
    pulses.give([left(12.0)], 30 * MS)
    (told,) = pulses.until(55 * MS)
    assert (told.t_ns, told.current_ma, told.phase_us, told.kind) == ((50 * MS,), 12.0, 300.0, "predicted")


def test_off_and_on_again_does_not_shorten_the_time_between_two_pulses():
    pulses = NominalPulses()
    pulses.give([left()], 0)
    assert times(pulses, 10 * MS) == [0]
    pulses.give([], 10 * MS)
    assert times(pulses, 12 * MS) == []
    pulses.give([left()], 12 * MS)
    assert times(pulses, 60 * MS) == [25 * MS, 50 * MS]


def test_what_is_known_of_a_pulse_fades_with_the_length_of_the_train():
    pulses = NominalPulses()
    pulses.give([left()], 0)
    (early,) = pulses.until(20 * MS)
    pulses.until(9_990 * MS)
    (late,) = pulses.until(10 * S)
    assert early.uncertainty_ns == pytest.approx(UNCERTAINTY_NS, rel=0.01)
    assert late.uncertainty_ns == UNCERTAINTY_NS + 1_000_000


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(1, 100), st.sampled_from([0.0, 5.0, 10.0])), max_size=60), st.floats(1.0, 200.0))
def test_no_two_pulses_are_closer_than_the_rate_says(cycles, rate_hz):
    pulses, now_ns, found = NominalPulses(), 0, []
    for after_ms, current_ma in cycles:
        now_ns += after_ms * MS
        found += times(pulses, now_ns)
        pulses.give([left(current_ma, rate_hz)] if current_ma else [], now_ns)
    assert all(b - a >= 1e9 / rate_hz - 2 for a, b in itertools.pairwise(found))
