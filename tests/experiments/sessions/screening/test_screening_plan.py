"""What screening must know of a session: where its sites are, and what is known of the person."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from myoloop.experiments.protocols.schema import load_protocol, presets
from myoloop.experiments.screening.history import History
from myoloop.experiments.screening.places import PlannedSite
from myoloop.experiments.sessions.screening_plan import places_of, rehearsed

WALL = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)


@pytest.mark.parametrize("name", sorted(presets()))
def test_of_every_preset_that_screens_it_is_known_where_its_sites_are(name):
    protocol = load_protocol(name)
    if not any(item.screening is not None for item in protocol.phases):
        pytest.skip("asks for no screening")
    places = places_of(protocol)
    for channel in protocol.stimulation.values():
        site = protocol.sites[channel.site]
        where = places[channel.site]
        assert not PlannedSite(channel.site, where.region, site.side, where.through_chest).forbidden


def test_a_rehearsals_history_goes_through_json():
    plan = rehearsed(load_protocol("crps_motor_reeducation"), "SIM", WALL)
    history = msgspec.convert(msgspec.json.decode(msgspec.json.encode(plan.history)), History)
    assert history.adverse_events == ()
    assert datetime.fromisoformat(plan.wall) == WALL


def test_nobody_is_rehearsed_on_a_rig_for_people():
    with pytest.raises(ValueError, match="people answer for themselves"):
        rehearsed(load_protocol("demo"), "HUMAN", WALL)
