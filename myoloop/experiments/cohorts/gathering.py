"""What an analysis over a study may look at: its sessions by the index, their outcomes, and the study's own records.

What a planted study's truth file holds, or a virtual subject told of itself, is nothing of it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myoloop.experiments.analysis.session import load
from myoloop.experiments.index.study import Index, Row, index_study
from myoloop.experiments.outcomes.attempt import measure
from myoloop.experiments.outcomes.compute import COMPUTED
from myoloop.experiments.outcomes.view import View
from myoloop.experiments.training.jobs import Jobs, code_sha256
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of, replace_file
from myoloop.platform.recording.layout import RecordingError

FOLDER = "derivatives/cohort"
#: What an outcome of a session depends on besides its recording.
CODE = ("experiments/analysis", "experiments/outcomes", "experiments/protocols", "experiments/screening", "platform")
_FORMAT = "myoloop-cohort-session-1"


class CohortError(UserError):
    """A study of which no cohort can be made; one clear line."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One outcome of one session; `why` says why there is none, or what a reader must know."""

    value: float | None
    n: int
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRow:
    """One attempt.

    Attributes
    ----------
    status
        As the index has it.
    excluded
        Why it is not used, in a line; empty where it is.
    head
        Of the recording's chain: what the numbers were made from.
    outcomes
        By id; empty where it is not used.
    primary
        The outcome that the played protocol calls so.
    guess
        Which arm the person guessed; None where nobody asked.
    """

    person: str
    session: int
    attempt: int
    path: str
    status: str
    grade: str
    excluded: str
    wall_start: str
    duration_s: float
    head: str
    protocol_sha256: str = ""
    outcomes: Mapping[str, Measurement] = field(default_factory=dict)
    primary: str = ""
    guess: str | None = None

    @property
    def used(self) -> bool:
        """Whether analyses use it."""
        return not self.excluded


@dataclass(frozen=True, slots=True)
class Gathered:
    """All attempts of a study.

    Attributes
    ----------
    simulated
        Whether all of it is.
    problems
        Of the study as a whole.
    """

    study: Path
    rows: tuple[SessionRow, ...]
    simulated: bool
    problems: tuple[str, ...] = ()

    def used(self) -> dict[tuple[str, int], SessionRow]:
        """By person and session, what is used: one attempt at most."""
        return {(row.person, row.session): row for row in self.rows if row.used}

    @property
    def people(self) -> tuple[str, ...]:
        """Who has any attempt."""
        return tuple(sorted({row.person for row in self.rows}))


def gather(study: Path | str, use: Sequence[str], jobs: Jobs | None = None, *, also: Sequence[str] = ()) -> Gathered:
    """Index a study and measure every session that may be used.

    Parameters
    ----------
    use
        Statuses that the analysis uses.
    jobs
        Where recordings are read.
    also
        Outcomes that are computed though the protocol does not name them: the analysis does.

    Raises
    ------
    CohortError
        If there is no session in it, or sessions of people and of virtual subjects stand in one study.
    UserError
        If the study cannot be indexed.
    """
    study = Path(study)
    index = index_study(study, jobs)
    if not index.rows:
        raise CohortError(f"{study}: holds no session; a study folder has sub-X/ses-NN/att-N")
    simulated = _one_population(index)
    reasons = _reasons(index, use)
    read = [row for row in index.rows if not reasons[row.path]]
    wanted = sorted(also)
    items = [{"attempt": str((study / row.path).absolute()), "head": row.facts.head, "also": wanted} for row in read]
    results = (jobs or Jobs()).run("outcomes", session_values, items)
    measured = {row.path: result for row, result in zip(read, results, strict=True)}
    rows = tuple(_row(row, reasons[row.path], measured.get(row.path)) for row in index.rows)
    return Gathered(study, rows, simulated, index.problems)


def session_values(item: Mapping[str, Any]) -> dict[str, Any]:
    """Outcomes of one attempt, from what was kept if recording and code are the same; what is wrong is told."""
    attempt = Path(item["attempt"])
    key = hashlib.sha256(f"{_FORMAT} {item['head']} {item['also']} {code_sha256(CODE)}".encode()).hexdigest()
    kept = _kept_path(attempt)
    try:
        found = json.loads(kept.read_text("utf-8"))
        if found.get("key") == key:
            return dict(found["values"])
    except (OSError, ValueError, AttributeError, KeyError):
        pass
    values = _measure(attempt, item["also"])
    kept.parent.mkdir(parents=True, exist_ok=True)
    replace_file(kept, (json.dumps({"key": key, "values": values}, sort_keys=True) + "\n").encode())
    return values


def _measure(attempt: Path, also: Sequence[str]) -> dict[str, Any]:
    try:
        session = load(attempt)
        measured = measure(session)
    except RecordingError as error:
        return {"problem": " ".join(str(error).split())}
    if measured.protocol is None:
        return {"problem": measured.missing}
    view = View(session, measured.protocol)
    more = {name: COMPUTED[name](view) for name in also if name in COMPUTED and name not in measured.values}
    guesses = [
        each.values.get("guess")
        for each in session.events
        if each.kind == "form" and _is_guess(each.values.get("form"))
    ]
    return {
        "problem": "",
        "protocol_sha256": session.metadata.get("sha256.protocol.yaml", ""),
        "primary": measured.protocol.outcomes.primary.measure or "",
        "guess": str(guesses[-1]) if guesses else None,
        "outcomes": {
            name: [_finite(each.value), each.n, each.why] for name, each in {**measured.values, **more}.items()
        },
    }


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def _is_guess(form: object) -> bool:
    return str(form).partition(".")[0] == "blinding_guess"


def _one_population(index: Index) -> bool:
    """Whether all is simulated; people and virtual subjects together are refused."""
    counts = {kind: sum(row.facts.population == kind for row in index.rows) for kind in ("person", "simulated")}
    if all(counts.values()):
        raise CohortError(
            f"{index.study}: {counts['person']} sessions of people and {counts['simulated']} simulated ones; "
            "they are never analysed together"
        )
    return counts["simulated"] > 0


def _reasons(index: Index, use: Sequence[str]) -> dict[str, str]:
    """Why each attempt is not used; empty where it is."""
    found: dict[str, str] = {}
    last: dict[tuple[str, int], Row] = {}
    for row in index.rows:
        if row.facts.status == "refused":
            found[row.path] = f"refused: {row.facts.reason}"
        elif row.exclusions:
            found[row.path] = "; ".join(f"{each.code}: {each.reason}" for each in row.exclusions)
        elif row.facts.status not in use:
            told = f", {row.facts.reason}" if row.facts.reason else ""
            found[row.path] = f"{row.facts.status}{told}: the analysis uses {', '.join(use)}"
        elif row.facts.population not in ("person", "simulated"):
            found[row.path] = "nobody was stimulated, or it is not known whether it was simulated"
        else:
            found[row.path] = ""
            earlier = last.get((row.person, row.session))
            if earlier is not None:
                found[earlier.path] = f"attempt {row.attempt} at the same session is used"
            last[(row.person, row.session)] = row
    return found


def _row(row: Row, excluded: str, values: Mapping[str, Any] | None) -> SessionRow:
    values = values or {}
    if values.get("problem"):
        excluded, values = f"outcomes cannot be had: {values['problem']}", {}
    return SessionRow(
        person=row.person, session=row.session, attempt=row.attempt, path=row.path, status=row.facts.status,
        grade=row.grade, excluded=excluded, wall_start=row.facts.wall_start or "", duration_s=row.facts.duration_s,
        head=row.facts.head, protocol_sha256=str(values.get("protocol_sha256", "")),
        outcomes={name: Measurement(*each) for name, each in values.get("outcomes", {}).items()},
        primary=str(values.get("primary", "")), guess=values.get("guess"),
    )  # fmt: skip


def _kept_path(attempt: Path) -> Path:
    """Below a folder with the person's pseudonym, so that it goes when the person withdraws."""
    place = place_of(attempt)
    if place is None:
        raise CohortError(f"{attempt}: not an attempt's folder")
    return place.study / FOLDER / "kept" / f"sub-{place.subject}" / f"ses-{place.session:02d}_att-{place.attempt}.json"
