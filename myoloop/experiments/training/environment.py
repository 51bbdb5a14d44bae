"""Gymnasium environment over the closed loop: ``myoloop/ClosedLoop-v0``, single and vectorised.

With ``action="residual"`` the learner steers adaptive gain: one of :data:`ACTIONS` every ``decide_every_s`` of the task
within the trains; rests are lived through within the step that ends a train. With ``action="current"`` it asks the gate
for a current in mA every ``decide_every_s``, in rests too; adaptive gain is then only followed for its observation. In
both, what flows is what the gate lets through.

::

    import gymnasium
    import myoloop.experiments.training.environment

    env = gymnasium.make("myoloop/ClosedLoop-v0", task="isometric_hold", people=range(100_000, 100_140))
    envs = gymnasium.make_vec("myoloop/ClosedLoop-v0", num_envs=40, vectorization_mode="vector_entry_point")
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from myoloop.controllers.policies.adaptive_gain import AdaptiveGainSettings
from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.controllers.policies.steered import SteeredGain
from myoloop.experiments.training.cases import Case, task_cases
from myoloop.experiments.training.closed_loop import ClosedLoop
from myoloop.experiments.training.course import Course
from myoloop.experiments.training.stimulated import CHANNEL
from myoloop.experiments.training.task import Task, load_task
from myoloop.platform.errors import UserError

try:
    import gymnasium
    from gymnasium import spaces
    from gymnasium.utils import seeding
    from gymnasium.vector import AutoresetMode
except ModuleNotFoundError:
    raise UserError("training environments need gymnasium: pip install 'myoloop[train]'") from None

__all__ = ["ACTIONS", "ClosedLoopEnv", "ClosedLoopVectorEnv", "register"]

Floats = npt.NDArray[np.float64]
Action = Literal["residual", "current"]

ENV_ID = "myoloop/ClosedLoop-v0"
#: Observations are kept within this.
BOUND = 10.0
_SEEDS = 2**31
#: Who is drawn where nobody else is named: far from the cohort of `train`, which begins at 0.
PEOPLE = range(100_000, 101_000)


class _Loop:
    """People in closed loop, decision by decision."""

    def __init__(self, task: Task | Path | str, people: Sequence[int], action: Action, repetitions: int | None) -> None:
        task = task if isinstance(task, Task) else load_task(task)
        if repetitions is not None:
            task = task.changed(trial={**task.trial.model_dump(), "repetitions": repetitions})
        if action not in ("residual", "current"):
            raise ValueError(f"action is {action!r}, allowed: residual, current")
        if not people:
            raise ValueError("people is empty, allowed are numbers of people")
        self.task, self.people, self.action = task, tuple(people), action
        self.observation_space = spaces.Box(-BOUND, BOUND, (len(OBSERVATION),), np.float64)
        self.action_space: spaces.Space[Any] = (
            spaces.Discrete(len(ACTIONS))
            if action == "residual"
            else spaces.Box(0.0, task.envelope.current_max_ma, (1,), np.float32)
        )
        self._loop: ClosedLoop | None = None
        self._policies: list[SteeredGain] = []
        self.drawn: list[tuple[int, int]] = []

    @property
    def loop(self) -> ClosedLoop:
        """The loop that is on.

        Raises
        ------
        ValueError
            If none is.
        """
        if self._loop is None:
            raise ValueError("reset the environment before its first step")
        return self._loop

    @property
    def done(self) -> bool:
        """Whether the episode is over."""
        return self.loop.done

    def begin(self, generators: Sequence[np.random.Generator], options: Mapping[str, Any]) -> Floats:
        """Begin an episode: a person and a day for each generator; (people, observation)."""
        unknown = sorted(set(options) - {"person"})
        if unknown or options.get("person", self.people[0]) not in self.people:
            raise ValueError(f"options: found {dict(options)!r}, allowed is person: number of one of people")
        self.drawn = [self._draw(rng, options) for rng in generators]
        cases = [_case(self.task.model_dump_json(), person) for person, _ in self.drawn]
        cases = [replace(case, seed=day) for case, (_, day) in zip(cases, self.drawn, strict=True)]
        self._policies = [_policy(case, self.task) for case in cases]
        self._loop = ClosedLoop(cases, self.task, self._policies)
        if self.action == "residual":
            self._to_train()
        self._loop.costs()
        return self._seen()

    def act(self, actions: Sequence[Any]) -> tuple[Floats, Floats]:
        """Decide; observations and rewards."""
        loop = self.loop
        if self.action == "residual":
            for policy, action in zip(self._policies, actions, strict=True):
                policy.steered.steer(ACTIONS[_number(action)])
            self._live(None)
            self._to_train()
        else:
            self._live([float(np.asarray(action, dtype=np.float64).reshape(-1)[0]) for action in actions])
        rewards = [self.task.reward.of(cost) for cost in loop.costs()]
        return self._seen(), np.array(rewards)

    def _live(self, current_ma: Sequence[float] | None) -> None:
        loop = self.loop
        for _ in range(self.task.decide_steps):
            if loop.done:
                return
            loop.step(current_ma)

    def _to_train(self) -> None:
        """Live on until everybody is in a train: there is nothing to decide before."""
        loop = self.loop
        while not loop.done and any(policy.steered.observation is None for policy in self._policies):
            loop.step()

    def _seen(self) -> Floats:
        """(people, observation); zeros outside of a train."""
        seen = np.zeros((len(self._policies), len(OBSERVATION)))
        for row, policy in zip(seen, self._policies, strict=True):
            vector = policy.steered.observation
            if vector is not None:
                np.clip(vector, -BOUND, BOUND, out=row)
        return seen

    def _draw(self, rng: np.random.Generator, options: Mapping[str, Any]) -> tuple[int, int]:
        person, day = self.people[int(rng.integers(len(self.people)))], int(rng.integers(_SEEDS))
        return int(options.get("person", person)), day


class ClosedLoopEnv(gymnasium.Env[Floats, Any]):
    """One person an episode.

    Parameters
    ----------
    task
        A task, its file, or the name of one that comes along.
    people
        Numbers of the people that an episode is drawn from; those of the default are of nobody whom `myoloop train`
        holds out by default. Leave out whom you evaluate on.
    action
        ``residual``: the number of one of :data:`ACTIONS`; ``current``: mA, asked of the gate.
    repetitions
        Trials of an episode, instead of the task's.
    """

    def __init__(
        self, task: Task | Path | str = "isometric_hold", people: Sequence[int] = PEOPLE,
        action: Action = "residual", repetitions: int | None = None,
    ) -> None:  # fmt: skip
        self._inner = _Loop(task, people, action, repetitions)
        self.observation_space = self._inner.observation_space
        self.action_space = self._inner.action_space

    @property
    def loop(self) -> ClosedLoop:
        """The loop behind the episode that is on."""
        return self._inner.loop

    def course(self) -> Course:
        """What has come of the episode so far."""
        return self._inner.loop.course()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:  # fmt: skip
        """Begin an episode; ``options={"person": number}`` chooses the person."""
        super().reset(seed=seed)
        seen = self._inner.begin([self.np_random], options or {})
        person, day = self._inner.drawn[0]
        return seen[0], {"person": person, "day": day}

    def step(self, action: Any) -> tuple[Floats, float, bool, bool, dict[str, Any]]:
        """Decide; the episode is truncated after the last trial, as a session is by its length."""
        seen, rewards = self._inner.act([action])
        return seen[0], float(rewards[0]), False, self._inner.done, {}


class ClosedLoopVectorEnv(gymnasium.vector.VectorEnv[Floats, Any, Any]):
    """Many people at once, stepped together; their episodes end together.

    Each of them is the very one that a single environment with its seed has. After the end the next step resets, as
    gymnasium's ``NEXT_STEP`` has it.
    """

    def __init__(
        self, num_envs: int = 40, task: Task | Path | str = "isometric_hold", people: Sequence[int] = PEOPLE,
        action: Action = "residual", repetitions: int | None = None,
    ) -> None:  # fmt: skip
        self._inner = inner = _Loop(task, people, action, repetitions)
        self.metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}
        self.num_envs = num_envs
        self.single_observation_space, self.single_action_space = inner.observation_space, inner.action_space
        self.observation_space = gymnasium.vector.utils.batch_space(inner.observation_space, num_envs)
        self.action_space = gymnasium.vector.utils.batch_space(inner.action_space, num_envs)
        self._generators: list[np.random.Generator] = []
        self._over = False

    @property
    def loop(self) -> ClosedLoop:
        """The loop behind the episodes that are on."""
        return self._inner.loop

    def course(self) -> Course:
        """What has come of the episodes so far."""
        return self._inner.loop.course()

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Floats, dict[str, Any]]:  # fmt: skip
        """Begin episodes; a number n seeds environment i with n + i."""
        if seed is not None or not self._generators:
            every = range(self.num_envs)
            seeds = (
                [None for _ in every] if seed is None else [seed + n for n in every] if isinstance(seed, int) else seed
            )
            self._generators = [seeding.np_random(one)[0] for one in seeds]
        self._over = False
        seen = self._inner.begin(self._generators, options or {})
        return seen, self._told()

    def step(self, actions: Any) -> tuple[Floats, Floats, npt.NDArray[np.bool_], npt.NDArray[np.bool_], dict[str, Any]]:
        """Decide for everybody."""
        no = np.zeros(self.num_envs, dtype=np.bool_)
        if self._over:
            seen, told = self.reset()
            return seen, np.zeros(self.num_envs), no, no.copy(), told
        seen, rewards = self._inner.act(list(actions))
        self._over = self._inner.done
        return seen, rewards, no, np.full(self.num_envs, self._over), {}

    def _told(self) -> dict[str, Any]:
        drawn = np.array(self._inner.drawn, dtype=np.int64)
        return {"person": drawn[:, 0], "day": drawn[:, 1]}


def register() -> None:
    """Make the environment known to gymnasium."""
    if ENV_ID not in gymnasium.registry:
        where = "myoloop.experiments.training.environment"
        gymnasium.register(
            ENV_ID, entry_point=f"{where}:ClosedLoopEnv", vector_entry_point=f"{where}:ClosedLoopVectorEnv"
        )


@lru_cache(maxsize=1024)
def _case(task_json: str, person: int) -> Case:
    # The calibration is a fit: the same person of the same task is calibrated once.
    return task_cases(Task.model_validate_json(task_json), [person])[0]


def _policy(case: Case, task: Task) -> SteeredGain:
    return SteeredGain(AdaptiveGainSettings(**case.model(case.set_point_n(task.target_share))), (CHANNEL,))


def _number(action: Any) -> int:
    number = np.asarray(action).item()
    if type(number) is not int or not 0 <= number < len(ACTIONS):
        raise ValueError(f"action: found {action!r}, allowed is a whole number from 0 to {len(ACTIONS) - 1}")
    return number


register()
