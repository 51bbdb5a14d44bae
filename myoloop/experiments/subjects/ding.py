"""Ding's muscle model of 2003: its constants, and what follows from them.

With x = Cn / (Km + Cn)::

    Cn(t) = (Cn0 + S0 t / tau_c) exp(-t / tau_c)     between pulses;  S <- S exp(-t / tau_c) + R at each
    R     = 1 + (R0 - 1) exp(-interval / tau_c)      R0 = Km_rest + 1.04;  R = 1 for the first
    dF/dt = A x - F / (tau1 + tau2 x)
    dA/dt = -(A - A_rest) / tau_fat + alpha_A F, and so for tau1 and Km

The equation of Cn is linear in the pulses, so that its closed form is exact and costs the same for any history.
Constants: Ding, Wexler and Binder-Macleod 2003 as re-tabulated in cocofest (pyomeca/cocofest, ``ding2003``); golden
values in ``tests/data/ding_golden.json``.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
import numpy.typing as npt

TAU_C_S = 0.020
A_REST_N_S = 3009.0
TAU1_REST_S = 0.050957
TAU2_S = 0.060
KM_REST = 0.103
ALPHA_A_S2 = -0.40
ALPHA_TAU1_N = 2.1e-5
ALPHA_KM_S_N = 1.9e-5
R0 = KM_REST + 1.04

#: Mean Cn of an endless 33 Hz train: the train that force capacity is measured with.
_CN_33HZ = 33.0 * TAU_C_S * (1.0 + (R0 - 1.0) * math.exp(-1.0 / (33.0 * TAU_C_S)))

Value = TypeVar("Value", float, npt.NDArray[np.float64])


def force_capacity_n(a_n_s: Value, tau1_s: Value, km: Value) -> Value:
    """Force of a fully recruited muscle at the plateau of a 33 Hz train, in N."""
    x = _CN_33HZ / (km + _CN_33HZ)
    return a_n_s * x * (tau1_s + TAU2_S * x)


#: Of the fresh muscle.
FRESH_N = force_capacity_n(A_REST_N_S, TAU1_REST_S, KM_REST)
