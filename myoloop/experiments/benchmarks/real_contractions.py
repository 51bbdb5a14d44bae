"""Thirty fatiguing contractions of a real biceps, and what other code found in them.

The recording is `emg_fatigue_plux` (its SOURCE.md says where it is from). The values to be met were made with SciPy
alone (zero-phase 20-450 Hz, the middle 1.5 s of each contraction, Welch of half a second): not truth, which nobody
knows, but a reference that shares no code with ours (``tests/data/real_fatigue_golden.json``).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfiltfilt

from myoloop.controllers.signals.features import (
    Spectrum,
    log_dimitrov_index,
    mean_frequency_hz,
    median_frequency_hz,
    rms,
    zero_crossings_per_s,
)
from myoloop.platform.messages import SampleDescriptor

Floats = npt.NDArray[np.float64]

RATE_HZ = 1000.0
LENGTH_S = 1.5
#: 12 bit over 3 V at a gain of 1000 (SOURCE.md of the recording).
DESCRIPTOR = SampleDescriptor(
    topic="emg/plux", rate_hz=RATE_HZ, dtype="<i2", channels=("biceps",), units=("V",), scale=(3e-3 / 4096,),
    offset=(-1.5e-3,),
)  # fmt: skip
#: Middle of each contraction.
MIDDLE_S = (
    2.701, 7.08, 11.213, 15.187, 19.287, 23.118, 27.066, 31.264, 35.212, 39.058,
    42.824, 46.978, 50.879, 54.905, 59.104, 62.933, 67.313, 71.175, 75.185, 79.114,
    82.901, 86.827, 90.845, 94.954, 98.901, 102.988, 107.156, 110.957, 115.125, 119.529,
)  # fmt: skip
#: Of the first and the last contraction.
MNF_HZ = (89.9222840580294, 62.35701270366118)
#: Theil-Sen slopes, per second: Hz, Hz, mV, crossings per second, and of the logarithm.
SLOPE_PER_S = {
    "mnf": -0.15532771713541776,
    "mdf": -0.11383719323430248,
    "rms": 0.0015850382626914753,
    "zc": -0.3231539828728386,
    "ln_FInsm5": 0.009500044304455777,
}
KENDALL_TAU_MNF = -0.7471264367816092
MNF_PCT_PER_MIN = -10.932564972944734


def counts(place: Path) -> npt.NDArray[np.int16]:
    """The record (n, 1), in counts of its converter."""
    import h5py

    with h5py.File(place / "emg_fatigue.h5") as file:
        (device,) = file.values()
        raw: npt.NDArray[np.int16] = np.asarray(device["raw"]["channel_2"]).reshape(-1, 1).astype("<i2")
    return raw


def features(raw: npt.NDArray[np.int16]) -> tuple[Floats, dict[str, Floats]]:
    """Middle of each contraction in seconds, and its features by our own code, as :data:`SLOPE_PER_S` names them."""
    millivolts = (raw / 4096 - 0.5) * 3.0
    emg = sosfiltfilt(butter(4, (20.0, 450.0), btype="bandpass", fs=RATE_HZ, output="sos"), millivolts, axis=0)
    spectrum = Spectrum(RATE_HZ, 500)
    rows = [stretch(emg, t, LENGTH_S, RATE_HZ, spectrum) for t in MIDDLE_S]
    return np.array(MIDDLE_S), {name: np.array([row[name] for row in rows]) for name in rows[0]}


def stretch(emg: Floats, middle_s: float, length_s: float, rate_hz: float, spectrum: Spectrum) -> dict[str, float]:
    """Features of the middle of a contraction; spectra overlap by half."""
    begin, n = round((middle_s - 0.5 * length_s) * rate_hz), round(length_s * rate_hz)
    part = emg[begin : begin + n]
    size = spectrum.samples
    rows = np.stack([part[at : at + size, 0] for at in range(0, n - size + 1, size // 2)])
    density = spectrum.densities(rows).mean(axis=0)[:, None]
    lines = spectrum.frequencies_hz
    return {
        "mnf": float(mean_frequency_hz(lines, density)[0]),
        "mdf": float(median_frequency_hz(lines, density)[0]),
        "rms": float(rms(part)[0]),
        "zc": float(zero_crossings_per_s(part, rate_hz)[0]),
        "ln_FInsm5": float(log_dimitrov_index(lines, density)[0]),
    }
