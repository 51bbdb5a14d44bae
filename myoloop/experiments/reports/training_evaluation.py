"""Reading what `evaluate` wrote: every controller on the same people held out, under every condition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from myoloop.controllers.shadowed import LEARNED
from myoloop.experiments.reports.training_files import (
    Compute,
    Interval,
    check_format,
    read_json,
    shaped,
)
from myoloop.experiments.reports.training_results import (
    COMPOSITE,
    MEASURES,
    Array,
    Outcome,
    Results,
    TrainingReportError,
)
from myoloop.experiments.training.contenders import contenders
from myoloop.experiments.training.trained_files import EVALUATION, EVALUATION_FORMAT, TIMING

#: The condition in which nothing goes wrong.
PLAIN = "plain"


class Log(msgspec.Struct, frozen=True):
    """Decisions that were logged, and the share of them that was drawn by lot."""

    decisions: int
    explored: float


class OffPolicy(msgspec.Struct, frozen=True):
    """What fitted-Q evaluation made of a log, beside what came of it in closed loop."""

    people: int
    log: Log
    discount: float
    estimated_gain: float
    closed_loop_gain: float
    caveat: str


class Percentiles(msgspec.Struct, frozen=True):
    """Of times, in ms."""

    p50: float
    p99: float
    p999: float
    max: float


class Timing(msgspec.Struct, frozen=True):
    """How long each step of the learned controller took on the machine of the evaluation."""

    steps: int
    budget_ms: float
    wall_ms: Percentiles
    thread_ms: Percentiles
    missed: int
    missed_by_own_time: int
    evaluation: Compute | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """An evaluation.

    Attributes
    ----------
    results
        Of every controller on everybody.
    passed, why
        Whether the controller may be considered for deployment, and what stands against it.
    off_policy, timing, gap
        None where it was not measured; `gap` as in a dataset.
    """

    results: Results
    artefact_sha256: str
    passed: bool
    why: tuple[str, ...]
    limits: tuple[str, ...]
    off_policy: OffPolicy | None
    timing: Timing | None
    gap: Mapping[str, Any] | None
    versions: tuple[tuple[str, str], ...]


class _Controller(msgspec.Struct):
    composite: Interval
    composite_by_person: list[float]
    figures: dict[str, Interval]
    figures_by_person: dict[str, list[float]]
    interventions: dict[str, int]
    violations: dict[str, int]
    fell_back: dict[str, str]
    trial_rmse_by_person: list[list[float]] | None = None


class _Row(msgspec.Struct):
    fault: str
    controller: str
    people: tuple[str, ...]
    composite: Interval
    composite_by_person: list[float]
    violations: dict[str, int]
    fell_back: int


class _Composite(msgspec.Struct):
    reference: str


class _Mean(msgspec.Struct):
    mean: float | None
    low: float | None
    high: float | None


class _Virtual(msgspec.Struct):
    median: float | None
    low: float | None
    high: float | None


class _GapRow(msgspec.Struct):
    measure: str
    unit: str
    recorded: _Mean
    virtual: _Virtual
    difference: _Mean
    within: int
    subjects: int


class _GapTable(msgspec.Struct):
    note: str
    sessions: list[str]
    rows: list[_GapRow]


class _Gap(msgspec.Struct):
    virtual_people: int
    people: _GapTable
    full_tier: _GapTable


class _Evaluation(msgspec.Struct):
    myoloop: str
    code_sha256: str
    artefact_sha256: str
    people: tuple[str, ...]
    composite: _Composite
    controllers: dict[str, _Controller]
    learned_less: dict[str, Interval]
    robustness: list[_Row]
    passed: bool
    why: tuple[str, ...]
    limits: tuple[str, ...]
    off_policy: OffPolicy | None = None
    sim_to_real: _Gap | None = None


def read_evaluation(folder: Path) -> Evaluation | None:
    """Read ``evaluation.json`` of a folder, and ``timing.json``; None where there is no evaluation.

    Raises
    ------
    TrainingReportError
        If it is none of this version, or damaged; it names the key.
    """
    path = folder / EVALUATION
    data = read_json(path)
    if data is None:
        return None
    check_format(path, data, EVALUATION_FORMAT)
    found = shaped(path, data, _Evaluation)
    reference = found.composite.reference
    for needed in (LEARNED, reference):
        if needed not in found.controllers:
            raise TrainingReportError(f"{path}: is damaged: controllers: {needed} is missing")
    if not found.people:
        raise TrainingReportError(f"{path}: is damaged: people: found nobody")
    # A JSON object has no order of ours.
    order = {name: place for place, name in enumerate(contenders())}
    names = sorted(found.controllers, key=lambda name: (order.get(name, len(order)), name))
    outcomes = {(PLAIN, name): _outcome(path, name, found.controllers[name], found.people) for name in names}
    for number, row in enumerate(found.robustness):
        outcomes[row.fault, row.controller] = _under(f"{path}: is damaged: robustness[{number}]", row)
    baselines = tuple(name for name in names if name != LEARNED)
    less = {name: (each.mean, each.low, each.high) for name, each in found.learned_less.items()}
    return Evaluation(
        results=Results(found.people, baselines, LEARNED, reference, PLAIN, outcomes, less),
        artefact_sha256=found.artefact_sha256,
        passed=found.passed,
        why=found.why,
        limits=found.limits,
        off_policy=found.off_policy,
        timing=_timing(folder / TIMING),
        gap=data.get("sim_to_real"),
        versions=(("Evaluated by", f"myoloop {found.myoloop}"), ("Evaluation code SHA-256", found.code_sha256)),
    )


def _outcome(path: Path, name: str, told: _Controller, people: Sequence[str]) -> Outcome:
    where = f"{path}: is damaged: controllers.{name}"
    figures = {COMPOSITE: _by_person(where, COMPOSITE, told.composite_by_person, len(people))}
    figures |= {
        measure: _by_person(where, measure, values, len(people))
        for measure, values in told.figures_by_person.items()
        if measure in MEASURES
    }
    intervals = {measure: (each.mean, each.low, each.high) for measure, each in told.figures.items()}
    trials = told.trial_rmse_by_person
    if trials is not None and (len(trials) != len(people) or len({len(each) for each in trials}) != 1):
        raise TrainingReportError(f"{where}: trial_rmse_by_person: allowed is a row of equal length for each person")
    return Outcome(
        people=tuple(people),
        figures=figures,
        intervals={**intervals, COMPOSITE: (told.composite.mean, told.composite.low, told.composite.high)},
        violations=told.violations,
        interventions=told.interventions,
        fell=dict(Counter(told.fell_back.values())),
        fell_back=told.fell_back,
        fell_people=len(told.fell_back),
        trial_rmse=None if trials is None else np.array(trials, dtype=np.float64),
    )


def _under(where: str, row: _Row) -> Outcome:
    return Outcome(
        people=row.people,
        figures={COMPOSITE: _by_person(where, COMPOSITE, row.composite_by_person, len(row.people))},
        intervals={COMPOSITE: (row.composite.mean, row.composite.low, row.composite.high)},
        violations=row.violations,
        fell_people=row.fell_back,
    )


def _by_person(where: str, name: str, values: Sequence[float], people: int) -> Array:
    if len(values) != people:
        raise TrainingReportError(
            f"{where}: {name}: found {len(values)} values for {people} people, allowed is one each"
        )
    return np.array(values, dtype=np.float64)


def _timing(path: Path) -> Timing | None:
    data = read_json(path)
    return None if data is None else shaped(path, data, Timing)
