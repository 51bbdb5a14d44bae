"""Virtual against recorded responses to open-loop stimulation: how far the model is from whom it stands for.

The pulses that a recorded session of the policy ``open_loop`` gave are given to virtual people of the fast tier, and
the same is measured of both: force in the second half of each hold per current, rise from 10 to 90 % of it, and the
slope of force per current over the session. A recorded person is compared with the virtual people by the same pulses,
so that only the muscle differs. Sessions of people and sessions of the full tier stand in tables of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.subjects.fast import STEP_NS, FastSubjects
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.presets import PRESETS
from myoloop.experiments.training.from_sessions import (
    Excluded,
    attempts,
    controller_start,
    reason_of,
    usable_origins,
)
from myoloop.platform.errors import UserError
from myoloop.platform.recording.reader import Recording
from myoloop.stimulators.emulators.ledger import Pulse

Floats = npt.NDArray[np.float64]

#: Name of each measure, and its unit.
MEASURES: dict[str, str] = {
    "response_per_current": "N/mA",
    "rise": "s",
    "fatigue_slope": "%/min",
}
#: What is said where there is nothing to compare with.
NOBODY = "no open-loop session of a person with a force cell was at hand: how far the model is from people is not known"
NO_FULL_TIER = "no simulated open-loop session with a force cell was at hand"
#: A slope needs so many trains.
_TRAINS_LEAST = 3
_BASELINE_S = 0.3
_MUSCLE = "stimulated"
_FIRST_PERSON = 500_000


@dataclass(frozen=True, slots=True)
class Train:
    """A hold of a train: when the current began, and the hold's begin and end."""

    onset_s: float
    begin_s: float
    end_s: float
    current_ma: float


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """A recorded open-loop session: its force, trains and pulses."""

    person: str
    session: str
    simulated: bool
    group: str
    t_s: Floats
    force_n: Floats
    trains: tuple[Train, ...]
    pulse_s: Floats
    pulse_ma: Floats
    pulse_us: Floats


def compare_responses(studies: Sequence[Path], *, people: int = 20, seed: int = 0) -> dict[str, Any]:
    """The table, as plain data.

    Parameters
    ----------
    studies
        Folders in which open-loop sessions are looked for.
    people
        Virtual people that the pulses of each session are given to.
    seed
        Draws them.
    """
    found, not_used = [], []
    for study in studies:
        for attempt in attempts(Path(study)):
            name = attempt.relative_to(study).as_posix()
            try:
                found.append(read_open_loop(attempt))
            except (UserError, OSError, ValueError, KeyError, TypeError) as error:
                not_used.append({"session": name, "reason": reason_of(error, attempt)})
    return {
        "measures": MEASURES,
        "virtual_people": people,
        "people": _table([each for each in found if not each.simulated], people, seed, NOBODY),
        "full_tier": _table([each for each in found if each.simulated], people, seed, NO_FULL_TIER),
        "not_used": not_used,
    }


def read_open_loop(attempt: Path) -> OpenLoop:
    """Read an open-loop session.

    Raises
    ------
    Excluded
        If it is none with a force cell and a train; it says why.
    myoloop.platform.errors.UserError
        If it cannot be read.
    """
    recording = Recording.open(attempt)
    origins = usable_origins(recording)
    controller_start(recording)
    policy = recording.metadata.get("policy", "")
    if policy != "open_loop":
        raise Excluded(f"policy {policy}: not open loop")
    session = load(attempt)
    force = next((track for topic, track in session.samples.items() if topic.startswith("force/")), None)
    if force is None or not len(force.t_s):
        raise Excluded("no force cell")
    trains = _trains(session)
    if not trains:
        raise Excluded("no train was given")
    pulses = list(session.delivered().values())
    order = np.argsort(np.concatenate([track.t_s for track in pulses]), kind="stable")
    joined = [np.concatenate([getattr(each, name) for each in pulses])[order] for name in
              ("t_s", "current_ma", "phase_us")]  # fmt: skip
    group = recording.metadata.get("group") or "demo"
    return OpenLoop(
        person=attempt.parts[-3].removeprefix("sub-"),
        session="/".join(attempt.parts[-3:]),
        simulated=origins.everything,
        group=group if group in PRESETS else "demo",
        t_s=force.t_s,
        force_n=force.record.physical()[:, 0].astype(np.float64),
        trains=trains,
        pulse_s=joined[0],
        pulse_ma=joined[1],
        pulse_us=joined[2],
    )


def measure(t_s: Floats, force_n: Floats, trains: Sequence[Train]) -> dict[str, float]:
    """Measures of one force course by name; NaN where there is too little for one.

    Parameters
    ----------
    t_s, force_n
        (n,).
    """
    per_ma, rises, at_min = [], [], []
    for train in trains:
        rest = (t_s >= train.onset_s - _BASELINE_S) & (t_s < train.onset_s)
        late = (t_s >= 0.5 * (train.begin_s + train.end_s)) & (t_s <= train.end_s)
        if not rest.any() or not late.any():
            continue
        base = float(np.median(force_n[rest]))
        plateau = float(force_n[late].mean()) - base
        per_ma.append(plateau / train.current_ma)
        at_min.append(train.begin_s / 60.0)
        rising = (t_s >= train.onset_s) & (t_s <= train.end_s)
        rises.append(_rise_s(t_s[rising], force_n[rising] - base, plateau))
    response = float(np.median(per_ma)) if per_ma else np.nan
    known = [rise for rise in rises if np.isfinite(rise)]
    slope = np.nan
    if len(per_ma) >= _TRAINS_LEAST and response > 0:
        slope = 100.0 * float(np.polyfit(at_min, per_ma, 1)[0]) / response
    return {
        "response_per_current": response,
        "rise": float(np.median(known)) if known else np.nan,
        "fatigue_slope": slope,
    }


def virtual_forces(recorded: OpenLoop, people: int, seed: int) -> tuple[Floats, Floats]:
    """Force of virtual people who are given a session's pulses: times (n,) and forces (n, people), in s and N."""
    persons = [draw(_FIRST_PERSON + seed + number, recorded.group) for number in range(people)]
    seeds = [_FIRST_PERSON + seed + number for number in range(people)]
    first_s = recorded.trains[0].onset_s - 1.0
    subjects = FastSubjects(persons, seeds, muscles=(MuscleSite(_MUSCLE, ("emg",), ((0, "ch"),)),))
    steps = int(np.ceil((recorded.trains[-1].end_s + 0.5 - first_s) * 1e9 / STEP_NS))
    at_ns = np.round((recorded.pulse_s - first_s) * 1e9).astype(np.int64)
    cuts = np.searchsorted(at_ns, np.arange(steps + 1) * STEP_NS)
    forces = np.empty((steps, people))
    for step in range(steps):
        rows = range(int(cuts[step]), int(cuts[step + 1]))
        pulses = [
            Pulse(int(at_ns[row]), 0, float(recorded.pulse_ma[row]), float(recorded.pulse_us[row])) for row in rows
        ]
        forces[step] = subjects.step([pulses] * people).force_n[:, 0]
    t_s = np.arange(1, steps + 1, dtype=np.float64) * (STEP_NS * 1e-9) + first_s
    return t_s, forces


def say_gap(table: Mapping[str, Any]) -> str:
    """The table in words."""
    lines = []
    for name, title in (("people", "people against virtual people"), ("full_tier", "full tier against fast tier")):
        part = table[name]
        lines.append(f"{title}: {part.get('note') or ''}".rstrip(": ") if part.get("note") else f"{title}:")
        for row in part.get("rows", ()):
            virtual = row["virtual"]
            spread = f"{_number(virtual['low'])} to {_number(virtual['high'])} in 95 % of them"
            lines.append(
                f"  {row['measure']} ({row['unit']}): recorded {_said(row['recorded'])}, virtual "
                f"{_number(virtual['median'])} ({spread}), recorded less virtual {_said(row['difference'])}; "
                f"{row['within']} of {row['subjects']} recorded within the virtual range"
            )
    return "\n".join(lines)


def interval(values: Sequence[float]) -> dict[str, float | int | None]:
    """Mean with its 95 % interval (Student's t) over people; no interval for one person, no mean for none."""
    from scipy import stats

    count = len(values)
    if not count:
        return {"mean": None, "low": None, "high": None, "n": 0}
    mean = float(np.mean(values))
    if count < 2:
        return {"mean": mean, "low": None, "high": None, "n": 1}
    half = float(stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) / np.sqrt(count))
    return {"mean": mean, "low": mean - half, "high": mean + half, "n": count}


# -- inside --------------------------------------------------------------------------------------------------------


def _table(sessions: Sequence[OpenLoop], people: int, seed: int, nobody: str) -> dict[str, Any]:
    if not sessions:
        return {"note": nobody, "sessions": [], "rows": []}
    recorded: dict[str, list[dict[str, float]]] = {}
    virtual: dict[str, list[list[dict[str, float]]]] = {}
    for each in sessions:
        recorded.setdefault(each.person, []).append(measure(each.t_s, each.force_n, each.trains))
        t_s, forces = virtual_forces(each, people, seed)
        virtual.setdefault(each.person, []).append(
            [measure(t_s, forces[:, number], each.trains) for number in range(people)]
        )
    rows = [_row(name, recorded, virtual) for name in MEASURES]
    return {"note": "", "sessions": [each.session for each in sessions], "rows": rows}


def _row(
    name: str, recorded: Mapping[str, Sequence[dict[str, float]]], virtual: Mapping[str, Sequence[Any]]
) -> dict[str, Any]:
    told, differences, everybody, within = [], [], [], 0
    for person in sorted(recorded):
        own = [each[name] for each in recorded[person] if np.isfinite(each[name])]
        theirs = [each[name] for session in virtual[person] for each in session if np.isfinite(each[name])]
        everybody += theirs
        if not own or not theirs:
            continue
        value = float(np.mean(own))
        told.append(value)
        differences.append(value - float(np.mean(theirs)))
        low, high = np.percentile(theirs, (2.5, 97.5))
        within += bool(low <= value <= high)
    low, middle, high = np.percentile(everybody, (2.5, 50.0, 97.5)).tolist() if everybody else (None, None, None)
    return {
        "measure": name,
        "unit": MEASURES[name],
        "recorded": interval(told),
        "virtual": {"median": middle, "low": low, "high": high},
        "difference": interval(differences),
        "within": within,
        "subjects": len(told),
    }


def _trains(session: Session) -> tuple[Train, ...]:
    trains = []
    ramp_s = None
    for span in session.trial_spans:
        if span.kind != "block":
            continue
        if span.state == "ramp_up":
            ramp_s = span.begin_s
        if span.state != "hold":
            continue
        current_ma = max((_mean_ma(track.t_s, track.allowed_ma, span.begin_s, span.end_s)
                          for track in session.currents.values()), default=0.0)  # fmt: skip
        if current_ma > 0.0:
            trains.append(Train(span.begin_s if ramp_s is None else ramp_s, span.begin_s, span.end_s, current_ma))
        ramp_s = None
    return tuple(trains)


def _mean_ma(t_s: Floats, current_ma: Floats, begin_s: float, end_s: float) -> float:
    inside = (t_s >= 0.5 * (begin_s + end_s)) & (t_s <= end_s)
    return float(current_ma[inside].mean()) if inside.any() else 0.0


def _rise_s(t_s: Floats, force_n: Floats, plateau_n: float) -> float:
    if plateau_n <= 0.0:
        return np.nan
    low, high = np.flatnonzero(force_n >= 0.1 * plateau_n), np.flatnonzero(force_n >= 0.9 * plateau_n)
    return float(t_s[high[0]] - t_s[low[0]]) if len(low) and len(high) else np.nan


def _said(value: Mapping[str, Any]) -> str:
    if value["mean"] is None:
        return "not known"
    if value["low"] is None:
        return f"{value['mean']:.3g} (one person, no interval)"
    return f"{value['mean']:.3g} ({value['low']:.3g} to {value['high']:.3g})"


def _number(value: float | None) -> str:
    return "not known" if value is None else f"{value:.3g}"
