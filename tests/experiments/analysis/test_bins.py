"""Fewer points, no peak lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from myoloop.experiments.analysis import bins

VALUES = arrays(np.float64, st.integers(1, 400), elements=st.floats(-1e3, 1e3) | st.just(float("nan")))


@settings(deadline=None)
@given(VALUES, st.integers(1, 50))
def test_extremes_survive(values, count):
    t_s = np.arange(len(values)) * 0.01
    _, low, high = bins.min_max(t_s, values, count)
    at_s, line = bins.line(t_s, values, count)
    if np.isfinite(values).any():
        for least, most in ((low, high), (line, line)):
            assert np.nanmin(least) == np.nanmin(values)
            assert np.nanmax(most) == np.nanmax(values)
    assert len(low) <= max(count, 1) or len(values) <= count
    assert len(line) <= max(3 * count, len(values) if len(values) <= 2 * count else 0)
    assert (np.diff(at_s) > 0).all()


@settings(deadline=None)
@given(VALUES, st.integers(1, 50))
def test_every_kept_point_is_one_of_the_line(values, count):
    t_s = np.arange(len(values)) * 0.01
    at_s, kept = bins.line(t_s, values, count)
    np.testing.assert_array_equal(values[np.searchsorted(t_s, at_s)], kept)


def test_a_break_in_a_line_stays_one():
    values = np.ones(1000)
    values[300:700] = np.nan
    _, kept = bins.line(np.arange(1000.0), values, 10)
    assert np.isnan(kept).any()
    assert np.isfinite(kept).any()


@settings(deadline=None)
@given(arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, 1.0, 2.0, float("nan")])))
def test_a_step_line_is_the_same_with_its_changes_only(values):
    t_s = np.arange(float(len(values)))
    at_s, kept = bins.steps(t_s, values)
    again = kept[np.searchsorted(at_s, t_s, "right") - 1]
    np.testing.assert_array_equal(again, values)
