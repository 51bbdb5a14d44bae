"""Where an amplifier saturates: its declared rails, or a plateau at the signal's own extreme; pure.

An amplifier whose rails nobody has written down shows them: the signal jumps to its extreme and stays there. Such a
plateau is learned as a rail, and forgotten again when a later sample goes beyond it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.platform.messages import SampleDescriptor

#: Samples that make a plateau; a natural peak of EMG is one or two samples wide at its tip.
PLATEAU_SAMPLES = 4
#: A plateau is this flat, relative to the range seen: saturated sigma-delta converters still ripple by almost 1 %.
FLATNESS = 0.01
#: The signal comes to a rail, or leaves it, with a jump; the tip of a slow wave is flat but has none.
JUMP = 0.1
#: Share of different values beside the plateau: a coarse, held or resting signal has plateaus by chance.
DISTINCT = 0.6
#: Samples before the block that are looked at too.
TAIL_SAMPLES = 16


class RailWatch:
    """Tells the samples at a rail, block by block.

    Parameters
    ----------
    descriptor
        Of the stream. Rails are learned for EMG only: at rest, a slow sensor has plateaus by its nature.
    """

    def __init__(self, descriptor: SampleDescriptor) -> None:
        channels = len(descriptor.channels)
        high = np.inf if descriptor.rail_high is None else descriptor.rail_high
        low = -np.inf if descriptor.rail_low is None else descriptor.rail_low
        self._learns = descriptor.topic.startswith("emg/")
        self._sides = (_Side(high, channels), _Side(-low, channels))

    def look(self, array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Mask of (n_samples, n_channels), True at or beyond a rail; NaN is at no rail."""
        upper, lower = self._sides
        if self._learns:
            top, bottom = array.max(axis=0), array.min(axis=0)
            if array.dtype.kind == "f":
                top, bottom = _finite(top), _finite(bottom)
            seen = upper.extreme + lower.extreme  # the range: the lower side is upside down
            upper.follow(array, top, seen, 1)
            lower.follow(array, -bottom.astype(np.float64), seen, -1)
        at_rail: npt.NDArray[np.bool_] = (array >= upper.limit) | (array <= -lower.limit)
        return at_rail


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.where(np.isfinite(values), values, np.nan)


class _Side:
    """One rail of every channel; the lower one is seen upside down (`sign` -1), so that both are upper ones."""

    def __init__(self, declared: float, channels: int) -> None:
        self._declared = declared
        self.limit = np.full(channels, float(declared))
        self.extreme = np.full(channels, -np.inf)
        self._beyond = np.full(channels, np.inf)
        self._tail: npt.NDArray[Any] | None = None

    def follow(self, array: npt.NDArray[Any], top: npt.NDArray[Any], seen: npt.NDArray[Any], sign: int) -> None:
        near = np.where(np.isfinite(seen), self.extreme - FLATNESS * np.maximum(seen, 0.0), -np.inf)
        close = top >= near
        if close.any():
            refuted = top > self._beyond
            self.limit[refuted] = self._declared
            self._beyond[refuted] = np.inf
            for channel in np.flatnonzero(close & (self._beyond == np.inf) & np.isfinite(seen)):
                before = array[:0, channel] if self._tail is None else self._tail[:, channel]
                column = sign * np.concatenate((before, array[:, channel])).astype(np.float64)
                self._learn(int(channel), column, float(seen[channel]))
            np.fmax(self.extreme, top, out=self.extreme)
        if len(array) >= TAIL_SAMPLES or self._tail is None:
            self._tail = array[-TAIL_SAMPLES:].copy()
        else:
            self._tail = np.concatenate((self._tail, array))[-TAIL_SAMPLES:]

    def _learn(self, channel: int, column: npt.NDArray[np.float64], seen: float) -> None:
        top = max(float(column.max()), float(self.extreme[channel]))
        at = column >= top - FLATNESS * seen
        edges = np.flatnonzero(np.diff(np.concatenate(([False], at, [False])).astype(np.int8)))
        for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            if end - begin < PLATEAU_SAMPLES:
                continue
            entered = column[begin] - column[begin - 1] if begin else 0.0
            left = column[end - 1] - column[end] if end < len(column) else 0.0
            if max(entered, left) < JUMP * seen:
                continue
            beside = column[~at]
            if len(np.unique(beside)) < DISTINCT * max(len(beside), TAIL_SAMPLES // 2):
                continue
            self.limit[channel] = min(self.limit[channel], top - FLATNESS * seen)
            self._beyond[channel] = top + FLATNESS * seen
            return
