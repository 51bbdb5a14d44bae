"""Driver of the simulated stimulator: the default device, and the model for every other driver.

The wire protocol stands in :mod:`myoloop.stimulators.emulators.simulated`. This driver never imports that module:
it talks to it over a byte stream as it would to hardware.

The device times itself and tells, with each answer, when by its own clock it gave pulses. Each exchange bounds the
offset between the clocks from both sides (the device stamped its answer after the command was written and before
the answer was read); the bounds of the newest exchanges are intersected, and half of what is left is the
uncertainty of the pulse times, which are reported as ``acknowledged``.
"""

from __future__ import annotations

import binascii
import struct
import time
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from myoloop.platform import endpoint
from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses
from myoloop.stimulators.contact import Contact
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.transport import SocketTransport, Transport
from myoloop.stimulators.wiring import check_wiring, wired

_SEQUENCE_AT = 4
_RATE_CODES_PER_HZ = 10
_OUTPUTS_MAX = 64
_NOTHING_HEARD_S = 2.0
#: Exchanges whose bounds on the clock offset are intersected: at 100 a second two crystals 100 ppm apart drift by
#: 64 us over them, less than any exchange takes.
_EXCHANGES = 64
_RESULTS = {1: "a value out of range", 2: "phases that do not balance", 3: "an unknown command"}


@dataclass(frozen=True, slots=True)
class SimulatedDriverSettings:
    """How the simulated stimulator is wired.

    Attributes
    ----------
    channels
        Output number, from 0, of each stimulation channel of the rig.
    address
        ``unix:PATH`` or ``tcp:HOST:PORT``; not used where a transport is given.
    current_step_ma
        The device's step: 1 mA divided by a whole number (0.5; 0.01 for microcurrent).
    lease_ms
        What each command carries, at most the device's own.
    """

    channels: Mapping[str, int]
    address: str = ""
    outputs: int = 2
    current_max_ma: float = 130.0
    current_step_ma: float = 0.5
    phase_min_us: int = 10
    phase_max_us: int = 1000
    rate_max_hz: float = 200.0
    lease_ms: int = 200

    def __post_init__(self) -> None:
        if not 0 < self.current_step_ma <= 1 or abs(1 / self.current_step_ma - self.codes_per_ma) > 1e-6:
            raise DriverError(f"current_step_ma {self.current_step_ma}: must be 1 mA divided by a whole number")
        if not 1 <= self.outputs <= _OUTPUTS_MAX:
            raise DriverError(f"outputs {self.outputs}: must be 1 to {_OUTPUTS_MAX}")
        for name in ("current_max_ma", "phase_min_us", "rate_max_hz"):
            if not getattr(self, name) > 0:
                raise DriverError(f"{name} {getattr(self, name)}: must be greater than 0")
        if not self.phase_min_us <= self.phase_max_us:
            raise DriverError(f"phase_max_us {self.phase_max_us}: must be at least phase_min_us {self.phase_min_us}")
        check_wiring(self.channels, self.outputs, f"the device has 0 to {self.outputs - 1}")
        if not 1 <= self.lease_ms <= 1000:
            raise DriverError(f"lease_ms {self.lease_ms}: must be 1 to 1000")

    @property
    def codes_per_ma(self) -> int:
        """Steps in one mA."""
        return round(1 / self.current_step_ma)


@dataclass(slots=True)
class _Heard:
    """What the device has said so far."""

    ack_of: int = 0
    active: tuple[ChannelSetting, ...] = ()
    next_pulse: int = 0
    device_us: int = -1


class SimulatedDriver:
    """Driver of the simulated stimulator.

    Parameters
    ----------
    settings
        How it is wired.
    transport
        The byte stream; None connects to ``settings.address`` at :meth:`open`.
    """

    Settings = SimulatedDriverSettings

    def __init__(self, settings: SimulatedDriverSettings, transport: Transport | None = None) -> None:
        self._settings = settings
        self._transport = transport
        self._channel_of = {output: channel for channel, output in settings.channels.items()}
        self._sent = 0
        self._unanswered: deque[tuple[int, int]] = deque()
        self._received = bytearray()
        self._heard = _Heard()
        self._bounds: deque[tuple[int, int]] = deque(maxlen=_EXCHANGES)
        self._pulses: list[tuple[int, int, int, int]] = []
        self._contact = Contact("stimulator")

    @property
    def capabilities(self) -> Capabilities:
        """What the settings say of the device; :meth:`open` checks it."""
        s = self._settings
        return Capabilities(
            s.outputs, s.current_max_ma, s.current_step_ma, s.phase_min_us, s.phase_max_us, 1.0, 0.1, s.rate_max_hz,
            s.lease_ms, True, 1 / _RATE_CODES_PER_HZ,
        )  # fmt: skip

    def open(self) -> str:
        """Connect, stop the device, ask who it is."""
        with self._contact.opening(self.close):
            if self._transport is None:
                self._transport = _connected(self._settings.address)
            self._contact.connected = True
            self._transport.send(self._plain(3))
            asked = self._sent + 1
            self._transport.send(self._plain(1))
            deadline = time.monotonic() + _NOTHING_HEARD_S
            while True:
                self._received += self._transport.receive()
                for body in self._answers():
                    if body[0] == 0x81 and int.from_bytes(body[1:5], "little") == asked:
                        return self._recognise(body)
                if time.monotonic() > deadline:
                    raise DriverError(f"no answer from the stimulator within {_NOTHING_HEARD_S:g} s")
                time.sleep(0.002)

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        """One SET frame; the same bytes for the same settings until something is written."""
        per_ma = self._settings.codes_per_ma
        outputs = b""
        for output, wanted in wired(self._settings.channels, settings):
            code = _code_down(wanted.current_ma, per_ma, self._settings.current_max_ma)
            if code == 0:
                continue
            phase_us = _exactly(wanted.phase_us, 1, "phase_us")
            rate = _exactly(wanted.rate_hz, _RATE_CODES_PER_HZ, "rate_hz")
            if not self._settings.phase_min_us <= phase_us <= self._settings.phase_max_us:
                raise DriverError(f"phase_us {wanted.phase_us} is not within the device's range")
            if not 1 <= rate <= self._settings.rate_max_hz * _RATE_CODES_PER_HZ:
                raise DriverError(f"rate_hz {wanted.rate_hz} is not within the device's range")
            outputs += struct.pack("<BhIhIH", output, code, phase_us, -code, phase_us, rate)
        count = len(outputs) // 15
        fields = struct.pack("<HIB", self._settings.lease_ms, self._heard.next_pulse, count) + outputs
        return _frame(struct.pack("<BI", 2, self._sent + 1) + fields)

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read one SET frame field by field, with a CRC computed bit by bit."""

        def number(at: int, size: int) -> int:
            return int.from_bytes(data[at : at + size], "little")

        def signed(at: int) -> int:
            value = number(at, 2)
            return value - 65536 if value >= 32768 else value

        if len(data) < 17 or data[0] != 0xA5 or number(1, 2) != len(data) - 5 or data[3] != 2:
            raise DriverError(f"{len(data)} bytes that are not one SET frame")
        register = 65535
        for byte in data[1:-2]:
            register ^= byte << 8
            for _ in range(8):
                register <<= 1
                if register & 0x10000:
                    register ^= 0x11021
        if register != number(len(data) - 2, 2):
            raise DriverError("a SET frame with a wrong CRC")
        if len(data) != 17 + 15 * data[14]:
            raise DriverError(f"a SET frame of {len(data)} bytes for {data[14]} outputs")
        decoded: list[DecodedOutput] = []
        for at in range(15, len(data) - 2, 15):
            code, back = signed(at + 1), signed(at + 7)
            width, back_width = number(at + 3, 4), number(at + 9, 4)
            if any(data[at] == other.output for other in decoded):
                raise DriverError(f"output {data[at]} twice in one SET frame")
            decoded.append(
                DecodedOutput(
                    output=data[at],
                    current_ma=max(abs(code), abs(back)) / round(1 / self._settings.current_step_ma),
                    phase_us=float(max(width, back_width)),
                    rate_hz=number(at + 13, 2) / 10,
                    net_charge_wire=code * width + back * back_width,
                )
            )
        return tuple(output for output in decoded if output.current_ma > 0)

    def write(self, data: bytes, now_ns: int) -> int:
        """Send the bytes of the newest :meth:`encode`."""
        if self._transport is None or not self._contact.connected:
            raise DriverError("stimulator: not open")
        sequence = int.from_bytes(data[_SEQUENCE_AT : _SEQUENCE_AT + 4], "little")
        if sequence != self._sent + 1:
            raise DriverError(f"stimulator: bytes of command {sequence}, the next one is {self._sent + 1}")
        self._sent = sequence
        self._unanswered.append((sequence, now_ns))
        with self._contact.writing():
            self._transport.send(data)
        return sequence

    def stop(self, now_ns: int) -> None:
        """Write STOP three times, behind whatever is in flight."""
        if self._transport is None:
            return
        frames = b""
        for _ in range(3):
            frames += self._plain(3)
            self._unanswered.append((self._sent, now_ns))
        with self._contact.trying():
            self._transport.send(frames)

    def poll(self, now_ns: int) -> tuple[DeviceReport, tuple[Pulses, ...]]:
        """Collect the device's answers."""
        heard = self._heard
        if self._transport is not None and self._contact.connected:
            with self._contact.trying():
                self._received += self._transport.receive()
            for body in self._answers():
                self._listen(body, now_ns)
        report = self._contact.report(
            now_ns,
            acknowledged=heard.active,
            ack_of=heard.ack_of,
            sent=self._sent,
            oldest_unacknowledged_ns=self._unanswered[0][1] if self._unanswered else None,
        )
        return report, self._timed_pulses()

    def close(self) -> None:
        """Stop the device and let go of it."""
        if self._transport is not None:
            if self._contact.connected:
                self.stop(0)
            self._transport.close()
        self._transport = None
        self._contact.connected = False

    # What goes out

    def _plain(self, kind: int) -> bytes:
        self._sent += 1
        return _frame(struct.pack("<BI", kind, self._sent))

    # What comes in

    def _answers(self) -> list[bytes]:
        """Whole answers with a good CRC; anything else is skipped."""
        bodies = []
        data = self._received
        at = 0
        while (at := data.find(0xA5, at)) >= 0:
            length = int.from_bytes(data[at + 1 : at + 3], "little")
            end = at + 3 + length
            if len(data) < at + 3 or (14 <= length <= 8192 and len(data) < end + 2):
                break
            covered = bytes(data[at + 1 : end])
            crc = int.from_bytes(data[end : end + 2], "little")
            if 14 <= length <= 8192 and binascii.crc_hqx(covered, 0xFFFF) == crc:
                bodies.append(covered[2:])
                at = end + 2
            else:
                at += 1
        del data[: len(data) if at < 0 else at]
        return bodies

    def _recognise(self, body: bytes) -> str:
        version, outputs, per_ma, code_max, lease_ms, made, serial = struct.unpack_from("<BBHHHI16s", body, 14)
        s = self._settings
        name = serial.decode("ascii", "replace").strip()
        for what, wants, has, good in (
            ("protocol version", 1, version, version == 1),
            ("outputs", s.outputs, outputs, outputs >= s.outputs),
            ("steps per mA", s.codes_per_ma, per_ma, per_ma == s.codes_per_ma),
            ("largest current in mA", s.current_max_ma, code_max / per_ma, code_max / per_ma >= s.current_max_ma),
            ("lease in ms", s.lease_ms, lease_ms, lease_ms >= s.lease_ms),
        ):
            if not good:
                raise DriverError(f"stimulator {name}: {what} is {has:g}, the rig says {wants:g}")
        self._contact.faults.clear()
        self._heard = _Heard(next_pulse=made, device_us=int.from_bytes(body[6:14], "little"))
        self._heard.ack_of = int.from_bytes(body[1:5], "little")
        self._unanswered.clear()
        self._contact.identity = f"simulated stimulator {name}, protocol {version}, {outputs} outputs"
        return self._contact.identity

    def _listen(self, body: bytes, now_ns: int) -> None:
        kind, sequence, result, device_us = struct.unpack_from("<BIBQ", body)
        heard = self._heard
        if result:
            self._contact.faults.append(f"refused: {_RESULTS.get(result, f'result {result}')}")
        if sequence > self._sent:
            # Believed, it would acknowledge what is sent only later, and all real answers would be old.
            self._contact.faults.append(f"an answer to command {sequence}, and only {self._sent} have been sent")
            return
        if kind not in (0x82, 0x83) or sequence <= heard.ack_of:
            return
        if device_us < heard.device_us:
            self._contact.faults.append("device restarted")
            heard.next_pulse = 0
            self._bounds.clear()
        heard.device_us, heard.ack_of = device_us, sequence
        while self._unanswered and self._unanswered[0][0] <= sequence:
            number, sent_ns = self._unanswered.popleft()
            if number == sequence:
                self._bounds.append((sent_ns - device_us * 1000, now_ns - device_us * 1000))
        open_electrodes, count = body[14], body[15]
        at = 16
        active = []
        for output, code, phase_us, rate in struct.iter_unpack("<BHIH", body[at : at + 9 * count]):
            name = self._channel_of.get(output, f"output {output}")
            current_ma = code / self._settings.codes_per_ma
            active.append(ChannelSetting(channel=name, current_ma=current_ma, phase_us=phase_us, rate_hz=rate / 10))
        heard.active = tuple(active)
        for output in range(8):
            if open_electrodes >> output & 1:
                self._contact.faults.append(f"electrode open: {self._channel_of.get(output, f'output {output}')}")
        at += 9 * count
        first, made = struct.unpack_from("<IH", body, at)
        if first > heard.next_pulse:
            self._contact.faults.append(f"{first - heard.next_pulse} pulses were not reported")
        for index, (output, age_us, code, phase_us) in enumerate(
            struct.iter_unpack("<BIHI", body[at + 6 : at + 6 + 11 * made]), start=first
        ):
            if index >= heard.next_pulse:
                self._pulses.append((output, device_us - age_us, code, phase_us))
        heard.next_pulse = max(heard.next_pulse, first + made)

    def _timed_pulses(self) -> tuple[Pulses, ...]:
        if not self._pulses or not self._bounds:
            return ()
        low = max(bound[0] for bound in self._bounds)
        high = min(bound[1] for bound in self._bounds)
        if low > high:
            low, high = self._bounds[-1]
        offset_ns = (low + high) // 2
        trains: dict[tuple[int, int, int], list[int]] = {}
        for output, t_us, code, phase_us in self._pulses:
            trains.setdefault((output, code, phase_us), []).append(t_us * 1000 + offset_ns)
        self._pulses.clear()
        return tuple(
            Pulses(
                channel=self._channel_of.get(output, f"output {output}"),
                t_ns=tuple(times),
                uncertainty_ns=(high - low) // 2 + 1000,
                kind="acknowledged",
                current_ma=code / self._settings.codes_per_ma,
                phase_us=float(phase_us),
            )
            for (output, code, phase_us), times in trains.items()
        )


def _connected(address: str) -> Transport:
    try:
        return SocketTransport(address)
    except endpoint.EndpointError as error:
        raise DriverError(f"stimulator: {error}") from None


def _frame(body: bytes) -> bytes:
    covered = struct.pack("<H", len(body)) + body
    return b"\xa5" + covered + struct.pack("<H", binascii.crc_hqx(covered, 0xFFFF))


def _code_down(current_ma: float, per_ma: int, current_max_ma: float) -> int:
    """Largest code whose current is not above `current_ma`."""
    if not 0 <= current_ma <= current_max_ma:
        raise DriverError(f"current_ma {current_ma} is not within 0 to {current_max_ma}")
    code = int(current_ma * per_ma) + 1
    while code / per_ma > current_ma:
        code -= 1
    return code


def _exactly(value: float, per_unit: int, name: str) -> int:
    try:
        code = round(value * per_unit)
    except (ValueError, OverflowError):
        raise DriverError(f"{name} {value} is not a number") from None
    if abs(code - value * per_unit) > 1e-6:
        raise DriverError(f"{name} {value} cannot be said in steps of {1 / per_unit:g}")
    return code
