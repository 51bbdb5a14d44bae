"""How well the policies control drawn people, and what the supervisor makes of what cannot be controlled.

Tracking: repeated isometric trials on a plant that is not the controllers' model (:mod:`.tracking`). Spasms: the whole
controller on the virtual subject (:mod:`.spasm_answer`). Effort that ends: the loop gain of EMG-proportional control
(:mod:`.volition`). Limits: policy, reflexes and gate under nonsense (:mod:`.fuzzed`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.choice import Choice
from myoloop.controllers.policies.policy import Policy, make_policy
from myoloop.controllers.reflex import FatigueReflex, ReflexSettings, ReplanReflex
from myoloop.experiments.benchmarks.findings import Finding, mean_over_subjects
from myoloop.experiments.benchmarks.fuzzed import session
from myoloop.experiments.benchmarks.spasm_answer import answer
from myoloop.experiments.benchmarks.tracking import REPETITION_S, Course, Supervised, run
from myoloop.experiments.benchmarks.volition import LET_GO_S, let_go
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.population import population
from myoloop.experiments.subjects.presets import ACUTE_SCI_RATE
from myoloop.experiments.training.cases import Case, make_case

Array = npt.NDArray[np.float64]
Say = Callable[[str], None]

NAME = "policies"
PRESET = "acute_sci"
TARGET_N, HIGH_TARGET_N = 60.0, 100.0
FRESH_REPETITIONS, REPETITIONS = 12, 60
#: Factors on Ding's fatigue coefficients; people differ about them.
MILD, FULL = 0.3, 1.0
ENDS = 5
HELD_LEAST = 0.8
#: The limit on the current that a target of 100 N meets, over the current that recruits half of the muscle.
LIMIT_SHARE = 1.2
SPASM_SECONDS = 60.0
#: A spasm that was not answered while it lasted counts as this.
UNANSWERED_MS = 2000.0
#: Fuzzed sessions for each subject and seed.
FUZZED = 10


def _track(case: Case, setpoint_n: float, name: str, **more: Any) -> tuple[Policy, float]:
    settings = {
        "quantity": "force",
        "setpoint": setpoint_n,
        "full_response": case.full_response,
        "recruitment_median_ma": case.known.median_ma,
        "recruitment_spread": case.known.spread,
        "threshold_ma": case.known.threshold_ma,
    }
    return make_policy(Choice(name=name, settings={**settings, **more}), ("ch1",)), case.most_ma


def _open_loop(case: Case, setpoint_n: float) -> tuple[Policy, float]:
    return make_policy(Choice(name="open_loop"), ("ch1",)), _needed_ma(case, setpoint_n)


def _pi(case: Case, setpoint_n: float) -> tuple[Policy, float]:
    settings = {
        "quantity": "force",
        "setpoint": setpoint_n,
        "proportional": 0.5 / setpoint_n,
        "integral_per_s": 1.0 / setpoint_n,
        "correction_max": 1.0,
    }
    return make_policy(Choice(name="pi", settings=settings), ("ch1",)), _needed_ma(case, setpoint_n)


def _needed_ma(case: Case, setpoint_n: float) -> float:
    return case.known.current_ma(setpoint_n / case.full_response)


Maker = Callable[[Case, float], tuple[Policy, float]]
#: Name -> what makes it; the first is the simplest.
CONTROLLERS: dict[str, Maker] = {
    "open loop (current trapezoid)": _open_loop,
    "open loop (inverse recruitment alone)": lambda case, setpoint: _track(
        case, setpoint, "inverse_recruitment", proportional=0.0, integral_per_s=0.0, lag_s=0.0, delay_s=0.0
    ),
    "PI": _pi,
    "PI + inverse recruitment": lambda case, setpoint: _track(case, setpoint, "inverse_recruitment"),
    "iterative learning, fixed gain": lambda case, setpoint: _track(
        case, setpoint, "iterative_learning", adapt_gain=False
    ),
    "adaptive gain": lambda case, setpoint: _track(case, setpoint, "adaptive_gain"),
    "iterative learning + adaptive gain": lambda case, setpoint: _track(case, setpoint, "iterative_learning"),
}
BASELINE = "open loop (inverse recruitment alone)"
BEST = "iterative learning + adaptive gain"
_SUPERVISOR = ReflexSettings(fatigue=FatigueReflex(enabled=False), replan=ReplanReflex(enabled=True))


def measure(subjects: int, seeds: int, first_seed: int, say: Say) -> tuple[list[Finding], dict[str, Any]]:
    """Try every policy on `subjects` drawn people, each on `seeds` days."""
    people = population(first_seed, subjects, PRESET)
    # Days of one person lie beside one another: (subjects, seeds) from any row of results.
    cases = [
        make_case(person, first_seed + number * seeds + day)
        for number, person in enumerate(people)
        for day in range(seeds)
    ]
    tracked, table, curves = _tracking(cases, seeds, say)
    findings = [*tracked, *_high(cases[::seeds], say), *_spasms(people, first_seed, say)]
    letting_go, curves["letting_go"] = _letting_go(people, seeds, first_seed, say)
    findings += letting_go
    findings.append(_limits(subjects * seeds * FUZZED, first_seed, say))
    return findings, {**curves, "table": table}


def _tracking(
    cases: Sequence[Case], seeds: int, say: Say
) -> tuple[list[Finding], list[dict[str, Any]], dict[str, Any]]:
    rates = _rates(cases)
    fresh: dict[str, Course] = {}
    mild: dict[str, Course] = {}
    full: dict[str, Course] = {}
    for name, make in CONTROLLERS.items():
        say(f"policies: {name}")
        fresh[name] = run(cases, make, target_n=TARGET_N, fatigue=0.0 * rates, repetitions=FRESH_REPETITIONS)
        mild[name] = run(
            cases[::seeds], make, target_n=TARGET_N, fatigue=MILD * rates[::seeds], repetitions=REPETITIONS
        )
        full[name] = run(cases, make, target_n=TARGET_N, fatigue=FULL * rates, repetitions=REPETITIONS)
    findings = []
    for label, courses, days, part in (
        ("not tired, all repetitions", fresh, seeds, slice(None)),
        (f"{MILD:g} x fatigue, last {ENDS}", mild, 1, slice(-ENDS, None)),
        (f"full fatigue, first {ENDS}", full, seeds, slice(None, ENDS)),
        (f"full fatigue, last {ENDS}", full, seeds, slice(-ENDS, None)),
    ):
        target = {"not tired, all repetitions": 3.0, f"full fatigue, last {ENDS}": 8.0}.get(label)
        base = 100.0 * float(courses[BASELINE].rmse[part].mean())
        for name, course in courses.items():
            mean, low, high = mean_over_subjects(_by_person(100.0 * course.rmse[part].mean(axis=0), days))
            findings.append(
                Finding(
                    part=NAME, what=f"tracking RMSE, {label}: {name}", value=mean, unit="% of target",
                    low=low, high=high, target=target if name == BEST else None, sense="at most",
                    baseline=BASELINE, baseline_value=round(base, 2), n=len(cases) // seeds,
                )
            )  # fmt: skip
    base_s = _until_lost(full[BASELINE])
    for name, course in full.items():
        mean, low, high = mean_over_subjects(_by_person(_until_lost(course), seeds))
        findings.append(
            Finding(
                part=NAME, what=f"time to less than {HELD_LEAST:.0%} of the target, full fatigue: {name}",
                value=mean, unit="s (600 is never)", low=low, high=high,
                target=round(4.0 * float(base_s.mean()), 1) if name == BEST else None, baseline=BASELINE,
                baseline_value=round(float(base_s.mean()), 1), n=len(cases) // seeds,
            )
        )  # fmt: skip
    table = [
        {
            "controller": name,
            "fresh": _ends(fresh[name]),
            "mild": _ends(mild[name]),
            "full": _ends(full[name]),
            "lost_after_s": float(_until_lost(full[name]).mean()),
            "charge_mc": float(full[name].charge_mc.sum(axis=0).mean()),
        }
        for name in CONTROLLERS
    ]
    curves = {
        "minutes": ((np.arange(REPETITIONS) + 1) * REPETITION_S / 60.0).tolist(),
        "rmse": {name: (100.0 * course.rmse.mean(axis=1)).round(3).tolist() for name, course in full.items()},
        "held": {name: (100.0 * course.held.mean(axis=1)).round(3).tolist() for name, course in full.items()},
    }
    return findings, table, curves


def _high(cases: Sequence[Case], say: Say) -> list[Finding]:
    """A target that the tired muscle cannot hold within the limit on the current: with and without the supervisor."""
    say("policies: 100 N, with and without the supervisor")
    found = {}
    for name, supervised in (("without", False), ("with", True)):

        def make(case: Case, setpoint_n: float, supervised: bool = supervised) -> tuple[Any, float]:
            policy, most_ma = _track(case, setpoint_n, "iterative_learning")
            limit_ma = min(most_ma, LIMIT_SHARE * case.known.median_ma)
            return (Supervised(policy, _SUPERVISOR) if supervised else policy), limit_ma

        found[name] = run(
            cases, make, target_n=HIGH_TARGET_N, fatigue=FULL * _rates(cases), repetitions=REPETITIONS
        )  # fmt: skip
    findings = []
    shown: tuple[tuple[str, str, Callable[[Course], Array]], ...] = (
        ("tracking RMSE of what is aimed at", "% of it", lambda course: 100.0 * course.rmse),
        ("hold at the current's limit", "% of its time", lambda course: 100.0 * course.at_limit),
        ("target aimed at", "% of the protocol's", lambda course: 100.0 * course.aim),
    )
    for what, unit, pick in shown:
        values = pick(found["with"])[-ENDS:].mean(axis=0)
        mean, low, high = mean_over_subjects(values[:, None])
        findings.append(
            Finding(
                part=NAME, what=f"{HIGH_TARGET_N:g} N, full fatigue, supervisor plans anew: {what}, last {ENDS}",
                value=mean, unit=unit, low=low, high=high, baseline="no supervisor",
                baseline_value=round(float(pick(found["without"])[-ENDS:].mean()), 1), n=len(cases),
            )
        )  # fmt: skip
    return findings


def _spasms(people: Sequence[SubjectParameters], first_seed: int, say: Say) -> list[Finding]:
    latencies, lost = [], []
    for number, person in enumerate(people):
        if number % 5 == 0:
            say(f"policies: spasms, subject {number + 1} of {len(people)}")
        found = answer(person, first_seed + number, SPASM_SECONDS)
        latencies.append(np.minimum(np.array(found.latency_ms), UNANSWERED_MS))
        lost.append(100.0 * found.lost_share)
    met = [found for found in latencies if len(found)]
    every = np.concatenate(met) if met else np.zeros(0)
    if len(met) < 2:
        return [Finding(part=NAME, what="spasms under current", value=float(len(every)), target=2.0, n=len(people))]
    in_time = [100.0 * float(np.mean(found <= 150.0)) for found in met]
    mean, low, high = mean_over_subjects(np.array(in_time)[:, None])
    mean_lost, low_lost, high_lost = mean_over_subjects(np.array(lost)[:, None])
    return [
        Finding(
            part=NAME, what="spasm to 10 % of the current or less, detection included: median",
            value=round(float(np.median(every)), 1), unit="ms", target=150.0, sense="at most",
            n=len(every),
        ),
        Finding(
            part=NAME, what="spasm to 10 % of the current or less: 95th percentile",
            value=round(float(np.percentile(every, 95, method="lower")), 1), unit="ms", target=150.0, sense="at most",
            n=len(every),
        ),
        Finding(
            part=NAME, what="spasms answered within 150 ms", value=mean, unit="%", low=low,
            high=round(min(high, 100.0), 1), n=len(every),
        ),
        Finding(
            part=NAME, what="hold without current though no spasm accounts for it", value=mean_lost,
            unit="% of its time", low=round(max(low_lost, 0.0), 2), high=round(high_lost, 2), n=len(people),
        ),
    ]  # fmt: skip


def _letting_go(
    people: Sequence[SubjectParameters], seeds: int, first_seed: int, say: Say
) -> tuple[list[Finding], dict[str, Any]]:
    say("policies: effort that ends, with residual artifact")
    checked, plain = (
        [
            [let_go(person, first_seed + number * seeds + day, checks=checks) for day in range(seeds)]
            for number, person in enumerate(people)
        ]
        for checks in (True, False)
    )
    left, left_plain = (np.array([[100.0 * one.left for one in row] for row in rows]) for rows in (checked, plain))
    after = np.array([[one.zero_after_s for one in row] for row in checked])
    tried = np.array([[100.0 * one.with_effort for one in row] for row in checked])
    findings = []
    for what, values, unit, target, base in (
        (f"current left {LET_GO_S:g} s after effort ended", left, "% of the target", 0.0, left_plain),
        ("time from the end of effort to zero current", after, "s", None,
         np.array([[one.zero_after_s for one in row] for row in plain])),
        ("current while effort is held", tried, "% of the target", None,
         np.array([[100.0 * one.with_effort for one in row] for row in plain])),
    ):  # fmt: skip
        mean, low, high = mean_over_subjects(values)
        findings.append(
            Finding(
                part=NAME, what=f"EMG-proportional, residual artifact: {what}", value=mean, unit=unit,
                low=low, high=high, target=target, sense="at most",
                baseline="proportional without checks", baseline_value=round(float(base.mean()), 3), n=len(people),
            )
        )  # fmt: skip
    curve = {
        "loop_gain": [one.loop_gain for row in checked for one in row],
        "zero_after_s": after.ravel().tolist(),
        "zero_after_s_plain": [one.zero_after_s for row in plain for one in row],
    }
    return findings, curve


def _limits(sessions: int, first_seed: int, say: Say) -> Finding:
    say(f"policies: {sessions} fuzzed sessions")
    broken = sum(len(session(first_seed + number)) for number in range(sessions))
    return Finding(
        part=NAME, what="limits not kept by policy, reflexes and gate in fuzzed sessions", value=float(broken),
        target=0.0, sense="at most", n=sessions,
    )  # fmt: skip


def draw(curves: dict[str, Any], figure: Any) -> None:
    """Tracking error over ten minutes, by policy; and how long current outlives effort."""
    figure.set_size_inches(9.0, 5.0)
    error, outlives = figure.subplots(1, 2, width_ratios=(3, 2))
    for name, course in curves["rmse"].items():
        error.plot(curves["minutes"], course, label=name)
    error.axhline(8.0, color="0.3", linestyle="--", linewidth=0.8)
    error.set(xlabel="time (min)", ylabel="tracking RMSE (% of target)", yscale="log", title="full fatigue")
    gone = curves["letting_go"]
    outlives.semilogx(gone["loop_gain"], gone["zero_after_s_plain"], "x", color="0.5", label="proportional alone")
    outlives.semilogx(gone["loop_gain"], gone["zero_after_s"], "ko", markersize=3, label="with checks")
    outlives.set(
        xlabel="loop gain through residual artifact", ylabel="current after effort ended (s)", title="EMG-proportional"
    )
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize="small")


def _rates(cases: Sequence[Case]) -> Array:
    """How fast each person tires, about 1."""
    return np.array([case.person.fatigue_rate / ACUTE_SCI_RATE for case in cases])


def _by_person(values: Array, days: int) -> Array:
    """(subjects, seeds) from (people and days in one row,)."""
    return values.reshape(-1, days)


def _ends(course: Course) -> list[float]:
    """Mean error of the first and of the last repetitions, % of the target."""
    return [round(100.0 * float(part.mean()), 2) for part in (course.rmse[:ENDS], course.rmse[-ENDS:])]


def _until_lost(course: Course) -> Array:
    """Time until three repetitions in a row hold less than 80 % of the target; the whole time where that never is."""
    short = course.held < HELD_LEAST
    run3 = short[:-2] & short[1:-1] & short[2:]
    never = len(course.held)
    first = np.where(run3.any(axis=0), run3.argmax(axis=0), never)
    return np.asarray(first * REPETITION_S)
