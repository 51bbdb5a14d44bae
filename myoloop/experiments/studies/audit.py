"""The audit: who did what, when, from which old to which new value, and why; append-only and chained.

A session has one (``audit.jsonl`` in the attempt's folder) and the study has one. No arm and no name of a person who
takes part stands in either: everybody may read them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.chained import ChainedLog, check_chained
from myoloop.platform.errors import UserError

AUDIT_FILE = "audit.jsonl"
#: Beside it in an attempt's folder: what was made of the events that the detector found.
REVIEW_FILE = "review.jsonl"
#: Folder in a person's folder, and in the study's allocation, whose files are chained logs.
RECORD_FOLDER = "record"
#: Every chained log of a study, relative to it.
CHAINED = (
    AUDIT_FILE,
    "allocation/*.jsonl",
    f"sub-*/{RECORD_FOLDER}/*.jsonl",
    f"sub-*/ses-*/att-*/{AUDIT_FILE}",
    f"sub-*/ses-*/att-*/{REVIEW_FILE}",
)


def audit_of(folder: Path | str) -> ChainedLog:
    """The audit of a study or of a session's attempt, by its folder."""
    return ChainedLog(Path(folder) / AUDIT_FILE)


def record_act(
    log: ChainedLog, wall: datetime, who: str, role: str, act: str, what: str, old: Any, new: Any, why: str
) -> dict[str, Any]:
    """Write down one act.

    Parameters
    ----------
    log
        The session's or the study's audit.
    wall
        When, with its time zone.
    who, role
        Who acted and as what; neither may be empty.
    act
        One word for what was done, such as ``reassign``.
    what
        What it was done to.
    old, new
        Values before and after, JSON-ready; None where there is none.
    why
        Reason; empty only for acts that need none.

    Returns
    -------
    dict
        The entry as written.

    Raises
    ------
    UserError
        If `who`, `role`, `act` or `what` is empty.
    ValueError
        If `wall` has no time zone.
    """
    check_actor(who, role)
    for name, text in (("act", act), ("what", what)):
        if not text.strip():
            raise UserError(f"audit: {name} is empty; an act is recorded with what was done to what")
    entry = {"wall_utc": utc(wall), "who": who, "role": role, "act": act, "what": what}
    return log.append({**entry, "old": old, "new": new, "why": why})


def check_actor(who: str, role: str) -> None:
    """Refuse an act of nobody.

    Raises
    ------
    UserError
        If who or the role is empty.
    """
    for name, text in (("who", who), ("role", role)):
        if not text.strip():
            raise UserError(f"audit: {name} is empty; an act is recorded with who did it, in which role")


def utc(wall: datetime) -> str:
    """A wall time as the audit writes it: ``2026-11-21T12:20:00.000Z``.

    Raises
    ------
    ValueError
        If it has no time zone.
    """
    if wall.tzinfo is None:
        raise ValueError("a wall time needs its time zone")
    return wall.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Audited:
    """What :func:`read_audit` found.

    Attributes
    ----------
    acts
        Entries of the audits, in the order of their time.
    logs
        How many chained logs were checked.
    problems, torn
        One line each; see :class:`~myoloop.experiments.studies.chained.Checked`.
    """

    acts: list[dict[str, Any]]
    logs: int
    problems: list[str]
    torn: list[str]


def read_audit(path: Path | str) -> Audited:
    """Read and verify a chained log, an attempt's audit, or all chained logs below a folder of a study.

    Raises
    ------
    UserError
        If nothing is there, or it holds no chained log.
    """
    path = Path(path)
    logs = _logs(path)
    acts: list[dict[str, Any]] = []
    problems: list[str] = []
    torn: list[str] = []
    for log in logs:
        checked = check_chained(log)
        problems += checked.problems
        torn += [checked.torn] if checked.torn else []
        if log.name in (AUDIT_FILE, REVIEW_FILE) or path.is_file():
            acts += [
                {**row, "log": log.relative_to(path).as_posix() if path.is_dir() else log.name}
                for row in checked.entries
            ]
    acts.sort(key=lambda row: str(row.get("wall_utc", "")))
    return Audited(acts, len(logs), problems, torn)


def say_audit(found: Audited) -> str:
    """The acts in lines, then what was verified."""
    lines = [_line(row) for row in found.acts]
    lines += found.problems + found.torn
    verdict = "DAMAGED" if found.problems else "whole"
    return "\n".join([*lines, f"{found.logs} chained log{'s' * (found.logs != 1)}: {verdict}"])


def _line(row: dict[str, Any]) -> str:
    if "act" not in row:
        return f"{row['log']} {row['n']}"
    change = "" if row.get("old") is None and row.get("new") is None else f": {row.get('old')} -> {row.get('new')}"
    why = f" ({row['why']})" if row.get("why") else ""
    return f"{row.get('wall_utc')} {row.get('who')} ({row.get('role')}) {row['act']} {row.get('what')}{change}{why}"


def _logs(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    found = {log for pattern in CHAINED for log in path.glob(pattern)}
    # A person's folder, or an attempt's, has only what is its own.
    found |= set(path.glob(f"{RECORD_FOLDER}/*.jsonl"))
    for name in (AUDIT_FILE, REVIEW_FILE):
        found |= {*path.glob(f"ses-*/att-*/{name}"), *path.glob(f"att-*/{name}"), *path.glob(name)}
    if not found:
        raise UserError(f"{path}: no audit in it ({AUDIT_FILE})")
    return sorted(found)
