"""Every act is a key; stop is alive whatever is being typed; ESC ends nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.sessions.keyboard import KEYS, Keyboard
from myoloop.experiments.sessions.scripted_acts import Ask, Press
from myoloop.experiments.sessions.terminal import named
from myoloop.platform.messages import Phase

STOP = Press("operator", "stop key")


def at(**more) -> Phase:
    return Phase(**{"t_ns": 0, "session": "s", "state": "running", "arm_id": "a", **more})


def pressed(text: str, phase: Phase | None = None, keyboard: Keyboard | None = None):
    keys = keyboard or Keyboard()
    stop = keys.feed(named(text), phase or at())
    return stop, keys.take_deeds()


@pytest.mark.parametrize(
    ("text", "deed"),
    [
        ("p", Ask("pause", "operator's key")),
        ("m", Ask("mark", "operator's key")),
        ("a", Ask("attend")),
        ("h", Ask("hold", "operator's key")),
        ("t", Ask("retry", "operator's key")),
        ("n7", Ask("score", arguments={"score": 7.0})),
        ("nt", Ask("score", arguments={"score": 10.0})),
        ("rok\r", Ask("resume", "ok")),
        ("edone\r", Ask("end", "done")),
        ("kpain\r", Ask("skip_mvc", "pain")),
        ("+", Ask("level", arguments={"level": 0.05})),
        ("-", Ask("level", arguments={"level": 0.0})),
    ],
)
def test_each_key_is_its_act(text, deed):
    assert pressed(text) == (None, [deed])


@pytest.mark.parametrize("text", [" ", "s", "S", "\x1b[24~", "x ", "rtoo lo", "n ", "r\x1b[24~", "\x1b[15 ", "\x1b "])
def test_stop_is_alive_whatever_is_typed(text):
    assert pressed(text)[0] == STOP


@settings(deadline=None)
@given(st.text(max_size=30))
def test_after_any_keys_a_space_stops_while_armed(text):
    assert pressed(text + " ")[0] == STOP


@settings(deadline=None)
@given(st.text(alphabet="\x1b\x7f0123abfhkmnopqrtx+-\r", max_size=30))
def test_f12_stops_in_every_state_and_escape_never_ends_a_session(text):
    keys = Keyboard()
    paused = at(arm_id="", state="paused")
    keys.feed(named(text), paused)
    keys.feed(["ESC"], paused)
    keys.take_deeds()
    assert keys.feed(["ESC", "ESC"], paused) is None
    assert keys.take_deeds() == []
    assert keys.feed(["F12"], paused) == STOP


def test_a_reason_may_have_blanks_where_no_current_can_flow():
    paused = at(arm_id="", state="paused", waiting_for="resume")
    assert pressed("rpads fixed\r", paused) == (None, [Ask("resume", "pads fixed")])


def test_a_dropped_question_does_nothing_and_a_wrong_answer_is_asked_again():
    keys = Keyboard()
    assert pressed("r\x1b", keyboard=keys) == (None, [])
    assert pressed("r\r", keyboard=keys) == (None, [])
    assert "a reason is needed" in keys.line
    assert pressed("ok\r", keyboard=keys) == (None, [Ask("resume", "ok")])


def test_a_form_is_asked_field_by_field():
    keys = Keyboard()
    waiting = at(arm_id="", state="waiting", waiting_for="form", forms=("nrs_now",))
    pressed("f", waiting, keys)
    assert "nrs_now" in keys.line
    asked = 0
    deeds: list = []
    while not deeds and asked < 20:
        asked += 1
        _, deeds = pressed("3\r", waiting, keys)
    (deed,) = deeds
    assert (deed.kind, deed.arguments["form"]) == ("form", "nrs_now")
    assert 3 in deed.arguments["values"].values()


def test_without_a_form_that_is_asked_its_key_does_nothing():
    assert pressed("f") == (None, [])


def test_the_page_for_the_operator_names_every_key(root):
    page = (root / "docs" / "operator.md").read_text()
    for key in KEYS:
        assert f"| {key} |" in page, key
