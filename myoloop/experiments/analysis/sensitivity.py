"""What a person felt at each session so far: thresholds as charge, pain at light touch, and when electrodes changed.

It is read from the recordings of the person's own attempts, from their trials and events alone. Thresholds are measured
in the open and with real current in every arm, and no sealed stream is looked at: in a blinded study it says what was
measured and nothing of the arm.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from myoloop.experiments.analysis.session import Session
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Event, Trial
from myoloop.platform.recording.folder import AttemptPlace, place_of
from myoloop.platform.recording.reader import Recording

THRESHOLDS = ("sensory", "motor", "tolerance")
_CHANGES = frozenset({"electrode_changed", "lead_off"})


@dataclass(frozen=True, slots=True)
class Found:
    """One channel's thresholds, as they were found once.

    Attributes
    ----------
    charge_uc
        Of one phase, by threshold; one that was not reached is not in it.
    phase_us
        Pulse width: thresholds as charge rise with it, so that only those of one width can be compared.
    lots
        Pads by site, as far as they were told by then.
    changed
        What was said of electrodes that were changed in this session before it.
    """

    channel: str
    phase_us: float
    charge_uc: Mapping[str, float]
    lots: Mapping[str, str]
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Visit:
    """What one attempt says.

    Attributes
    ----------
    at
        Wall time (UTC) of its begin; None where it is not known.
    brush
        Answers of the form ``allodynia_map`` by site, the newest of each.
    simulated
        Whether any part of it was; None where it does not say.
    forms
        By a form's id with its instance, the first and the newest answers.
    """

    session: int
    attempt: int
    at: datetime | None
    simulated: bool | None
    found: tuple[Found, ...]
    brush: Mapping[str, Mapping[str, Any]]
    forms: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """The person's visits in order, and recordings that could not be read."""

    visits: tuple[Visit, ...]
    problems: tuple[str, ...] = ()


class _Happened(NamedTuple):
    """A trial or an event at its time."""

    t_s: float
    kind: str
    why: str
    values: Mapping[str, Any]


def sensitivity_of(session: Session) -> Sensitivity:
    """Every attempt of the session's person up to this one; of a recording outside a study, this one alone."""
    place = place_of(session.path)
    if place is None:
        return Sensitivity((_this(session, 0, 0),))
    visits, problems = [], []
    for number, attempt, folder in _before(place):
        try:
            visits.append(_read(folder, number, attempt))
        except (UserError, OSError) as error:
            problems.append(f"ses-{number:02d}/att-{attempt} is not among the earlier sessions: {error}")
    return Sensitivity((*visits, _this(session, place.session, place.attempt)), tuple(problems))


def _before(place: AttemptPlace) -> list[tuple[int, int, Path]]:
    """The person's earlier attempts in order: session, attempt, folder."""
    folders = (place.study / f"sub-{place.subject}").glob("ses-*/att-*")
    there = [(each.session, each.attempt, folder) for folder in folders if (each := place_of(folder)) is not None]
    return sorted(each for each in there if each[:2] < (place.session, place.attempt))


def _this(session: Session, number: int, attempt: int) -> Visit:
    happened = [
        _Happened(end_s, "threshold", "", trial.values)
        for trial, (_, _, end_s) in zip(session.trials, session.trial_times_s, strict=True)
        if trial.kind == "threshold"
    ]
    happened += [_Happened(each.t_s, each.kind, each.why, each.values) for each in session.events]
    return _visit(number, attempt, session.wall_start, session.simulated, happened)


def _read(folder: Path, number: int, attempt: int) -> Visit:
    recording = Recording.open(folder)
    happened = []
    for received, _ in recording.messages({"trial", "event"}):
        message = received.message
        if isinstance(message, Trial) and message.kind == "threshold":
            happened.append(_Happened(message.end_ns * 1e-9, "threshold", "", message.values))
        elif isinstance(message, Event):
            happened.append(_Happened(message.t_ns * 1e-9, message.kind, message.why, message.values))
    told = recording.metadata.get("wall_start_ns", "")
    at = datetime.fromtimestamp(int(told) / 1e9, UTC) if told.isdecimal() and int(told) > 0 else None
    return _visit(number, attempt, at, recording.simulated, happened)


@dataclass(slots=True)
class _Going:
    """What is known while a session is gone through."""

    lots: dict[str, str] = field(default_factory=dict)
    changed: list[str] = field(default_factory=list)
    brush: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    forms: dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = field(default_factory=dict)


def _visit(
    number: int, attempt: int, at: datetime | None, simulated: bool | None, happened: Iterable[_Happened]
) -> Visit:
    now = _Going()
    for each in sorted(happened, key=lambda one: one.t_s):
        form, _, site = str(each.values.get("form", "")).partition(".")
        if each.kind == "form" and form:
            named = str(each.values["form"])
            now.forms[named] = (now.forms.get(named, (each.values,))[0], each.values)
        if each.kind == "threshold":
            now.found.append(_found(each.values, now))
        elif each.kind in _CHANGES:
            now.changed.append(each.why or each.kind.replace("_", " "))
        elif each.kind == "form" and form == "pads" and each.values.get("lot"):
            now.lots[site] = str(each.values["lot"])
        elif each.kind == "form" and form == "allodynia_map":
            now.brush[site] = each.values
    return Visit(number, attempt, at, simulated, tuple(now.found), now.brush, now.forms)


def _found(values: Mapping[str, Any], now: _Going) -> Found:
    phase_us = _number(values.get("phase_us"))
    currents_ma = {name: _number(values.get(f"{name}_ma")) for name in THRESHOLDS}
    return Found(
        str(values.get("channel", "")),
        phase_us or 0.0,
        {name: ma * phase_us * 1e-3 for name, ma in currents_ma.items() if ma is not None and phase_us},
        dict(now.lots),
        tuple(now.changed),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
