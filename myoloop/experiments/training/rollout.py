"""One controller on some people in closed loop: what came of it, and each decision with what it cost.

This is the unit of work of training and evaluation: everything it depends on stands in its item, so that its numbers
are the same on any machine of a kind, beside whomever a person is computed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.policies.adaptive_gain import AdaptiveGainSettings
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.policy import Decision, Policy, PolicyInput
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.controllers.policies.steered import SteeredGain
from myoloop.experiments.training.cases import task_cases
from myoloop.experiments.training.closed_loop import ClosedLoop
from myoloop.experiments.training.contenders import make_contender, read_model, task_of
from myoloop.experiments.training.reward import Cost
from myoloop.experiments.training.stimulated import CHANNEL
from myoloop.experiments.training.task import STEP_S, Task

#: People who are computed together.
TOGETHER = 14
#: Costs of a decision: sums over its steps, but for the first, which is how many.
COSTS = ("steps", "square", "fatigue", "charge", "gate", "pain")
#: A hold has settled when the error stays below this share of the target until its end.
SETTLED = 0.1
CLASSIC = ACTIONS.index(0.0)
_SAME_S = 1e-6


def items_of(task: Task, numbers: Sequence[int], **more: Any) -> list[dict[str, Any]]:
    """Items for :func:`rollout`: people in groups, each group with the same `more`.

    Parameters
    ----------
    more
        ``controller`` (a contender's name), or ``explore`` (share of decisions by lot; beside it ``near``: they are
        neighbours of the model's action, not any); ``learned`` (settings of the learned controller) for either;
        ``seed`` of the day and ``lots`` of what is drawn.
    """
    told = task.model_dump(mode="json")
    return [
        {"task": told, "numbers": list(numbers[at : at + TOGETHER]), **more} for at in range(0, len(numbers), TOGETHER)
    ]


def rollout(item: Mapping[str, Any]) -> dict[str, Any]:
    """Work of one item.

    Returns
    -------
    dict
        ``figures``: by name, one value per person; ``interventions``, ``violations``: by person, counts by rule;
        ``fell``: by person, why the learned controller fell back, empty where it did not. With ``explore`` also the
        decisions as arrays: ``observation``, ``action``, ``cost``, ``last``, ``trial``, ``person``.
    """
    task, learned = Task.model_validate(item["task"]), item.get("learned")
    explore = item.get("explore")
    name = item.get("controller", "")
    task = task_of(name, task)
    cases = task_cases(task, item["numbers"])
    watched: list[_Watched] = []
    for number, case in zip(item["numbers"], cases, strict=True):
        if explore is None:
            watched.append(_Watched(make_contender(name, case, task, learned), task))
            continue
        settings = AdaptiveGainSettings(**case.model(case.set_point_n(task.target_share)))
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x6578706C, number, item["lots"]))))
        model = None if learned is None else read_model(learned["model"])
        chooser = _Chooser(model, float(explore), bool(item.get("near")), rng)
        watched.append(_Exploring(SteeredGain(settings, (CHANNEL,)), task, chooser))
    loop = ClosedLoop(cases, task, watched, seed=item["seed"])
    while not loop.done:
        loop.step()
        for one, cost in zip(watched, loop.costs(), strict=True):
            one.cost(cost)
    course = loop.course()
    on_steps = [max(1, one.steps) for one in watched]
    figures = {
        "rmse": course.rmse.tolist(),
        "bias": course.bias.tolist(),
        "fatigue": course.fatigue.tolist(),
        "charge_mc": course.charge_mc.tolist(),
        "saturated": course.saturated.tolist(),
        "peak_ma": course.peak_ma.tolist(),
        "settling_s": [one.settling_s for one in watched],
        "pain": [one.pain / steps for one, steps in zip(watched, on_steps, strict=True)],
        "gated": [one.gated / steps for one, steps in zip(watched, on_steps, strict=True)],
        "assisted": [float(count) for count in course.assisted],
    }
    found: dict[str, Any] = {
        "figures": figures,
        "trial_rmse": np.asarray(course.trial_rmse),
        "interventions": [dict(each) for each in course.interventions],
        "violations": [dict(each) for each in course.violations],
        "fell": [one.fault for one in watched],
        "responds": [case.responds for case in cases],
    }
    if explore is not None:
        tables = [one.table(number) for number, one in enumerate(watched) if isinstance(one, _Exploring)]
        found |= {key: np.concatenate([table[key] for table in tables]) for key in tables[0]}
    return found


class _Watched:
    """A policy, and what it costs."""

    def __init__(self, policy: Policy, task: Task) -> None:
        self._policy = policy
        self._hold_s = task.trial.hold_s
        self.fault = ""
        self.steps = 0
        self.gated = self.pain = 0.0
        self._state, self._hold_ns, self._now_ns = "", 0, 0
        self._out_s, self._holds, self._settling_s = 0.0, 0, 0.0

    def decide(self, given: PolicyInput) -> Decision:
        """Ask it."""
        decision = self._policy.decide(given)
        phase = given.phase
        if phase.trial_state != self._state:
            if self._state == "hold":
                self._end_hold()
            self._state = phase.trial_state
        self._hold_ns, self._now_ns = phase.t_state_ns, given.now_ns
        self.fault = self.fault or decision.fault
        return decision

    def cost(self, cost: Cost) -> None:
        """Take in what a step cost."""
        if self._state not in ("ramp_up", "hold", "ramp_down"):
            return
        self.steps += 1
        self.gated += cost.gate
        self.pain += cost.pain
        if self._state == "hold" and cost.tracking > SETTLED:
            self._out_s = min(self._hold_s, (self._now_ns - self._hold_ns) * 1e-9 + STEP_S)

    @property
    def settling_s(self) -> float:
        """Mean time from the begin of a hold until the error stays small; the hold's length where it never does."""
        return self._settling_s / max(1, self._holds)

    def reset(self) -> None:
        """As the policy."""
        self._policy.reset()

    def state(self) -> dict[str, Any]:
        """The policy's."""
        return self._policy.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """The policy's."""
        self._policy.restore(state)

    def _end_hold(self) -> None:
        self._holds += 1
        self._settling_s += self._out_s
        self._out_s = 0.0


class _Chooser:
    """Which action: the model's or the classic one, or by lot."""

    def __init__(self, model: DistilledModel | None, share: float, near: bool, rng: np.random.Generator) -> None:
        self._model, self._share, self._near, self._rng = model, share, near, rng

    def choose(self, seen: npt.NDArray[np.float64]) -> int:
        """Number of the action."""
        best = CLASSIC
        if self._model is not None:
            value = self._model.decide(seen)
            best = int(np.argmin([abs(value - action) for action in ACTIONS]))
        lot, any_action, step = (
            self._rng.random(),
            int(self._rng.integers(len(ACTIONS))),
            int(self._rng.integers(-2, 3)),
        )
        if lot >= self._share:
            return best
        return min(max(best + step, 0), len(ACTIONS) - 1) if self._near else any_action


class _Exploring(_Watched):
    """Adaptive gain with a residual that is chosen here, each decision written down."""

    def __init__(self, policy: SteeredGain, task: Task, chooser: _Chooser) -> None:
        super().__init__(policy, task)
        self._steered = policy.steered
        self._chooser = chooser
        self._every_s = task.decide_every_s
        self._next_s = 0.0
        self._open = False
        self._rows: list[tuple[npt.NDArray[np.float64], int, int]] = []
        self._costs: list[list[float]] = []
        self._last: list[bool] = []

    def decide(self, given: PolicyInput) -> Decision:
        """Ask it, and choose the residual of the steps to come where that is due."""
        decision = super().decide(given)
        seen = self._steered.observation
        if seen is None:
            if self._open:
                self._last[-1] = True
                self._open = False
            self._next_s = 0.0
            return decision
        at_s = float(seen[0]) * 10.0
        if at_s >= self._next_s - _SAME_S:
            self._next_s = max(self._next_s + self._every_s, at_s)
            action = self._chooser.choose(seen)
            self._steered.steer(ACTIONS[action])
            self._rows.append((seen, action, given.phase.trial))
            self._costs.append([0.0] * len(COSTS))
            self._last.append(False)
            self._open = True
        return decision

    def cost(self, cost: Cost) -> None:
        """Add to what the last decision cost."""
        super().cost(cost)
        if self._open:
            told = (1.0, cost.tracking**2, cost.fatigue, cost.charge, cost.gate, cost.pain)
            self._costs[-1] = [a + b for a, b in zip(self._costs[-1], told, strict=True)]

    def table(self, person: int) -> dict[str, npt.NDArray[Any]]:
        """All decisions; the last of all is one of a train that ended."""
        count = len(self._rows)
        if count:
            self._last[-1] = True
        return {
            "observation": np.array([seen for seen, _, _ in self._rows], dtype=np.float32).reshape(
                count, len(OBSERVATION)
            ),
            "action": np.array([action for _, action, _ in self._rows], dtype=np.int64),
            "trial": np.array([trial for _, _, trial in self._rows], dtype=np.int64),
            "cost": np.array(self._costs, dtype=np.float64).reshape(count, len(COSTS)),
            "last": np.array(self._last, dtype=np.bool_),
            "person": np.full(count, person, dtype=np.int64),
        }
