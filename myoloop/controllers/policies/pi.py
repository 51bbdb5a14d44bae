"""PI: keep effort, response or EMG level at a set point, around the target as feed-forward.

Asked for is target x trapezoid x (1 + correction); the correction is proportional and integral in the error while
the trial holds, and stays what it was outside of it, so that nothing jumps. What the gate did not allow is taken
back out of the integral (back-calculation), so that it does not wind up against a limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from myoloop.controllers.policies.policy import Decision, PolicyInput, trapezoid
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import MuscleEstimate, StimReport


@dataclass(frozen=True, slots=True, kw_only=True)
class PISettings:
    """Set point and gains.

    Attributes
    ----------
    muscle, quantity, setpoint
        What is kept, and where. ``level_uv`` in µV; the others are relative.
    proportional
        Correction (share of the target) per unit of error.
    integral_per_s
        The same, per second.
    correction_max
        The correction stays within -1 and this.
    tracking_s
        How fast the integral gives way to what was not allowed.
    """

    muscle: str
    quantity: Literal["effort", "response", "level_uv"]
    setpoint: float
    proportional: float = 0.5
    integral_per_s: float = 0.5
    correction_max: float = 0.5
    tracking_s: float = 0.3

    def __post_init__(self) -> None:
        if self.tracking_s <= 0:
            raise ValueError(f"pi.tracking_s is {self.tracking_s}, it must be above 0 s")
        if not 0 <= self.correction_max <= 1:
            raise ValueError(f"pi.correction_max is {self.correction_max}, allowed is 0 to 1")


class PI(Restorable):
    """Target times trapezoid times (1 + correction)."""

    Settings = PISettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_integral",
        "_correction",
        "_last_ns",
        "_in_hold",
        "_report_step",
        "_report_ns",
    )

    def __init__(self, settings: PISettings, channels: tuple[str, ...]) -> None:
        del channels
        self._settings = settings
        self._integral = 0.0
        self._correction = 0.0
        self._last_ns: int | None = None
        self._in_hold = False
        self._report_step: int | None = None
        self._report_ns: int | None = None

    def decide(self, given: PolicyInput) -> Decision:
        """Ask for the corrected target."""
        phase = given.phase
        seconds = 0.0 if self._last_ns is None else max(0, given.now_ns - self._last_ns) * 1e-9
        self._last_ns = given.now_ns
        holding = phase.trial_state == "hold"
        measured = self._measured(given.estimates.get(self._settings.muscle))
        reason = f"PI: {phase.trial_state}"
        if holding and measured is not None:
            error = self._settings.setpoint - measured
            self._correct(error, seconds, given.report)
            reason = f"PI: {self._settings.quantity} {measured:.3g}, correction {self._correction:+.3f}"
        elif holding:
            reason = f"PI: {self._settings.quantity} not known, correction kept at {self._correction:+.3f}"
        self._in_hold = holding and measured is not None
        return Decision(
            {
                target.channel: target.current_ma * trapezoid(phase, target, given.now_ns) * (1.0 + self._correction)
                for target in phase.targets
            },
            reason,
        )

    def reset(self) -> None:
        """Forget the correction."""
        self._integral = self._correction = 0.0
        self._last_ns = None
        self._in_hold = False
        self._report_step = self._report_ns = None

    def _measured(self, estimate: MuscleEstimate | None) -> float | None:
        if estimate is None:
            return None
        if self._settings.quantity == "level_uv":
            return estimate.level_uv
        measure = estimate.effort if self._settings.quantity == "effort" else estimate.response
        return measure.value if measure.valid else None

    def _correct(self, error: float, seconds: float, report: StimReport | None) -> None:
        settings = self._settings
        proportional = settings.proportional * error
        if not self._in_hold:
            # Bumpless: the integral starts where the correction goes on.
            self._integral = self._correction - proportional
        else:
            self._integral += settings.integral_per_s * error * seconds
        self._integral += self._not_allowed(report)
        wanted = self._integral + proportional
        limited = min(max(wanted, -1.0), settings.correction_max)
        self._integral += (limited - wanted) * min(1.0, seconds / settings.tracking_s)
        self._correction = limited

    def _not_allowed(self, report: StimReport | None) -> float:
        """By how much the integral gives way to what the newest report did not allow; each report counts once."""
        if report is None or report.step == self._report_step:
            return 0.0
        seconds = 0.0 if self._report_ns is None else max(0, report.t_ns - self._report_ns) * 1e-9
        self._report_step, self._report_ns = report.step, report.t_ns
        allowed = {item.channel: item.current_ma for item in report.allowed}
        short = 0.0
        for item in report.requested:
            if item.current_ma > 0:
                share = (allowed.get(item.channel, 0.0) - item.current_ma) / item.current_ma
                short = min(short, share * (1.0 + self._correction))
        return short * min(1.0, seconds / self._settings.tracking_s)
