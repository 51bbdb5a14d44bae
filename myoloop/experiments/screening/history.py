"""What of a person and a station outlives a session, as far as screening needs it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from myoloop.experiments.screening.adverse import AdverseEvent, SkinAfter, event_of, is_marked
from myoloop.experiments.screening.equipment import Device, PadUse
from myoloop.experiments.screening.fields import parsed_time
from myoloop.experiments.screening.forms import check_form
from myoloop.experiments.screening.patch_test import PatchReading, PatchTest, same_material
from myoloop.platform.errors import UserError


class HistoryError(UserError, ValueError):
    """A record of which a person's history cannot be made; nobody is stimulated on half of it."""


@dataclass(frozen=True, slots=True)
class History:
    """What is known before today. Nothing has a default, so that nothing is forgotten.

    Attributes
    ----------
    sessions
        In which this person has been stimulated so far.
    patch_tests, adverse_events, skin_after, pads
        Of this person.
    devices
        The station's register.
    """

    sessions: int
    patch_tests: tuple[PatchTest, ...]
    adverse_events: tuple[AdverseEvent, ...]
    skin_after: tuple[SkinAfter, ...]
    pads: tuple[PadUse, ...]
    devices: tuple[Device, ...]


def history_of(entries: Iterable[Mapping[str, Any]], sessions: int, devices: Iterable[Device]) -> History:
    """Make a history of the forms that were filled in so far.

    An adverse event's later form replaces the earlier one of the same name, kind, place and first day; two events that
    were given one name by mistake thus stay two. Filled-in ``pads`` count as one use each.

    Parameters
    ----------
    entries
        In the order they were written: each a map with ``form`` (as in `forms`), ``values`` and ``wall`` (ISO time with
        its zone). Forms that screening does not need are passed over.
    sessions
        In which this person has been stimulated so far.
    devices
        The station's register.

    Raises
    ------
    HistoryError
        If a form that is needed has a mistake; the text has one line for each.
    """
    reading = _Reading()
    problems: list[str] = []
    for number, entry in enumerate(entries, 1):
        problems += [f"entry {number}: {problem}" for problem in reading.take(entry)]
    problems += reading.orphans()
    if problems:
        raise HistoryError("\n".join(problems))
    return History(
        sessions=sessions,
        patch_tests=tuple(PatchTest(*test, tuple(readings)) for test, readings in reading.patches),
        adverse_events=tuple(reading.events.values()),
        skin_after=tuple(reading.skins),
        pads=tuple(reading.pads.values()),
        devices=tuple(devices),
    )


_NEEDED = frozenset({"patch_test", "patch_reading", "adverse_event", "skin_after", "pads"})


class _Reading:
    """Entries on their way to a history."""

    def __init__(self) -> None:
        self.patches: list[tuple[tuple[str, str, datetime], list[PatchReading]]] = []
        self._readings: list[tuple[str, datetime, PatchReading]] = []
        self.events: dict[tuple[str, str, str, date], AdverseEvent] = {}
        self.skins: list[SkinAfter] = []
        self.pads: dict[tuple[str, str], PadUse] = {}

    def take(self, entry: Mapping[str, Any]) -> list[str]:
        """Take an entry in; what is wrong with it."""
        form_id = str(entry.get("form", ""))
        form, _, instance = form_id.partition(".")
        if form not in _NEEDED:
            return []
        wall = parsed_time(entry.get("wall"))
        if wall is None:
            return [f"{form_id}: wall: found {entry.get('wall')!r}, allowed: a time with its zone"]
        values = entry.get("values")
        problems = check_form(form_id, values)
        if problems or not isinstance(values, Mapping):
            return problems
        if form == "adverse_event":
            event = event_of(instance, values)
            self.events[event.id, event.kind, event.place, event.began] = event
        elif form == "skin_after":
            self.skins.append(SkinAfter(instance, wall.date(), is_marked(values)))
        elif form == "pads":
            self._pad(instance, values)
        else:
            self._patch(form, values)
        return []

    def _pad(self, site: str, values: Mapping[str, Any]) -> None:
        uses, uses_max = int(values["uses"]) + 1, int(values["uses_max"])
        expires_on = date.fromisoformat(values["expires_on"])
        key = (values["lot"].strip().casefold(), site)
        known = self.pads.get(key)
        if known is not None:
            uses, uses_max = max(uses, known.uses + 1), min(uses_max, known.uses_max)
            expires_on = min(expires_on, known.expires_on)
        self.pads[key] = PadUse(values["lot"].strip(), site, uses, uses_max, expires_on)

    def _patch(self, form: str, values: Mapping[str, Any]) -> None:
        started = datetime.fromisoformat(values["started_at"])
        if form == "patch_test":
            self.patches.append(((values["material"], values["place"], started), []))
            return
        reading = PatchReading(datetime.fromisoformat(values["read_at"]), values["result"])
        self._readings.append((values["material"], started, reading))

    def orphans(self) -> list[str]:
        """Give each reading to its test; those that have none."""
        problems = []
        for material, started, reading in self._readings:
            tests = [kept for test, kept in self.patches if test[2] == started and same_material(test[0], material)]
            if not tests:
                problems.append(f"patch_reading: {material} of {started.isoformat()}: no such patch test")
            for kept in tests:
                kept.append(reading)
        return problems
