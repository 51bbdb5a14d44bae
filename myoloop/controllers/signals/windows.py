"""What was heard lately: samples with their validity, and mean squares over windows of whole hops.

A hop is the 10 ms in which the controller works. Windows are sums over hops, corrected for the share of samples in
them that was valid.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.snapshot import Restorable, StateError, freeze_array, thaw_array

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


class RecentSamples(Restorable):
    """The last `capacity` samples, always as one contiguous piece, without allocation.

    Parameters
    ----------
    capacity
        How many samples can be looked back on.
    channels
        Number of channels.
    """

    def __init__(self, capacity: int, channels: int) -> None:
        self._capacity = capacity
        self._samples: Floats = np.zeros((4 * capacity, channels))
        self._valid: Mask = np.zeros((4 * capacity, channels), dtype=np.bool_)
        self._end = capacity

    def add(self, samples: Floats, valid: Mask) -> None:
        """Append (n, channels) samples and which of them are valid; n is at most `capacity`."""
        n = len(samples)
        if n > self._capacity:
            raise ValueError(f"{n} samples at once, at most {self._capacity}")
        if self._end + n > len(self._samples):
            kept = slice(self._end - self._capacity, self._end)
            self._samples[: self._capacity] = self._samples[kept]
            self._valid[: self._capacity] = self._valid[kept]
            self._end = self._capacity
        self._samples[self._end : self._end + n] = samples
        self._valid[self._end : self._end + n] = valid
        self._end += n

    def state(self) -> dict[str, Any]:
        """The samples that can be looked back on: JSON-ready."""
        samples, valid = self.last(self._capacity)
        return {"samples": freeze_array(samples), "valid": freeze_array(valid)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not one of this capacity and number of channels.
        """
        if set(state) != {"samples", "valid"}:
            raise StateError("state of RecentSamples: not one")
        self._end = self._capacity
        for name, ring in (("samples", self._samples), ("valid", self._valid)):
            shape = (self._capacity, ring.shape[1])
            ring[: self._capacity] = thaw_array(state[name], f"RecentSamples.{name}", shape, ring.dtype)

    def last(self, n: int) -> tuple[Floats, Mask]:
        """Views of the newest `n` samples and their validity; what was never heard is zero and not valid."""
        if n > self._capacity:
            raise ValueError(f"{n} samples asked for, {self._capacity} kept")
        return self._samples[self._end - n : self._end], self._valid[self._end - n : self._end]


class HopPower(Restorable):
    """Sums of squares and counts of valid samples, hop by hop, for windows of up to `hops` hops.

    Parameters
    ----------
    hops
        Longest window.
    channels
        Number of channels.
    hop_samples
        Samples in a hop.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_squares", "_counts", "_at")

    def __init__(self, hops: int, channels: int, hop_samples: int) -> None:
        self._hops = hops
        self._hop_samples = hop_samples
        # Each hop is written twice, half the ring apart, so that every window is one contiguous piece.
        # Side by side, so that one sum over hops is taken of both.
        self._both: Floats = np.zeros((2 * hops, 2 * channels))
        self._squares: Floats = self._both[:, :channels]
        self._counts: Floats = self._both[:, channels:]
        self._channels = channels
        self._at = 0

    def add(self, squares: Floats | float, counts: Floats | float) -> None:
        """Append a hop: per channel the sum of squares over valid samples, and how many those were."""
        at = self._at = (self._at + 1) % self._hops
        self._squares[at] = squares
        self._counts[at] = counts
        self._both[at + self._hops] = self._both[at]

    def void(self, hops: int) -> None:
        """Take back the newest `hops` hops: nothing in them was valid."""
        for back in range(min(hops, self._hops)):
            at = (self._at - back) % self._hops
            self._both[at] = 0.0
            self._both[at + self._hops] = 0.0

    def mean_square(self, hops: int) -> tuple[Floats, Floats]:
        """Mean square over the valid samples of the newest `hops` hops, and their share; 0 and 0 where none is."""
        end = self._at + self._hops + 1
        both = self._both[end - 1] if hops == 1 else np.add.reduce(self._both[end - hops : end], axis=0)
        squares, counts = both[: self._channels], both[self._channels :]
        return squares / np.maximum(counts, 1.0), counts / (hops * self._hop_samples)

    def share(self, hops: int) -> Floats:
        """Share of the samples of the newest `hops` hops that count."""
        end = self._at + self._hops + 1
        counts: Floats = np.add.reduce(self._counts[end - hops : end], axis=0)
        return counts / (hops * self._hop_samples)
