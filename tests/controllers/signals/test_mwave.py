"""The descriptors of an M-wave are what its equation says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.signals.mwave import describe, on_grid, without_tail

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "waveform_golden.json").read_text())["mwave_gauss1"]


def _wave(since_ms: np.ndarray, peak_uv: float = 5000.0, width_ms: float = 2.0, centre_ms: float = 20.0) -> np.ndarray:
    """A Gaussian's first derivative whose peaks are `peak_uv` high, at `width_ms` before and after its centre."""
    z = (since_ms - centre_ms) / width_ms
    return -peak_uv * z * np.exp(0.5 - 0.5 * z * z)


def test_on_a_fine_grid_the_gaussian_derivative_has_its_exact_values() -> None:
    step_ms = 1e-3
    shape = describe(_wave(np.arange(0.0, 40.0, step_ms)), 0.0, step_ms)
    half_uv_ms = 500.0 * GOLDEN["rect_area_mVms_exact"]
    exact = {
        "peak_to_peak_uv": 1e3 * GOLDEN["PTP_mV_exact"],
        "duration_ms": GOLDEN["peak_to_peak_dur_ms_exact"],
        "rectified_area_uv_ms": 2 * half_uv_ms,
        "first_phase_uv_ms": half_uv_ms,
        "second_phase_uv_ms": half_uv_ms,
        "latency_ms": 18.0,
        "mean_frequency_hz": GOLDEN["MNF_exact_Hz"],
    }
    for name, value in exact.items():
        assert getattr(shape, name) == pytest.approx(value, rel=1e-6), name


@settings(deadline=None, max_examples=50)
@given(st.floats(-0.25, 0.25), st.floats(1.0, 3.0), st.floats(20.0, 5000.0))
def test_at_2_khz_it_is_near_them_wherever_the_samples_fall(off_ms: float, width_ms: float, peak_uv: float) -> None:
    since_ms = np.arange(0.0, 40.0, 0.5)
    shape = describe(_wave(since_ms, peak_uv, width_ms, 20.0 + off_ms), 0.0, 0.5)
    assert shape.peak_to_peak_uv == pytest.approx(2 * peak_uv, rel=0.04)
    assert shape.duration_ms == pytest.approx(2 * width_ms, abs=0.13)
    assert shape.latency_ms == pytest.approx(20 + off_ms - width_ms, abs=0.13)
    assert shape.rectified_area_uv_ms == pytest.approx(6.594885 * peak_uv * width_ms / 2, rel=0.04)
    assert shape.mean_frequency_hz == pytest.approx(179.587122 / width_ms, rel=0.01)


def test_the_mean_frequency_of_a_long_and_of_a_short_wave_is_reckoned_alike() -> None:
    wave = np.random.default_rng(1).standard_normal(512) * np.hanning(512)
    short = describe(wave, 0.0, 0.5)
    assert describe(np.concatenate([wave, [0.0]]), 0.0, 0.5).mean_frequency_hz == pytest.approx(
        short.mean_frequency_hz, rel=1e-12
    )


def test_the_phases_of_an_unequal_wave_are_told_apart() -> None:
    step_ms = 0.01
    since_ms = np.arange(0.0, 40.0, step_ms)
    wave = _wave(since_ms)
    wave[wave < 0] *= 0.5
    shape = describe(-wave, 3.0, step_ms)
    assert shape.first_phase_uv_ms == pytest.approx(2 * shape.second_phase_uv_ms, rel=1e-4)
    assert shape.latency_ms == pytest.approx(21.0, abs=1e-3)


def test_a_frame_is_brought_onto_the_grid_of_its_pulse() -> None:
    for off_ms in (-0.24, -0.1, 0.0, 0.17, 0.25):
        since_ms = np.arange(-3.0, 45.0, 0.5) + off_ms
        frame = _wave(since_ms)[:, None] * np.array([1.0, -0.5])
        moved = on_grid(frame, since_ms, 0.5, 80)
        exact = _wave(np.arange(80) * 0.5)
        assert np.abs(moved - exact[:, None] * np.array([1.0, -0.5])).max() < 5.0  # of 5000


def test_what_has_no_two_phases_is_no_mwave() -> None:
    assert np.isnan(describe(np.ones(30), 0.0, 0.5).peak_to_peak_uv)
    with pytest.raises(ValueError, match="4 samples, at least 5"):
        describe(np.ones(4), 0.0, 0.5)


def test_an_amplifiers_recovery_is_taken_off_and_a_clean_wave_stays_as_it_is() -> None:
    since_ms = np.arange(3.0, 30.0, 0.5)
    wave = _wave(since_ms, 500.0, 1.4, 9.0)
    assert np.abs(without_tail(wave, 0.5) - wave).max() < 0.5
    for tail_ms, size_uv in ((3.0, -300.0), (5.0, 400.0), (8.0, 200.0)):
        seen = wave + size_uv * np.exp(-since_ms / tail_ms)
        assert describe(without_tail(seen, 0.5), 3.0, 0.5).peak_to_peak_uv == pytest.approx(1000, rel=0.03)
    seen = wave + 400 * np.exp(-since_ms / 5.0)
    assert describe(seen, 3.0, 0.5).peak_to_peak_uv > 1030
