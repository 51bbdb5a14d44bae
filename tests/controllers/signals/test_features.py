"""Features against golden values and closed forms."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.signals.features import (
    Spectrum,
    arv,
    log_dimitrov_index,
    mean_frequency_hz,
    median_frequency_hz,
    rms,
    spectral_moment,
    spectral_validity,
    subtract_noise,
    tkeo,
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
    index = log_dimitrov_index(spectrum.frequencies_hz, density)[0]
    assert np.exp(index) == pytest.approx(gold["exact"]["FInsm5"], rel=1e-6)
    index = log_dimitrov_index(spectrum.frequencies_hz, density, order=2)[0]
    assert np.exp(index) == pytest.approx(gold["scipy_periodogram_10_500"]["FInsm2"], rel=1e-6)
    # density is per Hz: its integral is the power.
    power = spectral_moment(spectrum.frequencies_hz, density, 0)[0]
    assert power == pytest.approx(gold["scipy_periodogram_10_500"]["total"], rel=1e-9)
    assert density.sum() * 0.5 == pytest.approx(gold["scipy_periodogram_10_500"]["total"], rel=1e-9)


@pytest.mark.parametrize("name", sorted(FEATURES["S2_sdl_exact_10_500Hz"]))
def test_frequencies_of_the_exact_spectrum(name: str) -> None:
    low, high, velocity = (float(part[2:]) for part in name.split("_"))
    f = np.arange(10.0, 500.0, 0.01) + 0.005
    density = _stulen_de_luca(f, low, high, velocity)[:, None]
    gold = FEATURES["S2_sdl_exact_10_500Hz"][name]
    assert mean_frequency_hz(f, density)[0] == pytest.approx(gold["MNF"], rel=1e-6)
    assert median_frequency_hz(f, density)[0] == pytest.approx(gold["MDF"], rel=1e-6)
    assert np.exp(log_dimitrov_index(f, density)[0]) == pytest.approx(gold["FInsm5"], rel=1e-6)
    assert np.exp(log_dimitrov_index(f, density, order=2)[0]) == pytest.approx(gold["FInsm2"], rel=1e-6)


@pytest.mark.parametrize("band", sorted(FEATURES["ratio_for_20pct_CV_loss_vs_band_exact"]))
def test_what_a_slower_conduction_does_depends_on_the_band(band: str) -> None:
    low, high = (float(end) for end in band.split("-"))
    f = np.arange(low, high, 0.01) + 0.005
    fresh, tired = (_stulen_de_luca(f, 60.0, 120.0, velocity)[:, None] for velocity in (1.0, 0.8))
    gold = FEATURES["ratio_for_20pct_CV_loss_vs_band_exact"][band]
    assert mean_frequency_hz(f, tired)[0] / mean_frequency_hz(f, fresh)[0] == pytest.approx(gold["MNF"], rel=1e-6)
    assert median_frequency_hz(f, tired)[0] / median_frequency_hz(f, fresh)[0] == pytest.approx(gold["MDF"], rel=1e-6)
    gained = log_dimitrov_index(f, tired)[0] - log_dimitrov_index(f, fresh)[0]
    assert np.exp(gained) == pytest.approx(gold["FInsm5"], rel=1e-6)


def test_a_minute_of_emg_has_the_mean_frequency_of_quadrature() -> None:
    signal = _emg(60.0)
    spectrum = Spectrum(2000.0, 2000)
    pieces = [signal[i : i + 2000] for i in range(0, len(signal) - 1999, 1000)]
    density = np.mean([spectrum.density(piece) for piece in pieces], axis=0)
    gold = FEATURES["S2_sdl_fl60_fh120_60s_seed7"]["exact"]["MNF"]
    assert mean_frequency_hz(spectrum.frequencies_hz, density)[0] == pytest.approx(gold, rel=0.002)


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


def test_teager_kaiser_energy_of_a_cosine_is_exact() -> None:
    gold = WAVEFORM["tkeo_cosine"]
    cosine = gold["A"] * np.cos(2 * np.pi * gold["f"] * np.arange(500) / gold["fs"])
    energy = tkeo(cosine[:, None])
    assert energy.shape == (498, 1)
    assert energy == pytest.approx(np.full((498, 1), gold["exact"]), rel=1e-6)


def _density_of(signal: np.ndarray, spectrum: Spectrum) -> np.ndarray:
    pieces = [signal[i : i + 1000] for i in range(0, len(signal) - 999, 500)]
    return np.mean([spectrum.density(piece) for piece in pieces], axis=0)


def test_the_noise_of_rest_is_taken_off() -> None:
    rng = np.random.default_rng(5)
    emg = _emg(30.0) / _emg(30.0).std()
    noise = 10**-0.5 * rng.standard_normal((120_000, 1))
    spectrum = Spectrum(2000.0, 1000)
    f = spectrum.frequencies_hz
    clean, loud = _density_of(emg, spectrum), _density_of(emg + noise[:60_000], spectrum)
    left = subtract_noise(loud, _density_of(noise[60_000:], spectrum))
    truth = float(mean_frequency_hz(f, clean)[0])
    assert float(mean_frequency_hz(f, loud)[0]) > 1.04 * truth
    assert mean_frequency_hz(f, left)[0] == pytest.approx(truth, rel=0.005)
    index = float(log_dimitrov_index(f, clean)[0])
    assert float(log_dimitrov_index(f, loud)[0]) < index - 0.3
    assert log_dimitrov_index(f, left)[0] == pytest.approx(index, abs=0.05)


def test_where_nothing_is_left_nothing_is_told() -> None:
    f = Spectrum(2000.0, 1000).frequencies_hz
    density = np.ones((len(f), 2))
    left = subtract_noise(density, np.full(len(f), 0.95)[:, None] * [1.0, 0.0])
    assert np.isnan(mean_frequency_hz(f, left)[0])
    assert np.isnan(median_frequency_hz(f, left)[0])
    assert np.isnan(log_dimitrov_index(f, left)[0])
    assert mean_frequency_hz(f, left)[1] == pytest.approx(f.mean())
    with pytest.raises(ValueError, match="one length, rate and band"):
        subtract_noise(density, np.ones(5))


@settings(deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 50.0))
def test_frequencies_do_not_depend_on_the_gain_and_amplitudes_go_with_it(seed: int, gain: float) -> None:
    signal = np.random.default_rng(seed).standard_normal((400, 2))
    spectrum = Spectrum(2000.0, 400)
    f, once, more = spectrum.frequencies_hz, spectrum.density(signal), spectrum.density(gain * signal)
    assert mean_frequency_hz(f, more) == pytest.approx(mean_frequency_hz(f, once))
    assert median_frequency_hz(f, more) == pytest.approx(median_frequency_hz(f, once))
    assert log_dimitrov_index(f, more) == pytest.approx(log_dimitrov_index(f, once))
    assert rms(gain * signal) == pytest.approx(gain * rms(signal))
    assert ((f[0] <= median_frequency_hz(f, once)) & (median_frequency_hz(f, once) <= f[-1])).all()


def test_settings_that_mean_nothing_are_refused_in_one_line() -> None:
    with pytest.raises(ValueError, match="band_hz reaches 500 Hz, allowed is at most 450 Hz"):
        Spectrum(1000.0, 1000, (10.0, 500.0))
    with pytest.raises(ValueError, match="band_hz is 300 to 20 Hz"):
        Spectrum(1000.0, 1000, (300.0, 20.0))
    with pytest.raises(ValueError, match="100 samples is too short for a band from 10 Hz: at least 200"):
        Spectrum(2000.0, 100)
    with pytest.raises(ValueError, match="1 lines within 10 to 12 Hz"):
        Spectrum(2000.0, 500, (10.0, 12.0))
    with pytest.raises(ValueError, match="order of Dimitrov's index is 6"):
        log_dimitrov_index(np.arange(1.0, 9.0), np.ones((8, 1)), order=6)
    # What nobody set adapts to the rate.
    assert Spectrum(1000.0, 1000).band_hz == (10.0, 450.0)
    assert Spectrum(2000.0, 1000).band_hz == (10.0, 500.0)
