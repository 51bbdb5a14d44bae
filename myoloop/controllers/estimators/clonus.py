"""The rhythm of clonus: bursts that follow one another at 4 to 8 Hz.

The period is the shortest lag at which the autocorrelation of the envelope has a peak of at least four fifths of its
highest one: every multiple of the true period has a peak too, and the highest of them need not be the first. It is then
made exact by a straight line through the middles of the bursts. Three bursts or more whose intervals scatter by less
than a quarter make a clonus.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

LOW_HZ, HIGH_HZ = 4.0, 8.0
#: Peaks are looked for up to this rate, so that a faster rhythm is not taken for half of it.
_FASTEST_HZ = 16.0
#: A peak as high as this share of the highest is as good.
_SHORTEST_SHARE = 0.8
#: Below this there is no rhythm whose bursts could be counted.
_FAINT = 0.15
#: Of a period: a burst's middle is the centroid of what lies so near to its peak.
_NEAR = 0.30


@dataclass(frozen=True, slots=True)
class Rhythm:
    """What repeats in an envelope.

    Attributes
    ----------
    frequency_hz
        Rate of the bursts.
    strength
        Autocorrelation at that period, at most 1.
    bursts
        How many there are; 0 where the rhythm is too faint to count them.
    scatter
        Coefficient of variation of the intervals between them; 0 for fewer than three.
    """

    frequency_hz: float
    strength: float
    bursts: int
    scatter: float


def autocorrelation(envelope: Floats, lags: int) -> Floats:
    """Correlation of a signal with itself at lags 0 to `lags`, each over the samples that overlap.

    Parameters
    ----------
    envelope
        (n,), n above `lags` + 1.
    """
    x = envelope - envelope.mean()
    n = len(x)
    padded = np.concatenate([x, np.zeros(lags)])
    shifted = np.lib.stride_tricks.sliding_window_view(padded, n)[: lags + 1]
    product = shifted @ x
    energy = np.concatenate([[0.0], np.cumsum(x * x)])
    k = np.arange(lags + 1)
    scale = np.sqrt((energy[n] - energy[k]) * energy[n - k])
    correlation: Floats = product / np.maximum(scale, 1e-300)
    return correlation


def find_rhythm(envelope: Floats, hop_s: float) -> Rhythm | None:
    """The rhythm of an envelope; None where none is seen.

    Parameters
    ----------
    envelope
        (n,) from 0, one value per hop, from the beginning of the first burst.
    """
    shortest, longest = int(1.0 / (_FASTEST_HZ * hop_s)), int(np.ceil(1.0 / (LOW_HZ * hop_s))) + 2
    n = len(envelope)
    if n < 12 or float(envelope.max(initial=0.0)) <= 0:
        return None
    lags = min(longest + 1, int(0.7 * n))
    r = autocorrelation(_smooth(envelope, 3), lags)
    middle = r[1:-1]
    peaks = np.flatnonzero((middle >= r[:-2]) & (middle > r[2:])) + 1
    peaks = peaks[peaks >= shortest]
    if not peaks.size:
        return None
    best = float(r[peaks].max())
    if best <= 0:
        return None
    lag = int(peaks[r[peaks] >= _SHORTEST_SHARE * best][0])
    bend = r[lag - 1] - 2 * r[lag] + r[lag + 1]
    exact = lag + (0.5 * (r[lag - 1] - r[lag + 1]) / bend if bend < 0 else 0.0)
    if r[lag] < _FAINT:
        return Rhythm(1.0 / (exact * hop_s), float(r[lag]), 0, 0.0)
    return _refine(envelope, hop_s, float(exact), float(r[lag]))


def _refine(envelope: Floats, hop_s: float, period: float, strength: float) -> Rhythm:
    """A line through the middles of the bursts: their time over their number."""
    # Wide enough to make one hill of a burst, narrow enough to keep two apart.
    hill = _smooth(envelope, max(3, round(0.35 * period) | 1))
    inside = (hill[1:-1] >= hill[:-2]) & (hill[1:-1] > hill[2:])
    tops = np.flatnonzero(np.concatenate([[hill[0] > hill[1]], inside, [hill[-1] > hill[-2]]]))
    tops = tops[hill[tops] > 0.3 * np.quantile(hill, 0.95)]
    kept: list[int] = []
    for top in tops[np.argsort(-hill[tops], kind="stable")].tolist():
        if all(abs(top - other) >= 0.6 * period for other in kept):
            kept.append(top)
    reach = max(1, round(_NEAR * period))
    middles = np.array([_centroid(envelope, top, reach) for top in sorted(kept)])
    if len(middles) < 3:
        return Rhythm(1.0 / (period * hop_s), strength, len(middles), 0.0)
    intervals = np.diff(middles)
    # A burst that was missed counts as a step of two.
    steps = np.maximum(np.rint(intervals / period), 1.0)
    number = np.concatenate([[0.0], np.cumsum(steps)])
    slope = float(np.polyfit(number, middles, 1)[0])
    each = intervals / steps
    return Rhythm(1.0 / (slope * hop_s), strength, len(middles), float(each.std() / each.mean()))


def _centroid(envelope: Floats, top: int, reach: int) -> float:
    low, high = max(0, top - reach), min(len(envelope), top + reach + 1)
    part = envelope[low:high]
    total = float(part.sum())
    return float(part @ np.arange(low, high)) / total if total > 0 else float(top)


def _smooth(values: Floats, width: int) -> Floats:
    """Mean over `width` values about each; the ends are held."""
    half = width // 2
    padded = np.concatenate([np.full(half, values[0]), values, np.full(half, values[-1])])
    total = np.cumsum(np.concatenate([[0.0], padded]))
    smooth: Floats = (total[width:] - total[:-width]) / width
    return smooth
