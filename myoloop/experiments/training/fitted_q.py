"""Fitted-Q iteration with extremely randomised trees, and what a given policy is worth by the same means.

Q(s, a) is the discounted sum of rewards after choosing a in s and choosing best (or as a given policy does) from then
on; it is what fits ``reward + discount * max Q(following, .)`` (Ernst, Geurts and Wehenkel 2005). The trees are grown
on the newest right-hand side a few times; between these their branches stay and only the means in their leaves are
renewed. With branches that stay, an iteration averages and therefore converges for any discount below 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Transitions:
    """What was seen, done and got, one row per decision.

    Attributes
    ----------
    observation, following
        (n, d): when it was decided, and at the next decision.
    action
        (n,) number of the action.
    reward
        (n,) until the next decision.
    last
        (n,) True where no decision follows; `following` then means nothing.
    person
        (n,) number of the person.
    """

    observation: npt.NDArray[np.float32]
    action: Numbers
    reward: Array
    following: npt.NDArray[np.float32]
    last: npt.NDArray[np.bool_]
    person: Numbers

    def __len__(self) -> int:
        return len(self.reward)

    def of(self, rows: npt.NDArray[Any]) -> Transitions:
        """Some of them."""
        return Transitions(*(getattr(self, field.name)[rows] for field in fields(self)))


def together(parts: Sequence[Transitions]) -> Transitions:
    """All of them, one after another."""
    return Transitions(
        *(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Transitions))
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedQSettings:
    """How Q is fitted.

    Attributes
    ----------
    discount
        Of the rewards from one decision to the next.
    growths, iterations
        How often the trees are grown anew; iterations with each of their shapes.
    trees, leaf_least
        How many, and fewest transitions in a leaf.
    """

    discount: float = 0.9
    growths: int = 3
    iterations: int = 12
    trees: int = 40
    leaf_least: int = 60


class Forest:
    """Q by extremely randomised trees, whose leaves hold means that can be renewed.

    Parameters
    ----------
    actions
        The value of each action, which the trees see as one more feature.
    workers
        Threads; the trees are the same with any number of them.
    """

    def __init__(self, actions: Sequence[float], settings: FittedQSettings, seed: int, workers: int = 1) -> None:
        self.actions = np.asarray(actions, dtype=np.float32)
        self._settings, self._seed, self._workers = settings, seed, workers
        self._regressor: Any = None
        self._leaves: list[Array] = []

    def grow(self, observation: npt.NDArray[np.float32], action: Numbers, goal: Array, seed: int) -> None:
        """Grow trees that tell `goal` from what was seen and done."""
        from sklearn.ensemble import ExtraTreesRegressor

        self._regressor = ExtraTreesRegressor(
            n_estimators=self._settings.trees,
            min_samples_leaf=self._settings.leaf_least,
            max_features=None,
            bootstrap=False,
            random_state=np.random.RandomState(np.random.PCG64(np.random.SeedSequence((self._seed, seed)))),
            n_jobs=self._workers,
        )
        self._regressor.fit(self._with(observation, action), goal)
        self._leaves = [tree.tree_.value[:, 0, 0].copy() for tree in self._regressor.estimators_]

    def places(self, observation: npt.NDArray[np.float32], action: Numbers) -> npt.NDArray[np.int32]:
        """(n, trees): in which leaf of each tree they lie."""
        if not len(observation):
            return np.zeros((0, len(self._leaves)), dtype=np.int32)
        found: npt.NDArray[np.int32] = self._regressor.apply(self._with(observation, action)).astype(np.int32)
        return found

    def all_places(self, observation: npt.NDArray[np.float32]) -> npt.NDArray[np.int32]:
        """(actions, n, trees): the same for every action."""
        count = len(observation)
        return np.stack([self.places(observation, np.full(count, a, dtype=np.int64)) for a in range(len(self.actions))])

    def renew(self, places: npt.NDArray[np.int32], goal: Array) -> None:
        """Fill the leaves with the means of another goal."""
        for number, leaves in enumerate(self._leaves):
            count = np.bincount(places[:, number], minlength=len(leaves))
            total = np.bincount(places[:, number], weights=goal, minlength=len(leaves))
            heard = count > 0
            leaves[heard] = total[heard] / count[heard]

    def read(self, places: npt.NDArray[np.int32]) -> Array:
        """Q at places: the mean over the trees."""
        total = np.zeros(places.shape[:-1])
        for number, leaves in enumerate(self._leaves):
            total += leaves[places[..., number]]
        return total / len(self._leaves)

    def values(self, observation: npt.NDArray[np.float32]) -> Array:
        """(n, actions): Q of every action."""
        return self.read(self.all_places(observation)).T

    def _with(self, observation: npt.NDArray[np.float32], action: Numbers) -> npt.NDArray[np.float32]:
        return np.column_stack([observation, self.actions[action]]).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of it.

    Attributes
    ----------
    forest
        Q.
    change
        Root mean square change of Q over the transitions by each iteration, over the spread of Q.
    """

    forest: Forest
    change: list[float]


#: From (n, d) observations to the numbers of the actions that a policy chooses.
Chooses = Callable[[npt.NDArray[np.float32]], Numbers]


def fit_q(
    transitions: Transitions,
    actions: Sequence[float],
    settings: FittedQSettings,
    seed: int,
    follow: Chooses | None = None,
    workers: int = 1,
) -> Fitted:
    """Fit Q.

    Parameters
    ----------
    actions
        The value of each.
    follow
        The policy that chooses from the next decision on; None: the best one. With a policy it is fitted-Q evaluation.

    Raises
    ------
    ValueError
        If there are too few transitions for two leaves, or a reward is not finite.
    """
    if len(transitions) < 2 * settings.leaf_least:
        raise ValueError(f"{len(transitions)} transitions: at least {2 * settings.leaf_least} are needed")
    if not np.isfinite(transitions.reward).all() or not np.isfinite(transitions.observation).all():
        raise ValueError("transitions hold a reward or an observation that is not finite")
    forest = Forest(actions, settings, seed, workers)
    following = transitions.following[~transitions.last]
    chosen = None if follow is None else follow(following)
    goal, change = transitions.reward.astype(np.float64), []
    before: Array | None = None
    for growth in range(settings.growths):
        forest.grow(transitions.observation, transitions.action, goal, growth)
        here = forest.places(transitions.observation, transitions.action)
        there = forest.all_places(following) if chosen is None else forest.places(following, chosen)
        for _ in range(settings.iterations):
            forest.renew(here, goal)
            ahead = forest.read(there)
            goal = transitions.reward.astype(np.float64)
            goal[~transitions.last] += settings.discount * (ahead.max(axis=0) if chosen is None else ahead)
            now = forest.read(here)
            if before is not None:
                change.append(float(np.sqrt(np.mean((now - before) ** 2)) / max(float(now.std()), 1e-12)))
            before = now
    return Fitted(forest, change)
