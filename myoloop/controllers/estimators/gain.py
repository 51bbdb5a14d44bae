"""How much a muscle moves or pulls for the charge it gets, tracked from train to train by Kalman filters.

For the response y of a train (movement or force) to the charge q, both relative to the first trains::

    y = g (q / q0)^p + noise        g falls as the muscle tires

The state is (g, s, g0, p): gain now, its slope, gain at the first train, and the power with which recruitment grows
with charge near the usual one. The slope forgets (an Ornstein-Uhlenbeck process), g0 and p are constants that later
trains still teach something of, so that what is told, g / g0, has the variance that all of them leave it. The power
is known before from the calibration, roughly; trains with other charges make it better known, and until then the
interval is wider the farther the charge is from the usual one.

How much responses scatter and how fast the gain drifts differs between people and set-ups, and an interval is only as
honest as those. So a bank of filters runs, one for each pair of scatter and drift, each weighed by how well it has
foretold the trains so far (multiple-model adaptive estimation). Innovations are taken as Student's t with four degrees
of freedom: a train in which the limb was moved by something else moves the gain little.

In a rest the slope of the trains before means nothing: it is forgotten, the gain may have risen by now, and only the
next train tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.trend import theil_sen
from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]

#: Standard deviation of a response about the gain, relative to the first; in factors of about two.
SCATTERS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32)
#: Standard deviation of the gain's slope per second; Ding's model loses twice the largest at first, at 50 % duty.
DRIFTS_PER_S = (0.0003, 0.001, 0.003)
#: For so long a slope lasts.
SLOPE_S = 40.0
#: Of Student's t.
_FREEDOM = 4.0
#: Weight of an old train against the next: what scatters differently after an hour is believed after some thirty.
_FORGET = 0.97
#: Variance of a line of medians over that of least squares, and some for the first trains not lying on a line.
_LINE_VARIANCE = 2.5
_GAIN, _SLOPE, _FIRST, _POWER = range(4)


@dataclass(frozen=True, slots=True)
class Gain:
    """What is known of a gain.

    Attributes
    ----------
    ratio
        Gain over that of the first train.
    sd
        Its standard deviation.
    """

    ratio: float
    sd: float


class GainBank(Restorable):
    """A bank of Kalman filters per muscle.

    Parameters
    ----------
    muscles
        How many.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_x", "_cov", "_log_weight", "_t_s", "_interval_s")

    def __init__(self, muscles: int) -> None:
        scatter, drift = np.meshgrid(SCATTERS, DRIFTS_PER_S, indexing="ij")
        self._variance: Floats = scatter.ravel() ** 2
        self._drift: Floats = drift.ravel() ** 2
        bank = len(self._variance)
        self._x: Floats = np.zeros((muscles, bank, 4))
        self._cov: Floats = np.zeros((muscles, bank, 4, 4))
        self._log_weight: Floats = np.zeros((muscles, bank))
        self._t_s: Floats = np.zeros(muscles)
        self._interval_s: Floats = np.zeros(muscles)

    def begin(self, muscle: int, t_s: Floats, response: Floats, share: Floats, power: float, power_sd: float) -> None:
        """Begin with the first trains, by a robust line through them.

        Parameters
        ----------
        t_s, response, share
            Of three trains or more: time, response over the first, charge over the usual.
        power, power_sd
            What is known of the power, and how well.
        """
        gain = response * share**-power
        line = theil_sen(t_s, gain)
        n = len(t_s)
        first, last = float(t_s[0]), float(t_s[-1])
        about = t_s - t_s.mean()
        x = self._x[muscle]
        x[:] = (line.at(last), line.slope, line.at(first), power)
        # How the values at both ends and the slope of a line hang on the single responses: (3, n).
        fit = np.empty((3, n))
        fit[_SLOPE] = about / np.sum(about * about)
        fit[_GAIN] = 1.0 / n + about[-1] * fit[_SLOPE]
        fit[_FIRST] = 1.0 / n + about[0] * fit[_SLOPE]
        cov = self._cov[muscle]
        cov[:] = 0.0
        cov[:, :_POWER, :_POWER] = (_LINE_VARIANCE * self._variance)[:, None, None] * (fit @ fit.T)
        # The slope at the end is not that of the whole.
        cov[:, _SLOPE, _SLOPE] += self._drift
        # With another power the line would be another.
        turn = np.append(fit @ (-gain * np.log(share)), 1.0)
        cov += power_sd**2 * np.outer(turn, turn)
        left = line.residuals(t_s, gain)[:, None] / np.sqrt(self._variance)
        fitted = (n - 2) / n
        self._log_weight[muscle] = fitted * np.sum(_log_student(left**2) - 0.5 * np.log(self._variance), axis=0)
        self._t_s[muscle] = last
        self._interval_s[muscle] = (last - first) / (n - 1)

    def update(self, muscle: int, t_s: float, response: float, share: float) -> None:
        """Take in a train: its time, its response over the first, its charge over the usual."""
        x, cov = self._ahead(muscle, t_s - float(self._t_s[muscle]))
        rise = share ** x[:, _POWER]
        foretold = x[:, _GAIN] * rise
        h = np.zeros_like(x)
        h[:, _GAIN] = rise
        h[:, _POWER] = foretold * np.log(share)
        carried = np.einsum("bij,bj->bi", cov, h)
        known = np.einsum("bi,bi->b", carried, h)
        away = response - foretold
        expected = known + self._variance
        square = away**2 / expected
        self._log_weight[muscle] = _FORGET * self._log_weight[muscle] + _log_student(square) - 0.5 * np.log(expected)
        self._log_weight[muscle] -= self._log_weight[muscle].max()
        weight = np.minimum(1.0, (_FREEDOM + 1.0) / (_FREEDOM + square))
        gain = carried / (known + self._variance / weight)[:, None]
        x += gain * away[:, None]
        cov -= np.einsum("bi,bj->bij", gain, carried)
        self._x[muscle] = x
        self._cov[muscle] = 0.5 * (cov + cov.transpose(0, 2, 1))
        interval_s = t_s - float(self._t_s[muscle])
        # Rests between blocks are not the rhythm of the trains.
        self._interval_s[muscle] += 0.2 * (min(interval_s, 3.0 * self._interval_s[muscle]) - self._interval_s[muscle])
        self._t_s[muscle] = t_s

    def tell(self, muscle: int) -> Gain:
        """Gain half an interval after the newest train: until the next one comes."""
        x, cov = self._ahead(muscle, 0.5 * float(self._interval_s[muscle]))
        first = np.maximum(x[:, _FIRST], 0.05)
        ratio = x[:, _GAIN] / first
        variance = (
            cov[:, _GAIN, _GAIN] - 2.0 * ratio * cov[:, _GAIN, _FIRST] + ratio**2 * cov[:, _FIRST, _FIRST]
        ) / first**2
        weight = np.exp(self._log_weight[muscle] - self._log_weight[muscle].max())
        weight /= weight.sum()
        mean = float(weight @ ratio)
        spread = float(weight @ (np.maximum(variance, 0.0) + (ratio - mean) ** 2))
        return Gain(mean, spread**0.5)

    def power(self, muscle: int) -> float:
        """Power of the charge, as the trains have shown it so far."""
        weight = np.exp(self._log_weight[muscle] - self._log_weight[muscle].max())
        return float(weight @ self._x[muscle, :, _POWER] / weight.sum())

    def _ahead(self, muscle: int, span_s: float) -> tuple[Floats, Floats]:
        """State and covariance some time after the newest train."""
        x, cov = self._x[muscle].copy(), self._cov[muscle].copy()
        usual_s = 2.0 * float(self._interval_s[muscle])
        if span_s > usual_s:
            self._drifted(x, cov, usual_s)
            # A rest: what comes now has another slope, and nobody knows which.
            cov[:, _SLOPE, :] = cov[:, :, _SLOPE] = 0.0
            cov[:, _SLOPE, _SLOPE] = self._drift + x[:, _SLOPE] ** 2
            x[:, _SLOPE] = 0.0
            span_s -= usual_s
        self._drifted(x, cov, span_s)
        return x, cov

    def _drifted(self, x: Floats, cov: Floats, span_s: float) -> None:
        left = float(np.exp(-span_s / SLOPE_S))
        moved_s = SLOPE_S * (1.0 - left)
        x[:, _GAIN] += moved_s * x[:, _SLOPE]
        x[:, _SLOPE] *= left
        step = np.eye(4)
        step[_GAIN, _SLOPE] = moved_s
        step[_SLOPE, _SLOPE] = left
        cov[:] = step @ cov @ step.T
        # Integrated Ornstein-Uhlenbeck noise of stationary variance `drift`.
        apart = span_s - moved_s
        cov[:, _GAIN, _GAIN] += self._drift * (2.0 * SLOPE_S * apart - moved_s**2)
        cross = self._drift * moved_s**2 / SLOPE_S
        cov[:, _GAIN, _SLOPE] += cross
        cov[:, _SLOPE, _GAIN] += cross
        cov[:, _SLOPE, _SLOPE] += self._drift * (1.0 - left * left)


def _log_student(square: Floats) -> Floats:
    """Logarithm of Student's density of a standardised distance, without its constant."""
    density: Floats = -0.5 * (_FREEDOM + 1.0) * np.log1p(square / _FREEDOM)
    return density
