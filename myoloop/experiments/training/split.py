"""Who is trained on and who is held out: by person, never by session, so that nobody is in both halves."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from myoloop.platform.errors import UserError

Half = Literal["train", "held_out"]
HALVES: tuple[Half, ...] = ("train", "held_out")


class LeakError(UserError):
    """Somebody would be trained on and tested with; one line that names them."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody that a dataset has data of.

    Attributes
    ----------
    name
        Pseudonym; of a virtual cohort ``<preset>-<seed>``.
    source
        ``study <folder>`` or ``cohort <task>``: the halves are drawn within each.
    simulated
        Whether it is a virtual person.
    bodies
        Fingerprints of the virtual persons behind the pseudonym; empty for people.
    """

    name: str
    source: str
    simulated: bool
    bodies: frozenset[str] = frozenset()


def split(
    people: Sequence[Person], *, seed: int, held_out_share: float, given: Mapping[str, Half] | None = None
) -> dict[str, Half]:
    """Say for each person in which half they are.

    Within each source the people are put in the order of a hash of seed and pseudonym, and the first of them are held
    out. A source of one person is trained on.

    Parameters
    ----------
    held_out_share
        Of the people of each source, above 0 and below 1, rounded; at least one is held out and one trained on where
        there are two.
    given
        Halves that stand already, such as those of an earlier dataset; they are kept.

    Raises
    ------
    LeakError
        If two pseudonyms are the same virtual person.
    """
    one_name_each(people)
    given = given or {}
    halves: dict[str, Half] = {}
    for source in sorted({person.source for person in people}):
        names = sorted(person.name for person in people if person.source == source)
        names.sort(key=lambda name: (hashlib.sha256(f"{seed}/{name}".encode()).hexdigest(), name))
        halves.update({name: given[name] for name in names if name in given})
        free = [name for name in names if name not in given]
        held = sum(halves[name] == "held_out" for name in names if name in given)
        wanted = min(max(round(held_out_share * len(names)), 1), len(names) - 1)
        first = max(0, min(len(free), wanted - held))
        for place, name in enumerate(free):
            halves[name] = "held_out" if place < first else "train"
    return halves


def one_name_each(people: Iterable[Person]) -> None:
    """Refuse a virtual person who stands under two pseudonyms, and two pseudonyms that differ in capitals only.

    Raises
    ------
    LeakError
        Naming both.
    """
    by_body: dict[str, str] = {}
    by_name: dict[str, str] = {}
    for person in people:
        spelled = by_name.setdefault(person.name.casefold(), person.name)
        if spelled != person.name:
            raise LeakError(f"{spelled} and {person.name}: the same pseudonym in other capitals; spell it in one way")
        for body in sorted(person.bodies):
            other = by_body.setdefault(body, person.name)
            if other != person.name:
                raise LeakError(
                    f"{other} and {person.name} are the same virtual person ({body}): a person stands under one "
                    "pseudonym; leave one of them out, or draw it with another seed"
                )


def check_halves(rows: Iterable[tuple[str, str]]) -> dict[str, Half]:
    """Halves by person, from (person, half) of every row there is.

    Raises
    ------
    LeakError
        If a person is in both halves, or in one that is none; it names the person.
    """
    found: dict[str, Half] = {}
    for person, text in rows:
        half = next((half for half in HALVES if half == text), None)
        if half is None:
            raise LeakError(f"{person}: half {text!r}, allowed are {', '.join(HALVES)}")
        if found.setdefault(person, half) != half:
            raise LeakError(f"{person}: is in both halves, trained on and held out; a person may be in one only")
    return found


def read_people(path: Path | str) -> list[Person]:
    """The people of a dataset's table ``people.tsv``, whose halves :func:`read_halves` reads.

    Raises
    ------
    UserError
        If a column is missing.
    """
    path = Path(path)
    people = []
    for line, row in enumerate(csv.DictReader(io.StringIO(path.read_text("utf-8")), delimiter="\t"), 2):
        name, bodies = row.get("person"), row.get("virtual_persons")
        if not name or not bodies:
            raise UserError(f"{path}:{line}: found no person, or nothing in virtual_persons; allowed is n/a for people")
        known = frozenset() if bodies == "n/a" else frozenset(bodies.split(","))
        people.append(Person(name, row.get("source") or "", row.get("simulated") == "true", known))
    return people


def read_halves(path: Path | str) -> dict[str, Half]:
    """Halves of people from a table with the columns ``person`` and ``half``, as ``people.tsv`` of a dataset.

    Raises
    ------
    LeakError
        If somebody is in both halves.
    UserError
        If it is no such table; it names the line.
    """
    path = Path(path)
    rows: list[tuple[str, str]] = []
    reader = csv.DictReader(io.StringIO(path.read_text("utf-8")), delimiter="\t")
    for line, row in enumerate(reader, 2):
        person, half = row.get("person"), row.get("half")
        if not person or half not in HALVES:
            allowed = f"a column person, and in half {' or '.join(HALVES)}"
            raise UserError(f"{path}:{line}: found person {person!r} with half {half!r}, allowed are {allowed}")
        rows.append((person, half))
    try:
        return check_halves(rows)
    except LeakError as error:
        raise LeakError(f"{path}: {error}") from None
