"""Where a site lies decides what closes it; the library's words for places are understood or refused."""

from __future__ import annotations

from typing import Any

import pytest

from myoloop.experiments.screening.places import PLACES, PlannedSite, library_site, sites_within
from myoloop.experiments.sites.library import load_site, sites
from myoloop.experiments.sites.schema import CLOSED_REGIONS

EVERYWHERE = (
    PlannedSite("arm", "arm", "left"),
    PlannedSite("legs", "leg", "both"),
    PlannedSite("back", "lower_back", "both"),
    PlannedSite("blades", "upper_back", "both"),
    PlannedSite("belly", "abdomen", "right"),
    PlannedSite("glutes", "pelvis", "left"),
    PlannedSite("nape", "neck_back", "midline"),
    PlannedSite("brow", "head", "midline"),
)


@pytest.mark.parametrize(
    ("scope", "places", "names"),
    [
        ("all", (), {"arm", "legs", "back", "blades", "belly", "glutes", "nape", "brow"}),
        ("trunk", (), {"back", "blades", "belly", "glutes"}),
        ("thorax", (), {"blades", "nape"}),
        ("abdomen", (), {"belly", "glutes"}),
        ("places", ("left_arm",), {"arm"}),
        ("places", ("right_arm",), set()),
        ("places", ("right_leg",), {"legs"}),
        ("places", ("trunk", "head"), {"back", "blades", "belly", "glutes", "brow"}),
        ("places", ("unsure",), {"arm", "legs", "back", "blades", "belly", "glutes", "nape", "brow"}),
        ("places", PLACES, {"arm", "legs", "back", "blades", "belly", "glutes", "nape", "brow"}),
        ("site", (), {"belly"}),
    ],
)
def test_a_scope_reaches_the_sites_that_lie_in_it(scope: Any, places: tuple[str, ...], names: set[str]) -> None:
    assert set(sites_within(scope, EVERYWHERE, site="belly", places=places)) == names


def test_a_path_through_the_chest_is_of_the_trunk_and_the_thorax_and_forbidden() -> None:
    site = PlannedSite("x", "arm", "both", through_chest=True)
    assert sites_within("thorax", [site]) == sites_within("trunk", [site]) == ("x",)
    assert site.forbidden


@pytest.mark.parametrize("name", sites())
@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_every_site_of_the_library_is_somewhere_and_what_is_closed_there_is_closed_here(name: str, side: Any) -> None:
    info = load_site(name)
    site = library_site(name, info.region, info.lies_in, side, forbidden=info.use == "forbidden")
    assert site.forbidden >= (info.use == "forbidden" or info.region in CLOSED_REGIONS)
    assert ("pregnant_trunk" not in info.lies_in) or site.places == {"trunk"}


@pytest.mark.parametrize(
    ("region", "zones", "expected"),
    [
        ("trunk", ("lower_back", "upper_back"), "upper_back"),
        ("trunk", ("lower_back",), "lower_back"),
        ("trunk", ("upper_abdomen",), "abdomen"),
        ("limb_lower", ("buttock", "thigh_back"), "pelvis"),
        ("limb_upper", ("shoulder",), "arm"),
    ],
)
def test_a_site_in_two_zones_is_where_more_is_asked_of_it(region: str, zones: tuple[str, ...], expected: str) -> None:
    site = library_site("x", region, zones, "left", forbidden=False)
    assert site.region == expected
    assert site.thoracic == ("shoulder" in zones or "upper_back" in zones)


@pytest.mark.parametrize(("region", "zones"), [("trunk", ()), ("tail", ("knee_front",)), ("trunk", ("wound",))])
def test_a_site_that_could_be_anywhere_is_refused(region: str, zones: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="where is it"):
        library_site("x", region, zones, "left", forbidden=False)
