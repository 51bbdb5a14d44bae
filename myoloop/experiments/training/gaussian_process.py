"""A small Gaussian process: Matern-5/2 with a length scale per axis, fitted in some milliseconds.

Small enough to run within a step of the director: at most some fifty observations, hyperparameters by coordinate
search over a fixed ladder (a uniform prior on the logarithm of each), no random start, no iteration to a tolerance.
The same data give the same result, bit for bit. scikit-learn's ``GaussianProcessRegressor`` is its oracle in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Length scales tried, for axes scaled to 0 to 1.
LENGTHS = (0.15, 0.25, 0.4, 0.65, 1.0, 1.6, 2.5, 4.0)
#: Standard deviations of the noise tried, those above the floor; observations lie within -1 to 1.
NOISES = (0.01, 0.02, 0.04, 0.08, 0.16)
_SWEEPS = 2
#: Weight of the prior on the process' variance, in observations, and the variance it says.
_PRIOR_COUNT, _PRIOR_VARIANCE = 4.0, 0.1


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Length scale of each axis, standard deviation of the noise, variance of the process."""

    lengths: tuple[float, ...]
    noise: float
    variance: float


def matern52(squares: Array, lengths: Sequence[float]) -> Array:
    """Correlation of two points.

    Parameters
    ----------
    squares
        Squared differences, (axes, n, m).
    lengths
        One per axis.
    """
    weights = 1.0 / np.square(np.asarray(lengths, dtype=np.float64))
    square = 5.0 * np.einsum("a,anm->nm", weights, squares)
    root = np.sqrt(square)
    correlation: Array = (1.0 + root + square / 3.0) * np.exp(-root)
    return correlation


def squared_differences(one: Array, other: Array) -> Array:
    """Of points (n, axes) and (m, axes): (axes, n, m)."""
    squares: Array = np.square(one.T[:, :, None] - other.T[:, None, :])
    return squares


class GaussianProcess:
    """Observations, and what they say of every other point.

    Parameters
    ----------
    x
        Points, (n, axes), each axis scaled to about 0 to 1; the same point may come more than once.
    y
        Observations, (n,).
    noise_floor
        Smallest standard deviation of the noise that is believed.
    hyperparameters
        Taken as they are; fitted where None.

    Raises
    ------
    ValueError
        If nothing was observed, or something is no number.
    """

    def __init__(
        self, x: Array, y: Array, *, noise_floor: float = 0.01, hyperparameters: Hyperparameters | None = None
    ) -> None:
        if not len(x) or len(x) != len(y) or not (np.isfinite(x).all() and np.isfinite(y).all()):
            raise ValueError(f"{len(x)} points with {len(y)} observations: as many of each, all numbers, one at least")
        self._x, self._mean = x, float(y.mean())
        self._y: Array = y - self._mean
        squares = squared_differences(x, x)
        self.hyperparameters = hyperparameters or _fitted(squares, self._y, noise_floor)
        self._factor, self._weights = _solved(squares, self._y, self.hyperparameters)

    @property
    def log_likelihood(self) -> float:
        """Of the observations, their mean taken off."""
        logs = float(np.log(np.diag(self._factor)).sum())
        count = len(self._y)
        return -0.5 * float(self._y @ self._weights) - logs - 0.5 * count * float(np.log(2.0 * np.pi))

    def at(self, x: Array) -> tuple[Array, Array]:
        """Mean and standard deviation, without noise, at points (m, axes)."""
        own = self.hyperparameters
        across = own.variance * matern52(squared_differences(self._x, x), own.lengths)
        mean: Array = self._mean + across.T @ self._weights
        half = np.linalg.solve(self._factor, across)
        variance = np.maximum(0.0, own.variance - np.einsum("nm,nm->m", half, half))
        deviation: Array = np.sqrt(variance)
        return mean, deviation


def _solved(squares: Array, y: Array, own: Hyperparameters) -> tuple[Array, Array]:
    """Cholesky factor of the observations' covariance, and the weights of the mean."""
    covariance: Array = own.variance * matern52(squares, own.lengths)
    covariance[np.diag_indices(len(y))] += own.noise**2
    factor: Array = np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)
    weights: Array = np.asarray(np.linalg.solve(factor.T, np.linalg.solve(factor, y)), dtype=np.float64)
    return factor, weights


def _fitted(squares: Array, y: Array, noise_floor: float) -> Hyperparameters:
    """One coordinate after the other, each at its most likely value given the others."""
    ladders: list[tuple[float, ...]] = [LENGTHS] * len(squares)
    ladders.append((noise_floor, *(noise for noise in NOISES if noise > noise_floor)))
    now = [1.0] * len(squares) + [noise_floor]
    best, variance = _likelihood(squares, y, now)
    for _ in range(_SWEEPS):
        before = list(now)
        for axis, ladder in enumerate(ladders):
            if axis < len(squares) and not squares[axis].any():
                continue
            for value in ladder:
                tried = [*now[:axis], value, *now[axis + 1 :]]
                likelihood, its_variance = _likelihood(squares, y, tried)
                if likelihood > best + 1e-9:
                    best, variance, now = likelihood, its_variance, tried
        if now == before:
            break
    # The noise was tried relative to the variance that the prior says.
    noise = max(noise_floor, now[-1] * float(np.sqrt(variance / _PRIOR_VARIANCE)))
    return Hyperparameters(tuple(now[:-1]), noise, variance)


def _likelihood(squares: Array, y: Array, given: list[float]) -> tuple[float, float]:
    """Likelihood with the most likely variance of the process, and that variance.

    The noise goes with the variance of the process, so that the variance has a closed form.
    """
    count = len(y)
    correlation = matern52(squares, given[:-1])
    correlation[np.diag_indices(count)] += given[-1] ** 2 / _PRIOR_VARIANCE
    factor = np.linalg.cholesky(correlation)
    half = np.linalg.solve(factor, y)
    total = _PRIOR_COUNT + count
    variance = (float(half @ half) + _PRIOR_COUNT * _PRIOR_VARIANCE) / total
    return -0.5 * total * float(np.log(variance)) - float(np.log(np.diag(factor)).sum()), variance
