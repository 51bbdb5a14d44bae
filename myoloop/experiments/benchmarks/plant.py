"""Many isometric muscles under 33.3 Hz, pulse by pulse: what the policies are tried on.

The equations and the bins are those of :mod:`myoloop.experiments.subjects.muscle`, without electrical states, limb and
voluntary drive, and stepped by the pulse interval in thirds instead of by milliseconds, so that ten minutes of a
hundred muscles take seconds. Held against that model in the tests. What Ding's model does not have is added: the force
comes later by an electromechanical delay that grows with fatigue.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.ding import (
    A_REST_N_S,
    ALPHA_A_S2,
    ALPHA_KM_S_N,
    ALPHA_TAU1_N,
    FRESH_N,
    KM_REST,
    R0,
    TAU1_REST_S,
    TAU2_S,
    TAU_C_S,
)
from myoloop.experiments.subjects.muscle import BINS, SHARES, bins_recruited

Array = npt.NDArray[np.float64]

PULSE_S = 0.03
_PARTS = 3
_PART_S = PULSE_S / _PARTS
#: The delay doubles, nearly, in a muscle without force (30 to 60 ms: Merad 2016).
DELAY_GROWTH = 0.8
#: Thirds of an interval that are remembered for it.
_PAST = 10
#: Of a bin less is not recruited, as in the muscle of the virtual subject.
_RECRUITED_AT_LEAST = 0.01
_MIDDLE: Array = (np.arange(_PARTS, dtype=np.float64)[:, None, None] + 0.5) * (_PART_S / TAU_C_S)
_KEEP: Array = np.exp(-_MIDDLE)
_RISE: Array = _MIDDLE * _KEEP
_END_KEEP = math.exp(-PULSE_S / TAU_C_S)
_END_RISE = PULSE_S / TAU_C_S * _END_KEEP
_REST: Array = np.array([A_REST_N_S, TAU1_REST_S, KM_REST])[:, None, None]
_ALPHA: Array = np.array([ALPHA_A_S2, ALPHA_TAU1_N, ALPHA_KM_S_N])[:, None, None]


class Plant:
    """Muscles with a force of 1 when fresh and fully recruited.

    Parameters
    ----------
    median_ma, spread
        Of each muscle's recruitment curve: (muscles,).
    fatigue_rate, recovery_s
        Factor on Ding's fatigue coefficients, and time constant of recovery: (muscles,).
    delay_s
        Electromechanical delay of the fresh muscle beyond what calcium makes in the model: (muscles,).

    Attributes
    ----------
    force
        Of each muscle at the end of the last interval, relative to its fresh maximum.
    """

    def __init__(self, median_ma: Array, spread: Array, fatigue_rate: Array, recovery_s: Array, delay_s: Array) -> None:
        from scipy.special import ndtr

        self._ndtr = ndtr
        self._median_ma, self._spread = np.asarray(median_ma, dtype=np.float64), np.asarray(spread, dtype=np.float64)
        rate, recovery = np.asarray(fatigue_rate)[:, None], np.asarray(recovery_s)[:, None]
        shape = (len(self._median_ma), BINS)
        self._cn, self._s, self._stress, self._evoked, self._part = (np.zeros(shape) for _ in range(5))
        self._since_s = np.full(shape, math.inf)
        self._slow = np.repeat(np.repeat(_REST, shape[0], axis=1), BINS, axis=2)
        self._recovers = np.exp(-PULSE_S / recovery)
        self._driven = _ALPHA * (rate * recovery)
        self._delay_s = np.asarray(delay_s, dtype=np.float64)
        self._rows = np.arange(shape[0])
        #: Force of the newest thirds, newest last.
        self._past = np.zeros((_PAST + _PARTS, shape[0]))
        self.force = np.zeros(shape[0])

    def recruits(self, current_ma: Array) -> Array:
        """Share of each muscle that a pulse of this current recruits."""
        with np.errstate(divide="ignore"):
            return np.asarray(self._ndtr(np.log(current_ma / self._median_ma) / self._spread))

    def pulse(self, current_ma: Array) -> Array:
        """Give each muscle a pulse (none at 0 mA) and go on for an interval.

        Returns
        -------
        array (3, muscles)
            Force at the end of each third of the interval, relative to the fresh maximum.
        """
        recruited = bins_recruited(self.recruits(current_ma))
        hit = recruited >= _RECRUITED_AT_LEAST
        self._s += np.where(hit, 1.0 + (R0 - 1.0) * np.exp(-self._since_s / TAU_C_S), 0.0)
        self._since_s = np.where(hit, 0.0, self._since_s) + PULSE_S
        self._part = np.where(hit, recruited, self._part)
        middle = _KEEP * self._cn + _RISE * self._s
        self._cn = _END_KEEP * self._cn + _END_RISE * self._s
        self._s *= _END_KEEP
        a, tau1, km = self._slow
        x = middle / (km + middle)
        tau = tau1 + TAU2_S * x
        keep = np.exp(-_PART_S / tau)
        gained = a * x * tau * (1.0 - keep)
        forces = np.empty((_PARTS, len(self.force)))
        weight = self._part
        stress_sum = 0.5 * self._stress
        stress, evoked = self._stress, self._evoked
        for third in range(_PARTS):
            stress = stress * keep[third] + gained[third]
            evoked = evoked * keep[third] + gained[third] * weight
            stress_sum = stress_sum + stress
            forces[third] = evoked @ SHARES
        stress_sum -= 0.5 * stress
        self._stress, self._evoked = stress, evoked
        goal = _REST + self._driven * (stress_sum / _PARTS)
        self._slow = goal + (self._slow - goal) * self._recovers
        np.maximum(self._slow[0], 0.02 * A_REST_N_S, out=self._slow[0])
        self._past = np.concatenate([self._past[_PARTS:], forces / FRESH_N])
        tired = 1.0 - self._slow[0] @ SHARES / A_REST_N_S
        late = np.minimum(np.rint(self._delay_s * (1.0 + DELAY_GROWTH * tired) / _PART_S), _PAST).astype(np.intp)
        shown: Array = self._past[_PAST + np.arange(_PARTS)[:, None] - late, self._rows]
        self.force = shown[-1]
        return shown
