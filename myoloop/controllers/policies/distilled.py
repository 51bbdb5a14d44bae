"""A residual decided by a learned model, which is believed no further than it has shown itself.

Every `decide_every_s` of a train the model says a residual for what is seen. Where the model fails the residual is 0,
the classic policy, to the session's end: it raises, it says no finite number within its actions, what it sees is no
finite number, or for several decisions in a row nothing that it was trained on. One such decision alone is not
followed. A step of the controller that took too long, as its node has measured and recorded, ends it for the train;
several end it for the session. What it may add is a bounded charge.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from myoloop.controllers.parts import said
from myoloop.controllers.policies.budget import LEASE_S, ChargeBudget
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.observation import OBSERVATION, Observer, Seen
from myoloop.controllers.policies.recruitment import RecruitmentCurve
from myoloop.controllers.policies.residual import NoResidual
from myoloop.platform.messages import Target

_SAME_S = 1e-6


class Distilled(NoResidual):
    """What a model decides.

    Parameters
    ----------
    model
        Decision tree as plain arrays.
    decide_every_s
        Within a train.
    budget_uc
        Charge that may be asked for beyond the classic policy's, in the session.
    shift_decisions
        So many decisions in a row outside of what was trained on, and it is not asked again.
    overruns_max
        So many steps that took too long, and it is not asked again.

    Attributes
    ----------
    fallen
        Why it is not asked any more in this session; empty while it is.
    paused
        Why it is not asked any more in this train.
    budget
        What is left to add.
    decisions
        How often the model was asked.
    """

    looks = True
    _kept: ClassVar[tuple[str, ...]] = (
        "value", "classic", "observer", "budget", "fallen", "paused", "decisions", "_next_s", "_outside", "_overruns",
    )  # fmt: skip

    def __init__(
        self, model: DistilledModel, *, decide_every_s: float, budget_uc: float, shift_decisions: int, overruns_max: int
    ) -> None:
        self._model = model
        self._every_s = decide_every_s
        self._shift_decisions, self._overruns_max = shift_decisions, overruns_max
        self.value = self.classic = 0.0
        self.observer = Observer()
        self.budget = ChargeBudget(budget_uc)
        self.fallen = self.paused = ""
        self._next_s = 0.0
        self.decisions = self._outside = self._overruns = 0

    def see(self, seen: Seen) -> None:
        """Note one step of a train, and decide where that is due."""
        self.observer.see(seen)
        if self.fallen or self.paused or seen.at_s < self._next_s - _SAME_S:
            return
        self._next_s = max(self._next_s + self._every_s, seen.at_s)
        self.decisions += 1
        try:
            self.value = self._decide()
        except Exception as error:  # noqa: BLE001 - whatever the model does ends in the classic policy
            self._fall(f"the model failed: {said(error)}")

    def late(self, took_ms: float) -> None:
        """A step of the controller in which it was asked took too long."""
        if self.fallen:
            return
        self._overruns += 1
        self.value = 0.0
        self.paused = f"overrun of {took_ms:.1f} ms"
        if self._overruns >= self._overruns_max:
            self._fall(f"overruns, {self._overruns} of them, the last of {took_ms:.1f} ms")

    def outside(self, seen: Sequence[float]) -> str:
        """Which part of an observation lies outside of what it was trained on, in words; empty where none does."""
        return self._model.outside(seen)

    def within(self, share: float, classic: float, curve: RecruitmentCurve, target: Target, seconds: float) -> float:
        """What of a share may be asked for: what the budget has left beyond the classic one."""
        self.classic = classic
        self.budget.go_on(seconds)
        return self.budget.within(share, classic, curve, target)

    def stop(self, seconds: float) -> None:
        """Nothing is asked for in this step."""
        self.classic = 0.0
        self.budget.go_on(seconds)

    def end_trial(self) -> None:
        """The train is over; the next one begins classic, and is decided anew."""
        self.value = self._next_s = 0.0
        self.paused = ""
        self.observer.leave()

    def new_block(self) -> None:
        """Forget what was seen."""
        self.value = 0.0
        self.observer.reset()

    def reset(self) -> None:
        """Forget what was seen; neither what is spent nor why it fell."""
        self.value = self.classic = self._next_s = 0.0
        self.paused = ""
        self._outside = 0
        self.observer.reset()
        self.budget.go_on(LEASE_S)

    def _decide(self) -> float:
        vector = self.observer.vector()
        if vector is None:
            return 0.0
        seen = vector.tolist()
        for name, number in zip(OBSERVATION, seen, strict=True):
            if not math.isfinite(number):
                return self._fall(f"{name} is {number}")
        outside = self._model.outside(seen)
        if outside:
            self._outside += 1
            return self._fall(f"shifted input, {outside}") if self._outside >= self._shift_decisions else 0.0
        self._outside = 0
        value = float(self._model.decide(seen))
        actions = self._model.actions
        # Also where it is no number.
        if not actions[0] <= value <= actions[-1]:
            return self._fall(f"the model said {value:g}, its actions are {actions[0]:g} to {actions[-1]:g}")
        return value

    def _fall(self, why: str) -> float:
        self.fallen = why
        self.value = 0.0
        return 0.0
