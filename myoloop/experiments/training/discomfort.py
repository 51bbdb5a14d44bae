"""How unpleasant a setting may be at most, from what was said of others.

On one pad discomfort rises with charge, about in proportion, from a beginning that is not known: a Bayesian line whose
slope and beginning are shared by the pads in part, and a Matern-5/2 process beside it for what charge does not tell
(rate, the shape of the pulse). Its spreads are fixed, not fitted: a process that is fitted to few answers that happen
to agree would be sure of itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from myoloop.experiments.training.gaussian_process import matern52, squared_differences
from myoloop.experiments.training.settings_grid import Point

Array = npt.NDArray[np.float64]

#: Of the ratings' scale: the line's height at full charge, and its rise from no charge to full charge (our choice: the
#: cap is some nine tenths of tolerance, which is rated 10; what is felt first, some fifth of it, is rated 0).
_HEIGHT, _HEIGHT_SD = 0.9, 0.15
_RISE, _RISE_SD = 1.1, 0.25
#: How much of the line's spread the pads share.
_SHARED = 0.5
#: Of what charge does not tell, over the grid's steps; of an answer, which is a whole number (our choices).
_REST_SD, _REST_STEPS = 0.03, 3.0
_SAID_SD = 0.04
_SCALE = 10.0


def upper_bound(tried: Sequence[Point], said: Sequence[float], asked: Sequence[Point], kappa: float) -> list[float]:
    """Discomfort that a setting has at most, `kappa` standard deviations above what is expected.

    Parameters
    ----------
    tried, said
        Settings, and what was said of each, 0 to 10.
    asked
        Settings of which it is asked.
    """
    if not asked:
        return []
    mean = np.array([_line(point) for point in asked])
    variance = np.diag(_covariance(asked, asked)).copy()
    if tried:
        own = _covariance(tried, tried)
        own[np.diag_indices(len(tried))] += _SAID_SD**2
        factor = np.linalg.cholesky(own)
        across = np.linalg.solve(factor, _covariance(tried, asked))
        off = np.linalg.solve(factor, np.array(said) / _SCALE - np.array([_line(point) for point in tried]))
        mean = mean + across.T @ off
        variance -= np.einsum("nm,nm->m", across, across)
    bound = _SCALE * (mean + kappa * np.sqrt(np.maximum(0.0, variance)))
    return [round(float(each), 9) for each in bound]


def _line(point: Point) -> float:
    return _HEIGHT + _RISE * (point.strength - 1.0)


def _covariance(one: Sequence[Point], other: Sequence[Point]) -> Array:
    pads = [np.array([point.channel for point in points]) for points in (one, other)]
    same: Array = (pads[0][:, None] == pads[1][None, :]).astype(np.float64)
    along = np.outer([a.strength - 1.0 for a in one], [b.strength - 1.0 for b in other])
    line = (_SHARED + (1.0 - _SHARED) * same) * (_HEIGHT_SD**2 + _RISE_SD**2 * along)
    at = [np.array([point.at for point in points], dtype=np.float64) for points in (one, other)]
    rest = matern52(squared_differences(*at), (_REST_STEPS,) * 3)
    covariance: Array = line + _REST_SD**2 * same * rest
    return covariance
