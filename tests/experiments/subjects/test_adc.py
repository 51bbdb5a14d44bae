"""Volts become counts within the rails, whatever they are."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from myoloop.experiments.subjects.adc import COUNTS, RAIL_V, Adc, true_rate_hz


@settings(deadline=None)
@given(npst.arrays(np.float64, (7, 2), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_counts_are_whole_and_within_the_rails_whatever_comes(volts):
    counts = Adc([1.0, 4.0]).counts(volts)
    assert np.isfinite(counts).all()
    assert np.abs(counts).max() <= COUNTS
    assert np.array_equal(counts, np.rint(counts))


def test_a_gain_makes_range_and_step_smaller():
    adc = Adc([1.0, 10.0])
    assert adc.rail_v == pytest.approx([RAIL_V, RAIL_V / 10])
    assert adc.counts(np.full((1, 2), 1e-4))[0] == pytest.approx([596, 5958])
    assert (adc.counts(np.full((1, 2), 1e-4)) * adc.volts_per_count)[0] == pytest.approx([1e-4, 1e-4], rel=1e-3)


def test_what_is_no_number_is_not_silence():
    assert Adc([1.0]).counts(np.array([[np.nan]]))[0, 0] == -COUNTS


@pytest.mark.parametrize("gain", [0.0, -1.0, float("nan"), float("inf")])
def test_a_gain_that_is_none_is_refused(gain):
    with pytest.raises(ValueError, match=r"gain of EMG channel 1: found .*, allowed is"):
        Adc([1.0, gain])


def test_a_fast_clock_gives_more_samples():
    assert true_rate_hz(2000.0, 50.0) == pytest.approx(2000.1)
