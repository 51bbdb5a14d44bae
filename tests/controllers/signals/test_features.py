"""Features against golden values and closed forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from myoloop.controllers.signals.features import (
    Spectrum,
    arv,
    mean_frequency_hz,
    median_frequency_hz,
    rms,
    spectral_validity,
    zero_crossings_per_s,
)

DATA = Path(__file__).parents[2] / "data"
FEATURES = json.loads((DATA / "features_golden.json").read_text())
WAVEFORM = json.loads((DATA / "waveform_golden.json").read_text())


def _stulen_de_luca(f: np.ndarray, low: float, high: float, velocity: float) -> np.ndarray:
    """Shwedyk's and Stulen-De Luca's spectrum; conduction velocity scales its frequency axis."""
    f, fl, fh = f / velocity, low, high
    return fh**4 * f**2 / ((f**2 + fl**2) * (f**2 + fh**2) ** 2)


def _emg(seconds: float, rate_hz: float = 2000.0, seed: int = 7) -> np.ndarray:
    """Gaussian noise with that spectrum (60, 120 Hz), by shaping white noise in the frequency domain."""
    n = round(seconds * rate_hz)
    f = np.fft.rfftfreq(n, 1 / rate_hz)
    white = np.fft.rfft(np.random.default_rng(seed).standard_normal(n))
    return np.fft.irfft(white * np.sqrt(_stulen_de_luca(f, 60.0, 120.0, 1.0)), n)[:, None]


def test_two_tones_have_the_exact_frequencies() -> None:
    t = np.arange(4000) / 2000
    tones = (np.sin(2 * np.pi * 60 * t) + 0.5 * np.sin(2 * np.pi * 150 * t))[:, None]
    spectrum = Spectrum(2000.0, 4000, hann=False)
    density = spectrum.density(tones)
    gold = FEATURES["S1_two_tone"]
    assert rms(tones)[0] == pytest.approx(gold["exact"]["RMS"], rel=1e-9)
    assert mean_frequency_hz(spectrum.frequencies_hz, density)[0] == pytest.approx(gold["exact"]["MNF"], rel=1e-6)
    mdf = median_frequency_hz(spectrum.frequencies_hz, density)[0]
    assert mdf == pytest.approx(gold["scipy_periodogram_10_500"]["MDF_interp"], rel=1e-6)
    # density is per Hz: its integral is the power.
    assert density.sum() * 0.5 == pytest.approx(gold["scipy_periodogram_10_500"]["total"], rel=1e-9)


@pytest.mark.parametrize("name", sorted(FEATURES["S2_sdl_exact_10_500Hz"]))
def test_frequencies_of_the_exact_spectrum(name: str) -> None:
    low, high, velocity = (float(part[2:]) for part in name.split("_"))
    f = np.arange(10.0, 500.0, 0.01) + 0.005
    density = _stulen_de_luca(f, low, high, velocity)[:, None]
    gold = FEATURES["S2_sdl_exact_10_500Hz"][name]
    assert mean_frequency_hz(f, density)[0] == pytest.approx(gold["MNF"], rel=1e-6)
    assert median_frequency_hz(f, density)[0] == pytest.approx(gold["MDF"], rel=1e-6)


@pytest.mark.parametrize("seconds", [0.25, 0.5, 1.0])
def test_averaged_spectra_of_a_minute_come_close_to_quadrature(seconds: float) -> None:
    signal = _emg(60.0)
    n = round(2000 * seconds)
    spectrum = Spectrum(2000.0, n)
    pieces = [signal[i : i + n] for i in range(0, len(signal) - n + 1, n // 2)]
    density = np.mean([spectrum.density(piece) for piece in pieces], axis=0)
    gold = FEATURES["S2_sdl_fl60_fh120_60s_seed7"]["exact"]
    assert mean_frequency_hz(spectrum.frequencies_hz, density)[0] == pytest.approx(gold["MNF"], rel=0.01)
    assert median_frequency_hz(spectrum.frequencies_hz, density)[0] == pytest.approx(gold["MDF"], rel=0.015)


def test_gaussian_emg_has_its_arv_and_its_discrete_zero_crossing_rate() -> None:
    signal = _emg(120.0)
    assert arv(signal)[0] / rms(signal)[0] == pytest.approx(np.sqrt(2 / np.pi), rel=0.01)
    gold = WAVEFORM["zero_crossing_rate"]
    assert zero_crossings_per_s(signal, 2000.0)[0] == pytest.approx(gold["discrete_arccos"], rel=0.01)
    # Rice's continuous-time value is not what samples give.
    assert abs(zero_crossings_per_s(signal, 2000.0)[0] - gold["rice_continuous"]) > 5


def test_only_valid_samples_count() -> None:
    signal = np.array([[3.0], [1e9], [-3.0], [3.0]])
    valid = np.array([[True], [False], [True], [True]])
    assert rms(signal, valid)[0] == 3.0
    assert arv(signal, valid)[0] == 3.0
    # One pair of valid neighbours, one crossing in it.
    assert zero_crossings_per_s(signal, 1000.0, valid)[0] == 1000.0
    nothing = np.zeros_like(valid)
    assert np.isnan(rms(signal, nothing)[0])
    assert np.isnan(zero_crossings_per_s(signal, 1000.0, nothing)[0])


def test_silence_has_no_frequency() -> None:
    spectrum = Spectrum(1000.0, 500)
    density = spectrum.density(np.zeros((500, 2)))
    assert np.isnan(mean_frequency_hz(spectrum.frequencies_hz, density)).all()
    assert np.isnan(median_frequency_hz(spectrum.frequencies_hz, density)).all()


def test_below_1_khz_spectral_fatigue_is_refused_by_name() -> None:
    assert spectral_validity(1000.0) == ""
    assert "500 samples/s" in spectral_validity(500.0)
