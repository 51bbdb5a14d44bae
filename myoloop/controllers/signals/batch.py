"""Features of overlapping windows: of a whole record at once, or of a stream window by window, by the same code.

Both hand windows as rows of samples to the same methods, in which every row is worked on by itself in the same order
of additions: a stream gives the same bits as the record, in float64 and in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.features import (
    Array,
    Floats,
    Mask,
    Spectrum,
    arv,
    log_dimitrov_index,
    mean_frequency_hz,
    median_frequency_hz,
    rms,
    subtract_noise,
    zero_crossings_per_s,
)
from myoloop.controllers.signals.snapshot import Restorable

AMPLITUDE = ("rms", "arv", "zero_crossings_per_s")
SPECTRAL = ("mean_frequency_hz", "median_frequency_hz", "ln_finsm5")
USUAL = ("rms", "mean_frequency_hz", "median_frequency_hz")
#: A window with more samples that are not valid has no spectrum.
INVALID_SHARE_MAX = 0.1
#: ln FInsm5 weighs by f^5: above this band it tells the noise, unless that is taken off.
INDEX_BAND_TOP_HZ = 400.0
_ROWS = 512


class WindowFeatures:
    """Which features, of which windows.

    Parameters
    ----------
    rate_hz
        Sampling rate.
    window, step
        Samples in a window, and from one window to the next.
    features
        Of ``rms``, ``arv`` (unit of the samples), ``zero_crossings_per_s``, ``mean_frequency_hz``,
        ``median_frequency_hz`` and ``ln_finsm5``.
    band_hz
        Band of the spectral ones; None: 10 to 500 Hz, or to 0.45 of the rate where that is less.
    noise
        (n_frequencies, n_channels) power density at rest on the lines `frequencies_hz`, as :meth:`rest` gives it;
        taken off each spectrum.
    hann
        Whether a Hann window is applied before the spectrum.
    dtype
        float64 or float32.

    Raises
    ------
    ValueError
        If a feature is unknown, the step not within a window, the band not within the usable one, the window too short
        for it, or ln FInsm5 asked for up to the band's noise without `noise`.
    """

    def __init__(
        self,
        rate_hz: float,
        window: int,
        step: int,
        *,
        features: Sequence[str] = USUAL,
        band_hz: tuple[float, float] | None = None,
        noise: Floats | None = None,
        hann: bool = True,
        dtype: npt.DTypeLike = np.float64,
    ) -> None:
        unknown = [name for name in features if name not in AMPLITUDE + SPECTRAL]
        if unknown or not features:
            raise ValueError(f"features: unknown {unknown}, allowed are {', '.join(AMPLITUDE + SPECTRAL)}")
        if not 1 <= step <= window:
            raise ValueError(f"step is {step} samples, allowed is 1 to the window's {window}")
        self.dtype = np.dtype(dtype)
        if self.dtype not in (np.dtype(np.float32), np.dtype(np.float64)):
            raise ValueError(f"dtype is {self.dtype}, allowed are float32 and float64")
        self.rate_hz, self.window, self.step = rate_hz, window, step
        self._hann = hann
        self.names = tuple(features)
        self._spectrum = Spectrum(rate_hz, window, band_hz, hann=hann, dtype=self.dtype)
        self.band_hz, self.frequencies_hz = self._spectrum.band_hz, self._spectrum.frequencies_hz
        if "ln_finsm5" in self.names and noise is None and self.band_hz[1] > INDEX_BAND_TOP_HZ:
            raise ValueError(
                f"ln_finsm5 in a band up to {self.band_hz[1]:g} Hz tells the noise: give the density at rest as noise, "
                f"or a band up to {INDEX_BAND_TOP_HZ:g} Hz at most"
            )
        self._noise = None if noise is None else np.ascontiguousarray(np.asarray(noise).T, dtype=self.dtype)
        if self._noise is not None and (self._noise.ndim != 2 or self._noise.shape[1] != len(self.frequencies_hz)):
            raise ValueError(
                f"noise has the shape {self._noise.T.shape}, it must be ({len(self.frequencies_hz)} lines, n_channels)"
            )

    def record(self, samples: Array, valid: Mask | None = None) -> dict[str, Array]:
        """Features of all windows of a record.

        Parameters
        ----------
        samples
            (n, n_channels); what is not finite is not valid.
        valid
            Which samples may be used; None: all.

        Returns
        -------
        dict
            (n_windows, n_channels) of each feature, the windows in order, the first from the first sample. NaN where a
            window has no valid sample, and the spectral ones where more than a tenth is not valid; fewer are taken for
            the mean of the others.
        """
        channels = samples.shape[1]
        self.check(channels)
        count = max(0, (len(samples) - self.window) // self.step + 1)
        found = {name: np.empty((count, channels), dtype=self.dtype) for name in self.names}
        for channel in range(channels):
            column = np.ascontiguousarray(samples[:, channel], dtype=self.dtype)
            usable = None if valid is None else np.ascontiguousarray(valid[:, channel])
            if not np.isfinite(np.add.reduce(column)):
                finite = np.isfinite(column)
                usable = finite if usable is None else usable & finite
            for first in range(0, count, _ROWS):
                last = min(first + _ROWS, count)
                part = slice(first * self.step, (last - 1) * self.step + self.window)
                rows = self._cut(column[part])
                told = self._rows(
                    rows,
                    None if usable is None else self._cut(usable[part]),
                    None if self._noise is None else self._noise[channel : channel + 1],
                )
                for name, values in told.items():
                    found[name][first:last, channel] = values
        return found

    def rest(self, samples: Array) -> Floats:
        """Mean power density (n_frequencies, n_channels) over all windows of a record of rest: the `noise` of others.

        Raises
        ------
        ValueError
            If it is shorter than a window, or not finite.
        """
        if len(samples) < self.window or not np.isfinite(samples).all():
            raise ValueError(f"rest must be finite and at least one window ({self.window} samples) long")
        columns = [self._cut(np.ascontiguousarray(column, dtype=np.float64)) for column in samples.T]
        spectrum = Spectrum(self.rate_hz, self.window, self.band_hz, hann=self._hann)
        return np.stack([spectrum.densities(rows).mean(axis=0) for rows in columns], axis=1)

    def of_channels(self, rows: Array, valid: Mask | None) -> dict[str, Array]:
        """Features (n_channels,) of one window of each channel, (n_channels, window) in this dtype."""
        if not np.isfinite(np.add.reduce(rows, axis=None)):
            finite = np.isfinite(rows)
            valid = finite if valid is None else valid & finite
        return self._rows(rows, valid, self._noise)

    def _rows(self, rows: Array, valid: Mask | None, noise: Array | None) -> dict[str, Array]:
        """Features (n,) of windows (n, window), finite where valid; `noise` is (1 or n, n_frequencies)."""
        spectral = any(name in SPECTRAL for name in self.names)
        if valid is not None:
            rows = np.where(valid, rows, 0)
        told: dict[str, Array] = {}
        density = self._densities(rows, valid, noise) if spectral else rows
        if spectral and valid is not None:
            density[valid.mean(axis=1) < 1.0 - INVALID_SHARE_MAX] = np.nan
        for name in self.names:
            values = self._shape(name, density) if name in SPECTRAL else self._size(name, rows, valid)
            told[name] = values.astype(self.dtype, copy=False)
        return told

    def _size(self, name: str, rows: Array, valid: Mask | None) -> Array:
        if name == "rms":
            return rms(rows, valid, axis=1)
        if name == "arv":
            return arv(rows, valid, axis=1)
        return zero_crossings_per_s(rows, self.rate_hz, valid, axis=1)

    def _shape(self, name: str, density: Array) -> Array:
        if name == "mean_frequency_hz":
            return mean_frequency_hz(self.frequencies_hz, density, axis=1)
        if name == "median_frequency_hz":
            return median_frequency_hz(self.frequencies_hz, density, axis=1)
        return log_dimitrov_index(self.frequencies_hz, density, axis=1)

    def _densities(self, rows: Array, valid: Mask | None, noise: Array | None) -> Array:
        if valid is not None:
            count = np.maximum(valid.sum(axis=1, keepdims=True), 1)
            rows = np.where(valid, rows, (rows.sum(axis=1, keepdims=True) / count).astype(self.dtype))
        density = self._spectrum.densities(rows)
        return density if noise is None else subtract_noise(density, noise, axis=1)

    def _cut(self, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        windows = np.lib.stride_tricks.sliding_window_view(column, self.window)[:: self.step]
        return np.ascontiguousarray(windows)

    def check(self, channels: int) -> None:
        """Refuse samples of another number of channels than the noise has."""
        if self._noise is not None and len(self._noise) != channels:
            raise ValueError(f"noise is of {len(self._noise)} channels, the samples have {channels}")


class FeatureStream(Restorable):
    """The same features while the samples come.

    Parameters
    ----------
    features
        Which, of which windows.
    channels
        Number of channels.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_samples", "_valid", "_missing")

    def __init__(self, features: WindowFeatures, channels: int) -> None:
        features.check(channels)
        self._features = features
        self._samples: Array = np.zeros((channels, features.window), dtype=features.dtype)
        self._valid: Mask = np.ones((channels, features.window), dtype=np.bool_)
        #: Samples until the next window is whole.
        self._missing = features.window

    def add(self, samples: Array, valid: Mask | None = None) -> list[Mapping[str, Array]]:
        """Take in the next (n, n_channels); features (n_channels,) of each window that became whole, in order."""
        found: list[Mapping[str, Array]] = []
        at, n = 0, len(samples)
        while at < n:
            upto = min(n, at + self._missing)
            self._push(samples[at:upto], None if valid is None else valid[at:upto])
            self._missing -= upto - at
            at = upto
            if self._missing == 0:
                usable = None if self._valid.all() else self._valid
                found.append(self._features.of_channels(self._samples, usable))
                self._missing = self._features.step
        return found

    def _push(self, samples: Array, valid: Mask | None) -> None:
        n = len(samples)
        self._samples[:, :-n] = self._samples[:, n:]
        self._samples[:, -n:] = samples.T
        self._valid[:, :-n] = self._valid[:, n:]
        self._valid[:, -n:] = True if valid is None else valid.T
