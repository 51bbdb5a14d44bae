"""A training from the split to the artefact, on very few people and very short sessions."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from myoloop.experiments.subjects.fingerprint import fingerprint
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.training.artefact import load_artefact
from myoloop.experiments.training.contenders import read_model
from myoloop.experiments.training.fitted_q import FittedQSettings
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.plan import Plan, parts_of
from myoloop.experiments.training.split import LeakError, Person
from myoloop.experiments.training.task import Task, load_task
from myoloop.experiments.training.train import train_controller, training_words
from myoloop.experiments.training.trained_files import ARTEFACT, TRAINING, WORK
from myoloop.platform.errors import UserError

TINY = Plan(
    people=6, repetitions=2, seeds=2, rounds=2, people_a_round=2, validate_share=0.25,
    fit=FittedQSettings(growths=1, iterations=3, trees=4, leaf_least=20), leaves=12, leaf_least=10,
)  # fmt: skip


@pytest.fixture(scope="module")
def task() -> Task:
    return load_task("isometric_hold").changed(trial={"ramp_s": 0.5, "hold_s": 1.0, "rest_s": 1.0})


@pytest.fixture(scope="module")
def trained(task: Task, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], list[str]]:
    out, heard = tmp_path_factory.mktemp("trained"), []
    told = train_controller(out, task, TINY, 0, Jobs(folder=out / WORK, say=heard.append))
    return out, told, heard


def everything(out: Path) -> dict[str, bytes]:
    """The bytes of all that must not hang on machine or time."""
    paths = [out / TRAINING, *sorted((out / ARTEFACT).iterdir())]
    return {path.name: path.read_bytes() for path in paths}


def test_nobody_is_on_two_sides(trained: tuple[Path, dict[str, Any], list[str]]) -> None:
    people = trained[1]["people"]
    parts = [set(people[name]) for name in ("fitted", "validated", "held_out")]
    assert all(parts)
    assert sum(map(len, parts)) == len(set.union(*parts)) == TINY.people


def test_there_is_a_point_of_the_curve_for_each_seed_and_round(
    trained: tuple[Path, dict[str, Any], list[str]],
) -> None:
    told = trained[1]
    assert [(point["round"], point["seed"]) for point in told["curves"]] == [(1, 0), (1, 1), (2, 0), (2, 1)]
    first, later = told["curves"][0]["transitions"], told["curves"][2]["transitions"]
    assert later > first
    best = min(told["curves"], key=lambda point: point["composite"]["mean"])
    assert told["chosen"]["composite_validated"] == best["composite"]


def test_the_artefact_is_the_model_that_was_chosen(trained: tuple[Path, dict[str, Any], list[str]]) -> None:
    out, told, _ = trained
    artefact = load_artefact(out / ARTEFACT)
    assert artefact.model == read_model(told["learned"]["model"])
    assert artefact.card.settings["budget_uc"] == told["budget_uc"] > 0.0
    assert json.loads((out / TRAINING).read_bytes())["artefact_sha256"] == artefact.sha256
    assert artefact.sha256 in training_words(told)


def test_the_same_arguments_make_the_same_bytes_here_and_on_a_cluster_of_two(
    trained: tuple[Path, dict[str, Any], list[str]], task: Task, tmp_path: Path
) -> None:
    from distributed import LocalCluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None, silence_logs=50)
    with cluster:
        train_controller(tmp_path, task, TINY, 0, Jobs(cluster=cluster.scheduler_address))
    assert everything(tmp_path) == everything(trained[0])


def test_what_was_done_is_not_done_again(
    trained: tuple[Path, dict[str, Any], list[str]], task: Task, tmp_path: Path
) -> None:
    heard: list[str] = []
    (tmp_path / WORK).symlink_to(trained[0] / WORK, target_is_directory=True)
    train_controller(tmp_path, task, TINY, 0, Jobs(folder=tmp_path / WORK, say=heard.append))
    assert everything(tmp_path) == everything(trained[0])
    assert not [line for line in heard if " left" in line]
    assert any("kept from before" in line for line in heard)


def test_nothing_is_overwritten(trained: tuple[Path, dict[str, Any], list[str]], task: Task) -> None:
    with pytest.raises(UserError, match="holds a training already"):
        train_controller(trained[0], task, TINY, 0, Jobs())


def test_the_same_person_by_another_name_is_a_leak(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("myoloop.experiments.training.plan.fingerprint", lambda person: "the same")
    with pytest.raises(LeakError, match="are the same virtual person"):
        parts_of(task, TINY, 0)


def test_one_of_the_cohort_who_was_recorded_under_another_name_is_a_leak(task: Task) -> None:
    body = fingerprint(draw(3, task.people.preset))
    logged = [Person("SIM1", "study", True, frozenset({body}))]
    with pytest.raises(LeakError, match="SIM1 are the same virtual person"):
        parts_of(task, TINY, 0, {"SIM1": "train"}, logged)


def test_halves_that_stand_are_kept(task: Task) -> None:
    free = parts_of(task, TINY, 0)
    name = f"{task.people.preset}-{free.held_out[0]}"
    assert free.held_out[0] not in parts_of(task, TINY, 0, {name: "train"}).held_out


@pytest.mark.parametrize(("name", "value"), [("people", 4), ("seeds", 0), ("held_out_share", 1.0), ("rounds", 11)])
def test_a_size_that_makes_no_sense_is_refused(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"^{name}: found {value:g}, allowed is "):
        replace(TINY, **{name: value})
