"""What train and evaluate really write is what the report reads."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from myoloop.experiments.reports.training import write_training_report
from myoloop.experiments.training.contenders import contenders
from myoloop.experiments.training.evaluate import EvaluationPlan, evaluate_controller, read_training
from myoloop.experiments.training.fitted_q import FittedQSettings
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.plan import Plan
from myoloop.experiments.training.task import load_task
from myoloop.experiments.training.train import train_controller

PLAN = Plan(
    people=5, repetitions=4, seeds=1, rounds=1, people_a_round=2, held_out_share=0.4, validate_share=0.3,
    fit=FittedQSettings(growths=1, iterations=2, trees=3, leaf_least=5), leaves=8, leaf_least=5,
)  # fmt: skip
SHORT = {"ramp_s": 0.1, "hold_s": 0.5, "rest_s": 0.5, "repetitions": 4}
#: Often, so that few and short trains have enough decisions to fit to.
DECIDE_EVERY_S = 0.02


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A training and its evaluation, too small for anything but to see that they are read."""
    folder = tmp_path_factory.mktemp("run") / "trained"
    train_controller(
        folder, load_task("isometric_hold").changed(trial=SHORT, decide_every_s=DECIDE_EVERY_S), PLAN, 0, Jobs()
    )
    plan = EvaluationPlan(robust_people=1, off_policy_people=2, timed_trials=1)
    evaluate_controller(folder, read_training(folder), plan, Jobs())
    return folder


def test_everything_that_a_run_measures_is_on_the_page(trained, page_of):
    page = write_training_report(trained)
    text = page.read_text(encoding="utf-8")
    assert page_of(text).fetched == []
    sections = {each.split('"')[0]: each for each in text.split('<section id="')[1:]}
    silent = {name for name, each in sections.items() if "Not measured." in each}
    # No dataset, no estimators, no set-up stand beside it.
    assert silent == {"sim-to-real", "ablations", "estimators", "set-up"}
    told = json.loads((trained / "evaluation.json").read_bytes())
    with (page.parent / "figures" / "paired.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["baseline"] for row in rows] == [name for name in contenders()[:-1] for _ in told["people"]]
    for row in rows:
        each = told["controllers"][row["baseline"]]["composite_by_person"]
        assert float(row["composite of baseline"]) == each[told["people"].index(row["person"])]
    assert {path.stem for path in (page.parent / "figures").glob("*.svg")} == {
        "learning", "paired", "outcomes", "trials", "worst", "faults",
    }  # fmt: skip


def test_an_evaluation_in_a_folder_of_its_own_takes_its_training_from_beside(trained, tmp_path):
    for name in ("evaluation.json", "timing.json"):
        (tmp_path / name).write_bytes((trained / name).read_bytes())
    alone = write_training_report(tmp_path, tmp_path / "alone.html").read_text(encoding="utf-8")
    assert "There is no training.json" in alone
    both = write_training_report(tmp_path, also=[trained]).read_text(encoding="utf-8")
    assert "There is no training.json" not in both
    assert json.loads((trained / "training.json").read_bytes())["artefact_sha256"] in both
