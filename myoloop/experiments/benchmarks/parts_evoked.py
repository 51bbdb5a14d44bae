"""Fatigue of force under stimulation: told from movement, from force, and as well as EMG alone could.

Ten minutes, five seconds on and five off at 33 Hz, on drawn people of three groups (able-bodied, acute and chronic
spinal cord injury). Truth is the force that the fibres have lost which the usual charge recruits, ten times a second,
in trains and in rests. An error is the root of its mean square over the time in which something is told.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import ImuInput, Setup, Situation
from myoloop.controllers.estimators.response import MechanicalResponse, ResponseSettings
from myoloop.controllers.estimators.trains import Trains, TrainSettings
from myoloop.experiments.benchmarks.findings import Finding, mean_over_subjects
from myoloop.experiments.benchmarks.intermittent import BLOCK_S, CYCLE_S, FORCE, IMU, Scene
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.population import draw as draw_person

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NAME = "evoked"
SECONDS = 600.0
GROUPS = ("able_bodied", "acute_sci", "chronic_sci")
ERROR_MAX = {"movement": 0.08, "force": 0.05}
CORRELATION_MIN = 0.95
#: People whose EMG shows more than so much of the loss, and less.
EC_FEW, EC_MUCH = 0.2, 0.4
_SHOWN = 3

Array = npt.NDArray[np.float64]
Say = Callable[[str], None]


class _Newest:
    """The simplest method: the newest response per charge over the first."""

    def __init__(self, setup: Setup) -> None:
        source: Any = "force" if setup.force is not None else "gravity"
        settings = TrainSettings(source=source, settle_s=0.4, steady_s=0.5, rest_s=0.3, current_spread_max=0.2)
        self._trains = Trains(settings, setup)
        self._first: float | None = None
        self.fatigue = float("nan")

    def step(self, situation: Situation) -> None:
        train = self._trains.step(situation)
        if train is not None and not train.why_not and train.charge_uc > 0.0:
            gain = train.response / train.charge_uc
            self._first = self._first or gain
            self.fatigue = min(max(1.0 - gain / self._first, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class _Courses:
    """Fatigue over time, (moments, people): true, told with its interval, by the simplest method, by EMG at best."""

    t_s: Array
    true: Array
    told: Array
    low: Array
    high: Array
    newest: Array
    shown: Array


def measure(subjects: int, seeds: int, first_seed: int, say: Say) -> tuple[list[Finding], dict[str, Any]]:
    """Let `subjects` people be stimulated `seeds` times each, moving freely, then with the joint held."""
    people = [draw_person(first_seed + i, GROUPS[i % len(GROUPS)]) for i in range(subjects)]
    found: dict[str, _Courses] = {}
    for source in ("movement", "force"):
        say(f"evoked: {subjects} people x {seeds} by {source}")
        found[source] = _live(people, seeds, first_seed, by_force=source == "force")
    ec_share = np.array([person.ec_share for person in people])
    findings = []
    for source, courses in found.items():
        findings += _of_source(source, courses, subjects)
    findings += _of_emg(found["movement"], ec_share, subjects)
    curves = {
        "t_s": found["movement"].t_s[::10].tolist(),
        "courses": [
            {name: _plain(getattr(found["movement"], name)[::10, i * seeds]) for name in _COURSE}
            for i in range(min(_SHOWN, subjects))
        ],
        "groups": [GROUPS[i % len(GROUPS)] for i in range(min(_SHOWN, subjects))],
        "ec_share": ec_share.tolist(),
        "error": {
            "movement": _errors(found["movement"], "told", subjects).mean(axis=1).tolist(),
            "force": _errors(found["force"], "told", subjects).mean(axis=1).tolist(),
            "EMG": _errors(found["movement"], "shown", subjects).mean(axis=1).tolist(),
        },
    }
    return findings, curves


_COURSE = ("true", "told", "low", "high", "shown")


def _live(people: list[SubjectParameters], seeds: int, first_seed: int, *, by_force: bool) -> _Courses:
    rows = [replace(person, joint_fixed=1.0 if by_force else 0.0) for person in people for _ in range(seeds)]
    rngs = [np.random.default_rng([0x45766F6B, first_seed, by_force, i]) for i in range(len(rows))]
    setup = Setup(
        ("muscle",), 2000.0, 20, True, np.zeros(1, dtype=np.bool_), (("ch1",),),
        None if by_force else ImuInput(IMU, (0, 1, 2), (3, 4, 5)), FORCE if by_force else None,
    )  # fmt: skip
    estimators = [MechanicalResponse(ResponseSettings(), setup) for _ in rows]
    plain = [_Newest(setup) for _ in rows]
    kept: list[list[list[float]]] = []
    t_s, true, shown = [], [], []
    nothing = float("nan")
    for moment in Scene(rows, rngs, by_force=by_force).run(SECONDS):
        told = []
        for estimator, newest, situation in zip(estimators, plain, moment.situations, strict=True):
            estimator.step(situation)
            newest.step(situation)
            fatigue = estimator.fields(situation.now_ns)["fatigue_mechanical"][0]
            known = [fatigue.value, fatigue.low, fatigue.high] if fatigue.valid else [nothing] * 3
            told.append([*known, newest.fatigue])
        kept.append(told)
        t_s.append(moment.t_s)
        true.append(moment.fatigue)
        shown.append(moment.shown)
    table = np.array(kept, dtype=np.float64)
    return _Courses(
        np.array(t_s), np.array(true), table[..., 0], table[..., 1], table[..., 2], table[..., 3], np.array(shown)
    )


def _of_source(source: str, courses: _Courses, subjects: int) -> list[Finding]:
    known = np.isfinite(courses.told)
    inside = (courses.low <= courses.true) & (courses.true <= courses.high)
    covered = np.where(known, inside, False).sum(axis=0) / known.sum(axis=0)
    width = np.nanmedian(courses.high - courses.low, axis=0)
    lacking = 1.0 - known.mean(axis=0)
    unknown = np.sqrt(np.nanmean(np.where(known, courses.true, np.nan) ** 2, axis=0))

    def finding(what: str, values: Array, **more: Any) -> Finding:
        mean, low, high = mean_over_subjects(values.reshape(subjects, -1))
        more = {"part": NAME, "n": values.size, **more}
        return Finding(what=what, value=mean, low=low, high=high, **more)

    def baseline(values: Array) -> float:
        return round(float(np.mean(values)), 4)

    return [
        finding(
            f"RMS error of the force lost over 10 min, by {source}",
            _errors(courses, "told", subjects),
            target=ERROR_MAX[source],
            sense="at most",
            baseline="newest response per charge over the first",
            baseline_value=baseline(_errors(courses, "newest", subjects)),
        ),
        finding(
            f"correlation with the force lost, train by train, by {source}",
            _correlations(courses, "told", by_cycle=True),
            target=CORRELATION_MIN,
            baseline="newest response per charge over the first",
            baseline_value=baseline(_correlations(courses, "newest", by_cycle=True)),
        ),
        finding(
            f"correlation with the force lost at any time, in trains and rests, by {source}",
            _correlations(courses, "told", by_cycle=False),
        ),
        finding(f"coverage of the 95 % interval, by {source}", covered),
        finding(f"median width of the 95 % interval, by {source}", width),
        finding(f"share of the ten minutes in which nothing is told, by {source}", lacking),
        finding(f"RMS of the force lost itself: the error of an open loop that knows of none, by {source}", unknown),
    ]


def _of_emg(courses: _Courses, ec_share: Array, subjects: int) -> list[Finding]:
    """What EMG alone could know at best: conduction velocity without any error of measurement."""
    errors = _errors(courses, "shown", subjects)
    findings = []
    for label, chosen in (
        ("all", np.ones(subjects, dtype=np.bool_)),
        (f"EC share below {EC_FEW:g}", ec_share < EC_FEW),
        (f"EC share above {EC_MUCH:g}", ec_share > EC_MUCH),
    ):
        if chosen.sum() >= 2:
            mean, low, high = mean_over_subjects(errors[chosen])
            findings.append(
                Finding(
                    part=NAME,
                    what=f"RMS error of the force lost by EMG alone, conduction velocity known exactly, {label}",
                    value=mean,
                    low=low,
                    high=high,
                    n=int(chosen.sum()) * errors.shape[1],
                )
            )
    return findings


def _errors(courses: _Courses, what: str, subjects: int) -> Array:
    """RMS over the time in which the estimator tells something: (subjects, seeds)."""
    away = np.where(np.isfinite(courses.told), getattr(courses, what) - courses.true, np.nan)
    errors: Array = np.sqrt(np.nanmean(away**2, axis=0)).reshape(subjects, -1)
    return errors


def _correlations(courses: _Courses, what: str, *, by_cycle: bool) -> Array:
    """Of what is told with the truth, per person, where the estimator tells something.

    By cycle: of the means over a train and its rest, in which the truth falls and rises by more than an index that is
    told once a train can follow.
    """
    known = np.isfinite(courses.told)
    told, true = (np.where(known, values, np.nan) for values in (getattr(courses, what), courses.true))
    if by_cycle:
        length = round(CYCLE_S / BLOCK_S)
        told, true = (values.reshape(-1, length, values.shape[1]).mean(axis=1) for values in (told, true))
    found = []
    for a, b in zip(told.T, true.T, strict=True):
        both = np.isfinite(a) & np.isfinite(b)
        found.append(np.corrcoef(a[both], b[both])[0, 1])
    return np.array(found)


def _plain(values: Array) -> list[float | None]:
    return [round(value, 4) if np.isfinite(value) else None for value in values.tolist()]


def draw(curves: dict[str, Any], figure: Figure) -> None:
    """Courses of a few people, and the error by how much of the loss no EMG shows."""
    courses = curves["courses"]
    axes = figure.subplots(1, len(courses) + 1)
    minutes = np.array(curves["t_s"]) / 60.0
    for axis, course, group in zip(axes, courses, curves["groups"], strict=False):
        values = {name: np.array(course[name], dtype=np.float64) for name in _COURSE}
        axis.fill_between(minutes, np.maximum(values["low"], 0.0), values["high"], alpha=0.25, label="95 % interval")
        axis.plot(minutes, values["told"], label="by movement")
        axis.plot(minutes, values["true"], "k", linewidth=1.0, label="true")
        axis.plot(minutes, values["shown"], "--", label="EMG at best")
        axis.set(title=group.replace("_", " "), xlabel="time (min)", ylim=(0.0, 1.0))
    axes[0].set_ylabel("share of force lost")
    axes[0].legend(loc="lower right", fontsize="small")
    for source, mark in (("EMG", "x"), ("movement", "o"), ("force", ".")):
        axes[-1].plot(curves["ec_share"], curves["error"][source], mark, label=source)
    axes[-1].set(xlabel="share of the loss that no EMG shows", ylabel="RMS error", ylim=(0.0, None))
    axes[-1].legend(fontsize="small")
