"""What is put between a node and the rest of its session, so that it fails when told to.

Nothing of this is in the nodes that a session starts: a drill starts its own
(:mod:`myoloop.experiments.drills.node`), with these in the places of bus, clock, source and body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np

from myoloop.acquisition.node import AcquisitionBody
from myoloop.acquisition.source import Block, Reading, Source
from myoloop.experiments.subjects.node import SubjectBody
from myoloop.platform.bus import Bus
from myoloop.platform.clock import MonotonicClock
from myoloop.platform.messages import ClockSample, Heartbeat, StimRequest
from myoloop.platform.node import Configuration, Heard
from myoloop.platform.steps import Outgoing
from myoloop.stimulators.emulators.fault_words import TimedFault, read_fault

_SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class Switch:
    """Whether the fault has happened."""

    on: bool = False


def hang() -> None:
    """Loop without end."""
    while True:
        pass


# -- what a node says --------------------------------------------------------------------------------------------------

_Replace = msgspec.structs.replace


def _each(request: StimRequest, **changes: Any) -> list[StimRequest]:
    channels = tuple(_Replace(setting, **changes) for setting in request.channels)
    return [_Replace(request, channels=channels)]


REQUESTS: dict[str, Callable[[StimRequest], list[StimRequest]]] = {
    "request-nan": lambda request: _each(request, current_ma=float("nan")),
    "request-negative": lambda request: _each(request, current_ma=-14.0),
    "request-over-width": lambda request: _each(request, phase_us=5000.0),
    "request-over-current": lambda request: _each(request, current_ma=1000.0),
    "request-unknown-channel": lambda request: _each(request, channel="nobody"),
    "request-flood": lambda request: [request] * 10,
    "request-stops": lambda request: [],
    "request-long-lease": lambda request: [_Replace(request, lease_ms=10_000)],
    "request-old": lambda request: [_Replace(request, t_ns=request.t_ns - _SECOND_NS // 10)],
    "request-wrong-arm": lambda request: [_Replace(request, arm_id="another")],
}
HEARTBEATS: dict[str, Callable[[Heartbeat], list[Heartbeat]]] = {
    "heartbeat-ended": lambda beat: [_Replace(beat, state="ended")],
    "heartbeat-future": lambda beat: [_Replace(beat, t_ns=beat.t_ns + _SECOND_NS)],
    "heartbeat-stops": lambda beat: [],
}


def spoilt(fault: str, outgoing: Outgoing) -> list[Outgoing]:
    """What becomes of what a node says."""
    message = outgoing.message
    said: list[Any] = [message]
    if isinstance(message, StimRequest) and fault in REQUESTS:
        said = list(REQUESTS[fault](message))
    elif isinstance(message, Heartbeat) and fault in HEARTBEATS:
        said = list(HEARTBEATS[fault](message))
    elif isinstance(message, ClockSample) and fault == "clock-slept":
        said = [_Replace(message, boottime_ns=message.boottime_ns + 5 * _SECOND_NS)]
    return [replace(outgoing, message=each) for each in said]


def faulty_bus(fault: str, switch: Switch) -> Callable[..., Bus]:
    """Make buses that say what `fault` makes of it once the switch is on."""

    class FaultyBus(Bus):
        def publish(self, outgoing: Outgoing) -> list[bytes]:
            if not switch.on:
                return super().publish(outgoing)
            frames: list[bytes] = []
            for each in spoilt(fault, outgoing):
                frames = super().publish(each)
            return frames

    return FaultyBus


# -- time --------------------------------------------------------------------------------------------------------------

JUMPS_NS = {"clock-forward": _SECOND_NS, "clock-back": -_SECOND_NS, "clock-controller": _SECOND_NS}


class JumpingClock:
    """The host's monotonic clock, until it jumps."""

    def __init__(self, by_ns: int, switch: Switch) -> None:
        self._clock = MonotonicClock()
        self._by_ns = by_ns
        self._switch = switch

    def now_ns(self) -> int:
        """Time, as the node is told it."""
        return self._clock.now_ns() + (self._by_ns if self._switch.on else 0)


# -- samples -----------------------------------------------------------------------------------------------------------


class SpoiltSource:
    """A source whose blocks the fault changes once the switch is on."""

    def __init__(self, inner: Source, fault: str, switch: Switch) -> None:
        self._inner = inner
        self._fault = fault
        self._switch = switch
        self._rails: dict[str, float] = {}
        self._kept: dict[str, Block] = {}
        self._made: dict[str, int] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def keep_rails(self, rails: dict[str, float]) -> None:
        """Learn each stream's upper rail."""
        self._rails = rails

    def read(self, wait_s: float) -> list[Reading]:
        """What the source gives, or what the fault makes of it."""
        readings = self._inner.read(wait_s)
        if not self._switch.on:
            for each in readings:
                if isinstance(each, Block):
                    self._kept[each.topic] = each
                    self._made[each.topic] = each.first_sample + len(each.array)
            return readings
        return [new for each in readings for new in (self._spoil(each) if isinstance(each, Block) else [each])]

    def _spoil(self, block: Block) -> list[Block]:
        array = block.array
        if self._fault == "samples-stale":
            return []
        if self._fault == "samples-repeated":
            kept = self._kept.get(block.topic, block)
            rows = min(len(kept.array), len(array))
            return [replace(block, array=kept.array[:rows])]
        if self._fault == "samples-railed":
            rail = self._rails.get(block.topic, float(np.iinfo(array.dtype).max) if array.dtype.kind == "i" else 1e9)
            return [replace(block, array=np.full_like(array, rail))]
        if self._fault == "samples-flat":
            kept = self._kept.get(block.topic, block)
            return [replace(block, array=np.broadcast_to(kept.array[-1], array.shape).copy())]
        if self._fault in ("samples-late", "samples-future"):
            return [replace(block, t_ns=block.t_ns + (_SECOND_NS if self._fault == "samples-future" else -_SECOND_NS))]
        # Another rate than it should be, counted without a gap, as a device with a wrong clock does.
        array = array[::2] if self._fault == "samples-half-rate" else np.repeat(array, 2, axis=0)
        first = self._made.get(block.topic, 0)
        self._made[block.topic] = first + len(array)
        return [replace(block, array=array, first_sample=first, invalid=None)]


class DrilledAcquisition(AcquisitionBody):
    """Role ``acquisition`` with a source that can be spoilt."""

    def __init__(self, fault: str, switch: Switch) -> None:
        super().__init__()
        self._fault = fault
        self._switch = switch

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, Any]]:
        """As always, with the fault between source and intake."""
        topics, values = super().configure(given, bus)
        if self._source is not None:
            source = SpoiltSource(self._source, self._fault, self._switch)
            rails = {each["topic"]: each["rail_high"] for each in values["descriptors"]}
            source.keep_rails({topic: rail for topic, rail in rails.items() if rail is not None})
            self._source = source
        return topics, values


# -- the device --------------------------------------------------------------------------------------------------------


class DrilledSubject(SubjectBody):
    """Role ``subject`` whose device can break, and whose ledger goes on for a while after the session.

    The emulator's process ends with the session, and a real device would not. What the device goes on to give when
    nothing more is said to it is asked of the emulator and stands in the ledger like everything else.
    """

    def __init__(self, breaks: str, switch: Switch, foresight_s: float) -> None:
        super().__init__()
        self._breaks = breaks
        self._switch = switch
        self._foresight_ns = round(foresight_s * 1e9)
        self._fault: TimedFault | None = None

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, Any]]:
        """As always; the fault is read now, so that a wrong one is told before current flows."""
        told = super().configure(given, bus)
        if self._breaks and self._server is not None:
            self._fault = read_fault(self._breaks, self._server.body.device.faults)
        return told

    def turn(self, heard: Heard, now_ns: int) -> None:
        """Break the device if it is time, live on."""
        if self._switch.on and self._fault is not None and self._server is not None:
            self._fault.set(self._server.body.device, now_ns)
            self._fault = None
        super().turn(heard, now_ns)

    def end(self, outcome: str, reason: str, now_ns: int) -> None:
        """Take in what has been said to the device, and look ahead."""
        if self._server is not None:
            self._server.serve(now_ns)
            self._server.keep(self._server.body.device.pulses_until(now_ns + self._foresight_ns))
        super().end(outcome, reason, now_ns)
