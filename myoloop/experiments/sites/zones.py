"""Names of places on the body: parts, places that are never stimulated, and what a person may have at a part.

A site says in which of them its pads lie and which lie close by; a protocol or a person's forms name those that must
stay free: ``hand_left`` (a part, of one side or of both), ``pregnant_trunk`` (a condition), ``allodynia:hand_left``
(something of this person, at a part). What has no part, as ``allodynia`` alone, can only be judged on the skin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from myoloop.platform.errors import UserError

Side = Literal["left", "right", "both", "midline"]

#: No pad lies here, whatever else is said, nor does current go through.
NEVER: dict[str, str] = {
    "head": "on the head, or current through it",
    "eye": "on or beside the eyes",
    "mouth": "over the mouth, jaw or throat",
    "anterior_neck": "front and side of the neck, before the edge of the trapezius",
    "carotid_sinus": "where the carotid artery is felt, below the angle of the jaw",
    "chest": "front and side of the chest, breast included",
    "across_heart": "a path through the chest, such as chest to upper back or arm to arm",
    "lower_abdomen": "below the navel, over bladder and womb",
    "gonads": "genitals and groin",
}

#: Closed to stimulation while the condition holds; screening names it.
CONDITIONS: dict[str, str] = {
    "pregnant_trunk": "trunk and pelvis of someone who is or may be pregnant",
}

#: Parts of the body, each of one side or of both.
PARTS: dict[str, str] = {
    "hand": "hand and fingers",
    "wrist": "wrist, two finger widths to each side of the crease",
    "forearm_distal": "forearm, the half by the wrist",
    "forearm_proximal": "forearm, the half by the elbow",
    "elbow": "elbow",
    "upper_arm": "upper arm",
    "shoulder": "shoulder, from the edge of the trapezius to the arm",
    "neck_posterior": "back of the neck and the slope to the shoulder, behind the edge of the trapezius",
    "upper_back": "back above the lowest rib",
    "lower_back": "back below the lowest rib",
    "spine_midline": "over the spinous processes",
    "upper_abdomen": "between ribs and navel",
    "buttock": "buttock",
    "thigh_front": "front and inner side of the thigh",
    "thigh_back": "back of the thigh",
    "knee_front": "kneecap and its tendons",
    "popliteal_fossa": "hollow of the knee",
    "fibular_neck": "below the head of the fibula, where the common peroneal nerve lies on bone",
    "shin": "front and outer side of the leg",
    "tibial_crest": "over the front edge and inner face of the tibia",
    "calf": "back of the leg",
    "ankle": "ankle",
    "foot": "foot and toes",
}

#: What a person may have anywhere; pads stay off it.
OF_PERSON: dict[str, str] = {
    "allodynia": "skin on which touch hurts",
    "wound": "open or healing skin, fresh scar",
    "infection": "infected or inflamed tissue",
    "irradiated_skin": "irradiated in the last six months",
    "tumour": "cancer, known or suspected",
    "insensate_skin": "skin that feels too little to warn",
    "swelling": "swollen or discoloured tissue",
    "thrombosis": "a clot, known or suspected, anywhere in the limb",
    "metal_implant": "metal under the skin put in less than three months ago",
    "electronic_implant": "an implanted device or its lead",
    "fracture": "a fracture or fresh surgery that must not be moved",
    "growth_plate": "an open growth plate",
    "adverse_event": "an adverse event that is still open",
}

ZONES: dict[str, str] = {**NEVER, **CONDITIONS, **PARTS, **OF_PERSON}


class ZoneError(UserError, ValueError):
    """A name that is no zone; the text says which are."""


@dataclass(frozen=True, slots=True)
class Zone:
    """A place that must stay free.

    Attributes
    ----------
    place
        Part, condition or never-zone; None for something of the person that names no part.
    side
        None for both.
    what
        What the person has there, of :data:`OF_PERSON`; None where the place itself is closed.
    """

    place: str | None
    side: Literal["left", "right"] | None = None
    what: str | None = None


def parse_zone(text: str) -> Zone:
    """Read ``hand``, ``hand_left``, ``allodynia`` or ``allodynia:hand_left``.

    Raises
    ------
    ZoneError
        If it names no zone.
    """
    what, colon, rest = text.partition(":")
    if colon and what not in OF_PERSON:
        raise ZoneError(f"zone {text!r}: {what!r} is not known, allowed before a colon: {', '.join(OF_PERSON)}")
    if not colon and what in OF_PERSON:
        return Zone(None, what=what)
    place, side = _sided(rest if colon else text)
    allowed = {**NEVER, **CONDITIONS, **PARTS}
    if place not in allowed:
        raise ZoneError(f"zone {text!r}: {place!r} is not known, allowed: {', '.join(allowed)}")
    return Zone(place, side, what if colon else None)


def lies_in(zone: Zone, places: Iterable[str], side: Side | None) -> bool:
    """Whether a site whose pads lie in `places`, on `side`, touches a zone; a side that is not said touches both."""
    if zone.place is None or zone.place not in places:
        return False
    return zone.side is None or side not in ("left", "right") or side == zone.side


def _sided(text: str) -> tuple[str, Literal["left", "right"] | None]:
    if text.endswith("_left"):
        return text.removesuffix("_left"), "left"
    if text.endswith("_right"):
        return text.removesuffix("_right"), "right"
    return text, None
