"""Packets of ScienceMode 3 and 4 as the device reads and writes them.

The frame is the same in both: ``F0``, length, checksum, stuffed data, ``0F``. Length and checksum stand byte by byte
behind an escape ``81``, whatever their value, so that a raw ``F0`` or ``0F`` may stand there: the reader follows the
escapes and never searches for the two marks alone. The data begin with six bits of packet number and ten of command.
Facts: vendor documents of RehaMove3 (ScienceMode 3, v3.2.4) and P24 (v1.1).
"""

from __future__ import annotations

import binascii
from typing import NamedTuple

START, STOP, ESCAPE, KEY = 0xF0, 0x0F, 0x81, 0x55
SHORTEST, LONGEST = 12, 1200
#: Start, and twice two bytes behind an escape each.
_HEADER = 9


class Packet(NamedTuple):
    """What one good packet says."""

    number: int
    command: int
    payload: bytes


class BrokenPacket(NamedTuple):
    """A packet with its marks in place and a wrong length or checksum; its data are not to be trusted."""

    number: int
    command: int
    payload: bytes


def packed(number: int, command: int, payload: bytes = b"") -> bytes:
    """The bytes of one packet."""
    plain = (number << 10 | command).to_bytes(2, "big") + payload
    data = bytearray()
    for byte in plain:
        data += bytes((ESCAPE, byte ^ KEY)) if byte in (START, STOP, ESCAPE) else bytes((byte,))
    header = (len(data) + _HEADER + 1).to_bytes(2, "big") + _crc(data).to_bytes(2, "big")
    frame = bytearray((START,))
    for byte in header:
        frame += bytes((ESCAPE, byte ^ KEY))
    return bytes(frame + data) + bytes((STOP,))


class PacketReader:
    """Finds the packets in what comes over the line, however it is cut.

    A start mark begins anew; more than the longest packet without a stop mark is dropped. Where the marks enclose
    something broken, a good packet that ends there is still found: an escape just before it, left over from garbage,
    has hidden its start mark.
    """

    def __init__(self) -> None:
        self._frame = bytearray()
        self._escaped = False

    def feed(self, data: bytes) -> list[Packet | BrokenPacket]:
        """Every packet that ends in `data`; what is too short to hold a command is passed over."""
        found: list[Packet | BrokenPacket] = []
        for byte in data:
            if not self._frame:
                if byte == START:
                    self._frame.append(byte)
                continue
            if not self._escaped and byte == START:
                self._frame.clear()
            self._frame.append(byte)
            if (len(self._frame) > LONGEST and not self._shorten()) or self._escaped:
                self._escaped = False
            elif byte == ESCAPE:
                self._escaped = True
            elif byte == STOP:
                packet = self._packet()
                if packet is not None:
                    found.append(packet)
                self._frame.clear()
        return found

    def _packet(self) -> Packet | BrokenPacket | None:
        begin = 0
        while begin >= 0:
            frame = bytes(self._frame[begin:])
            if _whole(frame):
                return Packet(*_read(frame[_HEADER:-1]))
            begin = self._frame.find(START, begin + 1)
        if len(self._frame) < SHORTEST:
            return None
        plain = _plain(self._frame[_HEADER:-1])
        return BrokenPacket(*_read_plain(plain)) if len(plain) >= 2 else None

    def _shorten(self) -> bool:
        """Go on from the next start mark, if there is one; after it the escapes are read the same."""
        begin = self._frame.find(START, 1)
        del self._frame[: len(self._frame) if begin < 0 else begin]
        return begin >= 0


def _whole(frame: bytes) -> bool:
    """Does all of it fit: escapes of the header, length, checksum?"""
    if len(frame) < SHORTEST or any(frame[at] != ESCAPE for at in (1, 3, 5, 7)):
        return False
    length = (frame[2] ^ KEY) << 8 | frame[4] ^ KEY
    crc = (frame[6] ^ KEY) << 8 | frame[8] ^ KEY
    data = frame[_HEADER:-1]
    return length == len(frame) and crc == _crc(data) and len(_plain(data)) >= 2


def _read(data: bytes) -> tuple[int, int, bytes]:
    return _read_plain(_plain(data))


def _read_plain(plain: bytes) -> tuple[int, int, bytes]:
    prefix = plain[0] << 8 | plain[1]
    return prefix >> 10, prefix & 0x3FF, plain[2:]


def _plain(data: bytes | bytearray) -> bytes:
    """Data without escapes; one that need not have been there is taken off too."""
    plain = bytearray()
    escaped = False
    for byte in data:
        if escaped:
            plain.append(byte ^ KEY)
            escaped = False
        elif byte == ESCAPE:
            escaped = True
        else:
            plain.append(byte)
    return bytes(plain)


def _crc(data: bytes | bytearray) -> int:
    """CRC-16/XMODEM over the stuffed data."""
    return binascii.crc_hqx(data, 0)
