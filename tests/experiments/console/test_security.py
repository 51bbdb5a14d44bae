"""Who may ask what of the console; what is refused is one line in the log, and nothing else happens."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import pytest
from starlette.datastructures import Headers
from starlette.websockets import WebSocketDisconnect

from myoloop.experiments.console.feed_socket import FEEDS_MAX, UNANSWERED_MAX
from myoloop.experiments.console.security import ONCE_S, Origin, Role, Tokens, addresses, judge
from myoloop.experiments.sessions.desk import ROLES
from myoloop.platform.messages import Answer

FIRST = {Role.OPERATOR: "/day", Role.CLINICIAN: "/day", Role.SUPERVISOR: "/supervise", Role.SUBJECT: "/subject"}
EVIL = "http://evil.example"
OWN = "http://127.0.0.1:8723"


@pytest.fixture
def asked(console, monkeypatch):
    """What has come to the running session; nothing that is refused may."""
    heard = []

    async def ask(kind, *, who, why="", arguments=None, **_):
        heard.append((kind, who, why, arguments))
        return Answer(t_ns=1, id="1", ok=True)

    monkeypatch.setattr(console.app.state.watch, "ask", ask)
    return heard


# -- to enter ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", Role)
def test_a_roles_address_is_changed_for_a_cookie_and_has_no_token_any_more(console, role):
    browser = console.browser()
    answer = browser.get(f"/enter?token={console.tokens.to_enter(role)}", follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"] == FIRST[role]
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    page = browser.get("/")
    assert page.status_code == 200
    assert f'data-role="{role}"' in page.text
    assert console.tokens.to_enter(role) not in page.text
    assert console.tokens.cookie(role) not in page.text


def test_while_a_session_runs_who_runs_it_enters_there(console, rig):
    answer = console.browser().get(f"/enter?token={console.tokens.to_enter(Role.OPERATOR)}", follow_redirects=False)
    assert answer.headers["location"] == "/session"


@pytest.mark.parametrize("query", ["", "?token=", "?token=wrong", "?token=%00"])
def test_a_wrong_or_missing_token_enters_nobody(console, refused, query):
    answer = console.browser().get(f"/enter{query}", follow_redirects=False)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert len(refused()) == 1


def test_a_token_for_one_use_is_good_for_one_use_and_for_a_minute():
    tokens = Tokens()
    once = tokens.to_enter_once(Role.OPERATOR, 100.0)
    assert tokens.entered_as(once, 100.0 + ONCE_S) is Role.OPERATOR
    assert tokens.entered_as(once, 100.0) is None
    late = tokens.to_enter_once(Role.OPERATOR, 100.0)
    assert tokens.entered_as(late, 100.1 + ONCE_S) is None


def test_addresses_are_one_for_each_role_and_no_two_secrets_are_alike():
    tokens = Tokens()
    found = addresses(Origin(8723), tokens)
    secrets = [make(role) for make in (tokens.to_enter, tokens.cookie, tokens.csrf) for role in Role]
    assert set(found) == set(Role)
    assert len(set(secrets)) == len(secrets)


# -- what is refused -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/", "/api/act", "/api/jobs", "/nowhere"])
def test_who_has_not_entered_sees_nothing(console, refused, path):
    answer = console.browser().get(path)
    assert answer.status_code == 401
    assert len(refused()) == 1


def test_who_has_not_entered_may_stop_all_the_same(console, rig):
    page = console.browser().get("/session").text
    assert 'id="stop"' in page
    assert rig.session not in page
    assert 'csrf" content=""' in page


@pytest.mark.parametrize("cookie", ["wrong", ""])
def test_a_wrong_cookie_is_nobodys(console, refused, cookie):
    answer = console.browser().get("/", headers={"cookie": f"{console.origin.cookie_name}={cookie}"})
    assert answer.status_code == 401
    assert len(refused()) == 1


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8723", "127.0.0.1", "127.0.0.1:80", "[::1]:8723", ""])
def test_a_name_that_a_strangers_dns_leads_here_is_refused(operator, refused, host):
    assert operator.get("/", headers={"host": host}).status_code == 421
    assert len(refused()) == 1


@pytest.mark.parametrize(
    "origin", [EVIL, "null", "http://127.0.0.1:9999", "http://localhost:8723", "https://127.0.0.1:8723", None]
)
def test_a_post_of_another_sites_page_is_refused(operator, asked, refused, origin):
    answer = operator.post("/api/act", {"act": "pause"}, headers={"origin": origin})
    assert answer.status_code == 403
    assert not asked
    assert len(refused()) == 1


@pytest.mark.parametrize("site", ["cross-site", "same-site", "strange"])
def test_what_a_browser_says_was_sent_by_another_site_is_refused(operator, refused, site):
    assert operator.get("/", headers={"sec-fetch-site": site}).status_code == 403
    assert len(refused()) == 1


@pytest.mark.parametrize("token", [None, "", "wrong"])
def test_a_post_without_the_pages_own_token_is_refused(operator, asked, refused, token):
    answer = operator.post("/api/act", {"act": "pause"}, headers={"x-myoloop-csrf": token})
    assert answer.status_code == 403
    assert not asked
    assert len(refused()) == 1


def test_one_roles_page_token_is_not_good_for_another(console, operator, asked):
    subject = console.browser(Role.SUBJECT)
    answer = operator.post("/api/act", {"act": "pause"}, headers={"x-myoloop-csrf": subject.headers["x-myoloop-csrf"]})
    assert answer.status_code == 403
    assert not asked


@pytest.mark.parametrize("said", [True, False])
def test_a_large_body_is_refused_whether_or_not_it_says_how_large_it_is(operator, asked, refused, said):
    body = json.dumps({"act": "pause", "why": "x" * 70_000}).encode()
    content = body if said else (body[at : at + 9_000] for at in range(0, len(body), 9_000))
    answer = operator.client.post("/api/act", content=content, headers=operator.headers)
    assert answer.status_code == 413
    assert not asked
    assert len(refused()) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"pause"',
        b'{"act": 1}',
        b'{"act": ""}',
        b'{"act": "pause", "arguments": []}',
        b'{"act": "pause", "more": 1}',
        b'{"act": "level", "arguments": {"level": NaN}}',
        b'{"act": "level", "arguments": {"level": 1e999}}',
        b'{"act": "score", "arguments": {"score": 100000000000000000000000000}}',
        b'{"act": "score", "why": "\\ud800"}',
        b'{"act": "pause", "t_ns": "1"}',
        b'{"act": "pause", "t_ns": 1.5}',
        b'{"act": "pause", "t_ns": true}',
        b'{"act": "pause", "t_ns": -1}',
        b'{"act": "pause", "t_ns": 9223372036854775808}',
        b"[" * 5000,
        b"\xff",
    ],
)
def test_a_body_that_is_no_act_is_refused(operator, asked, refused, body):
    answer = operator.client.post("/api/act", content=body, headers=operator.headers)
    assert answer.status_code == 400
    assert not answer.json()["ok"]
    assert not asked
    assert len(refused()) == 1


@pytest.mark.parametrize("kind", ["unknown", "configure", "arm", "set_envelope", "__class__"])
def test_an_unknown_act_is_refused(operator, asked, refused, kind):
    assert operator.post("/api/act", {"act": kind}).status_code == 403
    assert not asked
    assert len(refused()) == 1


@pytest.mark.parametrize(
    ("role", "kind"),
    [(role, "level") for role in ("supervisor", "subject")] + [("operator", "override"), ("subject", "pause")],
)
def test_an_act_that_is_not_the_roles_is_refused(console, asked, refused, role, kind):
    browser = console.browser(Role(role))
    assert browser.post("/api/act", {"act": kind}).status_code == 403
    assert not asked
    assert len(refused()) == 1


def test_every_role_has_its_own_acts():
    assert set(ROLES) == set(Role)


def test_an_act_comes_to_the_session_with_role_and_name_whatever_the_page_says(operator, asked):
    assert operator.post("/api/act", {"act": "pause", "why": "a rest"}).json() == {"ok": True, "reason": ""}
    assert asked == [("pause", "operator jo", "a rest", {})]


def test_what_is_logged_cannot_write_lines_of_its_own(console, refused):
    console.browser().get("/%0a2026 all is well%1b[2J")
    (line,) = refused()
    assert "\n" not in line
    assert "\x1b" not in line


# -- what is served ------------------------------------------------------------------------------------------------


def test_every_answer_forbids_scripts_of_others_frames_and_keeping(operator):
    for path in ("/", "/static/stop.js", "/nowhere"):
        headers = operator.get(path).headers
        policy = dict(part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";"))
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == "'self'"
        assert headers["cache-control"] == "no-store"
        assert headers["x-content-type-options"] == "nosniff"


def test_pages_have_nothing_that_the_policy_would_keep_from_working(operator):
    page = operator.get("/").text
    assert "<style" not in page
    assert "style=" not in page
    assert " onclick=" not in page
    assert page.count("<script") == page.count('<script type="module" src="/static/')


def test_static_files_are_only_those_of_the_console(operator):
    assert operator.get("/static/..%2fapp.py").status_code == 404
    assert operator.get("/static/stop.js").status_code == 200
    assert operator.post("/static/stop.js").status_code == 405


# -- the feed's socket ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("origin", [EVIL, None, "http://localhost:8723"])
def test_a_socket_of_another_sites_page_is_refused(operator, refused, origin):
    with pytest.raises(WebSocketDisconnect) as gone, operator.feed(origin):
        pass
    assert gone.value.code == 1008
    assert len(refused()) == 1


def test_a_socket_of_nobody_is_refused(console, refused):
    with pytest.raises(WebSocketDisconnect), console.browser().feed():
        pass
    assert len(refused()) == 1


def closed_with(feed) -> int:
    """The code with which the server closes it."""
    while True:
        message = feed.receive()
        if message["type"] == "websocket.close":
            return message["code"]


@pytest.mark.parametrize(
    "data",
    [
        "",
        "x",
        "[]",
        "{}",
        '{"act": "pause", "raise": "left"}',
        '{"act": "pause", "x": 1}',
        '{"raise": 1}',
        '{"want": {"screen": "other"}}',
        '{"want": "all"}',
        '{"act": null}',
        '{"act": "pause", "t_ns": []}',
        "[" * 4000,
    ],
)
def test_a_malformed_message_closes_the_socket(operator, asked, refused, data):
    with operator.feed() as feed:
        feed.send_text(data)
        assert closed_with(feed) == 1008
    assert not asked
    assert len(refused()) == 1


@pytest.mark.parametrize(
    "data", ['{"act": "pause", "why": "' + "x" * 5000 + '"}', '{"act": "pause", "why": "' + "ä" * 2050 + '"}']
)
def test_an_oversized_message_closes_the_socket(operator, asked, refused, data):
    with operator.feed() as feed:
        feed.send_text(data)
        assert closed_with(feed) == 1009
    assert not asked
    assert len(refused()) == 1


def answer_to(feed, said: str) -> dict:
    while True:
        message = feed.receive()
        if "text" in message and (found := json.loads(message["text"])).get("kind") == "answer" and found["id"] == said:
            return found


def test_an_act_by_the_socket_is_answered_under_the_pages_own_name_for_it(operator, asked):
    with operator.feed() as feed:
        feed.send_json({"act": "pause", "why": "a rest", "id": "7"})
        assert answer_to(feed, "7") == {"kind": "answer", "id": "7", "ok": True, "reason": ""}
        feed.send_json({"raise": "left", "id": "8", "t_ns": time.monotonic_ns()})
        assert answer_to(feed, "8")["ok"]
    assert asked == [("pause", "operator jo", "a rest", {}), ("raise", "operator jo", "", {"channel": "left"})]


def test_an_act_that_is_not_the_roles_is_refused_and_the_socket_stays(console, asked, refused):
    with console.browser(Role.SUBJECT).feed() as feed:
        feed.send_json({"raise": "left", "id": "1"})
        assert not answer_to(feed, "1")["ok"]
        feed.send_json({"want": {"screen": "operator"}, "id": "2"})
        assert not answer_to(feed, "2")["ok"]
        feed.send_json({"act": "felt", "arguments": {"what": "motor"}, "id": "3"})
        assert answer_to(feed, "3")["ok"]
    assert [kind for kind, *_ in asked] == ["felt"]
    assert len(refused()) == 2


def test_what_lowers_current_is_never_one_act_too_many(console, operator, monkeypatch, refused):
    """A session that hangs answers nothing; the page goes on asking."""
    heard = []

    async def ask(kind, **_):
        heard.append(kind)
        if kind == "raise":
            await asyncio.Event().wait()
        return Answer(t_ns=1, id="1", ok=True)

    monkeypatch.setattr(console.app.state.watch, "ask", ask)
    with operator.feed() as feed:
        for _ in range(UNANSWERED_MAX):
            feed.send_json({"raise": "left", "t_ns": time.monotonic_ns()})
        feed.send_json({"raise": "left", "id": "one too many", "t_ns": time.monotonic_ns()})
        assert not answer_to(feed, "one too many")["ok"]
        for kind in ("pause", "hold", "end", "stop"):
            feed.send_json({"act": kind, "id": kind})
            assert answer_to(feed, kind)["ok"]
    assert heard == ["raise"] * UNANSWERED_MAX + ["pause", "hold", "end", "stop"]
    assert len(refused()) == 1


def test_one_role_with_too_many_pages_shuts_no_other_out(console, operator, refused):
    subject = console.browser(Role.SUBJECT)
    with contextlib.ExitStack() as pages:
        for _ in range(FEEDS_MAX):
            pages.enter_context(subject.feed())
        with pytest.raises(WebSocketDisconnect) as gone, subject.feed():
            pass
        assert gone.value.code == 1013
        assert len(refused()) == 1
        with operator.feed() as feed:
            assert feed.receive()
    with subject.feed() as feed:
        assert feed.receive()


def test_a_subject_gets_the_subjects_view_and_staff_may_turn_to_it(console):
    hubs = console.app.state.watch.hubs
    with console.browser(Role.SUBJECT).feed() as feed:
        feed.receive()
        assert (len(hubs["operator"]), len(hubs["subject"])) == (0, 1)
    with console.browser(Role.SUPERVISOR).feed() as feed:
        feed.receive()
        assert len(hubs["operator"]) == 1
        feed.send_json({"want": {"screen": "subject"}})
        feed.send_json({"act": "level", "id": "1"})
        answer_to(feed, "1")
        assert (len(hubs["operator"]), len(hubs["subject"])) == (0, 1)


# -- how old -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("t_ns", [None, 0, 2**62])
def test_an_act_that_says_no_time_an_old_one_or_one_to_come_is_refused_by_both_roads(operator, asked, refused, t_ns):
    answer = operator.post("/api/act", {"act": "serve", "t_ns": t_ns})
    assert (answer.status_code, answer.json()["ok"]) == (409, False)
    with operator.feed() as feed:
        feed.send_json({"act": "serve", "id": "1", "t_ns": t_ns})
        assert not answer_to(feed, "1")["ok"]
        feed.send_json({"raise": "left", "id": "2", "t_ns": t_ns})
        assert not answer_to(feed, "2")["ok"]
    assert not asked
    assert len(refused()) == 3


# -- the judgement itself ------------------------------------------------------------------------------------------


def test_a_right_request_is_judged_right_and_each_of_its_parts_is_needed():
    tokens, origin = Tokens(), Origin(8723)
    right = {
        "host": "127.0.0.1:8723",
        "origin": OWN,
        "cookie": f"{origin.cookie_name}={tokens.cookie(Role.OPERATOR)}",
        "x-myoloop-csrf": tokens.csrf(Role.OPERATOR),
    }

    def judged(headers):
        return judge(method="POST", path="/api/act", headers=Headers(headers), origin=origin, tokens=tokens)

    assert judged(right) == (Role.OPERATOR, None)
    for name in right:
        assert judged({key: value for key, value in right.items() if key != name})[1] is not None
        assert judged({**right, name: "x"})[1] is not None
