"""What EMG features would be without EMG, against the exact spectrum and against noise."""

import numpy as np
import pytest

from myoloop.experiments.subjects.emg import EmgParameters
from myoloop.experiments.subjects.features_of_emg import BAND_HZ, PatternTable, error
from myoloop.experiments.subjects.spectrum import mean_frequency_hz, spectral_moment

PEOPLE = [EmgParameters(), EmgParameters(emg_low_hz=45.0, emg_high_hz=140.0)]


@pytest.mark.parametrize("velocity", [0.35, 0.613, 0.9, 1.0])
def test_the_table_is_the_exact_spectrum(velocity):
    found = PatternTable(PEOPLE).at(np.full(2, velocity))
    assert found.shape == (2, PatternTable.COLUMNS)
    for row, p in zip(found, PEOPLE, strict=True):
        assert row[2] == pytest.approx(mean_frequency_hz(p.emg_low_hz, p.emg_high_hz, velocity), rel=1e-4)
        whole = sum(
            spectral_moment(0, p.emg_low_hz, p.emg_high_hz, 1.0, band)
            for band in ((1e-3, 10.0), BAND_HZ, (500.0, 5e3), (5e3, 1e6))
        )
        inside = spectral_moment(0, p.emg_low_hz, p.emg_high_hz, velocity)
        assert row[0] == pytest.approx(inside / whole, rel=1e-3)


def test_a_velocity_out_of_the_table_is_its_end():
    table = PatternTable(PEOPLE)
    assert table.at(np.array([0.1, 2.0])).tolist() == table.at(np.array([0.3, 1.0])).tolist()


def test_white_noise_errs_as_white_noise_does():
    nothing, noise = np.zeros(1), np.ones(1)
    relative, mnf_hz, bias_hz = error(nothing, noise, PatternTable(PEOPLE[:1]).at(np.ones(1)), 0.5)
    # A band of 490 Hz over 0.5 s has 490 degrees of freedom; the variance of a flat band is a twelfth of its square.
    assert relative[0] == pytest.approx(0.5 / np.sqrt(245.0))
    assert mnf_hz[0] == pytest.approx(np.sqrt(35 / 18 * 490.0 / 12.0 / 0.5))
    assert bias_hz[0] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("window_s", [0.125, 0.25, 0.5, 1.0, 2.0])
def test_the_spread_of_a_windows_mean_frequency_is_the_measured_one(window_s):
    # Golden spread of single Hann windows of this spectrum, per cent (science.md 1.3).
    golden = {0.125: 12.1, 0.25: 8.8, 0.5: 6.1, 1.0: 4.5, 2.0: 3.1}[window_s]
    moments = PatternTable(PEOPLE[:1]).at(np.ones(1))
    _, mnf_hz, _ = error(np.ones(1), np.zeros(1), moments, window_s)
    assert 100 * mnf_hz[0] / moments[0, 2] == pytest.approx(golden, rel=0.05)
