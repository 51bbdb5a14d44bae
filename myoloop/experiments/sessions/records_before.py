"""What must be known of a person before a session of theirs begins: their course, and screening's history."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from pathlib import Path

from myoloop.experiments.protocols.planned import ScreeningPlan
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.rehearsal.kept import rehearsed
from myoloop.experiments.screening.clear import REHEARSING, clear_history
from myoloop.experiments.screening.equipment import Device, device_problems
from myoloop.experiments.screening.history import History, HistoryError, history_of
from myoloop.experiments.sessions.records_after import ADVERSE_LOG, FORMS_LOG
from myoloop.experiments.sessions.screening_plan import screening_plan
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.studies.adverse import history_entries
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.studyfile import load_study
from myoloop.platform.errors import UserError


class RecordsError(UserError, ValueError):
    """A person's record that says no, or cannot be read; one line for the operator."""


def history_before(
    record: Path,
    sessions: int,
    rig_class: str,
    wall: datetime,
    script: Script | None,
    devices: tuple[Device, ...] = (),
) -> History:
    """A person's history, as their record tells it.

    Parameters
    ----------
    record
        The person's folder ``record``.
    sessions
        In which they have been stimulated so far.
    devices
        The station's register.
    script
        One that answers ``others: clear`` on a SIM or BENCH rig brings device and patch test along as well.

    Raises
    ------
    RecordsError
        If a log is damaged, or a history cannot be made of it: nobody is stimulated on half of it.
    """
    rows = read_chained(record / FORMS_LOG)
    entries = [row for row in rows if "form" in row and "wall" in row]
    entries += history_entries(read_chained(record / ADVERSE_LOG))
    rehearsal = script is not None and script.others == "clear" and rig_class in REHEARSING
    brought = clear_history(rig_class, wall, sessions) if rehearsal else None
    try:
        known = history_of(entries, sessions, (*devices, *(brought.devices if brought is not None else ())))
    except HistoryError as error:
        raise RecordsError(f"{record}: {error}") from None
    if brought is not None and not known.patch_tests:
        known = replace(known, patch_tests=brought.patch_tests)
    return known


def screening_before(
    protocol: Protocol, person: Path, sessions: int, rig_class: str, wall: datetime, script: Script | None
) -> ScreeningPlan:
    """What the director's screening goes by in a session that begins now."""
    # What a device was last rehearsed with on a dummy load is its self-test.
    devices = rehearsed((each.device() for each in load_study(person.parent).devices), person.parent)
    history = history_before(person / "record", sessions, rig_class, wall, script, devices)
    population = protocol.population
    return screening_plan(
        protocol,
        history,
        wall,
        post_operative=population is not None and population.post_operative,
        dummy_load=dummy_load_of(devices, wall) if rig_class == "HUMAN" else "",
    )


def dummy_load_of(devices: tuple[Device, ...], wall: datetime) -> str:
    """What shows that whichever of the station's devices is used has been run on a dummy load; "" where that is open.

    Only the operator's inspection will say which of them it is: one that is not in order leaves all of it open.
    """
    serials = [device.serial for device in devices]
    if not devices or any(True for serial in serials for _ in device_problems(serial, devices, wall)):
        return ""
    return "; ".join(f"{each.serial}: self-test of {each.self_test_at:%Y-%m-%dT%H:%M%z}" for each in devices)
