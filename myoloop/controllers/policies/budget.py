"""How much charge a learned policy may add to what the classic one would ask for: so much in a session, and no more.

What is asked for beyond the classic request is counted as if it flowed until the next step, at most for one lease. It
is never more than a lease of it has left, so that it fades out as the budget ends, and never passes it.
"""

from __future__ import annotations

from typing import ClassVar

from myoloop.controllers.policies.recruitment import RecruitmentCurve
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Target

#: No request holds longer: the gate's longest lease.
LEASE_S = 0.12


class ChargeBudget(Restorable):
    """The account of a session; a pause does not refill it.

    Parameters
    ----------
    budget_uc
        Charge, per phase, that may be asked for beyond the classic request.

    Attributes
    ----------
    spent_uc
        Of it.
    """

    _kept: ClassVar[tuple[str, ...]] = ("spent_uc", "_flowing_uc_per_s")

    def __init__(self, budget_uc: float) -> None:
        self._budget_uc = budget_uc
        self.spent_uc = 0.0
        self._flowing_uc_per_s = 0.0

    @property
    def left_uc(self) -> float:
        """What is left of it."""
        return max(0.0, self._budget_uc - self.spent_uc)

    def go_on(self, seconds: float) -> None:
        """So long ago something was asked for last: what it may have added is spent."""
        self.spent_uc += self._flowing_uc_per_s * min(seconds, LEASE_S)
        self._flowing_uc_per_s = 0.0

    def within(self, share: float, classic: float, curve: RecruitmentCurve, target: Target) -> float:
        """What may be asked for of a share of the muscle, where the classic policy would ask for `classic`."""
        if share <= classic:
            return share
        least_ma = _asked_ma(classic, curve, target)
        uc_per_s_of_ma = target.phase_us * target.rate_hz * 1e-3
        most_ma = least_ma
        if uc_per_s_of_ma > 0.0:
            most_ma += self.left_uc / LEASE_S / uc_per_s_of_ma
        if _asked_ma(share, curve, target) > most_ma:
            share = max(classic, curve.share(most_ma, target.phase_us))
            if _asked_ma(share, curve, target) > most_ma:
                # Shares near none or all of the muscle are asked for with the current of the nearest one that is.
                share = classic
        self._flowing_uc_per_s = max(0.0, _asked_ma(share, curve, target) - least_ma) * uc_per_s_of_ma
        return share


def _asked_ma(share: float, curve: RecruitmentCurve, target: Target) -> float:
    return min(curve.current_ma(share, target.phase_us), target.current_ma) if share > 0.0 else 0.0
