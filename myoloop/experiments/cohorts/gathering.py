"""What an analysis over a study may look at: its sessions by the index, their outcomes, and the study's own records.

What a planted study's truth file holds, or a virtual subject told of itself, is nothing of it.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.analysis.study_tables import code_sha256, made_from
from myoloop.experiments.index.study import Index, Row, index_study
from myoloop.experiments.outcomes.attempt import OF_LABELS, Measured, measure
from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.outcomes.view import Value
from myoloop.experiments.training.jobs import Jobs
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of, replace_file
from myoloop.platform.recording.layout import RecordingError

FOLDER = "derivatives/cohort"
#: Statuses that are used where nothing else is asked for.
COMPLETE = ("complete",)
_FORMAT = "myoloop-cohort-session-3"


class CohortError(UserError):
    """A study of which no cohort can be made; one clear line."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """One outcome of one session.

    Attributes
    ----------
    value
        That may be used; None where there is none, or where it is left out because it is doubtful.
    why
        Why there is none, or what a reader must know.
    doubt
        Why its outcome does not believe it, whether or not it is used; empty where it does.
    told_min
        Of a rate: the minutes, all muscles together, in which it could be told; None where they are not known.
    unit
        Of this value, where what was recorded decides it; empty where it is the outcome's.
    """

    value: float | None
    n: int
    why: str = ""
    doubt: str = ""
    told_min: float | None = None
    unit: str = ""


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
        Of the recording's chain.
    made_from
        Hash of the recording, the diary and the review that the numbers were made from.
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
    made_from: str = ""
    protocol: str = ""
    protocol_version: str = ""
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

    def unit(self, outcome: str) -> str:
        """In which unit an outcome was measured; all sessions have the same."""
        return next(iter(_units(self.rows, outcome)), OUTCOMES[outcome].unit)

    @property
    def protocols(self) -> tuple[str, ...]:
        """Each protocol that was played in a session that is used, by its version and hash, with how many."""
        played = Counter((r.protocol, r.protocol_version, r.protocol_sha256[:12]) for r in self.rows if r.used)
        return tuple(
            f"{name} {version} ({sha256 or 'hash not known'}), {n} sessions"
            for (name, version, sha256), n in sorted(played.items())
        )

    @property
    def doubts(self) -> tuple[str, ...]:
        """Every value of a session that is used which its outcome does not believe, and what became of it."""
        return tuple(
            f"{row.path}: {name}: {each.doubt}; {'left out' if each.value is None else 'used'}"
            for row in self.rows if row.used
            for name, each in row.outcomes.items() if each.doubt
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What of a study an analysis looks at.

    Attributes
    ----------
    use
        Statuses of recordings.
    also
        Outcomes that are computed though the protocol does not name them: the analysis does.
    first, last
        Sessions by number; None: every one.
    protocol
        Its id; None: whatever was played, as long as it is one.
    doubtful
        Whether values that their outcome does not believe are used.
    corrected
        Whether outcomes of spasms are of labels that a person corrected.
    """

    use: tuple[str, ...] = COMPLETE
    also: tuple[str, ...] = ()
    first: int | None = None
    last: int | None = None
    protocol: str | None = None
    doubtful: bool = False
    corrected: bool = False


def gather(study: Path | str, choice: Choice, jobs: Jobs | None = None) -> Gathered:
    """Index a study and measure every session that may be used.

    Parameters
    ----------
    jobs
        Where recordings are read.

    Raises
    ------
    CohortError
        If there is no session in it, or sessions of people and of virtual subjects stand in one study, or those of
        several protocols.
    UserError
        If the study cannot be indexed.
    """
    study = Path(study)
    index = index_study(study, jobs)
    if not index.rows:
        raise CohortError(f"{study}: holds no session; a study folder has sub-X/ses-NN/att-N")
    simulated = _one_population(index)
    reasons = _reasons(index, choice)
    read = [row for row in index.rows if not reasons[row.path]]
    _one_protocol(study, read)
    items = [session_item(study, row, choice) for row in read]
    results = (jobs or Jobs()).run("outcomes", session_values, items)
    measured = {row.path: result for row, result in zip(read, results, strict=True)}
    origins = {row.path: _hash_of(item) for row, item in zip(read, items, strict=True)}
    rows = tuple(
        replace(_row(row, reasons[row.path], measured.get(row.path), choice), made_from=origins.get(row.path, ""))
        for row in index.rows
    )
    told = [f"{path}: {each['note']}" for path, each in sorted(measured.items()) if each.get("note")]
    rows, mixed = one_unit(rows)
    found = Gathered(study, rows, simulated, (*index.problems, *told, *mixed))
    if len(found.protocols) > 1:
        versions = f"one protocol in several versions: {'; '.join(found.protocols)}"
        found = Gathered(study, rows, simulated, (*found.problems, versions))
    return found


def one_unit(rows: Sequence[SessionRow]) -> tuple[tuple[SessionRow, ...], tuple[str, ...]]:
    """Leave out what sessions measured in several units, such as force in N and in Nm: it cannot be put together."""
    problems = []
    for outcome in sorted({name for row in rows for name in row.outcomes}):
        units = _units(rows, outcome)
        if len(units) > 1:
            why = f"{outcome} was measured in {' and '.join(units)}, which cannot be put together"
            problems.append(why)
            rows = [_without(row, outcome, why) for row in rows]
    return tuple(rows), tuple(problems)


def _units(rows: Sequence[SessionRow], outcome: str) -> list[str]:
    found = (row.outcomes[outcome] for row in rows if row.used and outcome in row.outcomes)
    return sorted({each.unit or OUTCOMES[outcome].unit for each in found if each.value is not None})


def _without(row: SessionRow, outcome: str, why: str) -> SessionRow:
    if outcome not in row.outcomes:
        return row
    return replace(row, outcomes={**row.outcomes, outcome: replace(row.outcomes[outcome], value=None, why=why)})


def session_item(study: Path, row: Row, choice: Choice) -> dict[str, Any]:
    """What the outcomes of one attempt depend on besides the code."""
    return {
        "attempt": str((study / row.path).absolute()),
        "also": sorted(choice.also),
        "corrected": choice.corrected,
        **made_from(study, row),
    }


def session_values(item: Mapping[str, Any]) -> dict[str, Any]:
    """Outcomes of one attempt, from what was kept if all that they hang on is the same; what is wrong is told."""
    attempt = Path(item["attempt"])
    key = hashlib.sha256(f"{_FORMAT} {_hash_of(item)} {code_sha256()}".encode()).hexdigest()
    kept = _kept_path(attempt)
    try:
        found = json.loads(kept.read_text("utf-8"))
        if found.get("key") == key:
            return dict(found["values"])
    except (OSError, ValueError, AttributeError, KeyError):
        pass
    values = _measure(attempt, item["also"], corrected=item["corrected"])
    kept.parent.mkdir(parents=True, exist_ok=True)
    replace_file(kept, (json.dumps({"key": key, "values": values}, sort_keys=True) + "\n").encode())
    return values


def _hash_of(item: Mapping[str, Any]) -> str:
    """Of all that the outcomes of an attempt hang on but where it stands and the code."""
    told = {name: value for name, value in item.items() if name != "attempt"}
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def _measure(attempt: Path, also: Sequence[str], *, corrected: bool) -> dict[str, Any]:
    try:
        session = load(attempt)
    except RecordingError as error:
        return {"problem": _one_line(error)}
    try:
        measured, values, note = measured_of(session, also, corrected=corrected)
    except RecordingError as error:
        return {"problem": _one_line(error)}
    if measured.protocol is None:
        return {"problem": measured.missing}
    guesses = [
        each.values.get("guess")
        for each in session.events
        if each.kind == "form" and _is_guess(each.values.get("form"))
    ]
    return {
        "problem": "",
        "note": note,
        "protocol_version": session.metadata.get("protocol_version", ""),
        "protocol_sha256": session.metadata.get("sha256.protocol.yaml", ""),
        "primary": measured.protocol.outcomes.primary.measure or "",
        "guess": str(guesses[-1]) if guesses else None,
        "outcomes": {name: _told(each) for name, each in values.items()},
    }


def measured_of(session: Session, also: Sequence[str], *, corrected: bool) -> tuple[Measured, Mapping[str, Value], str]:
    """A session's outcomes with its diary and review, and what of these cannot be believed."""
    try:
        measured = measure(session, corrected=corrected, also=also)
    except RecordingError:
        raise
    except UserError as error:
        problem = f"the review cannot be believed: {_one_line(error)}"
        measured = measure(session, also=also)
        values = {
            name: Value(None, why=problem) if name in OF_LABELS else each for name, each in measured.values.items()
        }
        return measured, values, problem
    return measured, measured.values, measured.diary_problem


def _told(value: Value) -> dict[str, Any]:
    """As it is kept: with its doubt, whatever an analysis makes of that."""
    number = value.value if value.value is not None and math.isfinite(value.value) else None
    doubt = (value.doubt or value.why or "not valid") if number is not None and not value.valid else ""
    told = value.parameters.get("told_min")
    minutes = math.fsum(told.values()) if isinstance(told, Mapping) else told
    known = isinstance(minutes, int | float) and math.isfinite(minutes) and minutes > 0
    told_min = float(minutes) if known and minutes is not None else None
    return asdict(Measurement(number, value.n, value.why, doubt, told_min, value.unit))


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


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


def _one_protocol(study: Path, rows: Sequence[Row]) -> None:
    """Refuse sessions of several protocols: one mean over them is of nothing."""
    # Of a recording that tells of none, no outcome can be had: it is left out with that reason.
    played = Counter(row.facts.protocol for row in rows if row.facts.protocol)
    if len(played) > 1:
        told = ", ".join(f"{name} ({n})" for name, n in sorted(played.items()))
        raise CohortError(
            f"{study}: sessions of {len(played)} protocols: {told}; name the one to analyse in the analysis file, as "
            f"protocol: {played.most_common(1)[0][0]}"
        )


def _reasons(index: Index, choice: Choice) -> dict[str, str]:
    """Why each attempt is not used; empty where it is."""
    found: dict[str, str] = {}
    last: dict[tuple[str, int], Row] = {}
    for row in index.rows:
        if row.facts.status == "refused":
            found[row.path] = f"refused: {row.facts.reason}"
        elif row.exclusions:
            found[row.path] = "; ".join(f"{each.code}: {each.reason}" for each in row.exclusions)
        elif row.facts.status not in choice.use:
            told = f", {row.facts.reason}" if row.facts.reason else ""
            found[row.path] = f"{row.facts.status}{told}: the analysis uses {', '.join(choice.use)}"
        elif choice.protocol is not None and row.facts.protocol != choice.protocol:
            found[row.path] = (
                f"another protocol, {row.facts.protocol or 'not told'}: the analysis is of {choice.protocol}"
            )
        elif not (choice.first or row.session) <= row.session <= (choice.last or row.session):
            found[row.path] = (
                f"outside of the analysis, session {row.session}: it has {choice.first or 1} to "
                f"{choice.last or 'the last'}"
            )
        elif row.facts.population not in ("person", "simulated"):
            found[row.path] = "nobody was stimulated, or it is not known whether it was simulated"
        else:
            found[row.path] = ""
            earlier = last.get((row.person, row.session))
            if earlier is not None:
                found[earlier.path] = f"attempt {row.attempt} at the same session is used"
            last[(row.person, row.session)] = row
    return found


def _row(row: Row, excluded: str, values: Mapping[str, Any] | None, choice: Choice) -> SessionRow:
    values = values or {}
    if values.get("problem"):
        excluded, values = f"outcomes cannot be had: {values['problem']}", {}
    return SessionRow(
        person=row.person, session=row.session, attempt=row.attempt, path=row.path, status=row.facts.status,
        grade=row.grade, excluded=excluded, wall_start=row.facts.wall_start or "", duration_s=row.facts.duration_s,
        head=row.facts.head, protocol=row.facts.protocol, protocol_version=str(values.get("protocol_version", "")),
        protocol_sha256=str(values.get("protocol_sha256", "")),
        outcomes={
            name: believed(Measurement(**each), doubtful=choice.doubtful)
            for name, each in values.get("outcomes", {}).items()
        },
        primary=str(values.get("primary", "")), guess=values.get("guess"),
    )  # fmt: skip


def believed(found: Measurement, *, doubtful: bool) -> Measurement:
    """A value as an analysis takes it: without a number where it is doubtful and those are left out."""
    if not found.doubt or doubtful:
        return found
    return replace(found, value=None, why=f"left out as doubtful: {found.doubt}")


def _kept_path(attempt: Path) -> Path:
    """Below a folder with the person's pseudonym, so that it goes when the person withdraws."""
    place = place_of(attempt)
    if place is None:
        raise CohortError(f"{attempt}: not an attempt's folder")
    return place.study / FOLDER / "kept" / f"sub-{place.subject}" / f"ses-{place.session:02d}_att-{place.attempt}.json"
