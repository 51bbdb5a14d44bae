"""From a forest to one small tree of plain arrays, which the loop can afford and anybody can read.

The tree is grown on what each action gains over the classic one by the forest. In each of its leaves these gains are
means over many decisions; the residual is where a parabola through the best action and its neighbours is highest, so
that it lies between actions where that is better.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.experiments.training.fitted_q import Chooses, Forest, Numbers

Array = npt.NDArray[np.float64]

_CLASSIC = ACTIONS.index(0.0)


@dataclass(frozen=True, slots=True)
class Distilled:
    """A tree, held against the forest that it came from.

    Attributes
    ----------
    model
        Plain arrays.
    agreement
        Share of the observations at which tree and forest choose the same action, or ones that are neighbours.
    kept
        Gain of the tree's choice over the classic action, by the forest's Q, over that of the forest's own choice.
    leaves
        Of the tree.
    """

    model: DistilledModel
    agreement: float
    kept: float
    leaves: int


def distil(
    forest: Forest, observation: npt.NDArray[np.float32], *, leaves: int, leaf_least: int, seed: int,
    ranges: npt.NDArray[np.float32] | None = None,
) -> Distilled:  # fmt: skip
    """Distil a forest.

    Parameters
    ----------
    observation
        (n, d) that the tree is grown on.
    leaves, leaf_least
        Most leaves; fewest observations in one.
    ranges
        Those whose ranges are what the model has seen; None: the same.
    """
    from sklearn.tree import DecisionTreeRegressor

    seen = observation if ranges is None else ranges
    gains = _gains(forest, observation)
    mean, spread = observation.mean(axis=0, dtype=np.float64), observation.std(axis=0, dtype=np.float64)
    scale = np.where(spread > 1e-9, spread, 1.0)
    # Each action counts alike, though far ones gain or lose more.
    each = gains.std(axis=0)
    grown = DecisionTreeRegressor(max_leaf_nodes=leaves, min_samples_leaf=leaf_least, random_state=seed)
    grown.fit(_normal(observation, mean, scale), gains / np.where(each > 1e-12, each, 1.0))
    tree = grown.tree_
    # Mean gains of every node, of the observations that come through it.
    through = grown.decision_path(_normal(observation, mean, scale))
    means = (through.T @ gains) / np.asarray(through.sum(axis=0)).ravel()[:, None]
    model = DistilledModel(
        observation=OBSERVATION,
        actions=ACTIONS,
        mean=_plain(mean),
        scale=_plain(scale),
        low=_plain(seen.min(axis=0)),
        high=_plain(seen.max(axis=0)),
        feature=tuple(max(0, int(each)) for each in tree.feature),
        threshold=tuple(
            float(at) if left >= 0 else 0.0 for at, left in zip(tree.threshold, tree.children_left, strict=True)
        ),
        left=tuple(int(each) for each in tree.children_left),
        right=tuple(int(each) for each in tree.children_right),
        value=tuple(best_residual(each) for each in means),
    )
    agreement, kept = _against(forest, model, observation)
    return Distilled(model, agreement, kept, int(tree.n_leaves))


def best_residual(gains: npt.NDArray[np.float64]) -> float:
    """Where a parabola through the best action and its neighbours is highest; the best itself at an end."""
    best = int(np.argmax(gains))
    if best in (0, len(ACTIONS) - 1):
        return ACTIONS[best]
    (x0, x1, x2), (y0, y1, y2) = ACTIONS[best - 1 : best + 2], gains[best - 1 : best + 2].tolist()
    below, above = (x1 - x0) * (y1 - y2), (x1 - x2) * (y1 - y0)
    if abs(below - above) < 1e-15:
        return x1
    top = x1 - 0.5 * ((x1 - x0) * below - (x1 - x2) * above) / (below - above)
    return float(min(max(top, x0), x2))


def chooses(model: DistilledModel) -> Chooses:
    """The action nearest to what a model says, for many observations at once."""
    actions = np.asarray(ACTIONS)

    def choose(observation: npt.NDArray[np.float32]) -> Numbers:
        nearest: Numbers = np.abs(values_of(model, observation)[:, None] - actions).argmin(axis=1)
        return nearest

    return choose


def values_of(model: DistilledModel, observation: npt.NDArray[np.float32]) -> Array:
    """(n,) residuals of a model for many observations."""
    left, right, feature = (np.asarray(each) for each in (model.left, model.right, model.feature))
    threshold, value = np.asarray(model.threshold), np.asarray(model.value)
    seen = (observation.astype(np.float64) - np.asarray(model.mean)) / np.asarray(model.scale)
    node = np.zeros(len(seen), dtype=np.int64)
    rows = np.arange(len(seen))
    while len(rows := rows[left[node[rows]] >= 0]):
        at = node[rows]
        goes_left = seen[rows, feature[at]] <= threshold[at]
        node[rows] = np.where(goes_left, left[at], right[at])
    found: Array = value[node]
    return found


def _gains(forest: Forest, observation: npt.NDArray[np.float32]) -> Array:
    values = forest.values(observation)
    return values - values[:, [_CLASSIC]]


def _normal(observation: npt.NDArray[np.float32], mean: Array, scale: Array) -> npt.NDArray[np.float32]:
    return ((observation - mean) / scale).astype(np.float32)


def _against(forest: Forest, model: DistilledModel, observation: npt.NDArray[np.float32]) -> tuple[float, float]:
    gains = _gains(forest, observation)
    ours, theirs = chooses(model)(observation), gains.argmax(axis=1)
    rows = np.arange(len(gains))
    most = float(gains[rows, theirs].mean())
    kept = float(gains[rows, ours].mean()) / most if most > 1e-12 else 1.0
    return float((np.abs(ours - theirs) <= 1).mean()), kept


def _plain(values: npt.NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(float(each) for each in values)
