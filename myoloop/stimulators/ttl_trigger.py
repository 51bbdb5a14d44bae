"""Driver of the trigger box: a microcontroller that triggers a stimulator (DS8R, DS7A, DS5) at its input.

Timing only. The amplitude and the width are set by hand on the stimulator and entered in the settings; nothing but
that current, or none, can be asked for, and it cannot be lowered by software.

The protocol, 115200 baud 8N1; every line is ``BODY*CCCC`` and a line feed, where CCCC is the CRC-16/CCITT-FALSE of the
body in four capital hexadecimal digits; numbers are decimal, below 2^32; a line has at most 80 characters::

    host    I,<seq>                         who are you
            T,<seq>,<ms>,<p0>,<p1>,<p2>,<p3>   for so long, triggers at these periods in us; 0 is none
            S,<seq>                         stop

    box     H,<version>                     it has started
            i,<seq>,<us>,<version>,<outputs>,<least period us>,<longest train ms>,<watchdog ms>,<most pulses>,<high us>
            t,<seq>,<us>,<p0>,<p1>,<p2>,<p3>   obeyed: periods that hold now
            s,<seq>,<us>,0,0,0,0            stopped
            e,<seq>,<us>,<code>             all outputs are low: 1 not understood (its <seq> is 0), 2 out of range
            i, t, s and e end with <count>,<age us> of each output: triggers given since it started, and how long ago
            the last one was

A T line replaces all periods. An output that had none gives its first trigger at once, none sooner than a period
after its last one. All outputs go low when the train is over (at most 250 ms), 250 ms after the last whole line, at
anything that is not understood, and at start. The firmware gives no output more than 150 triggers in a second or 40
for a line. The sketch: ``examples/firmware/ttl_trigger/ttl_trigger.ino``.

The gate writes at least every 50 ms; each write renews the train, and nothing else does.
"""

from __future__ import annotations

import binascii
import time
from collections import deque
from collections.abc import Callable, Sequence

from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses
from myoloop.stimulators.contact import Contact, opens
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.serial_port import SerialTransport, heard_by_ns, with_notes
from myoloop.stimulators.transport import Transport
from myoloop.stimulators.ttl_trigger_settings import OUTPUTS, SYMMETRIC, TRAIN_MAX_MS, TtlTriggerDriverSettings
from myoloop.stimulators.ttl_trigger_times import TriggerTimes
from myoloop.stimulators.wiring import wired

BAUD_RATE = 115200
VERSION = 1
_PERIOD_MAX_US = 1_000_000
#: While it starts, the box is asked again after so long, and its port looked at each time after so long.
_ASK_AGAIN_NS = 250_000_000
_LOOK_S = 0.002
_ERRORS = {1: "a line it did not understand", 2: "a value out of range"}


class TtlTriggerDriver:
    """Driver of the box.

    Parameters
    ----------
    settings
        How it and its stimulator are set.
    transport
        The byte stream; None opens ``settings.port`` at :meth:`open`.
    clock, pause
        Time and waiting in :meth:`open`; a virtual box needs a clock that goes on while it is waited for.
    """

    Settings = TtlTriggerDriverSettings

    def __init__(
        self,
        settings: TtlTriggerDriverSettings,
        transport: Transport | None = None,
        *,
        clock: Clock | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._transport = transport
        self._clock = clock or MonotonicClock()
        self._pause = pause
        self._channel_of = {output: channel for channel, output in settings.channels.items()}
        self._contact = Contact("trigger box")
        self._times = TriggerTimes(settings, self._channel_of)
        self._sent = self._ack_of = 0
        self._acknowledged: tuple[ChannelSetting, ...] = ()
        self._unanswered: deque[tuple[int, int]] = deque()
        self._received = bytearray()

    @property
    def capabilities(self) -> Capabilities:
        """One current, the one that is set; any period in whole us."""
        s = self._settings
        return Capabilities(
            outputs=OUTPUTS,
            current_max_ma=s.set_current_ma,
            current_step_ma=s.set_current_ma,
            phase_min_us=s.set_phase_us,
            phase_max_us=s.set_phase_us,
            phase_step_us=0.0,
            rate_min_hz=1e6 / _PERIOD_MAX_US,
            rate_max_hz=s.rate_max_hz,
            lease_ms=s.train_ms,
            times_itself=True,
            period_step_us=1.0,
        )

    def open(self) -> str:
        """Stop the box and ask who it is, until it answers."""
        s = self._settings
        with self._contact.opening(self.close):
            if self._transport is None:
                self._transport = SerialTransport(s.port, baud_rate=BAUD_RATE)
            self._contact.connected = True
            deadline_ns = self._clock.now_ns() + round(s.ready_s * 1e9)
            while (now_ns := self._clock.now_ns()) < deadline_ns:
                self._transport.send(b"\n" + self._plain("S") + self._plain("I"))
                asked, again_ns = self._sent, min(now_ns + _ASK_AGAIN_NS, deadline_ns)
                while self._clock.now_ns() < again_ns:
                    self._received += self._transport.receive()
                    for kind, sequence, numbers in self._lines():
                        if kind == "i" and sequence == asked:
                            return self._recognise(numbers)
                    self._pause(_LOOK_S)
            raise DriverError(f"port {s.port}: no trigger box has answered within {s.ready_s:g} s")

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        """One T line; the same for the same settings until something is written."""
        s = self._settings
        periods = [0] * OUTPUTS
        for output, wanted in wired(s.channels, settings):
            if wanted.current_ma == 0:
                continue
            if wanted.current_ma != s.set_current_ma:
                raise DriverError(
                    f"current_ma {wanted.current_ma}: the stimulator is set to {s.set_current_ma:g} by hand; "
                    "allowed is that or 0"
                )
            if not wanted.phase_us == s.set_phase_us:
                raise DriverError(f"phase_us {wanted.phase_us}: the stimulator is set to {s.set_phase_us:g} by hand")
            if not 1e6 / _PERIOD_MAX_US <= wanted.rate_hz <= s.rate_max_hz:
                raise DriverError(f"rate_hz {wanted.rate_hz} is not within 1 to {s.rate_max_hz:g}")
            period_us = round(1e6 / wanted.rate_hz)
            if abs(1e6 / wanted.rate_hz - period_us) > 1e-6 * period_us * 1e-3:
                raise DriverError(f"rate_hz {wanted.rate_hz}: its period is no whole number of us")
            periods[output] = period_us
        fields = ",".join(map(str, (s.train_ms, *periods)))
        return _line(f"T,{self._sent + 1},{fields}")

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read one T line character by character, with a CRC computed bit by bit."""
        wrong = DriverError(f"{len(data)} bytes that are not one train line")
        if data[:2] != b"T," or data[-1:] != b"\n" or data[-6:-5] != b"*":
            raise wrong
        register = 65535
        for byte in data[:-6]:
            register ^= byte << 8
            for _ in range(8):
                register = register << 1 ^ 69665 if register & 32768 else register << 1
        if data[-5:-1] != f"{register & 65535:04X}".encode():
            raise wrong
        words = data[2:-6].split(b",")
        if len(words) != 6 or any(not word.isdigit() or str(int(word)).encode() != word for word in words):
            raise wrong
        if not 0 < int(words[1]) <= 250:
            raise DriverError(f"a train of {int(words[1])} ms, allowed is up to 250")
        decoded = []
        for output in range(4):
            period_us = int(words[2 + output])
            if period_us:
                s = self._settings
                # The wire has no current and no charge: the stimulator's own waveform is balanced, or it is refused.
                decoded.append(DecodedOutput(output, s.set_current_ma, s.set_phase_us, 1e6 / period_us, 0))
        return tuple(decoded)

    def write(self, data: bytes, now_ns: int) -> int:
        """Send the line of the newest :meth:`encode`."""
        if self._transport is None or not self._contact.connected:
            raise DriverError("trigger box: not open")
        sequence = data[2:].split(b",")[0]
        if sequence != str(self._sent + 1).encode():
            raise DriverError(f"trigger box: a line numbered {sequence!r}, the next one is {self._sent + 1}")
        self._sent += 1
        self._unanswered.append((self._sent, now_ns))
        with self._contact.writing():
            self._transport.send(data)
        return self._sent

    def stop(self, now_ns: int) -> None:
        """Write the stop line three times; what may stand cut before it is ended first."""
        # On a port that is lost it is tried all the same.
        if self._transport is None:
            return
        lines = b"\n"
        for _ in range(3):
            lines += self._plain("S")
            self._unanswered.append((self._sent, now_ns))
        with self._contact.trying():
            self._transport.send(lines)

    def poll(self, now_ns: int) -> tuple[DeviceReport, tuple[Pulses, ...]]:
        """Collect the box's answers."""
        if self._transport is not None and self._contact.connected:
            with self._contact.trying():
                self._received += self._transport.receive()
            heard_ns = heard_by_ns(self._transport, now_ns)
            for kind, sequence, numbers in self._lines():
                self._listen(kind, sequence, numbers, heard_ns)
        report = self._contact.report(
            now_ns,
            acknowledged=self._acknowledged,
            ack_of=self._ack_of,
            sent=self._sent,
            oldest_unacknowledged_ns=self._unanswered[0][1] if self._unanswered else None,
        )
        return report, self._times.take(now_ns)

    def close(self) -> None:
        """Stop the box and let go of it."""
        if self._transport is not None:
            self.stop(0)
            self._transport.close()
        self._transport = None
        self._contact.connected = False

    # What goes out

    def _plain(self, kind: str) -> bytes:
        self._sent += 1
        return _line(f"{kind},{self._sent}")

    # What comes in

    def _lines(self) -> list[tuple[str, int, list[int]]]:
        """Whole lines with a good CRC: kind, sequence, numbers; anything else is skipped."""
        *rows, rest = bytes(self._received).split(b"\n")
        self._received = bytearray(rest[-256:])
        lines = []
        for row in rows:
            # Garbage may stand before a line: its CRC tells where it begins.
            starts = [at for at in range(len(row)) if row[at] in b"Hitse"]
            for body, crc in ((row[at:].rpartition(b"*")[0], row[-4:]) for at in starts):
                if b"%04X" % binascii.crc_hqx(body, 0xFFFF) == crc and row[-5:-4] == b"*":
                    words = body.decode("latin-1").split(",")
                    if all(word.isascii() and word.isdigit() and len(word) <= 10 for word in words[1:]):
                        numbers = [int(word) for word in words[1:]]
                        lines.append((words[0], numbers[0] if numbers else 0, numbers[1:]))
                    break
        return lines

    def _recognise(self, numbers: list[int]) -> str:
        if len(numbers) != 8 + 2 * OUTPUTS:
            raise DriverError("trigger box: its answer is not of this protocol")
        device_us, version, outputs, least_us, train_ms, watchdog_ms = numbers[:6]
        s = self._settings
        for what, wants, has, good in (
            ("protocol version", VERSION, version, version == VERSION),
            ("outputs", OUTPUTS, outputs, outputs == OUTPUTS),
            ("largest rate in Hz", s.rate_max_hz, 1e6 / max(least_us, 1), least_us * s.rate_max_hz <= 1e6),
            ("longest train in ms", s.train_ms, train_ms, s.train_ms <= train_ms <= TRAIN_MAX_MS),
            ("watchdog in ms", TRAIN_MAX_MS, watchdog_ms, 0 < watchdog_ms <= TRAIN_MAX_MS),
        ):
            if not good:
                raise DriverError(f"trigger box: {what} is {has:g}, the rig says {wants:g}")
        self._ack_of, self._acknowledged = self._sent, ()
        self._times.begin(device_us, numbers[8::2])
        self._unanswered.clear()
        identity = f"TTL trigger box, protocol {version}, for a stimulator set to {s.set_current_ma:g} mA by hand"
        self._contact.identity = identity if self._transport is None else with_notes(identity, self._transport)
        return self._contact.identity

    def _listen(self, kind: str, sequence: int, numbers: list[int], now_ns: int) -> None:
        if kind == "H":
            self._restarted()
            return
        fields = {"t": OUTPUTS, "s": OUTPUTS, "e": 1}.get(kind)
        if fields is None or len(numbers) != 1 + fields + 2 * OUTPUTS:
            return
        fresh = self._ack_of < sequence <= self._sent
        if kind == "e":
            self._contact.faults.append(f"the trigger box refused {_ERRORS.get(numbers[1], f'(code {numbers[1]})')}")
        elif not fresh:
            return
        if not self._times.hear(numbers[0]):
            if kind != "e":
                self._restarted()
            return
        if kind == "e":
            if fresh:
                self._answered(sequence, None)
            periods = [0] * OUTPUTS
        else:
            periods = numbers[1 : 1 + OUTPUTS]
            self._answered(sequence, now_ns)
        self._acknowledged = tuple(
            ChannelSetting(
                channel=self._channel_of.get(output, f"output {output}"),
                current_ma=self._settings.set_current_ma,
                phase_us=self._settings.set_phase_us,
                rate_hz=1e6 / period_us,
            )
            for output, period_us in enumerate(periods)
            if period_us
        )
        self._contact.faults += self._times.count(numbers[1 + fields :], periods)

    def _answered(self, sequence: int, now_ns: int | None) -> None:
        """An answer to `sequence` has come, and with a time it also bounds the offset between the clocks."""
        self._ack_of = sequence
        while self._unanswered and self._unanswered[0][0] <= sequence:
            number, sent_ns = self._unanswered.popleft()
            if number == sequence and now_ns is not None:
                self._times.bound(sent_ns, now_ns)

    def _restarted(self) -> None:
        self._contact.faults.append("the trigger box restarted")
        self._acknowledged = ()
        self._times.forget()


def identify(port: str) -> str | None:
    """What answers at a port: the box, or None. It is sent a stop and the question, and nothing else.

    Raises
    ------
    DriverError
        If the port cannot be opened.
    """
    settings = TtlTriggerDriverSettings({}, port, 1.0, 200.0, SYMMETRIC)
    driver = TtlTriggerDriver(settings, SerialTransport(port, baud_rate=BAUD_RATE))
    return "TTL trigger box" if opens(driver) else None


def _line(body: str) -> bytes:
    data = body.encode("ascii")
    return data + b"*%04X\n" % binascii.crc_hqx(data, 0xFFFF)
