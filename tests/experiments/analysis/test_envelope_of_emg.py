"""The EMG envelope for looking at."""

from __future__ import annotations

import numpy as np
import pytest

from myoloop.experiments.analysis.envelope import emg_envelope
from myoloop.experiments.analysis.tracks import SampleTrack
from myoloop.platform.messages import SampleDescriptor
from myoloop.platform.recording.samples import SampleRecord

RATE_HZ = 2000.0


def track(values_uv: np.ndarray, invalid: np.ndarray | None = None) -> SampleTrack:
    descriptor = SampleDescriptor(
        topic="emg/a", rate_hz=RATE_HZ, dtype="<f4", channels=("m",), units=("V",), scale=(1e-6,), offset=(0.0,)
    )
    n = len(values_uv)
    one = np.zeros(1, np.int64)
    record = SampleRecord(
        descriptor, values_uv.astype("<f4")[:, None], np.zeros((n, 1), bool) if invalid is None else invalid[:, None],
        one, one, one, np.zeros(1), one, one, one, ("a",), (),
    )  # fmt: skip
    return SampleTrack(record, np.arange(n) / RATE_HZ)


def sine(f_hz: float, amplitude_uv: float = 100.0, seconds: float = 4.0) -> np.ndarray:
    return amplitude_uv * np.sin(2 * np.pi * f_hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)


@pytest.mark.parametrize(("f_hz", "share"), [(100.0, 1.0), (20.0, 0.5), (450.0, 0.5), (2.0, 0.0), (900.0, 0.004)])
def test_the_band_passes_and_stops_what_it_says(f_hz, share):
    t_s, rms_uv = emg_envelope(track(sine(f_hz)), "m", np.empty(0))
    inner = rms_uv[(t_s > 1.0) & (t_s < 3.0)]
    # A sine's RMS is its amplitude over sqrt 2; at a corner two passes leave a half.
    assert np.median(inner) == pytest.approx(share * 100.0 / np.sqrt(2), rel=0.02, abs=0.3)


def test_pulses_are_left_out():
    clean = sine(100.0)
    stimulated, pulses_s = clean.copy(), np.arange(1.0, 3.0, 0.1)
    for pulse_s in pulses_s:
        at = round(pulse_s * RATE_HZ)
        stimulated[at : at + 20] += 5000.0
    t_s, rms_uv = emg_envelope(track(stimulated), "m", pulses_s)
    inner = (t_s > 1.2) & (t_s < 2.8)
    assert np.nanmax(np.abs(rms_uv[inner] - 100.0 / np.sqrt(2))) < 15.0
    _, blind = emg_envelope(track(stimulated), "m", np.empty(0))
    assert np.median(blind[inner]) > 500.0, "without knowing of the pulses it is the artifact"


def test_where_pulses_leave_nothing_it_says_nothing():
    t_s, rms_uv = emg_envelope(track(sine(100.0)), "m", np.arange(1.0, 3.0, 0.01))
    assert np.isnan(rms_uv[(t_s > 1.2) & (t_s < 2.8)]).all()
    assert np.isfinite(rms_uv[t_s < 0.9]).all()


def test_invalid_samples_are_left_out():
    values, invalid = sine(100.0), np.zeros(8000, bool)
    values[4000:4100], invalid[4000:4100] = 30000.0, True
    _, rms_uv = emg_envelope(track(values, invalid), "m", np.empty(0))
    assert np.nanmax(rms_uv) < 110.0


def test_too_few_samples_make_no_envelope():
    t_s, rms_uv = emg_envelope(track(sine(100.0, seconds=0.1)), "m", np.empty(0))
    assert len(t_s) == len(rms_uv) == 0
