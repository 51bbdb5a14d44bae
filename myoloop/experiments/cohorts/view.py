"""A cohort in words for a terminal, and as data for machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from myoloop.experiments.cohorts.analysis import Line
from myoloop.experiments.cohorts.cohort import Cohort, provenance


def say_cohort(cohort: Cohort, page: Path, *, as_json: bool) -> tuple[dict[str, Any], bool, str]:
    """What `myoloop.answers.say` takes."""
    excluded = [row for row in cohort.gathered.rows if not row.used]
    data = {
        "report": str(page),
        **provenance(cohort),
        "people": len(cohort.people.people),
        "recordings": len(cohort.gathered.rows),
        "used": len(cohort.gathered.used()),
        "estimates": [_as_data(line) for line in cohort.result.lines],
        "exclusions": [
            {"person": row.person, "session": row.session, "attempt": row.attempt, "why": row.excluded}
            for row in excluded
        ],
        "not_compared": [{"person": name, "why": why} for name, why in cohort.result.not_compared],
        "protocols": list(cohort.gathered.protocols),
        "doubtful": list(cohort.gathered.doubts),
        "problems": [*cohort.gathered.problems, *cohort.people.problems],
    }
    lines = [cohort.stamp] if cohort.stamp else []
    lines += [
        f"{len(cohort.people.people)} people, {len(cohort.gathered.used())} of {len(cohort.gathered.rows)} "
        f"recordings used"
    ]
    lines += [f"  not used: {row.person} session {row.session}: {row.excluded}" for row in excluded]
    lines += [f"  in no comparison of arms: {name} {why}" for name, why in cohort.result.not_compared]
    lines += [f"  doubtful: {each}" for each in cohort.gathered.doubts]
    lines += [f"  problem: {each}" for each in data["problems"]]
    lines += [
        _words(line) for line in cohort.result.lines if line.part != "exploratory" or not cohort.result.is_registered
    ]
    lines += [f"report: {page}"]
    return data, as_json, "\n".join(lines)


def _words(line: Line) -> str:
    shown = line.shown()
    if shown is None:
        return f"{line.part}: {line.what}: none, {line.estimate.why}"
    value, low, high = shown
    n = f"n = {line.estimate.people} people, {n_of_sessions(line)}"
    return f"{line.part}: {line.what}: {value:.4g} [{low:.4g}, {high:.4g}] {line.shown_unit} ({n})"


def n_of_sessions(line: Line) -> str:
    """How many sessions were recorded, and how many a rule filled in."""
    filled = line.estimate.filled
    return f"{line.estimate.sessions} sessions" + (f", {filled} filled in" if filled else "")


def _as_data(line: Line) -> dict[str, Any]:
    shown, e = line.shown(), line.estimate
    return {
        "part": line.part, "what": line.what, "outcome": line.outcome, "contrast": line.contrast, "scale": line.scale,
        "shown": shown[0] if shown else None, "low": shown[1] if shown else None, "high": shown[2] if shown else None,
        "unit": line.shown_unit, "p": e.p, "people": e.people, "sessions": e.sessions, "filled_in": e.filled,
        "method": e.method,
        "note": e.note,
        "why": e.why, "input_sha256": line.input_sha256,
    }  # fmt: skip
