"""A rhythm in the rate of turn."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.signals.tremor import TremorSpectrum

RATE_HZ = 100.0


def _tremble(frequency_hz: float, seed: int, *, rms: float = 0.2, rate_hz: float = RATE_HZ) -> np.ndarray:
    """Two seconds: a tremor of an uneven rhythm about some axis, over slow movement and noise."""
    rng = np.random.default_rng(seed)
    n = round(2.0 * rate_hz)
    phase = np.cumsum(2 * np.pi * frequency_hz / rate_hz * (1 + 0.05 * rng.standard_normal(n)))
    axes = rng.standard_normal((2, 3))
    axes /= np.linalg.norm(axes, axis=1)[:, None]
    slow = np.sin(2 * np.pi * 0.4 * np.arange(n) / rate_hz + rng.uniform(0, 6))
    trembling = rms * np.sqrt(2) * np.sin(phase + rng.uniform(0, 6))
    return trembling[:, None] * axes[0] + slow[:, None] * axes[1] + 0.02 * rng.standard_normal((n, 3))


def _heard(rows: np.ndarray, rate_hz: float = RATE_HZ) -> TremorSpectrum:
    spectrum = TremorSpectrum(rate_hz)
    spectrum.add(rows)
    return spectrum


@given(st.floats(3.5, 11.5), st.integers(0, 400))
@settings(deadline=None, max_examples=60)
def test_its_frequency_is_known_within_a_quarter_of_a_hertz_and_its_size_within_a_tenth(
    frequency_hz: float, seed: int
) -> None:
    found = _heard(_tremble(frequency_hz, seed)).rhythm()
    assert found.frequency_hz == pytest.approx(frequency_hz, abs=0.25)
    assert found.rms_rad_s == pytest.approx(0.2, rel=0.1)
    assert found.share > 0.8


def test_a_turn_to_and_fro_about_an_axis_is_not_taken_for_twice_its_frequency() -> None:
    t = np.arange(200) / RATE_HZ
    rows = np.sin(2 * np.pi * 4.0 * t)[:, None] * np.array([0.0, 1.0, 0.0])
    assert _heard(rows).rhythm().frequency_hz == pytest.approx(4.0, abs=0.05)


def test_noise_and_slow_movement_do_not_stand_out() -> None:
    rng = np.random.default_rng(2)
    shares = []
    for _ in range(200):
        t = np.arange(200) / RATE_HZ + rng.uniform(0, 6)
        slow = np.sin(2 * np.pi * rng.uniform(0.1, 1.2) * t)[:, None] * rng.standard_normal(3)
        shares.append(_heard(slow + 0.03 * rng.standard_normal((200, 3))).rhythm().share)
    assert np.quantile(shares, 0.98) < 0.6
    assert _heard(np.zeros((200, 3))).rhythm().share == 0.0


def test_it_is_full_after_two_seconds_without_a_gap_however_they_come() -> None:
    rows = _tremble(6.0, 1)
    piecewise = TremorSpectrum(RATE_HZ)
    piecewise.add(np.random.default_rng(3).standard_normal((130, 3)))
    piecewise.start_again()
    for i in range(0, 200, 9):
        assert not piecewise.full
        piecewise.add(rows[i : i + 9])
    assert piecewise.full
    assert piecewise.rhythm() == _heard(rows).rhythm()
    more = _heard(np.concatenate([np.ones((333, 3)), rows]))
    assert more.rhythm() == _heard(rows).rhythm()


def test_state_goes_through_json_bit_for_bit() -> None:
    one = _heard(_tremble(5.0, 1)[:130])
    other = TremorSpectrum(RATE_HZ)
    other.restore(json.loads(json.dumps(one.state())))
    for each in (one, other):
        each.add(_tremble(7.0, 2)[:90])
    assert one.state() == other.state()
    assert one.rhythm() == other.rhythm()


def test_too_slow_a_gyroscope_is_refused() -> None:
    with pytest.raises(ValueError, match="30 Hz or more"):
        TremorSpectrum(25.0)
