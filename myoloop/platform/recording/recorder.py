"""What the recorder does with each message: keep it, and notice what did not come.

The node around it owns the sockets. It hands every message it pulls to :meth:`Recorder.take`, calls
:meth:`Recorder.tick` in every cycle, and publishes what both return; what it publishes it hands to `take` as well,
as any other message, so that it stands in the file.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from myoloop.platform import wire
from myoloop.platform.messages import Event, Gap
from myoloop.platform.recording.manifest import Manifest
from myoloop.platform.steps import Outgoing
from myoloop.platform.streams import stream_of


class Sink(Protocol):
    """Where messages are kept: a :class:`~myoloop.platform.recording.writer.RecordingWriter`."""

    @property
    def bytes_written(self) -> int:
        """Bytes so far."""
        ...

    def write(self, frames: Sequence[bytes], log_time_ns: int, sequence: int = 0) -> None:
        """Keep one message."""
        ...

    def tick(self, now_ns: int) -> None:
        """Let time pass."""
        ...

    def end(self, outcome: str, reason: str, log_time_ns: int) -> Manifest:
        """End the recording."""
        ...


class Recorder:
    """Keeps every message and counts what is missing.

    Parameters
    ----------
    writer
        Where to.
    required_topics
        Streams that must not fall silent; each must have a `dead_after_ms` in the table.
    name
        Who the events are from.
    from_zero
        True: a publisher's first message is number 0, and earlier ones are missing if another comes first. False:
        whatever comes first is the first, for a recorder that joins late.

    Attributes
    ----------
    messages, missing, repeated, refused
        Counted since the beginning: kept; never came; came with a number that had come already (kept all the same);
        not a message of ours (not kept).
    last_ns
        Per topic, when its last message came.
    ended
        Publishers that have said that there is no more to come of what they measure.

    Raises
    ------
    ValueError
        If a required topic is not in the table, or silence means nothing on it.
    """

    def __init__(
        self, writer: Sink, required_topics: Collection[str], *, name: str = "recorder", from_zero: bool = True
    ) -> None:
        self._writer = writer
        self._name = name
        self._from_zero = from_zero
        self._next: dict[tuple[str, str, int], int] = {}
        self._dead_after_ns: dict[str, int] = {}
        for topic in required_topics:
            dead_after_ms = stream_of(topic).dead_after_ms
            if dead_after_ms is None:
                raise ValueError(f"{topic}: silence on it means nothing, it cannot be required")
            self._dead_after_ns[topic] = dead_after_ms * 1_000_000
        self._silent: set[str] = set()
        self.last_ns: dict[str, int] = {}
        self.ended: set[str] = set()
        self.messages = self.missing = self.repeated = self.refused = 0

    @property
    def bytes_written(self) -> int:
        """Bytes that the file has."""
        return self._writer.bytes_written

    @property
    def unheard(self) -> tuple[str, ...]:
        """Required topics from which nothing has come yet."""
        return tuple(topic for topic in self._dead_after_ns if topic not in self.last_ns)

    @property
    def silent(self) -> tuple[str, ...]:
        """Required topics that were heard and have fallen silent, as of the last `tick`."""
        return tuple(topic for topic in self._dead_after_ns if topic in self._silent)

    def counters(self) -> dict[str, float]:
        """What the recorder's heartbeat carries."""
        return {
            "bytes_written": float(self.bytes_written),
            "messages": float(self.messages),
            "missing": float(self.missing),
            "repeated": float(self.repeated),
            "refused": float(self.refused),
        }

    def take(self, frames: Sequence[bytes], now_ns: int) -> list[Outgoing]:
        """Keep one message.

        Returns
        -------
        list of Outgoing
            A gap where messages before it are missing; a fault event where it is not a message of ours.

        Raises
        ------
        RecordingError
            If it cannot be written: the node must end loudly.
        """
        try:
            head, received = wire.decode(frames)
        except wire.WireError as error:
            return [self._refuse(now_ns, str(error))]
        topic = received.topic
        if topic == "chain":
            return [self._refuse(now_ns, f"chain: a message from {head.publisher}, only the file writes its chain")]
        if not stream_of(topic).recorded:
            return []
        self._writer.write(frames, now_ns, head.seq)
        self.messages += 1
        self.last_ns[topic] = now_ns
        if isinstance(received.message, Event) and received.message.kind == "ended":
            self.ended.add(head.publisher)
        if topic == "command":
            # Numbered by who gives it, recorded by who gets it: two receivers hand over in any order.
            return []
        key = (topic, head.publisher, head.epoch)
        wanted = self._next.get(key, 0 if self._from_zero else head.seq)
        if head.seq < wanted:
            self.repeated += 1
            return []
        self._next[key] = head.seq + 1
        if head.seq == wanted:
            return []
        self.missing += head.seq - wanted
        gap = Gap(
            t_ns=now_ns,
            topic=topic,
            publisher=head.publisher,
            epoch=head.epoch,
            first_missing=wanted,
            last_missing=head.seq - 1,
        )
        return [Outgoing("gap", gap)]

    def tick(self, now_ns: int) -> list[Outgoing]:
        """Let time pass: write the chain if due, and say which required stream has fallen silent or come back.

        Raises
        ------
        RecordingError
            If the file cannot be written or synced.
        """
        self._writer.tick(now_ns)
        said = []
        for topic, dead_after_ns in self._dead_after_ns.items():
            last_ns = self.last_ns.get(topic)
            if last_ns is None:
                continue
            silent = now_ns - last_ns > dead_after_ns
            if silent and topic not in self._silent:
                self._silent.add(topic)
                said.append(
                    self._event(now_ns, "silent", f"{topic} has been silent for {(now_ns - last_ns) / 1e6:.0f} ms")
                )
            elif not silent and topic in self._silent:
                self._silent.discard(topic)
                said.append(self._event(now_ns, "mark", f"{topic} is heard again"))
        return said

    def end(self, outcome: str, reason: str, now_ns: int) -> Manifest:
        """End the recording; see :meth:`RecordingWriter.end`."""
        return self._writer.end(outcome, reason, now_ns)

    def _refuse(self, now_ns: int, why: str) -> Outgoing:
        self.refused += 1
        return self._event(now_ns, "fault", f"not recorded: {why}")

    def _event(self, now_ns: int, kind: str, why: str) -> Outgoing:
        return Outgoing("event", Event(t_ns=now_ns, kind=kind, who=self._name, why=why))
