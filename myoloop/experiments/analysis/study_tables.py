"""The tidy tables of a study: ``derivatives/tables/<table>.parquet``, and ``tables.json``, which says what is in them.

The index of the study decides which sessions are used. One session that cannot be read never stops the others: it is
left out, and listed with the reason. The tables of each session are kept beside (``by_session``), under the head of its
recording's chain and the code that made them; what has not changed is not made again. The same study, the same code:
the same bytes.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

import myoloop
from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.tables import SCHEMAS, TABLES, SessionKey, session_tables
from myoloop.experiments.analysis.tracks import TRAIN_PAUSE_INTERVALS, TRAIN_PAUSE_MIN_S
from myoloop.experiments.index.study import Row, attempt_folder, index_study
from myoloop.experiments.outcomes.attempt import Diary, diary_of
from myoloop.experiments.studies.audit import REVIEW_FILE
from myoloop.experiments.studies.personrecord import record_path
from myoloop.experiments.training.jobs import Item, Jobs, Result
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of, replace_file
from myoloop.platform.recording.layout import SESSION_FILE

#: Where they stand in a study, unless told.
FOLDER = "derivatives/tables"
SUMMARY = "tables.json"
_KEPT, _MADE = "by_session", "made.json"
#: What the tables are made with, beside what each outcome says of itself.
PARAMETERS: dict[str, Any] = {
    "train_pause_intervals": TRAIN_PAUSE_INTERVALS,
    "train_pause_min_s": TRAIN_PAUSE_MIN_S,
    "delivered_pulses": "of the best account: ledger, acknowledged, predicted, sent; nominal of a blinded session",
    "fatigue": "newest valid estimate of the stimulated muscle while the session ran",
    "spasm_labels": "detected",
    "use": "every status that the index does not exclude",
    "last_attempt": "the newest attempt at its session among those that are in the tables",
}
CORRECTED = "corrected"
#: Rows that are written at once: few enough for the memory, enough for the file.
_ROWS = 250_000


@dataclass(frozen=True, slots=True)
class StudyTables:
    """What was made.

    Attributes
    ----------
    folder
        Where the tables stand.
    rows, sha256
        By table: how many rows, and the hash of its file.
    used
        Sessions that are in them.
    left_out
        (session, reason) of the others.
    notes
        What a reader must know of sessions that are in them.
    input_sha256
        Over the recordings, diaries, reviews, code and parameters that they were made of.
    parameters
        What they were made with, beside what each outcome says of itself.
    """

    folder: Path
    rows: Mapping[str, int]
    sha256: Mapping[str, str]
    used: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    notes: tuple[tuple[str, str], ...]
    input_sha256: str
    parameters: Mapping[str, Any]

    def as_data(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "code_version": myoloop.__version__,
            "code_sha256": code_sha256(),
            "parameters": dict(self.parameters),
            "input_sha256": self.input_sha256,
            "tables": {
                name: {"rows": self.rows[name], "sha256": self.sha256[name], "columns": SCHEMAS[name].names}
                for name in TABLES
            },
            "sessions": list(self.used),
            "left_out": [{"session": session, "reason": reason} for session, reason in self.left_out],
            "notes": [{"session": session, "note": note} for session, note in self.notes],
        }

    def words(self) -> str:
        """What was made, for people."""
        lines = [f"{self.folder}: {len(self.used)} sessions, {len(self.left_out)} left out"]
        lines += [f"  {name}: {self.rows[name]} rows" for name in TABLES]
        lines += [f"left out: {session}: {reason}" for session, reason in self.left_out]
        lines += [f"note: {session}: {note}" for session, note in self.notes]
        return "\n".join(lines)


def analyse(
    study: Path | str,
    out: Path | None = None,
    jobs: Jobs | None = None,
    *,
    use: Sequence[str] = (),
    corrected: bool = False,
) -> StudyTables:
    """Make the tables of a study.

    Parameters
    ----------
    out
        Folder for them; by default ``derivatives/tables`` in the study. Tables that stand there are replaced.
    jobs
        Where sessions are read; a cluster must see the study and `out` under the same paths.
    use
        Statuses of the index that are in the tables; none named: every one that it does not exclude.
    corrected
        Whether outcomes of spasms are of the labels that a person corrected.

    Raises
    ------
    UserError
        If there is no such study or not one session in it that can be used, or the cluster fails.
    """
    study = Path(study)
    jobs = jobs or Jobs()
    folder = study / FOLDER if out is None else out
    index = index_study(study, jobs)
    left_out = [(row.path, why_not(row)) for row in index.rows if not row.usable]
    wanted = [row for row in index.usable() if not use or row.facts.status in use]
    others = [row for row in index.usable() if use and row.facts.status not in use]
    left_out += [(row.path, f"{row.facts.status}: the tables use {', '.join(use)}") for row in others]
    last = {(row.person, row.session): row.path for row in wanted}
    parameters = parameters_of(use, corrected=corrected)
    items = [_item(study, folder, row, parameters, last=last[row.person, row.session] == row.path) for row in wanted]
    done = jobs.run("tables", tabulate, items)
    told = list(zip(items, done, strict=True))
    left_out += [(item["key"]["session"], found["problem"]) for item, found in told if found["problem"]]
    used = [item for item, found in told if not found["problem"]]
    if not used:
        first = f"; the first: {left_out[0][0]}: {left_out[0][1]}" if left_out else ""
        raise UserError(f"{study}: no session that can be used, of {len(index.rows)}{first}")
    input_sha256 = _sha256("".join(f"{item['key']['session']} {item['made_of']}\n" for item in used))
    rows, sha256 = {}, {}
    for name in TABLES:
        rows[name], sha256[name] = _join(name, [Path(item["kept"]) for item in used], folder, input_sha256, parameters)
    notes = [(item["key"]["session"], found["note"]) for item, found in told if found["note"]]
    made = StudyTables(
        folder=folder,
        rows=rows,
        sha256=sha256,
        used=tuple(item["key"]["session"] for item in used),
        left_out=tuple(sorted(left_out)),
        notes=(*(("study", problem) for problem in index.problems), *notes),
        input_sha256=input_sha256,
        parameters=parameters,
    )
    replace_file(folder / SUMMARY, json.dumps(made.as_data(), indent=1, sort_keys=True).encode() + b"\n")
    return made


def why_not(row: Row) -> str:
    """Why a session of the index is not used."""
    told = [f"{each.what}: {each.reason}" for each in row.exclusions]
    return "; ".join(dict.fromkeys([row.facts.reason] * (row.facts.status == "refused") + told)) or row.facts.status


def read_provenance(path: Path | str) -> dict[str, Any]:
    """What a table says of how it was made: code version, parameters, hash of its input.

    Raises
    ------
    UserError
        If it is no table of ours.
    """
    try:
        found = parquet.read_schema(path).metadata or {}
    except (OSError, pa.ArrowInvalid) as error:
        raise UserError(f"{path}: cannot be read: {error}") from None
    if b"myoloop" not in found:
        raise UserError(f"{path}: does not say how it was made")
    told: dict[str, Any] = json.loads(found[b"myoloop"])
    return told


def tabulate(item: Item) -> Result:
    """Make and keep the tables of one session, unless they are there; what is wrong with it is told, not raised."""
    kept = Path(item["kept"])
    made: dict[str, Any] = {"made_of": item["made_of"], "key": item["key"]}
    try:
        found = json.loads((kept / _MADE).read_bytes())
        if {name: found.get(name) for name in made} == made:
            return {"problem": "", "note": str(found["note"])}
    except (OSError, ValueError, KeyError):
        pass  # not made yet, or not by this code, or torn
    try:
        session = load(item["attempt"])
        diary: Diary = ()
        note = ""
        try:
            diary = diary_of(session)
        except UserError as error:
            note = f"the diary cannot be believed: {error}"
        tables = session_tables(session, SessionKey(**item["key"]), diary, corrected=item["corrected"])
        if missing := tables["sessions"]["outcomes_missing"][0].as_py():
            note = "; ".join([*([note] if note else []), f"no outcomes: {missing}"])
        # Writing needs room of its own.
        del session
        kept.mkdir(parents=True, exist_ok=True)
        for name in list(tables):
            replace_file(kept / f"{name}.parquet", _to_bytes(tables.pop(name)))
        replace_file(kept / _MADE, json.dumps({**made, "note": note}).encode())
    except Exception as error:  # noqa: BLE001 # whatever is wrong with one session, the others are wanted
        said = " ".join(str(error).split())
        return {"problem": said if isinstance(error, UserError) else f"{type(error).__name__}: {said}", "note": ""}
    finally:
        _give_back()
    return {"problem": "", "note": note}


def _give_back() -> None:
    """Let the system have what a session took; glibc keeps it, and a worker that has grown is replaced by a new one."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


@functools.cache
def code_sha256() -> str:
    """Hash of the package's code and of the files that stand beside it."""
    root = Path(myoloop.__file__).parent
    found = hashlib.sha256()
    for path in sorted(root.rglob("*")):
        if path.suffix in (".py", ".yaml") and path.is_file():
            found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()


def made_from(study: Path, row: Row) -> dict[str, str]:
    """Hashes of what the numbers of a session are made from: its recording, the person's diary, its review."""
    # The chain's head stands for all of a whole recording, compacted or not; nothing vouches for the tail of a cut one.
    good = row.facts.verified == "good"
    return {
        "recorded": row.facts.head if good else _file_sha256(study / row.path / SESSION_FILE),
        "written": _if_there(record_path(study, row.person, "diary")),
        "reviewed": _if_there(study / row.path / REVIEW_FILE),
    }


def _if_there(path: Path) -> str:
    return _file_sha256(path) if path.is_file() else "none"


def _item(study: Path, folder: Path, row: Row, parameters: Mapping[str, Any], *, last: bool) -> dict[str, Any]:
    place = place_of(study / row.path)
    if place is None:
        raise ValueError(f"{row.path}: not an attempt's folder")
    key = SessionKey(
        row.path, row.person, row.session, row.attempt, row.facts.status, row.grade, "; ".join(row.reasons), last
    )
    made_of = f"{' '.join(made_from(study, row).values())} {code_sha256()} {json.dumps(parameters)}"
    return {
        "attempt": str(attempt_folder(place).absolute()),
        "kept": str((folder / _KEPT / f"sub-{row.person}" / f"ses-{row.session:02d}_att-{row.attempt}").absolute()),
        "key": key._asdict(),
        "made_of": _sha256(made_of),
        "corrected": parameters["spasm_labels"] == CORRECTED,
    }


def parameters_of(use: Sequence[str], *, corrected: bool) -> dict[str, Any]:
    """What tables are made with."""
    labels = {"spasm_labels": CORRECTED} if corrected else {}
    return {**PARAMETERS, **labels, **({"use": list(use)} if use else {})}


def _join(
    name: str, kept: Sequence[Path], folder: Path, input_sha256: str, parameters: Mapping[str, Any]
) -> tuple[int, str]:
    """Write one table of all sessions; its rows and hash."""
    told = {
        "table": name,
        "code_version": myoloop.__version__,
        "code_sha256": code_sha256(),
        "parameters": dict(parameters),
        "input_sha256": input_sha256,
        "sessions": len(kept),
    }
    schema = SCHEMAS[name].with_metadata({"myoloop": json.dumps(told, sort_keys=True)})
    path = folder / f"{name}.parquet"
    part = path.with_name(path.name + ".part")
    rows = 0
    with parquet.ParquetWriter(part, schema, compression="zstd") as writer:
        for table in _batches(name, kept):
            rows += len(table)
            writer.write_table(table.replace_schema_metadata(schema.metadata))
    part.replace(path)
    return rows, _file_sha256(path)


def _batches(name: str, kept: Sequence[Path]) -> Iterator[pa.Table]:
    waiting: list[pa.Table] = []
    for folder in kept:
        waiting.append(parquet.read_table(folder / f"{name}.parquet", schema=SCHEMAS[name]))
        if sum(len(table) for table in waiting) >= _ROWS:
            yield pa.concat_tables(waiting).combine_chunks()
            waiting.clear()
    if waiting:
        yield pa.concat_tables(waiting).combine_chunks()


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    parquet.write_table(table, sink, compression="zstd")
    content: bytes = sink.getvalue().to_pybytes()
    return content


def _file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
