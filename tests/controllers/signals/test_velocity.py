"""Conduction velocity from aligned channels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from myoloop.controllers.signals.velocity import conduction_velocity

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "waveform_golden.json").read_text())
RATE_HZ, DISTANCE_M = 2000.0, 0.010


def _travelling(velocity_m_per_s: float, channels: int = 3, n: int = 4000) -> np.ndarray:
    """Shaped noise that runs along the channels, by exact delays in the frequency domain."""
    f = np.fft.rfftfreq(n, 1 / RATE_HZ)
    shape = np.sqrt(f**2 / ((f**2 + 60.0**2) * (f**2 + 120.0**2) ** 2))
    lines = np.fft.rfft(np.random.default_rng(1).standard_normal(n)) * shape
    lines[-1] = 0.0
    delay_s = DISTANCE_M / velocity_m_per_s
    columns = [np.fft.irfft(lines * np.exp(-2j * np.pi * f * delay_s * k), n) for k in range(channels)]
    return np.stack(columns, axis=1) / columns[0].std()


def test_four_metres_per_second_are_exact() -> None:
    gold = GOLDEN["cv_ml"]
    found = conduction_velocity(_travelling(gold["true_m_s"], 2), RATE_HZ, DISTANCE_M)
    assert found.velocity_m_per_s == pytest.approx(gold["est_m_s"], rel=1e-6)
    assert found.correlation == pytest.approx(1.0)
    assert found.reason == ""


@pytest.mark.parametrize("velocity", [2.7, 3.33, 4.0, 5.1, 6.2])
def test_a_second_cut_out_with_noise_in_either_direction(velocity: float) -> None:
    noise = 0.3 * np.random.default_rng(2).standard_normal((2000, 3))
    piece = _travelling(velocity)[1000:3000]
    forth = conduction_velocity(piece + noise, RATE_HZ, DISTANCE_M)
    back = conduction_velocity(piece[:, ::-1] + noise, RATE_HZ, DISTANCE_M)
    assert forth.velocity_m_per_s == pytest.approx(velocity, rel=0.015)
    assert back.velocity_m_per_s == pytest.approx(velocity, rel=0.015)
    assert forth.delay_s > 0 > back.delay_s


def test_what_cannot_be_a_muscle_fibre_is_not_told() -> None:
    alike = conduction_velocity(np.tile(_travelling(4.0)[:, :1], 2), RATE_HZ, DISTANCE_M)
    assert np.isnan(alike.velocity_m_per_s)
    assert "not within 2.5 to 6.5 m/s" in alike.reason
    strangers = conduction_velocity(np.random.default_rng(3).standard_normal((2000, 2)), RATE_HZ, DISTANCE_M)
    assert "at least 0.75 is needed" in strangers.reason
    assert "no power" in conduction_velocity(np.zeros((2000, 2)), RATE_HZ, DISTANCE_M).reason
    broken = _travelling(4.0)
    broken[7] = np.nan
    assert "not finite" in conduction_velocity(broken, RATE_HZ, DISTANCE_M).reason


def test_settings_are_refused() -> None:
    good = _travelling(4.0)
    with pytest.raises(ValueError, match="needs two channels"):
        conduction_velocity(good[:, :1], RATE_HZ, DISTANCE_M)
    with pytest.raises(ValueError, match="distance_m is 0"):
        conduction_velocity(good, RATE_HZ, 0.0)
    with pytest.raises(ValueError, match="100 samples at 2000 samples/s are too short for 10 mm"):
        conduction_velocity(good[:100], RATE_HZ, DISTANCE_M)
    with pytest.raises(ValueError, match="at most 900 Hz"):
        conduction_velocity(good, RATE_HZ, DISTANCE_M, (10.0, 1000.0))
