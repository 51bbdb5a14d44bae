"""Decisions of virtual people in closed loop: adaptive gain, with residuals drawn by lot, so that there is to learn.

The policy hears and is written down as in a recorded session (:mod:`myoloop.experiments.training.decisions`). What a
person decides depends on the task, their number and the seed alone, not on who else is drawn or where it is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from myoloop.controllers.policies.adaptive_gain import AdaptiveGainSettings
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.controllers.policies.steered import SteeredGain
from myoloop.experiments.subjects.fingerprint import fingerprint
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.cases import task_cases
from myoloop.experiments.training.closed_loop import ClosedLoop
from myoloop.experiments.training.decisions import DecisionLog, Decisions
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.split import Person
from myoloop.experiments.training.stimulated import CHANNEL
from myoloop.experiments.training.task import Task

#: People who are computed together: more are no quicker.
_TOGETHER = 20


@dataclass(frozen=True, slots=True)
class Drawn:
    """A virtual person's decisions.

    Attributes
    ----------
    number
        That draws the person.
    body
        Fingerprint of the person as drawn, whatever the task makes of them.
    rmse, fatigue, charge_mc
        Of the whole course, in truth: tracking error over the set point, share of the force lost, charge.
    violations
        Pulses that broke the envelope.
    """

    name: str
    number: int
    body: str
    responds: bool
    rmse: float
    fatigue: float
    charge_mc: float
    violations: int
    decisions: Decisions


def draw_cohort(task: Task, numbers: Sequence[int], *, seed: int, explore: float, jobs: Jobs) -> list[Drawn]:
    """Let virtual people do the task.

    Parameters
    ----------
    numbers
        Of the people.
    explore
        Share of the decisions whose residual is drawn evenly from the actions; the others have none.
    """
    groups = [list(numbers[at : at + _TOGETHER]) for at in range(0, len(numbers), _TOGETHER)]
    whole = task.model_dump(mode="json")
    items = [{"task": whole, "numbers": group, "seed": seed, "explore": explore} for group in groups]
    drawn: list[Drawn] = []
    for group, result in zip(groups, jobs.run("cohort", together, items), strict=True):
        parts = [np.asarray(result[name]) for name in ("observation", "action", "outcome", "place")]
        ends = np.cumsum(result["counts"])
        for place, number in enumerate(group):
            rows = slice(int(ends[place]) - int(result["counts"][place]), int(ends[place]))
            drawn.append(
                Drawn(
                    name=cohort_name(task, number),
                    number=number,
                    body=fingerprint(draw(number, task.people.preset)),
                    responds=bool(result["responds"][place]),
                    rmse=float(result["rmse"][place]),
                    fatigue=float(result["fatigue"][place]),
                    charge_mc=float(result["charge_mc"][place]),
                    violations=int(result["violations"][place]),
                    decisions=Decisions(*(part[rows] for part in parts)),
                )
            )
    return drawn


def people_of(task: Task, drawn: Sequence[Drawn]) -> list[Person]:
    """Who is in a cohort."""
    return [Person(each.name, f"cohort {task.name}", True, frozenset({each.body})) for each in drawn]


def cohort_name(task: Task, number: int) -> str:
    """What a drawn person is called; no pseudonym of a study has a hyphen."""
    return f"{task.people.preset}-{number}"


def together(item: Mapping[str, Any]) -> dict[str, Any]:
    """Work of one item: some people's decisions, one below the other."""
    task = Task.model_validate(item["task"])
    cases = task_cases(task, item["numbers"])
    policies = []
    for number, case in zip(item["numbers"], cases, strict=True):
        settings = AdaptiveGainSettings(**case.model(case.set_point_n(task.target_share)))
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x6C6F7473, number, item["seed"]))))
        policies.append(_Explored(SteeredGain(settings, (CHANNEL,)), task.decide_every_s, item["explore"], rng))
    course = ClosedLoop(cases, task, policies, seed=item["seed"]).run()
    tables = [policy.log_to_the_end() for policy in policies]
    joined = Decisions.joined(tables)
    return {
        "observation": joined.observation,
        "action": joined.action,
        "outcome": joined.outcome,
        "place": joined.place,
        "counts": [len(table) for table in tables],
        "responds": [case.responds for case in cases],
        "rmse": course.rmse.tolist(),
        "fatigue": course.fatigue.tolist(),
        "charge_mc": course.charge_mc.tolist(),
        "violations": [sum(each.values()) for each in course.violations],
    }


class _Explored:
    """A policy whose residual is drawn by lot, and whose decisions are written down."""

    def __init__(self, policy: SteeredGain, decide_every_s: float, explore: float, rng: np.random.Generator) -> None:
        self._policy = policy
        self._log = DecisionLog(decide_every_s)
        self._explore = explore
        self._rng = rng

    def decide(self, given: PolicyInput) -> Decision:
        """Ask it; where a decision is due, draw the residual of the steps to come."""
        decision = self._policy.decide(given)
        steered = self._policy.steered
        if self._log.note(given, decision, steered.observation):
            drawn, action = self._rng.random(), int(self._rng.integers(len(ACTIONS)))
            steered.steer(ACTIONS[action] if drawn < self._explore else 0.0)
        return decision

    def log_to_the_end(self) -> Decisions:
        """All decisions."""
        self._log.cut()
        return self._log.decisions()

    def reset(self) -> None:
        """As the policy's."""
        self._policy.reset()
        self._log.cut()

    def state(self) -> dict[str, Any]:
        """The policy's; nobody restores it here."""
        return self._policy.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """The policy's."""
        self._policy.restore(state)
