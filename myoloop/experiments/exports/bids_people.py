"""Who takes part, which sessions they had, and what they were asked: ``participants``, ``sessions``, ``phenotype``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from myoloop.experiments.exports.bidsfiles import ABSENT, label, write_json, write_table
from myoloop.experiments.exports.forms import FormRow, fields_of
from myoloop.experiments.exports.opened import Opened
from myoloop.experiments.screening.fields import Field
from myoloop.experiments.screening.forms import FORMS

_YES = {True: "yes", False: "no", None: "unknown"}


def write_participants(root: Path, opened: Sequence[Opened], arms: Mapping[str, str] | None) -> list[Path]:
    """Write who takes part; with a column of arms only where they were opened."""
    people: dict[str, list[Opened]] = {}
    for each in opened:
        people.setdefault(_person(each), []).append(each)
    rows = []
    for person, sessions in sorted(people.items()):
        simulated = {each.session.simulated for each in sessions}
        rows.append(
            {
                "participant_id": f"sub-{person}",
                "species": "homo sapiens" if simulated == {False} else ABSENT,
                "simulated": _YES[True] if True in simulated else _YES[None] if None in simulated else _YES[False],
                "sessions": len({each.place.session for each in sessions if each.place} or {1}),
                "arm": None if arms is None else arms.get(person),
            }
        )
    columns = ["participant_id", "species", "simulated", "sessions", *(["arm"] if arms is not None else [])]
    described: dict[str, Any] = {
        "species": {"Description": "n/a of a virtual subject, and where it is not known whether it was one."},
        "simulated": {
            "Description": "Whether any part of the participant's sessions was simulated.",
            "Levels": {"yes": "Yes.", "no": "No: a person.", "unknown": "A cut recording does not say."},
        },
        "sessions": {"Description": "How many sessions are in this data set."},
    }
    if arms is not None:
        described["arm"] = {"Description": "Which treatment was allocated; opened with the study's key."}
    return [
        write_table(root / "participants.tsv", columns, rows),
        write_json(root / "participants.json", described),
    ]


def write_sessions(root: Path, sessions: Sequence[tuple[str, str, Opened]]) -> list[Path]:
    """Write each participant's sessions: no dates, but days since their first session.

    Parameters
    ----------
    sessions
        Labels of participant and session, and the attempt.
    """
    people: dict[str, dict[str, list[Opened]]] = {}
    for subject, session, each in sessions:
        people.setdefault(subject, {}).setdefault(session, []).append(each)
    written = []
    for subject, theirs in sorted(people.items()):
        starts = {
            name: next((o.session.wall_start for o in each if o.session.wall_start), None)
            for name, each in theirs.items()
        }
        known = [start.date() for start in starts.values() if start is not None]
        rows = []
        for name, attempts in sorted(theirs.items()):
            start = starts[name]
            rows.append(
                {
                    "session_id": f"ses-{name}",
                    "day": (start.date() - min(known)).days if start is not None else None,
                    "attempts": len(attempts),
                    "outcome": attempts[-1].session.outcome,
                    "protocol": label(attempts[-1].session.metadata.get("protocol", "")),
                    "simulated": _YES[attempts[-1].session.simulated],
                    "input_sha256": ",".join(each.sha256 for each in attempts),
                }
            )
        file = root / f"sub-{subject}" / f"sub-{subject}_sessions.tsv"
        written.append(write_table(file, list(rows[0]), rows))
    described = {
        "day": {"Description": "Days since the participant's first session in this data set.", "Units": "day"},
        "attempts": {"Description": "How many attempts at the session are in this data set."},
        "outcome": {"Description": "How the last attempt ended."},
        "protocol": {"Description": "Id of the protocol, letters and digits alone."},
        "simulated": {"Description": "Whether any part of it was simulated."},
        "input_sha256": {"Description": "SHA-256 of the session file of each attempt."},
    }
    return [*written, write_json(root / "sessions.json", described)]


def write_phenotype(root: Path, forms: Sequence[FormRow]) -> list[Path]:
    """Write filled-in forms, a table for each form.

    BIDS wants one row for each participant: a column says when and where before the question, as in
    ``ses-01_att-1_nrs_current`` or ``ses-02_att-1_skin.ext_2_wound`` (the second such form of the attempt).
    """
    written = []
    for form in sorted({row.form for row in forms}):
        people: dict[str, dict[str, Any]] = {}
        described: dict[str, Any] = {"MeasurementToolMetadata": {"Description": _title(form)}}
        fields = fields_of(form)
        filled: Counter[tuple[str, str]] = Counter()
        for row in (row for row in forms if row.form == form):
            asked = _asked(row)
            filled[row.person, asked] += 1
            number = filled[row.person, asked]
            prefix = asked if number == 1 else f"{asked}_{number}"
            answers = people.setdefault(row.person, {"participant_id": f"sub-{row.person}"})
            for key, value in row.values.items():
                answers[f"{prefix}_{key}"] = value
                described[f"{prefix}_{key}"] = _column(key, fields)
            if row.t_s is not None:
                answers[f"{prefix}_t_s"] = row.t_s
                described[f"{prefix}_t_s"] = {"Description": "When it was filled in, in the session.", "Units": "s"}
        columns = ["participant_id", *(key for key in described if key != "MeasurementToolMetadata")]
        file = root / "phenotype" / f"{label(form) if not form.isidentifier() else form}.tsv"
        rows = [people[person] for person in sorted(people)]
        written += [write_table(file, columns, rows), write_json(file.with_suffix(".json"), described)]
    return written


def _asked(row: FormRow) -> str:
    """When and where a form was filled in, as columns say it."""
    form = f"{row.form}.{row.instance}" if row.instance else row.form
    parts = [
        "between" if row.session is None else f"ses-{row.session:02d}",
        "" if row.attempt is None else f"att-{row.attempt}",
        form,
        re.sub(r"\s+", "-", row.prompt),
    ]
    return "_".join(part for part in parts if part)


def _title(form: str) -> str:
    return FORMS[form].title if form in FORMS else f"Form {form}"


def _column(key: str, fields: Mapping[str, Field]) -> dict[str, Any]:
    days = key.removesuffix("_days")
    if key not in fields and days in fields:
        return {"Description": f"{fields[days].question} Days from the day of the session.", "Units": "day"}
    asked = fields.get(key)
    if asked is None:
        return {"Description": f"Answer {key}; its wording is not exported."}
    described: dict[str, Any] = {"Description": asked.question}
    if asked.unit:
        described["Units"] = asked.unit
    if asked.values and asked.type != "choices":
        described["Levels"] = {value: value.replace("_", " ") for value in asked.values}
    return described


def _person(opened: Opened) -> str:
    return label(opened.person or "unknown")
