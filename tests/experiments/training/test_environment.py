"""The Gymnasium environment: its contract, its seeds, and an adversary against the gate."""

from __future__ import annotations

import math
import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from myoloop.controllers.policies.residual import ACTIONS
from myoloop.experiments.training.cases import task_cases
from myoloop.experiments.training.closed_loop import ClosedLoop
from myoloop.experiments.training.environment import ENV_ID, ClosedLoopEnv, ClosedLoopVectorEnv
from myoloop.experiments.training.task import Task, load_task

CLASSIC = ACTIONS.index(0.0)


def _short() -> Task:
    """The task with short trials."""
    whole = load_task("isometric_hold")
    return whole.changed(trial={**whole.trial.model_dump(), "hold_s": 1.0, "rest_s": 2.0})


@pytest.mark.parametrize("action", ["residual", "current"])
def test_it_keeps_gymnasiums_contract(action: str) -> None:
    env = gymnasium.make(ENV_ID, repetitions=1, action=action)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Currents are in mA, not normalised: they go to the gate as they are.
        warnings.filterwarnings("ignore", message=".*symmetric and normalized space")
        check_env(env.unwrapped)


def test_the_same_seed_is_the_same_episode_to_the_last_bit_alone_or_among_others() -> None:
    actions = np.random.default_rng(5).integers(len(ACTIONS), size=(200, 6))
    many = ClosedLoopVectorEnv(6, _short(), repetitions=2)
    seen_many, told = many.reset(seed=40)
    for n in (0, 4):
        one = ClosedLoopEnv(_short(), repetitions=2)
        seen, info = one.reset(seed=40 + n)
        assert info["person"] == told["person"][n]
        assert np.array_equal(seen, seen_many[n])
    one.reset(seed=44)
    for chosen in actions:
        seen_many, rewards, _, over_many, _ = many.step(chosen)
        seen, reward, _, over, _ = one.step(chosen[4])
        assert np.array_equal(seen, seen_many[4])
        assert reward == rewards[4]
        assert over == over_many[4]
        if over:
            break
    assert over
    assert np.array_equal(many.course().trial_rmse[4], one.course().trial_rmse[0])


def test_a_vectorised_environment_resets_in_the_step_after_the_end() -> None:
    envs = gymnasium.make_vec(ENV_ID, num_envs=3, vectorization_mode="vector_entry_point", repetitions=1)
    seen, _ = envs.reset(seed=1)
    assert envs.observation_space.contains(seen)
    over, steps = np.zeros(3, dtype=bool), 0
    while not over.all():
        seen, rewards, ended, over, _ = envs.step(np.full(3, CLASSIC))
        steps += 1
        assert rewards.shape == (3,)
        assert not ended.any()
    # One trial of 5 s, decided every 0.1 s.
    assert 45 <= steps <= 52
    seen, rewards, _, over, told = envs.step(np.full(3, CLASSIC))
    assert not rewards.any()
    assert not over.any()
    assert set(told) == {"person", "day"}
    assert seen[:, 0].max() < 0.1


def test_the_residual_of_nothing_is_adaptive_gain_itself() -> None:
    from myoloop.controllers.choice import Choice
    from myoloop.controllers.policies.policy import make_policy

    env = ClosedLoopEnv(_short(), repetitions=2)
    env.reset(seed=3)
    while not env.step(CLASSIC)[3]:
        pass
    (case,) = env.loop.cases
    task = env.loop.task
    policy = make_policy(
        Choice(name="adaptive_gain", settings=case.model(case.set_point_n(task.target_share))), ("stim",)
    )
    classic = ClosedLoop([case], task, [policy]).run()
    assert np.array_equal(classic.trial_rmse, env.course().trial_rmse)
    assert np.array_equal(classic.charge_mc, env.course().charge_mc)


def test_tracking_well_is_rewarded_more_than_leaving_the_target() -> None:
    sums = []
    for number in (CLASSIC, 0):
        env = ClosedLoopEnv(_short(), people=range(1000), repetitions=2)
        env.reset(seed=8)
        total, over = 0.0, False
        while not over:
            _, reward, _, over, _ = env.step(number)
            total += reward
        sums.append(total)
    assert sums[0] > sums[1]


def test_a_person_can_be_chosen_and_nonsense_is_refused() -> None:
    env = ClosedLoopEnv(people=range(20), repetitions=1)
    assert env.reset(seed=1, options={"person": 17})[1]["person"] == 17
    with pytest.raises(ValueError, match="options: found"):
        env.reset(options={"people": 1})
    with pytest.raises(ValueError, match="action: found 99"):
        env.step(99)
    with pytest.raises(ValueError, match="action is 'voltage'"):
        ClosedLoopEnv(action="voltage")  # type: ignore[arg-type]


# -- the adversary ---------------------------------------------------------------------------------------------------

#: Rules of the gate that have to act for the limits to have been tried.
_RULES = {"current": 1, "range": 2, "on-time": 4, "dose": 8, "rise on known ground": 16}
_ODD = (math.nan, math.inf, -math.inf, -1.0, -0.0, 0.0, 1e308, 5e-324, 1e9, 0.4999, 130.0, 130.5)


def _adversary(seed: int, people: int, steps: int, *, short: bool) -> dict[str, int]:
    """Ask for the worst: noise, the limits and just beyond, what is no number, blinks, and all of it for ever."""
    whole = load_task("isometric_hold")
    # Limits of the session that are reached within the test's time; longer, for those of a train.
    session = {"session_s": 4.0, "session_charge_mc_max": 0.6} if short else {}
    task = whole.changed(
        decide_every_s=0.01,
        people={**whole.people.model_dump(), "preset": "chronic_sci"},
        envelope={**whole.envelope.model_dump(), **session},
    )
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x61647665, seed))))
    envs = ClosedLoopVectorEnv(people, task, action="current", repetitions=math.ceil(steps / people / 1000))
    envs.reset(seed=seed)
    limits = np.array([person.judge.most_ma for person in envs.loop.people])
    wanted = np.zeros(people)
    manner = np.zeros(people, dtype=np.int64)
    found: dict[str, int] = {"pulses": 0}
    over = np.zeros(people, dtype=bool)
    for step in range(math.ceil(steps / people)):
        changes = rng.random(people) < 0.005
        manner = np.where(changes, rng.integers(6, size=people), manner)
        blinks = (step // 2) % np.maximum(1, manner) == 0
        wanted = np.select(
            [manner == 0, manner == 1, manner == 2, manner == 3],
            [
                rng.uniform(-10.0, 150.0, people),
                limits * rng.choice([0.999, 1.0, 1.001, 1.0 + 1e-12], people),
                rng.choice(_ODD, people),
                np.where(blinks, limits, 0.0),
            ],
            default=np.where((step + np.arange(people)) % 7 < 3, 2.0 * limits, limits),
        )
        _, _, _, over, _ = envs.step(wanted[:, None])
        if over.any():
            break
    for person in envs.loop.people:
        found["pulses"] += person.judge.pulses
        for rule in person.interventions:
            found["rules"] = found.get("rules", 0) | _RULES.get(rule, 0)
        for limit, count in person.judge.violations.items():
            found[limit] = found.get(limit, 0) + count
    return found


def test_an_adversary_does_not_get_through_the_gate() -> None:
    found = _together([_adversary(1, 10, 12_000, short=False), _adversary(2, 10, 8_000, short=True)])
    assert found.pop("pulses") > 1000
    assert found.pop("rules") == sum(_RULES.values()), "not every limit was tried"
    assert found == {}


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_an_adversary_does_not_get_through_the_gate_in_a_million_steps() -> None:
    found = _together([_adversary(seed, 40, 100_000, short=seed % 5 == 0) for seed in range(3, 13)])
    assert found.pop("pulses") > 20_000
    assert found.pop("rules") == sum(_RULES.values())
    assert found == {}


def _together(each: list[dict[str, int]]) -> dict[str, int]:
    whole: dict[str, int] = {"rules": 0}
    for found in each:
        whole["rules"] |= found.pop("rules", 0)
        for what, count in found.items():
            whole[what] = whole.get(what, 0) + count
    return whole


def test_blinks_use_up_on_time_as_an_unbroken_train_does() -> None:
    # A cycle of current gives a pulse whose period is three cycles.
    whole = load_task("isometric_hold")
    loop = ClosedLoop(task_cases(whole, [1]), whole, None)
    (person,) = loop.people
    on_s = person.armed.envelope.on_s_max
    assert on_s is not None
    before = 0
    for step in range(2000):
        loop.step([1000.0 if step % 3 == 0 else 0.0])
        if step * 0.01 < on_s:
            before = person.judge.pulses
            assert "on-time" not in person.interventions
    assert before > 30 * (on_s - 1.0)
    assert person.interventions["on-time"] > 0
    assert person.judge.pulses < 1.6 * before, "and then rest as much"
    assert person.judge.peak_ma <= 0.1 * person.judge.most_ma
    assert not person.judge.violations


def test_a_person_or_an_action_that_is_none_of_its_own_is_refused() -> None:
    env = ClosedLoopEnv(_short(), people=(5, 7), repetitions=1)
    with pytest.raises(ValueError, match="allowed is person: number of one of people"):
        env.reset(seed=1, options={"person": 150})
    env.reset(seed=1, options={"person": 7})
    for action in (2.9, True, len(ACTIONS), -1):
        with pytest.raises(ValueError, match="allowed is a whole number from 0 to"):
            env.step(action)
