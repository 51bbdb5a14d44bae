"""Which write answered which block is read from the recorded steps, never guessed from times."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from myoloop.experiments.benchmarks.lineage import Lineage, read_lineage
from myoloop.platform import wire
from myoloop.platform.messages import SampleDescriptor, Samples, Step, StimRequest
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.platform.steps import Outgoing

TOPIC = "emg/amplifier"
DESCRIPTOR = SampleDescriptor(
    topic=TOPIC, rate_hz=2000.0, dtype="<i2", channels=("m0",), units=("V",), scale=(1e-6,), offset=(0.0,)
)


class Session:
    """Writes down a loop in which everything happens at a time of our choice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._writer = RecordingWriter(
            folder, session="s", descriptors=[DESCRIPTOR], metadata={"simulated": "true"}, live=False
        )
        self._seq: dict[str, int] = {}
        self._steps: dict[str, int] = {}

    def emit(self, t_ns: int) -> int:
        return self._say(
            "amplifier", Outgoing(TOPIC, Samples(first_sample=0, t_ns=t_ns), np.zeros((20, 1), dtype="<i2"))
        )

    def decide(self, blocks: list[int], now_ns: int) -> int:
        """A step of the controller, and its request."""
        step = self._step("controller", [(TOPIC, "amplifier", 1, seq) for seq in blocks], now_ns)
        request = StimRequest(step=step, t_ns=now_ns, arm_id="a", lease_ms=100, channels=())
        return self._say("controller", Outgoing("request", request))

    def gate(self, requests: list[int], now_ns: int) -> None:
        """A step of the stimulator."""
        self._step("stimulator", [("request", "controller", 1, seq) for seq in requests], now_ns)

    def lineage(self, writes: dict[int, int]) -> Lineage:
        self._writer.end("complete", "", 1)
        return read_lineage(self.folder, TOPIC, writes)

    def _step(self, name: str, inputs: list[tuple[str, str, int, int]], now_ns: int) -> int:
        number = self._steps[name] = self._steps.get(name, 0) + 1
        record = Step(number=number, now_ns=now_ns, inputs=tuple(inputs))
        self._say(name, Outgoing(f"step/{name}", record))
        return number

    def _say(self, node: str, outgoing: Outgoing) -> int:
        seq = self._seq.get(outgoing.topic, 0)
        self._seq[outgoing.topic] = seq + 1
        frames = wire.encode(
            outgoing.topic, outgoing.message, session="s", publisher=node, epoch=1, seq=seq, array=outgoing.array
        )
        self._writer.write(frames, 1, seq)
        return seq


def test_each_block_is_answered_by_the_write_of_its_own_request(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for place in range(3):
        block = session.emit(100 + place)
        session.gate([session.decide([block], 200 + place)], 300 + place)

    found = session.lineage({300: 310, 301: 311, 302: 312})

    assert found.emitted_ns.tolist() == [100, 101, 102]
    assert found.arrived_ns.tolist() == [310, 311, 312]
    assert found.own.all()
    assert found.out_of_order == 0


def test_a_request_that_was_overtaken_is_answered_by_the_newer_ones_write(tmp_path: Path) -> None:
    session = Session(tmp_path)
    first, second = session.emit(100), session.emit(101)
    requests = [session.decide([first], 200), session.decide([second], 201)]
    session.gate(requests, 300)

    found = session.lineage({300: 310})

    assert found.arrived_ns.tolist() == [310, 310]
    assert found.own.tolist() == [False, True]


def test_two_blocks_in_one_step_share_its_write(tmp_path: Path) -> None:
    session = Session(tmp_path)
    blocks = [session.emit(100), session.emit(101)]
    session.gate([session.decide(blocks, 200)], 300)

    found = session.lineage({300: 310})

    assert found.arrived_ns.tolist() == [310, 310]
    assert not found.own.any()


def test_a_step_that_wrote_nothing_leaves_the_block_to_the_next_write(tmp_path: Path) -> None:
    session = Session(tmp_path)
    for place in range(2):
        session.gate([session.decide([session.emit(100 + place)], 200 + place)], 300 + place)

    found = session.lineage({301: 311})

    assert found.arrived_ns.tolist() == [311, 311]
    assert found.own.tolist() == [False, True]


def test_a_block_that_no_write_answered_did_not_arrive(tmp_path: Path) -> None:
    session = Session(tmp_path)
    session.gate([session.decide([session.emit(100)], 200)], 300)
    session.emit(101)

    found = session.lineage({300: 310})

    assert found.arrived_ns.tolist() == [310, 0]


def test_blocks_taken_in_after_a_later_one_are_counted(tmp_path: Path) -> None:
    session = Session(tmp_path)
    first, second = session.emit(100), session.emit(101)
    session.gate([session.decide([second], 200)], 300)
    session.gate([session.decide([first], 201)], 301)

    assert session.lineage({300: 310, 301: 311}).out_of_order == 1
