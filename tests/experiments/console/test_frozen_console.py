"""A console that was frozen does nothing late: what it finds in its sockets when it wakes was meant for then."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from myoloop.experiments.benchmarks.pretend_rig import PretendRig
from myoloop.experiments.sessions.desk import STALE_NS, Desk
from myoloop.platform.messages import Answer, Phase, Target

pytestmark = pytest.mark.processes

#: A step of a calibration is waited for, all the time.
STEPPING = Phase(
    t_ns=1, session="s", state="waiting", waiting_for="step", kind="calibration", arm_id="a1",
    targets=(Target(channel="ext", current_ma=4.0, phase_us=250.0, rate_hz=35.0, ramp_up_s=0.1, ramp_down_s=0.1),),
)  # fmt: skip
SERVE = {"act": "serve", "arguments": {"waiting_for": "step"}}


class Bedside:
    """A session's desk at which a step is always waited for, and one operator's page with two roads to it."""

    def __init__(self, console) -> None:
        self.rig, self.desk = PretendRig(2), Desk()
        self.given, self.asked, self.answers, self.state = [], [], {}, None
        card = self.rig.streams.card() | {"study": str(console.study.resolve())}
        (self.rig.runtime.path / "console.json").write_text(json.dumps(card))
        self.url, _, _ = console.addresses["operator"].partition("/enter")
        opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        opener.open(console.addresses["operator"]).close()
        with opener.open(self.url) as page:
            csrf = re.search(rb'name="csrf" content="([^"]+)"', page.read())[1].decode()
        (jar,) = [each.cookiejar for each in opener.handlers if hasattr(each, "cookiejar")]
        self.headers = {"Cookie": "; ".join(f"{each.name}={each.value}" for each in jar), "Origin": self.url}
        self.post_headers = {**self.headers, "X-Myoloop-Csrf": csrf, "Content-Type": "application/json"}
        cookie = {"Cookie": self.headers["Cookie"]}
        self.opening = connect(f"ws{self.url[4:]}/feed", additional_headers=cookie, origin=self.url, max_size=None)
        self.posting = ThreadPoolExecutor(2)

    def turn(self) -> None:
        now_ns = time.monotonic_ns()
        self.rig.turn(now_ns)
        supervisor = self.rig.buses["supervisor"]
        for each in supervisor.asked():
            self.asked.append(each.received.message.kind)
            self.desk.take(each.received.message, each.route, STEPPING, now_ns)
        self.desk.look(STEPPING, now_ns)
        wants = self.desk.wants("step", "ext")
        if wants is not None:
            self.given.append(wants.kind)
            self.desk.served(wants, "")
        for asked, _ in self.desk.take_acts():
            self.asked.append(f"done: {asked.kind}")
            self.desk.answered(asked, Answer(t_ns=now_ns, id=asked.id, ok=True))
        for told in self.desk.take_told():
            supervisor.answer(told.back, told.answer)

    def hear(self) -> None:
        try:
            for _ in range(100):
                message = self.feed.recv(timeout=0.005)
                if isinstance(message, str):
                    said = json.loads(message)
                    if said["kind"] == "state":
                        self.state = said
                    elif said["kind"] == "answer":
                        self.answers[said["id"]] = said
        except (TimeoutError, ConnectionClosed):
            return

    def until(self, wanted, limit_s=20.0):
        end = time.monotonic() + limit_s
        while not wanted():
            assert time.monotonic() < end
            self.turn()
            self.hear()

    def send(self, name, message):
        self.feed.send(json.dumps({**message, "id": name, "t_ns": self.state["t_ns"]}))

    def post(self, message):
        """Sent at once; the answer comes when it comes."""
        body = json.dumps({**message, "t_ns": self.state["t_ns"]}).encode()
        request = urllib.request.Request(f"{self.url}/api/act", data=body, headers=self.post_headers)

        def ask():
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    return json.load(answer)
            except urllib.error.HTTPError as refused:
                return json.load(refused)

        return self.posting.submit(ask)

    def end(self):
        self.posting.shutdown()
        self.rig.close()


@pytest.fixture
def bedside(frozen):
    made = Bedside(frozen)
    try:
        with made.opening as made.feed:
            yield made
            frozen.thaw()
    finally:
        made.end()


def test_what_was_asked_of_a_frozen_console_gives_no_current_when_it_wakes(frozen, bedside):
    here = bedside
    here.until(lambda: here.state is not None and here.state["running"])
    # Awake, each road gives a step: else nothing below could fail.
    here.send("held", {"raise": "ext"})
    here.until(lambda: "raise" in here.given and "held" in here.answers)
    here.until(lambda: here.desk.wants("step", "ext") is None)
    served = here.post(SERVE)
    here.until(served.done)
    assert served.result()["ok"]
    assert here.given[-1] == "serve"

    frozen.freeze()
    here.given.clear()
    here.asked.clear()
    began_ns = time.monotonic_ns()
    for number in range(5):
        here.send(f"raise {number}", {"raise": "ext"})
    here.send("serve", SERVE)
    posted = here.post(SERVE)
    here.until(lambda: time.monotonic_ns() - began_ns > STALE_NS + 200_000_000)
    # A stop of the loop, asked for as late as that, still is one.
    here.send("pause", {"act": "pause"})
    names = [*(f"raise {number}" for number in range(5)), "serve"]
    frozen.thaw()
    here.until(lambda: posted.done() and {*names, "pause"} <= set(here.answers))
    assert here.given == []
    said = [*(here.answers[name] for name in names), posted.result()]
    assert not any(each["ok"] for each in said)
    assert all(re.search(r": was asked [\d.]+ s ago; ask again", each["reason"]) for each in said)
    assert here.answers["pause"]["ok"]
    assert here.asked == ["pause", "done: pause"]
    # Who asks again, having seen what is now so, is served.
    here.until(lambda: here.state["t_ns"] > began_ns + STALE_NS)
    here.send("again", {"raise": "ext"})
    here.until(lambda: "raise" in here.given)
