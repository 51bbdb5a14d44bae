"""The closed loop that controllers are trained in: how fast, how near the full tier, the same on two workers.

A control step is 10 ms of one person: policy, real gate, device and body. Speed is in CPU time of one core; what two
workers gain is in wall time, and hangs on what else the machine does.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from myoloop.controllers.policies.adaptive_gain import AdaptiveGain, AdaptiveGainSettings
from myoloop.experiments.benchmarks.findings import Finding
from myoloop.experiments.training.bodies import FastBodies, FullBodies
from myoloop.experiments.training.cases import Case, task_cases
from myoloop.experiments.training.closed_loop import ClosedLoop, MakeBodies
from myoloop.experiments.training.course import Course
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.stimulated import CHANNEL
from myoloop.experiments.training.task import Task, load_task

NAME = "training"
TOGETHER = 40
STEPS_PER_S = 2000.0
#: Of the target: no more may lie between the tiers.
APART = 1.0
_COMPARED = 4
_TIMED_STEPS = 300
_BATCHES, _IN_BATCH = 4, 5

Say = Callable[[str], None]


def measure(subjects: int, seeds: int, first_seed: int, say: Say) -> tuple[list[Finding], dict[str, Any]]:
    """Findings and curves; only speed and scaling differ from run to run."""
    del seeds
    findings = []
    for people, target in ((TOGETHER, STEPS_PER_S), (1, None)):
        say(f"training: control steps of {people} together")
        findings.append(
            Finding(
                part=NAME, what=f"control steps, one core, gate and policy included: {people} at once",
                value=round(steps_per_s(first_seed, people), 1), unit="per s", target=target, n=people,
            )
        )  # fmt: skip
    say("training: both tiers in closed loop")
    agreed, curves = _agreement(min(subjects, _COMPARED), first_seed)
    findings += agreed
    say("training: one and two workers")
    findings += _scaling(first_seed, say)
    return findings, curves


def draw(curves: dict[str, Any], figure: Any) -> None:
    """Tracking error of every trial on the two tiers."""
    axes = figure.subplots()
    axes.plot(curves["full_pct"], curves["fast_pct"], "ko", markersize=4)
    most = 1.05 * max(*curves["full_pct"], *curves["fast_pct"])
    axes.plot([0.0, most], [0.0, most], color="0.6", linewidth=0.8)
    axes.set(
        xlabel="tracking RMSE of a trial, full tier (% of target)",
        ylabel="the same, fast tier",
        title="adaptive gain in closed loop",
    )


def steps_per_s(first_seed: int, people: int) -> float:
    """Control steps per second of all people together with adaptive gain; CPU time."""
    task = _task(2)
    loop = _loop(task_cases(task, range(first_seed, first_seed + people)), task, FastBodies)
    for _ in range(50):
        loop.step()
    begin_s = time.process_time()
    for _ in range(_TIMED_STEPS):
        loop.step()
    return _TIMED_STEPS * people / (time.process_time() - begin_s)


def courses(item: Mapping[str, Any]) -> dict[str, Any]:
    """Courses of some people: a piece of work for a worker."""
    task = Task.model_validate(item["task"])
    course = _loop(task_cases(task, item["people"]), task, FastBodies).run()
    return {"rmse": course.trial_rmse, "charge_mc": course.charge_mc}


def _agreement(people: int, first_seed: int) -> tuple[list[Finding], dict[str, Any]]:
    task = _task(2)
    cases = task_cases(task, range(first_seed, first_seed + people))
    fast, full = (_loop(cases, task, bodies).run() for bodies in (FastBodies, FullBodies))
    named: tuple[tuple[str, Callable[[Course], Any], str], ...] = (
        ("tracking RMSE of a trial", lambda course: 100.0 * course.trial_rmse, "% of target"),
        ("fatigue at the end", lambda course: 100.0 * course.fatigue, "% of force"),
    )
    findings = [
        Finding(
            part=NAME, what=f"largest difference between fast and full tier: {what}",
            value=float(np.abs(pick(fast) - pick(full)).max()), unit=unit, target=APART, sense="at most", n=people,
        )
        for what, pick, unit in named
    ]  # fmt: skip
    charge = float((100.0 * np.abs(fast.charge_mc / full.charge_mc - 1.0)).max())
    findings.append(
        Finding(
            part=NAME, what="largest difference between fast and full tier: charge", value=charge, unit="%",
            target=APART, sense="at most", n=people,
        )
    )  # fmt: skip
    curves = {
        "fast_pct": (100.0 * fast.trial_rmse).ravel().round(4).tolist(),
        "full_pct": (100.0 * full.trial_rmse).ravel().round(4).tolist(),
    }
    return findings, curves


def _scaling(first_seed: int, say: Say) -> list[Finding]:
    task = _task(1).model_dump(mode="json")
    items: list[dict[str, Any]] = [
        {"task": task, "people": list(range(first_seed + n * _IN_BATCH, first_seed + (n + 1) * _IN_BATCH))}
        for n in range(_BATCHES)
    ]
    # Workers stay: what it takes to start them is no part of the work.
    Jobs(workers=2, say=say).run("people", courses, [{**item, "people": item["people"][:1]} for item in items])
    seconds, results = [], []
    for workers in (1, 2):
        begin_s = time.perf_counter()
        results.append(Jobs(workers=workers, say=say).run("people", courses, items))
        seconds.append(time.perf_counter() - begin_s)
    return [
        Finding(
            part=NAME, what="two workers over one: work done in the same time", value=round(seconds[0] / seconds[1], 2),
            unit="times", n=_BATCHES * _IN_BATCH,
        ),
        Finding(
            part=NAME, what="numbers that differ between one and two workers", value=float(_differ(*results)),
            target=0.0, sense="at most", n=_BATCHES * _IN_BATCH,
        ),
    ]  # fmt: skip


def _differ(one: Sequence[Mapping[str, Any]], two: Sequence[Mapping[str, Any]]) -> int:
    return sum(
        int(np.sum(np.asarray(a[name]) != np.asarray(b[name]))) for a, b in zip(one, two, strict=True) for name in a
    )


def _task(repetitions: int) -> Task:
    task = load_task("isometric_hold")
    return task.changed(trial={**task.trial.model_dump(), "repetitions": repetitions})


def _loop(cases: Sequence[Case], task: Task, bodies: MakeBodies) -> ClosedLoop:
    policies = [
        AdaptiveGain(AdaptiveGainSettings(**case.model(case.set_point_n(task.target_share))), (CHANNEL,))
        for case in cases
    ]
    return ClosedLoop(cases, task, policies, bodies=bodies)
