"""Packets of ScienceMode 2, out of bytes and into bytes.

On the wire a packet is ``F0 | 81 C' | 81 L' | body | 0F``. The body is packet number, command and data, in which each
F0, 0F and 81 stands as ``81, byte XOR 55``; C is the CRC-8 (polynomial 07, from 0) over the body as it stands on the
wire, L its length there, and both are always escaped so.
"""

from __future__ import annotations

from typing import NamedTuple

START, END, ESCAPE, KEY = 0xF0, 0x0F, 0x81, 0x55
#: Data has at most 60 bytes; each byte of number, command and data may be escaped.
DATA_MAX = 60
_BODY_MAX = 2 * (2 + DATA_MAX)
_HEADER = 5


class Packet(NamedTuple):
    """One packet: `number` 0 to 255, `command` 0 to 255, its data."""

    number: int
    command: int
    data: bytes = b""


def frame(packet: Packet) -> bytes:
    """Bytes of one packet.

    Raises
    ------
    ValueError
        If a number does not fit its byte, or there is too much data.
    """
    if len(packet.data) > DATA_MAX:
        raise ValueError(f"{len(packet.data)} bytes of data, at most {DATA_MAX} fit a packet")
    body = bytearray()
    for byte in bytes((packet.number, packet.command)) + packet.data:
        body += bytes((ESCAPE, byte ^ KEY)) if byte in (START, END, ESCAPE) else bytes((byte,))
    return bytes((START, ESCAPE, crc8(body) ^ KEY, ESCAPE, len(body) ^ KEY)) + body + bytes((END,))


class Parser:
    """Finds whole packets in a stream; what is none is skipped.

    Where a packet seems to have begun and is not whole, a whole one further on is still found: an answer must not
    wait for the rest of one that was cut off.
    """

    def __init__(self) -> None:
        self._received = bytearray()

    def take(self, data: bytes) -> list[Packet]:
        """Packets that are whole with these bytes, in order."""
        received = self._received
        received += data
        packets: list[Packet] = []
        at, keep = 0, None
        while (at := received.find(START, at)) >= 0:
            packet, end = _packet_at(received, at)
            if packet is not None:
                packets.append(packet)
                at, keep = end, None
                continue
            if end > len(received) and keep is None:
                keep = at
            at += 1
        del received[: len(received) if keep is None else keep]
        return packets


def _packet_at(data: bytearray, at: int) -> tuple[Packet | None, int]:
    """The packet that begins at `at`, and where it ends.

    Without a packet the end lies beyond the data where more may yet make it one, else at `at`.
    """
    header = data[at : at + _HEADER]
    if any(byte != ESCAPE for byte in header[1:4:2]):
        return None, at
    if len(header) < _HEADER:
        return None, at + _HEADER
    length = header[4] ^ KEY
    end = at + _HEADER + length
    body = data[at + _HEADER : end]
    if not 2 <= length <= _BODY_MAX or START in body or END in body:
        return None, at
    if end >= len(data):
        return None, end + 1
    content = _plain(body)
    if data[end] != END or crc8(body) ^ KEY != header[2] or content is None:
        return None, at
    return Packet(content[0], content[1], content[2:]), end + 1


def _plain(body: bytearray) -> bytes | None:
    """Undo the escapes; None where an escape is cut off or no number and command are left."""
    content = bytearray()
    bytes_left = iter(body)
    for byte in bytes_left:
        if byte == ESCAPE:
            escaped = next(bytes_left, None)
            if escaped is None:
                return None
            byte = escaped ^ KEY
        content.append(byte)
    return bytes(content) if len(content) >= 2 else None


def crc8(data: bytes | bytearray) -> int:
    """CRC-8: polynomial 07, begun at 0, nothing reflected."""
    register = 0
    for byte in data:
        register = _CRC[register ^ byte]
    return register


def _shifted_out(byte: int) -> int:
    for _ in range(8):
        byte = (byte << 1) ^ (0x107 if byte & 0x80 else 0)
    return byte


_CRC = tuple(map(_shifted_out, range(256)))
