"""The states of the gate, and every way from one to another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from myoloop.stimulators.gate.dose import DoseTotals, PriorDose, Running
from myoloop.stimulators.gate.envelope import DeviceLimits, Envelope
from myoloop.stimulators.gate.limits import Setting
from myoloop.stimulators.gate.ontime import OnTime
from myoloop.stimulators.gate.rise import Ground

StateName = Literal["DISCONNECTED", "CONNECTED", "READY", "CALIBRATING", "ARMED", "STIMULATING", "FAULT", "STOPPED"]

#: Every transition there is: (from, cause) -> to. A cause that is not listed for a state changes nothing.
TRANSITIONS: dict[tuple[StateName, str], StateName] = {
    ("DISCONNECTED", "device found"): "CONNECTED",
    ("CONNECTED", "device lost"): "DISCONNECTED",
    ("CONNECTED", "set_envelope"): "CONNECTED",
    ("CONNECTED", "confirm"): "READY",
    ("READY", "device lost"): "DISCONNECTED",
    ("READY", "set_envelope"): "CONNECTED",
    ("READY", "arm"): "ARMED",
    ("READY", "arm for calibration"): "CALIBRATING",
    ("CALIBRATING", "pause"): "READY",
    ("ARMED", "pause"): "READY",
    ("STIMULATING", "pause"): "READY",
    ("ARMED", "current"): "STIMULATING",
    ("STIMULATING", "zero"): "ARMED",
    ("FAULT", "acknowledge"): "CONNECTED",
    ("STOPPED", "acknowledge"): "CONNECTED",
    **{
        (state, "stop"): "STOPPED"
        for state in (
            "DISCONNECTED",
            "CONNECTED",
            "READY",
            "CALIBRATING",
            "ARMED",
            "STIMULATING",
            "FAULT",
            "STOPPED",
        )
    },
    **{(state, "fault"): "FAULT" for state in ("CONNECTED", "READY", "CALIBRATING", "ARMED", "STIMULATING")},
}

#: States in which a request may become current.
LIVE: frozenset[StateName] = frozenset({"CALIBRATING", "ARMED", "STIMULATING"})
#: States that only an operator's acknowledgement ends.
LATCHED: frozenset[StateName] = frozenset({"FAULT", "STOPPED"})


@dataclass(frozen=True, slots=True)
class GateSettings:
    """What a gate knows of its place; constant for a session.

    Attributes
    ----------
    session, subject
        What an envelope and an arming must name.
    rig_class
        ``SIM``, ``BENCH`` or ``HUMAN``; scripts may not arm the last.
    watched
        Peers whose heartbeat must be heard: controller, sources, recorder, director, supervisor.
    device
        What the device can do.
    prior
        What the person had in other sessions, from the ledger.
    """

    session: str
    subject: str
    rig_class: str
    watched: tuple[str, ...]
    device: DeviceLimits
    prior: PriorDose = PriorDose()


@dataclass(frozen=True, slots=True)
class Arming:
    """An operator's leave, dead as soon as anything ends it.

    Attributes
    ----------
    arm_id
        What every request must carry.
    calibrating
        The one channel whose thresholds are sought; empty when armed for the protocol.
    level_ma, last_step_ns
        In calibration: how far the operator has stepped, and when last.
    zero_seen
        Whether a request for zero has come, as the first must be.
    newest_ns
        Stamp of the newest request heard, refused or not: nothing older counts any more.
    """

    arm_id: str
    calibrating: str = ""
    level_ma: float = 0.0
    last_step_ns: int | None = None
    zero_seen: bool = False
    newest_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """The newest accepted request and when it lapses."""

    settings: tuple[Setting, ...]
    expires_ns: int


@dataclass(frozen=True, slots=True)
class Latch:
    """Why and when everything went to zero for good."""

    cause: str
    since_ns: int
    healthy_since_ns: int | None = None


@dataclass(frozen=True, slots=True)
class PauseRamp:
    """A planned way down: from what, since when, and whether from a calibration."""

    settings: tuple[Setting, ...]
    since_ns: int
    calibrating: bool


@dataclass(frozen=True, slots=True)
class GateState:
    """Everything the gate remembers between two steps.

    Attributes
    ----------
    now_ns
        When the last step was; None before the first.
    output
        What is in force: the last verdict's `allowed`.
    risen
        The same before it was rounded to the device's step: where the rise goes on from.
    ground
        By channel.
    ontime
        By output of the device, so that a channel's new name does not rest it.
    off_ns
        By output too: when its current went to zero last.
    dose, running
        What is booked, and what of it is not over.
    sent_ns
        When the device was last sent anything.
    stops_left
        How many more cycles in a row begin with stop bytes.
    """

    name: StateName = "DISCONNECTED"
    now_ns: int | None = None
    envelope: Envelope | None = None
    arming: Arming | None = None
    lease: Lease | None = None
    latch: Latch | None = None
    ramp: PauseRamp | None = None
    output: tuple[Setting, ...] = ()
    risen: tuple[Setting, ...] = ()
    ground: Mapping[str, Ground] = field(default_factory=dict)
    ontime: Mapping[int, OnTime] = field(default_factory=dict)
    off_ns: Mapping[int, int] = field(default_factory=dict)
    dose: DoseTotals = DoseTotals()
    running: Running = Running()
    sent_ns: int | None = None
    stops_left: int = 0

    @property
    def calibrating(self) -> bool:
        """Whether the calibration's ceiling holds: in a calibration, and on the way down from a paused one."""
        if self.ramp is not None:
            return self.ramp.calibrating
        return self.arming is not None and self.arming.calibrating != ""


def follow(name: StateName, cause: str) -> StateName:
    """Where `cause` leads from `name`; nowhere else if the table does not say so."""
    return TRANSITIONS.get((name, cause), name)
