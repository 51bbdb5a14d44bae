"""A learned model as plain arrays: a decision tree from an observation to a residual, and what it was trained on.

Nothing in it can be executed, it is the same on every machine, and it travels in a start record, so that a replay needs
no file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.residual import ACTIONS, RESIDUAL_MAX

#: A start record travels in one message of 1 MiB, with everything else that a controller is made from.
NODES_MAX = 4095
#: An observation may lie this share of the trained range beyond it.
_MARGIN = 0.05
_OUT_OF = 1e-9
_ANYTHING = 1e6


@dataclass(frozen=True, kw_only=True)
class DistilledModel:
    """Decision tree, normaliser and range of the observations.

    A node's rule is ``(observation[feature] - mean[feature]) / scale[feature] <= threshold``: left, else right. A leaf
    has -1 on both sides.

    Attributes
    ----------
    observation
        Names, in order: those of :data:`~myoloop.controllers.policies.observation.OBSERVATION`.
    actions
        Residuals that it was trained to choose from, rising.
    mean, scale
        Normaliser, one of each per observation.
    low, high
        Range of each observation in training.
    feature, threshold, left, right
        Of each node; children stand after their parent.
    value
        Residual at each node, within the actions.
    """

    observation: tuple[str, ...]
    actions: tuple[float, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    feature: tuple[int, ...]
    threshold: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]

    def __post_init__(self) -> None:
        self._check_description()
        self._check_tree()

    @classmethod
    def always(cls, residual: float) -> DistilledModel:
        """A tree of one leaf, that says the same of whatever it sees."""
        width = len(OBSERVATION)
        return cls(
            observation=OBSERVATION,
            actions=tuple(sorted({*ACTIONS, residual})),
            mean=(0.0,) * width,
            scale=(1.0,) * width,
            low=(-_ANYTHING,) * width,
            high=(_ANYTHING,) * width,
            feature=(0,),
            threshold=(0.0,),
            left=(-1,),
            right=(-1,),
            value=(residual,),
        )

    def decide(self, seen: npt.NDArray[np.float64] | Sequence[float]) -> float:
        """Residual for an observation."""
        feature, threshold, left, mean, scale = self.feature, self.threshold, self.left, self.mean, self.scale
        node = 0
        while left[node] >= 0:
            at = feature[node]
            node = left[node] if (seen[at] - mean[at]) / scale[at] <= threshold[node] else self.right[node]
        return self.value[node]

    def outside(self, seen: npt.NDArray[np.float64] | Sequence[float]) -> str:
        """Which part of an observation lies outside of what was seen in training, in words; empty where none does."""
        for name, value, low, high in zip(self.observation, seen, self.low, self.high, strict=True):
            margin = _MARGIN * (high - low) + _OUT_OF
            if not low - margin <= value <= high + margin:
                return f"{name} {value:.3g}, in training {low:.3g} to {high:.3g}"
        return ""

    def _check_description(self) -> None:
        if self.observation != OBSERVATION:
            raise ValueError(
                f"model.observation is {_odd(self.observation)}, this version observes {_odd(OBSERVATION)}"
            )
        width = len(OBSERVATION)
        for name in ("mean", "scale", "low", "high"):
            numbers = getattr(self, name)
            if len(numbers) != width or not all(map(math.isfinite, numbers)):
                raise ValueError(f"model.{name} must have {width} finite numbers, found {len(numbers)}")
        if not all(scale > 0.0 for scale in self.scale):
            raise ValueError("model.scale must be above 0")
        if not all(low <= high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("model.low must not be above model.high")
        rising = all(a < b for a, b in zip(self.actions, self.actions[1:], strict=False))
        if not self.actions or not rising or not all(abs(each) <= RESIDUAL_MAX for each in self.actions):
            raise ValueError(f"model.actions must rise within -{RESIDUAL_MAX:g} and {RESIDUAL_MAX:g}")

    def _check_tree(self) -> None:
        count = len(self.feature)
        if not 1 <= count <= NODES_MAX:
            raise ValueError(f"model.feature has {count} nodes, allowed is 1 to {NODES_MAX}")
        for name in ("threshold", "left", "right", "value"):
            if len(getattr(self, name)) != count:
                raise ValueError(f"model.{name} has {len(getattr(self, name))} nodes, model.feature has {count}")
        least, most = self.actions[0], self.actions[-1]
        nodes = zip(self.feature, self.threshold, self.left, self.right, self.value, strict=True)
        for number, (feature, threshold, left, right, value) in enumerate(nodes):
            if not least <= value <= most:
                raise ValueError(f"model.value of node {number} is {value:g}, the actions are {least:g} to {most:g}")
            if left == right == -1:
                continue
            # Children after their parent: a walk through the tree ends.
            if not (number < left < count and number < right < count):
                raise ValueError(
                    f"model: node {number} has no child {left} or {right} among the {count} nodes after it"
                )
            if not (0 <= feature < len(OBSERVATION) and math.isfinite(threshold)):
                raise ValueError(f"model: node {number} asks for observation {feature} at {threshold:g}")


def _odd(names: tuple[str, ...]) -> str:
    """Many names, short: how many, and the first and last."""
    return f"{len(names)} values ({names[0]} to {names[-1]})" if names else "nothing"
