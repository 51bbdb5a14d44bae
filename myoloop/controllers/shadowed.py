"""A controller with a learned policy beside it that computes and does not act.

The controller that acts knows nothing of it: the shadow hears what its policy was given, after it has decided. What the
shadow would have asked for goes out on ``shadow``, which no node listens to; what it does wrong ends in that message,
too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myoloop.controllers.controller import Controller
from myoloop.controllers.parts import Faults
from myoloop.controllers.policies.fitted_q import FittedQSettings
from myoloop.controllers.policies.guarded import GuardedPolicy
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.policies.shadowing import FittedQShadow
from myoloop.controllers.settings import ControllerSettings
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import Shadow
from myoloop.platform.plugins import plugin_settings
from myoloop.platform.steps import Outgoing, StepInput

#: The policy that acts while another computes in its shadow.
ACTING = "adaptive_gain"
#: The policy that can.
LEARNED = "fitted_q"


def make_controller(settings: ControllerSettings, state: Mapping[str, Any] | None = None) -> Controller | Shadowed:
    """A controller, with a shadow where the settings have one.

    Raises
    ------
    ValueError
        As :class:`~myoloop.controllers.controller.Controller`; or if the shadow cannot follow the policy that acts.
    """
    return Controller(settings, state) if settings.shadow is None else Shadowed(settings, state)


class Shadowed:
    """A controller and a shadow.

    Attributes
    ----------
    controller
        Who acts.

    Raises
    ------
    ValueError
        If another policy than adaptive gain acts, or the shadow's settings do not fit.
    """

    name = "controller"

    def __init__(self, settings: ControllerSettings, state: Mapping[str, Any] | None = None) -> None:
        self.controller = Controller(settings, state)
        self._shadow = Beside(settings)
        self.controller.overhear(self._shadow)
        if state is not None:
            try:
                self._shadow.restore(state["shadow"])
            except (KeyError, TypeError) as error:
                raise StateError(f"not the state of a controller with a shadow: {error}") from None

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """Those of the controller."""
        return self.controller.subscriptions

    @property
    def settings(self) -> ControllerSettings:
        """What it was made from."""
        return self.controller.settings

    def step(self, given: StepInput) -> list[Outgoing]:
        """Take one step; then, where the policy was asked, what the shadow would have asked for."""
        outgoing = self.controller.step(given)
        heard = self._shadow.take()
        if heard is not None:
            outgoing.append(Outgoing("shadow", heard.message(given.number)))
        return outgoing

    def state(self) -> dict[str, Any]:
        """The controller's own, and the shadow's: JSON-ready."""
        return {**self.controller.state(), "shadow": self._shadow.state()}


@dataclass(frozen=True, slots=True)
class Compared:
    """What one policy asks for and what the other would have, in one step."""

    given: PolicyInput
    asked: Decision
    would: Decision
    classic_ma: dict[str, float]
    residual: float

    @property
    def same(self) -> bool:
        """Whether the shadow goes on from what is really asked for."""
        return all(self.classic_ma.get(name, 0.0) == current for name, current in self.asked.current_ma.items())

    def message(self, step: int) -> Shadow:
        """As it is recorded."""
        return Shadow(
            step=step,
            t_ns=self.given.now_ns,
            asked_ma=dict(self.asked.current_ma),
            would_ma=dict(self.would.current_ma),
            residual=self.residual,
            same=self.same,
            reason=self.would.reason,
            fault=self.would.fault,
        )


class Beside:
    """Listens to the policy that acts, and asks the shadow the same.

    Parameters
    ----------
    settings
        Of the controller; its `shadow` names the policy.

    Raises
    ------
    ValueError
        If it has none, another policy than adaptive gain acts, or the settings do not fit.
    """

    def __init__(self, settings: ControllerSettings) -> None:
        chosen = settings.shadow
        if chosen is None or chosen.name != LEARNED:
            raise ValueError(f"shadow: found {chosen.name if chosen else None!r}, allowed is {LEARNED}")
        if settings.policy.name != ACTING:
            raise ValueError(f"shadow: the policy is {settings.policy.name!r}; a shadow follows {ACTING} and no other")
        channels = tuple(output.channel for output in settings.stim)
        policy_settings: FittedQSettings = plugin_settings("shadow", FittedQShadow, dict(chosen.settings))
        self.policy = FittedQShadow(policy_settings, channels)
        # Whatever goes wrong in it ends in its own faults, of which nobody is told but the record.
        self._guarded = GuardedPolicy(self.policy, LEARNED, channels, Faults())
        self._heard: Compared | None = None

    def decided(self, given: PolicyInput, decision: Decision) -> None:
        """The policy that acts was asked."""
        would = self._guarded.decide(given)
        self._heard = Compared(given, decision, would, dict(self.policy.classic_ma), self.policy.residual)

    def reset(self) -> None:
        """The protocol does not run."""
        self._guarded.reset()

    def take(self) -> Compared | None:
        """What was heard in this step, if anything was."""
        heard, self._heard = self._heard, None
        return heard

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on: JSON-ready."""
        return self._guarded.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        self._guarded.restore(state)
