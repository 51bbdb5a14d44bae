"""The controllers that are compared: classic ones and the learned one, each made for a person as calibrated."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

import msgspec

from myoloop.controllers.choice import Choice
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.fitted_q import FittedQ, FittedQSettings
from myoloop.controllers.policies.policy import Decision, Policy, PolicyInput, make_policy
from myoloop.controllers.shadowed import ACTING, LEARNED
from myoloop.experiments.training.bodies import MUSCLE
from myoloop.experiments.training.cases import Case
from myoloop.experiments.training.stimulated import CHANNEL
from myoloop.experiments.training.task import Task
from myoloop.platform.messages import Phase

#: What all are relative to.
REFERENCE = ACTING
#: An effort is awaited for so long, where the task itself awaits none; the rest is shorter by as much.
_AWAIT_S = 1.0


def make_contender(name: str, case: Case, task: Task, learned: Mapping[str, Any] | None = None) -> Policy:
    """Make a controller for a person.

    Parameters
    ----------
    learned
        What :func:`learned_settings` told, for the learned one.

    Raises
    ------
    ValueError
        If there is none of this name, or the learned one has no model.
    """
    if name == LEARNED:
        if learned is None:
            raise ValueError(f"{LEARNED} needs a model")
        settings = {**learned, "model": read_model(learned["model"])}
        return FittedQ(FittedQSettings(**case.model(case.set_point_n(task.target_share)), **settings), (CHANNEL,))
    if name not in _CLASSIC:
        raise ValueError(f"controller {name!r}, there are {', '.join((*_CLASSIC, LEARNED))}")
    return _CLASSIC[name](case, task)


def contenders() -> tuple[str, ...]:
    """Names of all, the learned one last."""
    return (*_CLASSIC, LEARNED)


def task_of(name: str, task: Task) -> Task:
    """The task as this controller does it: one that waits for an effort is given one to wait for."""
    trial = task.trial
    if name != "emg_trigger" or trial.await_effort_s > 0.0 or trial.rest_s <= _AWAIT_S + 0.5:
        return task
    waiting = {**trial.model_dump(), "await_effort_s": _AWAIT_S, "rest_s": round(trial.rest_s - _AWAIT_S, 2)}
    return task.changed(trial=waiting)


def learned_settings(model: DistilledModel, *, budget_uc: float, decide_every_s: float) -> dict[str, Any]:
    """Settings of the learned controller, JSON-ready, beside what the calibration says of a person."""
    told = {name: list(value) for name, value in asdict(model).items()}
    return {"model": told, "budget_uc": budget_uc, "decide_every_s": decide_every_s}


def read_model(told: Mapping[str, Any]) -> DistilledModel:
    """A model from its JSON.

    Raises
    ------
    ValueError
        If it is none.
    """
    try:
        return DistilledModel(**{name: tuple(value) for name, value in told.items()})
    except TypeError as error:
        raise ValueError(f"no model: {error}") from None


class AtCurrent:
    """A policy whose target is another current: for those that would else ask for all that is tolerated."""

    def __init__(self, policy: Policy, current_ma: float) -> None:
        self._policy = policy
        self._current_ma = current_ma
        self._told: tuple[Phase, Phase] | None = None

    def decide(self, given: PolicyInput) -> Decision:
        """Ask the policy."""
        if self._told is None or self._told[0] is not given.phase:
            targets = tuple(
                msgspec.structs.replace(one, current_ma=min(one.current_ma, self._current_ma))
                for one in given.phase.targets
            )
            self._told = given.phase, msgspec.structs.replace(given.phase, targets=targets)
        return self._policy.decide(replace(given, phase=self._told[1]))

    def reset(self) -> None:
        """Reset the policy."""
        self._policy.reset()

    def state(self) -> dict[str, Any]:
        """The policy's."""
        return self._policy.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """The policy's."""
        self._policy.restore(state)


def _tracking(policy: str, **more: Any) -> Callable[[Case, Task], Policy]:
    def make(case: Case, task: Task) -> Policy:
        settings = {**case.model(case.set_point_n(task.target_share)), **more}
        return make_policy(Choice(name=policy, settings=settings), (CHANNEL,))

    return make


def _trigger(case: Case, task: Task) -> Policy:
    set_point_n = case.set_point_n(task.target_share)
    needed_ma = case.known.current_ma(set_point_n / case.full_response, task.stimulation.phase_us)
    return AtCurrent(make_policy(Choice(name="emg_trigger", settings={"muscle": MUSCLE}), (CHANNEL,)), needed_ma)


_CLASSIC: dict[str, Callable[[Case, Task], Policy]] = {
    # Feed-forward of the fresh muscle alone.
    "open_loop": _tracking("inverse_recruitment", proportional=0.0, integral_per_s=0.0, lag_s=0.0, delay_s=0.0),
    "emg_trigger": _trigger,
    "pi_feed_forward": _tracking("inverse_recruitment"),
    "iterative_learning": _tracking("iterative_learning"),
    REFERENCE: _tracking("adaptive_gain"),
}
