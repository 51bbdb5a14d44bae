"""The controlled quantity: which of the things that are known a policy keeps at its set point, and for how long not."""

from __future__ import annotations

import math
from typing import ClassVar, Literal

from myoloop.controllers.policies.policy import PolicyInput
from myoloop.controllers.signals.snapshot import Restorable

Quantity = Literal["force", "angle", "effort", "response", "level_uv"]

#: What a set point and a measurement of each are given in.
UNITS: dict[str, str] = {"force": "N", "angle": "rad", "effort": "", "response": "", "level_uv": "uV"}
#: Less than this share of what was asked for came through: the muscle did not get it, and its answer is to less.
HELD_BACK = 0.98
#: Quantities that belong to a muscle.
OF_A_MUSCLE = frozenset({"effort", "response", "level_uv"})


def check_quantity(policy: str, quantity: str, muscle: str, setpoint: float) -> None:
    """Refuse a quantity that needs a muscle without one, and a set point that is no number above 0.

    Raises
    ------
    ValueError
        Naming the setting.
    """
    if quantity in OF_A_MUSCLE and not muscle:
        raise ValueError(f"{policy}.muscle is not given, {quantity} is that of a muscle")
    if not (math.isfinite(setpoint) and setpoint > 0):
        raise ValueError(f"{policy}.setpoint is {setpoint:g}, it must be a number above 0")


def measured(given: PolicyInput, quantity: Quantity, muscle: str) -> float | None:
    """The controlled quantity now; None where it is not known, not valid or not a finite number."""
    value: float | None = None
    if quantity == "force":
        value = given.force_n
    elif quantity == "angle":
        if given.motion is not None and given.motion.angle_rad.valid:
            value = given.motion.angle_rad.value
    else:
        estimate = given.estimates.get(muscle)
        if estimate is None:
            return None
        if quantity == "level_uv":
            value = estimate.level_uv
        else:
            measure = estimate.effort if quantity == "effort" else estimate.response
            value = measure.value if measure.valid else None
    return value if value is not None and math.isfinite(value) else None


class Sight(Restorable):
    """For how long the controlled quantity has not been known while it was needed.

    Parameters
    ----------
    lost_s
        It counts as lost after so long.
    """

    _kept: ClassVar[tuple[str, ...]] = ("blind_s",)

    def __init__(self, lost_s: float) -> None:
        self._lost_s = lost_s
        self.blind_s = 0.0

    def see(self, known: bool, seconds: float) -> bool:
        """Note whether it is known in this step; whether it counts as lost."""
        self.blind_s = 0.0 if known else self.blind_s + seconds
        return self.lost

    @property
    def lost(self) -> bool:
        """Whether it has not been known for too long."""
        return self.blind_s > self._lost_s

    def reset(self) -> None:
        """Begin anew."""
        self.blind_s = 0.0
