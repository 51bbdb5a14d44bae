"""Where on the body a planned site is, and which sites a finding of a given scope concerns."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Literal, get_args

Region = Literal[
    "head", "neck_front", "neck_back", "chest", "upper_back", "lower_back", "abdomen", "pelvis", "arm", "leg"
]
Side = Literal["left", "right", "both", "midline"]
#: Parts of the body that a person is asked about.
PLACES = ("left_arm", "right_arm", "left_leg", "right_leg", "trunk", "neck", "head")
#: What a finding concerns: every site, a part of the body, the places that the answer names, the site of its form.
Scope = Literal["all", "trunk", "thorax", "abdomen", "places", "site"]

_TRUNK = frozenset({"chest", "upper_back", "lower_back", "abdomen", "pelvis"})
_NECK = frozenset({"neck_front", "neck_back"})
#: Next to the heart or to where most implants of the heart lie; a path that crosses the chest comes on top.
_THORAX = frozenset({"chest", "upper_back"}) | _NECK
#: Never stimulated, whoever agrees: users.md section 1, extra items (P48), and its list of what will not be built.
FORBIDDEN_REGIONS = frozenset({"head", "neck_front", "chest"})
_REGIONS: tuple[Region, ...] = get_args(Region)
_SIDES: tuple[Side, ...] = get_args(Side)


@dataclass(frozen=True, slots=True)
class PlannedSite:
    """A site that is to be stimulated.

    Attributes
    ----------
    name
        As in the protocol.
    region, side
        Where it is; shoulder blades and the trapezius between them are ``upper_back``, its neck part ``neck_back``,
        buttocks ``pelvis``.
    through_chest
        Whether current flows through the chest from one pad to the other (pads on both arms, on chest and back).
    near_chest
        Whether it lies so near the chest (at the shoulder) that it counts as there beside an implant.
    closed
        Whether nobody may stimulate there for another reason, such as a forbidden site of the library.

    Raises
    ------
    ValueError
        If there is no such region or side, or a limb without a side.
    """

    name: str
    region: Region
    side: Side
    through_chest: bool = False
    near_chest: bool = False
    closed: bool = False

    def __post_init__(self) -> None:
        checked_region(self.name, self.region)
        checked_side(self.name, self.side)
        if self.region in ("arm", "leg") and self.side == "midline":
            raise ValueError(f"{self.name}: side: found 'midline', allowed for a limb: left, right, both")

    @property
    def places(self) -> frozenset[str]:
        """The parts of the body it lies on, of `PLACES`."""
        if self.region in ("arm", "leg"):
            sides = ("left", "right") if self.side == "both" else (self.side,)
            return frozenset(f"{side}_{self.region}" for side in sides)
        if self.region in _TRUNK:
            return frozenset({"trunk"})
        return frozenset({"neck" if self.region in _NECK else "head"})

    @property
    def thoracic(self) -> bool:
        """Whether it is at the chest or close to it, or its current crosses it."""
        return self.through_chest or self.near_chest or self.region in _THORAX

    @property
    def forbidden(self) -> bool:
        """Whether nothing may be stimulated here, whoever agrees."""
        return self.closed or self.through_chest or self.region in FORBIDDEN_REGIONS


def checked_region(name: str, found: str) -> Region:
    """The region of a site.

    Raises
    ------
    ValueError
        If there is no such region.
    """
    if found not in _REGIONS:
        raise ValueError(f"{name}: region: found {found!r}, allowed: {', '.join(_REGIONS)}")
    return found


def checked_side(name: str, found: str) -> Side:
    """The side of a site.

    Raises
    ------
    ValueError
        If there is no such side.
    """
    if found not in _SIDES:
        raise ValueError(f"{name}: side: found {found!r}, allowed: {', '.join(_SIDES)}")
    return found


#: Regions of the site library; its ``trunk`` is told apart by the zones in which the pads lie.
_OF_LIBRARY: dict[str, Region] = {
    "limb_upper": "arm", "limb_lower": "leg", "neck_posterior": "neck_back", "neck_anterior": "neck_front",
    "head": "head", "chest": "chest", "pelvis": "pelvis",
}  # fmt: skip
#: The first that fits, so that a site in two zones is where more is asked of it.
_OF_TRUNK: tuple[tuple[str, Region], ...] = (
    ("upper_back", "upper_back"), ("spine_midline", "upper_back"), ("upper_abdomen", "abdomen"),
    ("lower_abdomen", "abdomen"), ("buttock", "pelvis"), ("lower_back", "lower_back"),
)  # fmt: skip


def library_site(
    name: str, region: str, zones: Collection[str], side: Side, *, forbidden: bool, through_chest: bool = False
) -> PlannedSite:
    """A planned site from what the site library says of it.

    Parameters
    ----------
    name
        As in the protocol.
    region, zones
        The library's, and the zones in which the pads lie.
    forbidden
        Whether its use is ``forbidden`` there.
    through_chest
        As in `PlannedSite`: a matter of the channel, not of the site.

    Raises
    ------
    ValueError
        If it cannot be told where it is, so that it could not be told what closes it.
    """
    here: Region | None = "pelvis" if "buttock" in zones else _OF_LIBRARY.get(region)
    if region == "trunk":
        here = next((mine for zone, mine in _OF_TRUNK if zone in zones), None)
    if here is None:
        raise ValueError(
            f"{name}: found region {region!r} with zones {', '.join(sorted(zones)) or 'none'}: where is it?"
        )
    return PlannedSite(
        name, here, side, through_chest or "across_heart" in zones, near_chest="shoulder" in zones, closed=forbidden
    )


def sites_within(
    scope: Scope, sites: Iterable[PlannedSite], *, site: str = "", places: Collection[str] = ()
) -> tuple[str, ...]:
    """Names of the sites that a finding concerns.

    Parameters
    ----------
    site
        For the scope ``site``: the one the form is about.
    places
        For the scope ``places``: what the answer names. One that is no place of the body concerns every site.
    """
    return tuple(each.name for each in sites if _concerns(scope, each, site, places))


def _concerns(scope: Scope, each: PlannedSite, site: str, places: Collection[str]) -> bool:
    if scope == "all":
        return True
    if scope == "trunk":
        return each.region in _TRUNK or each.through_chest
    if scope == "thorax":
        return each.thoracic
    if scope == "abdomen":
        return each.region in ("abdomen", "pelvis")
    if scope == "places":
        return not set(places) <= set(PLACES) or not each.places.isdisjoint(places)
    return each.name == site
