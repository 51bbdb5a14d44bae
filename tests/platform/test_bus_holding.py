"""What is said in one turn goes out at its end, all at once: the urgent first, the record as it was said."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from myoloop.platform import wire
from myoloop.platform.bus import Bus
from myoloop.platform.keyring import make_keys
from myoloop.platform.messages import Estimate, Event, Heartbeat, StimRequest
from myoloop.platform.runtime import RuntimeFolder
from myoloop.platform.steps import Outgoing, Received
from myoloop.platform.streams import STREAMS

NODES = {"controller": "controller", "stimulator": "stimulator", "recorder": "recorder"}
PATIENCE_S = 5.0


@pytest.fixture
def buses() -> Iterator[dict[str, Bus]]:
    """A controller that the stimulator hears and the recorder records."""
    with tempfile.TemporaryDirectory(prefix="b") as name:
        make_keys(Path(name), NODES)
        folder = RuntimeFolder(Path(name))
        made = {
            node: Bus(folder, node, session="s", recorder=None if node == "recorder" else "recorder") for node in NODES
        }
        made["recorder"].open_record()
        made["stimulator"].subscribe(["controller"], ["estimate", "request", "heartbeat/controller"])
        try:
            _meet(made)
            yield made
        finally:
            for bus in made.values():
                bus.close()


def _meet(buses: dict[str, Bus]) -> None:
    """A PUB drops what is said before a subscriber is there: wait until it hears, and until all of that is recorded."""
    deadline = time.monotonic() + PATIENCE_S
    said = 0
    while not buses["stimulator"].heard():
        assert time.monotonic() < deadline
        buses["controller"].publish(Outgoing("heartbeat/controller", _beat()))
        said += 1
        buses["stimulator"].wait(0.02)
    recorded = 0
    while recorded < said:
        assert time.monotonic() < deadline
        recorded += len(buses["recorder"].pushed())
        buses["stimulator"].wait(0.01)
    buses["stimulator"].heard()


def _beat() -> Heartbeat:
    return Heartbeat(
        t_ns=1, node="controller", role="controller", state="running", cycle_ms=0.0, cycle_mean_ms=0.0,
        cycle_worst_ms=0.0,
    )  # fmt: skip


def _hear(bus: Bus, count: int) -> list[Received]:
    found: list[Received] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < deadline
        bus.wait(0.02)
        found += bus.heard()
    return found


def _record(bus: Bus, count: int) -> list[Received]:
    found: list[Received] = []
    deadline = time.monotonic() + PATIENCE_S
    while len(found) < count:
        assert time.monotonic() < deadline
        found += [wire.decode(frames)[1] for frames in bus.pushed()]
        time.sleep(0)
    return found


ESTIMATE = Outgoing("estimate", Estimate(step=1, t_ns=1, muscles=()))
REQUEST = Outgoing("request", StimRequest(step=1, t_ns=1, arm_id="", lease_ms=100, channels=()))
EVENT = Outgoing("event", Event(t_ns=1, kind="mark", who="controller"))


def test_nothing_is_heard_while_it_is_held(buses: dict[str, Bus]) -> None:
    buses["controller"].hold()
    buses["controller"].publish(REQUEST)
    buses["stimulator"].wait(0.05)

    assert buses["stimulator"].heard() == []
    assert buses["recorder"].pushed() == []

    buses["controller"].release()
    assert [each.topic for each in _hear(buses["stimulator"], 1)] == ["request"]


def test_the_urgent_goes_first_and_the_record_keeps_the_order_of_saying(buses: dict[str, Bus]) -> None:
    controller = buses["controller"]
    controller.hold()
    for outgoing in (EVENT, ESTIMATE, REQUEST):
        controller.publish(outgoing)
    controller.release()

    assert [each.topic for each in _hear(buses["stimulator"], 2)] == ["request", "estimate"]
    assert [each.topic for each in _record(buses["recorder"], 3)] == ["event", "estimate", "request"]


def test_what_a_node_hears_of_itself_is_there_before_it_is_sent(buses: dict[str, Bus]) -> None:
    buses["controller"].hold()
    own = buses["controller"].own(EVENT)
    buses["controller"].release()

    assert own.message == EVENT.message
    assert _record(buses["recorder"], 1)[0].reference == own.reference


def test_after_the_release_everything_goes_at_once_again(buses: dict[str, Bus]) -> None:
    controller = buses["controller"]
    controller.hold()
    controller.release()
    controller.publish(ESTIMATE)
    controller.publish(REQUEST)

    assert [each.topic for each in _hear(buses["stimulator"], 2)] == ["estimate", "request"]


def test_only_the_request_is_waited_for() -> None:
    assert [row.name for row in STREAMS if row.urgent] == ["request"]
