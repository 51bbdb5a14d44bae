"""Names of places that must stay free."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.sites.zones import (
    CONDITIONS,
    NEVER,
    OF_PERSON,
    PARTS,
    ZONES,
    Zone,
    ZoneError,
    lies_in,
    parse_zone,
)


@pytest.mark.parametrize(
    ("text", "zone"),
    [
        ("hand", Zone("hand")),
        ("hand_left", Zone("hand", "left")),
        ("allodynia", Zone(None, None, "allodynia")),
        ("allodynia:hand_right", Zone("hand", "right", "allodynia")),
        ("wound:thigh_back", Zone("thigh_back", None, "wound")),
        ("pregnant_trunk", Zone("pregnant_trunk")),
        ("eye_left", Zone("eye", "left")),
    ],
)
def test_a_zone_is_a_place_with_or_without_side_and_what_is_there(text: str, zone: Zone) -> None:
    assert parse_zone(text) == zone


@pytest.mark.parametrize("text", ["", "paw", "hand_up", "allodynia:", "hand:allodynia", "allodinia:hand", "hand:hand"])
def test_what_is_no_zone_is_refused_with_what_is(text: str) -> None:
    with pytest.raises(ZoneError, match="is not known, allowed"):
        parse_zone(text)


def test_no_name_is_of_two_kinds() -> None:
    assert len(ZONES) == len(NEVER) + len(CONDITIONS) + len(PARTS) + len(OF_PERSON)


@settings(deadline=None)
@given(st.sampled_from(sorted(PARTS)), st.sampled_from(["left", "right"]), st.sampled_from(["left", "right", "both"]))
def test_sides_keep_apart_only_left_and_right(part: str, zone_side: str, site_side: str) -> None:
    apart = site_side != "both" and site_side != zone_side
    assert lies_in(parse_zone(f"{part}_{zone_side}"), [part], site_side) != apart  # type: ignore[arg-type]
    assert lies_in(parse_zone(part), [part], site_side)  # type: ignore[arg-type]
    assert lies_in(parse_zone(f"{part}_{zone_side}"), [part], None)
    assert not lies_in(parse_zone(part), set(PARTS) - {part}, None)
