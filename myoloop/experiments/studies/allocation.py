"""Who gets which arm: a list that was made elsewhere, sealed at its import, of which each entry is taken once.

The folder ``allocation`` of the study has one chained log for each station (``shared`` where the list has no slices)
with the numbers that were taken and by whom. Stations that are offline write to their own logs only and take from
their own slices only, so that nothing can be taken twice, and their logs are brought together by copying the files.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from myoloop.experiments.studies.audit import utc
from myoloop.experiments.studies.chained import ChainedLog, read_chained
from myoloop.experiments.studies.exclusive import exclusively
from myoloop.experiments.studies.participants import check_person, refuse_withdrawn
from myoloop.experiments.studies.secret_files import refuse_inside
from myoloop.platform import sealed
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import replace_file
from myoloop.platform.sealed import SealedList, StudyKey

FOLDER = "allocation"
SHARED = "shared"
#: Stratum of a list that has none.
ALL = "all"
_COLUMNS = ("stratum", "number", "arm", "station")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
_ARM = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
_STATION = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")


class AllocationError(UserError):
    """The list or what was taken of it does not allow what was asked; the text holds no arm."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = list(problems)


@dataclass(frozen=True, slots=True)
class Row:
    """One entry of a list before it is sealed; numbers count from 1 through the whole list."""

    stratum: str
    number: int
    arm: str
    station: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """An entry that belongs to a person."""

    person: str
    stratum: str
    number: int
    station: str


def parse_list(text: str, name: str, arms: Sequence[str] = ()) -> list[Row]:
    """Read a list as CSV with the columns ``stratum`` (optional), ``number``, ``arm`` and ``station`` (optional).

    Parameters
    ----------
    text
        Content of the file.
    name
        Of the file, for messages.
    arms
        Which arms there are; any where it is empty.

    Raises
    ------
    AllocationError
        With every mistake, one line each: what was found and what is allowed. No message names an arm of an entry.
    """
    table = csv.DictReader(io.StringIO(text), skipinitialspace=True)
    columns = [column.strip() for column in table.fieldnames or []]
    missing = [column for column in ("number", "arm") if column not in columns]
    extra = [column for column in columns if column not in _COLUMNS]
    if missing or extra or len(set(columns)) != len(columns):
        raise AllocationError(
            f"{name}:1: columns: found {', '.join(columns)[:80] or 'none'}, allowed are number, arm, and if needed "
            "stratum, station"
        )
    table.fieldnames = columns
    rows: list[Row] = []
    problems: list[str] = []
    for cells in table:
        line = table.line_num
        if None in cells or None in cells.values():
            problems.append(f"{name}:{line}: found another number of cells than columns")
            continue
        cell = {column: str(value).strip() for column, value in cells.items()}
        row, wrong = _row(cell, arms)
        problems += [f"{name}:{line}: {each}" for each in wrong]
        if row is not None:
            rows.append(row)
    problems += _wrong_numbers(rows, name) if not problems else []
    if not rows and not problems:
        problems.append(f"{name}: no entry in it")
    if problems:
        raise AllocationError(*problems)
    return rows


def read_list_file(path: Path | str) -> str:
    """Text of a list's file.

    Raises
    ------
    AllocationError
        If it cannot be read, or is no text.
    """
    try:
        return Path(path).read_text("utf-8-sig")
    except OSError as error:
        raise AllocationError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise AllocationError(f"{path}: not a text in UTF-8") from None


def slice_list(rows: Sequence[Row], stations: Sequence[str]) -> list[Row]:
    """Give each station its own range of numbers of each stratum, equal but for a remainder.

    A list that was randomised in blocks should name the stations itself, so that no block is cut.

    Raises
    ------
    AllocationError
        If a station's name is not allowed or given twice, the list names stations itself, or one would get nothing.
    """
    problems = [
        f"station {each[:40]!r}: allowed are letters, digits and -" for each in stations if not _is_station(each)
    ]
    if len(set(stations)) != len(stations):
        problems.append("stations: one is given twice")
    if any(row.station for row in rows):
        problems.append("stations: the list has a column for them, they cannot be given as well")
    if problems:
        raise AllocationError(*problems)
    result: list[Row] = []
    for stratum in dict.fromkeys(row.stratum for row in rows):
        numbers = sorted((row for row in rows if row.stratum == stratum), key=lambda row: row.number)
        if len(numbers) < len(stations):
            raise AllocationError(f"stratum {stratum}: {len(numbers)} entries are too few for {len(stations)} stations")
        for index, row in enumerate(numbers):
            station = stations[index * len(stations) // len(numbers)]
            result.append(replace(row, station=station))
    return result


def import_list(study: Path | str, rows: Sequence[Row], key_file: Path | str) -> str:
    """Seal a list into a study.

    Parameters
    ----------
    study
        Folder of the study; made if it is not there. A list that is there is not replaced.
    rows
        From :func:`parse_list`.
    key_file
        The study's key, made if it is not there: for the stimulator's node, and for whoever may unblind.

    Returns
    -------
    str
        SHA-256 of the sealed list, which the protocol names. It is no hash of the arms: those few could be guessed.

    Raises
    ------
    AllocationError
        If the study has a list.
    UserError
        If the key file stands in a study, is none, or cannot be written.
    """
    study, key_file = Path(study), Path(key_file)
    path = study / sealed.LIST_FILE
    refuse_inside(key_file, study, "the key of a sealed list")
    with exclusively(study / FOLDER):
        if path.exists():
            raise AllocationError(f"{path}: the study has a list already, it is not replaced")
        if key_file.exists():
            key = sealed.read_key(key_file)
        else:
            key = sealed.new_key()
            # The key first: a list without its key would be worthless.
            sealed.write_key(key_file, key)
        content = sealed.seal_list(key.public, [(row.number, row.stratum, row.station, row.arm) for row in rows])
        replace_file(path, content)
    return hashlib.sha256(content).hexdigest()


def list_sha256(study: Path | str) -> str:
    """Hash of a study's sealed list.

    Raises
    ------
    AllocationError
        If the study has none.
    """
    path = Path(study) / sealed.LIST_FILE
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise AllocationError(f"{path}: cannot be read: {error.strerror}") from None


def take(study: Path | str, person: str, stratum: str, station: str = "") -> Taken:
    """Take the next free entry of a stratum for a person; the one they have if they have one.

    Parameters
    ----------
    study, person
        Folder of the study, and pseudonym.
    stratum
        Whose next number is taken; `ALL` where the list has no strata.
    station
        At a list that is cut into slices, whose slice; at any other it does not matter.

    Raises
    ------
    AllocationError
        If the person is in another stratum, the station has no slice, or no entry is left.
    UserError
        If the list or a log is missing or damaged, or the person's pseudonym is none.
    """
    study = Path(study)
    check_person(person)
    refuse_withdrawn(study, person)
    list_sha256(study)
    with exclusively(study / FOLDER):
        found, taken = _read(study)
        if person in taken:
            if taken[person].stratum != stratum:
                raise AllocationError(
                    f"{person}: was allocated in stratum {taken[person].stratum}, not in {stratum}; nobody is "
                    "allocated twice"
                )
            return taken[person]
        one = _next(found, taken, person, stratum, station)
        log = ChainedLog(study / FOLDER / f"{one.station or SHARED}.jsonl")
        log.append(
            {
                "person": person,
                "stratum": one.stratum,
                "number": one.number,
                "station": one.station,
                "list_sha256": list_sha256(study),
                "wall_utc": utc(datetime.now(UTC)),
            }
        )
        return one


def takes(study: Path | str) -> dict[str, Taken]:
    """Who has taken what, by person, from the logs of all stations; pure reading, without the key.

    Raises
    ------
    AllocationError
        If logs were brought together in which one person has two entries, or one entry two persons.
    UserError
        If the list or a log is missing or damaged.
    """
    return _read(Path(study))[1]


def _read(study: Path) -> tuple[SealedList, dict[str, Taken]]:
    found, sha256 = sealed.load_list(study / sealed.LIST_FILE), list_sha256(study)
    known = {entry.number: (entry.stratum, entry.station) for entry in found.entries}
    taken: dict[str, Taken] = {}
    owner: dict[int, str] = {}
    for log in sorted((study / FOLDER).glob("*.jsonl")):
        for row in read_chained(log):
            where = f"{log}, entry {row['n']}"
            try:
                one = Taken(row["person"], row["stratum"], row["number"], row["station"])
                fits = row["list_sha256"] == sha256
            except KeyError as missing:
                raise AllocationError(f"{where}: lacks {missing}") from None
            if not fits or known.get(one.number) != (one.stratum, one.station):
                raise AllocationError(f"{where}: is not of this study's list")
            if taken.setdefault(one.person, one) != one:
                raise AllocationError(f"{where}: {one.person} was allocated twice, at two stations")
            if owner.setdefault(one.number, one.person) != one.person:
                raise AllocationError(f"{where}: number {one.number} was taken twice")
    return found, taken


def entry_of(study: Path | str, person: str) -> Taken:
    """The entry that a person has; pure reading, without the key.

    Raises
    ------
    AllocationError
        If the person has none.
    UserError
        If the list or a log is missing or damaged.
    """
    return _entry(takes(study), person)


def _entry(taken: Mapping[str, Taken], person: str) -> Taken:
    if person not in taken:
        raise AllocationError(f"{person}: has not been allocated (myoloop allocate take)")
    return taken[person]


def arm_of(study: Path | str, person: str, key: StudyKey) -> str:
    """Arm of a person; pure reading. A session does not call it: there the stimulator's node opens the entry.

    Raises
    ------
    UserError
        If the person has no entry, the key does not open it, or anything is damaged.
    """
    found, taken = _read(Path(study))
    return found.arm(_entry(taken, person).number, key)


def standing(study: Path | str) -> dict[str, Any]:
    """What everybody may know: the list's hash, how many entries each stratum has and has left, who took which."""
    found, taken = _read(Path(study))
    gone = {one.number for one in taken.values()}
    left: dict[str, dict[str, dict[str, int]]] = {}
    for entry in found.entries:
        counts = left.setdefault(entry.stratum, {}).setdefault(entry.station or SHARED, {"entries": 0, "left": 0})
        counts["entries"] += 1
        counts["left"] += entry.number not in gone
    return {
        "list_sha256": list_sha256(study),
        "strata": left,
        "taken": {one.person: {"stratum": one.stratum, "number": one.number} for one in taken.values()},
    }


def _next(found: SealedList, taken: Mapping[str, Taken], person: str, stratum: str, station: str) -> Taken:
    strata = sorted({entry.stratum for entry in found.entries})
    if stratum not in strata:
        raise AllocationError(f"stratum: found {stratum[:64]!r}, allowed are {', '.join(strata)}")
    slices = sorted({entry.station for entry in found.entries} - {""})
    if slices and station not in slices:
        raise AllocationError(f"station: found {station[:40]!r}, allowed are {', '.join(slices)}: they have a slice")
    mine = station if slices else ""
    gone = {one.number for one in taken.values()}
    places = [entry.number for entry in found.entries if (entry.stratum, entry.station) == (stratum, mine)]
    free = [number for number in places if number not in gone]
    if not free:
        at = f" for station {mine}" if mine else ""
        raise AllocationError(f"stratum {stratum}: no entry is left{at}; nobody can be allocated")
    return Taken(person, stratum, min(free), mine)


def _row(cell: Mapping[str, str], arms: Sequence[str]) -> tuple[Row | None, list[str]]:
    wrong = []
    stratum, station = cell.get("stratum", ALL), cell.get("station", "")
    if not _NAME.fullmatch(stratum):
        wrong.append(f"stratum: found {stratum[:40]!r}, allowed are letters, digits and _ . -")
    if "station" in cell and not _is_station(station):
        wrong.append(f"station: found {station[:40]!r}, allowed are letters, digits and -")
    if not re.fullmatch(r"[1-9][0-9]{0,5}", cell["number"]):
        wrong.append(f"number: found {cell['number'][:40]!r}, allowed is a whole number from 1")
    if not _ARM.fullmatch(cell["arm"]):
        wrong.append("arm: not a name of letters, digits, _ and -, of 32 at most")
    elif arms and cell["arm"] not in arms:
        wrong.append(f"arm: not one of the protocol's arms ({', '.join(arms)})")
    return (None if wrong else Row(stratum, int(cell["number"]), cell["arm"], station)), wrong


def _wrong_numbers(rows: Sequence[Row], name: str) -> list[str]:
    numbers = [row.number for row in rows]
    double = sorted({number for number in numbers if numbers.count(number) > 1})
    lacking = sorted(set(range(1, max(numbers, default=0) + 1)) - set(numbers))
    problems = [f"{name}: number {number} is there twice" for number in double[:5]]
    return problems + [f"{name}: number {number} is missing" for number in lacking[:5]]


def _is_station(text: str) -> bool:
    return bool(_STATION.fullmatch(text)) and text != SHARED
