"""What speaks against stimulating a site."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.screening.places import library_site
from myoloop.experiments.sites.library import load_site, sites
from myoloop.experiments.sites.makers import MakersRule, forbidden, makers_rules
from myoloop.experiments.sites.rules import PlannedPads, path_findings, site_cautions, site_findings, site_rules
from myoloop.experiments.sites.zones import ZONES, Side

PADS = PlannedPads(count=2, area_cm2=100.0)
FORBIDDEN = sorted(name for name in sites() if load_site(name).use == "forbidden")
USABLE = sorted(name for name in sites() if load_site(name).use != "forbidden")


@pytest.mark.parametrize("name", USABLE)
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_nothing_speaks_against_a_site_with_large_pads_on_an_unnamed_device(name: str, side: str) -> None:
    assert site_findings(load_site(f"{name}_{side}"), PADS) == []


@settings(deadline=None)
@given(
    name=st.sampled_from(FORBIDDEN),
    area=st.none() | st.floats(0.1, 1000),
    count=st.integers(0, 16),
    device=st.none() | st.text(max_size=20),
    zones=st.lists(st.sampled_from(sorted(ZONES))),
)
def test_nothing_opens_a_forbidden_site(
    name: str, area: float | None, count: int, device: str | None, zones: list[str]
) -> None:
    found = site_findings(load_site(name), PlannedPads(count, area), device, zones)
    assert any("is never stimulated" in text for text in found)


def test_a_forbidden_site_says_why() -> None:
    assert "can close the airway" in " ".join(site_findings(load_site("lib/anterior_neck"), PADS))


@pytest.mark.parametrize("device", ["Hasomed P24", "sciencemode34", "RehaMove3", "rehastim-2", "SCIENCE MODE 2"])
def test_the_neck_is_closed_on_stimulators_whose_maker_says_so(device: str) -> None:
    (found,) = site_findings(load_site("upper_trapezius_left"), PADS, device)
    assert device in found
    assert "[HASOMED]" in found


def test_the_neck_is_open_on_others_and_other_sites_on_this_one() -> None:
    assert forbidden(load_site("upper_trapezius"), "simulated") is None
    assert forbidden(load_site("upper_trapezius"), None) is None
    assert forbidden(load_site("quadriceps"), "Hasomed P24") is None


def test_rules_for_all_devices_hold_for_one_that_is_not_known() -> None:
    for name in ("head", "eye", "mouth", "anterior_neck", "carotid_sinus", "chest", "gonads"):
        assert forbidden(load_site(name), None) is not None


def test_another_table_may_be_asked() -> None:
    rule = MakersRule(devices=("acme",), zones=("forearm_distal",), why="because", source="X")
    assert forbidden(load_site("wrist_extensors"), "ACME 1", (rule,)) == "because [X]"
    assert forbidden(load_site("wrist_extensors"), "other", (rule,)) is None
    assert forbidden(load_site("forearm_proximal"), "ACME 1", (rule,)) is None


def test_a_row_that_names_no_place_or_none_that_is_known_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one zone or region"):
        MakersRule(devices=("acme",), why="because", source="X")
    with pytest.raises(ValueError, match="found 'paw'"):
        MakersRule(devices=("acme",), zones=("paw",), why="because", source="X")


def test_the_first_row_that_holds_is_the_makers_own() -> None:
    named = [rule.devices == ("any",) for rule in makers_rules()]
    assert named == sorted(named)


def test_too_small_a_pad_is_named_with_what_is_allowed() -> None:
    (found,) = site_findings(load_site("multifidus_lumbar_left"), PlannedPads(2, 25.0))
    assert found == "site multifidus_lumbar_left: found pads of 25 cm2, allowed is at least 40 cm2"


def test_a_missing_pad_area_is_named() -> None:
    (found,) = site_findings(load_site("wrist_extensors_left"), PlannedPads(2, None))
    assert "area of its pads is missing" in found


@pytest.mark.parametrize(
    ("name", "count", "good"), [("_left", 2, True), ("_left", 4, False), ("_both", 4, True), ("_both", 3, False)]
)
def test_the_number_of_pads_is_that_of_the_site(name: str, count: int, good: bool) -> None:
    found = site_findings(load_site(f"lumbar_erector_spinae{name}"), PlannedPads(count, 45.0))
    assert (found == []) == good


def test_a_side_must_be_said() -> None:
    (found,) = site_findings(load_site("wrist_extensors"), PADS)
    assert "says no side, allowed: wrist_extensors_left" in found


@pytest.mark.parametrize(
    ("zone", "closed"),
    [
        ("forearm_proximal", True),
        ("forearm_proximal_left", True),
        ("forearm_proximal_right", False),
        ("allodynia:forearm_distal_left", True),
        ("allodynia:hand_left", False),
        ("allodynia", False),
        ("pregnant_trunk", False),
    ],
)
def test_a_site_in_a_zone_that_must_stay_free_is_closed(zone: str, closed: bool) -> None:
    found = site_findings(load_site("wrist_extensors_left"), PADS, zones=[zone])
    assert bool(found) == closed
    assert all(zone in text for text in found)


def test_pregnancy_closes_the_trunk() -> None:
    for name in ("lumbar_erector_spinae_both", "multifidus_lumbar_left", "abdomen_left"):
        assert "pregnant_trunk" in " ".join(site_findings(load_site(name), PADS, zones=["pregnant_trunk"]))


def test_a_zone_that_is_none_is_a_finding_not_silence() -> None:
    (found,) = site_findings(load_site("wrist_extensors_left"), PADS, zones=["forarm"])
    assert "'forarm' is not known" in found


def test_where_only_emg_is_recorded_pads_and_makers_do_not_count_but_a_wound_does() -> None:
    site = load_site("wrist_extensors_left")
    assert site_findings(site, None, "Hasomed P24", ["forearm_proximal"]) == []
    assert site_findings(load_site("upper_trapezius_left"), None, "Hasomed P24") == []
    (found,) = site_findings(site, None, zones=["wound:forearm_proximal"])
    assert "wound" in found


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ("wrist_extensors_left", "wrist_flexors_left", None),
        ("quadriceps_left", "hamstrings_left", None),
        ("wrist_extensors_left", "wrist_extensors_right", "through the chest"),
        ("wrist_extensors_left", "upper_trapezius_right", "through the chest"),
        ("lumbar_erector_spinae_left", "lumbar_erector_spinae_right", "from one side of the body to the other"),
        ("gastrocnemius_soleus_left", "gastrocnemius_soleus_right", "from one side of the body to the other"),
        ("lumbar_erector_spinae_left", "hamstrings_left", "from trunk to limb_lower"),
        ("upper_trapezius_left", "chest", "cross the heart"),
    ],
)
def test_a_channel_stays_on_one_side_and_in_one_region(first: str, second: str, words: str | None) -> None:
    for pair in ((first, second), (second, first)):
        found = path_findings(*(load_site(name) for name in pair))
        assert (found == []) if words is None else any(words in text or "limb_lower to trunk" in text for text in found)


@pytest.mark.parametrize(
    ("name", "side", "words"),
    [
        ("wrist_extensors_left", "left", None),
        ("wrist_extensors", "right", None),
        ("lumbar_erector_spinae_both", "both", None),
        ("wrist_extensors_left", "right", "wrist_extensors_left: found side right, the reference says left"),
        ("wrist_extensors_both", "left", "found side left, the reference says both"),
        ("wrist_extensors", "midline", "found side midline, the reference says left or right"),
        ("head", "left", "found side left, the reference says midline"),
        ("head", "midline", "is never stimulated"),
    ],
)
def test_the_side_beside_a_reference_is_the_references(name: str, side: Side, words: str | None) -> None:
    found = site_rules(load_site(name), side, PADS)
    assert (found == []) if words is None else words in found[0]


def test_a_protocols_site_is_held_to_all_other_rules_too() -> None:
    found = site_rules(load_site("upper_trapezius"), "left", PlannedPads(3, 4.0), "P24", ["neck_posterior_left"])
    assert len(found) == 4
    assert all(text.startswith("site upper_trapezius_left: ") for text in found)


@pytest.mark.parametrize("name", sorted(sites()))
def test_screening_can_tell_where_a_site_lies(name: str) -> None:
    site = load_site(name)
    side = site.side or "left"
    forbids = site.use == "forbidden"
    planned = library_site(name, site.region, site.lies_in, side, forbidden=forbids)
    assert planned.forbidden == forbids


def test_cautions_name_the_site_and_the_reason_first() -> None:
    said = site_cautions(load_site("abdomen_left"))
    assert said[0].startswith("site abdomen_left: used with caution: bowels")
    assert any("hernia" in text for text in said[1:])
    assert site_cautions(load_site("head")) == []


def test_a_studys_own_site_is_held_to_the_same(own: Callable[..., Path]) -> None:
    folder = own(("least: 9 cm2", "least: 20 cm2"))
    (found,) = site_findings(load_site("mine_left", folder), PlannedPads(2, 12.0))
    assert "at least 20 cm2" in found
