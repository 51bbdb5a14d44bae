"""The supervisor: brings nodes up, hears why one did not come, ends all in order and leaves nothing."""

from __future__ import annotations

import json
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

from myoloop.platform import wire
from myoloop.platform.bus import Bus, stop_socket
from myoloop.platform.messages import Answer, Command, Event, Heartbeat, Samples
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.reader import Recording
from myoloop.platform.steps import Received
from myoloop.platform.supervisor import Supervisor, SupervisorError

pytestmark = [pytest.mark.processes, pytest.mark.timeout(120)]


@pytest.fixture
def supervisor(short_folder, tmp_path):
    """Make a supervisor; whatever it started is gone in the end, and so is its folder."""
    made: list[Supervisor] = []

    def make(nodes: dict[str, str], **more) -> Supervisor:
        log = tmp_path / "nodes"
        log.mkdir()
        made.append(Supervisor("s1", nodes, rig_name="bench", log_folder=log, **more))
        return made[-1]

    yield make
    for each in made:
        each.close()
    assert list(short_folder.iterdir()) == []


@pytest.fixture
def attempt(tmp_path) -> Path:
    return create_attempt(tmp_path / "study", "P001", 1)


@pytest.fixture
def amplifier(tmp_path) -> dict:
    """Settings of an acquisition node that plays a file of its own, half a minute long."""
    counts = np.random.default_rng(1).integers(-2000, 2000, (60_000, 2)).astype("<i2")
    np.savez(tmp_path / "emg.npz", emg=counts)
    lines = [f"- {{from: 'emg[{i}]', name: m{i}, unit: uV, rate: 2000 Hz}}" for i in range(2)]
    (tmp_path / "emg.yaml").write_text("channels:\n" + "\n".join(lines) + "\n")
    files = {"file": str(tmp_path / "emg.npz"), "mapping": str(tmp_path / "emg.yaml")}
    return {"source": "playback", "source_settings": files, "stimulated_person": False}


def recorder(attempt: Path, descriptors: list) -> dict:
    return {
        "folder": str(attempt),
        "descriptors": descriptors,
        "metadata": {"simulated": "true"},
        "required_topics": [each["topic"] for each in descriptors],
    }


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


NODES = {"amp": "acquisition", "recorder": "recorder"}


@pytest.fixture
def running(supervisor, attempt, amplifier):
    """An amplifier and a recorder that run."""
    made = supervisor(NODES, listen=["emg/amp"])
    made.start()
    descriptors = made.configure("amp", amplifier)["descriptors"]
    made.configure("recorder", recorder(attempt, descriptors))
    made.begin(["recorder", "amp"])
    return made


def hear_samples(supervisor: Supervisor, least: int) -> int:
    heard, deadline = 0, time.monotonic() + 20
    while heard < least:
        assert time.monotonic() < deadline
        for received in supervisor.turn(0.1):
            if isinstance(received.message, Samples):
                heard += len(received.array)
    return heard


class TestBringingUp:
    def test_a_node_that_dies_at_once_is_reported_by_its_own_last_words(self, supervisor, tmp_path, monkeypatch):
        (tmp_path / "broken").mkdir()
        words = "controller: no more memory"
        (tmp_path / "broken" / "sitecustomize.py").write_text(
            f"import os, sys\nif 'node' in sys.argv:\n    os.write(2, b'deep in it\\n{words}\\n')\n    os._exit(9)\n"
        )
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
        made = supervisor({"controller": "controller"})
        with pytest.raises(SupervisorError) as caught:
            made.start()
        assert str(caught.value) == f"{words} (before it could come up)"
        assert caught.value.exit_code == 3

    def test_a_node_that_dies_without_a_word_is_named(self, supervisor, tmp_path, monkeypatch):
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "sitecustomize.py").write_text("import os, sys\nif 'node' in sys.argv: os._exit(9)\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "broken"))
        with pytest.raises(SupervisorError, match="controller: process ended with 9"):
            supervisor({"controller": "controller"}).start()

    def test_what_cannot_be_configured_is_told_in_one_line_and_nothing_is_left_running(
        self, supervisor, attempt, amplifier
    ):
        made = supervisor(NODES)
        made.start()
        pids = made.pids()
        assert set(pids) == set(NODES)
        made.configure("recorder", recorder(attempt, []))
        with pytest.raises(SupervisorError) as caught:
            made.configure("amp", {**amplifier, "source": "playbak"})
        assert str(caught.value).startswith("amp: there is no source 'playbak' (did you mean playback?)")
        assert caught.value.exit_code == 2
        board = {"board": "CYTON_BOARD", "serial_port": "/dev/nowhere"}
        with pytest.raises(SupervisorError, match="/dev/nowhere") as caught:
            made.configure("amp", {**amplifier, "source": "brainflow", "source_settings": board})
        assert caught.value.exit_code == 3
        assert made.end("aborted", "the rig did not come up")
        made.close()
        assert all(is_gone(pid) for pid in pids.values())
        recording = Recording.open(attempt)
        assert (recording.complete, recording.outcome) == (True, "aborted")

    def test_all_begin_once_all_have_heard_all(self, running):
        hear_samples(running, 100)
        assert {name: beat.state for name, beat in running.beats.items()} == dict.fromkeys(NODES, "running")


class TestRunning:
    def test_nodes_have_sessions_of_their_own_and_leave_ctrl_c_to_the_supervisor(self, running, eventually):
        for pid in running.pids().values():
            assert os.getsid(pid) == pid
            os.kill(pid, signal.SIGINT)
        before = running.beats["amp"].t_ns
        eventually(lambda: running.turn(0.02) and running.beats["amp"].t_ns > before + 200_000_000, "beats")
        assert running.lost() == []

    def test_nodes_find_their_package_wherever_they_are_started(self, running):
        (argv,) = [Path(f"/proc/{running.pids()['amp']}/cmdline").read_bytes().split(b"\0")]
        assert b"-P" in argv
        assert argv[argv.index(b"node") + 1 : argv.index(b"node") + 3] == [b"bench", b"amp"]

    def test_a_killed_node_is_missed(self, running, eventually):
        os.kill(running.pids()["amp"], signal.SIGKILL)
        assert eventually(running.lost, "the loss") == ["amp: process ended with -9"]
        assert set(running.pids()) == {"recorder"}

    def test_it_beats_itself(self, running, eventually):
        said = []
        running.operator.subscribe(["supervisor"], ["heartbeat/supervisor"])
        eventually(lambda: (running.turn(0.02) and said.extend(running.operator.heard())) or len(said) > 5, "beats")
        assert {type(each.message) for each in said} == {Heartbeat}
        assert {each.message.role for each in said} == {"supervisor"}


class TestVisitors:
    @pytest.mark.parametrize(("visitor", "role"), [("console", "operator"), ("observer", "observer")])
    def test_what_a_visitor_asks_is_heard_with_the_role_of_its_key_and_answered(
        self, supervisor, eventually, visitor, role
    ):
        made = supervisor({"stimulator": "stimulator"})
        bus = Bus(made.runtime, visitor, session="s1")
        try:
            bus.ask(Command(t_ns=1, id="c-1", kind="mark", target="supervisor", who="clinician CD", role="director"))
            (asked,) = eventually(lambda: made.turn(0.02) or made.take_asked(), "the command")
            command = asked.received.message
            assert (command.kind, command.who, command.role) == ("mark", "clinician CD", role)
            made.bus.answer(asked.route, Answer(t_ns=2, id=command.id, ok=False, reason="not now"))
            (answer,) = eventually(bus.answers, "the answer")
            assert (answer.message.id, answer.message.reason) == ("c-1", "not now")
            assert made.take_asked() == []
        finally:
            bus.close()

    def test_a_console_that_leaves_takes_nothing_of_the_rig_with_it_and_one_that_stays_keeps_nothing(
        self, supervisor, short_folder
    ):
        made = supervisor({"stimulator": "stimulator"})
        card = made.runtime.path / "console.json"
        card.write_text("{}")
        Bus(made.runtime, "console", session="s1").close()
        assert card.exists()
        stays = Bus(made.runtime, "console", session="s1")
        try:
            made.close()
            assert list(short_folder.iterdir()) == []
        finally:
            stays.close()


class TestEnding:
    def test_all_end_the_recorder_last_with_every_sample_that_was_said(self, running, attempt):
        heard = hear_samples(running, 1000)
        pids = running.pids()
        began = time.monotonic()
        assert running.end("complete", "")
        assert time.monotonic() - began < 3.0
        running.close()
        running.close()
        assert all(is_gone(pid) for pid in pids.values())
        recording = Recording.open(attempt)
        assert (recording.outcome, recording.complete) == ("complete", True)
        samples = recording.samples("emg/amp")
        assert len(samples.counts) >= heard

    def test_one_that_does_not_listen_is_killed_and_a_frozen_recorder_still_ends_its_file(self, running, attempt):
        hear_samples(running, 1000)
        for pid in running.pids().values():
            os.kill(pid, signal.SIGSTOP)
        began = time.monotonic()
        assert running.end("stopped", "the operator")
        assert time.monotonic() - began < 3.0
        recording = Recording.open(attempt)
        assert (recording.outcome, recording.reason, recording.complete) == ("stopped", "the operator", True)


@pytest.fixture
def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class TestStopNode:
    @pytest.fixture
    def rig(self, supervisor):
        """A rig whose stimulator is the test itself."""
        made = supervisor({"stimulator": "stimulator"})
        with stop_socket(made.runtime, "stimulator") as stops:
            stops.settimeout(10)
            yield made, stops

    def test_it_is_there_when_it_says_so_and_gone_with_the_rig(self, rig, free_port):
        made, stops = rig
        assert made.start_stop_node(free_port, None) == free_port
        urllib.request.urlopen(f"http://127.0.0.1:{free_port}/", data=b"", timeout=10).close()
        assert json.loads(stops.recv(4096))["who"] == "stop node"
        made.close()
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", free_port)) != 0

    def test_without_a_port_in_the_rig_it_has_a_free_one(self, rig):
        made, stops = rig
        port = made.start_stop_node(None, None)
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", data=b"", timeout=10).close()
        assert json.loads(stops.recv(4096)) == {"who": "stop node", "why": "POST"}

    def test_a_port_in_use_is_told_in_one_line(self, rig):
        made, _ = rig
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(SupervisorError, match=f"port {port}: address already in use"):
                made.start_stop_node(port, None)

    def test_a_pedal_that_is_not_there_is_told_in_one_line(self, rig):
        made, stops = rig
        with pytest.raises(SupervisorError, match="pedal /dev/nowhere: no such file"):
            made.start_stop_node(None, "/dev/nowhere")
        stops.setblocking(False)
        with pytest.raises(BlockingIOError):
            stops.recv(4096)

    def test_the_operators_stop_needs_no_other_process(self, rig):
        made, stops = rig
        made.stop("operator", "stop key")
        assert json.loads(stops.recv(4096)) == {"who": "operator", "why": "stop key"}


@pytest.mark.parametrize(
    ("ended", "values", "told"),
    [
        (("complete", ""), {}, ("fault", "stimulator: pull the leads")),
        (("stopped", "stop key"), {}, ("fault", "stop key; stimulator: pull the leads")),
        (("fault", "device lost"), {}, ("fault", "device lost; stimulator: pull the leads")),
        (("complete", ""), {"from": "READY", "to": "FAULT"}, ("complete", "")),
    ],
)
def test_what_a_stimulator_tells_as_it_ends_is_told_besides_the_reason(supervisor, monkeypatch, ended, values, told):
    running = supervisor({"stimulator": "stimulator"})
    running._received.append(said_fault("told before", {}))

    def end_group(names: list[str], patience_s: float) -> None:
        if "stimulator" in names:
            running._received.append(said_fault("pull the leads", values))

    monkeypatch.setattr(running, "_end_group", end_group)
    running.end(*ended)
    assert running.ended == told


def said_fault(why: str, values: dict) -> Received:
    event = Event(t_ns=1, kind="fault", who="stimulator", why=why, values=values)
    frames = wire.encode("event", event, session="s1", publisher="stimulator", epoch=1, seq=1)
    return wire.decode(frames)[1]


def test_without_a_stimulator_there_is_nothing_to_stop(supervisor):
    supervisor({"recorder": "recorder"}).stop("operator", "stop key")


def test_whoever_interrupts_need_not_wait_until_the_rig_is_up(supervisor):
    looked = []

    def interrupted() -> str:
        looked.append(time.monotonic())
        return "interrupted (SIGINT)" if len(looked) == 3 else ""

    coming = supervisor(NODES, interrupted=interrupted)
    with pytest.raises(SupervisorError, match=r"^interrupted \(SIGINT\)$"):
        coming.start()
    assert len(looked) == 3
    began = time.monotonic()
    coming.end("aborted", "interrupted (SIGINT)")
    coming.close()
    assert time.monotonic() - began < 3.0
