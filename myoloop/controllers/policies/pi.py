"""PI: keep what is measured at a set point, around the target's current as feed-forward.

Asked for is target x trapezoid x (1 + correction); the correction is proportional and integral in the error while
the trial holds, and stays what it was outside of it, so that nothing jumps. What the gate did not allow is taken
back out of the integral (:mod:`myoloop.controllers.policies.correction`). It needs to know nothing of the muscle; a
policy that knows the recruitment curve tracks better (:mod:`myoloop.controllers.policies.inverse_recruitment`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from myoloop.controllers.policies.controlled import HELD_BACK, UNITS, Quantity, Sight, check_quantity, measured
from myoloop.controllers.policies.correction import Correction
from myoloop.controllers.policies.policy import Decision, PolicyInput, since, trapezoid
from myoloop.controllers.signals.snapshot import Restorable


@dataclass(frozen=True, slots=True, kw_only=True)
class PISettings:
    """Set point and gains.

    Attributes
    ----------
    muscle, quantity, setpoint
        What is kept, and where: ``force`` in the force cell's unit, ``angle`` of the joint in rad, ``level_uv`` in µV;
        the others are relative. `muscle` is not needed for force and angle.
    proportional
        Correction (share of the target) per unit of error.
    integral_per_s
        The same, per second.
    correction_max
        The correction stays within -1 and this.
    tracking_s
        How fast the integral gives way to what was not allowed.
    lost_s
        What has not been known for so long while the trial holds is lost: what was added to the target then goes back
        to nothing with `tracking_s`. Until then the correction is kept.
    """

    quantity: Quantity
    setpoint: float
    muscle: str = ""
    proportional: float = 0.5
    integral_per_s: float = 0.5
    correction_max: float = 0.5
    tracking_s: float = 0.3
    lost_s: float = 2.0

    def __post_init__(self) -> None:
        check_quantity("pi", self.quantity, self.muscle, self.setpoint)
        for name in ("proportional", "integral_per_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"pi.{name} is {value:g}, allowed is 0 and more, finite")
        for name in ("tracking_s", "lost_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"pi.{name} is {value:g}, it must be above 0 s, finite")
        if not 0 <= self.correction_max <= 1:
            raise ValueError(f"pi.correction_max is {self.correction_max}, allowed is 0 to 1")


class PI(Restorable):
    """Target times trapezoid times (1 + correction)."""

    Settings = PISettings

    _kept: ClassVar[tuple[str, ...]] = ("_correction", "_sight", "_last_ns")

    def __init__(self, settings: PISettings, channels: tuple[str, ...]) -> None:
        del channels
        self._settings = s = settings
        self._correction = Correction(s.proportional, s.integral_per_s, -1.0, s.correction_max, s.tracking_s)
        self._sight = Sight(s.lost_s)
        self._last_ns: int | None = None

    def decide(self, given: PolicyInput) -> Decision:
        """Ask for the corrected target."""
        settings, phase, correction = self._settings, given.phase, self._correction
        seconds, hole = since(self._last_ns, given.now_ns)
        self._last_ns = given.now_ns
        if hole:
            correction.keep()
        reason = f"PI: {phase.trial_state}"
        held, saturated = None, False
        if phase.trial_state == "hold":
            value = measured(given, settings.quantity, settings.muscle)
            lost = self._sight.see(value is not None, seconds)
            if value is not None:
                setpoint = settings.setpoint * given.set_point_share
                error = setpoint - value
                correction.go_on(
                    error,
                    seconds,
                    correction.cut(given.report, self._share_cut),
                    # What the reflexes hold back is not to be made up for.
                    integrate=error < 0 or given.let_through > HELD_BACK,
                )
                saturated = correction.value >= settings.correction_max
                held = value / setpoint
                reason = (
                    f"PI: {settings.quantity} {value:.3g} of {setpoint:.3g} {UNITS[settings.quantity]}".rstrip()
                    + f", correction {correction.value:+.3f}"
                )
            elif lost:
                correction.fall(seconds, settings.tracking_s)
                reason = (
                    f"PI: {settings.quantity} not known for {self._sight.blind_s:.1f} s, "
                    f"correction falls, {correction.value:+.3f}"
                )
            else:
                correction.keep()
                reason = f"PI: {settings.quantity} not known, correction kept at {correction.value:+.3f}"
        else:
            correction.keep()
        return Decision(
            {
                target.channel: target.current_ma * trapezoid(phase, target, given.now_ns) * (1.0 + correction.value)
                for target in phase.targets
            },
            reason,
            saturated=saturated,
            held=held,
        )

    def reset(self) -> None:
        """Forget the correction."""
        self._correction.reset()
        self._sight.reset()
        self._last_ns = None

    def _share_cut(self, requested_ma: float, allowed_ma: float) -> float:
        return (allowed_ma - requested_ma) / requested_ma * (1.0 + self._correction.value)
