"""Where: sites of the library, what forbids them, and that every site a person is stimulated at is one of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.protocols.rigsummary import RigSummary
from myoloop.experiments.protocols.schema import Protocol, Site
from myoloop.experiments.sites.library import load_site
from myoloop.experiments.sites.rules import PlannedPads, site_rules
from myoloop.platform.errors import UserError
from myoloop.platform.yamlfile import KeyPath

Finding = tuple[KeyPath, str, Any]


def sites_are_allowed(protocol: Protocol) -> Iterator[Finding]:
    """No stimulated site is one that is never stimulated; pads are large and many enough for it."""
    yield from _allowed(protocol, None)


def every_site_is_known(protocol: Protocol) -> Iterator[Finding]:
    """For people: landmarks, picture and no-go zones of each stimulated site are those of the library."""
    if "HUMAN" not in protocol.protocol.rigs:
        return
    for name in dict.fromkeys(channel.site for channel in protocol.stimulation.values()):
        site = protocol.sites.get(name)
        if site is not None and site.ref is None:
            text = "ref is missing, but needed where rigs has HUMAN, like ref: lib/wrist_extensors_left"
            yield ("sites", name), text, "error"


def makers_allow_the_sites(protocol: Protocol, rig: RigSummary) -> Iterator[Finding]:
    """The same for the rig's own stimulator, whose maker may forbid more."""
    known = set(_allowed(protocol, None))
    yield from (each for each in _allowed(protocol, rig.driver or None) if each not in known)


def _allowed(protocol: Protocol, device: str | None) -> Iterator[Finding]:
    stimulated = {channel.site for channel in protocol.stimulation.values()}
    for name, site in protocol.sites.items():
        if site.ref is None:
            continue
        keys: KeyPath = ("sites", name, "ref")
        try:
            info = load_site(site.ref)
        except UserError as error:
            yield keys, f"found {site.ref!r}: {str(error).splitlines()[0]}", "error"
            continue
        pads = _pads(site) if name in stimulated else None
        yield from ((keys, text, "error") for text in site_rules(info, site.side, pads, device))


def _pads(site: Site) -> PlannedPads:
    return PlannedPads(site.pads, site.pad_area_cm2)


RULES = (sites_are_allowed, every_site_is_known)
RIG_RULES = (makers_allow_the_sites,)
