"""Causal streaming filters: one matrix product per block.

A cascade of second-order sections is linear, so a block of n samples and the s state values before it determine the
n outputs and the s state values after it through one matrix of (n + s) x (n + s). It is computed once per block
length, by scipy's own `sosfilt` on the unit vectors; from then on a block costs one small product for all channels,
without the argument checks that cost more than the filtering itself.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, iirnotch, sosfilt, sosfilt_zi, tf2sos

from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]

#: Longer blocks are taken in pieces, so that the cache of matrices stays small (at most 64 of them).
LONGEST_PIECE = 64
BAND_LOW_HZ = 20.0
BAND_HIGH_HZ = 450.0
#: Share of the sampling rate above which an amplifier's own anti-alias filter is not to be trusted.
USABLE_SHARE = 0.45


class BlockFilter(Restorable):
    """A cascade of second-order sections over a stream of blocks; equal to ``scipy.signal.sosfilt`` with state.

    Parameters
    ----------
    sos
        (n_sections, 6) coefficients as scipy makes them.
    channels
        Number of channels, filtered alike.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_z",)

    def __init__(self, sos: Floats, channels: int) -> None:
        self._sos = np.ascontiguousarray(sos, dtype=np.float64)
        self._order = 2 * len(self._sos)
        self._channels = channels
        self._z: Floats = np.zeros((self._order, channels))
        self._steady: Floats = sosfilt_zi(self._sos).reshape(-1, 1)
        self._matrices: dict[int, tuple[Floats, Floats]] = {}

    def process(self, block: Floats) -> Floats:
        """Filter the next (n_samples, n_channels) of the stream; a new array."""
        n = len(block)
        if n <= LONGEST_PIECE:
            return self._piece(block, n)
        pieces = (block[i : i + LONGEST_PIECE] for i in range(0, n, LONGEST_PIECE))
        return np.concatenate([self._piece(piece, len(piece)) for piece in pieces])

    def settle(self, value: Floats) -> None:
        """Forget the past: go on as if the input had been `value` (n_channels,) for ever."""
        np.multiply(self._steady, value, out=self._z)

    def _piece(self, block: Floats, n: int) -> Floats:
        cached = self._matrices.get(n)
        if cached is None:
            cached = self._matrices[n] = self._response(n)
        matrix, work = cached
        work[:n] = block
        work[n:] = self._z
        after = matrix @ work
        self._z[:] = after[n:]
        return after[:n]

    def _response(self, n: int) -> tuple[Floats, Floats]:
        size = n + self._order
        inputs = np.zeros((n, size))
        inputs[:, :n] = np.eye(n)
        before = np.zeros((self._order, size))
        before[:, n:] = np.eye(self._order)
        outputs, after = sosfilt(self._sos, inputs, axis=0, zi=before.reshape(-1, 2, size))
        matrix = np.concatenate([outputs, after.reshape(self._order, size)])
        return matrix, np.empty((size, self._channels))


class Envelope(Restorable):
    """The linear envelope: rectified, then low-passed.

    Parameters
    ----------
    rate_hz, channels
        Of the band-passed signal it is given.
    cutoff_hz
        Second-order Butterworth corner.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_filter",)

    def __init__(self, rate_hz: float, channels: int, cutoff_hz: float = 6.0) -> None:
        self._filter = BlockFilter(lowpass(rate_hz, cutoff_hz), channels)

    def process(self, block: Floats) -> Floats:
        """Envelope of the next (n_samples, n_channels), in the input's unit; never below zero."""
        return np.maximum(self._filter.process(np.abs(block)), 0.0)


def bandpass(rate_hz: float, low_hz: float = BAND_LOW_HZ, high_hz: float | None = None) -> Floats:
    """Sections of a Butterworth band-pass of order 4; without `high_hz` up to 450 Hz or 0.45 of the rate, if less.

    Raises
    ------
    ValueError
        If the rate leaves no band, or none up to `high_hz`.
    """
    usable_hz = USABLE_SHARE * rate_hz
    high = min(BAND_HIGH_HZ, usable_hz) if high_hz is None else high_hz
    if not high <= usable_hz * (1.0 + 1e-9):
        raise ValueError(
            f"band is {low_hz:g} to {high:g} Hz at {rate_hz:g} samples/s, allowed is up to {usable_hz:g} Hz "
            f"({USABLE_SHARE:g} of the rate)"
        )
    if not 0 < low_hz < high:
        raise ValueError(f"no band from {low_hz} Hz to {high:.6g} Hz at {rate_hz} samples/s")
    sos: Floats = butter(4, (low_hz, high), btype="bandpass", fs=rate_hz, output="sos")
    return sos


def notch(rate_hz: float, mains_hz: float, harmonics: bool = False, quality: float = 30.0) -> Floats:
    """Sections that take out the mains frequency, and its multiples within the usable band if asked.

    Raises
    ------
    ValueError
        If the mains frequency is not within the usable band.
    """
    highest = USABLE_SHARE * rate_hz
    if not 0 < mains_hz < highest:
        raise ValueError(f"mains of {mains_hz} Hz is not within the usable {highest:.6g} Hz at {rate_hz} samples/s")
    last = int(min(highest, BAND_HIGH_HZ) // mains_hz) if harmonics else 1
    sections = [tf2sos(*iirnotch(k * mains_hz, quality * k, fs=rate_hz)) for k in range(1, last + 1)]
    return np.concatenate(sections)


def lowpass(rate_hz: float, cutoff_hz: float) -> Floats:
    """Sections of a Butterworth low-pass of order 2."""
    sos: Floats = butter(2, cutoff_hz, btype="lowpass", fs=rate_hz, output="sos")
    return sos


def highpass(rate_hz: float, cutoff_hz: float) -> Floats:
    """Sections of a Butterworth high-pass of order 2."""
    sos: Floats = butter(2, cutoff_hz, btype="highpass", fs=rate_hz, output="sos")
    return sos
