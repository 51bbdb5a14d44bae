"""Frames of ScienceMode 3 and 4: how a command becomes bytes on the wire, and bytes frames again.

One frame, all numbers big endian::

    F0 | 81 LH' 81 LL' | 81 CH' 81 CL' | stuffed(number and command, payload) | 0F        x' is x XOR 55

Start, stop and key byte (F0, 0F, 81) are stuffed in the data as ``81 x'``; length and checksum are written so always,
whatever their value. Length is that of the whole frame; the checksum is CRC-16/XMODEM over the stuffed data. The first
two bytes of the data hold the packet number (upper 6 bits) and the command (lower 10).
"""

from __future__ import annotations

import binascii
from dataclasses import dataclass

START, STOP, ESCAPE, KEY = 0xF0, 0x0F, 0x81, 0x55
#: Start, length, checksum.
HEADER_BYTES = 9
SHORTEST, LONGEST = 12, 1200
NUMBERS = 64
COMMANDS = 1024

_STUFFED = frozenset((START, STOP, ESCAPE))


@dataclass(frozen=True, slots=True)
class Frame:
    """One packet.

    Attributes
    ----------
    number
        Chosen by the host, 0 to 63; an answer carries that of its command.
    command
        What it says; an answer's is that of its command plus one.
    payload
        The fields, unstuffed.
    """

    number: int
    command: int
    payload: bytes = b""


def encode(frame: Frame) -> bytes:
    """Bytes of one frame.

    Raises
    ------
    ValueError
        If number or command do not fit their bits, or the frame would be longer than 1200 bytes.
    """
    if not 0 <= frame.number < NUMBERS or not 0 <= frame.command < COMMANDS:
        raise ValueError(f"packet number {frame.number} or command {frame.command} does not fit a frame")
    data = bytearray()
    for byte in (frame.number << 10 | frame.command).to_bytes(2, "big") + frame.payload:
        if byte in _STUFFED:
            data += bytes((ESCAPE, byte ^ KEY))
        else:
            data.append(byte)
    length = HEADER_BYTES + len(data) + 1
    if length > LONGEST:
        raise ValueError(f"a frame of {length} bytes, at most {LONGEST} are allowed")
    head = length.to_bytes(2, "big") + binascii.crc_hqx(bytes(data), 0).to_bytes(2, "big")
    escaped = b"".join(bytes((ESCAPE, byte ^ KEY)) for byte in head)
    return bytes((START,)) + escaped + bytes(data) + bytes((STOP,))


class Receiver:
    """Finds frames in a stream of bytes that may be cut anywhere and have anything between frames.

    Every start byte is tried as the beginning of a frame. One that has begun and is not whole yet is waited for, but a
    whole frame further on is not held up by it: the beginning of a frame whose rest was lost costs no other frame.

    Attributes
    ----------
    bad
        How often something looked like a frame to the last byte and had a wrong checksum.
    """

    def __init__(self) -> None:
        self.bad = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes in; every whole frame they complete, in order."""
        self._buffer += data
        buffer = self._buffer
        frames: list[Frame] = []
        at, keep = 0, len(buffer)
        while (at := buffer.find(START, at)) >= 0:
            end = self._end(at)
            if end is None:
                keep = min(keep, at)
            elif end:
                frame = self._open(at, end)
                if frame is not None:
                    frames.append(frame)
                    at, keep = end, len(buffer)
                    continue
            at += 1
        del buffer[:keep]
        return frames

    def _end(self, at: int) -> int | None:
        """Where a frame beginning here ends; 0 where none can begin, None where more bytes must tell."""
        buffer = self._buffer
        have = len(buffer) - at
        if any(buffer[at + i] != ESCAPE for i in range(1, min(have, HEADER_BYTES), 2)):
            return 0
        if have < 5:
            return None
        length = (buffer[at + 2] ^ KEY) << 8 | buffer[at + 4] ^ KEY
        if not SHORTEST <= length <= LONGEST:
            return 0
        end = at + length
        i = at + HEADER_BYTES
        while i < min(end - 1, len(buffer)):
            if buffer[i] == START or buffer[i] == STOP:
                return 0
            i += 2 if buffer[i] == ESCAPE else 1
        if have < length:
            return None
        return end if i == end - 1 and buffer[i] == STOP else 0

    def _open(self, at: int, end: int) -> Frame | None:
        buffer = self._buffer
        stuffed = bytes(buffer[at + HEADER_BYTES : end - 1])
        if binascii.crc_hqx(stuffed, 0) != (buffer[at + 6] ^ KEY) << 8 | buffer[at + 8] ^ KEY:
            self.bad += 1
            return None
        data = bytearray()
        escaped = False
        for byte in stuffed:
            if byte == ESCAPE and not escaped:
                escaped = True
                continue
            data.append(byte ^ KEY if escaped else byte)
            escaped = False
        if len(data) < 2:
            # Two bytes on the wire that are one escaped byte: the checksum is right and there is no command.
            self.bad += 1
            return None
        head = data[0] << 8 | data[1]
        return Frame(head >> 10, head & (COMMANDS - 1), bytes(data[2:]))
