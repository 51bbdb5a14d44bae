"""The truth about the spectrum of the interference pattern: what an estimator would find in endless noiseless EMG."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: Gauss-Legendre nodes: golden values to 1e-10.
_NODES = 256


def spectral_density(f_hz: npt.ArrayLike, low_hz: float, high_hz: float, velocity: float = 1.0) -> Array:
    """Stulen-De Luca spectrum of a muscle whose conduction velocity, relative to fresh, is `velocity`.

    Parameters
    ----------
    low_hz, high_hz
        Corners of the fresh muscle.

    Returns
    -------
    array like `f_hz`
        Per Hz, without a scale common to all velocities (Lindstroem: ``G(f / v) / v^2``).
    """
    square = np.square(np.asarray(f_hz, dtype=np.float64) / velocity)
    low, high = low_hz**2, high_hz**2
    density: Array = high**2 * square / ((square + low) * np.square(square + high)) / velocity**2
    return density


def spectral_moment(
    order: int, low_hz: float, high_hz: float, velocity: float = 1.0, band_hz: tuple[float, float] = (10.0, 500.0)
) -> float:
    """Integral of ``f^order P(f)`` over a band.

    Raises
    ------
    ValueError
        If the band is none.
    """
    f, weight = _quadrature(*band_hz)
    return float(weight @ (f**order * spectral_density(f, low_hz, high_hz, velocity)))


def mean_frequency_hz(
    low_hz: float, high_hz: float, velocity: float = 1.0, band_hz: tuple[float, float] = (10.0, 500.0)
) -> float:
    """Mean frequency within a band."""
    total = spectral_moment(0, low_hz, high_hz, velocity, band_hz)
    return spectral_moment(1, low_hz, high_hz, velocity, band_hz) / total


def median_frequency_hz(
    low_hz: float, high_hz: float, velocity: float = 1.0, band_hz: tuple[float, float] = (10.0, 500.0)
) -> float:
    """Frequency that halves the power within a band."""
    half = 0.5 * spectral_moment(0, low_hz, high_hz, velocity, band_hz)
    below, above = band_hz
    f_hz = mean_frequency_hz(low_hz, high_hz, velocity, band_hz)
    for _ in range(100):
        missing = half - spectral_moment(0, low_hz, high_hz, velocity, (band_hz[0], f_hz))
        below, above = (f_hz, above) if missing > 0.0 else (below, f_hz)
        # Newton's step, or the middle where that would leave what is known to hold the median.
        step_hz = f_hz + missing / float(spectral_density(f_hz, low_hz, high_hz, velocity))
        nearer_hz = step_hz if below < step_hz < above else 0.5 * (below + above)
        if abs(nearer_hz - f_hz) <= 1e-12 * f_hz:
            break
        f_hz = nearer_hz
    return f_hz


def fi_nsm5(
    low_hz: float, high_hz: float, velocity: float = 1.0, band_hz: tuple[float, float] = (10.0, 500.0)
) -> float:
    """Dimitrov's spectral index ``M_-1 / M_5`` within a band."""
    return spectral_moment(-1, low_hz, high_hz, velocity, band_hz) / spectral_moment(
        5, low_hz, high_hz, velocity, band_hz
    )


@lru_cache(maxsize=512)
def _quadrature(begin_hz: float, end_hz: float) -> tuple[Array, Array]:
    if not 0.0 < begin_hz < end_hz < np.inf:
        raise ValueError(f"band_hz: found {begin_hz:g} to {end_hz:g}, allowed is a band above 0 that rises")
    places, weights = _legendre()
    half = 0.5 * (end_hz - begin_hz)
    return begin_hz + half * (places + 1.0), half * weights


@lru_cache(maxsize=1)
def _legendre() -> tuple[Array, Array]:
    places, weights = np.polynomial.legendre.leggauss(_NODES)
    return places, weights
