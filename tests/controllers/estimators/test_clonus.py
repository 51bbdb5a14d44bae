"""The rhythm of clonus in envelopes whose rate is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.estimators.clonus import autocorrelation, find_rhythm

HOP_S = 0.01


def _bursts(rate_hz: float, bursts: int, *, weak_every: int = 0, jitter: float = 0.0, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    middles = 0.03 + np.cumsum(np.concatenate([[0.0], (1 + jitter * rng.standard_normal(bursts - 1)) / rate_hz]))
    t = np.arange(round((middles[-1] + 0.04) / HOP_S)) * HOP_S
    envelope = np.zeros(len(t))
    for number, middle in enumerate(middles):
        height = 0.75 if weak_every and number % weak_every else 1.0
        envelope += height * np.exp(-0.5 * ((t - middle) / 0.015) ** 2)
    noisy: np.ndarray = envelope + 0.1 * np.abs(rng.standard_normal(len(t)))
    return noisy


@given(st.floats(4.2, 7.8), st.integers(4, 25), st.integers(1, 50))
@settings(deadline=None, max_examples=60)
def test_the_rate_of_regular_bursts_is_found_within_a_tenth(rate_hz: float, bursts: int, seed: int) -> None:
    rhythm = find_rhythm(_bursts(rate_hz, bursts, seed=seed), HOP_S)
    assert rhythm is not None
    # A middle is known within about 3 ms, over all intervals but one.
    assert rhythm.frequency_hz == pytest.approx(rate_hz, abs=0.05 + 0.25 / (bursts - 1))
    assert rhythm.scatter < 0.25
    assert rhythm.bursts == bursts


@pytest.mark.parametrize("rate_hz", [4.5, 6.0, 7.5])
def test_every_second_burst_weaker_is_no_rhythm_of_half_the_rate(rate_hz: float) -> None:
    rhythm = find_rhythm(_bursts(rate_hz, 16, weak_every=2, jitter=0.03), HOP_S)
    assert rhythm is not None
    assert rhythm.frequency_hz == pytest.approx(rate_hz, rel=0.04)


def test_a_faster_rhythm_is_not_taken_for_half_of_it() -> None:
    rhythm = find_rhythm(_bursts(11.0, 30), HOP_S)
    assert rhythm is not None
    assert rhythm.frequency_hz == pytest.approx(11.0, rel=0.05)


def test_what_is_flat_silent_or_short_has_no_rhythm() -> None:
    assert find_rhythm(np.zeros(200), HOP_S) is None
    assert find_rhythm(_bursts(6.0, 2)[:10], HOP_S) is None
    flat = 1.0 + 0.1 * np.random.default_rng(1).standard_normal(200)
    rhythm = find_rhythm(flat, HOP_S)
    assert rhythm is None or rhythm.strength < 0.35


def test_autocorrelation_is_1_at_lag_0_and_at_the_period() -> None:
    x = np.sin(2 * np.pi * np.arange(200) / 20)
    r = autocorrelation(x, 40)
    assert r[0] == pytest.approx(1.0)
    assert r[20] == pytest.approx(1.0, abs=1e-6)
    assert r[10] == pytest.approx(-1.0, abs=1e-2)
    assert np.abs(r).max() <= 1.0 + 1e-12
