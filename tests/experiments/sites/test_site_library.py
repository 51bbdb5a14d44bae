"""The library's files: which there are, that each is whole, and that a mistake in one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from myoloop.experiments.sites.library import LIBRARY, SOURCES, SiteError, SourceTable, load_site, sites, sources
from myoloop.experiments.sites.makers import makers_rules
from myoloop.experiments.sites.schema import CLOSED_REGIONS
from myoloop.experiments.sites.words import as_data, describe
from myoloop.experiments.sites.zones import CONDITIONS, NEVER
from myoloop.platform.yamlfile import FileError, load_model
from myoloop.stimulators.gate.ceilings import PAD_AREA_MIN_CM2

OF_PRESETS = {
    "wrist_extensors", "wrist_flexors", "forearm_proximal", "lumbar_erector_spinae", "multifidus_lumbar",
    "upper_trapezius", "quadriceps", "vastus_medialis", "hamstrings", "tibialis_anterior", "gastrocnemius_soleus",
    "common_peroneal_nerve", "tibial_nerve",
}  # fmt: skip
FORBIDDEN = {"anterior_neck", "carotid_sinus", "head", "eye", "mouth", "chest", "gonads", "pregnant_trunk"}
Own = Callable[..., Path]


def test_the_sites_that_ship_are_these() -> None:
    uses = {name: load_site(name).use for name in sites()}
    assert {name for name, use in uses.items() if use == "allowed"} == OF_PRESETS
    assert {name for name, use in uses.items() if use == "forbidden"} == FORBIDDEN
    assert {name for name, use in uses.items() if use == "caution"} == {"abdomen"}


@pytest.mark.parametrize("name", sorted(OF_PRESETS | {"abdomen"}))
def test_a_site_that_may_be_used_says_all_that_a_placement_needs(name: str) -> None:
    site = load_site(name)
    assert site.pads is not None
    assert {place.polarity for place in site.pads.places} == {"cathode", "anode"}
    assert site.pads.least_cm2 >= PAD_AREA_MIN_CM2
    assert site.pads.apart_cm >= site.pads.usual_cm[0], "makers ask for a pad's width between pads"
    assert site.emg is not None
    assert site.answer is not None
    assert site.answer.wrong
    assert site.posture
    assert site.polarity
    assert len(site.landmarks) >= 2
    assert not set(site.lies_in) & NEVER.keys()
    assert site.region not in CLOSED_REGIONS


@pytest.mark.parametrize("name", sorted(OF_PRESETS))
def test_a_trunk_site_is_closed_in_pregnancy_and_a_limb_site_is_not(name: str) -> None:
    site = load_site(name)
    assert (set(site.lies_in) >= CONDITIONS.keys()) == (site.region in ("trunk", "pelvis"))


@pytest.mark.parametrize("name", sorted(OF_PRESETS))
def test_what_should_answer_or_stay_quiet_is_a_site_of_the_library(name: str) -> None:
    answer = load_site(name).answer
    assert answer is not None
    assert {*answer.emg_rises, *answer.emg_quiet} <= sites().keys()
    assert not set(answer.emg_rises) & set(answer.emg_quiet)


@pytest.mark.parametrize("name", sorted(OF_PRESETS))
def test_only_what_is_meant_for_skin_works_without_a_lower_motor_neurone(name: str) -> None:
    site = load_site(name)
    assert site.innervated == (site.target != "skin")


def test_every_source_of_the_table_is_used() -> None:
    used = {mark for name in sites() for mark in sources(load_site(name))} | {rule.source for rule in makers_rules()}
    assert used == load_model(SOURCES, SourceTable).root.keys()


@pytest.mark.parametrize("side", ["left", "right", "both"])
def test_one_file_is_for_both_sides(side: str) -> None:
    site = load_site(f"lib/wrist_extensors_{side}")
    assert (site.name, site.side) == ("wrist_extensors", side)
    assert load_site(f"wrist_extensors_{side}") == site


def test_a_name_without_its_side_says_none() -> None:
    assert load_site("lib/wrist_extensors").side is None


def test_the_midline_has_no_side() -> None:
    assert load_site("lib/head").side == "midline"
    with pytest.raises(SiteError, match="head lies in the midline"):
        load_site("lib/head_left")


def test_a_name_that_is_near_is_offered() -> None:
    with pytest.raises(SiteError, match=r"not known \(did you mean wrist_extensors\?\), allowed: abdomen"):
        load_site("lib/wrist_extensor_left")


@pytest.mark.parametrize("name", ["", "lib/", "lib/../secret", "/etc/passwd", "lib/Wrist", "own/x", "a b", "x" * 60])
def test_what_is_no_name_is_refused_before_any_file_is_looked_for(name: str) -> None:
    with pytest.raises(SiteError, match="allowed is a name such as"):
        load_site(name)


def test_a_study_may_have_sites_of_its_own(own: Own) -> None:
    folder = own(("title: Wrist extensors", "title: My extensors"))
    assert load_site("lib/mine_right", folder).title == "My extensors"
    assert sites(folder).keys() - sites().keys() == {"mine"}
    with pytest.raises(SiteError, match="not known"):
        load_site("lib/mine_right")


def test_a_study_may_not_replace_a_site_of_the_library(own: Own) -> None:
    with pytest.raises(FileError, match="the library has a site head"):
        sites(own(name="head"))


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="nowhere: is no folder"):
        sites(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("lies_in: [forearm_proximal, forearm_distal]", "lies_in: [chest]", "allowed in chest is forbidden only"),
        ("lies_in: [forearm_proximal", "lies_in: [carotid_sinus", "allowed in carotid_sinus is forbidden only"),
        ("region: limb_upper", "region: head", "allowed in head is forbidden only"),
        ("use: allowed", "use: caution", "reason: missing"),
        ("use: allowed", "use: forbidden\nreason: x", "pads: found at a forbidden site"),
        ("lies_in: [forearm_proximal,", "lies_in: [forarm,", "found 'forarm'"),
        ("  allodynia: pads stay", "  allodinia: pads stay", "found 'allodinia'"),
        ("  wrist: tendons", "  forearm_distal: tendons", "in which the pads themselves lie"),
        ("polarity: anode", "polarity: cathode", "needed are a cathode and an anode"),
        ("least: 9 cm2", "least: 90 cm2", "the usual pad has 25 cm2"),
        ("usual: 5x5 cm", "usual: 25 cm2", "two sides with their unit"),
        ("least: 9 cm2", "least: 9", "no unit"),
        ("posture: seated", "posure: seated", "unknown key (did you mean posture?)"),
        ("answer: [GK]", "answer: []", "answer has none"),
        ("pads.apart: [IFUS]", "pads.aparte: [IFUS]", "found 'pads.aparte'"),
        ("pads: [GK]", "pads: [P999]", "mark 'P999' has no source"),
        ("sides: [left, right]", "sides: [left]", r"allowed is [left, right] or [midline]"),
        ("from: lateral_epicondyle, to: wrist_back, along: 0.24", "from: nose, to: wrist_back, along: 0.24", "'nose'"),
        ("view: forearm_back", "view: ear", "found 'ear'"),
        ("name: mine", "name: yours", "allowed is the file's own name, 'mine'"),
        ("name: mine", "name: mine_left", "the side is no part of it"),
        ("  joint: wrist\n", "", "joint, direction and segment together"),
    ],
)
def test_a_mistake_in_a_file_is_named(own: Own, old: str, new: str, words: str) -> None:
    with pytest.raises(FileError) as error:
        load_site("mine", own((old, new)))
    assert words in str(error.value)
    assert str(error.value).startswith(str(Path(error.value.problems[0]).parent / "mine.yaml"))


@pytest.mark.parametrize("name", sorted(OF_PRESETS | FORBIDDEN))
def test_words_and_data_hold_everything_that_is_acted_on(name: str) -> None:
    site = load_site(name)
    words, data = describe(site), as_data(site)
    for text in (site.title, site.use, site.muscle, site.reason, site.posture, *site.cautions, *site.no_go.values()):
        assert text in words
    for place in site.pads.places if site.pads is not None else ():
        assert f"{place.name}, {place.polarity}: {place.where}" in words
    assert data["name"] == name
    assert data["use"] == site.use
    for mark in data["sources"]:
        assert f"{mark}: " in words


def test_the_files_are_where_the_package_is() -> None:
    assert all(path.parent == LIBRARY for path in sites().values())
    assert {path.stem for path in LIBRARY.glob("*.svg")} == sites().keys()
