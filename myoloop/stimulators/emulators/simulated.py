"""Firmware of the simulated stimulator: bytes in, bytes out, pulses made by its own clock.

It is a plain object: whoever runs it (the virtual subject's server, a lockstep session, a test) hands it bytes with
the time, and asks for its answers and its pulses. What it delivered is told by :meth:`SimulatedDevice.pulses_until`
alone, never by its answers.

The wire protocol, all numbers little endian::

    frame     A5 | u16 length of body | body | u16 crc        crc over length and body: CRC-16/CCITT-FALSE
    body      u8 kind | u32 sequence | fields

    host      01 IDENTIFY   no fields
              02 SET        u16 lease_ms | u32 pulses_from | u8 count | count x output
                 output     u8 number | i16 code | u32 us | i16 code | u32 us | u16 rate in 0.1 Hz
              03 STOP       no fields

    device    80 + kind, the sequence echoed, u8 result | u64 device_us, then
              81            u8 version | u8 outputs | u16 codes_per_ma | u16 code_max | u16 lease_max_ms
                            | u32 pulses made | 16 x ASCII serial number
              82, 83        u8 open electrodes (bit = output) | u8 count | count x active
                 active     u8 number | u16 code | u32 us | u16 rate in 0.1 Hz
                            then u32 index of the first pulse | u16 count | count x pulse
                 pulse      u8 number | u32 us before device_us | u16 code | u32 us
              8F            (unknown command) nothing more

    results   0 done   1 a value out of range   2 the two phases do not balance   3 unknown command

A SET replaces the whole table: an output it does not name goes to zero. The two phases of a pulse are written out
on the wire, so that their balance can be checked there. SET is also the keep-alive: without a valid one for the
lease it carries (at most the device's own), every output goes to zero by itself. A frame with a wrong CRC is not
answered. `pulses_from` is the index of the first pulse the host has not yet heard of; the device repeats its report
from there, so that a lost answer loses no pulse. STOP carries none, so that it is the shortest frame there is: its
answer reports from the last SET's, or from where the count stood at the last IDENTIFY, whichever came later.

An output that was at zero gives its first pulse at once, unless its last one was less than a period ago; while
running, new current, width and rate hold from the next pulse on.
"""

from __future__ import annotations

import binascii
import struct
from collections import deque
from dataclasses import dataclass

from myoloop.stimulators.emulators.device import EmulatedDevice
from myoloop.stimulators.emulators.faults import LineFaults
from myoloop.stimulators.emulators.ledger import Pulse

START = 0xA5
VERSION = 1
IDENTIFY, SET, STOP, UNKNOWN = 0x01, 0x02, 0x03, 0x0F
DONE, OUT_OF_RANGE, UNBALANCED, UNKNOWN_COMMAND = 0, 1, 2, 3

_BODY = struct.Struct("<BI")
_SET = struct.Struct("<HIB")
_OUTPUT = struct.Struct("<BhIhIH")
_ANSWER = struct.Struct("<BIBQ")
_IDENTITY = struct.Struct("<BBHHHI16s")
_ACTIVE = struct.Struct("<BHIH")
_PULSE = struct.Struct("<BIHI")

#: Longest answer holds the pulses of 0.2 s on eight outputs at full rate.
_PULSES_IN_ANSWER = 320
_MAX_U32 = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """What kind of device it is.

    Attributes
    ----------
    outputs
        Number of outputs, 1 to 8.
    codes_per_ma
        Steps of the current code in one mA: 2 is a step of 0.5 mA, 100 one of 0.01 mA (microcurrent).
    lease_max_ms
        Longest it goes on without a valid SET.
    drift_ppm
        How much slow its crystal is.
    """

    outputs: int = 2
    codes_per_ma: int = 2
    current_max_ma: float = 130.0
    phase_min_us: int = 10
    phase_max_us: int = 1000
    rate_max_hz: float = 200.0
    lease_max_ms: int = 200
    drift_ppm: float = 0.0
    serial: str = "SIM-0001"

    def __post_init__(self) -> None:
        if not 1 <= self.outputs <= 8:
            raise ValueError(f"a simulated stimulator has 1 to 8 outputs, not {self.outputs}")
        if not 1 <= self.codes_per_ma * self.current_max_ma <= 32767:
            raise ValueError(f"{self.current_max_ma} mA in steps of 1/{self.codes_per_ma} mA do not fit the wire")
        if not 1 <= self.lease_max_ms <= 65535:
            raise ValueError(f"a lease of {self.lease_max_ms} ms does not fit the wire")


@dataclass(slots=True)
class Faults(LineFaults):
    """What is broken, beside the line; set from outside at any time.

    Attributes
    ----------
    stuck_on
        STOP, and a SET to zero, do nothing; only the device's own lease still ends.
    """

    stuck_on: bool = False


@dataclass(slots=True)
class _Output:
    code: int = 0
    phase_us: int = 0
    rate_dhz: int = 1
    due_ns: int = 0
    last_ns: int | None = None


class SimulatedDevice(EmulatedDevice[Faults]):
    """The simulated stimulator.

    Parameters
    ----------
    settings
        What it is.
    start_ns
        When it was switched on; its own clock counts microseconds from there.
    """

    def __init__(self, settings: DeviceSettings | None = None, *, start_ns: int = 0) -> None:
        super().__init__(Faults())
        self.settings = settings or DeviceSettings()
        self.bad_frames = 0
        self._code_max = int(self.settings.current_max_ma * self.settings.codes_per_ma + 1e-9)
        self._restart(start_ns)

    @property
    def active(self) -> tuple[int, ...]:
        """Outputs that are on."""
        return tuple(number for number, output in enumerate(self._outputs) if output.code)

    def _hear(self, data: bytes, now_ns: int) -> None:
        self._received += data
        for body in self._frames():
            self._obey(body, now_ns)

    def _restart(self, now_ns: int) -> None:
        """Outputs at zero, own clock and pulse count from the beginning."""
        self._start_ns = now_ns
        self._outputs = [_Output() for _ in range(self.settings.outputs)]
        self._lease_end_ns = now_ns
        self._received = bytearray()
        self._answers.clear()
        self._log: deque[tuple[int, int, int, int]] = deque(maxlen=1024)
        self._made = 0
        self._pulses_from = 0
        self._open = 0

    # Commands

    def _frames(self) -> list[bytes]:
        """Whole bodies with a good CRC, garbage skipped.

        Where a frame seems to have begun and is not whole, a whole one further on is still found: a stop must not
        wait for the rest of a frame that will never come.
        """
        bodies = []
        data = self._received
        longest = _BODY.size + _SET.size + self.settings.outputs * _OUTPUT.size
        at, keep = 0, None
        while (at := data.find(START, at)) >= 0:
            if len(data) - at < 3:
                keep = at if keep is None else keep
                break
            length = data[at + 1] | data[at + 2] << 8
            end = at + 3 + length
            if _BODY.size <= length <= longest and end + 2 > len(data):
                keep = at if keep is None else keep
            elif _BODY.size <= length <= longest:
                crc = data[end] | data[end + 1] << 8
                if binascii.crc_hqx(bytes(data[at + 1 : end]), 0xFFFF) == crc:
                    bodies.append(bytes(data[at + 3 : end]))
                    at, keep = end + 2, None
                    continue
                self.bad_frames += 1
            at += 1
        del data[: len(data) if keep is None else keep]
        return bodies

    def _obey(self, body: bytes, now_ns: int) -> None:
        kind, sequence = _BODY.unpack_from(body)
        fields = body[_BODY.size :]
        if kind == IDENTIFY and not fields:
            self._pulses_from = self._made
            self._answer(kind, sequence, DONE, now_ns, self._identity())
            return
        if kind == STOP and not fields:
            self._all_off(now_ns)
            result = DONE
        elif kind == SET and len(fields) >= _SET.size:
            lease_ms, self._pulses_from, count = _SET.unpack_from(fields)
            result = self._set(lease_ms, count, fields[_SET.size :], now_ns)
        else:
            self._answer(UNKNOWN, sequence, UNKNOWN_COMMAND, now_ns, b"")
            return
        self._answer(kind, sequence, result, now_ns, self._status(now_ns))

    def _set(self, lease_ms: int, count: int, fields: bytes, now_ns: int) -> int:
        if len(fields) != count * _OUTPUT.size or not 1 <= lease_ms <= self.settings.lease_max_ms:
            return OUT_OF_RANGE
        wanted: dict[int, tuple[int, int, int]] = {}
        for number, code, phase_us, back_code, back_us, rate_dhz in _OUTPUT.iter_unpack(fields):
            if code * phase_us + back_code * back_us != 0 or code != -back_code:
                return UNBALANCED
            if (
                number >= self.settings.outputs
                or number in wanted
                or not 0 <= code <= self._code_max
                or not self.settings.phase_min_us <= phase_us <= self.settings.phase_max_us
                or not 1 <= rate_dhz <= self.settings.rate_max_hz * 10
                or (phase_us + back_us) * rate_dhz > 10_000_000
            ):
                return OUT_OF_RANGE
            wanted[number] = (code, phase_us, rate_dhz)
        self._lease_end_ns = now_ns + lease_ms * 1_000_000
        if self.faults.stuck_on and not any(code for code, _, _ in wanted.values()):
            return DONE
        for number, output in enumerate(self._outputs):
            code, phase_us, rate_dhz = wanted.get(number, (0, output.phase_us, output.rate_dhz))
            if code and not output.code:
                ready = now_ns if output.last_ns is None else output.last_ns + self._period_ns(rate_dhz)
                output.due_ns = max(now_ns, ready)
            output.code, output.phase_us, output.rate_dhz = code, phase_us, rate_dhz
        self._open &= ~sum(1 << number for number, output in enumerate(self._outputs) if not output.code)
        self._advance(now_ns)
        return DONE

    def _all_off(self, now_ns: int) -> None:
        if not self.faults.stuck_on:
            for output in self._outputs:
                output.code = 0
            self._lease_end_ns = now_ns
            self._open = 0

    # Answers

    def _answer(self, kind: int, sequence: int, result: int, now_ns: int, fields: bytes) -> None:
        def numbered(number: int) -> bytes:
            body = _ANSWER.pack(0x80 | kind, number, result, self._device_us(now_ns)) + fields
            covered = struct.pack("<H", len(body)) + body
            return bytes((START,)) + covered + struct.pack("<H", binascii.crc_hqx(covered, 0xFFFF))

        self._answers.add(numbered(sequence), now_ns, lambda: numbered(sequence ^ 1))

    def _identity(self) -> bytes:
        settings = self.settings
        return _IDENTITY.pack(
            VERSION, settings.outputs, settings.codes_per_ma, self._code_max, settings.lease_max_ms,
            self._made & _MAX_U32, settings.serial.encode("ascii", "replace")[:16].ljust(16),
        )  # fmt: skip

    def _status(self, now_ns: int) -> bytes:
        active = [
            _ACTIVE.pack(number, output.code, output.phase_us, output.rate_dhz)
            for number, output in enumerate(self._outputs)
            if output.code
        ]
        first = min(max(self._pulses_from, self._made - len(self._log)), self._made)
        offset = first - (self._made - len(self._log))
        device_us = self._device_us(now_ns)
        pulses = [
            _PULSE.pack(number, min(device_us - t_us, _MAX_U32), code, phase_us)
            for number, t_us, code, phase_us in list(self._log)[offset : offset + _PULSES_IN_ANSWER]
        ]
        return b"".join((bytes((self._open, len(active))), *active, struct.pack("<IH", first, len(pulses)), *pulses))

    # Pulses

    def _advance(self, until_ns: int) -> None:
        while True:
            due = [
                (output.due_ns, number)
                for number, output in enumerate(self._outputs)
                if output.code and output.due_ns <= until_ns
            ]
            if not due:
                break
            t_ns, number = min(due)
            if t_ns >= self._lease_end_ns:
                break
            self._pulse(number, t_ns)
        if until_ns >= self._lease_end_ns:
            for output in self._outputs:
                output.code = 0

    def _pulse(self, number: int, t_ns: int) -> None:
        output = self._outputs[number]
        output.last_ns = t_ns
        output.due_ns = t_ns + self._period_ns(output.rate_dhz)
        if number in self.faults.open_electrodes:
            self._open |= 1 << number
            return
        self._open &= ~(1 << number)
        current_ma = output.code / self.settings.codes_per_ma
        self._delivered.append(Pulse(t_ns, number, current_ma, float(output.phase_us)))
        self._log.append((number, self._device_us(t_ns), output.code, output.phase_us))
        self._made += 1

    def _period_ns(self, rate_dhz: int) -> int:
        return round(1e10 / rate_dhz * (1 + self.settings.drift_ppm * 1e-6))

    def _device_us(self, now_ns: int) -> int:
        return int((now_ns - self._start_ns) / (1 + self.settings.drift_ppm * 1e-6)) // 1000
