"""The life of a node: what it does when told to, what it refuses, how it ends when nobody tells it any more."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest
import zmq

from myoloop.platform import bus as bus_module
from myoloop.platform import wire
from myoloop.platform.bus import Bus, send_stop
from myoloop.platform.keyring import Keyring, make_keys
from myoloop.platform.messages import Answer, Command, Event, Heartbeat, Phase
from myoloop.platform.node import CycleTimer, Node, NodeFault, Refusal
from myoloop.platform.runtime import RuntimeFolder
from myoloop.platform.steps import Outgoing, Received

KEYS = {
    "probe": "controller",
    "supervisor": "supervisor",
    "director": "director",
    "operator": "operator",
    "recorder": "recorder",
}
SECOND_NS = 1_000_000_000


class Body:
    """Remembers what it was asked to do; a test may give it something to do instead."""

    cycle_ns = 10_000_000
    wakes = frozenset({"event"})
    files: tuple[int, ...] = ()

    def __init__(self, role: str = "controller") -> None:
        self.role = role
        self.calls: list[str] = []
        self.heard: list[Received] = []
        self.asked: list[str] = []
        self.stops: list[str] = []
        self.not_alive: dict[str, str] = {}
        self.configured_with = None
        self.topics: tuple[str, ...] = ("event", "phase")
        self.on_configure: Callable[[Bus], None] = lambda bus: None
        self.on_turn: Callable[[], None] = lambda: None
        self.on_end: Callable[[], None] = lambda: None
        self.turns = 0

    def configure(self, given, bus):
        self.configured_with = given
        self.on_configure(bus)
        self.calls.append("configure")
        return self.topics, {"it": "is"}

    def begin(self, now_ns):
        self.calls.append("begin")

    def idle(self, now_ns):
        pass

    def turn(self, heard, now_ns):
        self.turns += 1
        self.heard += heard.received
        self.asked += [each.received.message.kind for each in heard.asked]
        self.stops += [each.why for each in heard.stops]
        self.not_alive = dict(heard.not_alive)
        self.on_turn()

    def end(self, outcome, reason, now_ns):
        self.calls.append(f"end {outcome}: {reason}")
        self.on_end()

    def counters(self):
        return {"turns": float(self.turns)}


class SkewedClock:
    """The host's clock, until a test puts it forward for the node alone."""

    def __init__(self) -> None:
        self.skew_ns = 0

    def now_ns(self) -> int:
        return time.monotonic_ns() + self.skew_ns


class World:
    """One real node in a thread, and its supervisor and director on real sockets."""

    def __init__(self, folder: RuntimeFolder, body: Body, eventually, recorder: str | None = None) -> None:
        self.folder, self.body, self.eventually = folder, body, eventually
        self.nodes = {"probe": body.role, "supervisor": "supervisor", "director": "director"}
        self.others = {name: Bus(folder, name, session="s1") for name in ("supervisor", "director", "operator")}
        self.supervisor, self.director = self.others["supervisor"], self.others["director"]
        self.beats: list[Heartbeat] = []
        self.events: list[Event] = []
        self.gaps = []
        self.beating = True
        self.clock = SkewedClock()
        lifeline, self.lifeline = os.pipe()
        os.set_blocking(lifeline, False)
        self._reading = lifeline
        self.supervisor.subscribe(["probe"], ["heartbeat/probe", "event", "gap"])
        self.node = Node(
            Bus(folder, "probe", session="s1", recorder=recorder), body, clock=self.clock, lifeline=lifeline
        )
        self.raised: BaseException | None = None
        self.code: int | None = None
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.code = self.node.run()
        except Exception as error:  # whatever it is, a test looks at it
            self.raised = error

    def look(self) -> None:
        """Beat as the others do, and take in what the node says."""
        if self.beating:
            for name in ("supervisor", "director"):
                beat = Heartbeat(
                    t_ns=time.monotonic_ns(), node=name, role=name, state="running", cycle_ms=0.0, cycle_mean_ms=0.0,
                    cycle_worst_ms=0.0,
                )  # fmt: skip
                self.others[name].publish(Outgoing(f"heartbeat/{name}", beat))
        self.supervisor.wait(0.01)
        for received in self.supervisor.heard():
            kinds = {Heartbeat: self.beats, Event: self.events}
            kinds.get(type(received.message), self.gaps).append(received.message)

    def until(self, condition: Callable[[], object], what: str = "it"):
        return self.eventually(lambda: self.look() or condition(), what)

    def state(self) -> str:
        return self.beats[-1].state if self.beats else ""

    def ask(self, kind: str, arguments: dict | None = None, who: str = "supervisor") -> Answer:
        bus = self.others[who]
        bus.ask(
            Command(t_ns=1, id=f"{kind}-{time.monotonic_ns()}", kind=kind, target="probe", arguments=arguments or {})
        )
        (answer,) = self.until(bus.answers, f"the answer to {kind}")
        return answer.message

    def configure(self, **settings) -> Answer:
        return self.ask("configure", {"nodes": self.nodes, "settings": settings})

    def to_running(self) -> World:
        assert self.configure().ok
        self.until(lambda: self.state() == "ready", "ready")
        assert self.ask("begin").ok
        self.until(lambda: self.state() == "running", "running")
        return self

    def to_end(self) -> World:
        self.eventually(lambda: self.look() or not self.thread.is_alive(), "the node's end")
        return self

    def close(self) -> None:
        self.body.on_turn = self.body.on_end = lambda: None
        if self.thread.is_alive():
            self.supervisor.ask(Command(t_ns=1, id="last", kind="end", target="probe"))
        self.thread.join(10)
        if self.lifeline is not None:
            os.close(self.lifeline)
        assert not self.thread.is_alive()
        for bus in self.others.values():
            bus.close()
        os.close(self._reading)

    def cut_lifeline(self) -> None:
        os.close(self.lifeline)
        self.lifeline = None


@pytest.fixture
def world(short_folder, eventually):
    """Make a world; each ends with its test."""
    make_keys(short_folder, KEYS)
    made: list[World] = []

    def make(body: Body | None = None, **more) -> World:
        made.append(World(RuntimeFolder(short_folder), body or Body(), eventually, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()


class Punctual(Body):
    """Has something to do every 7 ms, between turns that are 100 ms apart; none of it while a stop waits."""

    role = "stimulator"
    cycle_ns = 100_000_000

    def __init__(self) -> None:
        super().__init__("stimulator")
        self.due_ns: int | None = None
        self.late_ns: list[int] = []
        self.order: list[str] = []

    def configure(self, given, bus):
        bus.open_stop()
        return super().configure(given, bus)

    def begin(self, now_ns):
        super().begin(now_ns)
        self.due_ns = now_ns + 7_000_000

    def turn(self, heard, now_ns):
        super().turn(heard, now_ns)
        self.order += ["stop"] * len(heard.stops)

    def punctual(self, now_ns):
        assert self.due_ns is not None
        self.late_ns.append(now_ns - self.due_ns)
        self.order.append("punctual")
        self.due_ns += 7_000_000


class TestPunctuality:
    def test_what_is_due_between_two_turns_is_done_when_it_is_due(self, world):
        here = world(Punctual()).to_running()
        here.until(lambda: len(here.body.late_ns) >= 50, "fifty moments")
        assert min(here.body.late_ns) >= 0
        # The bus alone would be up to a millisecond late; a quarter at least is not, whatever else the machine does.
        assert sorted(here.body.late_ns)[len(here.body.late_ns) // 4] < 100_000
        assert here.body.turns < len(here.body.late_ns)

    def test_a_stop_that_waits_goes_first(self, world):
        here = world(Punctual()).to_running()

        def stop_and_be_late():
            here.body.on_turn = lambda: None
            send_stop(here.folder, "probe", "test", "now")
            here.body.order.clear()
            here.body.due_ns = time.monotonic_ns()

        here.body.on_turn = stop_and_be_late
        here.until(lambda: here.body.stops, "the stop")
        assert here.body.order[0] == "stop"


class TestOrderOfLife:
    def test_hello_configure_ready_begin_end(self, world):
        here = world()
        here.until(lambda: here.state() == "hello", "hello")
        answer = here.configure(gain=2)
        assert (answer.ok, answer.values) == (True, {"it": "is"})
        given = here.body.configured_with
        assert (given.node, given.nodes, given.settings) == ("probe", here.nodes, {"gain": 2})
        here.until(lambda: here.state() == "ready", "ready")
        assert here.ask("begin").ok
        here.until(lambda: here.state() == "running" and here.body.turns, "a turn")
        assert here.ask("end", {"outcome": "complete", "reason": "all done"}).ok
        here.to_end()
        assert here.body.calls == ["configure", "begin", "end complete: all done"]
        assert here.code == 0
        here.until(lambda: here.state() == "ended", "its last heartbeat")

    def test_it_is_not_ready_before_it_has_heard_every_other(self, world):
        here = world()
        here.beating = False
        here.configure()
        here.until(lambda: here.state() == "configured", "configured")
        for _ in range(20):
            here.look()
        assert here.state() == "configured"
        here.beating = True
        here.until(lambda: here.state() == "ready", "ready")
        assert here.beats[-1].heard == ("director", "supervisor")

    def test_out_of_order_is_refused_and_changes_nothing(self, world):
        here = world()
        answer = here.ask("begin")
        assert (answer.ok, answer.reason) == (False, "begin in state hello")
        here.to_running()
        for kind in ("configure", "begin"):
            answer = here.ask(kind, {"nodes": {}, "settings": {}})
            assert (answer.ok, answer.reason) == (False, f"{kind} in state running")
        assert here.body.calls == ["configure", "begin"]

    @pytest.mark.parametrize("kind", ["configure", "begin", "end"])
    def test_an_operator_may_not_decide_over_its_life(self, world, kind):
        here = world()
        answer = here.ask(kind, {"nodes": here.nodes, "settings": {}}, who="operator")
        assert (answer.ok, answer.reason) == (False, f"operator may not {kind}")
        assert here.body.calls == []

    def test_a_director_may_end_it(self, world):
        here = world().to_running()
        assert here.ask("end", {"outcome": "stopped", "reason": "pain"}, who="director").ok
        here.to_end()
        assert here.body.calls[-1] == "end stopped: pain"

    def test_it_may_be_ended_at_any_time(self, world):
        here = world()
        assert here.ask("end", {"outcome": "aborted", "reason": "changed my mind"}).ok
        here.to_end()
        assert here.body.calls == ["end aborted: changed my mind"]

    def test_what_cannot_be_configured_is_answered_and_may_be_tried_again(self, world):
        here = world()

        def refuse(bus):
            here.body.on_configure = lambda bus: None
            raise NodeFault("no such device: /dev/nowhere")

        here.body.on_configure = refuse
        answer = here.configure()
        assert (answer.ok, answer.reason) == (False, "no such device: /dev/nowhere")
        assert not answer.values["mistake"]
        assert here.configure().ok

    def test_what_the_user_has_to_mend_is_told_from_what_the_device_cannot(self, world):
        here = world()

        def refuse(bus):
            raise Refusal("there is no source 'nosuch'")

        here.body.on_configure = refuse
        answer = here.configure()
        assert (answer.ok, answer.reason) == (False, "there is no source 'nosuch'")
        assert answer.values["mistake"]

    def test_every_other_command_is_the_bodys(self, world):
        here = world().to_running()
        here.others["operator"].ask(Command(t_ns=1, id="a", kind="arm", target="probe"))
        here.until(lambda: here.body.asked == ["arm"], "the command")


class TestHearing:
    def test_a_message_gives_the_body_a_turn_at_once(self, world):
        body = Body()
        body.cycle_ns = 60 * SECOND_NS
        here = world(body).to_running()
        turns = body.turns
        here.director.publish(Outgoing("event", Event(t_ns=1, kind="mark", who="director")))
        here.until(lambda: body.turns > turns, "a turn")
        assert [each.message.kind for each in body.heard if each.topic == "event"] == ["mark"]

    def test_without_one_it_has_a_turn_every_cycle(self, world):
        here = world().to_running()
        before = here.body.turns
        here.until(lambda: here.body.turns >= before + 20, "turns")

    def test_what_came_before_the_beginning_is_not_the_sessions(self, world):
        here = world()
        here.configure()
        here.until(lambda: here.state() == "ready", "ready")
        early = Event(t_ns=1, kind="mark", who="director", why="early")
        for _ in range(5):
            here.director.publish(Outgoing("event", early))
            here.look()
        here.ask("begin")
        here.director.publish(Outgoing("event", Event(t_ns=2, kind="mark", who="director", why="late")))
        marks = lambda: [each.message.why for each in here.body.heard if each.topic == "event"]  # noqa: E731
        here.until(marks, "an event")
        assert marks() == ["late"]

    def test_but_a_stop_before_the_beginning_is_one(self, world):
        body = Body()
        here = world(body)
        here.node._bus.open_stop()
        here.configure()
        here.until(lambda: here.state() == "ready", "ready")
        send_stop(here.folder, "probe", "operator", "early")
        here.until(lambda: here.node._pending.stops, "the stop")
        here.ask("begin")
        here.until(lambda: body.stops, "the stop in a turn")
        assert body.stops == ["early"]

    def test_what_is_missing_is_told_and_the_stream_is_not_alive_for_once(self, world, short_folder):
        here = world()
        # The director's place is taken by a publisher that skips numbers.
        here.director.close()
        here.others.pop("director")
        own = Keyring(short_folder).key("director")
        context = zmq.Context()
        publisher = context.socket(zmq.PUB)
        publisher.linger = 0
        publisher.curve_publickey, publisher.curve_secretkey, publisher.curve_server = own.public, own.secret, True
        publisher.bind(here.folder.endpoint("director", "pub"))
        seen: list[dict[str, str]] = []
        here.body.on_turn = lambda: seen.append(here.body.not_alive)
        seq = iter(range(100_000))

        def say(topic, message, number):
            publisher.send_multipart(
                wire.encode(topic, message, session="s1", publisher="director", epoch=1, seq=number)
            )

        def look():
            here.others["supervisor"].publish(Outgoing("heartbeat/supervisor", _beat("supervisor")))
            number = next(seq)
            say("heartbeat/director", _beat("director"), number)
            say("phase", Phase(t_ns=number, session="s1", state="running"), number if number < 200 else number + 3)
            here.supervisor.wait(0.01)
            for received in here.supervisor.heard():
                kinds = {Heartbeat: here.beats, Event: here.events}
                kinds.get(type(received.message), here.gaps).append(received.message)

        here.look = look
        try:
            here.to_running()
            seq = iter(range(200, 100_000))
            here.until(lambda: here.gaps, "a gap")
            here.until(lambda: {"phase": "gap"} in seen, "the verdict")
        finally:
            publisher.close()
            context.term()
        gap = next(each for each in here.gaps if each.topic == "phase")
        assert (gap.publisher, gap.last_missing) == ("director", 202)
        assert sum(each.get("phase") == "gap" for each in seen) == 1

    def test_a_stop_gives_a_turn_at_once(self, world):
        body = Body("stimulator")
        body.cycle_ns = 60 * SECOND_NS
        body.on_configure = lambda bus: bus.open_stop()
        here = world(body).to_running()
        send_stop(here.folder, "probe", "operator", "it hurts")
        here.until(lambda: body.stops == ["it hurts"], "the stop")


class TestHeartbeat:
    def test_it_beats_every_40_ms_with_the_bodys_figures(self, world):
        here = world().to_running()
        here.beats.clear()
        here.until(lambda: len(here.beats) >= 15, "beats")
        spacing_ms = [(b.t_ns - a.t_ns) * 1e-6 for a, b in zip(here.beats, here.beats[1:], strict=False)]
        assert min(spacing_ms) >= 40.0
        assert sorted(spacing_ms)[len(spacing_ms) // 2] <= 60.0
        beat = here.beats[-1]
        assert (beat.node, beat.role, beat.state) == ("probe", "controller", "running")
        assert beat.counters["turns"] > 0
        assert beat.cycle_worst_ms >= beat.cycle_mean_ms > 0

    def test_a_loop_that_hangs_is_silent(self, world):
        here = world().to_running()
        hung, release = threading.Event(), threading.Event()

        def hang():
            hung.set()
            release.wait(10)

        here.body.on_turn = hang
        here.until(hung.is_set, "the hang")
        here.beats.clear()
        deadline = time.monotonic() + 0.3
        while time.monotonic() < deadline:
            here.look()
        # One may have been on its way.
        assert len(here.beats) <= 1
        here.body.on_turn = lambda: None
        release.set()
        here.until(lambda: len(here.beats) > 3, "beats again")


class TestEndings:
    def test_a_fault_of_the_body_ends_the_node_says_why_and_gives_exit_code_3(self, world, capfd):
        here = world().to_running()

        def fail():
            raise NodeFault("the amplifier was unplugged")

        here.body.on_turn = fail
        here.to_end()
        assert here.code == 3
        assert here.body.calls[-1] == "end fault: the amplifier was unplugged"
        here.until(lambda: here.events, "the event")
        assert (here.events[0].kind, here.events[0].who, here.events[0].why) == (
            "fault", "probe", "the amplifier was unplugged"
        )  # fmt: skip
        assert capfd.readouterr().err == "probe: the amplifier was unplugged\n"

    def test_what_cannot_be_said_of_a_fault_keeps_nothing_from_ending(self, world, capfd, monkeypatch):
        here = world().to_running()
        publish = here.node._bus.publish

        def full(outgoing):
            if outgoing.topic == "event":
                raise OSError(28, "No space left on device")
            return publish(outgoing)

        monkeypatch.setattr(here.node._bus, "publish", full)

        def fail():
            raise NodeFault("recording: No space left on device")

        here.body.on_turn = fail
        here.to_end()
        assert (here.code, here.raised) == (3, None)
        assert here.body.calls[-1] == "end fault: recording: No space left on device"
        assert capfd.readouterr().err == "probe: recording: No space left on device\n"

    def test_a_mistake_of_the_body_ends_it_too_and_is_in_the_record(self, world):
        here = world().to_running()

        def fail():
            raise KeyError("left")

        here.body.on_turn = fail
        here.to_end()
        assert isinstance(here.raised, KeyError)
        assert here.body.calls[-1] == "end fault: KeyError: 'left'"
        here.until(lambda: here.events, "the event")
        assert here.events[0].why == "KeyError: 'left'"

    def test_not_even_a_body_that_cannot_end_leaves_a_socket(self, world, short_folder):
        here = world().to_running()

        def fail():
            raise ValueError("cannot put it away")

        here.body.on_end = fail
        here.cut_lifeline()
        here.to_end()
        assert isinstance(here.raised, ValueError)
        assert list(short_folder.glob("probe.*")) == []

    @pytest.mark.parametrize(("fault", "first"), [(NodeFault("no disk"), "no disk"), (KeyError("x"), "KeyError: 'x'")])
    def test_what_is_wrong_as_it_ends_is_told_besides_what_it_ends_for(self, world, capfd, fault, first):
        here = world().to_running()

        def fail(error):
            raise error

        here.body.on_end = lambda: fail(NodeFault("pull the leads"))
        here.body.on_turn = lambda: fail(fault)
        here.to_end()
        here.until(lambda: len(here.events) > 1, "both events")
        assert [each.why for each in here.events] == [first, "pull the leads"]
        if isinstance(fault, NodeFault):
            assert (here.code, capfd.readouterr().err) == (3, "probe: no disk; pull the leads\n")

    def test_what_is_wrong_twice_is_told_once(self, world, capfd):
        here = world().to_running()

        def fail():
            raise NodeFault("no disk")

        here.body.on_turn = here.body.on_end = fail
        here.to_end()
        assert (here.code, capfd.readouterr().err) == (3, "probe: no disk\n")

    def test_it_ends_by_itself_when_its_lifeline_is_cut(self, world, short_folder):
        here = world().to_running()
        here.cut_lifeline()
        here.to_end()
        assert here.body.calls[-1] == "end fault: supervisor lost"
        assert list(short_folder.glob("probe.*")) == []

    @pytest.mark.parametrize(("role", "within_s"), [("stimulator", 0.5), ("controller", None)])
    def test_a_stimulator_does_not_wait_for_last_words(self, world, role, within_s):
        here = world(Body(role)).to_running()
        began = time.monotonic()
        here.cut_lifeline()
        here.to_end()
        took_s = time.monotonic() - began
        assert took_s < within_s if within_s is not None else took_s > 0.45

    def test_it_ends_by_itself_when_the_supervisor_is_silent(self, world):
        here = world().to_running()
        here.beating = False
        here.clock.skew_ns += 3 * SECOND_NS
        here.to_end()
        assert here.body.calls[-1] == "end fault: supervisor silent"

    def test_a_supervisor_that_beats_is_not_given_up(self, world):
        here = world().to_running()
        here.clock.skew_ns += SECOND_NS
        here.beats.clear()
        here.until(lambda: len(here.beats) > 10, "beats")
        assert here.state() == "running"

    def test_a_session_that_had_ended_ends_as_it_had(self, world):
        here = world().to_running()
        last = Phase(t_ns=1, session="s1", state="ended", outcome="stopped", reason="pain score 8")
        here.director.publish(Outgoing("phase", last))
        here.until(lambda: any(each.topic == "phase" for each in here.body.heard), "the phase")
        here.cut_lifeline()
        here.to_end()
        assert here.body.calls[-1] == "end stopped: pain score 8"

    def test_what_the_recorder_does_not_take_is_a_fault_not_a_wait(self, world, monkeypatch):
        monkeypatch.setattr(bus_module, "RECORD_QUEUE", 10)
        here = world(recorder="recorder")
        here.to_end()
        assert here.code == 3
        assert "the recorder does not keep up" in here.body.calls[-1]


def test_a_cycle_timer_tells_now_mean_and_worst_of_the_newest_turns():
    timer = CycleTimer(turns=3)
    assert timer.figures_ms() == (0.0, 0.0, 0.0)
    for took_ms in (90, 1, 2, 6):
        timer.note(0, took_ms * 1_000_000)
    assert timer.figures_ms() == pytest.approx((6.0, 3.0, 6.0))


def _beat(name: str) -> Heartbeat:
    return Heartbeat(
        t_ns=time.monotonic_ns(), node=name, role=name, state="running", cycle_ms=0.0, cycle_mean_ms=0.0,
        cycle_worst_ms=0.0,
    )  # fmt: skip
