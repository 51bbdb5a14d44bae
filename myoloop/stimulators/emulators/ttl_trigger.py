"""The trigger box and the stimulator behind it: lines in, lines out, one pulse of the stimulator for each edge.

The line protocol is written down in :mod:`myoloop.stimulators.ttl_trigger`, the firmware it emulates is
``examples/firmware/ttl_trigger/ttl_trigger.ino``. What the stimulator gives is what its knobs were set to.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass

from myoloop.stimulators.emulators.device import EmulatedDevice
from myoloop.stimulators.emulators.faults import LineFaults
from myoloop.stimulators.emulators.ledger import Pulse

VERSION = 1
OUTPUTS = 4
PERIOD_MIN_US = 6667
PERIOD_MAX_US = 1_000_000
TRAIN_MAX_MS = 250
WATCHDOG_MS = 250
PULSES_MAX = 40
HIGH_US = 100
LINE_MAX = 80
NOT_UNDERSTOOD, OUT_OF_RANGE = 1, 2
_NUMBERS = re.compile(r"[ITS](?:,[0-9]{1,10})+")
_U32 = 1 << 32


@dataclass(frozen=True, slots=True)
class TtlTriggerSettings:
    """Box and stimulator.

    Attributes
    ----------
    drift_ppm
        How much slow its resonator is.
    set_current_ma, set_phase_us
        What the stimulator behind each output is set to by hand.
    """

    drift_ppm: float = 0.0
    set_current_ma: float = 10.0
    set_phase_us: float = 200.0


@dataclass(slots=True)
class TtlTriggerFaults(LineFaults):
    """What is broken.

    Attributes
    ----------
    stuck_on
        Stop, zero and lines that are not understood do nothing; a train's own end still does.
    refuse_next
        Error code that answers the next train or stop, which is not obeyed otherwise: all outputs go low.
    reset_at_ns
        When the box restarts by itself, once.
    """

    stuck_on: bool = False
    refuse_next: int | None = None
    reset_at_ns: int | None = None


@dataclass(slots=True)
class _Output:
    period_us: int = 0
    due_us: int = 0
    left: int = 0
    last_us: int | None = None
    made: int = 0


class TtlTriggerDevice(EmulatedDevice[TtlTriggerFaults]):
    """The box with its stimulators.

    Parameters
    ----------
    settings
        What it is.
    start_ns
        When it got power; its own microseconds count from there.
    """

    def __init__(self, settings: TtlTriggerSettings | None = None, *, start_ns: int = 0) -> None:
        super().__init__(TtlTriggerFaults())
        self.settings = settings or TtlTriggerSettings()
        self._start_ns = start_ns
        self._outputs = [_Output() for _ in range(OUTPUTS)]
        self._line = bytearray()
        self._restart(start_ns)

    @property
    def active(self) -> tuple[int, ...]:
        """Outputs that are giving a train."""
        return tuple(number for number, output in enumerate(self._outputs) if output.period_us)

    def _hear(self, data: bytes, now_ns: int) -> None:
        for byte in data:
            if byte == 0x0A:
                line, self._line = bytes(self._line), bytearray()
                if line:
                    self._obey(line, now_ns)
            elif len(self._line) <= LINE_MAX:
                self._line.append(byte)

    def _restart(self, now_ns: int) -> None:
        self._start_ns = now_ns
        self._outputs = [_Output() for _ in range(OUTPUTS)]
        self._end_us = self._watched_us = 0
        self._line = bytearray()
        self._answers.clear()
        self._say(f"H,{VERSION}", now_ns)

    # Commands

    def _obey(self, line: bytes, now_ns: int) -> None:
        numbers = _numbers_of(line)
        if numbers is None:
            self._low()
            self._report("e", 0, (NOT_UNDERSTOOD,), now_ns)
            return
        kind, sequence, fields = numbers
        # Any whole line shows that the host lives.
        self._watched_us = self._device_us(now_ns) + WATCHDOG_MS * 1000
        if kind == "I":
            what = (VERSION, OUTPUTS, PERIOD_MIN_US, TRAIN_MAX_MS, WATCHDOG_MS, PULSES_MAX, HIGH_US)
            self._report("i", sequence, what, now_ns)
            return
        refusal = self.faults.refuse_next or (self._train(fields, now_ns) if kind == "T" else 0)
        self.faults.refuse_next = None
        if refusal or kind == "S":
            self._low()
        if refusal:
            self._report("e", sequence, (refusal,), now_ns)
        else:
            periods = tuple(output.period_us for output in self._outputs)
            self._report(kind.lower(), sequence, periods, now_ns)

    def _train(self, fields: tuple[int, ...], now_ns: int) -> int:
        train_ms, *periods = fields
        allowed = all(period == 0 or PERIOD_MIN_US <= period <= PERIOD_MAX_US for period in periods)
        if not 1 <= train_ms <= TRAIN_MAX_MS or not allowed:
            return OUT_OF_RANGE
        now_us = self._device_us(now_ns)
        self._end_us = now_us + train_ms * 1000
        for output, period_us in zip(self._outputs, periods, strict=True):
            if self.faults.stuck_on and not period_us:
                continue
            output.period_us, output.left = period_us, PULSES_MAX
            output.due_us = now_us if output.last_us is None else max(now_us, output.last_us + period_us)
        self._advance(now_ns)
        return 0

    def _low(self) -> None:
        if not self.faults.stuck_on:
            for output in self._outputs:
                output.period_us = 0

    # Answers

    def _report(self, kind: str, sequence: int, fields: tuple[int, ...], now_ns: int) -> None:
        now_us = self._device_us(now_ns)
        edges: list[int] = []
        for output in self._outputs:
            edges += (output.made % _U32, 0 if output.last_us is None else min(now_us - output.last_us, _U32 - 1))

        def body(number: int) -> str:
            return ",".join(map(str, (kind, number, now_us % _U32, *fields, *edges)))

        self._say(body(sequence), now_ns, body((sequence + 1) % _U32))

    def _say(self, body: str, now_ns: int, renumbered: str = "") -> None:
        self._answers.add(_line(body), now_ns, (lambda: _line(renumbered)) if renumbered else None)

    # Edges

    def _advance(self, until_ns: int) -> None:
        reset_ns = self.faults.reset_at_ns
        if reset_ns is not None and reset_ns <= until_ns:
            self.faults.reset_at_ns = None
            self._edges(reset_ns)
            self._restart(reset_ns)
        self._edges(until_ns)

    def _edges(self, until_ns: int) -> None:
        until_us = self._device_us(until_ns)
        ends_us = min(self._end_us, self._watched_us)
        while True:
            due = [
                (output.due_us, number)
                for number, output in enumerate(self._outputs)
                if output.period_us and output.left and output.due_us <= until_us and output.due_us < ends_us
            ]
            if not due:
                break
            self._edge(*min(due))
        if until_us >= ends_us:
            for output in self._outputs:
                output.period_us = 0

    def _edge(self, t_us: int, number: int) -> None:
        output = self._outputs[number]
        output.last_us, output.due_us = t_us, t_us + output.period_us
        output.made += 1
        output.left -= 1
        if number not in self.faults.open_electrodes:
            settings = self.settings
            self._delivered.append(Pulse(self._host_ns(t_us), number, settings.set_current_ma, settings.set_phase_us))

    def _device_us(self, now_ns: int) -> int:
        return int((now_ns - self._start_ns) / (1 + self.settings.drift_ppm * 1e-6)) // 1000

    def _host_ns(self, device_us: int) -> int:
        return self._start_ns + round(device_us * 1000 * (1 + self.settings.drift_ppm * 1e-6))


def _numbers_of(line: bytes) -> tuple[str, int, tuple[int, ...]] | None:
    """Kind, sequence and fields of a line; None where it is not one the box understands, to the last character."""
    body, star, crc = line.partition(b"*")
    if len(line) > LINE_MAX or star != b"*" or crc != b"%04X" % binascii.crc_hqx(body, 0xFFFF):
        return None
    text = body.decode("latin-1")
    if _NUMBERS.fullmatch(text) is None:
        return None
    sequence, *fields = (int(each) for each in text[2:].split(","))
    if len(fields) != (1 + OUTPUTS if text[0] == "T" else 0) or max(sequence, *fields, 0) >= _U32:
        return None
    return text[0], sequence, tuple(fields)


def _line(body: str) -> bytes:
    data = body.encode("ascii")
    return data + b"*%04X\n" % binascii.crc_hqx(data, 0xFFFF)
