"""The index of a study: every attempt with what it is worth; a bad one is a row like any other, and stops nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from myoloop.experiments.index import cache
from myoloop.experiments.index.facts import Exclusion, SessionFacts, refused
from myoloop.experiments.index.grade import RULE, Grade, grade
from myoloop.experiments.index.reading import read_facts
from myoloop.experiments.index.together import Together
from myoloop.experiments.training.jobs import Jobs
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import AttemptPlace, place_of
from myoloop.platform.recording.layout import RecordingError


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One attempt in the index.

    Attributes
    ----------
    path
        Of the attempt, in the study.
    person, session, attempt
        Whose folder it stands in, and its numbers.
    facts
        What its content says.
    exclusions
        Those of its content, and those that the study adds.
    grade, reasons
        How good it is, and what kept it from a better grade.
    checked
        How the facts are known: ``read`` now, ``hashed`` now and found as it was read before, or ``unchanged`` by size,
        inode and times since it was hashed.
    """

    path: str
    person: str
    session: int
    attempt: int
    facts: SessionFacts
    exclusions: tuple[Exclusion, ...]
    grade: Grade
    reasons: tuple[str, ...]
    checked: str

    @property
    def usable(self) -> bool:
        """Whether analyses over the study may use it."""
        return self.grade != "X"

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        told: dict[str, Any] = msgspec.to_builtins(self.facts)
        told |= {
            "path": self.path,
            "person": self.person,
            "session_number": self.session,
            "attempt": self.attempt,
            "grade": self.grade,
            "reasons": list(self.reasons),
            "usable": self.usable,
            "checked": self.checked,
        }
        return {**told, "exclusions": [msgspec.to_builtins(each) for each in self.exclusions]}


@dataclass(frozen=True, slots=True)
class Index:
    """All attempts of a study, in order of person, session and attempt.

    Attributes
    ----------
    problems
        What is wrong with the study as a whole, one line each.
    """

    study: Path
    rows: tuple[Row, ...]
    problems: tuple[str, ...] = field(default=())

    def usable(self) -> tuple[Row, ...]:
        """Those that analyses over the study may use."""
        return tuple(row for row in self.rows if row.usable)

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "study": str(self.study),
            "sessions": [row.as_data() for row in self.rows],
            "counts": dict(Counter(row.facts.status for row in self.rows)),
            "grades": dict(Counter(row.grade for row in self.rows)),
            "checked": dict(Counter(row.checked for row in self.rows)),
            "grade_rule": RULE,
            "problems": list(self.problems),
        }


def index_study(
    study: Path | str, jobs: Jobs | None = None, *, rehash: bool = False, settled_ns: int = cache.SETTLED_NS
) -> Index:
    """Index a study; what was read before and has not changed is not read again.

    Parameters
    ----------
    study
        Its folder.
    jobs
        Where recordings are read; a cluster must see the study under the same path.
    rehash
        Hash every file again, whatever its size and times say.
    settled_ns
        See :mod:`.cache`.

    Raises
    ------
    UserError
        If there is no such folder, or the cluster fails.
    """
    study = Path(study)
    if not study.is_dir():
        raise UserError(f"{study}: no such folder; a study folder is needed")
    places = attempt_places(study)
    known: dict[AttemptPlace, tuple[SessionFacts, str]] = {}
    if not rehash:
        for place in places:
            facts = _unchanged(place, settled_ns)
            if facts is not None:
                known[place] = facts, "unchanged"
    left = [place for place in places if place not in known]
    items = [{"attempt": str(attempt_folder(place).absolute())} for place in left]
    for place, result in zip(left, (jobs or Jobs()).run("sessions", examine, items), strict=True):
        known[place] = msgspec.convert(result["facts"], SessionFacts), result["checked"]
    together = Together(study, {place: facts for place, (facts, _) in known.items()})
    rows = tuple(_row(place, *known[place], together.exclusions(place)) for place in places)
    return Index(study, rows, tuple(together.problems))


def known_rows(study: Path | str, *, settled_ns: int = cache.SETTLED_NS) -> tuple[tuple[Row, ...], list[AttemptPlace]]:
    """What an index knows without reading any recording: its rows, and the attempts that would have to be read.

    What the study adds to the exclusions is said of the known ones alone.
    """
    study = Path(study)
    places = attempt_places(study)
    known = {place: facts for place in places if (facts := _unchanged(place, settled_ns)) is not None}
    together = Together(study, known)
    rows = tuple(_row(place, facts, "unchanged", together.exclusions(place)) for place, facts in known.items())
    return rows, [place for place in places if place not in known]


def attempt_places(study: Path) -> list[AttemptPlace]:
    """All attempts of a study, with or without a recording, in order of person, session and attempt."""
    found = [place_of(path) for path in study.glob("sub-*/ses-*/att-*") if path.is_dir()]
    return sorted(
        (place for place in found if place is not None), key=lambda each: (each.subject, each.session, each.attempt)
    )


def attempt_folder(place: AttemptPlace) -> Path:
    """The folder of an attempt."""
    return place.study / f"sub-{place.subject}" / f"ses-{place.session:02d}" / f"att-{place.attempt}"


def examine(item: Mapping[str, Any]) -> dict[str, Any]:
    """Facts of one attempt, from what was kept if its content is the same; nothing that is wrong with it raises."""
    attempt = Path(item["attempt"])
    facts, checked = _examine(attempt)
    return {"facts": msgspec.to_builtins(facts), "checked": checked}


def _examine(attempt: Path) -> tuple[SessionFacts, str]:
    place = place_of(attempt)
    if place is None:
        raise ValueError(f"{attempt}: not an attempt's folder")
    path = cache.kept_path(place)
    try:
        hashed_ns, looks = time.time_ns(), cache.look_at(attempt)
        content_sha256 = cache.hash_content(attempt)
        kept = cache.read_kept(path)
        same = kept is not None and kept.content_sha256 == content_sha256
        facts = kept.facts if kept is not None and same else _read(attempt)
        if cache.look_at(attempt) == looks:
            # A study that may only be read is indexed all the same, from the start each time.
            _keep(path, facts, content_sha256, looks, hashed_ns)
        return facts, "hashed" if same else "read"
    except Exception as error:  # noqa: BLE001
        # Whatever is wrong with one session, the others are listed; what only this run could not do is not kept.
        return refused(_one_line(error, attempt)), "read"


def _read(attempt: Path) -> SessionFacts:
    try:
        return read_facts(attempt)
    except RecordingError as error:
        return refused(_one_line(error, attempt))


def _keep(path: Path, facts: SessionFacts, content_sha256: str, looks: tuple[cache.Look, ...], hashed_ns: int) -> None:
    try:
        cache.write_kept(path, facts, content_sha256, looks, hashed_ns)
    except OSError:
        return


def _unchanged(place: AttemptPlace, settled_ns: int) -> SessionFacts | None:
    kept = cache.read_kept(cache.kept_path(place))
    if kept is None:
        return None
    try:
        looks = cache.look_at(attempt_folder(place))
    except OSError:
        return None
    return kept.facts if cache.unchanged(kept, looks, settled_ns=settled_ns) else None


def _row(place: AttemptPlace, facts: SessionFacts, checked: str, added: tuple[Exclusion, ...]) -> Row:
    exclusions = (*facts.exclusions, *added)
    letter, reasons = grade(facts, exclusions)
    return Row(
        path=attempt_folder(place).relative_to(place.study).as_posix(),
        person=place.subject,
        session=place.session,
        attempt=place.attempt,
        facts=facts,
        exclusions=exclusions,
        grade=letter,
        reasons=reasons,
        checked=checked,
    )


def _one_line(error: Exception, attempt: Path) -> str:
    """What went wrong, without where the study stands on this machine."""
    said = " ".join(str(error).split()) or type(error).__name__
    if not isinstance(error, UserError | OSError):
        said = f"{type(error).__name__}: {said}"
    if isinstance(error, OSError) and error.strerror:
        said = f"{Path(str(error.filename)).name}: {error.strerror}" if error.filename else error.strerror
    return said.replace(f"{attempt}/", "").replace(str(attempt), attempt.name)
