"""The bytes of ScienceMode 2 as a RehaStim2 reads and writes them; shares nothing with the driver.

The device is forgiving: it takes an escape where none is needed. What it cannot take is counted and said.
"""

from __future__ import annotations

import re

#: F0, checksum and length (both behind an escape), the body without F0 and 0F, 0F.
_LIKE_A_FRAME = re.compile(rb"\xf0\x81(.)\x81(.)([^\xf0\x0f]*)\x0f", re.DOTALL)
_LONGEST_BODY = 124
_BEGUN = re.compile(rb"\xf0(\x81(.(\x81(.[^\xf0\x0f]{0,124})?)?)?)?\Z", re.DOTALL)
_TO_ESCAPE = re.compile(rb"[\xf0\x0f\x81]")
_ESCAPED = re.compile(rb"\x81(.)", re.DOTALL)


def checksum(body: bytes) -> int:
    """CRC-8 of polynomial x^8 + x^2 + x + 1, bit by bit."""
    remainder = 0
    for byte in body:
        for place in range(7, -1, -1):
            carry = (remainder >> 7) ^ (byte >> place & 1)
            remainder = (remainder << 1 & 0xFF) ^ (carry * 7)
    return remainder


def written(number: int, command: int, data: bytes) -> bytes:
    """One packet as the device writes it."""
    body = _TO_ESCAPE.sub(lambda found: bytes((0x81, found[0][0] ^ 0x55)), bytes((number, command)) + data)
    return b"\xf0\x81%c\x81%c" % (checksum(body) ^ 0x55, len(body) ^ 0x55) + body + b"\x0f"


class Ear:
    """Hears packets in a stream.

    Attributes
    ----------
    malformed
        What looked like a packet and was none, newest last: why, in words.
    """

    def __init__(self) -> None:
        self.malformed: list[str] = []
        self._left = b""

    def hear(self, data: bytes) -> list[tuple[int, int, bytes]]:
        """Number, command and data of each packet that is whole now."""
        stream = self._left + data
        packets = []
        at = 0
        while found := _LIKE_A_FRAME.search(stream, at):
            packet = self._read(found)
            if packet is None:
                at = found.start() + 1
                continue
            packets.append(packet)
            at = found.end()
        begun = _BEGUN.search(stream, at)
        self._left = b"" if begun is None else begun[0]
        return packets

    def _read(self, found: re.Match[bytes]) -> tuple[int, int, bytes] | None:
        body = found[3]
        wrong = ""
        if len(body) > _LONGEST_BODY or len(body) != found[2][0] ^ 0x55:
            wrong = f"length {len(body)}, it says {found[2][0] ^ 0x55}"
        elif checksum(body) != found[1][0] ^ 0x55:
            wrong = f"checksum {found[1][0] ^ 0x55:02x}, it should be {checksum(body):02x}"
        elif b"\x81" in _ESCAPED.sub(b"", body):
            wrong = "an escape without its byte"
        content = _ESCAPED.sub(lambda escape: bytes((escape[1][0] ^ 0x55,)), body)
        if not wrong and len(content) < 2:
            wrong = "no command"
        if wrong:
            self.malformed.append(wrong)
            return None
        return content[0], content[1], content[2:]
