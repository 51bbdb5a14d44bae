"""Every step of an object is taken and written down the same way, wherever it runs."""

from __future__ import annotations

import json
import zlib

import pytest

from myoloop.platform import wire
from myoloop.platform.bus import Asked
from myoloop.platform.messages import Answer, Command, Event, Phase, Step
from myoloop.platform.node import Configuration, Heard, NodeFault
from myoloop.platform.stepping import BusStepping, SteppedBody, Stepping, digest, start_record
from myoloop.platform.steps import Outgoing, Received


def received(seq: int, topic: str = "event", message=None) -> Received:
    frames = wire.encode(
        topic, message or Event(t_ns=seq, kind="mark", who="x"), session="s", publisher="x", epoch=3, seq=seq
    )
    return wire.decode(frames)[1]


def asked(kind: str, role: str = "operator") -> Asked:
    command = Command(t_ns=1, id=f"id-{kind}", kind=kind, target="echo", role=role)
    return Asked(received(0, "command", command), f"way back from {kind}".encode())


class Echo:
    """Says what it was given; answers every command; asks for a pause when it hears a phase."""

    name = "echo"
    subscriptions = ("event", "phase")

    def __init__(self) -> None:
        self.given = []

    def step(self, given):
        self.given.append(given)
        said = []
        for each in given.received:
            if isinstance(each.message, Command):
                said.append(Outgoing("answer", Answer(t_ns=given.now_ns, id=each.message.id, ok=True)))
            elif isinstance(each.message, Phase):
                said.append(Outgoing("command", Command(t_ns=given.now_ns, id="p", kind="pause", target="stimulator")))
            else:
                said.append(Outgoing("event", each.message))
        return said

    def state(self):
        return {"steps": len(self.given), "level": 0.1}


class Roads:
    """What a bus is asked to do."""

    def __init__(self) -> None:
        self.published, self.answered, self.commanded = [], [], []

    def publish(self, outgoing) -> None:
        self.published.append(outgoing)

    def answer(self, route, answer) -> None:
        self.answered.append((route, answer))

    def ask(self, command) -> None:
        self.commanded.append(command)


def heard(*arrived, asked=(), answers=(), not_alive=None) -> Heard:
    return Heard(list(arrived), list(asked), list(answers), [], not_alive or {})


class TestStepping:
    def test_a_step_consumes_all_that_came_since_the_last_in_order_and_once(self):
        stepping = Stepping(Echo())
        for seq in (4, 2, 9):
            stepping.receive(received(seq))
        stepping.step(100, {})
        stepping.step(200, {})
        first, second = stepping.stepped.given
        assert [each.seq for each in first.received] == [4, 2, 9]
        assert (first.number, first.now_ns, list(second.received), second.number) == (1, 100, [], 2)

    def test_its_record_comes_first_and_names_everything_it_consumed(self):
        stepping = Stepping(Echo())
        stepping.receive(received(4))
        stepping.receive(received(5))
        record, *said = stepping.step(100, {"phase": "silent"})
        assert record.topic == "step/echo"
        assert record.message == Step(
            number=1,
            now_ns=100,
            inputs=(("event", "x", 3, 4), ("event", "x", 3, 5)),
            not_alive={"phase": "silent"},
            digest=digest([received(4), received(5)]),
        )
        assert [each.message.t_ns for each in said] == [4, 5]

    def test_the_object_sees_the_verdicts_that_the_record_has(self):
        stepping = Stepping(Echo())
        stepping.step(1, {"phase": "gap"})
        assert dict(stepping.stepped.given[0].not_alive) == {"phase": "gap"}

    def test_a_digest_knows_every_byte_and_the_order(self):
        one, other = received(1), received(2)
        assert digest([one, other]) != digest([other, one])
        assert digest([one]) != digest([received(1, message=Event(t_ns=1, kind="mark", who="y"))])
        assert digest([]) == zlib.crc32(b"")


def test_a_start_record_holds_settings_and_state_as_json():
    outgoing = start_record(Echo(), "controller", '{"a": 1}', {"myoloop": "9"})
    assert outgoing.topic == "start/echo"
    start = outgoing.message
    assert (start.object, start.kind, start.settings, start.versions) == (
        "echo", "controller", '{"a": 1}', {"myoloop": "9"}
    )  # fmt: skip
    assert json.loads(start.state) == {"steps": 0, "level": 0.1}


def test_a_state_that_json_cannot_keep_is_not_written():
    class Lost(Echo):
        def state(self):
            return {"level": float("nan")}

    with pytest.raises(ValueError, match=r"JSON|nan"):
        start_record(Lost(), "controller", "{}", {})


class TestBusStepping:
    @pytest.fixture
    def roads(self):
        return Roads()

    def test_only_what_it_subscribes_to_reaches_the_object(self, roads):
        echo = Echo()
        stepping = BusStepping(echo, roads)
        stepping.take(heard(received(1), received(2, "clock", _clock())))
        stepping.step(10, {"event": "gap", "clock": "silent"})
        (given,) = echo.given
        assert [each.topic for each in given.received] == ["event"]
        assert dict(given.not_alive) == {"event": "gap"}

    def test_an_answer_goes_back_to_who_asked(self, roads):
        stepping = BusStepping(Echo(), roads)
        stepping.take(heard(asked=[asked("arm"), asked("pause")]))
        stepping.step(10, {})
        assert [(route, answer.id) for route, answer in roads.answered] == [
            (b"way back from arm", "id-arm"),
            (b"way back from pause", "id-pause"),
        ]
        assert [each.topic for each in roads.published] == ["step/echo"]

    def test_a_command_goes_to_whom_it_is_for(self, roads):
        stepping = BusStepping(Echo(), roads)
        stepping.take(heard(received(1, "phase", Phase(t_ns=1, session="s", state="running"))))
        stepping.step(10, {})
        assert [command.target for command in roads.commanded] == ["stimulator"]

    def test_a_role_that_it_does_not_obey_never_reaches_the_object(self, roads):
        echo = Echo()
        stepping = BusStepping(echo, roads, obeys=frozenset({"operator"}))
        stepping.take(heard(asked=[asked("arm", role="controller"), asked("pause")]))
        stepping.step(10, {})
        assert [each.message.kind for each in echo.given[0].received] == ["pause"]
        (refusal,) = [answer for _, answer in roads.answered if not answer.ok]
        assert (refusal.id, refusal.reason) == ("id-arm", "controller may not arm")

    def test_answers_to_its_own_commands_and_words_of_its_shell_are_inputs(self, roads):
        echo = Echo()
        stepping = BusStepping(echo, roads)
        stepping.take(heard(answers=[received(1, "answer", Answer(t_ns=1, id="p", ok=True))]))
        stepping.receive(received(2, "clock", _clock()))
        stepping.step(10, {})
        assert [each.topic for each in echo.given[0].received] == ["answer", "clock"]


class TestSteppedBody:
    def body(self, build=lambda settings: (Echo(), '{"as": "built"}')) -> SteppedBody:
        return SteppedBody("controller", build, lambda _: ("event",), 10_000_000)

    def configured(self, body, roads):
        return body.configure(Configuration("ctl", {"ctl": "controller"}, {}), roads)

    def test_it_subscribes_and_wakes_as_its_object_needs(self):
        body = self.body()
        assert self.configured(body, Roads()) == (("event", "phase"), {})
        assert body.wakes == {"event"}

    def test_it_writes_down_what_it_starts_from_then_steps_in_every_turn(self):
        body, roads = self.body(), Roads()
        self.configured(body, roads)
        body.begin(5)
        body.turn(heard(received(1)), 10)
        body.turn(heard(), 20)
        assert [each.topic for each in roads.published] == ["start/echo", "step/echo", "event", "step/echo"]
        start = roads.published[0].message
        assert (start.kind, start.settings) == ("controller", '{"as": "built"}')

    def test_settings_that_do_not_fit_are_a_fault_in_one_line(self):
        def build(settings):
            raise ValueError("reflex.floor: found 7, allowed is 0 to 1")

        with pytest.raises(NodeFault, match=r"reflex\.floor: found 7"):
            self.configured(self.body(build), Roads())


def _clock():
    from myoloop.platform.messages import ClockSample

    return ClockSample(t_ns=1, wall_ns=1, boottime_ns=1)
