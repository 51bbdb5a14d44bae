"""How long a step of the learned controller takes on this machine."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from myoloop.controllers.policies.policy import Decision, Policy, PolicyInput
from myoloop.controllers.shadowed import LEARNED
from myoloop.experiments.training.cases import task_cases
from myoloop.experiments.training.closed_loop import ClosedLoop
from myoloop.experiments.training.contenders import make_contender
from myoloop.experiments.training.task import Task
from myoloop.experiments.training.trained_files import BUDGET_MS


def time_inference(task: Task, number: int, learned: Mapping[str, Any], trials: int) -> dict[str, Any]:
    """Time every step of the learned controller on one person.

    Returns
    -------
    dict
        Percentiles in ms of the time on the wall, which other processes lengthen, and of this thread's own; steps in
        which a budget of 2 ms was missed.
    """
    task = task.changed(trial={**task.trial.model_dump(), "repetitions": trials})
    (case,) = task_cases(task, [number])
    timed = _Timed(make_contender(LEARNED, case, task, learned))
    ClosedLoop([case], task, [timed]).run()
    wall_ms, own_ms = np.array(timed.wall_ns) * 1e-6, np.array(timed.own_ns) * 1e-6
    return {
        "steps": len(wall_ms),
        "budget_ms": BUDGET_MS,
        "wall_ms": _percentiles(wall_ms),
        "thread_ms": _percentiles(own_ms),
        "missed": int((wall_ms > BUDGET_MS).sum()),
        "missed_by_own_time": int((own_ms > BUDGET_MS).sum()),
    }


class _Timed:
    """A policy whose steps in a train are timed."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self.wall_ns: list[int] = []
        self.own_ns: list[int] = []

    def decide(self, given: PolicyInput) -> Decision:
        """Ask it, and look at the clock."""
        wall, own = time.perf_counter_ns(), time.thread_time_ns()
        decision = self._policy.decide(given)
        self.own_ns.append(time.thread_time_ns() - own)
        self.wall_ns.append(time.perf_counter_ns() - wall)
        return decision

    def reset(self) -> None:
        """Reset the policy."""
        self._policy.reset()

    def state(self) -> dict[str, Any]:
        """The policy's."""
        return self._policy.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """The policy's."""
        self._policy.restore(state)


def _percentiles(values_ms: Any) -> dict[str, float]:
    found = np.percentile(values_ms, [50.0, 99.0, 99.9, 100.0], method="inverted_cdf")
    return {name: round(float(value), 4) for name, value in zip(("p50", "p99", "p999", "max"), found, strict=True)}
