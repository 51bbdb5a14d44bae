"""What sockets are elsewhere, in one process under a virtual clock: the same encoding, numbers and record."""

from __future__ import annotations

from collections.abc import Callable

from myoloop.platform import wire
from myoloop.platform.clock import VirtualClock
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.platform.steps import Outgoing, Received
from myoloop.platform.streams import stream_of


class LockstepBus:
    """What sockets are elsewhere: numbers, encodes, records and hands on, in order.

    Parameters
    ----------
    session
        Session id.
    clock
        Virtual time.
    writer
        Where recorded messages go; None records nothing.
    """

    def __init__(self, session: str, clock: VirtualClock, writer: RecordingWriter | None) -> None:
        self._session = session
        self._clock = clock
        self._writer = writer
        self._seq: dict[tuple[str, str], int] = {}
        self._subscribers: dict[str, list[Callable[[Received], None]]] = {}

    def subscribe(self, topic: str, take: Callable[[Received], None]) -> None:
        """Hand every message on a topic to `take`."""
        self._subscribers.setdefault(topic, []).append(take)

    def publish(self, publisher: str, outgoing: Outgoing) -> Received:
        """Say something; returns it as received."""
        topic = outgoing.topic
        key = (publisher, topic)
        seq = self._seq.get(key, 0)
        self._seq[key] = seq + 1
        frames = wire.encode(
            topic,
            outgoing.message,
            session=self._session,
            publisher=publisher,
            epoch=1,
            seq=seq,
            array=outgoing.array,
        )
        if self._writer is not None and stream_of(topic).recorded:
            self._writer.write(frames, self._clock.now_ns(), seq)
        received = wire.decode(frames)[1]
        for take in self._subscribers.get(topic, ()):
            take(received)
        return received
