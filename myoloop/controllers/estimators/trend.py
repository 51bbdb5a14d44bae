"""A straight line through points of which some are wrong: Theil–Sen, with weights and its rank-based interval."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import stdtrit

Floats = npt.NDArray[np.float64]

#: Points further off the line than so many of its scatters (1.4826 MAD) are of something else.
SCREEN_SCATTERS = 4.0


@dataclass(frozen=True, slots=True)
class Trend:
    """A robust line.

    Attributes
    ----------
    slope, intercept
        The line; intercept at t = 0.
    low, high
        95 % interval of the slope.
    scatter
        1.4826 MAD of the points around it.
    """

    slope: float
    intercept: float
    low: float
    high: float
    scatter: float

    def at(self, t: float) -> float:
        """The line's value."""
        return self.intercept + self.slope * t

    def residuals(self, t: Floats, y: Floats) -> Floats:
        """What the line leaves."""
        return y - self.slope * t - self.intercept


def theil_sen(t: Floats, y: Floats, weights: Floats | None = None) -> Trend:
    """Fit a line: slope is the median of the slopes of all pairs, intercept the median of what remains.

    With weights a pair counts w_i w_j and a point w_i. The interval is the one after Sen (1968), from the ranks of
    the slopes.

    Raises
    ------
    ValueError
        If there are fewer than two different times.
    """
    n = len(t)
    first, second = np.triu_indices(n, 1)
    run = t[second] - t[first]
    apart = run != 0
    if n < 2 or not apart.any():
        raise ValueError("a line needs two points at different times")
    first, second = first[apart], second[apart]
    slopes = (y[second] - y[first]) / run[apart]
    points = np.ones(n) if weights is None else weights
    slope = weighted_median(slopes, points[first] * points[second])
    intercept = weighted_median(y - slope * t, points)
    scatter = 1.4826 * float(np.median(np.abs(y - slope * t - intercept)))
    ordered = np.sort(slopes)
    half = 1.959964 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18.0)
    # As scipy.stats.theilslopes rounds the ranks.
    upper = min(round((len(slopes) - half) / 2.0 + half), len(slopes) - 1)
    lower = max(round((len(slopes) - half) / 2.0) - 1, 0)
    return Trend(slope, intercept, float(ordered[lower]), float(ordered[upper]), scatter)


def screened(t: Floats, y: Floats) -> npt.NDArray[np.bool_]:
    """Which points the robust line says belong to it: all but those that lie more than 4 of its scatters off.

    Of points that scatter normally it gives up less than one in a thousand. Where more than a quarter lie so far off
    it gives up none: that is no line with a few wrong points, and its interval must say so.
    """
    line = theil_sen(t, y)
    belongs: npt.NDArray[np.bool_] = np.abs(line.residuals(t, y)) <= SCREEN_SCATTERS * line.scatter
    return belongs if belongs.mean() >= 0.75 else np.ones(len(t), dtype=np.bool_)


def weighted_median(values: Floats, weights: Floats) -> float:
    """The value with half of the weight on either side; the mean of two where the half falls between them."""
    order = np.argsort(values, kind="stable")
    ordered, mass = values[order], np.cumsum(weights[order])
    half = 0.5 * mass[-1]
    at = int(np.searchsorted(mass, half, side="left"))
    if mass[at] == half and at + 1 < len(ordered):
        return float(0.5 * (ordered[at] + ordered[at + 1]))
    return float(ordered[at])


@dataclass(frozen=True, slots=True)
class Departure:
    """How far a quantity has moved from where it began.

    Attributes
    ----------
    first, last
        The robust line's value at the first and at the newest point.
    sd
        Of `last - first`: half of its 95 % interval over 1.96, so that a spread told by few points counts as Student's.
    """

    first: float
    last: float
    sd: float


def departure(t: Floats, y: Floats, weights: Floats, *, early: int, late: int, scatter_min: float) -> Departure:
    """Where a quantity began and where it is, each from a robust line, so that no single point decides.

    The beginning is the line through the first `early` points at the first of them; the present the line through the
    newest `late` at the newest. While all points serve both, it is one line.

    Raises
    ------
    ValueError
        If there are fewer than two different times.
    """
    n = len(t)
    first, last = float(t[0]), float(t[-1])
    if n <= early and n <= late:
        line = theil_sen(t, y, weights)
        about = t - t.mean()
        slope_sd = max(_scatter(line.residuals(t, y), n, 2), scatter_min) / float(np.sqrt(np.sum(about * about)))
        return Departure(line.at(first), line.at(last), slope_sd * (last - first))
    begin, now = slice(0, early), slice(-late, None)
    head, tail = theil_sen(t[begin], y[begin], weights[begin]), theil_sen(t[now], y[now], weights[now])
    residuals = np.concatenate((head.residuals(t[begin], y[begin]), tail.residuals(t[now], y[now])))
    scatter = max(_scatter(residuals, min(n, len(residuals)), 4), scatter_min)
    variance = _end_variance(t[begin], first, scatter) + _end_variance(t[now], last, scatter)
    return Departure(head.at(first), tail.at(last), float(np.sqrt(variance)))


def _scatter(residuals: Floats, points: int, fitted: int) -> float:
    """Scatter about lines that were fitted to the same few points: the fit used some up, and the rest say little."""
    free = max(points - fitted, 1)
    # The mean, not the median, of so few: a point that is wrong widens the interval, and it should.
    scatter = 1.2533 * float(np.mean(np.abs(residuals)))
    return scatter * float(np.sqrt(points / free) * stdtrit(free, 0.975) / 1.959964)


def _end_variance(t: Floats, at: float, scatter: float) -> float:
    about = t - t.mean()
    return float(scatter**2 * (1 / len(t) + (at - t.mean()) ** 2 / np.sum(about * about)))
