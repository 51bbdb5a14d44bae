"""What a session's screening must know beside the answers, put together before it begins."""

from __future__ import annotations

from datetime import datetime

import msgspec

from myoloop.experiments.protocols.plan import PlaceOnBody, ScreeningPlan
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.screening.clear import clear_history
from myoloop.experiments.screening.history import History
from myoloop.experiments.sites.library import load_site

#: The site library's regions in the words of screening; of the trunk it depends on the site.
_REGIONS = {
    "limb_upper": "arm",
    "limb_lower": "leg",
    "neck_posterior": "neck_back",
    "neck_anterior": "neck_front",
    "head": "head",
    "chest": "chest",
    "pelvis": "pelvis",
}
_OF_THE_TRUNK = {
    "lumbar_erector_spinae": "lower_back",
    "multifidus_lumbar": "lower_back",
    "abdomen": "abdomen",
}


def places_of(protocol: Protocol) -> dict[str, PlaceOnBody]:
    """Where on the body the sites are, by the site library; one that cannot be told is left out, and blocked then.

    Raises
    ------
    SiteError
        If a site of the library cannot be read.
    """
    found = {}
    for name, site in protocol.sites.items():
        if site.ref is None:
            continue
        info = load_site(site.ref)
        region = _REGIONS.get(info.region) or _OF_THE_TRUNK.get(info.name)
        if region is not None:
            found[name] = PlaceOnBody(region)
    return found


def screening_plan(
    protocol: Protocol, history: History, wall: datetime, *, post_operative: bool = False, dummy_load: str = ""
) -> ScreeningPlan:
    """What the director's screening and checks go by.

    Parameters
    ----------
    wall
        When the session begins, with its zone.
    post_operative, dummy_load
        As :class:`~myoloop.experiments.protocols.planned.ScreeningPlan` has them.
    """
    return ScreeningPlan(
        wall=wall.isoformat(),
        history=msgspec.to_builtins(history),
        places=places_of(protocol),
        post_operative=post_operative,
        dummy_load=dummy_load,
    )


def rehearsed(protocol: Protocol, rig_class: str, wall: datetime) -> ScreeningPlan:
    """The same for a rehearsal: nothing has ever happened to the person, who is none.

    Raises
    ------
    ValueError
        If the rig is for a person.
    """
    return screening_plan(protocol, clear_history(rig_class, wall), wall)
