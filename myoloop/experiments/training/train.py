"""Train fitted Q on a virtual cohort and on logged decisions: rounds of exploring and fitting, by several seeds.

Nobody who is held out is touched. Which seed and round are kept is decided by the composite on people of the training
half on whom nothing was fitted. Everything in ``training.json`` and in the artefact follows from the arguments; what
the machine took for it stands beside it, in ``compute.json``.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop import __version__
from myoloop.controllers.policies.fitted_q import FittedQSettings as LearnedSettings
from myoloop.controllers.policies.observation import OBSERVATION
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.controllers.shadowed import LEARNED
from myoloop.experiments.training.artefact import write_artefact
from myoloop.experiments.training.composite import WEIGHTS, composite, interval
from myoloop.experiments.training.contenders import REFERENCE, learned_settings, read_model
from myoloop.experiments.training.distil import distil
from myoloop.experiments.training.fitted_q import Transitions, fit_q, together
from myoloop.experiments.training.from_cohort import cohort_name
from myoloop.experiments.training.jobs import Jobs, code_sha256
from myoloop.experiments.training.plan import Parts, Plan, parts_of
from myoloop.experiments.training.purpose import Purpose, purpose_of
from myoloop.experiments.training.rewards import Scale, scales_of, transitions_of
from myoloop.experiments.training.rollout import items_of, rollout
from myoloop.experiments.training.split import Half, Person
from myoloop.experiments.training.task import Task
from myoloop.experiments.training.trained_files import ARTEFACT, COMPUTE, TRAINING, TRAINING_FORMAT
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file

#: No more observations are distilled from; more are no better.
_DISTILLED_FROM = 40_000

Array = npt.NDArray[np.float64]
Results = list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Logged:
    """Decisions that were logged elsewhere, of people of the training half.

    Attributes
    ----------
    sha256
        Of the dataset.
    halves
        Of its people, by name.
    transitions
        Of the training half; None where there are none to learn from.
    people
        How many these are from.
    everybody
        Who is in the dataset, in either half.
    """

    sha256: str
    halves: Mapping[str, Half]
    transitions: Transitions | None
    people: int
    everybody: Sequence[Person] = ()


@dataclass(slots=True)
class _Training:
    """One seed's training, as far as it has come."""

    seed: int
    parts: list[Transitions]
    learned: dict[str, Any] | None = None


def train_controller(
    out: Path, task: Task, plan: Plan, seed: int, jobs: Jobs, logged: Logged | None = None,
    purpose: Purpose | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Train, choose, and write ``training.json``, ``compute.json`` and the folder ``artefact``.

    Parameters
    ----------
    out
        Folder; one that was interrupted is gone on with.
    seed
        Of the split, of the first of the trainings, and of everything that is drawn.
    purpose
        What the artefact is for; None: the task's own channel and limits, which no session has.

    Raises
    ------
    UserError
        If the folder holds a training already.
    """
    if (out / TRAINING).exists() or (out / ARTEFACT).exists():
        raise UserError(f"{out}: holds a training already, nothing is overwritten")
    began, cpu = time.monotonic(), time.process_time()
    task = task.changed(trial={**task.trial.model_dump(), "repetitions": plan.repetitions})
    parts = parts_of(task, plan, seed, logged.halves if logged else None, logged.everybody if logged else ())
    before = jobs.run("adaptive gain, fitted", rollout, items_of(task, parts.fitted, explore=0.0, lots=0, seed=0))
    reference = jobs.run(
        "adaptive gain, validated", rollout, items_of(task, parts.validated, controller=REFERENCE, seed=0)
    )
    scales = scales_of(before)
    budget_uc = round(1e3 * plan.budget_share * float(np.median(figures_of(before)["charge_mc"])), 1)
    classic = np.concatenate([each["observation"] for each in before])
    begun = [] if logged is None or logged.transitions is None else [logged.transitions]
    trainings = [_Training(seed + number, list(begun)) for number in range(plan.seeds)]
    curves: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    for number in range(plan.rounds):
        _explore(trainings, number, task, plan, parts, scales, jobs)
        for training in trainings:
            point = _fit(training, number, plan, budget_uc, task, classic, jobs)
            jobs.say(f"seed {training.seed}, round {number + 1}: fitted to {point['transitions']} transitions")
            curves.append(point)
        tried = _validate([one.learned or {} for one in trainings], number, task, parts, jobs)
        for training, results, point in zip(trainings, tried, curves[-len(trainings) :], strict=True):
            point |= _judged(results, reference, training.seed)
            found.append({"point": point, "learned": training.learned})
    best = min(
        found, key=lambda each: (each["point"]["composite"]["mean"], each["point"]["seed"], each["point"]["round"])
    )
    told = _told(task, plan, seed, parts, budget_uc, curves, best, figures_of(reference), logged)
    dataset = logged.sha256 if logged else _sha256({"task": task.model_dump(mode="json"), "people": list(parts.fitted)})
    trained = LearnedSettings(
        quantity="force", setpoint=1.0, full_response=1.0, recruitment_median_ma=20.0, budget_uc=budget_uc,
        decide_every_s=task.decide_every_s,
    )  # fmt: skip
    purpose = purpose or purpose_of(None, task)
    written = write_artefact(
        out / ARTEFACT,
        name=f"fitted_q {task.name} seed {best['point']['seed']} round {best['point']['round']}",
        model=read_model(best["learned"]["model"]),
        settings=trained,
        channels=purpose.channels,
        envelope=purpose.envelope,
        dataset_sha256=dataset,
        about={"training_sha256": _sha256(told), "chosen": told["chosen"], "limits": told["limits"]},
    )
    told["artefact_sha256"] = written.sha256
    replace_file(out / TRAINING, _json(told))
    spent = {"seconds": round(time.monotonic() - began, 1), "cpu_s_here": round(time.process_time() - cpu, 1),
             "workers": jobs.workers, "cluster": bool(jobs.cluster)}  # fmt: skip
    replace_file(out / COMPUTE, _json(spent))
    return told


def training_words(told: Mapping[str, Any]) -> str:
    """What came of a training, for the terminal."""
    lines = ["seed  round  composite (adaptive gain is 1)  fell back"]
    for point in told["curves"]:
        found = point["composite"]
        lines.append(
            f"{point['seed']:4d}  {point['round']:5d}  {found['mean']:.3f} ({found['low']:.3f} to {found['high']:.3f})"
            f"          {point['fell_back']}"
        )
    chosen = told["chosen"]
    lines.append(f"chosen: seed {chosen['seed']}, round {chosen['round']}; artefact sha256 {told['artefact_sha256']}")
    return "\n".join(lines)


def figures_of(results: Sequence[Mapping[str, Any]]) -> dict[str, Array]:
    """Figures of everybody, by name."""
    return {name: np.concatenate([each["figures"][name] for each in results]) for name in results[0]["figures"]}


# -- inside --------------------------------------------------------------------------------------------------------


def _explore(
    trainings: Sequence[_Training], number: int, task: Task, plan: Plan, parts: Parts, scales: Sequence[Scale],
    jobs: Jobs,
) -> None:  # fmt: skip
    """Everybody explores around what their training has learnt so far."""
    items: list[dict[str, Any]] = []
    spans = []
    for training in trainings:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x726F756E, training.seed, number))))
        count = min(plan.people_a_round, len(parts.fitted))
        chosen = sorted(rng.choice(len(parts.fitted), count, replace=False).tolist())
        more: dict[str, Any] = {"explore": plan.explore_first if number == 0 else plan.explore_later,
                                "near": True, "lots": 1 + number + 1000 * training.seed, "seed": 0}  # fmt: skip
        if training.learned is not None:
            more["learned"] = training.learned
        own = items_of(task, [parts.fitted[place] for place in chosen], **more)
        spans.append((len(items), len(own), chosen))
        items += own
    results = jobs.run(f"exploring, round {number + 1}", rollout, items)
    for training, (first, count, chosen) in zip(trainings, spans, strict=True):
        own_scales = [scales[place] for place in chosen]
        numbers = [parts.fitted[place] for place in chosen]
        seen = transitions_of(results[first : first + count], own_scales, numbers, task.reward)
        training.parts.append(seen)


def _fit(
    training: _Training, number: int, plan: Plan, budget_uc: float, task: Task, classic: npt.NDArray[np.float32],
    jobs: Jobs,
) -> dict[str, Any]:  # fmt: skip
    """Fit to all that this training has seen; what it may meet is that, and what adaptive gain meets."""
    transitions = together(training.parts)
    fitted = fit_q(transitions, ACTIONS, plan.fit, training.seed + 1000 * number, workers=jobs.workers)
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x64697374, training.seed, number))))
    rows = np.sort(rng.permutation(len(transitions))[:_DISTILLED_FROM])
    made = distil(
        fitted.forest, transitions.observation[rows], leaves=plan.leaves, leaf_least=plan.leaf_least,
        seed=training.seed, ranges=np.concatenate([classic, transitions.observation]),
    )  # fmt: skip
    training.learned = learned_settings(made.model, budget_uc=budget_uc, decide_every_s=task.decide_every_s)
    return {
        "seed": training.seed,
        "round": number + 1,
        "transitions": len(transitions),
        "change": [round(each, 6) for each in fitted.change],
        "distilled": {"agreement": round(made.agreement, 4), "kept": round(made.kept, 4), "leaves": made.leaves},
    }


def _validate(learned: Sequence[Mapping[str, Any]], number: int, task: Task, parts: Parts, jobs: Jobs) -> list[Results]:
    items = [items_of(task, parts.validated, controller=LEARNED, learned=each, seed=0) for each in learned]
    results = jobs.run(f"validating, round {number + 1}", rollout, [one for each in items for one in each])
    size = len(items[0])
    return [results[at : at + size] for at in range(0, len(results), size)]


def _judged(results: Results, reference: Results, seed: int) -> dict[str, Any]:
    ours, theirs = figures_of(results), figures_of(reference)
    each = composite(ours, theirs)
    return {
        "composite": asdict(interval(each, seed)),
        "composite_by_person": each.tolist(),
        "relative": {name: float(np.mean(ours[name] / np.maximum(theirs[name], 1e-9))) for name in WEIGHTS},
        "fell_back": sum(bool(why) for result in results for why in result["fell"]),
    }


def _told(
    task: Task, plan: Plan, seed: int, parts: Parts, budget_uc: float, curves: list[dict[str, Any]],
    best: Mapping[str, Any], reference: Mapping[str, Array], logged: Logged | None,
) -> dict[str, Any]:  # fmt: skip
    def named(numbers: Sequence[int]) -> list[str]:
        return [cohort_name(task, number) for number in numbers]

    point = best["point"]
    return {
        "format": TRAINING_FORMAT,
        "myoloop": __version__,
        "code_sha256": code_sha256(),
        "seed": seed,
        "task": task.model_dump(mode="json"),
        "plan": asdict(plan),
        "people": {
            "fitted": named(parts.fitted),
            "validated": named(parts.validated),
            "held_out": named(parts.held_out),
        },
        "logged": None
        if logged is None
        else {
            "dataset_sha256": logged.sha256,
            "people": logged.people,
            "transitions": 0 if logged.transitions is None else len(logged.transitions),
        },
        "observation": list(OBSERVATION),
        "actions": list(ACTIONS),
        "reward": {"composite": WEIGHTS, "gate": task.reward.gate, "pain": task.reward.pain},
        "adaptive_gain_validated": {name: float(values.mean()) for name, values in reference.items()},
        "curves": curves,
        "chosen": {
            "seed": point["seed"],
            "round": point["round"],
            "composite_validated": point["composite"],
            "by": "smallest mean composite on the validated people, who are of the training half",
        },
        "budget_uc": budget_uc,
        "limits": [
            "virtual people only" if logged is None else "virtual people and logged decisions",
            f"trained on sessions of {plan.repetitions} trials: beyond them the input is out of the trained range and "
            "the controller falls back to adaptive gain",
            "one task, one channel, isometric",
        ],
        "learned": best["learned"],
    }


def _sha256(plain: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plain, sort_keys=True, allow_nan=False).encode()).hexdigest()


def _json(plain: Mapping[str, Any]) -> bytes:
    return (json.dumps(plain, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()
