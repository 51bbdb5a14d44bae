"""The card that a console gets of a blinded session tells nothing of the arm."""

from __future__ import annotations

import json

import pytest

from myoloop.experiments.sessions.card import CARD_FILE, card_of, write_card


@pytest.fixture
def card(plan):
    def made(arm: str) -> dict:
        setup, _ = plan(arm)
        streams = [each for source in setup.known.sources.values() for each in source.descriptors or ()]
        return card_of(setup, streams, 4711)

    return made


def test_it_is_the_same_whatever_the_arm_and_names_none(card):
    cards = [card("quokkaverum"), card("numbatscheinarm")]
    for each in cards:
        # Each study of this test has its own folder.
        assert each.pop("study")
        assert each["blinded"] is True
        said = json.dumps(each).lower()
        assert not any(word in said for word in ("quokka", "numbat", "sham", "transient", "treatment", "active"))
    assert cards[0] == cards[1]


def test_it_says_what_a_page_needs(card):
    told = card("quokkaverum")
    assert (told["session"], told["subject"], told["rig_class"], told["simulated"]) == ("s1", "P001", "SIM", True)
    assert told["channels"] == [{"name": "ext", "cap_ma": 20.0, "site": "ext"}]
    assert told["phases"] == [{"name": "begin", "kind": "rest"}, {"name": "train", "kind": "block"}]
    assert (told["stop_port"], told["director"], told["stimulator"]) == (4711, "director", "stimulator")
    (muscle,) = told["muscles"]
    assert (muscle["name"], muscle["rate_hz"], muscle["offset"]) == ("ext", 2000.0, 0.0)
    assert 0 < muscle["scale_uv"] < 10
    assert [site["name"] for site in told["sites"]] == ["ext"]


def test_it_is_there_whole_or_not_at_all(card, tmp_path):
    told = card("quokkaverum")
    for _ in range(2):
        write_card(tmp_path, told)
        assert [path.name for path in tmp_path.iterdir()] == [CARD_FILE]
        assert json.loads((tmp_path / CARD_FILE).read_text()) == json.loads(json.dumps(told))
