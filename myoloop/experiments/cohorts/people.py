"""Who is in a study: enrolment, place in the allocation, arm where it may be known, course, dose, adverse events."""

from __future__ import annotations

import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Literal

from myoloop.experiments.cohorts.gathering import CohortError
from myoloop.experiments.studies.adverse import AdverseEvent
from myoloop.experiments.studies.allocation import arm_of, list_sha256, takes
from myoloop.experiments.studies.course import sessions as sessions_of
from myoloop.experiments.studies.participants import participants
from myoloop.experiments.studies.personrecord import PersonRecord, RecordError, read_record
from myoloop.experiments.studies.unblind import unblinded
from myoloop.platform.errors import UserError
from myoloop.platform.sealed import LIST_FILE, StudyKey
from myoloop.stimulators.dose_ledger import LEDGER_FILE, read_real
from myoloop.stimulators.sealing import SealedDose

#: ``open``: arms by name; ``coded``: two groups, which is which is not told; ``pooled``: all together.
View = Literal["open", "coded", "pooled"]
_CODES = ("A", "B")


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One person.

    Attributes
    ----------
    arm
        Name or code; empty where it is withheld, or the person has none.
    planned, begun
        Sessions of the course; None where no plan is on record.
    dose_mc, planned_mc
        Charge by session. What was really given where arms are open, else what an active arm would have had.
    """

    name: str
    status: str
    enrolled_on: str
    arm: str = ""
    stratum: str = ""
    station: str = ""
    planned: int | None = None
    begun: int = 0
    complete: int = 0
    dose_mc: Mapping[int, float] = field(default_factory=dict)
    planned_mc: Mapping[int, float] = field(default_factory=dict)
    events: tuple[AdverseEvent, ...] = ()


@dataclass(frozen=True, slots=True)
class People:
    """Everybody of a study.

    Attributes
    ----------
    arms
        Names or codes, in order; empty where they are withheld or there are none.
    allocated
        Whether the study has a sealed list.
    unblinded
        Emergency unblindings on record.
    """

    people: tuple[Person, ...]
    view: View
    arms: tuple[str, ...]
    allocated: bool
    list_sha256: str
    unblinded: int
    problems: tuple[str, ...] = ()

    def of(self, name: str) -> Person | None:
        """Somebody by pseudonym."""
        return next((each for each in self.people if each.name == name), None)

    @property
    def dose_is(self) -> str:
        """What the doses are."""
        if self.view == "open" or not self.allocated:
            return "delivered"
        return "nominal: what an active arm would have had"


def read_people(study: Path | str, key: StudyKey | None, *, coded: bool) -> People:
    """Read everybody's records.

    Parameters
    ----------
    key
        The study's; without it arms stay closed.
    coded
        Whether arms are shown as codes though the key is there.

    Raises
    ------
    CohortError
        If a key is given and the study has no sealed list.
    UserError
        If participants or allocation cannot be read, or the key is another study's.
    """
    study = Path(study)
    allocated = (study / LIST_FILE).exists()
    if key is not None and not allocated:
        raise CohortError(f"--key: {study} has no {LIST_FILE}, there is no arm to open")
    view: View = "pooled" if key is None else "coded" if coded else "open"
    taken = takes(study) if allocated else {}
    arms = {name: arm_of(study, name, key) for name in taken} if key is not None else {}
    if key is not None and view == "coded":
        codes = coded_arms(set(arms.values()), key)
        arms = {name: codes[arm] for name, arm in arms.items()}
    problems: list[str] = []
    found: list[Person] = []
    folders = {path.name.removeprefix("sub-") for path in study.glob("sub-*") if path.is_dir()}
    listed = participants(study)
    for name in sorted({*listed, *folders}):
        row = listed.get(name)
        base = Person(
            name=name, status=row.status if row is not None else "not listed",
            enrolled_on=row.enrolled_on.isoformat() if row is not None and row.enrolled_on else "",
            arm=arms.get(name, ""), stratum=taken[name].stratum if name in taken else "",
            station=taken[name].station if name in taken else "",
        )  # fmt: skip
        if base.status == "withdrawn":
            # Nothing but the audit names who has withdrawn; neither does what is made of the study later.
            number = sum(each.status == "withdrawn" for each in found) + 1
            found.append(replace(base, name=f"withdrawn {number}"))
            continue
        if name not in folders:
            found.append(base)
            continue
        try:
            found.append(_with_record(study, base, read_record(study, name), key if view == "open" else None))
        except RecordError:
            found.append(base)
        except UserError as error:
            problems.append(f"{name}: {' '.join(str(error).split())}")
            found.append(base)
    told = tuple(sorted({each.arm for each in found if each.arm}))
    seal = list_sha256(study) if allocated else ""
    audited = len(unblinded(study)) if (study / "audit.jsonl").exists() else 0
    return People(tuple(found), view, told, allocated, seal, audited, tuple(problems))


def coded_arms(arms: Sequence[str] | set[str], key: StudyKey) -> dict[str, str]:
    """A code for each arm, the same every time; without the key nobody can say which is which."""
    if len(arms) > len(_CODES):
        raise CohortError(f"{len(arms)} arms; coded are {len(_CODES)} at most")
    order = sorted(arms, key=lambda arm: hmac.new(key.secret, f"cohort {arm}".encode(), sha256).digest())
    return dict(zip(order, _CODES, strict=False))


def _with_record(study: Path, person: Person, record: PersonRecord, key: StudyKey | None) -> Person:
    course = record.course
    if course is None:
        return replace(person, events=record.events)
    held = sessions_of(course.booked)
    nominal = {each.number: sum(attempt.charge_mc for attempt in each.attempts) for each in held}
    planned = {each.number: max(attempt.planned_charge_mc for attempt in each.attempts) for each in held}
    if key is not None:
        ledger, seal = study / f"sub-{person.name}" / LEDGER_FILE, SealedDose(key)
        given = {number: read_real(ledger, person.name, f"ses-{number:02d}", seal).charge_mc for number in nominal}
    else:
        given = nominal
    return replace(
        person, planned=course.plan.planned, begun=len(held), complete=sum(each.complete for each in held),
        dose_mc=given, planned_mc=planned, events=record.events,
    )  # fmt: skip
