"""The recorder's process: what is pushed to it is in the file, and a file that stops growing ends it loudly."""

from __future__ import annotations

import shutil
from collections import deque

import msgspec
import pytest

from myoloop.platform import wire
from myoloop.platform.messages import Event, Gap, Heartbeat, Phase
from myoloop.platform.node import Configuration, Heard, NodeFault
from myoloop.platform.recording import node as recording_node
from myoloop.platform.recording.layout import SESSION_FILE, RecordingError
from myoloop.platform.recording.node import RecorderBody
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.platform.recording.watch import SILENT_NS, UNHEARD_NS
from myoloop.platform.steps import Outgoing

MS = 1_000_000
NODES = {"sim": "acquisition", "director": "director", "recorder": "recorder"}


class Roads:
    """A bus on which a test pushes; what the recorder itself says goes to its file, as on the real one."""

    node, session, epoch = "recorder", "s1", 1

    def __init__(self) -> None:
        self.queue: deque[list[bytes]] = deque()
        self.said: list[Outgoing] = []
        self._seq: dict[str, int] = {}
        self.waits = 0
        self.at_wait: dict[int, list[bytes]] = {}

    def open_record(self) -> None:
        pass

    def record_here(self, take) -> None:
        self.take = take

    def pushed(self) -> list[list[bytes]]:
        arrived = list(self.queue)
        self.queue.clear()
        return arrived

    def wait(self, timeout_s: float) -> None:
        self.waits += 1
        if self.waits in self.at_wait:
            self.queue.append(self.at_wait[self.waits])

    def publish(self, outgoing: Outgoing) -> None:
        self.said.append(outgoing)
        seq = self._seq.get(outgoing.topic, 0)
        self._seq[outgoing.topic] = seq + 1
        self.take(wire.encode(outgoing.topic, outgoing.message, session="s1", publisher="recorder", epoch=1, seq=seq))


class Rig:
    """A recorder that has begun, and time for it to pass."""

    def __init__(self, folder, example, required=("emg/sim", "phase")) -> None:
        self.folder, self.roads, self.body = folder, Roads(), RecorderBody()
        self.blocks = iter(frames for frames in example.frames(4000) if frames[0] == b"emg/sim")
        self.phases = 0
        self.flowing = {"emg/sim", "phase"}
        self.states = {"sim": "running", "director": "running"}
        self.now_ns = 0
        settings = {
            "folder": str(folder), "descriptors": [msgspec.to_builtins(example.EMG)],
            "metadata": example.METADATA, "required_topics": list(required),
        }  # fmt: skip
        self.body.configure(Configuration("recorder", NODES, settings), self.roads)

    def push_phase(self, number: int | None = None) -> None:
        self.phases = self.phases if number is None else number
        self.roads.queue.append(phase(self.phases))
        self.phases += 1

    def push_event(self, who: str, kind: str) -> None:
        message = Event(t_ns=self.now_ns, kind=kind, who=who)
        self.roads.queue.append(wire.encode("event", message, session="s1", publisher=who, epoch=1, seq=0))

    def go_on(self, for_ns: int) -> None:
        """Turn every 10 ms; blocks and phases come, hearts beat."""
        until_ns = self.now_ns + for_ns
        while self.now_ns < until_ns:
            self.now_ns += 10 * MS
            if "emg/sim" in self.flowing:
                block = next(self.blocks)
                # By the node that the others know.
                head, received = wire.decode(block)
                self.roads.queue.append(
                    wire.encode("emg/sim", received.message, session="s1", publisher="sim", epoch=1, seq=head.seq,
                                array=received.array)
                )  # fmt: skip
            if "phase" in self.flowing:
                self.push_phase()
            hearts = [beat(name, state) for name, state in self.states.items()]
            self.body.turn(Heard(hearts, [], [], [], {}), self.now_ns)


def phase(number: int) -> list[bytes]:
    message = Phase(t_ns=number, session="s1", state="running")
    return wire.encode("phase", message, session="s1", publisher="director", epoch=1, seq=number)


def beat(node: str, state: str):
    message = Heartbeat(
        t_ns=0, node=node, role=NODES[node], state=state, cycle_ms=0.0, cycle_mean_ms=0.0, cycle_worst_ms=0.0
    )
    return wire.decode(
        wire.encode(f"heartbeat/{node}", message, session="s1", publisher=node, epoch=1, seq=0)
    )[1]  # fmt: skip


@pytest.fixture
def rig(tmp_path, example):
    made = Rig(tmp_path, example)
    made.body.begin(0)
    yield made
    made.flowing.clear()
    made.body.end("stopped", "the test is over", made.now_ns)


def recorded(folder, topic: str) -> list:
    return [each.received.message for each in Recording.open(folder).messages({topic})]


class TestRecording:
    def test_everything_pushed_is_in_the_file_until_its_end(self, rig, tmp_path):
        rig.go_on(500 * MS)
        rig.push_phase()
        rig.body.end("complete", "done", rig.now_ns)
        assert verify(tmp_path).status == "good"
        recording = Recording.open(tmp_path)
        assert (recording.outcome, recording.reason) == ("complete", "done")
        assert (recording.counts["emg/sim"], recording.counts["phase"]) == (50, 51)

    def test_also_before_the_beginning_and_of_its_own(self, tmp_path, example):
        rig = Rig(tmp_path, example)
        rig.push_phase()
        rig.body.idle(5)
        rig.roads.publish(Outgoing("event", Event(t_ns=1, kind="mark", who="recorder")))
        rig.body.end("aborted", "", 6)
        assert (len(recorded(tmp_path, "phase")), len(recorded(tmp_path, "event"))) == (1, 1)

    def test_what_is_missing_is_told_and_recorded(self, rig, tmp_path):
        rig.go_on(20 * MS)
        rig.push_phase(5)
        rig.go_on(10 * MS)
        (said,) = rig.roads.said
        assert isinstance(said.message, Gap)
        rig.body.end("complete", "", rig.now_ns)
        assert recorded(tmp_path, "gap") == [said.message]

    def test_what_is_found_missing_at_the_very_end_is_recorded_too(self, rig, tmp_path):
        rig.push_phase(0)
        rig.go_on(10 * MS)
        rig.flowing.clear()
        rig.roads.at_wait = {2: phase(9)}
        rig.body.end("complete", "", rig.now_ns)
        (gap,) = recorded(tmp_path, "gap")
        assert (gap.topic, gap.publisher, gap.first_missing, gap.last_missing) == ("phase", "director", 2, 8)
        assert verify(tmp_path).status == "good"

    def test_an_end_that_is_none_of_ours_is_a_fault(self, rig, tmp_path):
        rig.body.end("whatever", "", 1)
        assert Recording.open(tmp_path).outcome == "fault"

    def test_a_folder_that_has_a_recording_is_refused_in_one_line(self, rig, tmp_path, example):
        with pytest.raises(NodeFault) as caught:
            Rig(tmp_path, example)
        assert str(tmp_path) in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_its_heartbeat_says_how_much_there_is(self, rig):
        assert RecorderBody().counters() == {}
        rig.go_on(100 * MS)
        assert rig.body.counters()["messages"] == 20
        assert rig.body.counters()["bytes_written"] == (rig.folder / SESSION_FILE).stat().st_size


class TestStopsGrowing:
    def test_it_does_not_in_a_session_that_goes_well(self, rig):
        rig.go_on(5 * SILENT_NS)

    def test_a_required_stream_that_falls_silent_is_named(self, rig):
        rig.go_on(2 * SILENT_NS)
        rig.flowing.remove("emg/sim")
        rig.go_on(SILENT_NS - 50 * MS)
        with pytest.raises(NodeFault, match=r"^recording: emg/sim has not come for 1\.0 s: sim runs$"):
            rig.go_on(SILENT_NS)

    def test_one_that_never_comes_is_named(self, tmp_path, example):
        rig = Rig(tmp_path, example)
        rig.flowing.remove("emg/sim")
        rig.body.begin(0)
        with pytest.raises(NodeFault, match=r"^recording: emg/sim has never come in 2\.0 s: sim runs$"):
            rig.go_on(2 * UNHEARD_NS)
        rig.body.end("fault", "", rig.now_ns)

    @pytest.mark.parametrize("what", ["its node ends", "its node dies", "it is at its end"])
    def test_one_that_stops_for_a_reason_is_not(self, rig, what):
        rig.go_on(SILENT_NS)
        rig.flowing.remove("emg/sim")
        if what == "it is at its end":
            rig.push_event("sim", "ended")
        elif what == "its node ends":
            rig.states["sim"] = "ended"
        else:
            del rig.states["sim"]
        rig.go_on(5 * SILENT_NS)

    def test_another_event_ends_no_source(self, rig):
        rig.go_on(SILENT_NS)
        rig.flowing.remove("emg/sim")
        rig.push_event("sim", "mark")
        rig.push_event("director", "ended")
        with pytest.raises(NodeFault, match="emg/sim"):
            rig.go_on(2 * SILENT_NS)

    @pytest.mark.parametrize("how", ["cut", "gone"])
    def test_a_file_that_does_not_grow_while_messages_come(self, rig, tmp_path, how):
        rig.go_on(2 * SILENT_NS)
        file = tmp_path / SESSION_FILE
        kept = file.read_bytes()
        if how == "gone":
            file.rename(tmp_path / "elsewhere")
            said = f"recording: {file}: No such file or directory"
        else:
            # A disk that has lost what it had taken.
            (tmp_path / "cut").write_bytes(kept[:1000])
            (tmp_path / "cut").replace(file)
            said = f"recording: {file} has stopped growing at 1000 bytes, though messages come"
        with pytest.raises(NodeFault) as caught:
            rig.go_on(3 * SILENT_NS)
        assert str(caught.value) == said

    def test_a_file_to_which_nothing_comes_need_not_grow(self, tmp_path, example):
        rig = Rig(tmp_path, example, required=())
        rig.body.begin(0)
        rig.flowing.clear()
        rig.go_on(5 * SILENT_NS)
        rig.body.end("complete", "", rig.now_ns)


class TestBadDisk:
    def test_one_that_is_nearly_full_ends_it_before_it_is(self, rig, monkeypatch):
        monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100 << 30, 100 << 30, 5 << 20))
        with pytest.raises(NodeFault, match="has only 5 MB left"):
            rig.go_on(3 * SILENT_NS)

    @pytest.mark.parametrize("where", ["pushed", "its own", "at the end"])
    def test_one_that_refuses_is_a_fault_in_a_line(self, rig, monkeypatch, where):
        def refuse(*_):
            raise RecordingError("no space left")

        mark = Outgoing("event", Event(t_ns=1, kind="mark", who="recorder"))
        write = {
            "pushed": lambda: rig.go_on(10 * MS),
            "its own": lambda: rig.roads.publish(mark),
            "at the end": lambda: rig.body.end("complete", "", rig.now_ns),
        }[where]
        rig.push_phase()
        with monkeypatch.context() as disk:
            disk.setattr(recording_node.RecordingWriter, "write", refuse)
            with pytest.raises(NodeFault, match=r"^recording: no space left$"):
                write()
