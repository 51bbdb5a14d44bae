"""What every node and stream of a running rig is doing now, and the stop that reaches them all."""

from __future__ import annotations

import io
import json
import os
import socket
import sys
import time

import pytest
from rich.console import Console

from myoloop.experiments.top import NothingRuns, Snapshot, StreamSeen, stop_running, watch
from myoloop.experiments.topview import snapshot_json, snapshot_table
from myoloop.platform.bus import Bus, stop_socket
from myoloop.platform.keyring import make_keys
from myoloop.platform.messages import Event, Heartbeat
from myoloop.platform.process import RIG_FILE, write_rig_file
from myoloop.platform.runtime import OwnedRuntimeFolder
from myoloop.platform.steps import Outgoing

NODES = {"amp": "acquisition", "stim": "stimulator"}


class Running:
    """A rig that runs, as far as an onlooker can tell."""

    def __init__(self, session: str, nodes: dict[str, str]) -> None:
        self.folder = OwnedRuntimeFolder()
        make_keys(self.folder.path, {**nodes, "supervisor": "supervisor", "observer": "observer"})
        write_rig_file(self.folder.path, session, nodes)
        self.buses = [Bus(self.folder, name, session=session) for name in nodes]
        self.sockets: list[socket.socket] = []

    def hear_stops(self, node: str = "stim") -> socket.socket:
        made = stop_socket(self.folder, node)
        made.settimeout(10)
        self.sockets.append(made)
        return made

    def say(self, *outgoing: Outgoing) -> None:
        for each in outgoing:
            self.buses[0].publish(each)

    def end(self) -> None:
        for each in (*self.buses, *self.sockets):
            each.close()
        self.folder.remove()


@pytest.fixture
def rig(short_folder):
    started = []

    def start(session: str = "sub-P001/ses-01/att-1", nodes: dict[str, str] = NODES) -> Running:
        started.append(Running(session, nodes))
        return started[-1]

    yield start
    for each in started:
        each.end()
    assert list(short_folder.iterdir()) == []


def beat(**more) -> Outgoing:
    message = Heartbeat(
        t_ns=1, node="amp", role="acquisition", state="running", cycle_ms=0.5, cycle_mean_ms=0.25, cycle_worst_ms=2.0,
        counters={"lost": 3.0}, **more,
    )  # fmt: skip
    return Outgoing("heartbeat/amp", message)


def mark() -> Outgoing:
    return Outgoing("event", Event(t_ns=1, kind="mark", who="amp"))


class OwnTime:
    """A clock that goes on with every look, and lets the rig speak meanwhile."""

    def __init__(self, on_look) -> None:
        self._now_ns, self._on_look = 0, on_look

    def now_ns(self) -> int:
        self._on_look()
        self._now_ns += 50_000_000
        return self._now_ns


class TestWatch:
    def test_it_shows_every_node_and_the_rate_of_every_stream(self, rig):
        here = rig()
        looking = watch(1.0, OwnTime(lambda: here.say(beat(), mark(), mark())))
        next(looking)
        snapshot = next(looking)
        looking.close()
        assert snapshot.session == "sub-P001/ses-01/att-1"
        assert snapshot.nodes["amp"].state == "running"
        # One look every 50 ms of its time: 20 beats and 40 marks in a second.
        rates = {each.topic: each.rate_hz for each in snapshot.streams}
        assert rates["heartbeat/amp"] == pytest.approx(20.0, rel=0.2)
        assert rates["event"] == pytest.approx(40.0, rel=0.2)
        assert {each.missing for each in snapshot.streams} == {0}

    def test_a_stream_that_falls_silent_stays_and_shows_nothing(self, rig):
        here, speaking = rig(), [True]
        looking = watch(0.5, OwnTime(lambda: here.say(beat(), *([mark()] if speaking[0] else []))))
        assert {each.topic for each in next(looking).streams} == {"heartbeat/amp", "event"}
        speaking[0] = False
        next(looking)
        event = next(each for each in next(looking).streams if each.topic == "event")
        looking.close()
        assert (event.rate_hz, event.messages) == (0.0, 0)

    def test_it_ends_with_the_rig(self, rig):
        here, speaking = rig(), [beat()]
        looking = watch(10.0, OwnTime(lambda: here.say(*speaking)))
        next(looking)
        speaking.clear()
        here.end()
        assert list(looking) == []

    def test_without_a_rig_it_says_so(self, short_folder):
        with pytest.raises(NothingRuns, match="no rig runs on this host"):
            next(watch(1.0))

    def test_of_several_it_does_not_choose(self, rig):
        rig(), rig("sub-P002/ses-01/att-1")
        with pytest.raises(NothingRuns, match="2 rigs run"):
            next(watch(1.0))


class TestStop:
    def test_the_stimulator_hears_who_stopped_it(self, rig):
        stops = rig().hear_stops()
        assert stop_running() == "sub-P001/ses-01/att-1"
        stops.setblocking(True)
        assert json.loads(stops.recv(4096)) == {"who": "operator", "why": "myoloop stop"}

    def test_every_rig_that_runs_is_stopped(self, rig):
        heard = [rig("one").hear_stops(), rig("two").hear_stops()]
        assert set(stop_running().split(", ")) == {"one", "two"}
        assert all(each.recv(4096) for each in heard)

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"session": "s"}'])
    def test_one_whose_rig_file_cannot_be_read_keeps_no_other_from_stopping(self, rig, text):
        for folder in (rig("a").folder, rig("b").folder):
            (folder.path / RIG_FILE).write_text(text)
        stops = rig("hearing").hear_stops()
        assert stop_running().startswith("hearing, ")
        assert stops.recv(4096)

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no such modes")
    @pytest.mark.parametrize("mode", [0o700, 0o777])
    def test_what_another_has_planted_keeps_no_other_from_stopping(self, rig, mode):
        planted, stops = rig("planted").folder.path, rig("hearing").hear_stops()
        (planted / RIG_FILE).unlink()
        os.mkfifo(planted / RIG_FILE)
        planted.chmod(mode)
        assert stop_running().startswith("hearing")
        assert stops.recv(4096)

    def test_one_that_cannot_be_reached_keeps_no_other_from_stopping(self, rig):
        rig("deaf")
        stops = rig("hearing").hear_stops()
        said = stop_running()
        assert said.startswith("hearing, ")
        assert "cannot be reached" in said
        assert stops.recv(4096)

    @pytest.mark.parametrize(
        ("nodes", "why"), [(NODES, "cannot be reached"), ({"amp": "acquisition"}, "no stimulator")]
    )
    def test_where_nothing_was_stopped_it_says_why(self, rig, nodes, why):
        rig(nodes=nodes)
        with pytest.raises(NothingRuns, match=why) as caught:
            stop_running()
        assert "\n" not in str(caught.value)

    def test_without_a_rig_it_says_so(self, short_folder):
        with pytest.raises(NothingRuns, match="no rig runs on this host"):
            stop_running()


def test_a_snapshot_for_machines_and_for_people():
    snapshot = Snapshot("s1", {"amp": beat().message}, [StreamSeen("emg/amp", "amp", 99.5, 100, 2)])
    assert snapshot_json(snapshot) == {
        "session": "s1",
        "nodes": {
            "amp": {
                "role": "acquisition", "state": "running", "cycle_mean_ms": 0.25, "cycle_worst_ms": 2.0, "lost": 3.0
            }
        },
        "streams": [{"topic": "emg/amp", "publisher": "amp", "rate_hz": 99.5, "missing": 2}],
    }  # fmt: skip
    console = Console(width=120, file=io.StringIO())
    console.print(snapshot_table(snapshot))
    text = console.file.getvalue()
    for word in ("s1", "amp", "running", "0.25 / 2.0", "lost 3", "emg/amp", "99.5"):
        assert word in text


def test_two_may_look_at_once(rig):
    here = rig()
    looking = [watch(0.2, OwnTime(lambda: here.say(beat()))) for _ in range(2)]
    deadline = time.monotonic() + 10
    for each in looking:
        while "amp" not in next(each).nodes:
            assert time.monotonic() < deadline
    for each in looking:
        each.close()
    assert here.folder.path.exists()
