"""Faults that a script brings into a session under a virtual clock, where each would come from in life.

Electrodes and leads change on the body, the cable goes at the device, samples go wrong between source and intake,
a node that hangs neither works nor beats. Each is told as an event ``injected`` of the body, so that what was done
can be held against what was noticed.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from typing import Any

from myoloop.acquisition.source import Block, Reading, Source
from myoloop.controllers.controller import Controller
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.experiments.sessions.lockstep_bus import LockstepBus
from myoloop.experiments.sessions.script import FaultSpec
from myoloop.experiments.sessions.scripted_acts import Say
from myoloop.experiments.sessions.setup import SessionSetup, SetupError
from myoloop.experiments.subjects.body import VirtualBody
from myoloop.experiments.subjects.contact import ElectrodeEvent, Kind
from myoloop.platform.messages import ClockSample, Event, SampleDescriptor
from myoloop.platform.node import NodeFault
from myoloop.platform.stepping import Stepping
from myoloop.platform.steps import Outgoing
from myoloop.stimulators.dose_ledger import Ledger

#: What happens to the electrode of a muscle's EMG.
_ELECTRODE: dict[str, Kind] = {
    "partial_lift": "lift",
    "emg_lead_off": "off",
    "emg_railed": "rail",
    "swapped_leads": "swap",
}
#: Which node stands still.
_STALLED = {"controller_late": "controller", "disk_full": "recorder", "disk_slow": "recorder"}


class FaultySource:
    """A source between whose blocks and us something may go wrong.

    Attributes
    ----------
    fault
        ``stream_stops`` (nothing comes), ``repeated_block`` (the same buffer again and again); empty: nothing.
    late_ns
        By how much its time stamps are off.
    """

    def __init__(self, inner: Source) -> None:
        self._inner = inner
        self.fault = ""
        self.late_ns = 0
        self._last: dict[str, Block] = {}

    def open(self) -> tuple[SampleDescriptor, ...]:
        """As the source does."""
        return self._inner.open()

    def read(self, wait_s: float) -> list[Reading]:
        """What the source gives, or what the fault leaves of it."""
        readings: list[Reading] = []
        for reading in self._inner.read(wait_s):
            if not isinstance(reading, Block):
                readings.append(reading)
                continue
            if self.fault == "stream_stops":
                continue
            block = reading
            if self.fault == "repeated_block":
                before = self._last.get(block.topic, block)
                rows = min(len(before.array), len(block.array))
                block = _replaced(block, array=before.array[:rows], t_ns=block.t_ns)
            else:
                self._last[block.topic] = block
            readings.append(_replaced(block, array=block.array, t_ns=block.t_ns + self.late_ns))
        return readings

    def close(self) -> None:
        """As the source does."""
        self._inner.close()


class BrokenPolicy:
    """A policy that asks for what is no number, or fails."""

    def __init__(self, inner: Any, how: str, channels: tuple[str, ...]) -> None:
        self.inner = inner
        self._how, self._channels = how, channels

    def decide(self, given: PolicyInput) -> Decision:
        """Go wrong."""
        if self._how == "controller_exception":
            raise RuntimeError("broken by the script")
        return Decision(dict.fromkeys(self._channels, float("nan")), "broken by the script")

    def reset(self) -> None:
        """As the policy does."""
        self.inner.reset()

    def state(self) -> dict[str, Any]:
        """As the policy does."""
        kept: dict[str, Any] = self.inner.state()
        return kept

    def restore(self, state: Mapping[str, Any]) -> None:
        """As the policy does."""
        self.inner.restore(state)


class Injected:
    """Brings faults in, and takes away again those that have an end.

    Parameters
    ----------
    sources
        By name.
    stimulator
        The gate's own inbox, for what its node tells it.
    """

    def __init__(
        self,
        setup: SessionSetup,
        body: VirtualBody,
        sources: Mapping[str, FaultySource],
        bus: LockstepBus,
        controller: Controller,
        stimulator: Stepping,
    ) -> None:
        self._setup = setup
        self._body = body
        self._sources = sources
        self._bus = bus
        self._controller = controller
        self._stimulator = stimulator
        self._stalled: dict[str, int | None] = {}
        self._ends: list[tuple[int, Callable[[], None], FaultSpec]] = []

    def strike(self, fault: FaultSpec, now_ns: int) -> None:
        """Let it happen now.

        Raises
        ------
        SetupError
            If it names a channel or source that this rig does not have.
        """
        undo, said = self._break(fault, now_ns)
        self._tell(fault, now_ns, said)
        if undo is not None and fault.for_s is not None:
            self._ends.append((now_ns + round(fault.for_s * 1e9), undo, fault))

    def tick(self, now_ns: int) -> None:
        """Put right what was to last until now."""
        for end in [end for end in self._ends if end[0] <= now_ns]:
            self._ends.remove(end)
            end[1]()
            self._tell(end[2], now_ns, "over")

    def stalls(self, role: str, now_ns: int) -> bool:
        """Whether the node of a role stands still: it neither works nor beats."""
        if role not in self._stalled:
            return False
        until_ns = self._stalled[role]
        return until_ns is None or now_ns < until_ns

    # -- inside ------------------------------------------------------------------------------------------------

    def _break(self, fault: FaultSpec, now_ns: int) -> tuple[Callable[[], None] | None, str]:
        kind = fault.kind
        if kind in _ELECTRODE:
            return self._electrode(fault), ""
        if kind in ("stream_stops", "repeated_block", "time_jump"):
            return self._samples(fault), ""
        if kind in _STALLED:
            until_ns = None if fault.for_s is None else now_ns + round(fault.for_s * 1e9)
            self._stalled[_STALLED[kind]] = until_ns
            return (lambda: None), ""
        if kind in ("controller_nan", "controller_exception"):
            return self._policy(kind), ""
        if kind == "second_program":
            return None, self._second_program()
        return self._device_or_host(fault, now_ns), ""

    def _device_or_host(self, fault: FaultSpec, now_ns: int) -> Callable[[], None] | None:
        device = self._body.device.faults
        if fault.kind == "electrode_detaches":
            output = self._output(fault.channel or "")
            device.open_electrodes.add(output)
            return lambda: device.open_electrodes.discard(output)
        if fault.kind == "usb_unplug":
            device.vanished = True
            return lambda: setattr(device, "vanished", False)
        if fault.kind == "spasm_provoked":
            muscle = next(i for i, site in enumerate(self._body.subject.muscles)
                          if self._channel_name(fault.channel or "") in site.emg_channels)  # fmt: skip
            self._body.subject.person.spasms.provoke(muscle, self._body.now_ns)
        elif fault.kind == "clock_gap":
            self._sleep(fault.by_s or 0.0, now_ns)
        elif fault.kind == "power_loss":
            os.kill(os.getpid(), signal.SIGKILL)
        return None

    def _electrode(self, fault: FaultSpec) -> Callable[[], None]:
        channel = self._emg(fault.channel or "")
        other = self._emg(fault.other) if fault.other is not None else None
        self._body.subject.happen(ElectrodeEvent(0.0, channel, _ELECTRODE[fault.kind], other))
        return lambda: self._body.subject.happen(ElectrodeEvent(0.0, channel, "back"))

    def _samples(self, fault: FaultSpec) -> Callable[[], None]:
        name = fault.source or next(iter(self._sources))
        source = self._sources.get(name)
        if source is None:
            raise SetupError(f"script: {fault.kind}: found source {name!r}, the rig has {', '.join(self._sources)}")
        if fault.kind == "time_jump":
            source.late_ns += round((fault.by_s or 0.0) * 1e9)
        else:
            source.fault = fault.kind
        return lambda: setattr(source, "fault", "")

    def _policy(self, how: str) -> Callable[[], None]:
        guarded = self._controller._policy
        inner = guarded._policy
        guarded._policy = BrokenPolicy(inner, how, tuple(self._setup.rig.stimulation))
        return lambda: setattr(guarded, "_policy", inner)

    def _second_program(self) -> str:
        """Somebody else begins with the same person."""
        setup = self._setup
        try:
            second = Ledger.open(setup.ledger, setup.subject, setup.dose_session)
        except NodeFault as refused:
            return str(refused)
        second.close(second.prior.session, 0)
        return "not refused"

    def _sleep(self, by_s: float, now_ns: int) -> None:
        name = self._setup.rig.node_of("stimulator") or "stimulator"
        for slept_ns in (0, round(by_s * 1e9)):
            sample = ClockSample(t_ns=now_ns, wall_ns=now_ns + slept_ns, boottime_ns=now_ns + slept_ns)
            self._stimulator.receive(self._bus.publish(name, Outgoing("clock", sample)))

    def _output(self, channel: str) -> int:
        place = self._setup.rig.stimulation.get(channel)
        if place is None:
            there = ", ".join(self._setup.rig.stimulation)
            raise SetupError(f"script: found stimulation channel {channel!r}, the rig has {there}")
        return place.output

    def _channel_name(self, muscle: str) -> str:
        place = self._setup.rig.emg.get(muscle)
        if place is None:
            raise SetupError(f"script: found EMG of {muscle!r}, the rig has {', '.join(self._setup.rig.emg)}")
        return place.channel

    def _emg(self, muscle: str) -> int:
        return self._body.subject.emg_channels.index(self._channel_name(muscle))

    def _tell(self, fault: FaultSpec, now_ns: int, said: str) -> None:
        told = fault.model_dump(by_alias=True, exclude_none=True, exclude={"kind"})
        values: dict[str, float | str | bool | None] = {"fault": fault.kind, **told}
        event = Event(t_ns=now_ns, kind="injected", who="script", why=said or fault.kind, values=values)
        self._bus.publish(self._setup.rig.node_of("subject") or "body", Outgoing("event", event))


def felt(said: Say, now_ns: int) -> Event:
    """What a person says of what they feel."""
    by = {"by": said.by} if said.by else {}
    return Event(t_ns=now_ns, kind="felt", who="subject", values={"what": said.what, **by})


def _replaced(block: Block, *, array: Any, t_ns: int) -> Block:
    return Block(block.topic, block.first_sample, t_ns, array, block.device_t, block.invalid)
