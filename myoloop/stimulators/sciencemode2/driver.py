"""Driver of the RehaStim2: eight outputs of one rate, pulses timed by the device.

The session (:mod:`myoloop.stimulators.sciencemode2.session`) knows what to send; this shell owns the port. Nothing
leaves it but within a call: a setting, a sign of life or the acknowledgement of the device's Init from
:meth:`RehaStim2Driver.write`, a stop from :meth:`RehaStim2Driver.stop`, and from :meth:`RehaStim2Driver.poll` what
had to wait for an answer.

A change of current or width is one packet. A change of rate, or of the outputs that have current, needs stop, init
and start, one after another's answer, and no pulse before a whole new period is over: a gap of some 60 ms, or of a
period where that is longer. Whoever changes them faster than that gets no pulses at all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.sciencemode2 import commands, encoder
from myoloop.stimulators.sciencemode2.decoder import decode_setting
from myoloop.stimulators.sciencemode2.frames import Parser
from myoloop.stimulators.sciencemode2.session import ANNOUNCING, Session
from myoloop.stimulators.sciencemode2.timing import WATCHDOG_NS
from myoloop.stimulators.serial_port import SerialTransport, with_notes
from myoloop.stimulators.transport import Transport
from myoloop.stimulators.wiring import check_wiring

BAUD_RATE = 460_800
OUTPUTS = 8
#: A device in another session's mode falls out of it after 1.2 s and then announces itself every 500 ms.
_ANNOUNCED_S = 2.5
_STOPPED_S = 1.0
_LOOK_S = 0.002


@dataclass(frozen=True, slots=True)
class RehaStim2Settings:
    """How a RehaStim2 is wired.

    Attributes
    ----------
    channels
        Output, from 0, of each stimulation channel: 0 to 3 yellow, 4 to 7 green; in each red, blue, black, white.
    port
        A device path, or ``socket://HOST:PORT`` of an emulator; not used where a transport is given.
    """

    channels: Mapping[str, int]
    port: str = ""

    def __post_init__(self) -> None:
        check_wiring(self.channels, OUTPUTS, f"a RehaStim2 has 0 to {OUTPUTS - 1}")


class RehaStim2Driver:
    """Driver of the RehaStim2 (ScienceMode 2).

    Parameters
    ----------
    settings
        How it is wired.
    transport
        The byte stream; None opens ``settings.port`` at :meth:`open`.
    clock, pause
        Time and waiting in :meth:`open`; a virtual device needs a clock that goes on while it is waited for.
    """

    Settings = RehaStim2Settings

    def __init__(
        self,
        settings: RehaStim2Settings,
        transport: Transport | None = None,
        *,
        clock: Clock | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._transport = self._given_transport = transport
        self._clock = clock or MonotonicClock()
        self._pause = pause
        self._channel_of = {output: channel for channel, output in settings.channels.items()}
        self._lost: tuple[str, ...] = ()
        self._restart()

    @property
    def capabilities(self) -> Capabilities:
        """What the maker says of the device."""
        return Capabilities(
            outputs=OUTPUTS,
            current_max_ma=float(encoder.CURRENT_MAX_MA),
            current_step_ma=1.0,
            phase_min_us=float(encoder.PHASE_MIN_US),
            phase_max_us=float(encoder.PHASE_MAX_US),
            phase_step_us=1.0,
            rate_min_hz=encoder.RATE_MIN_HZ,
            rate_max_hz=encoder.RATE_MAX_HZ,
            lease_ms=WATCHDOG_NS / 1e6,
            times_itself=True,
            period_step_us=float(commands.STEP_US),
            one_rate=True,
        )

    def open(self) -> str:
        """Stop the device, wait until it announces itself, and hear that it is at rest; up to 4 s.

        A port that was lost is opened anew. Nothing is sent again that was sent or wanted before; the next report
        still tells of the loss.
        """
        if self._connected:
            raise DriverError("RehaStim2: already open")
        try:
            if self._given_transport is None:
                # Its port may be one that was lost.
                self.close()
            self._transport = transport = self._given_transport or _open_port(self._settings.port)
            version = self._begin(transport)
        except OSError as error:
            self.close()
            raise DriverError(f"RehaStim2: {error}") from None
        except DriverError:
            self.close()
            raise
        self._identity = with_notes(f"RehaStim2, ScienceMode 2, protocol version {version}", transport)
        return self._identity

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        """Stop, init and start, or a stop alone; the same bytes for the same settings until something is sent."""
        return encoder.encode_setting(settings, self._settings.channels, self._session.next_number)

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read the packets, by code that shares nothing with the encoder."""
        return decode_setting(data)

    def write(self, data: bytes, now_ns: int) -> int:
        """Aim at this setting; send of it what is still missing, or a sign of life where nothing is."""
        if self._transport is None or not self._connected:
            raise DriverError("RehaStim2: not open, or its port was lost; it must be opened anew")
        sent = self._session.order(data, now_ns)
        number = self._session.ordered
        try:
            self._transport.send(sent)
        except OSError as error:
            self._lose(error, now_ns)
            raise DriverError(f"RehaStim2: {error}") from None
        return number

    def stop(self, now_ns: int) -> None:
        """Write StopChannelListMode three times, whatever is in flight; forget what was wanted.

        Also where the port seems lost: it may be that only the way back is.
        """
        if self._transport is None:
            return
        try:
            self._transport.send(self._session.stop(now_ns))
        except OSError as error:
            self._lose(error, now_ns)

    def poll(self, now_ns: int) -> tuple[DeviceReport, tuple[Pulses, ...]]:
        """Collect the device's answers, and send what has waited for them."""
        session = self._session
        if self._transport is not None and self._connected:
            try:
                self._listen(self._transport, now_ns)
            except OSError as error:
                self._lose(error, now_ns)
        session.reckon(now_ns)
        faults = tuple(dict.fromkeys((*session.faults, *self._lost)))
        session.faults.clear()
        self._lost = ()
        report = DeviceReport(
            t_ns=now_ns,
            connected=self._connected,
            identity=self._identity,
            acknowledged=tuple(map(self._setting, session.given)),
            ack_of=session.ack_of,
            sent=session.ordered,
            oldest_unacknowledged_ns=session.oldest_unanswered_ns,
            faults=faults,
        )
        return report, session.train.take(self._channel_of)

    def close(self) -> None:
        """Stop the device and let go of the port."""
        self.stop(self._clock.now_ns())
        if self._transport is not None:
            self._transport.close()
        self._transport = None
        self._connected = False

    def _begin(self, transport: Transport) -> int:
        """Begin a session, as the device's own watchdog lets it: the device announces itself, and is at rest."""
        self._restart()
        self._connected = True
        session = self._session
        transport.send(session.stop(self._clock.now_ns()))
        if not self._await(transport, lambda: session.mode == ANNOUNCING, _ANNOUNCED_S):
            raise DriverError(
                f"port {self._settings.port}: no RehaStim2 announced itself within {_ANNOUNCED_S:g} s; "
                "it must be switched on and in ScienceMode"
            )
        version = session.version
        transport.send(session.acknowledge_init(self._clock.now_ns()))
        if version != commands.VERSION:
            raise DriverError(f"RehaStim2: it speaks version {version} of its protocol, needed is {commands.VERSION}")
        session.faults.clear()
        transport.send(session.stop(self._clock.now_ns()))
        if not self._await(transport, lambda: session.at_rest, _STOPPED_S) or session.faults:
            raise DriverError("; ".join(session.faults) or "RehaStim2 has not confirmed that it is stopped")
        return commands.VERSION

    def _restart(self) -> None:
        self._session = Session(self._channel_of)
        self._parser = Parser()
        self._connected = False
        self._identity = ""

    def _listen(self, transport: Transport, now_ns: int) -> None:
        """Hear what has come, and send what follows from it."""
        for packet in self._parser.take(transport.receive()):
            self._session.hear(packet, now_ns)
        transport.send(self._session.advance(now_ns))

    def _await(self, transport: Transport, true: Callable[[], bool], within_s: float) -> bool:
        end_ns = self._clock.now_ns() + round(within_s * 1e9)
        while not true():
            now_ns = self._clock.now_ns()
            if now_ns > end_ns:
                return False
            self._listen(transport, now_ns)
            self._pause(_LOOK_S)
        return True

    def _lose(self, error: OSError, now_ns: int) -> None:
        if self._connected:
            self._lost = (f"port lost: {error}",)
            self._session.lose(now_ns)
        self._connected = False

    def _setting(self, given: DecodedOutput) -> ChannelSetting:
        name = self._channel_of.get(given.output, f"output {given.output}")
        return ChannelSetting(channel=name, current_ma=given.current_ma, phase_us=given.phase_us, rate_hz=given.rate_hz)


def identify(port: str) -> str:
    """Who announces itself at a port; nothing is sent there.

    A RehaStim2 that nobody speaks to says so every 500 ms; one in a session, 1.2 s after it was last spoken to.

    Raises
    ------
    DriverError
        If the port cannot be opened, or no RehaStim2 is heard within 2.5 s.
    """
    transport = _open_port(port)
    parser = Parser()
    end_s = time.monotonic() + _ANNOUNCED_S
    try:
        while time.monotonic() < end_s:
            for packet in parser.take(transport.receive()):
                if packet.command == commands.INIT and len(packet.data) == 1:
                    return f"RehaStim2, ScienceMode 2, protocol version {packet.data[0]}"
            time.sleep(_LOOK_S)
    except OSError as error:
        raise DriverError(f"port {port}: {error}") from None
    finally:
        transport.close()
    raise DriverError(f"port {port}: no RehaStim2 announced itself within {_ANNOUNCED_S:g} s")


def _open_port(port: str) -> SerialTransport:
    return SerialTransport(port, baud_rate=BAUD_RATE, parity="E", stop_bits=1)
