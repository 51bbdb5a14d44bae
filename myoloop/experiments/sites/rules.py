"""What speaks against stimulating a site: pure rules, for lint, for the screening gate and for the placement form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from myoloop.experiments.sites.makers import forbidden
from myoloop.experiments.sites.schema import SiteInfo
from myoloop.experiments.sites.zones import ZONES, Side, ZoneError, lies_in, parse_zone

#: Regions above the heart and at its height, whose left and right must not be in one path.
_UPPER = frozenset({"limb_upper", "neck_posterior", "neck_anterior", "head", "chest"})


@dataclass(frozen=True, slots=True)
class PlannedPads:
    """The pads of one channel at a site, as a protocol or a placement form has them.

    Attributes
    ----------
    count
        How many.
    area_cm2
        Of the smaller one; None where it is not said.
    """

    count: int
    area_cm2: float | None


def site_rules(
    site: SiteInfo,
    side: Side,
    pads: PlannedPads | None,
    device: str | None = None,
    zones: Iterable[str] = (),
) -> list[str]:
    """What is wrong with a protocol's site that refers to one of the library: its side, then :func:`site_findings`.

    Parameters
    ----------
    side
        The one that the protocol says beside the reference; it must be that of the reference.
    """
    if site.side is None:
        site = site.model_copy(update={"side": side})
    if side != site.side or (side == "midline") != (site.sides == ("midline",)):
        return [f"site {_called(site)}: found side {side}, the reference says {_sides(site)}"]
    return site_findings(site, pads, device, zones)


def site_findings(
    site: SiteInfo, pads: PlannedPads | None, device: str | None = None, zones: Iterable[str] = ()
) -> list[str]:
    """Everything that forbids this site; empty where nothing does.

    Parameters
    ----------
    pads
        None where the site is only recorded from: then only what the person has there counts.
    device
        Name of driver, model or maker of the stimulator, as of :func:`forbidden`.
    zones
        Places that must stay free, as :func:`myoloop.experiments.sites.zones.parse_zone` reads them. What names no
        part (``allodynia``) can only be judged on the skin, and finds nothing here.
    """
    found = _stimulated(site, pads, device) if pads is not None else []
    for text in zones:
        try:
            zone = parse_zone(text)
        except ZoneError as error:
            found.append(str(error))
            continue
        if (pads is not None or zone.what is not None) and lies_in(zone, site.lies_in, site.side):
            says = ZONES[zone.what or zone.place or ""]
            found.append(f"site {_called(site)}: lies in the no-go zone {text} ({says})")
    return found


def site_cautions(site: SiteInfo) -> list[str]:
    """What a clinician must weigh before this site is stimulated; a site that is used with caution says why first."""
    first = [f"used with caution: {site.reason}"] if site.use == "caution" else []
    return [f"site {_called(site)}: {text}" for text in (*first, *site.cautions)]


def path_findings(first: SiteInfo, second: SiteInfo) -> list[str]:
    """What forbids a channel whose pads lie at two sites: the current goes through what is between them."""
    found = []
    pair = f"pads at {_called(first)} and {_called(second)}"
    sides = {first.side, second.side}
    regions = {first.region, second.region}
    if sides >= {"left", "right"} or "both" in sides:
        what = "through the chest" if regions <= _UPPER else "from one side of the body to the other"
        found.append(f"{pair}: the current would go {what}, allowed are both pads on one side")
    if "chest" in regions or {*first.lies_in, *second.lies_in} >= {"chest", "upper_back"}:
        found.append(f"{pair}: the current would cross the heart")
    elif first.region != second.region:
        found.append(f"{pair}: the current would go from {first.region} to {second.region}, allowed is one of them")
    return found


def _stimulated(site: SiteInfo, pads: PlannedPads, device: str | None) -> list[str]:
    found = []
    called = f"site {_called(site)}"
    if site.use == "forbidden":
        found.append(f"{called}: is never stimulated: {site.reason}")
    said = forbidden(site, device)
    if said is not None:
        found.append(f"{called}: {device or 'any device'}: {said}")
    if site.side is None:
        found.append(f"{called}: says no side, allowed: {site.name}_left, {site.name}_right, {site.name}_both")
    if pads.area_cm2 is None:
        found.append(f"{called}: the area of its pads is missing, but needed")
    if site.pads is None:
        return found
    # A site on both sides is a channel on each, or one channel's worth of pads on each.
    channels = 2 if site.side == "both" else 1
    if pads.count not in (site.pads.count, channels * site.pads.count):
        found.append(f"{called}: found {pads.count} pads, allowed is {channels * site.pads.count}")
    if pads.area_cm2 is not None and pads.area_cm2 < site.pads.least_cm2:
        found.append(f"{called}: found pads of {pads.area_cm2:g} cm2, allowed is at least {site.pads.least_cm2:g} cm2")
    return found


def _sides(site: SiteInfo) -> str:
    return site.side if site.side in (*site.sides, "both") and site.side is not None else " or ".join(site.sides)


def _called(site: SiteInfo) -> str:
    return site.name if site.side in (None, "midline") else f"{site.name}_{site.side}"
