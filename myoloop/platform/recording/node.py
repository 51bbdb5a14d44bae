"""The recorder's process: everything that is pushed to it goes to the file, at once."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from myoloop.platform.bus import Bus
from myoloop.platform.clock import MonotonicClock
from myoloop.platform.messages import Heartbeat, SampleDescriptor
from myoloop.platform.node import Configuration, Heard, NodeFault
from myoloop.platform.recording.layout import SESSION_FILE, RecordingError
from myoloop.platform.recording.recorder import Recorder
from myoloop.platform.recording.watch import SILENT_NS, Watch
from myoloop.platform.recording.writer import OUTCOMES, RecordingWriter
from myoloop.platform.steps import Outgoing

#: A recording ends loudly, and with it the session, before the disk is full.
DISK_FREE_MIN_BYTES = 64 << 20
DISK_LOOK_NS = 2_000_000_000
#: At the end, how long the queue must be quiet, and how long it is waited for at the most.
QUIET_NS = 60_000_000
DRAIN_NS = 600_000_000


class RecorderBody:
    """Work of role ``recorder``."""

    role = "recorder"
    cycle_ns = 5_000_000
    wakes: frozenset[str] = frozenset()
    files: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._recorder: Recorder | None = None
        self._watch = Watch((), {})
        self._disk_ns = 0
        self._grown_ns: int | None = None
        self._grown = (0, 0)

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Open the file.

        Raises
        ------
        NodeFault
            If it cannot be written.
        """
        settings = given.settings
        self._bus = bus
        self._folder = Path(settings["folder"])
        descriptors = [msgspec.convert(each, SampleDescriptor) for each in settings["descriptors"]]
        try:
            writer = RecordingWriter(
                self._folder,
                session=bus.session,
                descriptors=descriptors,
                metadata=settings["metadata"],
                publisher=bus.node,
                epoch=bus.epoch,
            )
        except RecordingError as error:
            raise NodeFault(str(error)) from None
        self._recorder = Recorder(writer, settings["required_topics"], name=bus.node)
        self._watch = Watch(settings["required_topics"], given.nodes)
        bus.open_record()
        bus.record_here(self._take)
        return (), {}

    def begin(self, now_ns: int) -> None:
        """Everything has been recorded since the configuration; from now on it must come."""
        self._watch.begin(now_ns)

    def turn(self, heard: Heard, now_ns: int) -> None:
        """Write what has come, and see that there is something.

        Raises
        ------
        NodeFault
            If it cannot be written, the file does not grow, or a required stream is missing in it.
        """
        recorder = self._open()
        for received in heard.received:
            if isinstance(received.message, Heartbeat):
                self._watch.hear(received.message, now_ns)
        try:
            for frames in self._bus.pushed():
                self._say(recorder.take(frames, now_ns))
            self._say(recorder.tick(now_ns))
        except RecordingError as error:
            raise NodeFault(f"recording: {error}") from None
        missing = self._watch.missing(recorder.last_ns, recorder.ended, now_ns)
        if missing:
            raise NodeFault(f"recording: {missing}")
        try:
            self._look_at_the_disk(recorder, now_ns)
        except OSError as error:
            raise NodeFault(f"recording: {error.filename or self._folder}: {error.strerror}") from None

    def idle(self, now_ns: int) -> None:
        """Before the beginning messages are kept as well."""
        if self._recorder is not None:
            self.turn(Heard([], [], [], [], {}), now_ns)

    def end(self, outcome: str, reason: str, now_ns: int) -> None:
        """Write what is still under way, then end the file.

        Raises
        ------
        NodeFault
            If it cannot be written.
        """
        if self._recorder is None:
            return
        clock = MonotonicClock()
        began_ns = quiet_ns = clock.now_ns()
        try:
            while clock.now_ns() - quiet_ns < QUIET_NS and clock.now_ns() - began_ns < DRAIN_NS:
                self._bus.wait(0.01)
                for frames in self._bus.pushed():
                    quiet_ns = clock.now_ns()
                    self._say(self._recorder.take(frames, quiet_ns))
            self._recorder.end(outcome if outcome in OUTCOMES else "fault", reason, clock.now_ns())
        except RecordingError as error:
            raise NodeFault(f"recording: {error}") from None
        self._recorder = None

    def counters(self) -> Mapping[str, float]:
        """Bytes written, messages, what is missing."""
        return self._recorder.counters() if self._recorder is not None else {}

    def _look_at_the_disk(self, recorder: Recorder, now_ns: int) -> None:
        if self._grown_ns is None or now_ns - self._grown_ns > SILENT_NS:
            # What the file has, not what has been handed over for it.
            file = self._folder / SESSION_FILE
            grown = (recorder.messages, min(file.stat().st_size, recorder.bytes_written))
            if self._grown_ns is not None and grown[0] > self._grown[0] and grown[1] <= self._grown[1]:
                raise NodeFault(f"recording: {file} has stopped growing at {grown[1]} bytes, though messages come")
            self._grown_ns, self._grown = now_ns, grown
        if now_ns - self._disk_ns > DISK_LOOK_NS:
            self._disk_ns = now_ns
            free = shutil.disk_usage(self._folder).free
            if free < DISK_FREE_MIN_BYTES:
                raise NodeFault(f"recording: {self._folder} has only {free >> 20} MB left")

    def _open(self) -> Recorder:
        if self._recorder is None:
            raise NodeFault("recording: the file is not open")
        return self._recorder

    def _take(self, frames: list[bytes]) -> None:
        """Record what this node itself says."""
        if self._recorder is None:
            return
        try:
            self._recorder.take(frames, MonotonicClock().now_ns())
        except RecordingError as error:
            raise NodeFault(f"recording: {error}") from None

    def _say(self, outgoing: list[Outgoing]) -> None:
        for each in outgoing:
            self._bus.publish(each)
