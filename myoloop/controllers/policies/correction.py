"""Proportional-integral correction with back-calculation: the one PI that every policy uses.

``wanted = integral + proportional * error``; what lies beyond the limits, and what the gate did not let through, is
taken back out of the integral with the time constant `tracking_s`, so that it does not wind up against a limit. The
integral begins where the correction stands (bumpless), however long it has not been asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import StimReport


class Correction(Restorable):
    """A correction within limits.

    Parameters
    ----------
    proportional, integral_per_s
        Correction per unit of error, and per unit of error and second.
    low, high
        Its limits.
    tracking_s
        How fast the integral gives way to a limit.
    """

    _kept: ClassVar[tuple[str, ...]] = ("value", "_integral", "_running", "_report_step", "_report_ns")

    def __init__(self, proportional: float, integral_per_s: float, low: float, high: float, tracking_s: float) -> None:
        self._proportional = proportional
        self._integral_per_s = integral_per_s
        self._low, self._high = low, high
        self._tracking_s = tracking_s
        self.value = 0.0
        self._integral = 0.0
        self._running = False
        self._report_step: int | None = None
        self._report_ns: int | None = None

    def go_on(
        self, error: float, seconds: float, not_allowed: float = 0.0, *, integrate: bool = True,
        high: float | None = None,
    ) -> float:  # fmt: skip
        """Take in one error; the correction now.

        Parameters
        ----------
        not_allowed
            By how much the correction was cut (0 or less) since the last step, from :meth:`cut`.
        integrate
            False: the integral stays, for an error that is not one of the steady state.
        high
            A limit that holds now, where that is lower than its own.
        """
        proportional = self._proportional * error
        if not self._running:
            self._integral = self.value - proportional
            self._running = True
        elif integrate:
            self._integral += self._integral_per_s * error * seconds
        self._integral += not_allowed
        wanted = self._integral + proportional
        most = self._high if high is None else min(high, self._high)
        self.value = min(max(wanted, self._low), max(most, self._low))
        self._integral += (self.value - wanted) * min(1.0, seconds / self._tracking_s)
        return self.value

    def keep(self) -> float:
        """Stay as it is; it goes on from here without a jump."""
        self._running = False
        return self.value

    def settle(self, share: float = 1.0) -> float:
        """Outside of a train, where nothing is corrected: only what the integral holds stays, of a gain this share."""
        self.value = min(max(self._integral, self._low), self._high)
        if self.value > 0.0:
            self.value *= share
        self._integral = self.value
        self._running = True
        return self.value

    def fall(self, seconds: float, fall_s: float) -> float:
        """What was added goes back to nothing within a few `fall_s`; what was taken away stays away."""
        self._running = False
        if self.value > 0.0:
            self.value = max(0.0, self.value * (1.0 - min(1.0, seconds / fall_s)))
        return self.value

    def cut(self, report: StimReport | None, as_input: Callable[[float, float], float]) -> float:
        """By how much the integral gives way to what the newest report did not allow; each report counts once.

        What the device's step left is no limit: no rule made it, and the integral has to work against it.

        Parameters
        ----------
        as_input
            From (requested, allowed) current in mA to a difference in the correction's unit, 0 or less.
        """
        if report is None or report.step == self._report_step:
            return 0.0
        seconds = 0.0 if self._report_ns is None else max(0, report.t_ns - self._report_ns) * 1e-9
        self._report_step, self._report_ns = report.step, report.t_ns
        if not report.rule:
            return 0.0
        allowed = {item.channel: item.current_ma for item in report.allowed}
        short = 0.0
        for item in report.requested:
            if item.current_ma > 0:
                short = min(short, as_input(item.current_ma, allowed.get(item.channel, 0.0)))
        return short * min(1.0, seconds / self._tracking_s)

    def reset(self) -> None:
        """Forget everything."""
        self.value = self._integral = 0.0
        self._running = False
        self._report_step = self._report_ns = None
