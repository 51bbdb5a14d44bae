"""What a page does when nothing is heard any more, and what it asks only of whoever means it: in a real browser."""

from __future__ import annotations

import json
import time

import pytest

from myoloop.experiments.console.security import Role

pytestmark = pytest.mark.processes

#: Thresholds are measured, and a step is waited for.
STEP = {
    "kind": "state", "view": "open", "t_ns": 7_000_000_000, "running": True, "rig": "running", "simulated": True,
    "session": "sub-P001/ses-01/att-1", "subject": "P001", "stop_ports": [], "stopped": None, "events": [],
    "gate": {"state": "CALIBRATING", "alive": True}, "recording": {"alive": True, "growing": True}, "pain": [],
    "channels": [{"name": "ext", "target_ma": 4.0, "cap_ma": 20.0, "level": 0.2}], "muscles": [], "nodes": [],
    "phase": {"index": 0, "count": 2, "kind": "calibration", "name": "thresholds", "state": "waiting", "prompt": "",
              "waiting_for": "step", "armed": True, "session_s": 9.0, "trial": 1, "trials": 5, "block": 1, "level": 0.2,
              "trial_state": "", "forms": [], "state_s": 0, "seconds_left": None},
}  # fmt: skip
_TELL = """(state) => {
  clearInterval(window.telling);
  const say = () => dispatchEvent(new CustomEvent("myoloop:state", { detail: state }));
  window.telling = setInterval(say, 100);
  say();
}"""
_FADED = "Number(getComputedStyle(document.querySelector('[data-stage=none]')).opacity) < 0.5"


def tell(page, **state):
    """As the feed does, ten times a second; the real one is kept from telling anything."""
    page.evaluate(_TELL, {**STEP, **state})


@pytest.fixture
def asked(page):
    """What the page has asked by its websocket, newest last; nothing comes by it."""
    found = []
    page.route_web_socket("**/feed", lambda socket: socket.on_message(lambda text: found.append(json.loads(text))))
    return found


@pytest.fixture
def threshold(served, page, asked):
    """The screen on which current is raised."""
    page.goto(served.address(Role.OPERATOR))
    page.goto(f"{served.origin.url}/session")
    # The server knows nothing of this session: the page is not to ask for itself anew.
    page.evaluate("sessionStorage.setItem('renewed', 'sub-P001/ses-01/att-1')")
    tell(page)
    page.wait_for_selector("[data-stage=threshold]")
    asked.clear()
    return page


def raises(asked):
    return [each for each in asked if "raise" in each]


def until(page, reached, limit_s=10.0):
    deadline_s = time.monotonic() + limit_s
    while not reached():
        assert time.monotonic() < deadline_s
        page.wait_for_timeout(20)


def test_a_page_whose_server_is_frozen_says_so_and_asks_nothing_until_it_is_heard_again(frozen, page):
    gives = "[data-serve], [data-arm-first], [data-act=retry], #raise"
    page.goto(frozen.addresses["operator"])
    page.goto(f"{frozen.addresses['operator'].partition('/enter')[0]}/session")
    page.wait_for_selector("#link[data-state=up]")
    page.wait_for_timeout(1500)
    assert page.get_attribute("#link", "data-state") == "up", "states come without a session too"
    assert page.is_hidden("#link-lost")
    assert page.locator(f":is({gives}):disabled").count() == 0

    frozen.freeze()
    began_s = time.monotonic()
    page.wait_for_selector("#link[data-state=down]")
    assert time.monotonic() - began_s < 10
    assert page.is_visible("#link-lost")
    assert "old" in page.inner_text("#link-lost")
    assert page.evaluate(_FADED)
    assert page.locator(gives).count() == page.locator(f":is({gives}):disabled").count() > 4
    assert page.is_enabled("#stop")

    frozen.thaw()
    page.wait_for_selector("#link[data-state=up]")
    assert page.is_hidden("#link-lost")
    assert page.locator(f":is({gives}):disabled").count() == 0


def test_a_held_raise_ends_with_the_last_state_and_says_what_was_seen(threshold, asked):
    threshold.hover("#raise")
    threshold.mouse.down()
    until(threshold, lambda: len(raises(asked)) >= 3)
    assert {(each["raise"], each["t_ns"]) for each in raises(asked)} == {("ext", STEP["t_ns"])}
    threshold.evaluate("clearInterval(window.telling)")
    threshold.wait_for_selector("#link[data-state=down]")
    assert threshold.get_attribute("#raise", "aria-pressed") == "false"
    asked.clear()
    tell(threshold)
    threshold.wait_for_selector("#link[data-state=up]")
    threshold.wait_for_timeout(300)
    assert raises(asked) == [], "the button must be pressed anew"
    threshold.mouse.up()


def test_the_arrow_key_raises_only_where_nothing_else_has_the_focus(threshold, asked):
    def held(focus):
        asked.clear()
        threshold.evaluate(focus)
        threshold.keyboard.down("ArrowUp")
        threshold.wait_for_timeout(150)
        threshold.keyboard.up("ArrowUp")
        return bool(raises(asked))

    assert held("document.activeElement.blur()")
    assert held("document.getElementById('raise').focus()")
    assert not held("document.querySelector('[data-stage=threshold] [data-felt]').focus()")
    threshold.evaluate(
        "document.getElementById('any-form').innerHTML = '<select><option>a<option>b</select>'"
        "+ '<label><input type=radio name=r>one</label><input type=number>'"
    )
    threshold.evaluate("import('/static/dialog.js').then((dialog) => dialog.openDialog('dialog-form'))")
    threshold.wait_for_selector("#dialog-form")
    for field in ("select", "input[type=radio]", "input[type=number]"):
        assert not held(f"document.querySelector('#any-form {field}').focus()"), field
    assert not held("document.activeElement.blur()"), "a dialog is open"
    threshold.keyboard.press("Escape")
    threshold.focus("#raise")
    threshold.keyboard.down("ArrowUp")
    until(threshold, lambda: raises(asked))
    threshold.evaluate("import('/static/dialog.js').then((dialog) => dialog.openDialog('dialog-end'))")
    threshold.wait_for_selector("#dialog-end")
    threshold.wait_for_timeout(150)
    asked.clear()
    threshold.wait_for_timeout(300)
    assert raises(asked) == []


def test_what_was_cancelled_does_not_begin_and_leaves_no_secret_behind(threshold):
    tries = []
    threshold.route(
        "**/api/go-on",
        lambda route: (
            tries.append(route.request.post_data_json),
            route.fulfill(json={"ok": False, "busy": True, "reason": "runs already"}, status=409),
        ),
    )
    tell(threshold, stopped={"who": ""}, gate={"state": "STOPPED"})
    tell(threshold, running=False, rig="none", session="", phase=None, channels=[])
    threshold.click("#go-on-open")
    threshold.fill("#go-on-other", "the door was open")
    threshold.hover("#go-on-hold")
    threshold.mouse.down()
    threshold.wait_for_selector("#go-on-confirm:enabled")
    threshold.mouse.up()
    threshold.click("#go-on-confirm")
    until(threshold, lambda: len(tries) >= 2)
    threshold.keyboard.press("Escape")
    threshold.wait_for_timeout(100)
    tries.clear()
    threshold.wait_for_timeout(800)
    assert tries == []
    assert threshold.input_value("#go-on-other") == ""
    assert threshold.is_disabled("#go-on-confirm")
