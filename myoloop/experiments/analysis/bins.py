"""Fewer points for a figure, no peak lost."""

from __future__ import annotations

import numpy as np

from myoloop.experiments.analysis.tracks import Floats


def min_max(t_s: Floats, values: Floats, bins: int) -> tuple[Floats, Floats, Floats]:
    """Least and greatest value in each of equally many consecutive points.

    Parameters
    ----------
    t_s, values
        (n,); NaN are left out of a bin, a bin of nothing else is NaN.
    bins
        At most so many; fewer points than that are returned as they are.

    Returns
    -------
    tuple of ndarray
        Time of each bin's first point, least, greatest.
    """
    if len(values) <= bins:
        return t_s, values, values
    starts = np.linspace(0, len(values), bins, endpoint=False).astype(np.int64)
    low = np.fmin.reduceat(values, starts)
    high = np.fmax.reduceat(values, starts)
    return t_s[starts], low, high


def line(t_s: Floats, values: Floats, bins: int) -> tuple[Floats, Floats]:
    """Thin out a line: two points, least and greatest in their order, for each bin."""
    if len(values) <= 2 * bins:
        return t_s, values
    starts = np.linspace(0, len(values), bins, endpoint=False).astype(np.int64)
    ends = np.append(starts[1:], len(values))
    keep: list[int] = []
    for begin, end in zip(starts, ends, strict=True):
        part = values[begin:end]
        known = np.flatnonzero(np.isfinite(part))
        if not len(known):
            keep.append(int(begin))
            continue
        pair = {int(known[np.argmin(part[known])]), int(known[np.argmax(part[known])])}
        # A stretch of NaN within the bin stays a break in the line.
        unknown = np.flatnonzero(~np.isfinite(part))
        if len(unknown):
            pair.add(int(unknown[0]))
        keep.extend(int(begin) + offset for offset in sorted(pair))
    at = np.array(keep)
    return t_s[at], values[at]


def steps(t_s: Floats, values: Floats) -> tuple[Floats, Floats]:
    """Keep only the points of a step line at which it changes, and the last."""
    if len(values) < 3:
        return t_s, values
    same = (values[1:] == values[:-1]) | (np.isnan(values[1:]) & np.isnan(values[:-1]))
    keep = np.flatnonzero(np.append(True, ~same))
    at = np.unique(np.append(keep, len(values) - 1))
    return t_s[at], values[at]
