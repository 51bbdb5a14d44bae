"""Answers to an instrument as a CSV file: a column for each item, a line for each time it was answered.

Columns that are no items (subject, session, date) are carried along as they are. An empty cell is an item without an
answer.
"""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

from myoloop.experiments.outcomes.important_change import rows_of
from myoloop.experiments.outcomes.instrument import VERSION
from myoloop.experiments.outcomes.scoring import INSTRUMENTS, instrument_of
from myoloop.platform.errors import UserError

#: Columns that say whose answers they are.
CARRIED = ("study", "subject", "session", "attempt", "site", "date", "time", "who")


def score_file(name: str, path: Path) -> list[dict[str, Any]]:
    """Score every line of a file.

    Returns
    -------
    list of dict
        One for each line and score: ``line``, what was carried along, ``score``, ``unit``, ``value`` or None, ``code``,
        ``n``, ``why``, ``unmet``, ``method``, ``source``, ``parameters``.

    Raises
    ------
    UserError
        If there is no such instrument, or the file cannot be read or has a column that is neither item nor carried.
    """
    instrument = instrument_of(name)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    reader = csv.DictReader(io.StringIO(text))
    items = {item.id: item for item in instrument.items}
    allowed = {*items, VERSION, *CARRIED}
    unknown = [str(column) for column in reader.fieldnames or () if column not in allowed]
    if unknown or not set(reader.fieldnames or ()) & set(items):
        found = ", ".join(unknown) or "no item of it"
        raise UserError(f"{path}:1: columns: found {found}, allowed: {', '.join([*items, VERSION, *CARRIED])}")
    told = []
    for row in reader:
        if None in row:
            raise UserError(f"{path}:{reader.line_num}: more values than columns")
        cells = {key: (value or "").strip() for key, value in row.items()}
        carried = {key: cells[key] for key in CARRIED if key in cells}
        values = {
            key: _answer(value, key in items and not items[key].codes)
            for key, value in cells.items()
            if value and (key in items or (key == VERSION and instrument.versions))
        }
        for kind in instrument.scores:
            each = instrument.score(values)[kind.name]
            told.append(
                {
                    "line": reader.line_num, **carried, "score": kind.name, "unit": kind.unit, "value": each.value,
                    "code": each.code, "n": each.n, "why": each.why, "unmet": list(each.unmet), "method": kind.method,
                    "source": kind.source, "parameters": {**kind.parameters, **each.parameters},
                }
            )  # fmt: skip
    return told


def say_scores(rows: list[dict[str, Any]]) -> str:
    """One line each."""
    lines = []
    for row in rows:
        whose = " ".join(str(row[key]) for key in CARRIED if row.get(key))
        value = row["code"] or (f"{row['value']:.4g} {row['unit']}" if row["value"] is not None else "missing")
        notes = "; ".join(filter(None, (row["why"], "not met: " + ", ".join(row["unmet"]) if row["unmet"] else "")))
        lines.append(f"line {row['line']}{f' ({whose})' if whose else ''}: {row['score']} {value}"
                     f"{f': {notes}' if notes else ''}")  # fmt: skip
    return "\n".join(lines)


def instruments_data() -> list[dict[str, Any]]:
    """Every instrument with its items, scores, rules and important changes, as plain data."""
    return [
        {
            "instrument": each.id, "title": each.title, "items": [item.id for item in each.items],
            "versions": list(each.versions),
            "scores": [
                {
                    "score": kind.name, "unit": kind.unit, "method": kind.method, "source": kind.source,
                    "important_changes": [
                        {"amount": row.words(kind.unit), "kind": row.kind, "label": row.label,
                         "population": row.population, "source": row.source}
                        for row in rows_of(kind.name)
                    ],
                }
                for kind in each.scores
            ],
        }
        for each in INSTRUMENTS.values()
    ]  # fmt: skip


def say_instruments() -> str:
    """One line for each score."""
    return "\n".join(
        f"{each.id:10}{kind.name:20}{len(each.items):3} items  {kind.method}"
        for each in INSTRUMENTS.values()
        for kind in each.scores
    )


def _answer(cell: str, number: bool) -> Any:
    """A number where the item is one; what is none is left as it is, for the instrument to refuse."""
    if not number:
        return cell
    try:
        return float(cell)
    except ValueError:
        return cell
