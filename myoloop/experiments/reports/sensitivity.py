"""What the person has felt from session to session: thresholds as charge, and pain at light touch site by site."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from myoloop.experiments.analysis.sensitivity import THRESHOLDS, Found, Sensitivity, Visit
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.reports.tables import Table, number_words

_BLINDED = (
    " In a blinded study thresholds are measured in the open and with real current in every arm; nothing sealed is "
    "looked at."
)


def thresholds(course: Sensitivity, protocol: Protocol | None, *, blinded: bool) -> Table | None:
    """One row for each time that a channel's thresholds were found, oldest first, with what has changed since."""
    rows: list[tuple[str, ...]] = []
    channels: dict[str, list[Found]] = {}
    for visit in course.visits:
        for index, found in enumerate(visit.found):
            before = channels.setdefault(found.channel, [])
            rows.append(_row(visit, found, before, index, course.visits[-1], _site(found.channel, protocol)))
            before.append(found)
    if not rows:
        return None
    columns = (
        "session", "attempt", "date (UTC)", "channel", *(f"{name} (µC)" for name in THRESHOLDS),
        *(f"{name}, of the first (%)" for name in THRESHOLDS), "phase (µs)", "electrodes and conditions",
    )  # fmt: skip
    visits = len({(visit.session, visit.attempt) for visit in course.visits if visit.found})
    caption = (
        f"n = {len(rows)} findings in {visits} attempts, up to this one. Charge of one phase. Of the first: of the "
        f"channel's first finding at the same pulse width. Pads are put on anew at each visit; marked is what was said "
        f"of other pads and of electrodes changed before a finding. Pads, skin and time of day move thresholds too: a "
        f"trend is no effect. The recordings were read, not verified; `myoloop verify` says whether one was edited."
    )
    return Table(columns, tuple(rows), caption + (_BLINDED if blinded else ""))


def light_touch(course: Sensitivity) -> Table | None:
    """One row for each site at which pain at light touch was asked for, oldest first."""
    rows = []
    for visit in course.visits:
        for site, said in visit.brush.items():
            where = str(said.get("worst_at") or "–")
            rows.append(
                (
                    *_when(visit), site, *(_score(said, name) for name in ("brush", "brush_other_side", "brush_worst")),
                    where, _score(said, "zone_cm"),
                )
            )  # fmt: skip
    if not rows:
        return None
    columns = (
        "session", "attempt", "date (UTC)", "site", "at the pads (0 to 10)", "same place, other side (0 to 10)",
        "where it is worst (0 to 10)", "which is", "from the nearer pad to the zone (cm)",
    )  # fmt: skip
    caption = f"n = {len(rows)} answers of the form allodynia_map: pain at a light stroke of a brush. –: not answered."
    return Table(columns, tuple(rows), caption)


def _row(visit: Visit, found: Found, before: list[Found], index: int, now: Visit, site: str) -> tuple[str, ...]:
    alike = [each for each in before if each.phase_us == found.phase_us]
    shares = [_of_first(name, found, alike) for name in THRESHOLDS]
    charges = [number_words(found.charge_uc.get(name), 2) for name in THRESHOLDS]
    notes = "; ".join(_notes(visit, found, before, index, now, site))
    return (*_when(visit), found.channel, *charges, *shares, f"{found.phase_us:g}", notes or "–")


def _when(visit: Visit) -> tuple[str, str, str]:
    number, attempt = (str(each) if each else "–" for each in (visit.session, visit.attempt))
    return number, attempt, visit.at.strftime("%Y-%m-%d") if visit.at is not None else "not known"


def _of_first(name: str, found: Found, alike: list[Found]) -> str:
    first = next((each.charge_uc[name] for each in alike if each.charge_uc.get(name)), None)
    here = found.charge_uc.get(name)
    return number_words(100.0 * here / first if first and here is not None else None, 0)


def _notes(visit: Visit, found: Found, before: list[Found], index: int, now: Visit, site: str) -> Iterator[str]:
    if found.changed:
        yield f"electrodes changed in this session: {', '.join(found.changed)}"
    lot, earlier = found.lots.get(site), [each.lots[site] for each in before if site in each.lots]
    if lot is not None and earlier and earlier[-1] != lot:
        yield f"other pads: lot {lot}, before {earlier[-1]}"
    if before and before[-1].phase_us != found.phase_us:
        yield f"other pulse width: before {before[-1].phase_us:g} µs"
    if index and any(each.channel == found.channel for each in visit.found[:index]):
        yield "measured anew"
    if visit.simulated != now.simulated:
        yield {True: "simulated", False: "not simulated", None: "simulated or not: unknown"}[visit.simulated]


def _site(channel: str, protocol: Protocol | None) -> str:
    place = protocol.stimulation.get(channel) if protocol is not None else None
    return place.site if place is not None else channel


def _score(said: Mapping[str, Any], name: str) -> str:
    value = said.get(name)
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else "–"
