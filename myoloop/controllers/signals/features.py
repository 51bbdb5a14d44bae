"""Numbers that describe a stretch of EMG.

Definitions follow the field's: ARV = mean abs(x), RMS = sqrt(mean x²), M_k = Σ f^k P, MNF = M_1 / M_0, MDF: half of the
power on either side, interpolated inside its bin (else it would move in steps of the bin width), Dimitrov's index
FInsm_k = M_-1 / M_k. P is the power spectral density, not the amplitude spectrum. Spectral numbers mean nothing without
their band: it is that of the frequencies they are given (:class:`Spectrum` states it).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import scipy.fft

from myoloop.controllers.signals.filters import USABLE_SHARE

Array = npt.NDArray[np.floating]
Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Below this a spectrum of surface EMG is cut off and its shift says nothing of the muscle.
SPECTRAL_RATE_MIN_HZ = 1000.0
SPECTRAL_BAND_HZ = (10.0, 500.0)
#: Where less than this share of the power is left after the noise is taken off, nothing is told of its shape.
LEFT_MIN = 0.1
_BLOCK = 11


def spectral_band_hz(rate_hz: float, band_hz: tuple[float, float] | None = None) -> tuple[float, float]:
    """The band that counts.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    band_hz
        As the user sets it. None: 10 to 500 Hz, or to 0.45 of the rate where that is less.

    Raises
    ------
    ValueError
        If it is no band, or one that is set reaches above 0.45 of the rate, where the amplifier's own filter acts.
    """
    usable = USABLE_SHARE * rate_hz
    low, high = (SPECTRAL_BAND_HZ[0], min(SPECTRAL_BAND_HZ[1], usable)) if band_hz is None else band_hz
    if not (math.isfinite(low) and math.isfinite(high) and 0 < low < high):
        raise ValueError(f"band_hz is {low:g} to {high:g} Hz, allowed is 0 < low < high at {rate_hz:g} samples/s")
    if high > usable * (1 + 1e-9):
        raise ValueError(
            f"band_hz reaches {high:g} Hz, allowed is at most {usable:g} Hz (0.45 of {rate_hz:g} samples/s)"
        )
    return float(low), float(high)


class Spectrum:
    """Power spectra of stretches of one length.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    samples
        Length of a stretch.
    band_hz
        Band that counts; None as in :func:`spectral_band_hz`.
    hann
        Whether a Hann window is applied (else none).
    dtype
        float64, or float32: two thirds of the time, and within 2e-6 of the other's mean frequency.

    Raises
    ------
    ValueError
        If the band is not within the usable one, or the stretch shorter than one period of its lower end.
    """

    def __init__(
        self,
        rate_hz: float,
        samples: int,
        band_hz: tuple[float, float] | None = None,
        *,
        hann: bool = True,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        self.band_hz = low, high = spectral_band_hz(rate_hz, band_hz)
        shortest = math.ceil(rate_hz / low)
        if samples < shortest:
            raise ValueError(
                f"a window of {samples} samples is too short for a band from {low:g} Hz: at least {shortest} "
                f"at {rate_hz:g} samples/s"
            )
        # Periodic Hann, as scipy.signal.welch uses.
        phase = 2 * np.pi * np.arange(samples) / samples
        window = 0.5 - 0.5 * np.cos(phase) if hann else np.ones(samples)
        self._window: Array = window.astype(dtype)
        self._scale = 2.0 / (rate_hz * float(np.sum(window**2)))
        frequencies = np.fft.rfftfreq(samples, 1 / rate_hz)
        inside = np.flatnonzero((frequencies >= low) & (frequencies <= high * (1 + 1e-9)))
        if inside.size < 2:
            raise ValueError(
                f"a window of {samples} samples at {rate_hz:g} samples/s has {inside.size} lines within {low:g} to "
                f"{high:g} Hz, at least 2 are needed"
            )
        self._inside = slice(int(inside[0]), int(inside[-1]) + 1)
        self.samples = samples
        self.frequencies_hz: Floats = np.asarray(frequencies[self._inside], dtype=np.float64)

    def density(self, stretch: Array) -> Array:
        """One-sided power density (n_frequencies, n_channels) of (samples, n_channels), mean removed, per Hz."""
        return self.densities(np.ascontiguousarray(stretch.T)).T

    def densities(self, windows: Array) -> Array:
        """The same of many windows as rows: (n, n_frequencies) of (n, samples)."""
        centred: Array = windows - np.add.reduce(windows, axis=1, keepdims=True) / windows.shape[1]
        centred *= self._window
        lines = scipy.fft.rfft(centred, axis=1, overwrite_x=True)[:, self._inside]
        power: Array = lines.real**2
        power += lines.imag**2
        power *= self._scale
        return power


def mean_frequency_hz(frequencies_hz: Floats, density: Array, axis: int = 0) -> Array:
    """MNF along `axis` of `density`; NaN where there is no power."""
    density = np.moveaxis(density, axis, -1)
    weighted: Array = np.einsum("...j,j->...", density, frequencies_hz.astype(density.dtype, copy=False))
    return _ratio(weighted, np.add.reduce(density, axis=-1))


def median_frequency_hz(frequencies_hz: Floats, density: Array, axis: int = 0) -> Array:
    """MDF along `axis` of `density`, interpolated; NaN where there is no power.

    A bin reaches half its width to either side of its frequency.
    """
    density = np.moveaxis(density, axis, -1)
    count, width = len(frequencies_hz), frequencies_hz[1] - frequencies_hz[0]
    # Blocks of lines first, then the lines of one block: of many windows a third of the time.
    sums = np.add.reduceat(density, np.arange(0, count, _BLOCK), axis=-1)
    running = np.cumsum(sums, axis=-1)
    total = running[..., -1]
    half = 0.5 * total
    block = np.minimum((running < half[..., None]).sum(axis=-1), sums.shape[-1] - 1)
    within = block[..., None] * _BLOCK + np.arange(_BLOCK)
    here = np.where(within < count, np.take_along_axis(density, np.minimum(within, count - 1), axis=-1), 0)
    reached = np.cumsum(here, axis=-1) + (_pick(running, block) - _pick(sums, block))[..., None]
    line = np.minimum((reached < half[..., None]).sum(axis=-1), np.minimum(_BLOCK, count - block * _BLOCK) - 1)
    power = _pick(here, line)
    inside = _ratio(half - (_pick(reached, line) - power), power)
    found: Array = np.where(total > 0, frequencies_hz[block * _BLOCK + line] + (inside - 0.5) * width, np.nan)
    return found


def spectral_moment(frequencies_hz: Floats, density: Array, order: int, axis: int = 0) -> Array:
    """M_k = Σ f^k P along `axis`, times the width of a bin: the integral over the band, in f Hz."""
    density = np.moveaxis(density, axis, -1)
    width = float(frequencies_hz[1] - frequencies_hz[0])
    # f^5 of 500 Hz times a density of EMG in V²/Hz leaves the range of float32.
    moment: Array = np.add.reduce(density.astype(np.float64, copy=False) * frequencies_hz**order, axis=-1) * width
    return moment


def log_dimitrov_index(frequencies_hz: Floats, density: Array, order: int = 5, axis: int = 0) -> Array:
    """Dimitrov's index, ln FInsm_k = ln(M_-1 / M_k) along `axis`, k from 2 to 5; NaN where there is no power.

    After Dimitrov et al. (2006). The logarithm, because the index moves by factors. It weighs what lies at the upper
    end of the band by f^5: state the band, and take the noise off first (:func:`subtract_noise`).

    Raises
    ------
    ValueError
        If the order is not one of them.
    """
    if order not in (2, 3, 4, 5):
        raise ValueError(f"order of Dimitrov's index is {order}, allowed are 2, 3, 4 and 5")
    low, high = (spectral_moment(frequencies_hz, density, k, axis) for k in (-1, order))
    ratio = _ratio(low, high)
    found: Array = np.log(ratio, out=np.full_like(ratio, np.nan), where=ratio > 0)
    return found


def subtract_noise(density: Array, noise: Array, axis: int = 0) -> Array:
    """A power density less that of rest, which is not correlated with it.

    No line falls below zero: of a single window, whose lines scatter by 100 %, that leaves a little of the noise (MNF
    1.8 instead of 5.7 % too high at 10 dB and half a second); of the average over a contraction nothing (below 0.6 %).
    Where less than a tenth of the power is left, the whole spectrum is NaN, and so is everything told of it.

    Parameters
    ----------
    density, noise
        On the same lines, which lie along `axis`; `noise` may be one for all.

    Raises
    ------
    ValueError
        If the lines are not as many.
    """
    if density.shape[axis] != noise.shape[axis if noise.ndim > 1 else 0]:
        raise ValueError(
            f"the density has {density.shape[axis]} lines and the noise {noise.shape[axis if noise.ndim > 1 else 0]}: "
            "both must be of windows of one length, rate and band"
        )
    left: Array = np.maximum(density - noise, 0).astype(density.dtype, copy=False)
    enough = left.sum(axis=axis, keepdims=True) >= LEFT_MIN * density.sum(axis=axis, keepdims=True)
    return np.where(enough, left, np.nan)


def rms(samples: Array, valid: Mask | None = None, axis: int = 0) -> Array:
    """Root mean square along `axis` over the valid samples; NaN where there is none."""
    rows = np.moveaxis(samples if valid is None else np.where(valid, samples, 0), axis, -1)
    squares: Array = np.einsum("...j,...j->...", rows, rows)
    mean = squares / rows.shape[-1] if valid is None else _ratio(squares, valid.sum(axis=axis).astype(squares.dtype))
    root: Array = np.sqrt(mean)
    return root


def arv(samples: Array, valid: Mask | None = None, axis: int = 0) -> Array:
    """Average rectified value along `axis` over the valid samples; NaN where there is none.

    Gaussian EMG has ARV / RMS = sqrt(2 / π); clipped EMG more, sparse EMG less.
    """
    return _mean(np.abs(samples), valid, axis)


def zero_crossings_per_s(samples: Array, rate_hz: float, valid: Mask | None = None, axis: int = 0) -> Array:
    """Sign changes per second along `axis`, counted between neighbours that are both valid; NaN if there are none.

    Of Gaussian EMG that is rate / π · arccos ρ(1); Rice's 2 sqrt(M_2 / M_0) is for continuous time (5 % more at 2 kHz).
    """
    samples = np.moveaxis(samples, axis, -1)
    changed = (samples[..., 1:] >= 0) != (samples[..., :-1] >= 0)
    pairs = None
    if valid is not None:
        valid = np.moveaxis(valid, axis, -1)
        pairs = valid[..., 1:] & valid[..., :-1]
    return rate_hz * _mean(changed.astype(np.float64), pairs, -1)


def tkeo(samples: Array, axis: int = 0) -> Array:
    """Teager–Kaiser energy x[n]² - x[n-1] x[n+1], two samples shorter; A² sin²Ω of a cosine.

    It weighs by the square of the frequency, noise too: low-pass at 300 Hz before it.
    """
    samples = np.moveaxis(samples, axis, -1)
    energy = samples[..., 1:-1] ** 2 - samples[..., 2:] * samples[..., :-2]
    return np.moveaxis(energy, -1, axis)


def spectral_validity(rate_hz: float) -> str:
    """Why spectral fatigue cannot be judged at this rate; empty where it can."""
    if rate_hz >= SPECTRAL_RATE_MIN_HZ:
        return ""
    return f"{rate_hz:g} samples/s: spectral fatigue needs at least {SPECTRAL_RATE_MIN_HZ:g}"


def _mean(values: Array, valid: Mask | None, axis: int) -> Array:
    if valid is None:
        mean: Array = np.add.reduce(values, axis=axis) / values.shape[axis]
        return mean
    count = valid.sum(axis=axis)
    return _ratio(np.where(valid, values, 0).sum(axis=axis), count.astype(values.dtype))


def _ratio(above: Array, below: Array) -> Array:
    ratio: Array = np.divide(above, below, out=np.full_like(below, np.nan), where=below > 0)
    return ratio


def _pick(rows: Array, at: npt.NDArray[np.intp]) -> Array:
    picked: Array = np.take_along_axis(rows, at[..., None], axis=-1)[..., 0]
    return picked
