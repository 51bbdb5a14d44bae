"""The sockets of a node: who is heard, who is obeyed, and what is counted where it cannot be kept."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
import zmq

from myoloop.platform import bus as bus_module
from myoloop.platform import wire
from myoloop.platform.bus import AT_ONCE, Bus, send_stop
from myoloop.platform.keyring import FILE, Keyring, make_keys
from myoloop.platform.messages import Answer, Command, Event, Heartbeat, Phase, Samples, StimRequest
from myoloop.platform.runtime import RuntimeFolder, RuntimeFolderError
from myoloop.platform.steps import Outgoing

NODES = {
    "arm": "acquisition",
    "arm2": "acquisition",
    "controller": "controller",
    "stimulator": "stimulator",
    "director": "director",
    "recorder": "recorder",
    "operator": "operator",
}
BLOCK = np.arange(6, dtype="<i2").reshape(3, 2)


@pytest.fixture
def folder(short_folder) -> RuntimeFolder:
    make_keys(short_folder, NODES)
    return RuntimeFolder(short_folder)


@pytest.fixture
def bus(folder) -> Iterator:
    """Make a node's sockets; all are closed in the end."""
    made = []

    def make(node: str, *, session: str = "s1", recorder: str | None = None) -> Bus:
        made.append(Bus(folder, node, session=session, recorder=recorder))
        return made[-1]

    yield make
    for each in made:
        each.close()


@contextmanager
def raw(folder: RuntimeFolder, kind: int, node: str, what: str, *, key: bytes | None, secret: bytes | None):
    """A bare socket at a node's endpoint, with any key or none: what a stranger or a forger has."""
    context = zmq.Context()
    made = context.socket(kind)
    made.linger = 0
    if key is not None:
        made.curve_publickey, made.curve_secretkey = key, secret
        made.curve_serverkey = Keyring(folder.path).key(node).public
    made.connect(folder.endpoint(node, what))
    try:
        yield made
    finally:
        made.close()
        context.term()


def revoke(folder: RuntimeFolder, node: str) -> None:
    entries = json.loads((folder.path / FILE).read_text())
    part = folder.path / "new.part"
    part.write_text(json.dumps([entry for entry in entries if entry["node"] != node]))
    part.replace(folder.path / FILE)


def block(t_ns: int = 1) -> Samples:
    return Samples(first_sample=0, t_ns=t_ns)


def command(kind: str = "pause", target: str = "stimulator", **more) -> Command:
    return Command(t_ns=1, id=f"id-{kind}", kind=kind, target=target, **more)


def event(why: str = "") -> Event:
    return Event(t_ns=1, kind="mark", who="arm", why=why)


@pytest.fixture
def meet(eventually):
    """Let a subscriber hear a publisher: what is said before is nobody's."""

    def until_heard(publisher: Bus, subscriber: Bus, *outgoing: Outgoing) -> None:
        def heard():
            for each in outgoing:
                publisher.publish(each)
            subscriber.wait(0.01)
            return subscriber.heard()

        eventually(heard, "the first message")

    return until_heard


@pytest.fixture
def obeyed(eventually):
    """The next command that reaches a node."""

    def next_one(receiver: Bus, nonce: str = ""):
        def asked():
            receiver.wait(0.01)
            return receiver.asked(lambda: nonce)

        (found,) = eventually(asked, "a command")
        return found

    return next_one


class TestHearing:
    def test_a_message_arrives_as_it_was_said_with_its_array(self, bus, meet, eventually):
        publisher, subscriber = bus("arm"), bus("controller")
        subscriber.subscribe(["arm"], ["emg/arm"])
        meet(publisher, subscriber, Outgoing("emg/arm", block(), BLOCK))
        said = wire.decode(publisher.publish(Outgoing("emg/arm", block(77), BLOCK)))[1]
        heard = []
        eventually(lambda: heard.extend(subscriber.heard()) or (heard and heard[-1].message.t_ns == 77))
        received = heard[-1]
        assert received.message == block(77)
        np.testing.assert_array_equal(received.array, BLOCK)
        assert (received.reference, received.crc) == (said.reference, said.crc)
        assert (received.publisher, received.epoch) == ("arm", publisher.epoch)

    def test_messages_are_numbered_by_topic(self, bus):
        publisher = bus("arm")
        said = [Outgoing("event", event()), Outgoing("emg/arm", block(), BLOCK), Outgoing("event", event())]
        assert [wire.decode(publisher.publish(each))[0].seq for each in said] == [0, 0, 1]

    def test_a_topic_is_not_heard_for_beginning_like_another(self, bus, meet, eventually):
        publisher, subscriber = bus("arm"), bus("controller")
        subscriber.subscribe(["arm"], ["emg/arm"])
        meet(publisher, subscriber, Outgoing("emg/arm", block(), BLOCK))
        for _ in range(20):
            publisher.publish(Outgoing("emg/arm2", block(2), BLOCK))
        publisher.publish(Outgoing("emg/arm", block(3), BLOCK))
        heard = []
        eventually(lambda: heard.extend(subscriber.heard()) or (heard and heard[-1].message.t_ns == 3))
        assert {each.topic for each in heard} == {"emg/arm"}

    def test_a_topic_that_is_not_in_the_table_cannot_be_asked_for(self, bus):
        with pytest.raises(ValueError, match="nonsense"):
            bus("controller").subscribe(["arm"], ["nonsense"])

    def test_another_sessions_messages_are_not_heard(self, bus, eventually, meet):
        other, own, subscriber = bus("arm", session="s0"), bus("arm2"), bus("controller")
        subscriber.subscribe(["arm", "arm2"], ["event"])
        meet(own, subscriber, Outgoing("event", event()))
        # The road from the other is open too: on it, this session's messages would arrive.
        other.session = "s1"
        meet(other, subscriber, Outgoing("event", event()))
        other.session = "s0"
        other.publish(Outgoing("event", event("of another session")))
        other.session = "s1"
        other.publish(Outgoing("event", event("last")))
        heard = []
        eventually(lambda: heard.extend(subscriber.heard()) or (heard and heard[-1].message.why == "last"))
        assert "of another session" not in {each.message.why for each in heard}

    def test_a_stranger_hears_nothing(self, bus, folder, meet):
        publisher, subscriber = bus("arm"), bus("controller")
        subscriber.subscribe(["arm"], ["event"])
        public, secret = zmq.curve_keypair()
        with (
            raw(folder, zmq.SUB, "arm", "pub", key=public, secret=secret) as stranger,
            raw(folder, zmq.SUB, "arm", "pub", key=None, secret=None) as plain,
        ):
            stranger.subscribe(b"")
            plain.subscribe(b"")
            meet(publisher, subscriber, Outgoing("event", event()))
            for _ in range(50):
                publisher.publish(Outgoing("event", event()))
                subscriber.wait(0.002)
            assert not stranger.poll(100)
            assert not plain.poll(0)

    @pytest.mark.parametrize(
        ("node", "topic", "message"),
        [
            ("arm", "request", StimRequest(step=1, t_ns=1, arm_id="a", lease_ms=100, channels=())),
            ("controller", "phase", Phase(t_ns=1, session="s1", state="running")),
            (
                "controller",
                "heartbeat/director",
                Heartbeat(
                    t_ns=1, node="director", role="director", state="running", cycle_ms=0, cycle_mean_ms=0,
                    cycle_worst_ms=0,
                ),
            ),
        ],
    )  # fmt: skip
    def test_what_a_role_may_not_say_is_not_heard(self, bus, meet, eventually, node, topic, message):
        publisher, subscriber = bus(node), bus("stimulator")
        subscriber.subscribe([node], [topic, "event"])
        meet(publisher, subscriber, Outgoing("event", event()))
        publisher.publish(Outgoing(topic, message))
        publisher.publish(Outgoing("event", event("last")))
        heard = []
        eventually(lambda: heard.extend(subscriber.heard()) or (heard and heard[-1].message.why == "last"))
        assert {each.topic for each in heard} == {"event"}
        assert subscriber.refused == 1

    def test_a_publisher_whose_key_was_revoked_is_not_heard_any_more(self, bus, folder, meet, eventually):
        publisher, subscriber = bus("controller"), bus("stimulator")
        subscriber.subscribe(["controller"], ["event"])
        meet(publisher, subscriber, Outgoing("event", event()))
        revoke(folder, "controller")

        def refused():
            assert [each for each in subscriber.heard() if each.message.why == "revoked"] == []
            publisher.publish(Outgoing("event", event("revoked")))
            return subscriber.refused >= 3

        eventually(refused, "a refusal")

    def test_who_looks_on_hears_every_topic(self, bus, meet):
        publisher, onlooker = bus("arm"), bus("operator")
        onlooker.overhear(["arm"])
        meet(publisher, onlooker, Outgoing("emg/arm", block(), BLOCK))
        meet(publisher, onlooker, Outgoing("event", event()))

    def test_who_talks_without_end_is_heard_a_part_at_a_time_and_nothing_is_lost(self, bus, meet, eventually):
        talker, hearer = bus("director"), bus("stimulator")
        hearer.subscribe(["director"], ["event"])
        meet(talker, hearer, Outgoing("event", event("first")))
        for number in range(3 * AT_ONCE):
            talker.publish(Outgoing("event", event(str(number))))
        parts = [[]]

        def all_heard():
            hearer.wait(0.01)
            parts.append(hearer.heard())
            return parts[-1] and parts[-1][-1].message.why == str(3 * AT_ONCE - 1)

        eventually(all_heard, "the last word")
        assert max(map(len, parts)) <= AT_ONCE
        said = [each.message.why for part in parts for each in part]
        assert [why for why in said if why != "first"] == [str(number) for number in range(3 * AT_ONCE)]

    def test_another_file_ends_the_wait(self, bus):
        reading, writing = os.pipe()
        node = bus("controller")
        assert node.wait(0.0, [reading]) == set()
        os.write(writing, b"x")
        assert node.wait(5.0, [reading]) == {reading}
        os.close(reading)
        os.close(writing)


class TestCommands:
    def test_a_command_is_answered_to_who_gave_it(self, bus, obeyed, eventually):
        stimulator, operator, director = bus("stimulator"), bus("operator"), bus("director")
        operator.ask(command("arm"))
        asked = obeyed(stimulator)
        assert asked.received.message.kind == "arm"
        stimulator.answer(asked.route, Answer(t_ns=2, id=asked.received.message.id, ok=True))
        (answer,) = eventually(operator.answers, "the answer")
        assert (answer.message.id, answer.message.ok) == ("id-arm", True)
        assert director.answers() == []

    def test_role_and_randomness_are_put_on_by_who_receives(self, bus, obeyed):
        stimulator, controller = bus("stimulator"), bus("controller")
        controller.ask(command("arm", role="operator", nonce="chosen by the sender"))
        message = obeyed(stimulator, "chosen here").received.message
        assert (message.role, message.nonce) == ("controller", "chosen here")

    def test_each_command_has_a_randomness_of_its_own(self, bus, eventually):
        stimulator, operator = bus("stimulator"), bus("operator")
        for _ in range(3):
            operator.ask(command("arm"))
        fresh = iter("abc")
        found = []
        eventually(lambda: found.extend(stimulator.asked(lambda: next(fresh))) or len(found) == 3, "the commands")
        assert [each.received.message.nonce for each in found] == ["a", "b", "c"]

    def test_a_name_is_that_of_the_key_whatever_the_head_says(self, bus, folder, obeyed):
        stimulator = bus("stimulator")
        own = Keyring(folder.path).key("controller")
        forged = wire.encode("command", command("arm"), session="s1", publisher="operator", epoch=1, seq=0)
        with raw(folder, zmq.DEALER, "stimulator", "cmd", key=own.public, secret=own.secret) as forger:
            forger.send_multipart(forged)
            received = obeyed(stimulator).received
        assert (received.publisher, received.message.role) == ("controller", "controller")

    def test_what_a_replay_will_see_is_what_the_receiver_saw(self, bus, obeyed, eventually):
        recorder, stimulator, operator = bus("recorder"), bus("stimulator", recorder="recorder"), bus("operator")
        recorder.open_record()
        operator.ask(command("arm", role="director"))
        received = obeyed(stimulator, "n1").received
        (frames,) = eventually(recorder.pushed, "the record")
        kept = wire.decode(frames)[1]
        assert kept.message == received.message
        assert (kept.reference, kept.crc) == (received.reference, received.crc)
        assert kept.message.role == "operator"

    def test_a_stranger_is_met_with_silence(self, bus, folder, obeyed):
        stimulator, operator = bus("stimulator"), bus("operator")
        frames = wire.encode("command", command("arm"), session="s1", publisher="operator", epoch=1, seq=0)
        public, secret = zmq.curve_keypair()
        with (
            raw(folder, zmq.DEALER, "stimulator", "cmd", key=public, secret=secret) as stranger,
            raw(folder, zmq.DEALER, "stimulator", "cmd", key=None, secret=None) as plain,
        ):
            stranger.send_multipart(frames)
            plain.send_multipart(frames)
            for number in range(10):
                operator.ask(command(f"known{number}"))
                assert obeyed(stimulator).received.message.kind == f"known{number}"
            assert not stranger.poll(100)
            assert not plain.poll(0)
        assert stimulator.refused == 0

    def test_a_revoked_key_keeps_its_connection_and_is_not_obeyed(self, bus, folder, obeyed, eventually):
        stimulator, operator, director = bus("stimulator"), bus("operator"), bus("director")
        operator.ask(command("arm"))
        obeyed(stimulator)
        revoke(folder, "operator")
        operator.ask(command("arm"))
        director.ask(command("pause"))
        assert obeyed(stimulator).received.message.kind == "pause"
        eventually(lambda: stimulator.asked() == [] and stimulator.refused, "the refusal")
        assert stimulator.refused == 1

    def test_another_sessions_command_is_refused(self, bus, obeyed, eventually):
        stimulator, stale, operator = bus("stimulator"), bus("director", session="s0"), bus("operator")
        stale.ask(command("pause"))
        eventually(lambda: stimulator.asked() == [] and stimulator.refused, "the refusal")
        operator.ask(command("arm"))
        assert obeyed(stimulator).received.message.kind == "arm"

    @pytest.mark.parametrize(
        "frames",
        [
            [b""],
            [b"command", b"garbage", b"garbage"],
            wire.encode("event", event(), session="s1", publisher="operator", epoch=1, seq=0),
        ],
        ids=["empty", "garbage", "not a command"],
    )
    def test_what_is_no_command_is_refused_and_nothing_breaks(self, bus, folder, obeyed, eventually, frames):
        stimulator, director = bus("stimulator"), bus("director")
        own = Keyring(folder.path).key("operator")
        with raw(folder, zmq.DEALER, "stimulator", "cmd", key=own.public, secret=own.secret) as socket:
            socket.send_multipart(frames)
            eventually(lambda: stimulator.asked() == [] and stimulator.refused == 1, "the refusal")
        director.ask(command("pause"))
        assert obeyed(stimulator).received.message.kind == "pause"


class TestRecord:
    def test_everything_the_table_says_is_recorded_is(self, bus, eventually):
        recorder, publisher = bus("recorder"), bus("arm", recorder="recorder")
        recorder.open_record()
        frames = [publisher.publish(Outgoing("emg/arm", block(), BLOCK)), publisher.publish(Outgoing("event", event()))]
        kept = []
        eventually(lambda: kept.extend(recorder.pushed()) or len(kept) == 2, "both")
        assert kept == frames

    def test_a_full_queue_is_counted_and_never_waited_for(self, bus, monkeypatch):
        monkeypatch.setattr(bus_module, "RECORD_QUEUE", 5)
        # Nobody is there to take them.
        publisher = bus("arm", recorder="recorder")
        began = time.monotonic()
        for _ in range(200):
            publisher.publish(Outgoing("event", event()))
        assert time.monotonic() - began < 2.0
        assert 0 < publisher.record_queue_full < 200

    def test_a_recorder_keeps_its_own_words_too_also_those_before_it_had_a_file(self, bus):
        recorder = bus("recorder")
        recorder.publish(Outgoing("event", event("early")))
        kept = []
        recorder.record_here(kept.append)
        recorder.publish(Outgoing("event", event("late")))
        assert [wire.decode(frames)[1].message.why for frames in kept] == ["early", "late"]

    def test_what_a_node_consumes_of_its_own_is_recorded_first(self, bus, eventually):
        recorder, stimulator = bus("recorder"), bus("stimulator", recorder="recorder")
        recorder.open_record()
        received = stimulator.own(Outgoing("event", event()))
        (frames,) = eventually(recorder.pushed, "the record")
        assert wire.decode(frames)[1].crc == received.crc

    def test_closing_hands_over_what_is_still_queued(self, bus, eventually):
        recorder, publisher = bus("recorder"), bus("arm", recorder="recorder")
        recorder.open_record()
        for _ in range(500):
            publisher.publish(Outgoing("event", event()))
        publisher.close()
        kept = []
        eventually(lambda: kept.extend(recorder.pushed()) or len(kept) == 500, "all of them")


class TestStop:
    @pytest.fixture
    def stimulator(self, bus):
        made = bus("stimulator")
        made.open_stop()
        return made

    def test_a_stop_says_who_and_why_and_is_stamped_here(self, stimulator, folder):
        send_stop(folder, "stimulator", "operator", "it hurts")
        (stop,) = stimulator.stops(123)
        assert (stop.who, stop.why, stop.t_ns) == ("operator", "it hurts", 123)
        assert stimulator.stops(124) == []

    @pytest.mark.parametrize(
        "data",
        [b"", b"\xff\x00", b"{", b"[]", b'"stop"', b"{}", b"null", b"1e999", b"x" * 5000, b'{"who": 1, "why": 2}'],
    )
    def test_whatever_arrives_is_a_stop(self, stimulator, folder, data):
        import socket

        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(data, str(folder.socket_path("stimulator.stop")))
        assert len(stimulator.stops(1)) == 1

    def test_a_stop_ends_the_wait(self, stimulator, folder):
        send_stop(folder, "stimulator", "operator", "now")
        began = time.monotonic()
        stimulator.wait(30.0)
        assert time.monotonic() - began < 5.0

    def test_a_stimulator_that_is_not_there_is_told_of(self, folder):
        with pytest.raises(OSError, match=r".+"):
            send_stop(folder, "stimulator", "operator", "now")

    def test_a_second_process_of_that_name_takes_nothing_from_the_first(self, stimulator, folder):
        with pytest.raises(RuntimeFolderError, match="stimulator runs already in"):
            Bus(folder, "stimulator", session="s")
        send_stop(folder, "stimulator", "operator", "still heard")
        assert [stop.why for stop in stimulator.stops(1)] == ["still heard"]

    def test_its_socket_is_for_this_user_alone(self, stimulator, folder):
        assert folder.socket_path("stimulator.stop").parent.stat().st_mode & 0o077 == 0


def test_closing_leaves_no_socket_and_may_be_done_twice(bus, folder):
    node = bus("stimulator")
    node.open_stop()
    node.close()
    node.close()
    assert list(folder.path.glob("stimulator.*")) == []
