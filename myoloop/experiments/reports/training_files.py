"""Reading what `train` wrote, checked as it is read: what is missing or damaged is one line naming file and key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import numpy as np
from pydantic import ValidationError

from myoloop.experiments.reports.training_results import Curves, TrainingReportError
from myoloop.experiments.training.task import Task
from myoloop.experiments.training.trained_files import COMPUTE, TRAINING, TRAINING_FORMAT

Shape = TypeVar("Shape")


class Interval(msgspec.Struct, frozen=True):
    """Mean over people with its 95 % interval."""

    mean: float
    low: float
    high: float


class Distilled(msgspec.Struct, frozen=True):
    """A tree beside the forest that it came from."""

    agreement: float
    kept: float
    leaves: int


class Point(msgspec.Struct, frozen=True):
    """One round of one seed, measured on the people of validation."""

    seed: int
    round: int
    transitions: int
    composite: Interval
    composite_by_person: tuple[float, ...]
    fell_back: int
    distilled: Distilled


class Parts(msgspec.Struct, frozen=True):
    """Names of the people by what they were for."""

    fitted: tuple[str, ...]
    validated: tuple[str, ...]
    held_out: tuple[str, ...]


class Logged(msgspec.Struct, frozen=True):
    """Logged decisions that were learned from as well."""

    dataset_sha256: str
    people: int
    transitions: int


class Chosen(msgspec.Struct, frozen=True):
    """Which of the trainings was kept."""

    seed: int
    round: int
    composite_validated: Interval
    by: str


class Size(msgspec.Struct, frozen=True):
    """Of the plan of a training, what the report tells."""

    held_out_share: float


class _Training(msgspec.Struct, frozen=True):
    format: str
    myoloop: str
    code_sha256: str
    seed: int
    task: dict[str, Any]
    plan: Size
    people: Parts
    observation: tuple[str, ...]
    actions: tuple[float, ...]
    curves: tuple[Point, ...]
    chosen: Chosen
    budget_uc: float
    limits: tuple[str, ...]
    logged: Logged | None = None
    artefact_sha256: str = ""


class Training(msgspec.Struct, frozen=True):
    """A training: what ``training.json`` says."""

    myoloop: str
    code_sha256: str
    seed: int
    task: Task
    plan: Size
    people: Parts
    observation: tuple[str, ...]
    actions: tuple[float, ...]
    points: tuple[Point, ...]
    chosen: Chosen
    budget_uc: float
    limits: tuple[str, ...]
    logged: Logged | None
    artefact_sha256: str

    @property
    def seeds(self) -> tuple[int, ...]:
        """Of the trainings, in order."""
        return tuple(sorted({point.seed for point in self.points}))

    @property
    def curves(self) -> Curves:
        """Composite on the people of validation after each round, by seed."""
        rounds = sorted({point.round for point in self.points})
        found = {(point.seed, point.round): point.composite.mean for point in self.points}
        values = np.array([[found.get((seed, each), np.nan) for each in rounds] for seed in self.seeds])
        count = len(self.people.validated)
        return Curves(
            self.seeds, np.array(rounds, dtype=np.float64), "round of exploring and fitting", values,
            "composite on people of validation", 1.0, "adaptive gain",
            f"Composite: mean over n = {count} people of the training half on whom nothing was fitted; less is better. "
            f"The kept one was chosen on them, so that its value here flatters it; only people held out tell.",
        )  # fmt: skip


class Compute(msgspec.Struct, frozen=True):
    """What a training or an evaluation took."""

    seconds: float
    workers: int
    cluster: bool
    cpu_s_here: float | None = None


def read_training(folder: Path) -> Training | None:
    """Read ``training.json`` of a folder; None where there is none.

    Raises
    ------
    TrainingReportError
        If it is none of this version, or damaged; it names the key.
    """
    path = folder / TRAINING
    data = read_json(path)
    if data is None:
        return None
    check_format(path, data, TRAINING_FORMAT)
    found = shaped(path, data, _Training)
    if not found.curves:
        raise TrainingReportError(f"{path}: curves: found none, allowed is at least one point")
    try:
        task = Task.model_validate(found.task)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, ("task", *first["loc"])))
        raise TrainingReportError(f"{path}: {key}: {first['msg'].lower()}") from None
    return Training(
        myoloop=found.myoloop, code_sha256=found.code_sha256, seed=found.seed, task=task, plan=found.plan,
        people=found.people, observation=found.observation, actions=found.actions, points=found.curves,
        chosen=found.chosen, budget_uc=found.budget_uc, limits=found.limits, logged=found.logged,
        artefact_sha256=found.artefact_sha256,
    )  # fmt: skip


def read_compute(folder: Path) -> Compute | None:
    """Read ``compute.json`` of a folder; None where there is none.

    Raises
    ------
    TrainingReportError
        If it is damaged.
    """
    path = folder / COMPUTE
    data = read_json(path)
    return None if data is None else shaped(path, data, Compute)


def read_json(path: Path) -> Mapping[str, Any] | None:
    """An object from a JSON file; None where there is no file.

    Raises
    ------
    TrainingReportError
        If it cannot be read, is no JSON, no object, or has a number that is not finite.
    """
    try:
        data = json.loads(path.read_bytes(), parse_constant=_no_number)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TrainingReportError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise TrainingReportError(f"{path}: is damaged, no JSON: {' '.join(str(error).split())}") from None
    if not isinstance(data, dict):
        raise TrainingReportError(f"{path}: is damaged: found {type(data).__name__}, allowed is a JSON object")
    return data


def shaped(path: Path, data: Mapping[str, Any], shape: type[Shape]) -> Shape:
    """Data of a file as a structure.

    Raises
    ------
    TrainingReportError
        If a key is missing or of another type.
    """
    try:
        return msgspec.convert(data, shape)
    except msgspec.ValidationError as error:
        raise TrainingReportError(f"{path}: is damaged: {error}") from None


def check_format(path: Path, data: Mapping[str, Any], wanted: str) -> None:
    """Refuse a file of another format.

    Raises
    ------
    TrainingReportError
        If it is one.
    """
    said = data.get("format")
    if said != wanted:
        raise TrainingReportError(f"{path}: format: found {said!r}, this version reads {wanted!r}")


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no finite number")
