"""A study's cohort from its folder: gathered, analysed, and written down as tables."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import myoloop
from myoloop.experiments.analysis.study_tables import code_sha256
from myoloop.experiments.cohorts.analysis import Line, Other, Result, analyse, exploratory_plan
from myoloop.experiments.cohorts.flow import flow, harms
from myoloop.experiments.cohorts.gathering import FOLDER, Choice, Gathered, gather
from myoloop.experiments.cohorts.people import People, read_people
from myoloop.experiments.cohorts.registered import Registered, load_registered
from myoloop.experiments.studies.secret_files import refuse_inside
from myoloop.experiments.training.jobs import Jobs
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file
from myoloop.platform.sealed import StudyKey

SIMULATED = "SIMULATED: effects planted in virtual people, none of a treatment"


@dataclass(frozen=True, slots=True)
class Cohort:
    """Everything that a report tells of a study.

    Attributes
    ----------
    code_sha256
        Of the package: every number depends on it.
    input_sha256
        Of all recordings that are used, with their diaries and reviews, and all doses.
    """

    gathered: Gathered
    people: People
    result: Result
    code_sha256: str
    input_sha256: str

    @property
    def stamp(self) -> str:
        """What must stand on every page and figure; empty of people's data."""
        return SIMULATED if self.gathered.simulated else ""

    @property
    def sessions(self) -> int:
        """Numbers of sessions from the first to this one are shown."""
        return self.result.registered.sessions


def make_cohort(
    study: Path | str,
    analysis: Path | None = None,
    key: StudyKey | None = None,
    *,
    coded: bool = False,
    jobs: Jobs | None = None,
    use: tuple[str, ...] = (),
) -> Cohort:
    """Gather and analyse a study.

    Parameters
    ----------
    analysis
        The analysis file; without one everything is exploratory.
    key
        The study's; without it arms stay closed.
    coded
        Show arms as A and B though the key is there.
    use
        Statuses of recordings: the primary estimate of these stands beside the registered one. Without an analysis
        file, what is used.

    Raises
    ------
    UserError
        If the study, the file or the key cannot be used; one line.
    """
    registered, sha256 = load_registered(analysis) if analysis is not None else (None, "")
    people = read_people(study, key, coded=coded)
    if registered is None:
        gathered = gather(study, Choice(use=use) if use else Choice(), jobs)
        plan = exploratory_plan(gathered, people)
        plan = plan.model_copy(update={"use": use}) if use else plan
        result = analyse(gathered, people, plan, "")
    else:
        choice = choice_of(registered)
        gathered = gather(study, choice, jobs)
        other = None
        if use and set(use) != set(registered.use):
            other = Other(gather(study, replace(choice, use=use), jobs), use)
        result = analyse(gathered, people, registered, sha256, other=other)
    return Cohort(gathered, people, result, code_sha256(), _input(gathered, people))


def choice_of(registered: Registered) -> Choice:
    """What a registered analysis looks at."""
    return Choice(
        use=registered.use, also=registered.outcomes(), first=registered.baseline, last=registered.sessions,
        protocol=registered.protocol, doubtful=registered.doubtful == "use",
        corrected=registered.labels == "corrected",
    )  # fmt: skip


def output_folder(study: Path, out: Path | None, people: People) -> Path:
    """Where tables and report go: in the study, unless they tell arms or who shares one: nothing there may.

    Raises
    ------
    UserError
        If arms are told and no folder outside of the study is named.
    """
    if people.view != "pooled" and people.allocated:
        if out is None:
            raise UserError("--out: missing; a report that tells arms stands outside of the study's folder")
        refuse_inside(out, study, "a report that tells arms")
        return out
    return out if out is not None else study / FOLDER


def tables(cohort: Cohort) -> dict[str, str]:
    """Every table as CSV, by file name; the same study, the same bytes."""
    people, result = cohort.people, cohort.result
    found = {
        "sessions.csv": _sessions(cohort),
        "exclusions.csv": _csv(
            ("person", "session", "attempt", "status", "reason"),
            ((r.person, r.session, r.attempt, r.status, r.excluded) for r in cohort.gathered.rows if not r.used),
        ),
        "people.csv": _csv(
            ("person", "status", "arm", "stratum", "station", "sessions planned", "begun", "complete",
             f"dose (mC, {people.dose_is})", "adverse events", "not in comparisons of arms"),
            ((p.name, p.status, p.arm, p.stratum, p.station, p.planned, p.begun, p.complete,
              _number(sum(p.dose_mc.values())), len(p.events), dict(result.not_compared).get(p.name, ""))
             for p in people.people),
        ),
        "estimates.csv": _estimates(cohort),
        "dose_response.csv": _csv(
            ("person", "arm", "dose before (mC)", "change", "last session"),
            ((p.person, p.arm, _number(p.dose_mc), _number(p.change), p.last_session) for p in result.dose)
            if people.view == "open" or not people.allocated else (),
        ),
        "responses.csv": _csv(
            ("person", "arm", "baseline", "last", "last session", "change (%)", "responder"),
            ((r.person, r.arm, _number(r.baseline), _number(r.last), r.last_session, _number(r.change_pct),
              "yes" if r.responder else "no") for r in result.responses),
        ),
        "flow.csv": _csv(
            ("step", "people", *people.arms, "sessions", "lost"),
            ((s.what, s.people, *(s.by_arm[arm] for arm in people.arms), s.sessions, "; ".join(s.lost))
             for s in flow(cohort.gathered, people, result)),
        ),
        "adverse_events.csv": _csv(
            ("arm", "kind", "grade", "related", "events", "people", "serious", "open", "sessions", "per 100 sessions"),
            ((h.arm, h.kind, h.grade, h.related, h.events, h.people, h.serious, h.open, h.sessions,
              _number(h.per_100_sessions)) for h in harms(people)),
        ),
    }  # fmt: skip
    return found


def write_tables(cohort: Cohort, folder: Path) -> list[Path]:
    """Write the tables, and beside them which code made them from what."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in tables(cohort).items():
        replace_file(folder / name, content.encode())
        written.append(folder / name)
    replace_file(folder / "provenance.json", (json.dumps(provenance(cohort), indent=1) + "\n").encode())
    return written


def provenance(cohort: Cohort) -> dict[str, Any]:
    """Code version, parameters and input hash of every number."""
    return {
        "simulated": cohort.gathered.simulated,
        "what": cohort.stamp or "people",
        "arms": cohort.people.view if cohort.people.allocated else "none",
        "myoloop": myoloop.__version__,
        "code_sha256": cohort.code_sha256,
        "input_sha256": cohort.input_sha256,
        "analysis_sha256": cohort.result.analysis_sha256,
        "analysis": cohort.result.registered.model_dump(mode="json") if cohort.result.is_registered else None,
        "list_sha256": cohort.people.list_sha256,
    }


def _sessions(cohort: Cohort) -> str:
    names = sorted({name for row in cohort.gathered.rows for name in row.outcomes})
    rows = []
    for row in cohort.gathered.rows:
        person = cohort.people.of(row.person)
        values = [_number(found.value) if (found := row.outcomes.get(name)) is not None else "" for name in names]
        rows.append(
            (row.person, person.arm if person is not None else "", row.session, row.attempt, row.status, row.grade,
             "yes" if row.used else "no", row.excluded, row.protocol, row.protocol_sha256, *values,
             "; ".join(f"{name}: {each.doubt}" for name, each in row.outcomes.items() if each.doubt), row.head)
        )  # fmt: skip
    columns = (
        "person", "arm", "session", "attempt", "status", "grade", "used", "excluded", "protocol", "protocol_sha256",
        *names, "doubtful", "chain_head",
    )  # fmt: skip
    return _csv(columns, rows)


def _estimates(cohort: Cohort) -> str:
    columns = (
        "part", "what", "outcome", "contrast", "scale", "shown", "low", "high", "shown unit", "estimate", "error", "p",
        "people", "sessions", "filled in", "method", "note", "not estimated", "confidence", "simulated", "myoloop",
        "code_sha256", "analysis_sha256", "input_sha256",
    )  # fmt: skip
    return _csv(columns, (_estimate(cohort, line) for line in cohort.result.lines))


def _estimate(cohort: Cohort, line: Line) -> tuple[Any, ...]:
    shown, e = line.shown() or (None, None, None), line.estimate
    return (
        line.part, line.what, line.outcome, line.contrast, line.scale, *map(_number, shown), line.shown_unit,
        _number(e.value), _number(e.error), _number(e.p), e.people, e.sessions, e.filled, e.method, e.note, e.why,
        cohort.result.registered.confidence, "yes" if cohort.gathered.simulated else "no", myoloop.__version__,
        cohort.code_sha256, cohort.result.analysis_sha256, line.input_sha256,
    )  # fmt: skip


def _input(gathered: Gathered, people: People) -> str:
    told = [f"{row.path}\t{row.head}\t{row.made_from}" for row in gathered.rows if row.used]
    told += [f"{each.name}\t{sorted(each.dose_mc.items())!r}" for each in people.people]
    return hashlib.sha256("\n".join(told).encode()).hexdigest()


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.9g}"


def _csv(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return file.getvalue()
