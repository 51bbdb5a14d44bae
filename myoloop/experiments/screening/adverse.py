"""Adverse events and marks on the skin: when one must be reported, and which sites they keep closed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from myoloop.experiments.screening.places import PLACES, PlannedSite


@dataclass(frozen=True, slots=True)
class AdverseEvent:
    """An adverse event as it was last written down.

    Attributes
    ----------
    id
        By which its follow-ups are known.
    kind, grade
        As in the form ``adverse_event``.
    place
        Of `places.PLACES`, or ``whole_body``.
    site
        Name of the protocol's site, or ``none``.
    began, resolved_on
        Days; `resolved_on` is None while it is open.
    """

    id: str
    kind: str
    grade: str
    place: str
    site: str
    began: date
    resolved_on: date | None

    def is_open(self, today: date) -> bool:
        """Whether it has not been resolved by today."""
        return self.resolved_on is None or self.resolved_on > today


@dataclass(frozen=True, slots=True)
class SkinAfter:
    """Whether the skin of a site was marked after a session: more than mild redness, a blister, a burn, or it hurt."""

    site: str
    on: date
    marked: bool


def event_of(event_id: str, values: Mapping[str, Any]) -> AdverseEvent:
    """An event of a form ``adverse_event`` without a mistake."""
    resolved = date.fromisoformat(values["resolved_on"]) if values["resolved"] == "yes" else None
    return AdverseEvent(
        id=event_id,
        kind=values["kind"],
        grade=values["grade"],
        place=values["place"],
        site=values["site"].strip(),
        began=date.fromisoformat(values["began"]),
        resolved_on=resolved,
    )


def sites_closed_by(event: AdverseEvent, sites: Iterable[PlannedSite]) -> tuple[str, ...]:
    """Names of the planned sites that an open event keeps closed.

    The site it names, if it lies where the event is; else (a name of another protocol, or none) every site of that part
    of the body; every site where the event has no place.
    """
    planned = tuple(sites)
    if event.place not in PLACES:
        return tuple(each.name for each in planned)
    here = [each for each in planned if event.place in each.places]
    named = [each for each in planned if each.name == event.site]
    if named and all(each in here for each in named):
        return tuple(each.name for each in named)
    return tuple(each.name for each in planned if each in here or each in named)


def not_followed_up(site: str, skins: Iterable[SkinAfter], events: Sequence[AdverseEvent]) -> SkinAfter | None:
    """A session that marked the skin of a site without an adverse event that tells of it; None if there is none."""
    mine = [event for event in events if event.site == site]
    for skin in skins:
        # A day before counts too: the station's day and that of UTC need not be the same.
        if skin.marked and skin.site == site and not any(e.began >= skin.on - timedelta(days=1) for e in mine):
            return skin
    return None


def is_marked(values: Mapping[str, Any]) -> bool:
    """Whether a form ``skin_after`` tells more than mild redness; what is missing or unknown counts as a mark."""
    harmless = values.get("redness") in ("none", "mild")
    return not harmless or any(values.get(key) != "no" for key in ("blister", "burn", "hurts"))


def event_due(form_id: str, values: Mapping[str, Any]) -> str:
    """Why an answer asks for a form ``adverse_event``, "" if none does: it is to open without being asked for.

    Parameters
    ----------
    form_id
        ``skin_after.SITE``, ``doms``, ``follow_up``, ``incident.NAME``; others ask for none.
    """
    form, _, instance = form_id.partition(".")
    if form == "skin_after" and is_marked(values):
        return f"the skin at {instance} is marked"
    for asking, key, why in _DUE:
        if form == asking and values.get(key) in ("yes", "unsure"):
            return why
    return ""


def tells_flare(form_id: str, values: Mapping[str, Any]) -> bool:
    """Whether an answer tells of a flare of the pain since the last session: then there is less of the next dose."""
    field = _FLARES.get(form_id.partition(".")[0])
    return field is not None and values.get(field) in (True, "yes")


#: Forms in which a flare is told, and the question.
_FLARES = {"contraindications": "flare", "follow_up": "flared"}

#: Form, question, and what an answer other than no means.
_DUE = (
    ("doms", "dark_urine", "dark urine after a session: muscle breakdown must be ruled out by a physician"),
    ("doms", "much_swelling", "a hard, swollen or useless muscle: a physician must see it"),
    ("follow_up", "flared", "the pain flared up after a session"),
    ("follow_up", "new_complaint", "a new complaint after a session"),
    ("incident", "harm", "somebody may have been harmed"),
)
