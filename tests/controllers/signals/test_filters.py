"""Streaming filters equal scipy's, block by block, whatever the blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import sosfilt, sosfiltfilt, sosfreqz

from myoloop.controllers.signals.filters import BlockFilter, Envelope, bandpass, lowpass, notch


def _noise(n: int, channels: int, seed: int = 1) -> np.ndarray:
    return 50 * np.random.default_rng(seed).standard_normal((n, channels))


@settings(deadline=None, max_examples=60)
@given(
    lengths=st.lists(st.integers(1, 150), min_size=1, max_size=20),
    channels=st.integers(1, 8),
    rate_hz=st.sampled_from([500.0, 1000.0, 1926.0, 2000.0, 4000.0]),
)
def test_any_blocks_equal_sosfilt(lengths: list[int], channels: int, rate_hz: float) -> None:
    sos = np.concatenate([bandpass(rate_hz), notch(rate_hz, 50.0, harmonics=True)])
    signal = _noise(sum(lengths), channels)
    expected, _ = sosfilt(sos, signal, axis=0, zi=np.zeros((len(sos), 2, channels)))
    streaming = BlockFilter(sos, channels)
    cuts = np.cumsum(lengths)[:-1]
    got = np.concatenate([streaming.process(block) for block in np.split(signal, cuts)])
    assert np.max(np.abs(got - expected)) <= 1e-9 * np.max(np.abs(signal))


def test_saved_and_restored_goes_on_bit_for_bit() -> None:
    signal = _noise(400, 3)
    one, other = BlockFilter(bandpass(2000.0), 3), BlockFilter(bandpass(2000.0), 3)
    one.process(signal[:137])
    other.restore(one.state())
    assert np.array_equal(one.process(signal[137:]), other.process(signal[137:]))


def test_settled_on_an_offset_it_answers_an_offset_with_zero() -> None:
    streaming = BlockFilter(bandpass(2000.0), 2)
    offset = np.array([1500.0, -800.0])
    streaming.settle(offset)
    assert np.max(np.abs(streaming.process(np.tile(offset, (200, 1))))) < 1e-6


def test_the_cache_of_matrices_does_not_grow_with_block_lengths() -> None:
    streaming = BlockFilter(bandpass(2000.0), 1)
    for length in range(1, 400):
        streaming.process(np.zeros((length, 1)))
    assert len(streaming._matrices) <= 64


@pytest.mark.parametrize(("rate_hz", "high_hz"), [(2000.0, 450.0), (1000.0, 450.0), (500.0, 225.0)])
def test_the_band_ends_at_the_lesser_of_450_hz_and_0_45_of_the_rate(rate_hz: float, high_hz: float) -> None:
    frequencies, gain = sosfreqz(bandpass(rate_hz), worN=20000, fs=rate_hz)
    inside = frequencies[np.abs(gain) >= np.sqrt(0.5) - 1e-3]
    assert inside[0] == pytest.approx(20.0, abs=0.2)
    assert inside[-1] == pytest.approx(high_hz, abs=1.0)


def test_no_band_is_an_error_that_says_so() -> None:
    with pytest.raises(ValueError, match="no band from 20"):
        bandpass(40.0)
    with pytest.raises(ValueError, match="band is 20 to 300 Hz at 500 samples/s, allowed is up to 225 Hz"):
        bandpass(500.0, high_hz=300.0)
    with pytest.raises(ValueError, match="band is 20 to nan Hz"):
        bandpass(500.0, high_hz=float("nan"))
    assert np.array_equal(bandpass(500.0, high_hz=225.0), bandpass(500.0))
    assert np.array_equal(bandpass(1000.0, high_hz=450.0), bandpass(1000.0))
    with pytest.raises(ValueError, match="mains of 50"):
        notch(100.0, 50.0)


@pytest.mark.parametrize("harmonics", [False, True])
def test_notch_takes_out_mains_and_leaves_the_rest(harmonics: bool) -> None:
    _, gain = sosfreqz(notch(2000.0, 50.0, harmonics), worN=[50.0, 150.0, 75.0], fs=2000.0)
    at_mains, at_third, between = np.abs(gain)
    assert at_mains < 1e-6
    assert (at_third < 1e-6) == harmonics
    assert between > 0.97


def test_envelope_follows_amplitude_and_is_never_negative() -> None:
    t = np.arange(6000) / 2000
    amplitude = np.where(t < 1.5, 10.0, 100.0)
    signal = (amplitude * np.sin(2 * np.pi * 100 * t))[:, None]
    envelope = Envelope(2000.0, 1).process(signal)[:, 0]
    assert envelope.min() >= 0
    assert envelope[2500] == pytest.approx(10 * 2 / np.pi, rel=0.02)
    assert envelope[-1] == pytest.approx(100 * 2 / np.pi, rel=0.02)
    assert np.max(np.abs(sosfiltfilt(lowpass(2000.0, 6.0), np.abs(signal[:, 0]))[500:2400] - envelope[500:2400])) < 1.0
