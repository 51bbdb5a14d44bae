"""What EMG features would be, without EMG: their exact values and how much an estimate of a window is off.

For Gaussian noise with the power spectrum P, over a window T, with m the mean frequency::

    sd(RMS) / RMS = sqrt(int P^2 / T) / (2 int P)          sd(MNF) = sqrt(h int (f - m)^2 P^2 / T) / int P
    bias(MNF) = -h int (f - m) P^2 / (T (int P)^2)

(Bendat and Piersol, Random Data; the others by the same argument, h = 35/18 for a Hann window). P is the interference
pattern's spectrum at the muscle's conduction velocity, with white noise, within 10 to 500 Hz.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.emg import EmgParameters
from myoloop.experiments.subjects.spectrum import spectral_density

Array = npt.NDArray[np.float64]

BAND_HZ = (10.0, 500.0)
_WIDTH_HZ = BAND_HZ[1] - BAND_HZ[0]
_SLOWEST = 0.3
_VELOCITIES: Array = np.linspace(_SLOWEST, 1.0, 71)
_GRID = (1.0 - _SLOWEST) / (len(_VELOCITIES) - 1)
#: By how much a Hann window raises a variance: length times int w^4 / (int w^2)^2.
_HANN = 35.0 / 18.0
#: Mean of f^k over the band, k = 0, 1, 2.
_FLAT: Array = np.array(
    [(BAND_HZ[1] ** (k + 1) - BAND_HZ[0] ** (k + 1)) / ((k + 1) * _WIDTH_HZ) for k in range(3)], dtype=np.float64
)


class PatternTable:
    """Spectral truths of muscles' interference patterns, by conduction velocity.

    Parameters
    ----------
    parameters
        One per muscle.
    """

    #: Columns: power in the band for an activation of 1, then moments f^0..2 of p and of p^2, p being of area 1.
    COLUMNS = 7

    def __init__(self, parameters: Sequence[EmgParameters]) -> None:
        corners = [(p.emg_low_hz, p.emg_high_hz) for p in parameters]
        tables = {corner: _table(*corner) for corner in set(corners)}
        self._table = np.stack([tables[corner] for corner in corners])
        self._rows = np.arange(len(corners))

    def at(self, velocity: Array) -> Array:
        """At the velocity of each muscle: (muscles, columns)."""
        place = (np.minimum(1.0, np.maximum(_SLOWEST, velocity)) - _SLOWEST) / _GRID
        below = np.minimum(place.astype(np.int64), len(_VELOCITIES) - 2)
        weight = (place - below)[:, None]
        found: Array = self._table[self._rows, below] * (1.0 - weight) + self._table[self._rows, below + 1] * weight
        return found


def _table(low_hz: float, high_hz: float) -> Array:
    f, step = np.linspace(*BAND_HZ, 1961, retstep=True)
    weight = np.full(len(f), step)
    weight[[0, -1]] *= 0.5
    # Of the whole spectrum, from 0 to infinity, at a velocity of 1; at another one it is 1 / velocity of that.
    whole = np.pi * high_hz**3 / (4.0 * (low_hz + high_hz) ** 2)
    rows = []
    for velocity in _VELOCITIES:
        density = spectral_density(f, low_hz, high_hz, velocity)
        area = weight @ density
        p = density / area
        moments = [weight @ (p * f**k) for k in range(3)] + [weight @ (p * p * f**k) for k in range(3)]
        rows.append([area / whole, *moments])
    return np.array(rows)


def error(signal: Array, noise: Array, moments: Array, window_s: float) -> tuple[Array, Array, Array]:
    """How much estimates of a window are off.

    Parameters
    ----------
    signal, noise
        Power in the band of the pattern and of white noise, (muscles,).
    moments
        Of the pattern, as :meth:`PatternTable.at` gives them, (muscles, columns).

    Returns
    -------
    relative
        Standard deviation of the RMS, relative to it, (muscles,).
    mnf_hz
        Standard deviation of the mean frequency of a Hann window.
    bias_hz
        By how much such a window's mean frequency is too high on average, as it is a quotient of two sums that vary
        together.
    """
    total = signal + noise
    s, n = (signal / total)[:, None], (noise / total)[:, None]
    mixed = s * s * moments[:, 4:7] + 2.0 * s * n * moments[:, 1:4] / _WIDTH_HZ + n * n * _FLAT / _WIDTH_HZ
    mean = (s[:, 0] * moments[:, 2]) + n[:, 0] * _FLAT[1]
    about = mixed[:, 2] - 2.0 * mean * mixed[:, 1] + mean * mean * mixed[:, 0]
    taper = _HANN / window_s
    relative = 0.5 * np.sqrt(mixed[:, 0] / window_s)
    return relative, np.sqrt(np.maximum(0.0, about) * taper), (mean * mixed[:, 0] - mixed[:, 1]) * taper
