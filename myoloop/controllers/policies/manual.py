"""Manual: the operator's dial times the target, within the trial's trapezoid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from myoloop.controllers.policies.policy import Decision, PolicyInput, since, towards, trapezoid
from myoloop.controllers.signals.snapshot import Restorable


@dataclass(frozen=True, slots=True, kw_only=True)
class ManualSettings:
    """How fast the dial may act.

    Attributes
    ----------
    full_turn_s
        A turn of the dial from 0 to 1 takes at least so long; down it acts at once.
    """

    full_turn_s: float = 1.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.full_turn_s) and self.full_turn_s > 0):
            raise ValueError(f"manual.full_turn_s is {self.full_turn_s:g}, allowed is above 0 s, finite")


class Manual(Restorable):
    """``Phase.level`` times target times trapezoid."""

    Settings = ManualSettings

    _kept: ClassVar[tuple[str, ...]] = ("_level", "_last_ns")

    def __init__(self, settings: ManualSettings, channels: tuple[str, ...]) -> None:
        del channels
        self._settings = settings
        self._level = 0.0
        self._last_ns: int | None = None

    def decide(self, given: PolicyInput) -> Decision:
        """Ask for the dial's share of the target."""
        phase = given.phase
        seconds, hole = since(self._last_ns, given.now_ns)
        self._last_ns = given.now_ns
        if hole:
            self._level = 0.0
        dial = min(max(phase.level, 0.0), 1.0)
        self._level = towards(self._level, dial, seconds, self._settings.full_turn_s, 0.0)
        return Decision(
            {
                target.channel: self._level * target.current_ma * trapezoid(phase, target, given.now_ns)
                for target in phase.targets
            },
            f"manual: dial at {self._level:.2f}",
        )

    def reset(self) -> None:
        """The dial counts as at zero until it is read again."""
        self._level = 0.0
        self._last_ns = None
