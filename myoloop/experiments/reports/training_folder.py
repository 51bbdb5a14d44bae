"""Everything that a training report is made from: the training's folder, and what is named to stand beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from myoloop.experiments.reports.training_evaluation import Evaluation, read_evaluation
from myoloop.experiments.reports.training_files import (
    Compute,
    Training,
    read_compute,
    read_json,
    read_training,
    shaped,
)
from myoloop.experiments.reports.training_results import TrainingReportError
from myoloop.experiments.training.dataset import CARD, GAP, INDEX, problems
from myoloop.experiments.training.trained_files import EVALUATION, TRAINING

ESTIMATORS, SET_UP, DATASET = "estimators.json", "set_up.json", "dataset"
#: Stamped on every section, figure and printed page.
SIMULATED, PARTLY = "SIMULATED", "PARTLY SIMULATED"


class _Compared(msgspec.Struct):
    what: str
    unit: str
    rules: float
    learned: float
    difference: float
    low: float
    high: float
    margin: float
    people: int
    worst: int
    at_least_equal: bool


class _Spasm(msgspec.Struct):
    f1: float | None
    false_per_min: float | None


class _SpasmOf(msgspec.Struct):
    number: int
    rules: _Spasm
    learned: _Spasm


class _Fatigue(msgspec.Struct):
    rms_error: float | None


class _FatigueOf(msgspec.Struct):
    number: int
    rules: _Fatigue
    learned: _Fatigue


class _OfSpasm(msgspec.Struct):
    compared: list[_Compared]
    at_least_equal: bool
    by_person: list[_SpasmOf]


class _OfFatigue(msgspec.Struct):
    compared: list[_Compared]
    at_least_equal: bool
    by_person: list[_FatigueOf]


class _Size(msgspec.Struct):
    people: int
    held_out: int
    seconds: float


class _Estimators(msgspec.Struct):
    size: _Size
    spasm: _OfSpasm
    fatigue: _OfFatigue


class _Person(msgspec.Struct):
    seed: int
    preset: str
    grid: int
    trials: int
    reached: float
    reached_at_random: float
    over_tolerance: int


class _SetUp(msgspec.Struct):
    people: int
    share_reached: float
    share_reached_at_random: float
    median_reached: float
    median_trials_share: float
    trials: int
    over_tolerance: int
    worst: float
    good: bool
    each: list[_Person]


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset's card and gap, as they were frozen."""

    sha256: str
    holds: str
    card: Mapping[str, Any]
    gap: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Found:
    """What was found.

    Attributes
    ----------
    problems
        What does not fit together, one line each.
    """

    folder: Path
    training: Training | None
    evaluation: Evaluation | None
    compute: Compute | None
    dataset: Dataset | None
    estimators: Mapping[str, Any] | None
    set_up: Mapping[str, Any] | None
    problems: tuple[str, ...]

    @property
    def people_in_it(self) -> bool:
        """Whether anything was learned from recorded people, or may have been."""
        logged = self.training.logged if self.training is not None else None
        if logged is None or not logged.transitions:
            return False
        return self.dataset is None or self.dataset.holds != "virtual people"

    @property
    def stamp(self) -> str:
        """What must be said of everything on the page."""
        return PARTLY if self.people_in_it else SIMULATED

    @property
    def simulated(self) -> str:
        """For the column of a CSV: figures of an evaluation are of virtual people, whatever was learned from."""
        return "true"

    @property
    def said(self) -> str:
        """What was simulated, in a sentence."""
        if self.people_in_it:
            return "Learned from recorded decisions as well; every figure of an evaluation is of virtual people."
        return "Every person here is virtual: everything was simulated."


def read_folder(folder: Path, also: Sequence[Path] = ()) -> Found:
    """Read a training's folder.

    Parameters
    ----------
    also
        Files and folders beside it: the training, where the folder holds an evaluation alone; a dataset,
        ``estimators.json``, the result of a set-up.

    Raises
    ------
    TrainingReportError
        If there is no training, or something is damaged or not known for what it is.
    """
    if not folder.is_dir():
        raise TrainingReportError(f"{folder}: there is no such folder")
    training, evaluation, compute = read_training(folder), read_evaluation(folder), read_compute(folder)
    if training is None and evaluation is None:
        raise TrainingReportError(f"{folder}: holds no training, there is neither {TRAINING} nor {EVALUATION} in it")
    dataset = estimators = set_up = None
    own = [folder / name for name in (ESTIMATORS, SET_UP, DATASET)]
    for path in (*(each for each in own if each.exists()), *also):
        if (path / TRAINING).is_file():
            training, compute = training or read_training(path), compute or read_compute(path)
            continue
        if (path / INDEX).is_file():
            dataset = read_dataset(path)
            continue
        file = path / ESTIMATORS if path.is_dir() else path
        data = read_json(file)
        if data is None:
            raise TrainingReportError(f"{path}: found no dataset, no {ESTIMATORS} and no result of a set-up")
        if "spasm" in data and "fatigue" in data:
            shaped(file, data, _Estimators)
            estimators = data
        elif "share_reached" in data:
            shaped(file, data, _SetUp)
            set_up = data
        else:
            raise TrainingReportError(f"{file}: is neither {ESTIMATORS} nor the result of a set-up")
    told = _mismatches(training, evaluation, dataset)
    return Found(folder, training, evaluation, compute, dataset, estimators, set_up, tuple(told))


def read_dataset(folder: Path) -> Dataset:
    """Read a dataset's card and its gap.

    Raises
    ------
    TrainingReportError
        If anything of it was changed since it was frozen.
    """
    wrong = problems(folder)
    if wrong:
        raise TrainingReportError(wrong[0])
    index, card, gap = (read_json(folder / name) for name in (INDEX, CARD, GAP))
    if index is None or card is None or gap is None:
        raise TrainingReportError(f"{folder}: is damaged: {INDEX}, {CARD} or {GAP} is missing")
    return Dataset(str(index["sha256"]), str(index["holds"]), card, gap)


def _mismatches(training: Training | None, evaluation: Evaluation | None, dataset: Dataset | None) -> list[str]:
    """What is of another training than it stands beside."""
    told = []
    if training is not None and dataset is not None:
        learned = training.logged.dataset_sha256 if training.logged is not None else None
        if learned is None:
            told.append("Nothing was learned from the dataset beside this training; shown are its card and its gap.")
        elif learned != dataset.sha256:
            told.append(f"The dataset beside this training ({dataset.sha256[:12]}…) is not the one it learned from "
                        f"({learned[:12]}…).")  # fmt: skip
    if training is not None and evaluation is not None and evaluation.artefact_sha256 != training.artefact_sha256:
        told.append(f"The artefact that was evaluated ({evaluation.artefact_sha256[:12]}…) is not the one of this "
                    f"training ({training.artefact_sha256[:12]}…).")  # fmt: skip
    return told
