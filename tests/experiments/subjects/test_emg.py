"""The interference pattern: its spectrum, its power, its truth."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy import signal

from myoloop.experiments.subjects.emg import EmgParameters, InterferencePattern, shaped_noise, shaping_filter
from myoloop.experiments.subjects.spectrum import (
    fi_nsm5,
    mean_frequency_hz,
    median_frequency_hz,
    spectral_density,
    spectral_moment,
)

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "features_golden.json").read_text())["S2_sdl_exact_10_500Hz"]


def record(seconds, velocity=1.0, rate_hz=2000.0, channels=4):
    pattern = InterferencePattern([EmgParameters()], [channels], rate_hz)
    rng = np.random.default_rng(7)
    rows = round(rate_hz / 100)
    blocks = [pattern.block(rng.standard_normal((rows, channels)), [velocity]) for _ in range(round(seconds * 100))]
    return np.vstack(blocks)


def mean_and_median_frequency(f, p):
    f, p = f[(f >= 10) & (f <= 500)], p[(f >= 10) & (f <= 500)]
    total = np.cumsum(p) - p / 2  # up to the middle of each bin
    return (f * p).sum() / p.sum(), np.interp(p.sum() / 2, total, f)


@pytest.mark.parametrize("corners", [(30, 60), (40, 80), (60, 120)])
@pytest.mark.parametrize("velocity", [1.0, 0.9, 0.8, 0.7])
def test_the_truth_is_the_golden_quadrature(corners, velocity):
    golden = GOLDEN[f"fl{corners[0]}_fh{corners[1]}_cv{velocity}"]
    assert mean_frequency_hz(*corners, velocity) == pytest.approx(golden["MNF"], rel=1e-6)
    assert median_frequency_hz(*corners, velocity) == pytest.approx(golden["MDF"], rel=1e-6)
    assert fi_nsm5(*corners, velocity) == pytest.approx(golden["FInsm5"], rel=1e-6)


@pytest.mark.parametrize("velocity", [1.0, 0.9, 0.8, 0.7])
@pytest.mark.parametrize(("rate_hz", "within"), [(1000.0, 0.01), (1500.0, 0.001), (2000.0, 0.001), (4000.0, 0.001)])
def test_the_filters_own_spectrum_has_the_true_frequencies(velocity, rate_hz, within):
    f = np.arange(10.0, min(500.0, 0.49 * rate_hz), 0.1)
    _, h = signal.freqz(*shaping_filter(60.0, 120.0, velocity, rate_hz), worN=f, fs=rate_hz)
    mnf, mdf = mean_and_median_frequency(f, np.abs(h) ** 2)
    assert mnf == pytest.approx(mean_frequency_hz(60, 120, velocity, (10, f[-1])), rel=within)
    assert mdf == pytest.approx(median_frequency_hz(60, 120, velocity, (10, f[-1])), rel=within)


@pytest.mark.parametrize(("velocity", "rate_hz"), [(1.0, 2000.0), (0.8, 2000.0), (0.7, 2000.0), (1.0, 1000.0)])
def test_mean_and_median_frequency_are_those_of_the_stulen_de_luca_spectrum(velocity, rate_hz):
    f, p = signal.welch(record(40, velocity, rate_hz), rate_hz, nperseg=round(rate_hz), axis=0)
    mnf, mdf = mean_and_median_frequency(f, p.mean(axis=1))
    assert mnf == pytest.approx(GOLDEN[f"fl60_fh120_cv{velocity}"]["MNF"], rel=0.01)
    assert mdf == pytest.approx(GOLDEN[f"fl60_fh120_cv{velocity}"]["MDF"], rel=0.015)


@pytest.mark.parametrize("velocity", [1.0, 0.7])
def test_power_goes_with_one_over_velocity(velocity):
    assert record(20, velocity).std() == pytest.approx(1 / np.sqrt(velocity), rel=0.02)
    long = shaped_noise(200_000, 2000.0, np.random.default_rng(1), velocity=velocity)
    assert long.std() == pytest.approx(1 / np.sqrt(velocity), rel=0.02)
    assert spectral_moment(0, 60, 120, velocity, (1e-3, 5000)) * velocity == pytest.approx(
        spectral_moment(0, 60, 120, 1.0, (1e-3, 5000)), rel=1e-3
    )


def test_blocks_and_a_stretch_are_the_same_process():
    white = np.random.default_rng(1).standard_normal((400, 1))
    pattern = InterferencePattern([EmgParameters()], [1], 2000.0)
    blocks = np.vstack([pattern.block(white[k : k + 20], [0.8]) for k in range(0, 400, 20)])
    # 410 steps of 1/512 are what 0.8 is rounded to.
    whole = signal.lfilter(*shaping_filter(60.0, 120.0, 410 / 512, 2000.0), white[:, 0])
    # Blocks give a sample's own share of the white noise one sample later.
    assert np.allclose(blocks[:, 0], whole, atol=1e-9)


def test_a_stretch_is_in_equilibrium_from_its_begin():
    begins = [shaped_noise(40, 2000.0, np.random.default_rng(seed)) for seed in range(300)]
    assert np.std(begins) == pytest.approx(1.0, rel=0.06)


def test_channels_differ():
    x = record(20, channels=2)
    assert abs(np.corrcoef(x.T)[0, 1]) < 0.05


def test_the_density_scales_as_lindstroem_says():
    f = np.array([20.0, 80.0, 200.0])
    assert spectral_density(0.8 * f, 60, 120, 0.8) * 0.8**2 == pytest.approx(spectral_density(f, 60, 120))


@pytest.mark.parametrize("band", [(0.0, 500.0), (500.0, 10.0), (10.0, np.inf)])
def test_a_band_that_is_none_is_refused(band):
    with pytest.raises(ValueError, match=r"band_hz: found .*, allowed is"):
        mean_frequency_hz(60, 120, band_hz=band)


def test_corners_out_of_order_are_refused():
    with pytest.raises(ValueError, match="emg_low_hz 90: must be below emg_high_hz 80"):
        EmgParameters(emg_low_hz=90.0, emg_high_hz=80.0)


def test_a_velocity_that_is_no_number_is_refused():
    pattern = InterferencePattern([EmgParameters()], [1], 2000.0)
    with pytest.raises(ValueError, match="NaN"):
        pattern.block(np.zeros((20, 1)), [float("nan")])
