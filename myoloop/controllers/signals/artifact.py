"""Which samples a stimulation pulse has spoilt.

A pulse spoils the EMG from just before its leading edge (its time is known to within half a sample at best) until
the M-wave is over. Those samples are not evidence for anything; they are left out, not set to zero. Pulse times come
from the amplifier's own `sync` channel where there is one, else from the stimulator's messages.
"""

from __future__ import annotations

from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Times = npt.NDArray[np.int64]

#: More pulses than this within the short memory cannot be real (one second at 500 pulses/s on one channel).
MOST_PULSES = 512


class ArtifactSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out around a pulse, and how long the controller waits to know of pulses.

    Attributes
    ----------
    before_ms, after_ms
        From this long before a pulse to this long after it nothing is used. An M-wave lasts to about 18 ms.
    wait_ms
        While stimulation may flow, samples are used only once they are this old: the news of a pulse takes the
        stimulator's cycle and the controller's, and the end of the spoilt stretch must be in hand to bridge it.
    quiet_after_ms
        Stimulation may flow from the first request for current until this long after the last sign of it.
    sync_level
        Physical value of the sync channel above which the trigger is on.
    """

    before_ms: float = 0.5
    after_ms: float = 18.0
    wait_ms: float = 30.0
    quiet_after_ms: float = 300.0
    sync_level: float = 0.5

    def __post_init__(self) -> None:
        for name in ("before_ms", "after_ms", "wait_ms", "quiet_after_ms"):
            value = getattr(self, name)
            if not 0 <= value <= 1000:
                raise ValueError(f"artifact.{name} is {value}, allowed is 0 to 1000 ms")


class SpoiltStretches(Restorable):
    """The stretches that recent pulses have spoilt."""

    _kept: ClassVar[tuple[str, ...]] = ("_stretches",)

    def __init__(self, settings: ArtifactSettings) -> None:
        self._before_ns = round(settings.before_ms * 1e6)
        self._after_ns = round(settings.after_ms * 1e6)
        self._stretches: list[list[int]] = []

    def add(self, times_ns: Any, uncertainty_ns: int = 0) -> int | None:
        """Remember pulses; the beginning of the earliest stretch, None where there was no pulse."""
        earliest = None
        for time_ns in times_ns:
            begin = int(time_ns) - self._before_ns - uncertainty_ns
            self._stretches.append([begin, int(time_ns) + self._after_ns + uncertainty_ns])
            earliest = begin if earliest is None else min(earliest, begin)
        if len(self._stretches) > MOST_PULSES:
            del self._stretches[:-MOST_PULSES]
        return earliest

    def forget(self, before_ns: int) -> None:
        """Drop what ended before `before_ns`."""
        if self._stretches and self._stretches[0][1] < before_ns:
            self._stretches = [stretch for stretch in self._stretches if stretch[1] >= before_ns]

    def runs(self, times_ns: Times) -> list[tuple[int, int]]:
        """Which rows are spoilt, as half-open runs in order; `times_ns` is sorted."""
        if not self._stretches:
            return []
        ends = np.array(self._stretches, dtype=np.int64)
        lows = np.searchsorted(times_ns, ends[:, 0], side="left").tolist()
        highs = np.searchsorted(times_ns, ends[:, 1], side="right").tolist()
        merged: list[tuple[int, int]] = []
        for low, high in sorted(zip(lows, highs, strict=True)):
            if low >= high:
                continue
            if merged and low <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
            else:
                merged.append((low, high))
        return merged


def bridge(samples: Floats, invalid: Mask, runs: list[tuple[int, int]], rows: int, before: Floats) -> None:
    """Put a straight line over each run within the first `rows` rows, in place.

    The line keeps the filter behind it from ringing; what it covers is never evidence.

    Parameters
    ----------
    samples
        (n, channels); rows past `rows` are looked at, not changed.
    invalid
        (n, channels); the line does not lead to such a sample.
    runs
        Half-open runs of rows, in order.
    rows
        How many rows are wanted.
    before
        (channels,) the row before the first.
    """
    for low, high in runs:
        if low >= rows:
            break
        start = samples[low - 1] if low else before
        stop = np.where(invalid[high], start, samples[high]) if high < len(samples) else start
        share = np.arange(1, min(high, rows) - low + 1)[:, None] / (high - low + 1)
        samples[low : min(high, rows)] = start + (stop - start) * share


def hold(samples: Floats, invalid: Mask, before: Floats) -> None:
    """Let each channel keep its last valid value where it is not valid, in place."""
    rows = np.where(invalid, -1, np.arange(len(samples))[:, None])
    np.maximum.accumulate(rows, axis=0, out=rows)
    held = np.take_along_axis(samples, np.maximum(rows, 0), axis=0)
    samples[:] = np.where(rows < 0, before, held)
