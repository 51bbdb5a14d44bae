"""An evaluation: every controller on the same held-out people, told person by person."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.experiments.training.artefact import ArtefactError
from myoloop.experiments.training.contenders import contenders
from myoloop.experiments.training.decisions import ACTION, OUTCOME, PLACE, Decisions
from myoloop.experiments.training.evaluate import (
    EvaluationPlan,
    Trained,
    evaluate_controller,
    evaluation_words,
    read_training,
)
from myoloop.experiments.training.fitted_q import FittedQSettings
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.logged import person_transitions
from myoloop.experiments.training.plan import Plan
from myoloop.experiments.training.task import load_task
from myoloop.experiments.training.train import train_controller
from myoloop.experiments.training.trained_files import ARTEFACT, EVALUATION, TIMING, TRAINING
from myoloop.platform.errors import UserError

TINY = Plan(
    people=5, repetitions=3, seeds=1, rounds=1, people_a_round=2, validate_share=0.3, held_out_share=0.4,
    fit=FittedQSettings(growths=1, iterations=3, trees=4, leaf_least=20), leaves=12, leaf_least=10,
)  # fmt: skip
FEW = EvaluationPlan(people=2, robust_people=1, off_policy_people=2, timed_trials=1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    task = load_task("isometric_hold").changed(trial={"ramp_s": 0.5, "hold_s": 1.0, "rest_s": 1.0})
    train_controller(out, task, TINY, 0, Jobs())
    return out


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    return evaluate_controller(folder, read_training(folder), FEW, Jobs())


def test_every_controller_is_tried_on_the_same_people(found: dict[str, Any]) -> None:
    assert tuple(found["controllers"]) == contenders()
    assert all(len(each["composite_by_person"]) == 2 for each in found["controllers"].values())


def test_adaptive_gain_is_one(found: dict[str, Any]) -> None:
    reference = found["controllers"]["adaptive_gain"]
    assert reference["composite_by_person"] == [1.0, 1.0]
    assert all(each["mean"] == 0.0 for each in reference["difference"].values())


def test_the_worst_person_is_named_and_those_who_are_worse_are_counted(found: dict[str, Any]) -> None:
    for each in found["controllers"].values():
        by_person = dict(zip(found["people"], each["composite_by_person"], strict=True))
        assert each["worst"]["composite"] == max(by_person.values()) == by_person[each["worst"]["person"]]
        worse = {person for person, value in by_person.items() if value > 1.1}
        assert set(each["worse_than_10_percent"]["people"]) == worse
        assert each["worse_than_10_percent"]["count"] == len(worse)


def test_differences_are_paired(found: dict[str, Any]) -> None:
    ours, theirs = (found["controllers"][name]["figures_by_person"]["rmse"] for name in ("fitted_q", "adaptive_gain"))
    told = found["controllers"]["fitted_q"]["difference"]["rmse"]["mean"]
    assert told == pytest.approx(np.mean(np.array(ours) - np.array(theirs)))


def test_it_passes_only_with_an_interval_below_one_and_nobody_much_worse(found: dict[str, Any]) -> None:
    learned = found["controllers"]["fitted_q"]
    good = learned["composite"]["high"] < 1 and not learned["worse_than_10_percent"]["count"]
    assert found["passed"] == (good and not learned["violations"])
    assert bool(found["why"]) != found["passed"]
    assert ("did not pass" in evaluation_words(found)) != found["passed"]


def test_each_fault_is_tried_on_each_controller_and_breaks_no_envelope(found: dict[str, Any]) -> None:
    rows = found["robustness"]
    assert {row["fault"] for row in rows} == {
        "force_lost", "force_stuck", "force_late", "pad_half_off", "lead_open", "threshold_drift", "non_responders",
    }  # fmt: skip
    assert len(rows) == 7 * len(contenders()) == 7 * 6
    assert all(row["violations"] == {} for row in rows)


def test_the_estimate_from_a_log_stands_beside_what_came_of_it(found: dict[str, Any]) -> None:
    told = found["off_policy"]
    assert np.isfinite([told["estimated_gain"], told["closed_loop_gain"]]).all()
    assert "decides nothing" in told["caveat"]


def test_what_is_told_is_what_is_written_but_for_times(folder: Path, found: dict[str, Any]) -> None:
    written = json.loads((folder / EVALUATION).read_bytes())
    assert "timing" not in written
    assert written == json.loads(json.dumps({name: value for name, value in found.items() if name != "timing"}))
    assert json.loads((folder / TIMING).read_bytes())["steps"] == found["timing"]["steps"] > 100


@pytest.mark.prove
def test_the_same_again_makes_the_same_bytes(folder: Path, found: dict[str, Any], tmp_path: Path) -> None:
    evaluate_controller(tmp_path, read_training(folder), FEW, Jobs())
    assert (tmp_path / EVALUATION).read_bytes() == (folder / EVALUATION).read_bytes()


def test_nothing_is_overwritten(folder: Path, found: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="is there already"):
        evaluate_controller(folder, read_training(folder), FEW, Jobs())


def test_a_folder_without_a_training_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no training, there is no training\.json"):
        read_training(tmp_path)


def test_a_training_of_which_something_is_missing_is_said(folder: Path, tmp_path: Path) -> None:
    told = json.loads((folder / TRAINING).read_bytes())
    del told["learned"]
    (tmp_path / TRAINING).write_text(json.dumps(told))
    with pytest.raises(UserError, match=r"training\.json: learned: missing, or not what it must be"):
        read_training(tmp_path)


def test_a_training_with_another_artefact_is_refused(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / ARTEFACT, tmp_path / ARTEFACT)
    told = json.loads((folder / TRAINING).read_bytes())
    told["learned"]["model"]["value"] = [0.0 for _ in told["learned"]["model"]["value"]]
    (tmp_path / TRAINING).write_text(json.dumps(told))
    with pytest.raises(ArtefactError, match="is not the artefact of"):
        read_training(tmp_path)


def test_people_of_another_cohort_are_refused(folder: Path, tmp_path: Path) -> None:
    training = read_training(folder)
    told = {**training.told, "people": {**training.told["people"], "held_out": ["able_bodied-3"]}}
    with pytest.raises(UserError, match="held-out people are not of the task's cohort"):
        evaluate_controller(tmp_path, Trained(told, training.artefact_sha256), FEW, Jobs())


def decisions(count: int) -> Decisions:
    """Trains of ten decisions of a recorded session; every other one has a residual of 0.15."""
    action, outcome, place = (np.zeros((count, len(names))) for names in (ACTION, OUTCOME, PLACE))
    action[1::2, ACTION.index("residual")] = 0.15
    action[:, ACTION.index("share")] = 0.3
    outcome[:, OUTCOME.index("seconds")] = 0.1
    outcome[:, OUTCOME.index("error_rms")] = 0.05
    outcome[:, OUTCOME.index("charge_uc")] = 12.0
    place[9::10, PLACE.index("last")] = 1.0
    return Decisions(np.zeros((count, len(OBSERVATION))), action, outcome, place)


def test_logged_decisions_cost_what_the_composite_counts() -> None:
    made = person_transitions(decisions(60), -1)
    assert made is not None
    np.testing.assert_allclose(made.reward, 0.0)
    assert made.last.sum() == 6
    assert set(made.action.tolist()) == {3, 5}


def test_logged_decisions_that_save_are_worth_what_they_save() -> None:
    logged = decisions(60)
    logged.outcome[1::2, OUTCOME.index("charge_uc")] = 6.0
    made = person_transitions(logged, -1)
    assert made is not None
    np.testing.assert_allclose(made.reward[1::2], 0.1)


def test_a_train_that_was_cut_and_what_was_not_measured_is_left_out() -> None:
    logged = decisions(60)
    logged.place[9, PLACE.index("cut")] = 1.0
    logged.outcome[25, OUTCOME.index("error_rms")] = np.nan
    made = person_transitions(logged, -1)
    assert made is not None
    # The cut one; the one that was not measured, and the one before it, whose following is not known.
    assert len(made) == 60 - 3


def test_who_hardly_did_without_a_residual_is_left_out() -> None:
    logged = decisions(60)
    logged.action[:, ACTION.index("residual")] = 0.15
    assert person_transitions(logged, -1) is None
