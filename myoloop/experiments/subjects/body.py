"""The body: a virtual subject with a stimulator on it. Pure; the server beside it gives it sockets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy.typing as npt

from myoloop.acquisition.source import Block
from myoloop.experiments.subjects.leads import LeadFall, Leads
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.messages import Event, Phase, SampleDescriptor
from myoloop.platform.steps import Outgoing
from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.fault_words import TimedFault
from myoloop.stimulators.emulators.ledger import Pulse

BLOCK_NS = 10_000_000


@dataclass(frozen=True, slots=True)
class BodyOutput:
    """What living on gave.

    Attributes
    ----------
    events
        The person's answers.
    truths
        On ``truth/<what>``.
    pulses
        What the stimulator delivered.
    """

    events: list[Event]
    truths: list[Outgoing]
    pulses: list[Pulse]


class VirtualBody:
    """A virtual subject wired to a stimulator, simulated or emulated, living in blocks of 10 ms.

    It is the in-memory body of :class:`myoloop.acquisition.simulated.SimulatedSource` and the device of
    :class:`myoloop.stimulators.simulated.MemoryTransport`.

    Parameters
    ----------
    source
        Name of the source its streams belong to.
    start_ns
        When it begins; the subject must have been made with the same.
    faults
        What breaks on the device, and when, counted from its first pulse.
    leads_off
        Which leads fall off, and in which trial.

    Raises
    ------
    ValueError
        If a lead is to fall that cannot.
    """

    def __init__(
        self,
        subject: VirtualSubject,
        device: Emulator,
        *,
        source: str,
        start_ns: int,
        faults: Iterable[TimedFault] = (),
        leads_off: Iterable[LeadFall] = (),
    ) -> None:
        self.subject = subject
        self.device = device
        self.now_ns = start_ns
        self._descriptors = subject.descriptors(source)
        self._blocks: list[Block] = []
        self._made = [0] * len(self._descriptors)
        self._faults = sorted(faults, key=lambda fault: fault.after_s)
        self._leads = Leads(leads_off, subject.emg_channels[:-1])
        self._first_pulse_ns: int | None = None

    @property
    def descriptors(self) -> tuple[SampleDescriptor, ...]:
        """Its EMG stream, its IMU stream, and that of the force cell where it has one."""
        return self._descriptors

    def see(self, phase: Phase, now_ns: int) -> None:
        """What the screen shows."""
        for event in self._leads.see(phase, now_ns):
            self.subject.happen(event)
        self.subject.see(phase, now_ns)

    def feed(self, data: bytes, now_ns: int) -> None:
        """Bytes for the stimulator."""
        self.device.feed(data, now_ns)

    def take(self, now_ns: int) -> bytes:
        """The stimulator's answers."""
        return self.device.take(now_ns)

    def step_to(self, now_ns: int, most_blocks: int | None = None) -> BodyOutput:
        """Live through every block that is over by `now_ns`, at most `most_blocks` of them."""
        output = BodyOutput([], [], [])
        while self.now_ns + BLOCK_NS <= now_ns and most_blocks != 0:
            if most_blocks is not None:
                most_blocks -= 1
            begin_ns, self.now_ns = self.now_ns, self.now_ns + BLOCK_NS
            for event in self._leads.put_back(begin_ns):
                self.subject.happen(event)
            pulses = self.device.pulses_until(self.now_ns)
            self._break(pulses)
            lived = self.subject.step(begin_ns, self.now_ns, pulses)
            arrays: list[npt.NDArray[Any]] = [lived.emg, lived.imu]
            if lived.force is not None:
                arrays.append(lived.force)
            for stream, array in enumerate(arrays):
                if len(array):
                    topic = self._descriptors[stream].topic
                    self._blocks.append(Block(topic, self._made[stream], self.now_ns, array))
                    self._made[stream] += len(array)
            output.events.extend(lived.events)
            output.truths.extend(lived.truths)
            output.pulses.extend(pulses)
        return output

    def _break(self, pulses: list[Pulse]) -> None:
        """Let what is to break on the device break."""
        if self._first_pulse_ns is None and pulses:
            self._first_pulse_ns = pulses[0].t_ns
        while self._faults and self._first_pulse_ns is not None:
            if self.now_ns < self._first_pulse_ns + round(self._faults[0].after_s * 1e9):
                return
            self._faults.pop(0).set(self.device, self.now_ns)

    def take_blocks(self) -> list[Block]:
        """Blocks made since last asked."""
        blocks, self._blocks = self._blocks, []
        return blocks
