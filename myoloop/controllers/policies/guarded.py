"""A policy as the controller asks it: whatever it does ends in plain numbers, or in zero and a reason."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from numbers import Real
from typing import Any, Protocol

from myoloop.controllers.parts import Faults, one_line, said, savable
from myoloop.controllers.policies.policy import Decision, Policy, PolicyInput
from myoloop.controllers.signals.snapshot import StateError

_DIGIT = re.compile(r"\d")


class PolicyListener(Protocol):
    """Hears what a policy is given and what it decides, and changes nothing; it must not raise."""

    def decided(self, given: PolicyInput, decision: Decision) -> None:
        """The policy was asked, and this came of it."""
        ...

    def reset(self) -> None:
        """The policy is reset: the protocol does not run."""
        ...


class GuardedPolicy:
    """Asks a policy, and lets nothing of it through that is not a finite current on a known channel.

    A policy that fails in one step is asked again in the next. One whose reset failed is not asked until a reset has
    succeeded, because nobody knows what its integrators hold.

    Parameters
    ----------
    policy
        Anybody's.
    name
        As the protocol names it.
    channels
        Stimulation channels that it may name.
    faults
        Where what it does wrong is told.
    """

    def __init__(self, policy: Policy, name: str, channels: tuple[str, ...], faults: Faults) -> None:
        self._policy = policy
        self._name = name
        self._nothing = dict.fromkeys(channels, 0.0)
        self._faults = faults
        self._not_reset = ""
        self._listener: PolicyListener | None = None

    @property
    def inner(self) -> Policy:
        """The policy itself."""
        return self._policy

    def overhear(self, listener: PolicyListener) -> None:
        """Let a listener hear each step from now on."""
        self._listener = listener

    def decide(self, given: PolicyInput) -> Decision:
        """What it asks for on every channel; zero with the reason where that is nothing to go by."""
        decision = self._ask(given)
        if self._listener is not None:
            self._listener.decided(given, decision)
        return decision

    def _ask(self, given: PolicyInput) -> Decision:
        if self._not_reset:
            return self._zero("failed", f"reset: {self._not_reset}", "reset")
        try:
            decision = self._policy.decide(given)
            current_ma, wrong, cause = self._plain(decision.current_ma)
            reason, trigger = one_line(decision.reason), bool(decision.trigger)
            saturated, held = bool(decision.saturated), _finite(decision.held)
            fault = one_line(decision.fault)
            told_uv = {str(name): _finite(value) for name, value in decision.threshold_uv.items()}
            threshold_uv = {name: value for name, value in told_uv.items() if value is not None}
        except Exception as error:  # noqa: BLE001 - a policy is anybody's code; whatever it does ends in zero
            return self._zero("failed", said(error), type(error).__name__)
        if wrong:
            return self._zero("refused", wrong, cause)
        if fault:
            # The same with other figures is no other cause.
            self._faults.tell(f"policy says {_DIGIT.split(fault, maxsplit=1)[0]}", f"policy {self._name!r} {fault}")
        return Decision(current_ma, reason, trigger, saturated, held, fault, threshold_uv)

    def reset(self) -> bool:
        """Reset it; whether that succeeded."""
        if self._listener is not None:
            self._listener.reset()
        try:
            self._policy.reset()
        except Exception as error:  # noqa: BLE001 - as above
            self._not_reset = said(error)
            self._tell("failed", f"reset: {self._not_reset}", "reset")
            return False
        self._not_reset = ""
        return True

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on: JSON-ready. A policy that cannot say it begins anew when restored."""
        inner: dict[str, Any] | None = None
        try:
            inner = self._policy.state()
            wrong = savable(inner)
        except Exception as error:  # noqa: BLE001 - as above
            wrong = said(error)
        if wrong:
            self._tell("failed", f"state: {wrong}", "state")
            inner = None
        return {"policy": inner, "not_reset": self._not_reset}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If the policy does not take back what it gave.
        """
        self._not_reset = state["not_reset"]
        if state["policy"] is None:
            return
        try:
            self._policy.restore(state["policy"])
        except StateError:
            raise
        except Exception as error:
            raise StateError(f"policy {self._name!r} does not take its state back: {said(error)}") from error

    def _plain(self, asked: Mapping[str, Any]) -> tuple[dict[str, float], str, str]:
        """Currents as plain numbers; else what is wrong with them, and in one word."""
        current_ma = dict(self._nothing)
        for channel, value in asked.items():
            if channel not in current_ma:
                return {}, one_line(f"no channel is called {channel!r}"), "channel"
            # numpy's numbers are real numbers too; a truth value is none, whatever Python says.
            if not isinstance(value, Real) or isinstance(value, bool):
                return {}, one_line(f"{channel} at {value!r} mA"), "kind"
            current = float(value)
            if not math.isfinite(current) or current < 0:
                return {}, one_line(f"{channel} at {current!r} mA"), "value"
            current_ma[channel] = current
        return current_ma, "", ""

    def _zero(self, how: str, why: str, cause: str) -> Decision:
        self._tell(how, why, cause)
        return Decision(dict(self._nothing), f"policy {how}: {why}")

    def _tell(self, how: str, why: str, cause: str) -> None:
        self._faults.tell(f"policy {how} {cause}", f"policy {self._name!r} {how}: {why}")


def _finite(value: Any) -> float | None:
    """A number that means something; of what a policy says of itself nothing else is believed."""
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        return None
    return float(value)
