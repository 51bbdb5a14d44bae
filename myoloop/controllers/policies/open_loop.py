"""Open loop: the target's current along the trial's trapezoid, whatever the EMG says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myoloop.controllers.policies.policy import Decision, PolicyInput, trapezoid


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenLoopSettings:
    """Nothing to set: the protocol's targets say it all."""


class OpenLoop:
    """Target times trapezoid; without memory."""

    Settings = OpenLoopSettings

    def __init__(self, settings: OpenLoopSettings, channels: tuple[str, ...]) -> None:
        del settings, channels

    def decide(self, given: PolicyInput) -> Decision:
        """Ask for the target along the trapezoid."""
        phase = given.phase
        return Decision(
            {target.channel: target.current_ma * trapezoid(phase, target, given.now_ns) for target in phase.targets},
            f"open loop: {phase.trial_state}",
        )

    def reset(self) -> None:
        """Nothing to forget."""

    def state(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Nothing to take over."""
