"""Fewer points for the scope, no burst lost: the least and the greatest sample of every few milliseconds.

Pure. Bins lie on the source's own count of samples, so they are the same however the samples are cut into blocks. What
must not be used (invalid, not a number) is in no extreme; a bin with nothing else has none, and says why.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

#: Bins a second, about: enough for a screen that shows five seconds.
BINS_HZ: Final = 200.0
#: What is wrong with a bin: samples in it are invalid; samples of it are missing.
INVALID, MISSING = 1, 2
#: So many bins wait to be fetched; then the oldest go.
_KEPT: Final = 6_000
#: So many samples wait to be cut into bins.
_PENDING: Final = 2_048
#: A stamp that is further off than this begins the axis of time anew; else it is followed slowly, as stamps jitter.
_JUMP_NS: Final = 50e6
_FOLLOW: Final = 1 / 64

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Run:
    """Bins that follow one another without a hole.

    Attributes
    ----------
    first_bin
        Number of the first; the next run begins later, and what lies between is missing.
    t_ns
        Host time at which the first bin begins.
    low, high
        (n_bins, n_channels) in µV; NaN where no sample of the bin may be used.
    flags
        (n_bins, n_channels): :data:`INVALID`, :data:`MISSING`.
    """

    first_bin: int
    t_ns: int
    low: Floats
    high: Floats
    flags: Flags


class MinMax:
    """Cuts one stream into bins.

    Parameters
    ----------
    columns
        Which columns of the blocks, in the order in which they are drawn.
    scale_uv, offset_uv
        One for each: the value in µV is ``raw * scale + offset``.
    rate_hz
        Of the samples.
    """

    def __init__(
        self, columns: Sequence[int], scale_uv: Sequence[float], offset_uv: Sequence[float], rate_hz: float
    ) -> None:
        self.per_bin = max(1, round(rate_hz / BINS_HZ))
        self.bin_ns = self.per_bin * 1e9 / rate_hz
        #: Bins that nobody has fetched in time.
        self.dropped = 0
        self._columns = np.array(columns, np.intp)
        self._scale, self._offset = np.array(scale_uv, np.float64), np.array(offset_uv, np.float64)
        self._period_ns = 1e9 / rate_hz
        self._source: tuple[str, int] | None = None
        self._base = 0
        self._next = 0
        self._origin_ns: float | None = None
        self._pending: list[tuple[npt.NDArray[Any], npt.NDArray[np.bool_] | None]] = []
        self._waiting = 0
        #: The bin that is not full yet: its number, extremes and flags.
        self._part: tuple[int, npt.NDArray[np.float64], npt.NDArray[np.float64], Flags] | None = None
        self._ready: deque[Run] = deque()
        self._bins = 0

    def add(
        self, source: tuple[str, int], first_sample: int, t_ns: int, block: npt.NDArray[Any], invalid: bytes = b""
    ) -> None:
        """Take in a block.

        Parameters
        ----------
        source
            Publisher and epoch: another one counts its samples anew.
        first_sample, t_ns, invalid
            As in :class:`~myoloop.platform.messages.Samples`.
        block
            (n_samples, n_columns), raw. One without all the columns, or with a mask of another length, is left out and
            so missing.
        """
        if block.ndim != 2 or not len(block) or block.shape[1] <= int(self._columns.max(initial=-1)):
            return
        if invalid and len(invalid) != (block.size + 7) // 8:
            return
        first = self._counted(source, first_sample, t_ns, len(block))
        if first != self._next:
            self._fold()
            self._leave_out(first)
        mask = None
        if invalid:
            bits = np.unpackbits(np.frombuffer(invalid, np.uint8), count=block.size)
            mask = bits.reshape(block.shape).astype(np.bool_)[:, self._columns]
        self._pending.append((block[:, self._columns], mask))
        self._next = first + len(block)
        self._waiting += len(block)
        self._stamp(t_ns)
        if self._waiting >= _PENDING:
            self._fold()

    def take(self) -> list[Run]:
        """Bins that have become full since last asked."""
        self._fold()
        ready, self._bins = list(self._ready), 0
        self._ready.clear()
        return ready

    # -- inside ------------------------------------------------------------------------------------------------

    def _counted(self, source: tuple[str, int], first_sample: int, t_ns: int, count: int) -> int:
        """Where a block lies on the one count of this stream, which goes on when a source begins anew."""
        first = first_sample + self._base
        if source == self._source and first >= self._next:
            return first
        if self._source is not None:
            by_time = self._next
            if self._origin_ns is not None:
                by_time = round((t_ns - self._origin_ns) / self._period_ns) - count + 1
            first = max(self._next, by_time)
        else:
            self._next = first
        self._source, self._base = source, first - first_sample
        return first

    def _stamp(self, t_ns: int) -> None:
        measured_ns = t_ns - (self._next - 1) * self._period_ns
        if self._origin_ns is None or abs(measured_ns - self._origin_ns) > _JUMP_NS:
            self._origin_ns = measured_ns
        else:
            self._origin_ns += _FOLLOW * (measured_ns - self._origin_ns)

    def _fold(self) -> None:
        """Cut what waits into bins."""
        if not self._pending:
            return
        raw = np.concatenate([block for block, _ in self._pending])
        masks = None
        if any(mask is not None for _, mask in self._pending):
            masks = np.concatenate(
                [np.zeros(block.shape, np.bool_) if mask is None else mask for block, mask in self._pending]
            )
        self._pending.clear()
        self._waiting = 0
        begin, per = self._next - len(raw), self.per_bin
        first_bin, last_bin = begin // per, (self._next - 1) // per
        starts = np.maximum(np.arange(first_bin, last_bin + 1) * per - begin, 0)
        low, high, flags = self._extremes(raw, masks, starts)
        if self._part is not None:
            _, part_low, part_high, part_flags = self._part
            low[0], high[0] = np.minimum(low[0], part_low), np.maximum(high[0], part_high)
            flags[0] |= part_flags
        elif begin % per:
            # Its beginning was never heard.
            flags[0] |= MISSING
        self._part = None
        full = len(low)
        if self._next % per:
            full -= 1
            self._part = (last_bin, low[-1], high[-1], flags[-1])
        if full:
            self._give(first_bin, low[:full], high[:full], flags[:full])

    def _extremes(
        self, raw: npt.NDArray[Any], masks: npt.NDArray[np.bool_] | None, starts: npt.NDArray[np.intp]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Flags]:
        """Of each stretch that begins at one of `starts`, in µV; infinities where no sample is good."""
        if masks is None and raw.dtype.kind == "i":
            # Whole numbers are compared as they are, and only what is left is made µV.
            ends = (np.minimum.reduceat(raw, starts), np.maximum.reduceat(raw, starts))
            one, other = (each * self._scale + self._offset for each in ends)
            return np.minimum(one, other), np.maximum(one, other), np.zeros(one.shape, np.uint8)
        values = raw * self._scale + self._offset
        bad = ~np.isfinite(values)
        if masks is not None:
            bad |= masks
        low = np.minimum.reduceat(np.where(bad, np.inf, values), starts)
        high = np.maximum.reduceat(np.where(bad, -np.inf, values), starts)
        return low, high, np.logical_or.reduceat(bad, starts).astype(np.uint8) * np.uint8(INVALID)

    def _leave_out(self, first: int) -> None:
        """Samples are missing before this one: the bin that they were in is not whole."""
        if self._part is None:
            return
        number, low, high, flags = self._part
        flags = flags | np.uint8(MISSING)
        self._part = (number, low, high, flags)
        if first // self.per_bin != number:
            self._part = None
            self._give(number, low[None], high[None], flags[None])

    def _give(self, first_bin: int, low: npt.NDArray[np.float64], high: npt.NDArray[np.float64], flags: Flags) -> None:
        least, greatest = (np.where(np.isfinite(each), each, np.nan).astype(np.float32) for each in (low, high))
        origin_ns = 0.0 if self._origin_ns is None else self._origin_ns
        run = Run(first_bin, round(origin_ns + first_bin * self.bin_ns), least, greatest, flags.copy())
        self._ready.append(run)
        self._bins += len(low)
        while self._bins > _KEPT and len(self._ready) > 1:
            oldest = self._ready.popleft()
            self._bins -= len(oldest.low)
            self.dropped += len(oldest.low)
