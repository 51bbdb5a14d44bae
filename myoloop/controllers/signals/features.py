"""Numbers that describe a stretch of EMG.

Definitions follow the field's: ARV = mean abs(x), RMS = sqrt(mean x²), MNF = Σ f P / Σ P, MDF: half of the power on
either side, interpolated inside its bin (else it would move in steps of the bin width). P is the power spectral
density, not the amplitude spectrum.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.filters import USABLE_SHARE

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Below this a spectrum of surface EMG is cut off and its shift says nothing of the muscle.
SPECTRAL_RATE_MIN_HZ = 1000.0
SPECTRAL_BAND_HZ = (10.0, 500.0)


class Spectrum:
    """Power spectra of stretches of one length.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    samples
        Length of a stretch.
    band_hz
        Band that counts; its upper end is lowered to 0.45 of the rate where that is less.
    hann
        Whether a Hann window is applied (else none).
    """

    def __init__(
        self,
        rate_hz: float,
        samples: int,
        band_hz: tuple[float, float] = SPECTRAL_BAND_HZ,
        *,
        hann: bool = True,
    ) -> None:
        # Periodic Hann, as scipy.signal.welch uses.
        phase = 2 * np.pi * np.arange(samples) / samples
        window = 0.5 - 0.5 * np.cos(phase) if hann else np.ones(samples)
        self._window: Floats = window[:, None]
        self._scale = 2.0 / (rate_hz * float(np.sum(window**2)))
        frequencies = np.fft.rfftfreq(samples, 1 / rate_hz)
        top = min(band_hz[1], USABLE_SHARE * rate_hz)
        inside = np.flatnonzero((frequencies >= band_hz[0]) & (frequencies <= top))
        if inside.size < 2:
            raise ValueError(f"{samples} samples at {rate_hz} samples/s resolve nothing in {band_hz} Hz")
        self._inside = slice(int(inside[0]), int(inside[-1]) + 1)
        self.frequencies_hz: Floats = np.asarray(frequencies[self._inside], dtype=np.float64)

    def density(self, stretch: Floats) -> Floats:
        """One-sided power density (n_frequencies, n_channels) of (samples, n_channels), mean removed, per Hz."""
        centred = (stretch - stretch.mean(axis=0)) * self._window
        lines = np.fft.rfft(centred, axis=0)[self._inside]
        power: Floats = (lines.real**2 + lines.imag**2) * self._scale
        return power


def mean_frequency_hz(frequencies_hz: Floats, density: Floats) -> Floats:
    """MNF of each column of `density` (n_frequencies, n_channels); NaN where there is no power."""
    total = density.sum(axis=0)
    weighted = (frequencies_hz[:, None] * density).sum(axis=0)
    mean: Floats = np.divide(weighted, total, out=np.full_like(total, np.nan), where=total > 0)
    return mean


def median_frequency_hz(frequencies_hz: Floats, density: Floats) -> Floats:
    """MDF of each column of `density` (n_frequencies, n_channels), interpolated; NaN where there is no power.

    A bin reaches half its width to either side of its frequency.
    """
    width = frequencies_hz[1] - frequencies_hz[0]
    cumulative = np.cumsum(density, axis=0)
    total = cumulative[-1]
    half = 0.5 * total
    bins = np.minimum((cumulative < half).sum(axis=0), len(frequencies_hz) - 1)
    columns = np.arange(density.shape[1])
    here = density[bins, columns]
    before = cumulative[bins, columns] - here
    inside = np.divide(half - before, here, out=np.full_like(half, np.nan), where=here > 0)
    return np.where(total > 0, frequencies_hz[bins] + (inside - 0.5) * width, np.nan)


def rms(samples: Floats, valid: Mask | None = None) -> Floats:
    """Root mean square of each column over its valid samples; NaN where there is none."""
    return np.sqrt(_mean(samples * samples, valid))


def arv(samples: Floats, valid: Mask | None = None) -> Floats:
    """Average rectified value of each column over its valid samples; NaN where there is none.

    Gaussian EMG has ARV / RMS = sqrt(2 / π); clipped EMG more, sparse EMG less.
    """
    return _mean(np.abs(samples), valid)


def zero_crossings_per_s(samples: Floats, rate_hz: float, valid: Mask | None = None) -> Floats:
    """Sign changes per second of each column, counted between neighbours that are both valid; NaN if there are none."""
    changed = (samples[1:] >= 0) != (samples[:-1] >= 0)
    pairs = None if valid is None else valid[1:] & valid[:-1]
    return rate_hz * _mean(changed.astype(np.float64), pairs)


def spectral_validity(rate_hz: float) -> str:
    """Why spectral fatigue cannot be judged at this rate; empty where it can."""
    if rate_hz >= SPECTRAL_RATE_MIN_HZ:
        return ""
    return f"{rate_hz:g} samples/s: spectral fatigue needs at least {SPECTRAL_RATE_MIN_HZ:g}"


def _mean(values: Floats, valid: Mask | None) -> Floats:
    if valid is None:
        valid = np.ones(values.shape, dtype=np.bool_)
    count = valid.sum(axis=0)
    total = np.where(valid, values, 0.0).sum(axis=0)
    mean: Floats = np.divide(total, count, out=np.full(values.shape[1], np.nan), where=count > 0)
    return mean
