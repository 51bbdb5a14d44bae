"""The rules that override any policy: a lost signal, a spasm, fatigue, a task that cannot be held.

A spasm or a bad signal takes all current away at once. Fatigue takes it away smoothly: the more fatigue is estimated,
the less current is let through, and then work and rest alternate. A task that is not held although the current is at
its limit is planned anew. Every intervention says why. Nothing here ever adds current.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from myoloop.controllers.estimators.estimator import ON_TOO_LONG
from myoloop.controllers.reflex.duty import Duty
from myoloop.controllers.reflex.replan import Replan
from myoloop.controllers.reflex.settings import ReflexSettings
from myoloop.controllers.reflex.states import State, follow
from myoloop.controllers.reflex.wish import Wish
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

_RAMPS = frozenset({"ramp_up", "ramp_down"})
_NOT_TOLD = Measure(reason="not told")


class Reflex(Restorable):
    """Overrides a policy's wish.

    Parameters
    ----------
    settings
        Which rules.
    drives
        By stimulation channel, the muscle it drives (empty where none is named: then the worst counts).
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "_cramped", "_off_until_ns", "_resume", "_rising", "_retries", "_phase_index", "_last_ns", "_state", "_duty",
        "_replan", "let_through",
    )  # fmt: skip

    def __init__(self, settings: ReflexSettings, drives: Mapping[str, str]) -> None:
        self._settings = settings
        #: Muscles whose spasm is on, or was when it was last known.
        self._cramped: list[str] = []
        self._off_until_ns: int | None = None
        self._resume = 1.0
        self._rising = ""
        self._retries = 0
        self._phase_index: int | None = None
        self._last_ns: int | None = None
        self._state = str(State.IDLE)
        self._duty = Duty(settings.fatigue, drives)
        self._replan = Replan(settings.replan)
        #: Share of what was wanted that the last step left.
        self.let_through = 1.0

    @property
    def state_name(self) -> State:
        """What becomes of the policy's wish now."""
        return State(self._state)

    @property
    def set_point_share(self) -> float:
        """Share of its set point that the policy is to aim at."""
        return self._replan.share

    def apply(self, wish: Wish) -> tuple[dict[str, float], str]:
        """What is left of the wish, by channel, and why it is less; empty where nothing was taken."""
        seconds = 0.0 if self._last_ns is None else max(0, wish.now_ns - self._last_ns) * 1e-9
        self._last_ns = wish.now_ns
        if wish.phase_index != self._phase_index:
            self._phase_index = wish.phase_index
            self._retries = 0
            # One that goes on is no new one; one that is not known any more is forgotten.
            self._cramped = [
                name for name in self._cramped if name in wish.estimates and _goes_on(wish.estimates[name].spasm)
            ]
        # A current that is no number is none.
        wanted = {name: ma if 0.0 < ma < math.inf else 0.0 for name, ma in wish.current_ma.items()}
        wants = any(wanted.values())
        shares, tired = self._duty.shares(wish, seconds)
        replans = self._replan.go_on(wish, seconds)
        state, why = self._stopped(wish, wants)
        work = self._duty.work(wish, seconds, wants and state is None)
        if state is None and replans:
            state, why = self._zero("a rest", State.REST), f"rest, {self._replan.text}"
        if state is None:
            why = self._rise(wants, seconds)
        if state is None and work <= 0.0:
            state, why = State.REST, self._duty.resting
        if state is not None:
            self._state = str(follow(State(self._state), state))
            self.let_through = 0.0 if wants else 1.0
            return dict.fromkeys(wanted, 0.0), why
        reasons = [why] if why else []
        left = {
            name: _at_most(ma * self._resume * (shares[name] * work if wish.adapt else 1.0), ma)
            for name, ma in wanted.items()
        }
        reduced = False
        if wish.adapt:
            texts = (tired, self._duty.resting if work < 1.0 else "", self._replan.text if wants else "")
            reasons += [text for text in texts if text]
            reduced = len(reasons) > bool(why)
        self._state = str(follow(State(self._state), self._flowing(wish, wants, reduced)))
        self.let_through = sum(left.values()) / sum(wanted.values()) if wants else 1.0
        return left, "; ".join(reasons)

    def _flowing(self, wish: Wish, wants: bool, reduced: bool) -> State:
        if not wants:
            return State.IDLE
        if self._resume < 1.0 or (wish.trial_state in _RAMPS and not reduced):
            return State.RAMP
        return State.REDUCE if reduced else State.HOLD

    def _zero(self, after: str, state: State) -> State:
        """Zero now; what is still wanted afterwards rises again."""
        self._resume, self._rising = 0.0, after
        return state

    def _stopped(self, wish: Wish, wants: bool) -> tuple[State | None, str]:
        """Why there is no current at all; None where there may be."""
        state, why = self._after_spasm(wish, wants)
        if self._settings.signal.enabled and wish.bad_signal:
            # A spasm meanwhile, or a rise after one that was not done: softly after the lost signal too.
            if state is not None or (self._resume < 1.0 and self._rising != "a lost signal"):
                self._zero(self._rising if state is None else "a spasm", State.STOP)
            elif wants:
                self._zero("a lost signal", State.STOP)
            return State.STOP, f"bad signal: {wish.bad_signal}"
        return (None if state is None else self._zero("a spasm", state)), why

    def _after_spasm(self, wish: Wish, wants: bool) -> tuple[State | None, str]:
        settings = self._settings.spasm
        if not settings.enabled:
            return None, ""
        watched = settings.muscles or tuple(wish.estimates)
        cramped = {}
        for name in watched:
            spasm = wish.estimates[name].spasm if name in wish.estimates else _NOT_TOLD
            # What was on and is not known any more has not been seen to end.
            if _goes_on(spasm) or (name in self._cramped and not _is_known(spasm)):
                cramped[name] = name if _is_known(spasm) else f"{name}, not known to be over: {spasm.reason}"
        before, self._cramped = self._cramped, list(cramped)
        if cramped:
            if not before and wants:
                self._retries += 1
            self._off_until_ns = wish.now_ns + round(settings.hold_off_s * 1e9)
            return State.STOP, f"spasm of {', '.join(cramped.values())}"
        if self._retries > settings.retries_max:
            return State.STOP, f"spasms again after {settings.retries_max} retries: off for this phase"
        if self._off_until_ns is not None and wish.now_ns < self._off_until_ns:
            return State.REST, "hold-off after a spasm"
        self._off_until_ns = None
        return None, ""

    def _rise(self, wants: bool, seconds: float) -> str:
        """Go on rising after a time at zero; why the current is less meanwhile."""
        if self._resume >= 1.0:
            return ""
        lost = self._rising == "a lost signal"
        resume_s = self._settings.signal.resume_s if lost else self._settings.spasm.resume_s
        if not wants or resume_s <= 0:
            self._resume = 1.0
            return ""
        self._resume = min(1.0, self._resume + seconds / resume_s)
        return f"rising again after {self._rising}"


def _at_most(left_ma: float, wanted_ma: float) -> float:
    """Nothing is ever added, whatever a share is; what is no number is zero."""
    return min(left_ma, wanted_ma) if left_ma > 0.0 else 0.0


def _is_known(spasm: Measure) -> bool:
    return spasm.valid and spasm.value is not None


def _goes_on(spasm: Measure) -> bool:
    return bool(spasm.value) if _is_known(spasm) else spasm.reason == ON_TOO_LONG
