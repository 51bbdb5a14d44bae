"""A required stream that is missing in the file while its publisher runs is named; the rest is for others to say."""

from __future__ import annotations

import pytest

from myoloop.platform.messages import Heartbeat
from myoloop.platform.recording.watch import SILENT_NS, UNHEARD_NS, Watch

MS = 1_000_000
NODES = {"amp": "acquisition", "imu": "acquisition", "ctl": "controller", "stim": "stimulator", "sup": "supervisor"}
TOPICS = ("report", "estimate", "emg/amp", "imu/imu")
BEAT_NS = 40 * MS


class World:
    """Nodes whose hearts beat, and whose streams are in the file, but for what a test stops."""

    def __init__(self, topics=TOPICS, nodes=NODES) -> None:
        self.watch = Watch(topics, nodes)
        self.states = dict.fromkeys(nodes, "running")
        self.flowing = set(topics)
        self.last_ns: dict[str, int] = {}
        self.ended: set[str] = set()
        self.now_ns = 10**12

    def go_on(self, for_ns: int) -> str:
        """Let time pass until something is missing, at most so long."""
        until_ns = self.now_ns + for_ns
        while self.now_ns < until_ns:
            self.now_ns += BEAT_NS
            for node, state in self.states.items():
                if state:
                    self.watch.hear(beat(node, state), self.now_ns)
            self.last_ns.update(dict.fromkeys(self.flowing, self.now_ns))
            said = self.watch.missing(self.last_ns, self.ended, self.now_ns)
            if said:
                return said
        return ""

    def begin(self):
        self.watch.begin(self.now_ns)
        return self


def beat(node: str, state: str) -> Heartbeat:
    return Heartbeat(
        t_ns=0, node=node, role="any", state=state, cycle_ms=0.0, cycle_mean_ms=0.0, cycle_worst_ms=0.0
    )  # fmt: skip


@pytest.fixture
def world() -> World:
    return World().begin()


def test_nothing_is_missing_while_everything_comes(world):
    assert world.go_on(60 * SILENT_NS) == ""


@pytest.mark.parametrize(
    ("topic", "who"), [("report", "stim"), ("estimate", "ctl"), ("emg/amp", "amp"), ("imu/imu", "imu")]
)
def test_a_stream_that_falls_silent_while_its_publisher_runs(world, topic, who):
    world.go_on(5 * SILENT_NS)
    world.flowing.remove(topic)
    began_ns = world.now_ns
    assert world.go_on(SILENT_NS - 2 * BEAT_NS) == ""
    assert world.go_on(SILENT_NS) == f"{topic} has not come for 1.0 s: {who} runs"
    assert world.now_ns - began_ns == pytest.approx(SILENT_NS, abs=2 * BEAT_NS)


def test_one_that_comes_again_in_time(world):
    for _ in range(5):
        world.flowing.discard("report")
        assert world.go_on(SILENT_NS - 2 * BEAT_NS) == ""
        world.flowing.add("report")
        assert world.go_on(SILENT_NS) == ""


def test_one_that_never_comes_though_its_publisher_runs():
    world = World().begin()
    world.flowing.remove("emg/amp")
    assert world.go_on(UNHEARD_NS - 2 * BEAT_NS) == ""
    assert world.go_on(UNHEARD_NS) == "emg/amp has never come in 2.0 s: amp runs"


def test_a_publisher_that_begins_late_is_waited_for():
    world = World().begin()
    world.flowing.remove("emg/amp")
    world.states["amp"] = "ready"
    assert world.go_on(20 * SILENT_NS) == ""
    world.states["amp"] = "running"
    assert world.go_on(UNHEARD_NS - 2 * BEAT_NS) == ""
    assert "emg/amp" in world.go_on(UNHEARD_NS)


def test_before_the_beginning_nothing_is_required():
    world = World()
    world.flowing.clear()
    assert world.go_on(20 * SILENT_NS) == ""
    assert world.begin().go_on(UNHEARD_NS - 2 * BEAT_NS) == ""


@pytest.mark.parametrize("state", ["", "ended"], ids=["dies or hangs", "ends"])
def test_a_publisher_that_does_not_run_any_more_is_for_others_to_name(world, state):
    world.go_on(5 * SILENT_NS)
    world.states["ctl"] = state
    world.flowing.remove("estimate")
    assert world.go_on(20 * SILENT_NS) == ""


def test_nodes_may_leave_one_after_another(world):
    for topic, node in (("report", "stim"), ("estimate", "ctl"), ("emg/amp", "amp"), ("imu/imu", "imu")):
        assert world.go_on(3 * SILENT_NS) == ""
        world.states[node] = "ended"
        world.flowing.remove(topic)
    assert world.go_on(20 * SILENT_NS) == ""


def test_a_source_at_its_end_has_no_more_to_give(world):
    world.go_on(5 * SILENT_NS)
    world.flowing.remove("emg/amp")
    world.ended.add("amp")
    assert world.go_on(20 * SILENT_NS) == ""


def test_a_recorder_that_was_frozen_itself_blames_nobody(world):
    """What has come meanwhile it hears first."""
    world.go_on(5 * SILENT_NS)
    world.now_ns += 5 * SILENT_NS
    assert world.watch.missing(world.last_ns, set(), world.now_ns) == ""
    for node in NODES:
        world.watch.hear(beat(node, "running"), world.now_ns)
    assert world.watch.missing(world.last_ns, set(), world.now_ns) == ""
    assert world.go_on(3 * SILENT_NS) == ""


def test_a_publisher_that_hung_for_a_while_gets_its_time_again(world):
    world.go_on(5 * SILENT_NS)
    world.states["ctl"] = ""
    world.flowing.remove("estimate")
    world.go_on(10 * SILENT_NS)
    world.states["ctl"] = "running"
    assert world.go_on(SILENT_NS - 2 * BEAT_NS) == ""
    assert "estimate" in world.go_on(SILENT_NS)


def test_a_stream_that_nobody_publishes():
    world = World(topics=("estimate",), nodes={"amp": "acquisition"}).begin()
    world.flowing.clear()
    assert world.go_on(2 * UNHEARD_NS) == "estimate has never come in 2.0 s: no node publishes it"


def test_a_stream_that_is_not_named_after_its_node_is_any_sources():
    world = World(topics=("force/plate",), nodes=NODES).begin()
    world.flowing.clear()
    assert world.go_on(2 * UNHEARD_NS) == "force/plate has never come in 2.0 s: amp and imu run"
