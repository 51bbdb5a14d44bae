"""Driver of the openEMSstim board: it lets the pulses of an approved stimulation unit through, or not, or weaker.

The board makes no pulse. Width, rate and waveform are those set on the unit, and its current at 100 % is what was
measured behind the board on the dummy load; all four are entered in the settings, and nothing else can be asked for.

What flows at a lower intensity follows from the firmware's potentiometer: of 213 parts at 100 % there are 55 left at
1 % (and 54 at 0 %, which is why ``I0`` is never sent: only an open relay is zero). A device that cannot give less than
a quarter of its current has few honest steps: a third, two thirds and all of it.

The board obeys for the time that each command carries, 300 ms, and is told again every 100 to 150 ms (each of two
outputs half as often: the firmware prints about 160 characters for a command, so it keeps up with ten in a second).
That is done by the gate's own writes and by nothing else: a host that does not write is a board that shuts off.

A command is confirmed by the firmware's echo of it, which says that it was read, not what the relays do.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses
from myoloop.stimulators.contact import Contact, opens
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.openemsstim_decoder import decoded
from myoloop.stimulators.openemsstim_lines import (
    LEVELS,
    ON_TIME_MS,
    OUTPUTS,
    SYMMETRIC,
    OpenEmsStimDriverSettings,
    encoded,
    framed,
    off_lines,
)
from myoloop.stimulators.openemsstim_trains import OBEYED_NS, PredictedTrains
from myoloop.stimulators.serial_port import SerialTransport, with_notes
from myoloop.stimulators.transport import Transport

BAUD_RATE = 19200
#: Between two commands that only say the same again; between others, of which there are few.
_AGAIN_NS = 90_000_000
_CHANGE_NS = 40_000_000
#: A command that waits for its turn is still the gate's wish for so long.
_WISH_NS = 120_000_000
#: An echo that has not come by now is lost.
_ECHO_NS = 250_000_000
#: So long the firmware is busy with an output it shuts off, and with a whole stop. What would come meanwhile runs over
#: its buffer of 64 bytes, and what is left of two lines may be a third that nobody has sent.
_OFF_NS = 130_000_000
_STOP_NS = 650_000_000
_STOPS = 3
_BYTE_NS = round(10 * 1e9 / BAUD_RATE)
_ECHO = re.compile(r"USB: received command: (.*)")
_READY = "SETUP DONE"


@dataclass(slots=True)
class _Sent:
    """A line on its way: its number, what it says, the outputs it sets, when it left."""

    number: int
    text: str
    outputs: tuple[int, ...]
    t_ns: int
    line: bytes


@dataclass(slots=True)
class _Order:
    """A write that is not confirmed yet; `need` is the line of each output that has to be."""

    number: int
    t_ns: int
    lines: tuple[bytes, ...]
    need: tuple[int, ...] | None = None


@dataclass(slots=True)
class _Output:
    """What one output was told, and what it confirmed."""

    line: bytes = b""
    number: int = 0
    t_ns: int | None = None
    confirmed: bytes = b""
    confirmed_number: int = 0


class OpenEmsStimDriver:
    """Driver of the board.

    Parameters
    ----------
    settings
        How it and its unit are set.
    transport
        The byte stream; None opens ``settings.port`` at :meth:`open`.
    """

    Settings = OpenEmsStimDriverSettings

    def __init__(self, settings: OpenEmsStimDriverSettings, transport: Transport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._channel_of = {output: channel for channel, output in settings.channels.items()}
        self._contact = Contact("openEMSstim")
        self._trains = PredictedTrains(settings)
        self._off = off_lines(settings.framing)
        self._outputs = [_Output(line=off, confirmed=off) for off in self._off]
        self._orders: deque[_Order] = deque()
        self._in_flight: deque[_Sent] = deque()
        self._line_number = 0
        self._line_ns: int | None = None
        self._sent = self._ack_of = 0
        self._acknowledged: tuple[ChannelSetting, ...] = ()
        self._busy_until_ns: int | None = None
        self._stopped_ns: int | None = None
        self._stops_left = 0
        self._received = bytearray()

    @property
    def capabilities(self) -> Capabilities:
        """The unit's one width and rate, and three levels of its current."""
        s = self._settings
        return Capabilities(
            outputs=OUTPUTS,
            current_max_ma=s.unit_current_ma_at_full,
            current_step_ma=s.unit_current_ma_at_full / LEVELS,
            phase_min_us=s.unit_phase_us,
            phase_max_us=s.unit_phase_us,
            phase_step_us=0.0,
            rate_min_hz=s.unit_rate_hz,
            rate_max_hz=s.unit_rate_hz,
            lease_ms=ON_TIME_MS + OBEYED_NS / 1e6,
            times_itself=True,
        )

    def open(self) -> str:
        """Wait for the board to start, shut it off, and hear from its echo that it understands what it is sent."""
        s = self._settings
        with self._contact.opening(self.close):
            if self._transport is None:
                self._transport = SerialTransport(s.port, baud_rate=BAUD_RATE)
            self._contact.connected = True
            # A board that is not restarted by opening its port says nothing; its echo must do.
            self._await((_READY,), s.ready_s)
            self._received.clear()
            self._transport.send(b"\n" + framed("C9G", s.framing))
            converted = r"Converted HEX command:\s*C9G[\r\n]" if s.framing == "wv" else r"received command: C9G[\r\n]"
            heard = self._await((converted,), 2.0)
            if s.framing == "plain":
                # What is wrong with plain text is said right after it was echoed.
                heard = not self._await(("NON HEX:C9G",), 0.3) and heard
            if not heard:
                said = self._received.decode("latin-1").split("received command:")[-1].strip()
                raise DriverError(
                    f"port {s.port}: no openEMSstim board that understands framing {s.framing!r}: "
                    + (f"it said {said[-60:]!r}" if said else "nothing was said")
                )
        self._received.clear()
        identity = f"openEMSstim board, framing {s.framing}, unit {s.unit_current_ma_at_full:g} mA at 100 %"
        self._contact.identity = with_notes(identity, self._transport)
        return self._contact.identity

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        """Two lines, one for each output."""
        return encoded(self._settings, settings)

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read two lines; see :mod:`myoloop.stimulators.openemsstim_decoder`."""
        return decoded(self._settings, data)

    def write(self, data: bytes, now_ns: int) -> int:
        """Send what is new of it, or due to be said again."""
        if self._transport is None or not self._contact.connected:
            raise DriverError("openEMSstim: not open")
        flows = {each.output: each.current_ma for each in self.decode(data)}
        lines = tuple(line + b"\n" for line in data.split(b"\n")[:-1])
        self._trains.run(now_ns)
        if flows:
            self._stops_left = 0
        self._sent += 1
        self._orders.append(_Order(self._sent, now_ns, lines))
        with self._contact.writing():
            self._send_changes(now_ns)
            self._send_again(now_ns)
        return self._sent

    def stop(self, now_ns: int) -> None:
        """Shut both outputs off in the three ways there are; twice more when the firmware is through with that."""
        # On a port that is lost it is tried all the same.
        if self._transport is None:
            return
        self._trains.run(now_ns)
        self._sent += 1
        since_ns = self._orders[0].t_ns if self._orders else now_ns
        self._orders = deque([_Order(self._sent, since_ns, self._off)])
        # One that is on its way needs no other behind it, unless something was sent since.
        fresh = self._stopped_ns is None or not 0 <= now_ns - self._stopped_ns < _STOP_NS
        if fresh or any(output.line != off for output, off in zip(self._outputs, self._off, strict=True)):
            self._stops_left = _STOPS
            self._send_stop(now_ns)
        self._see_through()

    def poll(self, now_ns: int) -> tuple[DeviceReport, tuple[Pulses, ...]]:
        """Collect echoes; send what waited for its turn."""
        if self._transport is not None and self._contact.connected:
            with self._contact.trying():
                self._received += self._transport.receive()
                self._listen()
                while self._in_flight and now_ns - self._in_flight[0].t_ns > _ECHO_NS:
                    self._in_flight.popleft()
                self._send_changes(now_ns)
        if self._stops_left and self._stopped_ns is not None and now_ns - self._stopped_ns >= _STOP_NS:
            self._send_stop(now_ns)
        self._see_through()
        self._trains.run(now_ns)
        report = self._contact.report(
            now_ns,
            acknowledged=self._acknowledged,
            ack_of=self._ack_of,
            sent=self._sent,
            oldest_unacknowledged_ns=self._orders[0].t_ns if self._orders else None,
        )
        return report, self._trains.take(self._channel_of)

    def close(self) -> None:
        """Shut the board off and let go of it."""
        if self._transport is not None:
            told = any(output.line != off for output, off in zip(self._outputs, self._off, strict=True))
            if told or self._stopped_ns is None:
                self._send_stop(self._line_ns or 0)
            self._transport.close()
        self._transport = None
        self._contact.connected = False

    # What goes out

    def _send_changes(self, now_ns: int) -> None:
        """Send what outputs were not told yet: off at once, everything else in its turn."""
        if not self._orders or self._orders[-1].need is not None:
            return
        order = self._orders[-1]
        for index, line in enumerate(order.lines):
            if line != self._outputs[index].line and line == self._off[index]:
                self._send(index, line, now_ns)
        for index, line in enumerate(order.lines):
            if line != self._outputs[index].line and self._turn(_CHANGE_NS, now_ns) and now_ns - order.t_ns <= _WISH_NS:
                self._send(index, line, now_ns)
        if all(output.line == line for output, line in zip(self._outputs, order.lines, strict=True)):
            order.need = tuple(output.number for output in self._outputs)

    def _send_again(self, now_ns: int) -> None:
        """Say again what was said longest ago, if it is time."""
        on = [
            (output.t_ns or 0, index)
            for index, output in enumerate(self._outputs)
            if output.line != self._off[index] and output.line == self._orders[-1].lines[index]
        ]
        if on and self._turn(_AGAIN_NS, now_ns):
            index = min(on)[1]
            self._send(index, self._outputs[index].line, now_ns)

    def _turn(self, gap_ns: int, now_ns: int) -> bool:
        if self._busy_until_ns is not None and now_ns < self._busy_until_ns:
            return False
        return self._line_ns is None or not 0 <= now_ns - self._line_ns < gap_ns

    def _send(self, index: int, line: bytes, now_ns: int) -> None:
        assert self._transport is not None
        output = self._outputs[index]
        output.line, output.t_ns, self._line_ns = line, now_ns, now_ns
        output.number = self._keep(line, (index,), now_ns)
        arrives_ns = now_ns + len(line) * _BYTE_NS
        flows = [each.current_ma for each in self.decode(_only(self._off, index, line))]
        if flows:
            self._trains.on(index, flows[0], arrives_ns, now_ns)
        else:
            self._trains.off(index, arrives_ns)
            self._busy_until_ns = max(self._busy_until_ns or now_ns, now_ns) + _OFF_NS
        self._transport.send(line)

    def _send_stop(self, now_ns: int) -> None:
        if self._transport is None:
            return
        self._stops_left = max(0, self._stops_left - 1)
        self._stopped_ns = self._line_ns = now_ns
        self._busy_until_ns = now_ns + _STOP_NS
        everything = tuple(range(OUTPUTS))
        all_off = framed("C9G", self._settings.framing)
        for index, (output, off) in enumerate(zip(self._outputs, self._off, strict=True)):
            output.line, output.number = off, self._keep(off, (index,), now_ns)
            self._trains.off(index, now_ns)
        self._keep(all_off, everything, now_ns)
        self._keep(b"Connection End\n", everything, now_ns)
        try:
            self._transport.send(b"".join(self._off) + all_off + b"Connection End\n")
        except OSError as error:
            # It is not on its way: the next stop is sent at once.
            self._stopped_ns = None
            self._contact.lose(error)

    def _keep(self, line: bytes, outputs: tuple[int, ...], now_ns: int) -> int:
        self._line_number += 1
        self._in_flight.append(_Sent(self._line_number, line.decode("ascii").strip(), outputs, now_ns, line))
        return self._line_number

    # What comes in

    def _await(self, patterns: tuple[str, ...], within_s: float) -> bool:
        """Whether one of the patterns comes in time."""
        assert self._transport is not None
        deadline = time.monotonic() + within_s
        while True:
            self._received += self._transport.receive()
            if any(re.search(pattern, self._received.decode("latin-1")) for pattern in patterns):
                return True
            if time.monotonic() > deadline:
                return False
            time.sleep(0.002)

    def _listen(self) -> None:
        while (end := self._received.find(b"\n")) >= 0:
            said = self._received[:end].decode("latin-1").strip()
            del self._received[: end + 1]
            echo = _ECHO.search(said)
            if echo is not None:
                self._confirm(echo[1].strip())
            elif said.startswith(_READY):
                self._contact.faults.append("the board restarted")
            elif "ERROR" in said:
                self._contact.faults.append("the board did not understand a command")
        # A line is never this long; without an end it is noise.
        if len(self._received) > 4096:
            self._received.clear()

    def _confirm(self, text: str) -> None:
        if all(sent.text != text for sent in self._in_flight):
            return
        while True:
            sent = self._in_flight.popleft()
            if sent.text != text:
                continue
            for index in sent.outputs:
                output = self._outputs[index]
                output.confirmed_number = sent.number
                output.confirmed = sent.line if len(sent.outputs) == 1 else self._off[index]
            return

    def _see_through(self) -> None:
        """Find the newest order that every output has confirmed."""
        heard = tuple(output.confirmed_number for output in self._outputs)
        lines = tuple(output.confirmed for output in self._outputs)
        for order in reversed(self._orders):
            if order.need is None and order.lines == tuple(output.line for output in self._outputs):
                order.need = tuple(output.number for output in self._outputs)
            if order.need is None or order.lines != lines or any(h < n for h, n in zip(heard, order.need, strict=True)):
                continue
            self._ack_of, self._acknowledged = order.number, self._settings_of(b"".join(order.lines))
            while self._orders and self._orders[0].number <= order.number:
                self._orders.popleft()
            return

    def _settings_of(self, data: bytes) -> tuple[ChannelSetting, ...]:
        """The gate's words for what was confirmed: whole steps; what flows is below by less than one."""
        step_ma = self._settings.unit_current_ma_at_full / LEVELS
        return tuple(
            ChannelSetting(
                channel=self._channel_of.get(each.output, f"output {each.output}"),
                current_ma=-(-each.current_ma * (1 - 1e-9) // step_ma) * step_ma,
                phase_us=each.phase_us,
                rate_hz=each.rate_hz,
            )
            for each in self.decode(data)
        )


def identify(port: str) -> str | None:
    """What answers at a port: the board, or None. It is sent what shuts it off, and nothing else.

    Raises
    ------
    DriverError
        If the port cannot be opened.
    """
    settings = OpenEmsStimDriverSettings({}, port, 1.0, 200.0, 50.0, SYMMETRIC, ready_s=4.0)
    driver = OpenEmsStimDriver(settings, SerialTransport(port, baud_rate=BAUD_RATE))
    return "openEMSstim board" if opens(driver) else None


def _only(lines: tuple[bytes, ...], index: int, line: bytes) -> bytes:
    return b"".join((*lines[:index], line, *lines[index + 1 :]))
