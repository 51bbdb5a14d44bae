"""What of a blinded session is closed, and how: the arm, what was really given, what the device said of it.

Lengths and numbers of what is closed are the same in every arm: records are padded to a size that depends on the
number of outputs alone, and go out whether there is anything in them or not.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import msgspec

from myoloop.platform.messages import DeviceReport, Pulses, Sealed
from myoloop.platform.sealed import SealedError, SessionBox, StudyKey
from myoloop.platform.steps import Outgoing
from myoloop.stimulators import gate
from myoloop.stimulators.sham import Treatment

REPORT, DEVICE, PULSE = "sealed/report", "sealed/device", "sealed/pulse"
#: Pulses wait so long, to share an envelope.
PULSES_NS = 100_000_000
#: Padded sizes in bytes: of the whole, and more for each output; room for names of 31 letters and, of pulses, for a
#: change of current at each cycle of 10 ms.
_SIZES = {REPORT: (128, 128), DEVICE: (512, 192), PULSE: (128, 1536)}
#: Of a size that much is the padding's own.
_FRAME_BYTES = 4
#: Pulses are closed as rows without names.
_Row = tuple[str, tuple[int, ...], int, str, float, float]
_LIST_BYTES = 5
_ASSIGNMENT_BYTES = 256
_DOSE_BYTES = 64


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What only the stimulator's node knows of a session.

    Attributes
    ----------
    treatment
        Of the person's arm.
    session_dose
        What earlier attempts at this session have really given: charge in mC, time with current in s, pulses.
    """

    treatment: Treatment
    session_dose: tuple[float, float, float] = (0.0, 0.0, 0.0)


class TrueReport(msgspec.Struct, frozen=True, array_like=True):
    """What was really allowed at a step.

    Attributes
    ----------
    allowed
        Channel, current in mA, width per phase in us, rate in Hz.
    acknowledged
        Channel and current in mA, as the device says.
    dose
        Charge in mC, time with current in s, pulses; of the session.
    """

    step: int
    state: str
    rule: str
    allowed: tuple[tuple[str, float, float, float], ...]
    acknowledged: tuple[tuple[str, float], ...]
    dose: tuple[float, float, float]


class Seals:
    """Closes and opens what one session seals.

    Parameters
    ----------
    key
        The study's.
    session
        The session's id.
    outputs
        Of the device.
    """

    def __init__(self, key: StudyKey, session: str, outputs: int) -> None:
        self._box = SessionBox(key, session)
        self._outputs = outputs

    def close(self, topic: str, number: int, t_ns: int, what: object) -> Outgoing:
        """A sealed message of something that msgspec can encode.

        Raises
        ------
        SealedError
            If it is larger than any arm's may be: its length would tell the arm.
        """
        plain = msgspec.msgpack.encode(what)
        if len(plain) > self.room(topic):
            raise SealedError(f"{topic} {number}: {len(plain)} bytes, allowed at most {self.room(topic)}")
        box = self._box.seal(topic, number, plain, self.room(topic) + _FRAME_BYTES)
        return Outgoing(topic, Sealed(number=number, t_ns=t_ns, box=box))

    def room(self, topic: str) -> int:
        """How much a sealed message holds, bytes."""
        whole, each = _SIZES[topic]
        return whole + each * self._outputs - _FRAME_BYTES

    def report(self, message: Sealed) -> TrueReport:
        """Open what was on ``sealed/report``."""
        return msgspec.msgpack.decode(self._box.open(REPORT, message.number, message.box), type=TrueReport)

    def device(self, message: Sealed) -> DeviceReport:
        """Open what was on ``sealed/device``."""
        return msgspec.msgpack.decode(self._box.open(DEVICE, message.number, message.box), type=DeviceReport)

    def pulses(self, message: Sealed) -> tuple[Pulses, ...]:
        """Open what was on ``sealed/pulse``."""
        rows = msgspec.msgpack.decode(self._box.open(PULSE, message.number, message.box), type=tuple[_Row, ...])
        return tuple(_pulses(row) for row in rows)


class SealedWords:
    """What device and driver say, on its way out of the node's shell."""

    def __init__(self, seals: Seals) -> None:
        self._seals = seals
        self._numbers = {DEVICE: 0, PULSE: 0}
        self._pulses: list[Pulses] = []
        self._told_ns: int | None = None

    def device(self, report: DeviceReport, now_ns: int) -> Outgoing:
        """What the device said."""
        return self._close(DEVICE, now_ns, report)

    def pulses(self, pulses: Sequence[Pulses], now_ns: int) -> list[Outgoing]:
        """The pulses of the last 0.1 s, when it is over."""
        self._pulses += pulses
        if self._told_ns is None:
            self._told_ns = now_ns
        if now_ns - self._told_ns < PULSES_NS:
            return []
        # What there is no room for goes into the next envelope: none is ever larger than another.
        fits, size = 0, 0
        rows = [_row(each) for each in self._pulses]
        for row in rows:
            size += len(msgspec.msgpack.encode(row))
            if size + _LIST_BYTES > self._seals.room(PULSE):
                break
            fits += 1
        del self._pulses[:fits]
        self._told_ns = now_ns
        return [self._close(PULSE, now_ns, rows[:fits])]

    def _close(self, topic: str, now_ns: int, what: object) -> Outgoing:
        self._numbers[topic] += 1
        return self._seals.close(topic, self._numbers[topic], now_ns, what)


def close_assignment(key: StudyKey, session: str, assignment: Assignment) -> str:
    """The assignment as a start record may hold it."""
    box = SessionBox(key, session).seal("assignment", 0, msgspec.json.encode(assignment), _ASSIGNMENT_BYTES)
    return base64.b64encode(box).decode()


def open_assignment(key: StudyKey, session: str, closed: str) -> Assignment:
    """Read it again.

    Raises
    ------
    SealedError
        If it is not of this session and key.
    """
    try:
        box = base64.b64decode(closed, validate=True)
        return msgspec.json.decode(SessionBox(key, session).open("assignment", 0, box), type=Assignment)
    except (binascii.Error, msgspec.DecodeError):
        raise SealedError("sealed assignment: it was changed") from None


def _row(pulses: Pulses) -> _Row:
    return (
        pulses.channel, pulses.t_ns, pulses.uncertainty_ns, pulses.kind, pulses.current_ma, pulses.phase_us,
    )  # fmt: skip


def _pulses(row: _Row) -> Pulses:
    channel, t_ns, uncertainty_ns, kind, current_ma, phase_us = row
    return Pulses(
        channel=channel, t_ns=t_ns, uncertainty_ns=uncertainty_ns, kind=kind, current_ma=current_ma, phase_us=phase_us
    )


class SealedDose:
    """What a session has really given, as a line of the person's dose ledger holds it.

    Bound to the time of the line and not to the person: a session that is reassigned takes its lines with it.

    Parameters
    ----------
    key
        The study's.
    """

    def __init__(self, key: StudyKey) -> None:
        self._box = SessionBox(key, "dose ledger")

    def close(self, wall_ns: int, dose: gate.DoseTotals) -> str:
        """Close the totals that were reached at a wall time."""
        plain = msgspec.msgpack.encode((dose.charge_mc, dose.on_s, dose.pulses))
        return base64.b64encode(self._box.seal("dose", wall_ns, plain, _DOSE_BYTES)).decode()

    def open(self, wall_ns: int, closed: str) -> gate.DoseTotals:
        """Read them again.

        Raises
        ------
        SealedError
            If they are not of this time and key.
        """
        try:
            plain = self._box.open("dose", wall_ns, base64.b64decode(closed, validate=True))
            return gate.DoseTotals(*msgspec.msgpack.decode(plain, type=tuple[float, float, float]))
        except (binascii.Error, msgspec.DecodeError):
            raise SealedError("sealed dose: it was changed") from None
