"""The virtual subject's process: a body on two sockets, so that the other nodes cannot tell it from hardware."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from myoloop.experiments.subjects.body import BLOCK_NS, VirtualBody
from myoloop.experiments.subjects.leads import LeadFall
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.server import BodyServer
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.bus import Bus
from myoloop.platform.clock import MonotonicClock
from myoloop.platform.endpoint import EndpointError
from myoloop.platform.messages import Phase
from myoloop.platform.node import Configuration, Heard, NodeFault
from myoloop.platform.steps import Outgoing
from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.fault_words import read_fault
from myoloop.stimulators.emulators.registry import emulator_kind
from myoloop.stimulators.emulators.simulated import DeviceSettings, SimulatedDevice


class BodySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a virtual body is made of; JSON-ready.

    Attributes
    ----------
    source
        Name of the acquisition node its streams belong to.
    heard
        Whether any source hears this body. One that only lends its stimulator tells of its pulses alone: the truth
        about its muscles would be taken for that of the EMG that is heard.
    tells_truth
        Whether it tells what it knows of itself. In a blinded session it does not: nearly all of it depends on what
        was really given.
    force_cell
        Whether there is a force cell on its joint.
    device, emulator
        The stimulator on it: a simulated one as wide as `device` says, or the emulator of this name.
    by_hand
        What the unit behind an emulator is set to.
    faults
        What breaks on the stimulator, in the words of :mod:`~myoloop.stimulators.emulators.fault_words`; their seconds
        count from its first pulse.
    leads_off
        Which leads of the amplifier fall off, in which trial, for how long.
    """

    parameters: SubjectParameters
    seed: int
    muscles: tuple[MuscleSite, ...]
    source: str
    heard: bool = True
    tells_truth: bool = True
    emg_rate_hz: float = 2000.0
    imu_rate_hz: float = 100.0
    force_rate_hz: float = 100.0
    force_cell: bool = False
    device: DeviceSettings = DeviceSettings()
    emulator: str = ""
    by_hand: dict[str, float] = {}
    faults: tuple[str, ...] = ()
    leads_off: tuple[LeadFall, ...] = ()


def make_body(settings: BodySettings, start_ns: int) -> VirtualBody:
    """Make a body that begins to live at `start_ns`.

    Raises
    ------
    myoloop.stimulators.emulators.registry.EmulatorError
        If there is no emulator of the name, or it has no such fault.
    ValueError
        If a lead is to fall that cannot.
    """
    subject = VirtualSubject(
        settings.parameters,
        settings.seed,
        muscles=settings.muscles,
        emg_rate_hz=settings.emg_rate_hz,
        imu_rate_hz=settings.imu_rate_hz,
        force_rate_hz=settings.force_rate_hz,
        force_cell=settings.force_cell,
        start_ns=start_ns,
    )
    device: Emulator = (
        emulator_kind(settings.emulator).make(start_ns, settings.by_hand)
        if settings.emulator
        else SimulatedDevice(settings.device, start_ns=start_ns)
    )
    faults = [read_fault(text, device.faults) for text in settings.faults]
    return VirtualBody(
        subject, device, source=settings.source, start_ns=start_ns, faults=faults, leads_off=settings.leads_off
    )


def told(settings: BodySettings, truths: Iterable[Outgoing]) -> list[Outgoing]:
    """The truths that a body may tell."""
    if not settings.tells_truth:
        return []
    return [truth for truth in truths if settings.heard or truth.topic == "truth/pulse"]


class SubjectBody:
    """Work of role ``subject``."""

    role = "subject"
    cycle_ns = 3_000_000
    wakes: frozenset[str] = frozenset()
    files: tuple[int, ...] = ()

    def __init__(self) -> None:
        self._server: BodyServer | None = None

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, Any]]:
        """Bring the body to life and begin to listen.

        Raises
        ------
        NodeFault
            If its sockets cannot be had.
        """
        settings = given.settings
        self._bus = bus
        self._settings = msgspec.convert(settings["body"], BodySettings)
        body = make_body(self._settings, MonotonicClock().now_ns() // BLOCK_NS * BLOCK_NS)
        self._server = BodyServer(
            body,
            settings["source_address"],
            settings["device_address"],
            settings.get("ledger") or None,
            resets_on_open=bool(self._settings.emulator) and emulator_kind(self._settings.emulator).resets_on_open,
            clock=MonotonicClock(),
        )
        try:
            self._server.open()
        except (EndpointError, OSError) as error:
            raise NodeFault(f"virtual subject: {error}") from None
        return ("phase",), {}

    def begin(self, now_ns: int) -> None:
        """It has lived since its configuration."""

    def idle(self, now_ns: int) -> None:
        """A body lives before the session begins; driver and source attach to it."""
        self._serve(now_ns)

    def turn(self, heard: Heard, now_ns: int) -> None:
        """See the screen, live on."""
        for received in heard.received:
            if isinstance(received.message, Phase) and self._server is not None:
                self._server.see(received.message)
        self._serve(now_ns)

    def end(self, outcome: str, reason: str, now_ns: int) -> None:
        """Hang up and remove the sockets."""
        if self._server is not None:
            self._server.close()
            self._server = None

    def counters(self) -> dict[str, float]:
        """Blocks that nobody took."""
        return {"dropped_blocks": float(self._server.dropped_blocks)} if self._server is not None else {}

    def _serve(self, now_ns: int) -> None:
        if self._server is None:
            return
        events, truths = self._server.serve(now_ns)
        for event in events:
            self._bus.publish(Outgoing("event", event))
        for truth in told(self._settings, truths):
            self._bus.publish(truth)
