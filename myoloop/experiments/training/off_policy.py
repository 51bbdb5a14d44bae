"""What a policy is worth by logged decisions alone, held against what it is worth in closed loop.

Fitted-Q evaluation is all that there is where a policy cannot be tried. Here it can, so that its error is seen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.policies.residual import ACTIONS
from myoloop.experiments.training.contenders import read_model
from myoloop.experiments.training.distil import chooses
from myoloop.experiments.training.fitted_q import Chooses, FittedQSettings, Numbers, Transitions, fit_q
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.rewards import scales_of, transitions_of
from myoloop.experiments.training.rollout import CLASSIC, items_of, rollout
from myoloop.experiments.training.task import Task

CAVEAT = (
    "Fitted-Q evaluation with trees ranks policies near those that made the log, and is weak for others; it is shown "
    "beside the closed loop and decides nothing."
)
_EXPLORE = 0.5


def off_policy(task: Task, numbers: Sequence[int], learned: Mapping[str, Any], seed: int, jobs: Jobs) -> dict[str, Any]:
    """Value per train of the learned policy less that of adaptive gain, estimated from a log and in closed loop.

    Parameters
    ----------
    numbers
        People whose exploring sessions are the log.
    """
    settings = FittedQSettings(growths=2)
    groups = (
        items_of(task, numbers, explore=0.0, lots=0, seed=0),
        items_of(task, numbers, explore=0.0, lots=0, seed=0, learned=dict(learned)),
        items_of(task, numbers, explore=_EXPLORE, lots=77 + seed, seed=0),
    )
    size = len(groups[0])
    results = jobs.run("off policy", rollout, [item for group in groups for item in group])
    scales = scales_of(results[:size])
    classic, own, logged = (
        transitions_of(results[at : at + size], scales, numbers, task.reward) for at in (0, size, 2 * size)
    )
    model = read_model(learned["model"])
    estimated = _value(logged, chooses(model), settings, seed) - _value(logged, _stays, settings, seed)
    lived = _lived(own, settings.discount) - _lived(classic, settings.discount)
    return {
        "people": len(numbers),
        "log": {"decisions": len(logged), "explored": _EXPLORE},
        "discount": settings.discount,
        "estimated_gain": estimated,
        "closed_loop_gain": lived,
        "caveat": CAVEAT,
    }


def _stays(observation: npt.NDArray[np.float32]) -> Numbers:
    return np.full(len(observation), CLASSIC, dtype=np.int64)


def _value(logged: Transitions, follow: Chooses, settings: FittedQSettings, seed: int) -> float:
    """Mean discounted reward from a decision on, over all places of the log."""
    fitted = fit_q(logged, ACTIONS, settings, seed, follow)
    places = fitted.forest.places(logged.observation, follow(logged.observation))
    return float(fitted.forest.read(places).mean())


def _lived(transitions: Transitions, discount: float) -> float:
    """The same as it came, over the places that the policy itself came to."""
    ahead, total = 0.0, 0.0
    for reward, last in zip(transitions.reward[::-1].tolist(), transitions.last[::-1].tolist(), strict=True):
        ahead = reward + (0.0 if last else discount * ahead)
        total += ahead
    return total / len(transitions)
