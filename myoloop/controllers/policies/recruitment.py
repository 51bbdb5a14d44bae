"""The recruitment curve as a controller knows it: which current recruits which share of the muscle, and back.

The thresholds of the motor axons under the pads are log-normally spread, so the share that a current I recruits is
``Phi(ln(I / median) / spread)``; below the motor threshold nothing is recruited. Another phase width shifts the
median by Weiss' strength-duration law, ``median(width) ~ 1 + chronaxie / width``. This is a model of what answers;
:func:`fit_recruitment` finds it from answers to a few currents.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

_NORMAL = NormalDist()
#: Shares that are asked of the inverse; what is beyond costs current and adds nothing.
_LEAST, _MOST = 0.002, 0.995
#: Share from which on a response can be told from none.
_ANSWERS = 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class RecruitmentCurve:
    """Share of the muscle by current.

    Attributes
    ----------
    median_ma
        Recruits half of it, at `phase_us`.
    spread
        Standard deviation of the logarithm of the thresholds.
    threshold_ma
        Below it nothing answers; 0 where that is not known.
    phase_us
        Phase width that these currents are for; 0: whatever width is used.
    chronaxie_us
        Of the strength-duration law.
    """

    median_ma: float
    spread: float
    threshold_ma: float = 0.0
    phase_us: float = 0.0
    chronaxie_us: float = 300.0

    def scale(self, phase_us: float) -> float:
        """Currents at another width over those at `phase_us`."""
        if self.phase_us <= 0.0 or phase_us <= 0.0:
            return 1.0
        return (1.0 + self.chronaxie_us / phase_us) / (1.0 + self.chronaxie_us / self.phase_us)

    def share(self, current_ma: float, phase_us: float = 0.0) -> float:
        """Share that a current recruits, 0 to 1."""
        scale = self.scale(phase_us)
        if current_ma <= 0.0 or current_ma < self.threshold_ma * scale:
            return 0.0
        return 0.5 * math.erfc(-math.log(current_ma / (self.median_ma * scale)) / (self.spread * math.sqrt(2.0)))

    def current_ma(self, share: float, phase_us: float = 0.0) -> float:
        """Current that recruits a share: 0 for none; else at least the threshold, as the dead zone below is skipped."""
        if not share > 0.0:
            return 0.0
        scale = self.scale(phase_us)
        z = _NORMAL.inv_cdf(min(max(share, _LEAST), _MOST))
        return max(self.threshold_ma, self.median_ma * math.exp(self.spread * z)) * scale


def fit_recruitment(
    currents_ma: Sequence[float], responses: Sequence[float], *, phase_us: float = 0.0, chronaxie_us: float = 300.0
) -> tuple[RecruitmentCurve, float]:
    """Find curve and full response from the answers to short trains of the rested muscle.

    Least squares of ``full * Phi(ln(I / median) / spread)`` over full response, median and spread.

    Parameters
    ----------
    currents_ma, responses
        At least four currents, from no answer to a strong one, and the steady response to each, in its own unit.

    Returns
    -------
    curve
        `threshold_ma` is the current of a share of 0.5 %.
    full_response
        Response to full recruitment, in the unit of `responses`.

    Raises
    ------
    ValueError
        If there are too few currents, one is not above 0, or no response differs from the others.
    """
    pairs = [(float(i), float(y)) for i, y in zip(currents_ma, responses, strict=True)]
    if len(pairs) < 4:
        raise ValueError(f"{len(pairs)} currents: a recruitment curve needs at least four")
    if not all(math.isfinite(i) and i > 0 and math.isfinite(y) for i, y in pairs):
        raise ValueError("a recruitment curve needs finite responses to currents above 0 mA")
    top = max(y for _, y in pairs)
    if not top > 0 or top - min(y for _, y in pairs) < 0.05 * top:
        raise ValueError("no response differs from the others: nothing was recruited, or all of it always")
    from scipy.optimize import least_squares
    from scipy.special import ndtr

    current, response = np.array([i for i, _ in pairs]), np.array([y for _, y in pairs])
    middle = float(np.interp(0.5 * top, np.maximum.accumulate(response), current))

    def miss(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        return np.asarray(x[2] * ndtr(np.log(current / math.exp(x[0])) / math.exp(x[1])) - response / top)

    near = [math.log(middle), math.log(0.35), 1.0]
    bounds = ([math.log(current.min() / 3), math.log(0.05), 0.5], [math.log(current.max() * 3), math.log(1.5), 3.0])
    found = least_squares(miss, near, bounds=bounds, xtol=1e-10, ftol=1e-10)
    median, spread, full = math.exp(found.x[0]), math.exp(found.x[1]), float(found.x[2]) * top
    curve = RecruitmentCurve(median_ma=median, spread=spread, phase_us=phase_us, chronaxie_us=chronaxie_us)
    return replace(curve, threshold_ma=curve.current_ma(_ANSWERS)), full
