"""A rollout: the same numbers wherever and beside whomever, and each decision with what it cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.experiments.training.contenders import contenders, learned_settings, task_of
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.rollout import COSTS, items_of, rollout
from myoloop.experiments.training.task import Task, load_task


@pytest.fixture(scope="module")
def task() -> Task:
    task = load_task("isometric_hold")
    return task.changed(trial={"ramp_s": 0.5, "hold_s": 1.0, "rest_s": 1.0, "repetitions": 2})


def rolled(task: Task, numbers: list[int], **more: Any) -> dict[str, Any]:
    (item,) = items_of(task, numbers, seed=0, **more)
    return rollout(item)


def constant(residual: float) -> dict[str, Any]:
    return learned_settings(DistilledModel.always(residual), budget_uc=1e5, decide_every_s=0.1)


def test_without_exploring_it_is_adaptive_gain_to_the_last_bit(task: Task) -> None:
    exploring, classic = rolled(task, [3, 4], explore=0.0, lots=0), rolled(task, [3, 4], controller="adaptive_gain")
    assert exploring["figures"] == classic["figures"]
    np.testing.assert_array_equal(exploring["trial_rmse"], classic["trial_rmse"])


def test_a_learned_controller_that_never_does_anything_is_adaptive_gain(task: Task) -> None:
    learned = rolled(task, [3], controller="fitted_q", learned=constant(0.0))
    assert learned["figures"] == rolled(task, [3], controller="adaptive_gain")["figures"]


def test_nobody_hangs_on_who_is_computed_beside_them(task: Task) -> None:
    both, alone = rolled(task, [3, 4], explore=0.6, lots=5), rolled(task, [4], explore=0.6, lots=5)
    assert [values[1] for values in both["figures"].values()] == [values[0] for values in alone["figures"].values()]
    np.testing.assert_array_equal(both["cost"][both["person"] == 1], alone["cost"])


def test_another_process_gives_the_same(task: Task) -> None:
    items = [item for number in (3, 4) for item in items_of(task, [number], explore=0.6, lots=5, seed=0)]
    here, there = Jobs().run("people", rollout, items), Jobs(workers=2).run("people", rollout, items)
    for one, other in zip(here, there, strict=True):
        assert one["figures"] == other["figures"]
        np.testing.assert_array_equal(one["observation"], other["observation"])


def test_a_decision_every_tenth_of_a_second_of_each_train(task: Task) -> None:
    result = rolled(task, [3], explore=0.6, lots=5)
    assert result["observation"].shape == (40, len(OBSERVATION))
    np.testing.assert_array_equal(np.flatnonzero(result["last"]), [19, 39])
    np.testing.assert_array_equal(result["trial"], [1] * 20 + [2] * 20)
    np.testing.assert_array_equal(result["cost"][:, COSTS.index("steps")], 10.0)
    assert set(result["action"]) <= set(range(len(ACTIONS)))
    assert len(set(result["action"])) > 3


def test_costs_add_up_to_what_came_of_it(task: Task) -> None:
    result = rolled(task, [3], explore=0.6, lots=5)
    square = result["cost"][:, COSTS.index("square")].reshape(2, 20).sum(axis=1) / 200
    np.testing.assert_allclose(np.sqrt(square), result["trial_rmse"][0], rtol=0.1)


def test_near_exploring_stays_by_what_was_learnt(task: Task) -> None:
    result = rolled(task, [3], explore=1.0, near=True, lots=5, learned=constant(ACTIONS[-1]))
    assert set(result["action"]) == {len(ACTIONS) - 3, len(ACTIONS) - 2, len(ACTIONS) - 1}


@pytest.mark.parametrize("name", contenders())
def test_every_contender_tracks_within_the_envelope(task: Task, name: str) -> None:
    result = rolled(task, [3], controller=name, learned=constant(0.0))
    assert result["violations"] == [{}]
    assert 0.0 < result["figures"]["rmse"][0] < 1.5
    assert result["figures"]["charge_mc"][0] > 0.0
    assert 0.0 <= result["figures"]["settling_s"][0] <= task.trial.hold_s


def test_the_trigger_is_given_an_effort_to_wait_for_and_the_same_time(task: Task) -> None:
    longer = task.changed(trial={**task.trial.model_dump(), "rest_s": 5.0})
    assert task_of("emg_trigger", longer).trial.await_effort_s == 1.0
    assert task_of("emg_trigger", longer).trial.period_s == longer.trial.period_s
    assert task_of("adaptive_gain", longer) == longer


def test_what_is_no_contender_is_named(task: Task) -> None:
    with pytest.raises(ValueError, match="controller 'magic', there are open_loop, "):
        rolled(task, [3], controller="magic")
    with pytest.raises(ValueError, match="needs a model"):
        rolled(task, [3], controller="fitted_q")
