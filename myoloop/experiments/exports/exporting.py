"""One session, or all of a study, in one format: what the verb ``export`` calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myoloop.experiments.exports.about import About
from myoloop.experiments.exports.forms import FormRow, diary_forms, known_names, session_forms
from myoloop.experiments.exports.freetext import FreeText, Mode
from myoloop.experiments.exports.opened import Opened, open_session
from myoloop.experiments.exports.outfiles import check_folder
from myoloop.experiments.studies.allocation import arm_of
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import find_recording, place_of
from myoloop.platform.recording.layout import SESSION_FILE, RecordingError
from myoloop.platform.sealed import LIST_FILE, read_key

#: What may be asked for.
FORMATS = ("bids", "parquet", "csv", "edf", "bdf", "matlab", "fif")

Writer = Callable[[Opened, list[FormRow], FreeText, Path], list[Path]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """How to export.

    Attributes
    ----------
    to
        One of `FORMATS`.
    about
        Of a BIDS data set, what the lab says of it.
    key
        The study's key file: opens arms and what was really given, where sessions are blinded.
    names
        Names that must not leave, besides those that the study knows.
    text
        What becomes of dates and names in free text.
    also_excluded
        Of a study, export the sessions too that its index excludes.
    """

    to: str
    about: About = field(default_factory=About)
    key: Path | None = None
    names: tuple[str, ...] = ()
    text: Mode = "redact"
    also_excluded: bool = False


@dataclass(slots=True)
class Exported:
    """What came of it.

    Attributes
    ----------
    written
        Files, in order.
    left_out
        What was left out of free text, a line each.
    excluded
        By session, why the study's index excludes it, and it was not exported.
    problems
        By session, why it could not be.
    """

    written: list[Path] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    excluded: dict[str, str] = field(default_factory=dict)
    problems: dict[str, str] = field(default_factory=dict)

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "written": [str(path) for path in self.written],
            "left_out": self.left_out,
            "excluded": self.excluded,
            "problems": self.problems,
        }


def export(path: Path | str, out: Path, wanted: Wanted) -> Exported:
    """Export a session, or every session of a study that its index does not exclude; a bad one does not stop the rest.

    Parameters
    ----------
    path
        Session file, folder of an attempt, or any folder above attempts.
    out
        A folder; of one session in a format of single files, also the name of the first.

    Raises
    ------
    UserError
        If there is nothing to export, the one session that was named cannot be, something stands in the way, or no
        session of the study could be.
    """
    if wanted.to not in FORMATS:
        raise UserError(f"--to: found {wanted.to!r}, allowed are {', '.join(FORMATS)}")
    one, sessions = sessions_in(path)
    if not one or wanted.to in ("bids", "parquet", "csv"):
        check_folder(out)
    study = next((place.study for place in map(place_of, sessions) if place is not None), None)
    done = Exported()
    if study is not None and not one and not wanted.also_excluded:
        sessions = _usable(study, sessions, done)
    # Names told by the study's logs; those told by forms are added as each session is read.
    text = FreeText((*wanted.names, *known_names(study, ())), wanted.text, done.left_out)
    if wanted.to == "bids":
        _bids(study, sessions, out, wanted, text, done, one=one)
    else:
        write = _writer(wanted.to)
        for opened, forms in _each(sessions, wanted, text, done, one=one):
            try:
                done.written += write(opened, forms, text, out)
            except Exception as error:  # noqa: BLE001 # whatever is wrong with one session, the others are wanted
                _note(done, opened.session.path, error, one=one)
    if not done.written:
        why = [f"{name}: {each}" for name, each in {**done.excluded, **done.problems}.items()]
        raise RecordingError("\n".join([f"{path}: no session was exported", *why]))
    return done


def sessions_in(path: Path | str) -> tuple[bool, list[Path]]:
    """Find the session files: whether one was named, and all that are meant.

    Raises
    ------
    RecordingError
        If there is none.
    """
    path = Path(path)
    if path.is_dir() and not (path / SESSION_FILE).is_file():
        # What analyses and exports have made is no session of the study.
        found = [
            each for each in path.glob(f"**/att-*/{SESSION_FILE}") if "derivatives" not in each.relative_to(path).parts
        ]
        if found:
            return False, sorted(found, key=_in_order)
    return True, [find_recording(path)]


def _usable(study: Path, sessions: list[Path], done: Exported) -> list[Path]:
    """Sessions that the index lets analyses use; why it does not is told of the others."""
    from myoloop.experiments.index.study import index_study

    rows = {(study / row.path).resolve(): row for row in index_study(study).rows}
    usable = []
    for session in sessions:
        row = rows.get(session.parent.resolve())
        if row is None or row.usable:
            usable.append(session)
        else:
            told = done.problems if row.facts.status == "refused" else done.excluded
            told[_name_of(session)] = "; ".join(
                [f"{each.what}: {each.code}: {each.reason}" for each in row.exclusions] or row.reasons
            )
    return usable


def _name_of(session: Path) -> str:
    place = place_of(session)
    return f"sub-{place.subject}/ses-{place.session:02d}/att-{place.attempt}" if place else str(session)


def _in_order(path: Path) -> tuple[Any, ...]:
    place = place_of(path)
    return ("", 0, 0, str(path)) if place is None else (place.subject, place.session, place.attempt, str(path))


def _each(
    sessions: Iterable[Path], wanted: Wanted, text: FreeText, done: Exported, *, one: bool
) -> Iterable[tuple[Opened, list[FormRow]]]:
    for path in sessions:
        try:
            opened = open_session(path, wanted.key)
            text.add_names(known_names(None, (opened.session,)))
            forms = session_forms(opened.session, opened.place, text)
        except Exception as error:  # noqa: BLE001 # whatever is wrong with one session, the others are wanted
            _note(done, path, error, one=one)
            continue
        yield opened, forms


def _note(done: Exported, path: Path, error: Exception, *, one: bool) -> None:
    """Note why a session could not be exported; of the only one that was named, raise it."""
    if one:
        raise error
    said = " ".join(str(error).split())
    done.problems[_name_of(path)] = str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {said}"


def _bids(
    study: Path | None, sessions: list[Path], out: Path, wanted: Wanted, text: FreeText, done: Exported, *, one: bool
) -> None:
    from myoloop.experiments.exports.bids import BidsDataset

    dataset = BidsDataset(out, wanted.about, study.name if study is not None else out.name)
    people = sorted({place.subject for place in map(place_of, sessions) if place is not None})
    # What cannot be read is found before anything is written.
    diaries = _diaries(study, people, text, done, one=one)
    arms = _arms(study, people, wanted.key)
    exported = set()
    for opened, forms in _each(sessions, wanted, text, done, one=one):
        try:
            done.written += dataset.add(opened, forms)
        except Exception as error:  # noqa: BLE001 # whatever is wrong with one session, the others are wanted
            _note(done, opened.session.path, _told(out, error), one=one)
            continue
        exported.add(opened.place.subject if opened.place is not None else "")
    if not done.written:
        return
    not_there = {**done.excluded, **done.problems}
    notes = [*done.left_out, *(f"{name}: not exported: {why}" for name, why in not_there.items())]
    done.written += dataset.finish(arms, [row for row in diaries if row.person in exported], notes)


def _diaries(study: Path | None, people: Iterable[str], text: FreeText, done: Exported, *, one: bool) -> list[FormRow]:
    rows: list[FormRow] = []
    if study is None:
        return rows
    for person in people:
        try:
            rows += diary_forms(study, person, text)
        except UserError as error:
            if one:
                raise
            done.problems[f"sub-{person}/record/diary.jsonl"] = str(error)
    return rows


def _arms(study: Path | None, people: Iterable[str], key: Path | None) -> Mapping[str, str] | None:
    if study is None or key is None or not (study / LIST_FILE).exists():
        return None
    opened = read_key(key)
    return {person: arm_of(study, person, opened) for person in people}


def _told(out: Path, error: Exception) -> Exception:
    if not isinstance(error, OSError):
        return error
    return RecordingError(f"{out}: cannot be written: {error.strerror or error}")


def _writer(to: str) -> Writer:
    if to == "fif":
        from myoloop.experiments.exports.fif import write_fif

        return lambda opened, forms, text, out: write_fif(opened, out)
    if to in ("bdf", "edf"):
        from myoloop.experiments.exports.bdf import write_edf

        return lambda opened, forms, text, out: write_edf(opened, out, to)
    if to == "matlab":
        from myoloop.experiments.exports.matlab import write_matlab

        return write_matlab
    if to == "csv":
        from myoloop.experiments.exports.csvfiles import write_csv

        return write_csv
    from myoloop.experiments.exports.parquet import write_parquet

    return write_parquet
