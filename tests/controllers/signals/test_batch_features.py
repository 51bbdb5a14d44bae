"""Features of windows: of a record and of a stream, in both precisions."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.signals.batch import AMPLITUDE, SPECTRAL, FeatureStream, WindowFeatures
from myoloop.controllers.signals.features import Spectrum, mean_frequency_hz, median_frequency_hz, rms

ALL = AMPLITUDE + SPECTRAL


def _emg(n: int, channels: int = 3, seed: int = 1) -> np.ndarray:
    white = np.random.default_rng(seed).standard_normal((n + 4, channels))
    return (white[4:] + white[3:-1] + white[2:-2] + white[1:-3]) * [1.0, 5.0, 0.01][:channels]


def _streamed(features: WindowFeatures, signal: np.ndarray, cuts: list[int], **more: Any) -> dict[str, np.ndarray]:
    stream = FeatureStream(features, signal.shape[1])
    told = []
    for first, last in zip([0, *cuts], [*cuts, len(signal)], strict=True):
        valid = None if "valid" not in more else more["valid"][first:last]
        told += stream.add(signal[first:last], valid)
    return {name: np.array([each[name] for each in told]) for name in features.names}


@settings(deadline=None, max_examples=25)
@given(st.lists(st.integers(0, 3000), max_size=12), st.sampled_from([np.float32, np.float64]), st.booleans())
def test_a_stream_gives_the_bits_of_the_record_however_it_is_cut(cuts: list[int], dtype: Any, subtract: bool) -> None:
    signal = _emg(3000).astype(dtype)
    plain = WindowFeatures(2000.0, 500, 130, features=ALL, band_hz=(10.0, 400.0))
    noise = plain.rest(0.2 * _emg(4000, seed=2)) if subtract else None
    features = WindowFeatures(2000.0, 500, 130, features=ALL, band_hz=(10.0, 400.0), noise=noise, dtype=dtype)
    record = features.record(signal)
    stream = _streamed(features, signal, sorted(cuts))
    for name in ALL:
        assert record[name].dtype == dtype
        assert record[name].shape == (20, 3)
        assert np.isfinite(record[name]).all()
        np.testing.assert_array_equal(record[name], stream[name])


def test_single_precision_is_within_two_millionths_of_double() -> None:
    signal = _emg(60_000)
    double = WindowFeatures(2000.0, 500, 100).record(signal)
    single = WindowFeatures(2000.0, 500, 100, dtype=np.float32).record(signal.astype(np.float32))
    for name in ("rms", "mean_frequency_hz"):
        np.testing.assert_allclose(single[name], double[name], rtol=2e-6)
    # Where half of the power lies just at a bin's edge, rounding moves it by less than a bin, and seldom.
    apart = np.abs(single["median_frequency_hz"] / double["median_frequency_hz"] - 1)
    assert np.quantile(apart, 0.99) < 1e-5
    assert apart.max() < 1e-3


def test_each_window_has_the_features_of_its_stretch() -> None:
    signal = _emg(2000)
    told = WindowFeatures(2000.0, 500, 250).record(signal)
    spectrum = Spectrum(2000.0, 500)
    for window in range(7):
        stretch = signal[250 * window : 250 * window + 500]
        density = spectrum.density(stretch)
        assert told["rms"][window] == pytest.approx(rms(stretch), rel=1e-12)
        assert told["mean_frequency_hz"][window] == pytest.approx(
            mean_frequency_hz(spectrum.frequencies_hz, density), rel=1e-12
        )
        assert told["median_frequency_hz"][window] == pytest.approx(
            median_frequency_hz(spectrum.frequencies_hz, density), rel=1e-12
        )


def test_a_record_shorter_than_a_window_has_none() -> None:
    assert WindowFeatures(2000.0, 500, 100).record(_emg(499))["rms"].shape == (0, 3)


def test_what_is_not_valid_is_left_out_and_a_window_with_much_of_it_has_no_spectrum() -> None:
    signal = _emg(1500)
    bad = signal.copy()
    bad[100:110, 0] = np.nan
    bad[700:790, 1] = np.inf
    valid = np.ones(bad.shape, dtype=bool)
    valid[1000:, 2] = False
    features = WindowFeatures(2000.0, 500, 500, features=ALL, band_hz=(10.0, 400.0))
    clean, told = features.record(signal), features.record(bad, valid)
    stream = _streamed(features, bad, [333, 1100], valid=valid)
    for name in ALL:
        np.testing.assert_array_equal(told[name], stream[name])
    kept = np.delete(signal[:500, 0], slice(100, 110))
    assert told["rms"][0, 0] == pytest.approx(np.sqrt(np.mean(kept**2)))
    assert told["mean_frequency_hz"][0, 0] == pytest.approx(clean["mean_frequency_hz"][0, 0], rel=0.1)
    assert np.isfinite(told["rms"][1, 1])
    assert np.isnan([told[name][1, 1] for name in SPECTRAL]).all()
    assert np.isnan([told[name][2, 2] for name in ALL]).all()
    np.testing.assert_array_equal(told["rms"][:2, 2], clean["rms"][:2, 2])


def test_a_restored_stream_goes_on_bit_for_bit() -> None:
    signal = _emg(4000)
    features = WindowFeatures(2000.0, 500, 100)
    first, second = FeatureStream(features, 3), FeatureStream(features, 3)
    first.add(signal[:1234])
    second.restore(json.loads(json.dumps(first.state())))
    for ours, theirs in zip(first.add(signal[1234:]), second.add(signal[1234:]), strict=True):
        for name in features.names:
            np.testing.assert_array_equal(ours[name], theirs[name])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"features": ("rms", "mav")}, "unknown .*mav"),
        ({"step": 0}, "step is 0 samples, allowed is 1 to the window's 500"),
        ({"dtype": np.int16}, "dtype is int16"),
        ({"band_hz": (20.0, 950.0)}, "band_hz reaches 950 Hz, allowed is at most 900 Hz"),
        ({"window": 100}, "too short for a band from 10 Hz"),
        ({"features": ("ln_finsm5",)}, "tells the noise"),
        ({"noise": np.ones((7, 2))}, r"noise has the shape \(7, 2\)"),
    ],
)
def test_settings_are_refused_in_one_line(more: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as told:
        WindowFeatures(2000.0, **{"window": 500, "step": 100, **more})
    assert "\n" not in str(told.value)


def test_noise_of_another_number_of_channels_and_rest_too_short_are_refused() -> None:
    features = WindowFeatures(2000.0, 500, 100)
    with pytest.raises(ValueError, match="at least one window"):
        features.rest(_emg(400))
    loud = WindowFeatures(2000.0, 500, 100, noise=features.rest(_emg(2000)))
    with pytest.raises(ValueError, match="noise is of 3 channels, the samples have 2"):
        loud.record(_emg(2000, 2))
