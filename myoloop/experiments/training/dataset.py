"""A dataset: a folder of decisions that does not change, split by person.

``decisions.parquet`` (one row per decision: person, session, half, and the columns of
:mod:`myoloop.experiments.training.decisions`), ``people.tsv`` (who is in which half), ``card.json`` (the data card),
``sim_to_real.json`` (virtual against recorded responses) and ``dataset.json``, which has the hash of each and one over
all. No time of day and no path of this machine is in it: the same sources, seed and versions make the same bytes.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from myoloop.experiments.training.card import data_card
from myoloop.experiments.training.decisions import Decisions, columns, decisions_of, rows_of
from myoloop.experiments.training.from_cohort import Drawn, draw_cohort, people_of
from myoloop.experiments.training.from_sessions import FromStudy, read_study
from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.sim_to_real import compare_responses
from myoloop.experiments.training.split import (
    Half,
    LeakError,
    Person,
    check_halves,
    one_name_each,
    read_halves,
    read_people,
    split,
)
from myoloop.experiments.training.task import Task
from myoloop.platform.errors import UserError

FORMAT = "myoloop-dataset-1"
INDEX, TABLE, PEOPLE, CARD, GAP = "dataset.json", "decisions.parquet", "people.tsv", "card.json", "sim_to_real.json"
_FILES = (TABLE, PEOPLE, CARD, GAP)


class DatasetError(UserError):
    """A dataset that cannot be made, read or believed; one line that names the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """What a dataset is made of.

    Attributes
    ----------
    studies
        Folders with recorded sessions.
    task, people, first
        Of the virtual cohort: the task, how many people, and the number of the first of them.
    seed
        Of the split, and of what the cohort draws by lot.
    explore
        Share of the cohort's decisions that are drawn by lot.
    held_out_share
        Of the people of each source.
    halves
        Of people who have theirs already.
    leave_out
        People who are not to be in it, and why.
    mix
        Whether people and virtual people may stand in one dataset.
    compared
        Virtual people that recorded responses are compared with.
    """

    studies: tuple[Path, ...] = ()
    task: Task | None = None
    people: int = 0
    first: int = 0
    decide_every_s: float = 0.1
    seed: int = 0
    explore: float = 0.5
    held_out_share: float = 0.3
    halves: Mapping[str, Half] = field(default_factory=dict)
    leave_out: Mapping[str, str] = field(default_factory=dict)
    mix: bool = False
    compared: int = 20

    def __post_init__(self) -> None:
        whole = {path.resolve() for path in self.studies}
        if len(whole) < len(self.studies):
            raise DatasetError("a study is named twice")
        for name, value in (("held_out_share", self.held_out_share), ("explore", self.explore)):
            low = 0.0 if name == "explore" else 1e-9
            if not low <= value <= 1.0 - (name != "explore") * 1e-9:
                allowed = "0 to 1" if name == "explore" else "above 0 and below 1"
                raise DatasetError(f"{name}: found {value:g}, allowed is {allowed}")
        if not (math.isfinite(self.decide_every_s) and 0.01 <= self.decide_every_s <= 2.0):
            raise DatasetError(f"decide_every_s: found {self.decide_every_s:g}, allowed is 0.01 to 2 s")
        if self.task is not None and self.task.decide_every_s != self.decide_every_s:
            raise DatasetError(
                f"decide_every_s: found {self.decide_every_s:g}, the task {self.task.name} decides every "
                f"{self.task.decide_every_s:g} s"
            )
        if (self.people > 0) != (self.task is not None):
            raise DatasetError("a virtual cohort needs both a task and how many people")


@dataclass(frozen=True, slots=True)
class Dataset:
    """A dataset as read and checked.

    Attributes
    ----------
    sha256
        Over everything in it.
    halves
        By person.
    people
        Who they are.
    person, session
        Of each decision.
    gap
        Virtual against recorded responses.
    """

    folder: Path
    sha256: str
    index: Mapping[str, Any]
    card: Mapping[str, Any]
    gap: Mapping[str, Any]
    halves: Mapping[str, Half]
    people: Sequence[Person]
    person: Sequence[str]
    session: Sequence[str]
    decisions: Decisions

    def half(self, half: Half) -> tuple[list[str], Decisions]:
        """The persons of each decision, and the decisions, of a half."""
        rows = np.flatnonzero([self.halves[person] == half for person in self.person])
        table = self.decisions
        parts = (table.observation, table.action, table.outcome, table.place)
        return [self.person[row] for row in rows.tolist()], Decisions(*(part[rows] for part in parts))


def build(out: Path | str, sources: Sources, jobs: Jobs | None = None) -> Dataset:
    """Make a dataset in a folder that is not there yet.

    Raises
    ------
    LeakError
        If somebody would be in both halves, by one name or by two.
    DatasetError
        If nothing is left to put into it, people and virtual people would be mixed, or the folder is there.
    """
    out, jobs = Path(out), jobs or Jobs()
    if out.exists():
        raise DatasetError(f"{out}: is there already, nothing is overwritten")
    studies = []
    for study in sources.studies:
        jobs.say(f"{study}: reading its sessions")
        studies.append(read_study(study, sources.decide_every_s, dict(sources.leave_out)))
    _one_owner_each(studies)
    drawn: list[Drawn] = []
    if sources.task is not None:
        numbers = range(sources.first, sources.first + sources.people)
        drawn = draw_cohort(sources.task, numbers, seed=sources.seed, explore=sources.explore, jobs=jobs)
        drawn = [each for each in drawn if each.name not in sources.leave_out]
    people = _merged([person for study in studies for person in study.people])
    people += [] if sources.task is None else people_of(sources.task, drawn)
    kind = _kind(people, studies, sources.mix)
    halves = split(people, seed=sources.seed, held_out_share=sources.held_out_share, given=sources.halves)
    cohort = None if sources.task is None else (sources.task, drawn, sources.explore)
    files = {
        TABLE: _table(studies, drawn, halves),
        PEOPLE: _people(people, studies, drawn, halves).encode(),
        CARD: _json(data_card(kind, people, halves, studies, cohort)),
        GAP: _json(compare_responses(sources.studies, people=sources.compared, seed=sources.seed)),
    }
    index = {
        "format": FORMAT,
        "holds": kind,
        "seed": sources.seed,
        "held_out_share": sources.held_out_share,
        "decide_every_s": sources.decide_every_s,
        **{part: list(names) for part, names in columns().items()},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    files[INDEX] = _json({**index, "sha256": _over(index)})
    _write(out, files)
    return open_dataset(out)


def open_dataset(folder: Path | str) -> Dataset:
    """Read a dataset, all of it checked.

    Raises
    ------
    LeakError
        If a person is in both halves, by one name or by two.
    DatasetError
        If anything was changed, is missing or has been added; it names the file.
    """
    folder = Path(folder)
    found = problems(folder)
    if found:
        raise DatasetError(found[0])
    index, card, gap = (json.loads((folder / name).read_bytes()) for name in (INDEX, CARD, GAP))
    import pyarrow.parquet as parquet

    table = parquet.read_table(folder / TABLE)
    person, half = table["person"].to_pylist(), table["half"].to_pylist()
    halves, people = read_halves(folder / PEOPLE), read_people(folder / PEOPLE)
    one_name_each(people)
    for name, stands in check_halves(dict.fromkeys(zip(person, half, strict=True))).items():
        if halves.get(name) != stands:
            raise LeakError(f"{folder / TABLE}: {name} is in {stands}, in {PEOPLE} in {halves.get(name)}")
    named = {name: table[name].to_numpy() for name in table.column_names if "." in name}
    session = table["session"].to_pylist()
    return Dataset(folder, index["sha256"], index, card, gap, halves, people, person, session, decisions_of(named))


def problems(folder: Path | str) -> list[str]:
    """What of a dataset is not as it was frozen, one line each that names the file; nothing where all is.

    Raises
    ------
    DatasetError
        If there is no dataset.
    """
    folder = Path(folder)
    try:
        index = json.loads((folder / INDEX).read_bytes())
    except OSError:
        raise DatasetError(f"{folder}: no dataset, there is no {INDEX} in it") from None
    except ValueError:
        return [f"{folder / INDEX}: was changed: it is no JSON"]
    if not isinstance(index, dict) or index.get("format") != FORMAT or not isinstance(index.get("files"), dict):
        said = index.get("format") if isinstance(index, dict) else None
        return [f"{folder / INDEX}: format {said!r}, this version reads {FORMAT}"]
    wrong = []
    told = index.pop("sha256", "")
    if told != _over(index):
        wrong.append(f"{folder / INDEX}: was changed: its hash is not that of what it says")
    if set(index["files"]) != set(_FILES):
        wrong.append(f"{folder / INDEX}: was changed: it names other files than {', '.join(_FILES)}")
    for name, sha256 in sorted(index["files"].items()):
        path = folder / Path(name).name
        if not path.is_file():
            wrong.append(f"{path}: is missing")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
            wrong.append(f"{path}: was changed since the dataset was frozen")
    known = {*index["files"], INDEX}
    wrong += [f"{path}: was added" for path in sorted(folder.iterdir()) if path.name not in known]
    return wrong


def verify_dataset(folder: Path | str) -> tuple[str, list[str]]:
    """The hash that a dataset names, and everything that is wrong with it, one line each.

    Raises
    ------
    DatasetError
        If there is no dataset.
    """
    found = problems(folder)
    if found:
        return "", found
    try:
        return open_dataset(folder).sha256, []
    except UserError as error:
        return "", [str(error)]


# -- inside --------------------------------------------------------------------------------------------------------


def _merged(people: Sequence[Person]) -> list[Person]:
    """One pseudonym is one person, in how many studies it may be."""
    found: dict[str, Person] = {}
    for person in people:
        first = found.setdefault(person.name, person)
        if first is not person:
            if first.simulated != person.simulated:
                raise LeakError(f"{person.name}: is a person in {first.source if person.simulated else person.source} "
                                "and a virtual one in another study")  # fmt: skip
            found[person.name] = Person(first.name, first.source, first.simulated, first.bodies | person.bodies)
    return list(found.values())


def _one_owner_each(studies: Sequence[FromStudy]) -> None:
    """Refuse a recording that stands under two pseudonyms; one that is there twice is used once."""
    owner: dict[str, str] = {}
    for study in studies:
        for used in list(study.used):
            other = owner.get(used.recording_sha256)
            if other is None:
                owner[used.recording_sha256] = used.person
            elif other == used.person:
                study.used.remove(used)
                study.excluded.append((used.session, "the same recording is in it already"))
            else:
                raise LeakError(f"{other} and {used.person} hold the same recording ({used.session}): whose is it?")


def _kind(people: Sequence[Person], studies: Sequence[FromStudy], mix: bool) -> str:
    if not people:
        reasons = [f"{session}: {reason}" for study in studies for session, reason in study.excluded]
        why = f"; all is excluded, first {reasons[0]}" if reasons else ""
        raise DatasetError(f"nobody is left to put into the dataset{why}")
    simulated = {person.simulated for person in people}
    if len(simulated) == 1:
        return "virtual people" if simulated.pop() else "people"
    if not mix:
        virtual = next(person.name for person in people if person.simulated)
        person = next(person.name for person in people if not person.simulated)
        raise DatasetError(
            f"{person} is a person and {virtual} a virtual one: --mix-simulated puts both into a dataset"
        )
    return "people and virtual people"


def _table(studies: Sequence[FromStudy], drawn: Sequence[Drawn], halves: Mapping[str, Half]) -> bytes:
    import pyarrow
    import pyarrow.parquet as parquet

    parts = _parts(studies, drawn)
    joined = Decisions.joined([part for _, _, part in parts])
    text = {
        "person": [person for person, _, part in parts for _ in range(len(part))],
        "session": [session for _, session, part in parts for _ in range(len(part))],
        "half": [halves[person] for person, _, part in parts for _ in range(len(part))],
    }
    coded = {name: pyarrow.array(values, pyarrow.string()).dictionary_encode() for name, values in text.items()}
    numbers = {name: pyarrow.array(values) for name, values in rows_of(joined).items()}
    out = io.BytesIO()
    parquet.write_table(pyarrow.table({**coded, **numbers}), out, compression="zstd")
    return out.getvalue()


def _people(
    people: Sequence[Person], studies: Sequence[FromStudy], drawn: Sequence[Drawn], halves: Mapping[str, Half]
) -> str:
    parts = _parts(studies, drawn)
    out = io.StringIO()
    writer = csv.writer(out, delimiter="\t", lineterminator="\n")
    writer.writerow(["person", "half", "source", "simulated", "virtual_persons", "sessions", "trains", "decisions"])
    for person in sorted(people, key=lambda each: each.name):
        tables = [table for name, _, table in parts if name == person.name]
        sessions = sum(name == person.name and bool(session) for name, session, _ in parts)
        writer.writerow(
            [
                person.name,
                halves[person.name],
                person.source,
                str(person.simulated).lower(),
                ",".join(sorted(person.bodies)) or "n/a",
                sessions,
                sum(table.trains for table in tables),
                sum(len(table) for table in tables),
            ]
        )
    return out.getvalue()


def _parts(studies: Sequence[FromStudy], drawn: Sequence[Drawn]) -> list[tuple[str, str, Decisions]]:
    """Person, session (empty in a cohort) and decisions of all that is in it, in the order of the table."""
    recorded = [(used.person, used.session, used.decisions) for study in studies for used in study.used]
    return [*recorded, *((each.name, "", each.decisions) for each in drawn)]


def _json(data: Any) -> bytes:
    return (json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n").encode()


def _over(index: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(index, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _write(out: Path, files: Mapping[str, bytes]) -> None:
    """All of it or nothing."""
    making = out.with_name(f".{out.name}.{os.getpid()}")
    making.mkdir(parents=True)
    try:
        for name, content in files.items():
            (making / name).write_bytes(content)
        making.rename(out)
    except OSError:
        shutil.rmtree(making, ignore_errors=True)
        raise
