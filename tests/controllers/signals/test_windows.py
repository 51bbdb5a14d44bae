"""Windows over what was heard lately."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.signals.snapshot import StateError
from myoloop.controllers.signals.windows import HopPower, RecentSamples


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 30), max_size=60), st.integers(0, 30))
def test_recent_samples_are_the_last_ones_in_one_piece(blocks: list[int], wanted: int) -> None:
    recent = RecentSamples(30, 2)
    everything = [np.zeros((30, 2))]
    at = 0
    for n in blocks:
        block = np.arange(at, at + n, dtype=float)[:, None] + np.array([[0.0, 0.5]])
        recent.add(block, block % 2 < 1)
        everything.append(block)
        at += n
    whole = np.concatenate(everything)
    samples, valid = recent.last(wanted)
    assert np.array_equal(samples, whole[len(whole) - wanted :])
    assert valid.shape == samples.shape
    again = RecentSamples(30, 2)
    again.restore(recent.state())
    assert np.array_equal(again.last(30)[0], recent.last(30)[0])


def test_more_than_is_kept_is_refused() -> None:
    recent = RecentSamples(10, 1)
    with pytest.raises(ValueError, match="11 samples"):
        recent.add(np.zeros((11, 1)), np.ones((11, 1), dtype=bool))
    with pytest.raises(ValueError, match="11 samples"):
        recent.last(11)
    with pytest.raises(StateError, match="this object has"):
        RecentSamples(9, 1).restore(recent.state())


@settings(deadline=None, max_examples=50)
@given(
    hops=st.lists(st.tuples(st.floats(0, 1e4), st.integers(0, 20)), min_size=1, max_size=60),
    window=st.integers(1, 25),
)
def test_mean_square_is_over_the_valid_samples_of_the_window(hops: list[tuple[float, int]], window: int) -> None:
    power = HopPower(25, 1, 20)
    for square, count in hops:
        power.add(np.array([square * count]), np.array([float(count)]))
    last = hops[-window:]
    count = sum(c for _, c in last)
    mean, share = power.mean_square(window)
    assert share[0] == pytest.approx(count / (window * 20))
    assert mean[0] == pytest.approx(sum(s * c for s, c in last) / count if count else 0.0, rel=1e-9, abs=1e-9)


def test_hops_can_be_taken_back() -> None:
    power = HopPower(25, 1, 20)
    for _ in range(60):
        power.add(np.array([80.0]), np.array([20.0]))
    power.void(10)
    mean, share = power.mean_square(25)
    assert mean[0] == pytest.approx(4.0)
    assert share[0] == pytest.approx(0.6)
