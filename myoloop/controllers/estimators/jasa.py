"""Joint analysis of the EMG's spectrum and amplitude (JASA, after Luttmann et al.): why has it changed?

A muscle that tires needs more of its fibres for the same force while they conduct more slowly: amplitude up, frequency
down. One that is asked for more force goes up in both, one that is asked for less down in both, and one that recovers
goes the other way. A sign counts only where its 95 % interval says so.
"""

from __future__ import annotations

import math

UNDETERMINED = "undetermined"
#: (amplitude rises, frequency rises) -> what it is.
QUADRANTS = {
    (True, False): "fatigue",
    (True, True): "force increase",
    (False, True): "recovery",
    (False, False): "force decrease",
}


def quadrant(amplitude: tuple[float, float], frequency: tuple[float, float]) -> str:
    """The quadrant of two slopes.

    Parameters
    ----------
    amplitude, frequency
        95 % interval of each slope, (low, high), in any unit. An end that is not known is infinite.

    Returns
    -------
    str
        ``fatigue``, ``force increase``, ``recovery``, ``force decrease``, or ``undetermined`` where either interval
        holds zero or is not a number.
    """
    signs = _sign(*amplitude), _sign(*frequency)
    if signs[0] is None or signs[1] is None:
        return UNDETERMINED
    return QUADRANTS[signs[0], signs[1]]


def _sign(low: float, high: float) -> bool | None:
    if math.isnan(low) or math.isnan(high) or low <= 0 <= high:
        return None
    return low > 0
