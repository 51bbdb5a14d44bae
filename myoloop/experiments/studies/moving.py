"""What moves with a session that is given to another person: its lines of dose, and its entries of the record."""

from __future__ import annotations

import heapq
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.chained import CHAIN_KEYS, ChainedLog, read_chained
from myoloop.platform.errors import UserError

#: Keys of entries of a record: which earlier entry one is about, and what kind it is if it is a course's plan.
EVENT, PLAN = "event", "plan"
#: Key of an entry that came from another person's record: from whose, and which it was.
ORIGIN = "reassigned_from"


def move_dose(source: str, target: str, to: str, old: str, new: str) -> tuple[str, str, int]:
    """Move a session's lines from one person's dose ledger into another's; pure.

    Lines stay in the order of their time, because of a ledger none counts as older than one that stands above it.

    Parameters
    ----------
    source, target
        Both ledgers' text, which read as ledgers.
    to
        Whose the lines become.
    old, new
        The session's name in either.

    Returns
    -------
    tuple
        Both texts, and how many lines were moved.
    """
    rows = [json.loads(line) for line in source.splitlines()]
    moved = [{**row, "subject": to, "session": new} for row in rows if row["session"] == old]
    kept = [row for row in rows if row["session"] != old]
    # What is there under that name was put there by an earlier attempt at this that was cut short.
    there = [row for row in map(json.loads, target.splitlines()) if not moved or row["session"] != new]
    joined = [row for _, row in heapq.merge(_timed(there), _timed(moved), key=lambda pair: pair[0])]
    return _lines(kept), _lines(joined), len(moved)


def rows_of_session(log: Path, number: int) -> list[dict[str, Any]]:
    """Entries of a session, and later ones about an event that was reported in it."""
    names = (number, str(number), f"ses-{number:02d}")
    found: dict[int, dict[str, Any]] = {}
    for row in read_chained(log):
        if row.get(EVENT) in found:
            found[row["n"]] = row
        elif row.get("session") in names:
            if EVENT in row:
                raise UserError(f"{log}, entry {row['n']}: is about entry {row[EVENT]}, which is not of this session")
            found[row["n"]] = row
    return list(found.values())


def move_rows(
    log: Path, target: Path, rows: Sequence[dict[str, Any]], person: str, number: int, note: Mapping[str, Any]
) -> None:
    """Write entries into the right person's record, then say in the other's that they do not count.

    Parameters
    ----------
    log, target
        The same log of both persons.
    rows
        From :func:`rows_of_session`.
    person, number
        Whose they were, and the session's new number.
    note
        Who says that they no longer count there, and why.
    """
    if not rows:
        return
    there = ChainedLog(target)
    here = read_chained(target)
    plans = [row for row in read_chained(log) if row.get("kind") == PLAN]
    if plans and not here:
        # What was prescribed: a course begins with it.
        there.append(_entry_of(plans[-1]))
    # An earlier attempt that was cut short may have written some already.
    written = {row[ORIGIN]["sha256"]: int(row["n"]) for row in here if ORIGIN in row}
    numbers: dict[int, int] = {}
    for row in rows:
        if row["sha256"] in written:
            numbers[row["n"]] = written[row["sha256"]]
            continue
        entry = _entry_of(row)
        if "session" in row:
            entry["session"] = _renumbered(row["session"], number)
        if EVENT in row:
            entry[EVENT] = numbers[row[EVENT]]
        origin = {"person": person, "n": row["n"], "sha256": row["sha256"]}
        numbers[row["n"]] = int(there.append({**entry, ORIGIN: origin})["n"])
    ChainedLog(log).void(list(numbers), note)


def _timed(rows: Sequence[dict[str, Any]]) -> Iterator[tuple[float, dict[str, Any]]]:
    newest = 0.0
    for row in rows:
        newest = max(newest, row["wall_ns"])
        yield newest, row


def _lines(rows: Sequence[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, sort_keys=True, allow_nan=False) + "\n" for row in rows)


def _entry_of(row: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key not in CHAIN_KEYS}


def _renumbered(session: Any, number: int) -> Any:
    if not isinstance(session, str):
        return number
    return f"ses-{number:02d}" if session.startswith("ses-") else str(number)
