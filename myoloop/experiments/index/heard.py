"""One walk through a recording that keeps what the index needs, and of samples only their stamps."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
from mcap.opcode import Opcode

from myoloop.experiments.analysis.gather import Gathered, pulse_tracks, settings_of
from myoloop.experiments.analysis.gating import gate_tracks
from myoloop.experiments.analysis.latency import latencies, percentiles
from myoloop.experiments.index.streams import BlockTally
from myoloop.platform import wire
from myoloop.platform.messages import ClockSample, Heartbeat, Samples
from myoloop.platform.recording import layout
from myoloop.platform.recording.numbering import Numbering
from myoloop.platform.recording.scan import HEAD_BYTES, MESSAGE_HEAD, RawRecord, Scan
from myoloop.platform.steps import Received

_MESSAGE = int(Opcode.MESSAGE)
_DATA = HEAD_BYTES + MESSAGE_HEAD.size
_LENGTHS = struct.Struct("<II")
#: Read whole, besides samples: what latencies and the time base are made of.
_READ = frozenset({"start", "step", "request", "report", "pulse"})
_HEAD = msgspec.msgpack.Decoder(wire.Head)


class Heard:
    """Hears the records of one recording, in file order.

    Attributes
    ----------
    metadata, end, salvaged
        Metadata records: of the session, of its end, and of a recovery stream by stream; empty where they are not.
    tallies
        By topic of each sample stream.
    clock
        Stamps of the recording host's clocks.
    problem
        What could not be read; nothing was heard after it. Empty where all could.
    """

    def __init__(self) -> None:
        self.metadata: dict[str, str] = {}
        self.end: dict[str, str] = {}
        self.salvaged: dict[str, str] = {}
        self.tallies: dict[str, BlockTally] = {}
        self.clock: list[ClockSample] = []
        self.problem = ""
        self._got = Gathered()
        self._numbers: dict[tuple[str, str, int], Numbering] = {}
        self._kinds: dict[int, tuple[str, str]] = {}
        self._beats, self._took_time = 0, False
        self._first_ns: int | None = None
        self._last_ns = 0

    def take(self, record: RawRecord, scan: Scan) -> None:
        """Hear one record."""
        if self.problem:
            return
        if record.opcode != _MESSAGE:
            self.metadata = scan.metadata.get(layout.SESSION, self.metadata)
            self.end = scan.metadata.get(layout.END, self.end)
            self.salvaged = scan.metadata.get(layout.SALVAGED, self.salvaged)
            return
        channel, _, log_time_ns, _ = MESSAGE_HEAD.unpack_from(record.data, HEAD_BYTES)
        try:
            topic, kind = self._kinds.get(channel) or self._announced(channel, scan)
            self._message(topic, kind, record.data[_DATA:], log_time_ns)
        except (wire.WireError, layout.RecordingError, msgspec.DecodeError, struct.error) as error:
            self.problem = f"byte {record.offset}: {error}"

    @property
    def zero_ns(self) -> int:
        """Host time of 0 s, as the analyses have it: the first phase message, else the first sample."""
        if self._got.phases:
            return self._got.phases[0].t_ns
        firsts = [first for tally in self.tallies.values() if (first := tally.first_ns) is not None]
        return min(firsts, default=self._first_ns or 0)

    @property
    def duration_s(self) -> float:
        """From 0 s to the last message or sample."""
        lasts = [last for tally in self.tallies.values() if (last := tally.last_ns) is not None]
        return max(0, max([self._last_ns, *lasts]) - self.zero_ns) * 1e-9

    @property
    def virtual_clock(self) -> bool:
        """Whether it ran in lockstep: nodes beat, and no cycle took any time. Its latencies are settings."""
        return self._beats > 0 and not self._took_time

    def lost_messages(self) -> dict[str, int]:
        """By topic, of those that miss any."""
        told: dict[str, int] = {}
        for (topic, _, _), numbering in self._numbers.items():
            if numbering.missing:
                told[topic] = told.get(topic, 0) + numbering.missing
        return dict(sorted(told.items()))

    def latency_ms(self, *, blinded: bool) -> dict[str, dict[str, float | int | None]]:
        """Percentiles of each leg; of a blinded session not those to the pulse, which a sham has not.

        None under a virtual clock.
        """
        if self.virtual_clock:
            return {}
        got = self._got
        got.zero_ns = self.zero_ns
        got.records = {topic: tally.stamps() for topic, tally in self.tallies.items() if topic.startswith("emg/")}
        currents, _, _ = gate_tracks(got, settings_of(got))
        found = latencies(got, currents, {} if blinded else pulse_tracks(got))
        return {
            leg: percentiles(values) for leg, values in found.items() if not (blinded and leg == "verdict_to_pulse")
        }

    def _announced(self, channel: int, scan: Scan) -> tuple[str, str]:
        """Topic of a channel, and how its messages are heard."""
        announced = scan.channels[channel]
        topic = announced.topic
        name = topic.partition("/")[0]
        kind = name if name in ("phase", "clock", "heartbeat") else "read" if name in _READ else "head"
        if scan.schemas[announced.schema_id].name == layout.schema_name(Samples):
            kind = "samples"
            self.tallies[topic] = BlockTally(layout.descriptor_of(topic, announced.metadata))
        elif name == "step" and not self._got.is_controller(topic.removeprefix("step/")):
            # An object's start stands before its steps; only the controller's are asked for what they consumed.
            kind = "head"
        self._kinds[channel] = topic, kind
        return topic, kind

    def _message(self, topic: str, kind: str, data: bytes, log_time_ns: int) -> None:
        if self._first_ns is None:
            self._first_ns = log_time_ns
        self._last_ns = max(self._last_ns, log_time_ns)
        whole = kind != "head" and not (kind == "phase" and self._got.phases)
        whole = whole and not (kind == "heartbeat" and self._took_time)
        received: Received | None = None
        head: Any
        if whole:
            head, message, array = wire.read_record(topic, data)
            received = Received(topic, head.publisher, head.epoch, head.seq, message, array)
        else:
            head = _HEAD.decode(data[_LENGTHS.size : _LENGTHS.size + _LENGTHS.unpack_from(data)[0]])
        key = (topic, head.publisher, head.epoch)
        if key not in self._numbers:
            self._numbers[key] = Numbering()
        self._numbers[key].see(head.seq)
        if received is None:
            return
        if kind == "samples":
            self.tallies[topic].add(received, log_time_ns)
        elif isinstance(received.message, ClockSample):
            self.clock.append(received.message)
        elif isinstance(received.message, Heartbeat):
            self._beats += 1
            self._took_time = received.message.cycle_ms > 0 or received.message.cycle_worst_ms > 0
        else:
            self._got.take(received, log_time_ns)
