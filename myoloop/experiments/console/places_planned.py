"""Where a protocol stimulates: its sites on the body, their pictures, what an open adverse event closes of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.screening.adverse import event_of, sites_closed_by
from myoloop.experiments.screening.places import PlannedSite, checked_region, checked_side
from myoloop.experiments.sessions.screening_plan import places_of
from myoloop.experiments.sites.draw import picture
from myoloop.experiments.sites.library import load_site
from myoloop.experiments.sites.outlines import spoken
from myoloop.experiments.studies.adverse import AdverseEvent


@dataclass(frozen=True, slots=True)
class Electrode:
    """One thing to put on the skin: what it is, and where.

    Attributes
    ----------
    key
        Short and unique within its site.
    """

    key: str
    says: str


@dataclass(frozen=True, slots=True)
class SiteShown:
    """A site as the operator needs it to place what belongs there.

    Attributes
    ----------
    channels
        Stimulation channels on it; empty where it is only listened to.
    ref
        Its entry in the site library; empty where the protocol names none, then there is no picture.
    """

    name: str
    muscle: str
    side: str
    channels: tuple[str, ...]
    ref: str
    electrodes: tuple[Electrode, ...]
    posture: str = ""
    avoid: str = ""


def stimulated(protocol: Protocol) -> tuple[str, ...]:
    """Names of the sites with pads, in the protocol's order."""
    with_pads = {channel.site for channel in protocol.stimulation.values()}
    return tuple(name for name in protocol.sites if name in with_pads)


def planned_in(protocol: Protocol) -> tuple[PlannedSite, ...]:
    """Where on the body stimulation is planned; a site of which that is not known is left out, screening blocks it."""
    where = places_of(protocol)
    return tuple(
        PlannedSite(name, checked_region(name, where[name].region), checked_side(name, protocol.sites[name].side))
        for name in stimulated(protocol)
        if name in where
    )


def closed_today(events: Iterable[AdverseEvent], sites: Iterable[PlannedSite], today: date) -> tuple[str, ...]:
    """Names of the sites that events keep closed, by screening's own rule."""
    planned = tuple(sites)
    known = [event_of(f"ae-{each.number}", each.values) for each in events]
    closed = {name for event in known if event.is_open(today) for name in sites_closed_by(event, planned)}
    return tuple(each.name for each in planned if each.name in closed)


def sites_shown(protocol: Protocol) -> dict[str, SiteShown]:
    """Every site of a protocol, with what is put on the skin there."""
    channels: dict[str, list[str]] = {}
    for channel, each in protocol.stimulation.items():
        channels.setdefault(each.site, []).append(channel)
    listened = set(protocol.devices.emg.channels)
    found = {}
    for name, site in protocol.sites.items():
        mine = tuple(channels.get(name, ()))
        found[name] = SiteShown(
            name, site.muscle, site.side, mine, site.ref or "",
            _electrodes(site.ref, site.pads if mine else 0, name in listened), site.posture, site.avoid,
        )  # fmt: skip
    return found


def site_picture(ref: str) -> str:
    """The site's picture as SVG text.

    Raises
    ------
    SiteError
        If the library has no such site.
    """
    return picture(load_site(ref))


def _electrodes(ref: str | None, pads: int, listened: bool) -> tuple[Electrode, ...]:
    info = load_site(ref) if ref is not None else None
    found: list[Electrode] = []
    if pads and info is not None and info.pads is not None:
        short, long = info.pads.usual_cm
        found += [
            Electrode(f"pad{number}", f"Pad {number}, {pad.polarity}: {pad.name}, {short:g} x {long:g} cm")
            for number, pad in enumerate(info.pads.places, 1)
        ]
    elif pads:
        found += [Electrode(f"pad{number}", f"Pad {number}") for number in range(1, pads + 1)]
    if listened:
        apart = f", {info.emg.spacing_cm:g} cm apart" if info is not None and info.emg is not None else ""
        reference = f": {spoken(info.emg.reference)}" if info is not None and info.emg is not None else ""
        found.append(Electrode("emg", f"EMG pair{apart}"))
        found.append(Electrode("reference", f"EMG reference{reference}"))
    return tuple(found)
