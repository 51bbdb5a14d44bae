"""STOP by the console's server: whoever asks gets it, whatever else is wrong."""

from __future__ import annotations

import json
import threading

import pytest

from myoloop.experiments.console.rig_watch import NoSessionError
from myoloop.experiments.console.rigs import running_rigs
from myoloop.experiments.console.security import Role


def test_stop_needs_no_login_and_says_who_was_stopped(console, rig):
    answer = console.browser().client.post("/stop")
    assert answer.status_code == 200
    assert answer.json() == {"sent": True, "sessions": rig.session}
    assert json.loads(rig.heard_stop()) == {"who": "console", "why": "STOP on a page"}


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"host": "evil.example"},
        {"cookie": "myoloop_8723=wrong"},
        {"sec-fetch-site": "cross-site"},
        {"content-length": "99999999"},
        {"content-type": "nonsense"},
    ],
)
def test_stop_is_never_refused(console, rig, refused, headers):
    # Whatever else may be wrong with it: to refuse one stop too many is worse than to obey one.
    assert console.browser().client.post("/stop", headers=headers).status_code == 200
    assert rig.heard_stop()
    assert not refused()


def test_stop_is_only_by_post(console, rig):
    assert console.browser(Role.OPERATOR).get("/stop").status_code == 405
    assert rig.heard_nothing()


def test_where_nothing_runs_stop_says_so(console):
    answer = console.browser().client.post("/stop")
    assert answer.status_code == 503
    assert answer.json() == {"sent": False, "reason": "no rig runs on this host"}


def test_stop_works_while_the_thread_of_the_feed_is_blocked(console, rig, monkeypatch, eventually):
    watch = console.app.state.watch
    blocked, go = threading.Event(), threading.Event()

    def stuck(*_):
        blocked.set()
        go.wait(30)

    monkeypatch.setattr(watch, "_turn", stuck)
    assert blocked.wait(10)
    try:
        assert console.browser().client.post("/stop").status_code == 200
        assert rig.heard_stop()
    finally:
        go.set()


@pytest.mark.parametrize("role", Role)
def test_every_role_may_stop_by_an_act_too_and_the_stop_socket_hears_it_first(console, rig, monkeypatch, role):
    order = []

    async def ask(kind, **_):
        order.append((kind, json.loads(rig.heard_stop())["who"].split()[0]))
        raise NoSessionError("no session runs")

    monkeypatch.setattr(console.app.state.watch, "ask", ask)
    console.browser(role).post("/api/act", {"act": "stop"})
    assert order == [("stop", str(role))]


def test_the_persons_own_button_stops_by_the_stop_socket(console, rig):
    with console.browser(Role.SUBJECT).feed() as feed:
        feed.send_json({"act": "felt", "arguments": {"what": "stop"}})
        assert json.loads(rig.heard_stop())["who"] == "subject"


def test_every_page_has_the_button_and_the_port_of_every_stop_node(console, rig):
    (rig.folder.path / "console.json").write_text(json.dumps({"session": rig.session, "stop_port": 4711}))
    for role in Role:
        page = console.browser(role).get("/").text
        assert 'id="stop"' in page
        assert 'data-stop-ports="4711"' in page
        assert "disabled" not in page.partition('id="stop"')[2].partition(">")[0]


def test_a_session_that_has_not_said_what_it_is_counts_as_blinded(rig, place_of_rigs):
    (found,) = running_rigs(place_of_rigs)
    assert (found.session, found.card.blinded, found.card.stop_port) == (rig.session, True, None)
    (rig.folder.path / "console.json").write_text("{")
    assert running_rigs(place_of_rigs)[0].card.blinded
