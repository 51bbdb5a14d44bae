"""Any stretch at any zoom, and no burst lost."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.experiments.console.lookback.pyramid import STEP, bin_values, levels_of, look

RATE_HZ = 1000.0
SECONDS = 60.0


def scene(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Noise with a single tall sample here and there."""
    rng = np.random.default_rng(seed)
    t_s = np.arange(int(RATE_HZ * SECONDS)) / RATE_HZ
    values = rng.normal(size=(len(t_s), 2)).astype(np.float32)
    values[rng.integers(0, len(t_s), 20), 0] = 50.0
    return t_s, values


def pyramid(t_s, values, width_s=0.01):
    columns = [lambda at=at: values[:, at] for at in range(values.shape[1])]
    n = int(np.ceil((t_s[-1] + 1e-9) / width_s))
    return levels_of(bin_values(t_s, columns, 0.0, width_s, n))


def between(from_s, to_s):
    first, last = np.searchsorted(T_S, (from_s, to_s))
    return VALUES[first:last]


T_S, VALUES = scene()
LEVELS = pyramid(T_S, VALUES)


@given(from_s=st.floats(-5.0, 59.0), length_s=st.floats(0.05, 80.0), n=st.integers(1, 2000))
def test_the_extremes_of_a_stretch_are_those_of_what_lies_in_it(from_s, length_s, n):
    seen = look(LEVELS, from_s, from_s + length_s, n)
    inside = between(from_s, from_s + length_s)
    if not len(inside):
        return
    margin_s = 0.01 * STEP**2 + length_s / n
    near = between(from_s - margin_s, from_s + length_s + margin_s)
    for column in (0, 1):
        assert inside[:, column].max() <= np.nanmax(seen.high[:, column]) <= near[:, column].max()
        assert near[:, column].min() <= np.nanmin(seen.low[:, column]) <= inside[:, column].min()


@given(at=st.integers(0, len(T_S) - 1), n=st.sampled_from([100, 700, 1500]))
def test_one_sample_is_seen_where_it_is_however_far_one_zooms_out(at, n):
    values = np.zeros((len(T_S), 1), np.float32)
    values[at] = 9.0
    seen = look(pyramid(T_S, values), 0.0, SECONDS, n)
    assert abs(int(np.nanargmax(seen.high[:, 0])) - int(T_S[at] / seen.width_s)) <= 1
    assert np.nansum(seen.high[:, 0] == 9.0) in (1, 2)


def test_a_hole_is_a_hole_at_every_zoom_that_can_show_it():
    keep = (T_S < 20.0) | (T_S >= 30.0)
    levels = pyramid(T_S[keep], VALUES[keep])
    for n in (60, 600, 1500):
        seen = look(levels, 0.0, SECONDS, n)
        middle = slice(int(21 / seen.width_s), int(29 / seen.width_s))
        assert np.isnan(seen.high[middle]).all()
        assert not np.isnan(seen.high[: int(19 / seen.width_s)]).any()


def test_what_lies_beyond_the_recording_is_not_known():
    seen = look(LEVELS, -10.0, 70.0, 80)
    assert np.isnan(seen.high[:9]).all()
    assert np.isnan(seen.high[71:]).all()
    assert not np.isnan(seen.high[10:70]).any()


def test_a_clock_that_went_back_leaves_nothing_out():
    t_s = np.concatenate([T_S[:30_000], T_S[10_000:]])
    values = np.concatenate([VALUES[:30_000], VALUES[10_000:] * 2])
    seen = look(pyramid(t_s, values), 10.0, 30.0, 20)
    assert seen.high[:, 0].max() == values[:, 0].max() == 100.0


def test_nan_is_no_extreme():
    values = VALUES.copy()
    values[::2] = np.nan
    assert not np.isnan(look(pyramid(T_S, values), 0.0, SECONDS, 100).low).any()


@pytest.mark.parametrize("n", [1, 7, 1024])
def test_a_stream_without_a_sample_shows_nothing(n):
    empty = bin_values(np.empty(0), [lambda: np.empty(0)], 0.0, 0.01, 0)
    assert np.isnan(look(levels_of(empty), 0.0, 5.0, n).high).all()
