"""What a session leaves beside its recording: its forms as files, its audit, and the lines of the person's record.

All of it is read from the recording, so that nothing is on file that is not on record.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.adverse import AdverseError, report_line
from myoloop.experiments.studies.audit import AUDIT_FILE, RECORD_FOLDER, record_act
from myoloop.experiments.studies.chained import ChainedLog, check_chained, read_chained
from myoloop.platform.messages import Answer, Command, Event, Stop
from myoloop.platform.recording.folder import place_of, replace_file
from myoloop.platform.recording.reader import Recording

FORMS_FOLDER = "forms"
#: Forms that screening's history is made of, in the order they were filled in.
FORMS_LOG = "patch_tests.jsonl"
OF_HISTORY = frozenset({"patch_test", "patch_reading", "skin_after", "pads"})
ADVERSE_LOG = "adverse_events.jsonl"
_ADVERSE = "adverse_event"
_PART_OF_A_NAME = re.compile(r"[^a-z0-9_.-]")
#: What nodes say to one another is no act of a person.
_PEOPLE = frozenset({"operator", "clinician"})
#: What is asked at a desk is recorded there, and once more where it is passed on to: that is the act.
DESK = "supervisor"
#: No session goes far without one of these.
_OF_A_SESSION = frozenset({"confirm", "form", "arm", "stop", "end"})


@dataclass(frozen=True, slots=True)
class FilledForm:
    """A form as it was taken."""

    form: str
    values: Mapping[str, Any]
    who: str
    wall: datetime


@dataclass(frozen=True, slots=True)
class SessionAct:
    """An act as it was asked for, and what became of it."""

    wall: datetime
    who: str
    role: str
    act: str
    what: str
    new: Any
    why: str


def filled_forms(recording: Recording) -> list[FilledForm]:
    """Forms that the director took, in order, with the answers as they were given."""
    forms, asked = [], {}
    for each in recording.messages({"command", "event"}):
        message = each.received.message
        if isinstance(message, Command) and message.target == DESK:
            continue
        if isinstance(message, Command) and message.kind in ("form", "override"):
            arguments = message.arguments
            form = arguments.get("form") if message.kind == "form" else f"override.{arguments.get('item')}"
            values = arguments.get("values") if message.kind == "form" else arguments
            asked[str(form)] = (values, message.who)
        elif isinstance(message, Event) and message.kind == "form" and each.received.publisher != "operator":
            form = str(message.values.get("form", ""))
            told = {name: value for name, value in message.values.items() if name not in ("form", "who")}
            values, who = asked.pop(form, (told, str(message.values.get("who", ""))))
            forms.append(FilledForm(form, dict(values or {}), who, wall_of(recording, message.t_ns)))
    return forms


def write_forms(folder: Path, recording: Recording) -> list[Path]:
    """Write ``forms/<n>-<id>.json`` for each form that was filled in; those that are there are left as they are."""
    written = []
    for number, form in enumerate(filled_forms(recording), 1):
        path = folder / FORMS_FOLDER / f"{number}-{_PART_OF_A_NAME.sub('_', form.form.lower())}.json"
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            content = {"form": form.form, "values": form.values, "who": form.who, "wall": form.wall.isoformat()}
            replace_file(path, json.dumps(content, sort_keys=True, ensure_ascii=False, indent=1).encode() + b"\n")
        written.append(path)
    return written


def acts_of(recording: Recording) -> list[SessionAct]:
    """Every act of a person, or of a script in a person's place, with its answer; stops too."""
    acts: list[tuple[SessionAct, str]] = []
    answers: dict[str, Answer] = {}
    for each in recording.messages({"command", "answer", "stop"}):
        message = each.received.message
        if isinstance(message, Answer):
            answers[message.id] = message
        elif isinstance(message, Stop):
            wall = wall_of(recording, message.t_ns)
            acts.append(
                (SessionAct(wall, message.who or "somebody", "any", "stop", "stimulator", None, message.why), "")
            )
        elif isinstance(message, Command) and message.role in _PEOPLE and message.target != DESK:
            acts.append((_act(recording, message), message.id))
    return [_answered(act, answers.get(identity)) for act, identity in acts]


def write_audit(folder: Path, recording: Recording) -> int:
    """Append every act to ``audit.jsonl``; how many."""
    log = ChainedLog(folder / AUDIT_FILE)
    acts = acts_of(recording)
    for act in acts:
        record_act(log, act.wall, act.who, act.role, act.act, act.what, None, act.new, act.why)
    return len(acts)


def keep_on_record(folder: Path, recording: Recording) -> None:
    """Add the session's forms to the person's record, and its adverse events to theirs; none a second time."""
    place = place_of(folder)
    if place is None:
        return
    record = folder.parents[1] / RECORD_FOLDER
    for form in filled_forms(recording):
        wall = form.wall.isoformat()
        if form.form.partition(".")[0] == _ADVERSE:
            try:
                line = report_line(form.values, at=form.wall, who=form.who, session=place.session)
            except AdverseError as error:
                # What the director took and this does not: it is kept as it is, where the gate will find it.
                line = {"form": form.form, "values": dict(form.values), "wall": wall, "problem": str(error)}
            _append_once(record / ADVERSE_LOG, line)
            continue
        if form.form.partition(".")[0] not in OF_HISTORY:
            continue
        row = {"form": form.form, "values": dict(form.values), "wall": wall, "who": form.who}
        _append_once(record / FORMS_LOG, {**row, "session": place.session, "attempt": place.attempt})


def _append_once(path: Path, line: Mapping[str, Any]) -> None:
    there = read_chained(path)
    if not any(all(name in row and row[name] == value for name, value in line.items()) for row in there):
        ChainedLog(path).append(line)


def audit_live(folder: Path, command: Command, wall: datetime) -> None:
    """Append one act while the session runs, as it is asked for."""
    arguments = {name: value for name, value in command.arguments.items() if name != "values"}
    what = str(arguments.get("form") or arguments.get("channel") or arguments.get("item") or command.target)
    who = command.who or "operator"
    log = ChainedLog(folder / AUDIT_FILE)
    record_act(log, wall, who, command.role or "operator", command.kind, what, None, arguments or None, command.why)


def audited(folder: Path) -> bool:
    """Whether acts of the session itself are in its audit already."""
    log = folder / AUDIT_FILE
    return log.is_file() and any(row.get("act") in _OF_A_SESSION for row in check_chained(log).entries)


def leave_records(folder: Path) -> None:
    """Everything that a session which has ended leaves beside its recording.

    Raises
    ------
    RecordingError
        If the recording cannot be read.
    """
    recording = Recording.open(folder)
    write_forms(folder, recording)
    if not audited(folder):
        write_audit(folder, recording)
    keep_on_record(folder, recording)


def wall_of(recording: Recording, t_ns: int) -> datetime:
    """The wall time of a moment of the session, by the clock it began with."""
    began_ns = int(recording.metadata.get("wall_start_ns") or 0)
    since_ns = t_ns - (recording.first_ns or t_ns)
    return datetime.fromtimestamp(began_ns / 1e9, UTC) + timedelta(microseconds=since_ns // 1000)


def _act(recording: Recording, command: Command) -> SessionAct:
    arguments = {name: value for name, value in command.arguments.items() if name != "values"}
    what = str(arguments.get("form") or arguments.get("channel") or arguments.get("item") or command.target)
    return SessionAct(
        wall_of(recording, command.t_ns), command.who or command.role, command.role, command.kind, what,
        arguments or None, command.why,
    )  # fmt: skip


def _answered(act: SessionAct, answer: Answer | None) -> SessionAct:
    if answer is None or answer.ok:
        return act
    why = f"{act.why}; refused: {answer.reason}" if act.why else f"refused: {answer.reason}"
    return SessionAct(act.wall, act.who, act.role, f"{act.act} (refused)", act.what, act.new, why)
