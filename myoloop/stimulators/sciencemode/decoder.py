"""Reads bytes for the device again before they are written: the gate's second pair of eyes.

Written apart from what encodes: it shares no table, constant or function with the other modules of this folder, takes
the frame apart by itself and computes the checksum bit by bit. It knows three things: an Ml_update, an
Ll_channel_config of one pulse, and the table of a low-level train (:func:`train_table`); and only such pulses as are
symmetric: ``(+I, w) (-I, w)``, with a rest of 0 mA of the length given between them where there is to be one. Anything
else is refused.
"""

from __future__ import annotations

from typing import NamedTuple

from myoloop.stimulators.driver import DecodedOutput, DriverError


class Update(NamedTuple):
    """An Ml_update: its packet number, and every output that is enabled."""

    number: int
    outputs: tuple[DecodedOutput, ...]


class OnePulse(NamedTuple):
    """An Ll_channel_config: packet number, output, amplitude, width of each phase, net charge in wire units."""

    number: int
    output: int
    current_ma: float
    phase_us: float
    net_charge_wire: int


def update(data: bytes, *, outputs: int, gap_us: int, quarter_ms: bool) -> Update:
    """Read an Ml_update.

    Parameters
    ----------
    outputs
        How many the device has.
    gap_us
        Rest between the phases; 0 for none.
    quarter_ms
        Whether the device knows periods in steps of 0.25 ms.

    Raises
    ------
    DriverError
        If it is anything but one whole Ml_update of symmetric pulses without a ramp.
    """
    number, command, fields = _unwrap(data)
    if command != 32 or not fields:
        raise DriverError(f"bytes of command {command}, not of an update")
    mask, at = fields[0], 1
    if mask >> outputs:
        raise DriverError(f"an update of outputs the device does not have: mask {mask:08b}, it has {outputs}")
    decoded = []
    for output in range(outputs):
        if not mask >> output & 1:
            continue
        if len(fields) < at + 3:
            raise DriverError("an update that ends too early")
        points = (fields[at] >> 4) + 1
        if fields[at] & 15:
            raise DriverError(f"an update with a ramp on output {output}")
        period = fields[at + 1] * 256 + fields[at + 2]
        quarters = period % 2 == 1
        if period < 2 or (quarters and not quarter_ms):
            raise DriverError(f"an update with period code {period} on output {output}")
        period_us = period // 2 * (250 if quarters else 500)
        shape = fields[at + 3 : at + 3 + 4 * points]
        at += 3 + 4 * points
        current_ma, phase_us, net = _pulse(shape, points, gap_us)
        decoded.append(DecodedOutput(output, current_ma, phase_us, 1e6 / period_us, net))
    if at != len(fields):
        raise DriverError(f"an update with {len(fields) - at} bytes too many")
    return Update(number, tuple(decoded))


def one_pulse(data: bytes, *, outputs: int, gap_us: int) -> OnePulse:
    """Read an Ll_channel_config that gives one pulse.

    Raises
    ------
    DriverError
        If it is anything but one whole such command with a symmetric pulse.
    """
    number, command, fields = _unwrap(data)
    if command != 2 or not fields:
        raise DriverError(f"bytes of command {command}, not of a pulse")
    head = fields[0]
    output = (head & 16) // 16 * 4 + (head & 96) // 32
    if not head & 128:
        raise DriverError("a pulse that is not to be given")
    if output >= outputs:
        raise DriverError(f"a pulse on output {output}, the device has {outputs}")
    current_ma, phase_us, net = _pulse(fields[1:], (head & 15) + 1, gap_us)
    return OnePulse(number, output, current_ma, phase_us, net)


def train_table(data: bytes, *, outputs: int, gap_us: int) -> tuple[tuple[DecodedOutput, int], ...]:
    """Read the table of a low-level train: what each output gives, and its period in microseconds.

    The table, all numbers big endian::

        4D 54 | u8 count | count x ( u32 period_us | u16 length | Ll_channel_config packet, number 0 ) | u16 crc

    with the checksum of the frames (CRC-16/XMODEM) over all that stands before it.

    Raises
    ------
    DriverError
        If it is anything but one whole table of symmetric pulses, each output at most once.
    """
    if len(data) < 5 or data[:2] != b"MT" or _crc(data[:-2]) != data[-2] * 256 + data[-1]:
        raise DriverError(f"{len(data)} bytes that are not the table of a train")
    at, end = 3, len(data) - 2
    decoded: list[tuple[DecodedOutput, int]] = []
    for _ in range(data[2]):
        if at + 6 > end:
            raise DriverError("the table of a train ends too early")
        period_us = int.from_bytes(data[at : at + 4], "big")
        stop = at + 6 + data[at + 4] * 256 + data[at + 5]
        if stop > end or not period_us:
            raise DriverError("the table of a train with a wrong length or period")
        pulse = one_pulse(data[at + 6 : stop], outputs=outputs, gap_us=gap_us)
        if pulse.number != 0 or any(pulse.output == other.output for other, _ in decoded):
            raise DriverError(f"the table of a train says output {pulse.output} twice, or its packet has a number")
        rate_hz = 1e6 / period_us
        output = DecodedOutput(pulse.output, pulse.current_ma, pulse.phase_us, rate_hz, pulse.net_charge_wire)
        decoded.append((output, period_us))
        at = stop
    if at != end:
        raise DriverError(f"the table of a train with {end - at} bytes too many")
    return tuple(decoded)


def _unwrap(data: bytes) -> tuple[int, int, bytes]:
    """Packet number, command and fields of exactly one frame."""
    length = len(data)
    if not 12 <= length <= 1200 or data[0] != 240 or data[-1] != 15 or data[1:9:2] != b"\x81\x81\x81\x81":
        raise DriverError(f"{length} bytes that are not one frame")
    if (data[2] ^ 85) * 256 + (data[4] ^ 85) != length:
        raise DriverError(f"a frame of {length} bytes that says another length")
    stuffed = data[9:-1]
    if _crc(stuffed) != (data[6] ^ 85) * 256 + (data[8] ^ 85):
        raise DriverError("a frame with a wrong checksum")
    plain = []
    rest = iter(stuffed)
    for byte in rest:
        if byte in (240, 15):
            raise DriverError("a frame with a start or stop byte inside")
        if byte == 129:
            # Only what must be stuffed is: three values.
            byte = next(rest, 0)
            if byte not in (165, 90, 212):
                raise DriverError("a frame with wrong stuffing")
            byte ^= 85
        plain.append(byte)
    if len(plain) < 2:
        raise DriverError("a frame without a command")
    return plain[0] // 4, plain[0] % 4 * 256 + plain[1], bytes(plain[2:])


def _crc(data: bytes) -> int:
    register = 0
    for byte in data:
        for bit in range(7, -1, -1):
            high = register // 32768 ^ (byte >> bit & 1)
            register = register * 2 % 65536 ^ (4129 if high else 0)
    return register


def _pulse(shape: bytes, count: int, gap_us: int) -> tuple[float, float, int]:
    """Amplitude, width and net charge of a pulse's points."""
    if len(shape) != 4 * count:
        raise DriverError(f"a pulse of {count} points in {len(shape)} bytes")
    points = []
    for at in range(0, len(shape), 4):
        word = int.from_bytes(shape[at : at + 4], "big")
        if word % 1024:
            raise DriverError("a pulse with reserved bits set")
        points.append((word // 1048576, word // 1024 % 1024 - 300))
    net = sum(width * code for width, code in points)
    if net != 0:
        raise DriverError(f"a pulse that is not balanced: net {net}")
    first, last = points[0], points[-1]
    expected = [first, (gap_us, 0), last] if gap_us else [first, last]
    if points != expected or first[0] != last[0] or first[1] != -last[1] or first[1] <= 0 or first[0] == 0:
        said = " ".join(f"({code / 2:g} mA {width} us)" for width, code in points)
        raise DriverError(f"not a symmetric pulse, positive first, with {gap_us} us between its phases: {said}")
    if first[1] > 260:
        raise DriverError(f"a pulse of {first[1] / 2:g} mA, the device has 130")
    return first[1] / 2, float(first[0]), net
