"""The stretches of a stream within which its clock can be believed.

A source counts its samples and the host stamps each block. As long as both clocks run, host time less counted time
stays where it is, save that a block may come late. A step that stays is a clock that jumped (or samples that the source
lost without counting them, which cannot be told apart): the stream is cut there, and nothing is re-timed or joined.

A block that comes late is no step: what waited comes soon after at more than the source's rate, until the difference is
what it was.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from myoloop.platform.recording.samples import SampleRecord

Ints = npt.NDArray[np.int64]

#: A smaller step is taken for jitter: the bound that the live loop has for a suspend (DESIGN, time).
TOLERANCE_S = 0.05
#: Host time less counted time is taken as the least of so much, on either side: blocks come late, never early.
_LEVEL_S = 1.0
#: Blocks this long see the error of the nominal rate in each of them.
_LONG_BLOCK_S = 0.5


class Segment(NamedTuple):
    """A stretch of a stream with one clock.

    Attributes
    ----------
    first_block, end_block, first_row, end_row
        Which blocks, and which rows of the joined samples; the ends are not in it.
    begin_ns, end_ns
        Host time of its first and last sample.
    cause
        Why it begins: ``begin`` (of the recording), ``clock`` (host time stepped against the sample count),
        ``counter`` (the sample count went back), ``restart`` (another publisher or epoch).
    step_s
        By how much host time stepped against the sample count; None where there is nothing to compare.
    """

    first_block: int
    end_block: int
    first_row: int
    end_row: int
    begin_ns: int
    end_ns: int
    cause: str
    step_s: float | None

    @property
    def length_s(self) -> float:
        """From its first sample to its last."""
        return (self.end_ns - self.begin_ns) * 1e-9


def segments(
    t_ns: npt.ArrayLike,
    first_sample: npt.ArrayLike,
    rows: npt.ArrayLike,
    source: npt.ArrayLike,
    rate_hz: float,
    *,
    tolerance_s: float = TOLERANCE_S,
) -> tuple[Segment, ...]:
    """Cut a stream where its clock cannot be believed.

    Parameters
    ----------
    t_ns, first_sample, rows
        Per block, in file order: host time of its newest sample, the source's index of its first sample, and how many
        samples it has.
    source
        Per block, a number that changes where the source was opened anew (publisher or epoch).
    rate_hz
        Nominal rate.
    tolerance_s
        Smaller steps are not told from jitter.

    Returns
    -------
    tuple of Segment
        In file order, without holes between them: every block is in one. Empty where there is no block.

    Raises
    ------
    ValueError
        If the arrays are not equally long, the rate is not above 0, or the tolerance not finite and above 0.
    """
    if not (np.isfinite(rate_hz) and rate_hz > 0 and np.isfinite(tolerance_s) and tolerance_s > 0):
        raise ValueError(f"rate_hz {rate_hz}, tolerance_s {tolerance_s}: finite numbers above 0 are needed")
    t, first, n, opened = (np.asarray(each, np.int64) for each in (t_ns, first_sample, rows, source))
    if not t.shape == first.shape == n.shape == opened.shape or t.ndim != 1:
        raise ValueError("t_ns, first_sample, rows, source: one number per block is needed of each")
    if not len(t):
        return ()
    begins: dict[int, tuple[str, float | None]] = {0: ("begin", None)}
    for at in (np.flatnonzero(np.diff(opened)) + 1).tolist():
        begins[at] = ("restart", None)
    for at in (np.flatnonzero(first[1:] < first[:-1] + n[:-1]) + 1).tolist():
        begins.setdefault(at, ("counter", None))
    whole = sorted(begins)
    for low, high in zip(whole, [*whole[1:], len(t)], strict=True):
        counted_s = (first[low:high] + n[low:high] - 1 - first[low]) / rate_hz
        host_s = (t[low:high] - t[low]) * 1e-9
        for at, step_s in _steps(host_s, counted_s, tolerance_s):
            begins[low + at] = ("clock", step_s)
    row = np.concatenate([[0], np.cumsum(n)])
    period_ns = 1e9 / rate_hz
    starts = sorted(begins)
    return tuple(
        Segment(
            low,
            high,
            int(row[low]),
            int(row[high]),
            int(t[low]) - round((int(n[low]) - 1) * period_ns) if n[low] else int(t[low]),
            int(t[high - 1]),
            *begins[low],
        )
        for low, high in zip(starts, [*starts[1:], len(t)], strict=True)
    )


def segments_of(record: SampleRecord, *, tolerance_s: float = TOLERANCE_S) -> tuple[Segment, ...]:
    """The segments of a recorded stream; see :func:`segments`."""
    rows = np.diff(np.append(record.row, len(record.counts)))
    return segments(
        record.t_ns,
        record.first_sample,
        rows,
        sources(record.publisher, record.epoch),
        record.descriptor.rate_hz,
        tolerance_s=tolerance_s,
    )


def sources(publisher: tuple[str, ...], epoch: Ints) -> Ints:
    """Per block, a number that changes where publisher or epoch does."""
    numbers: dict[tuple[str, int], int] = {}
    keys = zip(publisher, epoch.tolist(), strict=True)
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)


def _steps(host_s: npt.NDArray[Any], counted_s: npt.NDArray[Any], tolerance_s: float) -> list[tuple[int, float]]:
    """Blocks before which host time steps against the count, and by how much."""
    ahead_s = host_s - counted_s
    ahead_s = ahead_s - _drift(ahead_s, counted_s) * counted_s
    found: list[tuple[int, float]] = []
    begin = 0
    for at in (np.flatnonzero(np.abs(np.diff(ahead_s)) > tolerance_s) + 1).tolist():
        jump_s = abs(float(ahead_s[at] - ahead_s[at - 1]))
        # What waited for so long takes as long to be counted; before it, the level is that of the time before.
        reach_s = 1.2 * jump_s + 2 * tolerance_s
        low = max(begin, int(np.searchsorted(counted_s, counted_s[at - 1] - max(_LEVEL_S, reach_s))))
        before_s = float(ahead_s[low:at].min())
        if ahead_s[at] > ahead_s[at - 1]:
            high = int(np.searchsorted(counted_s, counted_s[at] + reach_s, "right"))
            # The last blocks may be late, and the recording over before one could see that they were.
            over = counted_s[-1] - counted_s[at] < 2 * tolerance_s and jump_s < _LEVEL_S
            if over or _caught_up(host_s[at:high], ahead_s[at:high], before_s + tolerance_s):
                continue
        after = ahead_s[at : _level_end(ahead_s, counted_s, at, tolerance_s)]
        step_s = float(after.min()) - before_s
        if abs(step_s) > tolerance_s:
            found.append((at, step_s))
            begin = at
    return found


def _caught_up(host_s: npt.NDArray[Any], ahead_s: npt.NDArray[Any], level_s: float) -> bool:
    """Whether what came late is all there, soon after, and the host's clock never went back meanwhile."""
    back = np.flatnonzero(ahead_s <= level_s)
    return bool(len(back)) and bool((np.diff(host_s[: int(back[0]) + 1]) >= 0).all())


def _level_end(ahead_s: npt.NDArray[Any], counted_s: npt.NDArray[Any], at: int, tolerance_s: float) -> int:
    """Up to which block the level after a step is taken: for a while, and not beyond a step back."""
    end = max(at + 1, int(np.searchsorted(counted_s, counted_s[at] + _LEVEL_S)))
    down = np.flatnonzero(np.diff(ahead_s[at:end]) < -tolerance_s)
    return at + 1 + int(down[0]) if len(down) else end


def _drift(ahead_s: npt.NDArray[Any], counted_s: npt.NDArray[Any]) -> float:
    """Share by which the nominal rate is wrong, where single blocks are long enough to see it."""
    apart_s = np.diff(counted_s)
    if len(apart_s) < 3 or float(np.median(apart_s)) < _LONG_BLOCK_S:
        return 0.0
    return float(np.median(np.diff(ahead_s) / apart_s))
