"""From what decisions cost to rewards in the proportions of the composite, and to transitions.

A decision costs what it adds to the person's composite, times the number of decisions: the error's square by how it
moves the trial's RMSE, loss of force and charge relative to what adaptive gain's decisions cost the same person on the
same day. The task's reward file adds its weights for what the composite does not know, gate and pain. The reward is
what was saved against adaptive gain at the same moment of the same day, with the same spasms and noise: what nobody
decides cancels out, and what is left is what the residual did.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.training.composite import WEIGHTS
from myoloop.experiments.training.fitted_q import Transitions, together
from myoloop.experiments.training.reward import Reward
from myoloop.experiments.training.rollout import COSTS

Array = npt.NDArray[np.float64]

#: A trial that adaptive gain tracks very well counts as one of this share of the person's mean RMSE.
_WELL = 0.3
#: An error beyond so many times the person's mean RMSE is a spasm's: it counts as if it were at this, as no residual
#: could have answered it, and its square would drown what one can do.
_SPASM = 3.0
_LEAST = 1e-9
_AT = {name: place for place, name in enumerate(COSTS)}


@dataclass(frozen=True, slots=True)
class Scale:
    """What adaptive gain's decisions cost one person.

    Attributes
    ----------
    trial_rmse
        Of each trial.
    rmse
        Their mean.
    fatigue, charge
        Mean of a decision.
    cost
        (n, len(COSTS)) of every decision, in order.
    """

    trial_rmse: Array
    rmse: float
    fatigue: float
    charge: float
    cost: Array


def scales_of(results: Sequence[Mapping[str, Any]]) -> list[Scale]:
    """Of each person, from rollouts that explored nothing, in their order."""
    found = []
    for result in results:
        cost, person = result["cost"], result["person"]
        for number, rmse in enumerate(result["figures"]["rmse"]):
            own = cost[person == number]
            found.append(
                Scale(
                    trial_rmse=np.maximum(result["trial_rmse"][number], _WELL * rmse),
                    rmse=max(float(rmse), _LEAST),
                    fatigue=max(float(own[:, _AT["fatigue"]].mean()), _LEAST),
                    charge=max(float((own[:, _AT["charge"]] / own[:, _AT["steps"]]).mean()), _LEAST),
                    cost=own,
                )
            )
    return found


def transitions_of(
    results: Sequence[Mapping[str, Any]], scales: Sequence[Scale], numbers: Sequence[int], weights: Reward
) -> Transitions:
    """Transitions of rollouts.

    Parameters
    ----------
    scales, numbers
        Of each person in the results, in their order; the numbers are what the transitions' `person` says.
    """
    parts, first = [], 0
    for result in results:
        people = len(result["figures"]["rmse"])
        for person in range(people):
            rows = result["person"] == person
            reward = reward_of(result["cost"][rows], result["trial"][rows], scales[first + person], weights)
            seen, last = result["observation"][rows], result["last"][rows]
            following = np.concatenate([seen[1:], seen[-1:]])
            number = np.full(len(reward), numbers[first + person], dtype=np.int64)
            parts.append(Transitions(seen, result["action"][rows], reward, following, last, number))
        first += people
    return together(parts)


def reward_of(cost: Array, trial: npt.NDArray[np.int64], scale: Scale, weights: Reward) -> Array:
    """Reward of each decision of one person: 0 is adaptive gain's.

    Parameters
    ----------
    cost
        (n, len(COSTS)).
    trial
        (n,) from 1.
    """
    usual = _cost_of(scale.cost, trial, scale, weights) if len(scale.cost) == len(cost) else None
    spent = _cost_of(cost, trial, scale, weights)
    # Trains that wait for an effort may differ in number; then a moment has no counterpart, only a usual one.
    return np.asarray((float(spent.mean()) if usual is None else usual) - spent)


def _cost_of(cost: Array, trial: npt.NDArray[np.int64], scale: Scale, weights: Reward) -> Array:
    steps = np.maximum(cost[:, _AT["steps"]], 1.0)
    square = np.minimum(cost[:, _AT["square"]] / steps, np.square(_SPASM * scale.rmse))
    tracking = square / (2.0 * scale.trial_rmse[trial - 1] * scale.rmse)
    composite = (
        WEIGHTS["rmse"] * tracking
        + WEIGHTS["fatigue"] * cost[:, _AT["fatigue"]] / scale.fatigue
        + WEIGHTS["charge_mc"] * cost[:, _AT["charge"]] / steps / scale.charge
    )
    beside = (weights.gate * cost[:, _AT["gate"]] + weights.pain * cost[:, _AT["pain"]]) / steps
    return np.asarray(composite + beside)
