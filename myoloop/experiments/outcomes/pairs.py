"""Which two muscles a protocol lets be compared: light, for rules look at it where nothing is computed."""

from __future__ import annotations

from typing import NamedTuple

from myoloop.experiments.protocols.schema import Protocol, Site


class Pair(NamedTuple):
    """Two muscles whose strongest contractions a protocol asks for, and what sets them apart."""

    first: str
    second: str
    by: str


def mvc_pair(protocol: Protocol) -> Pair | None:
    """Which two muscles a symmetry is of: left and right of one muscle, else agonist and antagonist.

    Returns
    -------
    Pair
        The only one; None where the protocol's MVC phases name none, or more than one.
    """
    asked = dict.fromkeys(item.mvc.muscle for item in protocol.phases if item.mvc is not None)
    pulling = {name: protocol.sites[name] for name in asked if name in protocol.sites}
    sides = [
        Pair(left, right, "left and right")
        for left, here in pulling.items()
        for right, there in pulling.items()
        if (here.side, there.side) == ("left", "right") and _called(here) == _called(there)
    ]
    roles = [
        Pair(one, other, "agonist and antagonist")
        for one, here in pulling.items()
        for other, there in pulling.items()
        if (here.emg, there.emg) == ("agonist", "antagonist")
    ]
    found = sides or roles
    return found[0] if len(found) == 1 else None


def _called(site: Site) -> str:
    return " ".join(site.muscle.casefold().split())
