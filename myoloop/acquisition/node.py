"""The process of a source: what the device gives, judged and published."""

from __future__ import annotations

from typing import Any

import msgspec

from myoloop.acquisition.intake import Intake, vital_topics
from myoloop.acquisition.registry import make_source
from myoloop.acquisition.source import Block, Ended, Source, SourceError, SourceMistake
from myoloop.platform.bus import Bus
from myoloop.platform.messages import Event, Pulses
from myoloop.platform.node import Configuration, Heard, NodeFault, Refusal
from myoloop.platform.plugins import PluginError
from myoloop.platform.steps import Outgoing


class AcquisitionBody:
    """Work of role ``acquisition``."""

    role = "acquisition"
    cycle_ns = 5_000_000
    wakes: frozenset[str] = frozenset()

    def __init__(self) -> None:
        self._source: Source | None = None
        self._ended = False
        self.files: tuple[int, ...] = ()

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Open the source and tell what its streams are.

        Raises
        ------
        Refusal
            If it cannot be what it was told to be.
        NodeFault
            If it cannot be opened.
        """
        self._bus = bus
        try:
            self._source = make_source(given.settings["source"], given.settings["source_settings"], name=bus.node)
            descriptors = self._source.open()
        except (SourceMistake, PluginError) as error:
            raise Refusal(str(error)) from None
        except SourceError as error:
            raise NodeFault(str(error)) from None
        topics = vital_topics(descriptors)
        self._intakes = {d.topic: Intake(d, topics[d.topic]) for d in descriptors}
        listen = ("pulse",) if given.settings["stimulated_person"] else ()
        values = {"descriptors": [msgspec.to_builtins(each) for each in descriptors], "vital_topics": topics}
        return listen, values

    def begin(self, now_ns: int) -> None:
        """From now on the device's samples are read."""
        fileno = getattr(self._source, "fileno", None)
        self.files = (fileno(),) if fileno is not None else ()

    def idle(self, now_ns: int) -> None:
        """Nothing to do before the beginning."""

    def turn(self, heard: Heard, now_ns: int) -> None:
        """Publish what the device has given.

        Raises
        ------
        NodeFault
            If the device is gone.
        """
        for received in heard.received:
            if isinstance(received.message, Pulses):
                for intake in self._intakes.values():
                    intake.see_pulses(received.message.t_ns)
        if self._source is None or self._ended:
            return
        try:
            readings = self._source.read(0.0)
            for reading in readings:
                if isinstance(reading, Block):
                    for outgoing in self._intakes[reading.topic].take(reading):
                        self._bus.publish(outgoing)
                elif isinstance(reading, Ended):
                    self._ended, self.files = True, ()
                    event = Event(t_ns=now_ns, kind="ended", who=self._bus.node, why=reading.why)
                    self._bus.publish(Outgoing("event", event))
        except SourceError as error:
            raise NodeFault(str(error)) from None

    def end(self, outcome: str, reason: str, now_ns: int) -> None:
        """Release the device."""
        if self._source is not None:
            self._source.close()
            self._source = None

    def counters(self) -> dict[str, float]:
        """Nothing to count that vital does not say."""
        return {}
