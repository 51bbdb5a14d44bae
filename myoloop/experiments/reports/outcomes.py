"""The outcomes that the protocol named before the session began, with what keeps one from having a value."""

from __future__ import annotations

from typing import Any

from myoloop.experiments.outcomes.attempt import PLANTED, Measured
from myoloop.experiments.outcomes.words import value_words
from myoloop.experiments.reports.tables import Table

_PLANTED = (
    "The body was a virtual subject: what is found here was put into it. That it is found again says that the measure "
    "works; it says nothing of people."
)


def heading(measured: Measured) -> str:
    """Title of the section."""
    return f"Outcomes: {measured.heading}" if measured.heading else "Outcomes"


def table(measured: Measured) -> Table | None:
    """One row per outcome, primary first; None where they cannot be had, which `Measured.missing` says."""
    rows = [_row(row) for row in measured.rows()]
    rows += [
        (each["part"], each["text"], "–", "", "–", "", f"entered by the {each['by']}, not in this record")
        for each in measured.entered()
    ]
    if not rows:
        return None
    rows.sort(key=lambda row: row[0] != "primary")
    caption = (
        "Outcomes as the protocol names them, of this session alone; a value of one session is no effect. n: trials, "
        "contractions, muscles or answers that it is computed from. Unit 1: a share or an index."
    )
    if measured.heading == PLANTED:
        caption = f"{_PLANTED} {caption}"
    columns = (
        "part",
        "outcome",
        "value",
        "unit",
        "n",
        "by muscle, channel or site",
        "why there is none, or is not valid",
    )
    return Table(columns, tuple(rows), caption)


def _row(row: dict[str, Any]) -> tuple[str, ...]:
    value, parts = row["value"], row["codes"] or row["parts"] or {}
    return (
        row["part"],
        f"{row['text']} ({row['outcome']})",
        row["code"] or value_words(value),
        row["unit"],
        str(row["n"]),
        ", ".join(
            f"{name} {part}" if isinstance(part, str) else f"{name} {value_words(part)}" for name, part in parts.items()
        ),
        "; ".join(filter(None, (f"NOT VALID: {row['doubt']}" if row["doubt"] else "", row["why"]))),
    )
