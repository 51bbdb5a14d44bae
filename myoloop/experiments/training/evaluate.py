"""Hold a trained controller against the classic ones, on people who were held out, with the same days and faults.

Everything in ``evaluation.json`` follows from the training and the arguments. How long a decision takes on this machine
stands beside it, in ``timing.json``.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop import __version__
from myoloop.controllers.shadowed import LEARNED
from myoloop.experiments.training.artefact import ArtefactError, load_artefact
from myoloop.experiments.training.composite import GATED_MORE, WEIGHTS, WORSE, composite, interval
from myoloop.experiments.training.contenders import REFERENCE, contenders, read_model
from myoloop.experiments.training.from_cohort import cohort_name
from myoloop.experiments.training.inference import time_inference
from myoloop.experiments.training.jobs import Jobs, code_sha256
from myoloop.experiments.training.off_policy import off_policy
from myoloop.experiments.training.rollout import items_of, rollout
from myoloop.experiments.training.task import Fault, Task
from myoloop.experiments.training.train import figures_of
from myoloop.experiments.training.trained_files import (
    ARTEFACT,
    EVALUATION,
    EVALUATION_FORMAT,
    TIMING,
    TRAINING,
    TRAINING_FORMAT,
)
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

#: Of these every difference is told, person by person.
PAIRED = (*WEIGHTS, "settling_s", "pain", "gated")
_NON_RESPONDERS = "non_responders"

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationPlan:
    """Size of an evaluation.

    Attributes
    ----------
    people
        Of those held out; 0: all of them.
    robust_people
        Of these, on whom faults are tried.
    faults
        Which; empty: all of them.
    off_policy_people
        Of these, on whom fitted-Q evaluation is held against the closed loop.
    timed_trials
        Trials of one person in which every decision is timed.
    """

    people: int = 0
    robust_people: int = 5
    faults: tuple[str, ...] = ()
    off_policy_people: int = 8
    timed_trials: int = 20


QUICK = EvaluationPlan(people=4, robust_people=1, faults=("force_lost",), off_policy_people=1, timed_trials=2)


@dataclass(frozen=True, slots=True)
class Trained:
    """A training as it is read for evaluation: its JSON, and the artefact that it wrote."""

    told: Mapping[str, Any]
    artefact_sha256: str

    @property
    def task(self) -> Task:
        """The task that was trained."""
        return Task.model_validate(self.told["task"])


def read_training(folder: Path) -> Trained:
    """Read a training's folder.

    Raises
    ------
    UserError
        If it holds no training, or training and artefact do not belong together.
    """
    path = folder / TRAINING
    try:
        told = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise UserError(f"{folder}: no training, there is no {TRAINING} to be read in it") from None
    if not isinstance(told, dict) or told.get("format") != TRAINING_FORMAT:
        raise UserError(f"{path}: no training of this version, allowed is format {TRAINING_FORMAT}")
    for key, kind in (("learned", dict), ("artefact_sha256", str), ("people", dict), ("task", dict), ("seed", int)):
        if not isinstance(told.get(key), kind):
            raise UserError(f"{path}: {key}: missing, or not what it must be")
    artefact = load_artefact(folder / ARTEFACT)
    learned = told["learned"]
    if artefact.sha256 != told["artefact_sha256"] or artefact.model != read_model(learned["model"]):
        raise ArtefactError(f"{folder / ARTEFACT}: is not the artefact of {path}")
    return Trained(told, artefact.sha256)


def evaluate_controller(
    out: Path, training: Trained, plan: EvaluationPlan, jobs: Jobs, gap: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Evaluate, and write ``evaluation.json`` and ``timing.json``.

    Parameters
    ----------
    gap
        Virtual against recorded open-loop responses, as a dataset has them.

    Raises
    ------
    UserError
        If the folder holds an evaluation already.
    """
    if (out / EVALUATION).exists():
        raise UserError(f"{out / EVALUATION}: is there already, nothing is overwritten")
    began = time.monotonic()
    told, task = training.told, training.task
    names = told["people"]["held_out"][: plan.people or None]
    numbers = [int(name.rpartition("-")[2]) for name in names]
    if [cohort_name(task, number) for number in numbers] != names:
        raise UserError(f"{TRAINING}: held-out people are not of the task's cohort")
    learned, seed = told["learned"], int(told["seed"])
    results = _all(task, numbers, learned, jobs)
    compared = _compared(results, names, seed)
    wrong = {fault: changed for fault, changed in _wrong(task).items() if not plan.faults or fault in plan.faults}
    robust = _robustness(wrong, numbers[: plan.robust_people], names, learned, seed, jobs)
    estimated = off_policy(task, numbers[: plan.off_policy_people], learned, seed, jobs)
    passed, why = _passed(compared, robust)
    found = {
        "format": EVALUATION_FORMAT,
        "myoloop": __version__,
        "code_sha256": code_sha256(),
        "artefact_sha256": training.artefact_sha256,
        "task": told["task"],
        "people": names,
        "composite": {"weights": WEIGHTS, "reference": REFERENCE, "worse_above": WORSE},
        "controllers": compared,
        "learned_less": _learned_less(compared, seed),
        "robustness": robust,
        "off_policy": estimated,
        "sim_to_real": gap,
        "passed": passed,
        "why": why,
        "limits": [
            "virtual people; nothing here is a statement about patients",
            "intervals are over people, of one day each",
            "EMG trigger: the person's own effort adds force that none of the others meets",
        ],
    }
    timing = {
        "artefact_sha256": training.artefact_sha256,
        **time_inference(task, numbers[0], learned, plan.timed_trials),
        "evaluation": {"seconds": round(time.monotonic() - began, 1), "workers": jobs.workers,
                       "cluster": bool(jobs.cluster)},
    }  # fmt: skip
    replace_file(out / EVALUATION, _json(found))
    replace_file(out / TIMING, _json(timing))
    return {**found, "timing": timing}


def evaluation_words(found: Mapping[str, Any]) -> str:
    """What came of an evaluation, for the terminal."""
    lines = [f"{len(found['people'])} people held out; composite relative to {REFERENCE}, less is better"]
    for name, each in found["controllers"].items():
        mean = each["composite"]
        lines.append(
            f"{name:20s} {mean['mean']:.3f} ({mean['low']:.3f} to {mean['high']:.3f}), "
            f"RMSE {100 * each['figures']['rmse']['mean']:.1f} %, worst {each['worst']['composite']:.3f} "
            f"({each['worst']['person']}), {each['worse_than_10_percent']['count']} worse by more than 10 %"
        )
    timing = found["timing"]
    lines.append(
        f"a step takes {timing['wall_ms']['p999']:.2f} ms (p99.9; budget {timing['budget_ms']:g} ms), "
        f"{timing['missed']} of {timing['steps']} missed it"
    )
    lines.append("passed" if found["passed"] else "did not pass: " + "; ".join(found["why"]))
    return "\n".join(lines)


# -- inside --------------------------------------------------------------------------------------------------------


def _all(task: Task, numbers: Sequence[int], learned: Mapping[str, Any], jobs: Jobs) -> dict[str, list[dict[str, Any]]]:
    """Results of everybody with each controller."""
    items: list[dict[str, Any]] = []
    spans = []
    for name in contenders():
        own = items_of(task, numbers, **_with(name, learned))
        spans.append((name, len(items), len(own)))
        items += own
    results = jobs.run("held out", rollout, items)
    return {name: results[first : first + count] for name, first, count in spans}


def _compared(results: Mapping[str, list[dict[str, Any]]], names: Sequence[str], seed: int) -> dict[str, Any]:
    theirs = figures_of(results[REFERENCE])
    compared = {}
    for name, own in results.items():
        ours = figures_of(own)
        each = composite(ours, theirs)
        order = np.argsort(-each, kind="stable")
        worse = [place for place in order.tolist() if each[place] > WORSE]
        fell = dict(zip(names, (why for result in own for why in result["fell"]), strict=True))
        compared[name] = {
            "composite": asdict(interval(each, seed)),
            "composite_by_person": each.tolist(),
            "figures": {key: asdict(interval(values, seed)) for key, values in ours.items()},
            "figures_by_person": {key: values.tolist() for key, values in ours.items()},
            "trial_rmse_by_person": np.concatenate([result["trial_rmse"] for result in own]).tolist(),
            "difference": {key: asdict(interval(ours[key] - theirs[key], seed)) for key in PAIRED},
            "worst": {"person": names[order[0]], "composite": float(each[order[0]])},
            "worse_than_10_percent": {"count": len(worse), "people": [names[place] for place in worse]},
            "interventions": _counted(own, "interventions"),
            "violations": _counted(own, "violations"),
            "fell_back": {person: why for person, why in fell.items() if why},
        }
    return compared


def _learned_less(compared: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The learned controller's composite less that of each other, over the same people."""
    ours = np.array(compared[LEARNED]["composite_by_person"])
    return {
        name: asdict(interval(ours - np.array(each["composite_by_person"]), seed))
        for name, each in compared.items()
        if name != LEARNED
    }


def _robustness(
    tasks: Mapping[str, Task], numbers: Sequence[int], names: Sequence[str], learned: Mapping[str, Any], seed: int,
    jobs: Jobs,
) -> list[dict[str, Any]]:  # fmt: skip
    """What goes wrong, each on some of the people: composite relative to adaptive gain with the same fault."""
    trials = tuple(contenders())
    items: list[dict[str, Any]] = []
    size = 0
    for changed in tasks.values():
        for name in trials:
            own = items_of(changed, numbers, **_with(name, learned))
            size = len(own)
            items += own
    results = jobs.run("faults", rollout, items)
    rows, at = [], 0
    for fault in tasks:
        by_name = {}
        for name in trials:
            by_name[name] = results[at : at + size]
            at += size
        theirs = figures_of(by_name[REFERENCE])
        for name in trials:
            ours = figures_of(by_name[name])
            each = composite(ours, theirs)
            rows.append(
                {
                    "fault": fault,
                    "controller": name,
                    "people": list(names[: len(numbers)]),
                    "composite": asdict(interval(each, seed)),
                    "composite_by_person": each.tolist(),
                    "rmse": float(ours["rmse"].mean()),
                    "peak_ma": float(ours["peak_ma"].max()),
                    "worst": {"person": names[int(each.argmax())], "composite": float(each.max())},
                    "interventions": _counted(by_name[name], "interventions"),
                    "violations": _counted(by_name[name], "violations"),
                    "fell_back": sum(bool(why) for result in by_name[name] for why in result["fell"]),
                }
            )
    return rows


def _wrong(task: Task) -> dict[str, Task]:
    """The task with one thing that goes wrong in each."""
    seconds = task.trial.seconds
    begin_s, half_s = round(seconds / 3.0, 2), round(seconds / 2.0, 2)
    faults = {
        "force_lost": Fault(kind="force_lost", at_s=begin_s, for_s=10.0),
        "force_stuck": Fault(kind="force_stuck", at_s=begin_s, for_s=10.0),
        "force_late": Fault(kind="force_late", by_ms=100),
        "pad_half_off": Fault(kind="pad_half_off", at_s=half_s),
        "lead_open": Fault(kind="lead_open", at_s=begin_s, for_s=10.0),
        "threshold_drift": Fault(kind="threshold_drift", at_s=0.0, for_s=seconds),
    }
    tasks = {name: task.changed(faults=[fault.model_dump()]) for name, fault in faults.items()}
    tasks[_NON_RESPONDERS] = task.changed(people={**task.people.model_dump(), "non_responder_share": 1.0})
    return tasks


def _with(name: str, learned: Mapping[str, Any]) -> dict[str, Any]:
    return {"controller": name, "seed": 0, **({"learned": learned} if name == LEARNED else {})}


def _passed(compared: Mapping[str, Any], robust: Sequence[Mapping[str, Any]]) -> tuple[bool, list[str]]:
    """Whether it may be considered for deployment, and what stands against it."""
    why = []
    learned = compared[LEARNED]
    high = learned["composite"]["high"]
    if not high < 1.0:
        why.append(f"the interval of the composite reaches {high:.3f}, it must stay below 1 (adaptive gain)")
    if learned["violations"]:
        why.append(f"the envelope was broken: {learned['violations']}")
    why += [
        f"the envelope was broken with {row['fault']}: {row['violations']}"
        for row in robust
        if row["controller"] == LEARNED and row["violations"]
    ]
    gated, usual = (compared[name]["figures"]["gated"]["mean"] for name in (LEARNED, REFERENCE))
    if gated > usual + GATED_MORE:
        why.append(f"lives on the gate: held back in {gated:.1%} of its steps, {REFERENCE} in {usual:.1%}")
    worse = learned["worse_than_10_percent"]
    if worse["count"]:
        why.append(f"worse than adaptive gain by more than 10 % on {', '.join(worse['people'])}")
    return not why, why


def _counted(results: Sequence[Mapping[str, Any]], what: str) -> dict[str, int]:
    total: Counter[str] = Counter()
    for result in results:
        for each in result[what]:
            total.update(each)
    return dict(sorted(total.items()))


def _json(plain: Mapping[str, Any]) -> bytes:
    return (json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
