"""From bytes back to what they say: written apart from the encoder, with which it shares nothing.

Reads as the device would, strictly: what :mod:`myoloop.stimulators.sciencemode2.encoder` never writes is refused.
"""

from __future__ import annotations

from myoloop.stimulators.driver import DecodedOutput, DriverError


def decode_setting(data: bytes) -> tuple[DecodedOutput, ...]:
    """Every output that the packets give current, in order; none for a stop alone.

    The wire names no phases: the device balances each pulse itself, so the net charge is 0 by its construction.

    Raises
    ------
    DriverError
        If the bytes are anything but one whole setting of the outputs.
    """
    packets = _packets(data)
    commands = tuple(packet[1] for packet in packets)
    if commands not in ((34,), (34, 30, 32)) or len(packets[0]) != 2:
        raise DriverError(f"commands {commands}: neither a stop nor stop, init and start")
    if any((packet[0] - packets[0][0]) % 256 != place for place, packet in enumerate(packets)):
        raise DriverError("packets whose numbers do not follow one another")
    if len(packets) == 1:
        return ()
    period_us, outputs = _channel_list(packets[1][2:])
    fields = packets[2][2:]
    if len(fields) != 4 * len(outputs):
        raise DriverError(f"a start with {len(fields)} bytes for {len(outputs)} outputs")
    decoded = []
    for place, output in enumerate(outputs):
        kind, high, low, current_ma = fields[4 * place : 4 * place + 4]
        width_us = 256 * high + low
        if kind != 0 or not 20 <= width_us <= 500 or not 1 <= current_ma <= 130:
            raise DriverError(f"output {output}: kind {kind}, {width_us} us, {current_ma} mA is no pulse to be given")
        decoded.append(DecodedOutput(output, float(current_ma), float(width_us), 1e6 / period_us, 0))
    return tuple(decoded)


def _channel_list(fields: bytes) -> tuple[int, list[int]]:
    """Period in us and outputs that an Init says."""
    if len(fields) != 7:
        raise DriverError(f"an init with {len(fields)} bytes")
    slower, mask, slow_mask, between, high, low, way = fields
    if slower or slow_mask or way:
        raise DriverError("an init with slower channels, or without fixed slots")
    outputs = [bit for bit in range(8) if mask & 1 << bit]
    between_us = 1500 + 500 * between
    period_us = 1000 + 500 * (256 * high + low)
    if not outputs:
        raise DriverError("an init with no output")
    if not max(8000, 1500 * len(outputs)) <= between_us <= period_us:
        raise DriverError(f"an init whose {len(outputs)} slots do not fit {between_us} us and {period_us} us")
    if not 20_000 <= period_us <= 1_000_000:
        raise DriverError(f"an init with a period of {period_us} us, allowed is 20000 to 1000000")
    return period_us, outputs


def _packets(data: bytes) -> list[bytes]:
    """Number, command and data of packets that stand one behind the other, with nothing else."""
    packets = []
    left = data
    while left:
        if len(left) < 8 or (left[0], left[1], left[3]) != (240, 129, 129):
            raise DriverError(f"{len(data)} bytes that are not whole packets")
        remainder, length = left[2] ^ 85, left[4] ^ 85
        stands, end, left = left[5:].partition(b"\x0f")
        if not end or len(stands) != length:
            raise DriverError("a packet of another length than it says")
        # The remainder of the polynomial x^8 + x^2 + x + 1, by long division.
        number = int.from_bytes(stands, "big") << 8
        while number.bit_length() > 8:
            number ^= 0b1_0000_0111 << (number.bit_length() - 9)
        if number != remainder:
            raise DriverError("a packet with a wrong checksum")
        packets.append(_without_escapes(stands))
    return packets


def _without_escapes(stands: bytes) -> bytes:
    """What the bytes between header and end mean; only F0, 0F and 81 may be escaped, and must be."""
    first, *rest = stands.split(b"\x81")
    meant = first
    for part in rest:
        if part[:1] not in (b"\xa5", b"\x5a", b"\xd4"):
            raise DriverError("a packet with an escape that is none")
        meant += bytes((part[0] ^ 85,)) + part[1:]
    if b"\xf0" in stands:
        raise DriverError("a packet within a packet")
    if len(meant) < 2:
        raise DriverError("a packet without number and command")
    return meant
