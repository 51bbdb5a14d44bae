"""Least and greatest value of any stretch, at any zoom, at once: bins of time, each level four times as wide.

A burst of one sample is in the bin of every level that covers it, so that it is seen however far one has zoomed out.
Bins are of time and not of samples: streams of other rates stand under each other, and where samples are missing a bin
is NaN.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Single = npt.NDArray[np.float32]
#: How much wider the bins of the next level are.
STEP = 4
#: A level with so few bins needs no coarser one above it.
_FEW = 1024
#: A column of values when it is asked for: a long session's need not all be in memory at once.
Column = Callable[[], npt.NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Bins:
    """Consecutive bins.

    Attributes
    ----------
    begin_s, width_s
        Where the first begins, and how wide each is.
    low, high
        (n_bins, n_columns): NaN where nothing is known.
    """

    begin_s: float
    width_s: float
    low: Single
    high: Single

    def __len__(self) -> int:
        return len(self.low)

    @property
    def end_s(self) -> float:
        """Where the last one ends."""
        return self.begin_s + len(self) * self.width_s


def bin_values(t_s: npt.NDArray[np.float64], columns: list[Column], begin_s: float, width_s: float, n: int) -> Bins:
    """Sort values into bins of time.

    Parameters
    ----------
    t_s
        (n_values,), in any order; what lies outside of the bins is left out.
    columns
        Each gives (n_values,); NaN are left out.
    """
    low = np.full((n, len(columns)), np.nan, np.float32)
    high = low.copy()
    number = np.floor((t_s - begin_s) / width_s).astype(np.int64)
    inside = (number >= 0) & (number < n)
    whole = bool(inside.all())
    number = number if whole else number[inside]
    if not len(number):
        return Bins(begin_s, width_s, low, high)
    starts = np.concatenate([[0], np.flatnonzero(np.diff(number)) + 1])
    at = number[starts]
    for place, column in enumerate(columns):
        values = np.asarray(column(), np.float32)
        values = values if whole else values[inside]
        # Where a clock went back, a bin is come to more than once.
        np.fmin.at(low[:, place], at, np.fmin.reduceat(values, starts))
        np.fmax.at(high[:, place], at, np.fmax.reduceat(values, starts))
    return Bins(begin_s, width_s, low, high)


def levels_of(base: Bins) -> tuple[Bins, ...]:
    """The levels over some bins, finest first."""
    levels = [base]
    while len(levels[-1]) > _FEW:
        finer = levels[-1]
        starts = np.arange(0, len(finer), STEP)
        low, high = np.fmin.reduceat(finer.low, starts), np.fmax.reduceat(finer.high, starts)
        levels.append(Bins(finer.begin_s, finer.width_s * STEP, low, high))
    return tuple(levels)


def look(levels: tuple[Bins, ...], from_s: float, to_s: float, n: int) -> Bins:
    """Bins of a stretch, as many as are asked for, made of the coarsest level that is fine enough.

    Nothing that lies in the stretch is left out; at its ends a bin may hold a neighbour of the finest level.

    Parameters
    ----------
    n
        How many; where they are narrower than those of the finest level, several show the same.
    """
    width_s = (to_s - from_s) / n
    fine = next((each for each in reversed(levels) if each.width_s <= width_s / STEP), levels[0])
    low = np.full((n, fine.low.shape[1]), np.nan, np.float32)
    high = low.copy()
    edges = np.floor((from_s + np.arange(n + 1) * width_s - fine.begin_s) / fine.width_s + 1e-9).astype(np.int64)
    begins, ends = edges[:-1], np.maximum(edges[1:], edges[:-1] + 1)
    # The last one reaches as far as the stretch does.
    ends[-1] = max(ends[-1], int(np.ceil((to_s - fine.begin_s) / fine.width_s - 1e-9)))
    inside = np.flatnonzero((ends > 0) & (begins < len(fine)))
    if len(inside):
        first, last = int(max(begins[inside[0]], 0)), int(min(ends[inside[-1]], len(fine)))
        starts = np.maximum(begins[inside], first) - first
        low[inside] = np.fmin.reduceat(np.asarray(fine.low[first:last]), starts)
        high[inside] = np.fmax.reduceat(np.asarray(fine.high[first:last]), starts)
    return Bins(from_s, width_s, low, high)
