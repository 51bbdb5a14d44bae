"""XDF as another program writes it: by the public specification alone, sharing no code with what reads it."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import pytest

BOUNDARY = bytes(
    [0x43, 0xA5, 0x46, 0xDC, 0xCB, 0xF5, 0x41, 0x0F, 0xB3, 0x0E, 0xD5, 0x46, 0x73, 0x83, 0xCB, 0xE4]
)  # fmt: skip
DTYPES = {"int8": "<i1", "int16": "<i2", "int32": "<i4", "int64": "<i8", "float32": "<f4", "double64": "<f8"}


def length(number: int) -> bytes:
    """A variable-length integer, the shortest of the three."""
    if number < 256:
        return b"\x01" + struct.pack("<B", number)
    return b"\x04" + struct.pack("<I", number) if number < 2**32 else b"\x08" + struct.pack("<Q", number)


class Xdf:
    """A file that is being written."""

    def __init__(self, recorded_at: str = "2026-03-01T10:00:00+0100") -> None:
        self.data = b"XDF:"
        self.formats: dict[int, str] = {}
        self.counts: dict[int, int] = {}
        self.chunk(1, f"<?xml version='1.0'?><info><version>1.0</version><datetime>{recorded_at}</datetime></info>")

    def chunk(self, tag: int, content: bytes | str, stream: int | None = None) -> None:
        body = content.encode() if isinstance(content, str) else content
        body = struct.pack("<H", tag) + (b"" if stream is None else struct.pack("<I", stream)) + body
        self.data += length(len(body)) + body

    def stream(
        self, number: int, name: str, kind: str, rate_hz: float, value: str,
        labels: Sequence[str] = ("1",), unit: str = "", more: str = "",
    ) -> None:  # fmt: skip
        self.formats[number], self.counts[number] = value, 0
        channels = "".join(
            f"<channel><label>{escape(label)}</label><unit>{escape(unit)}</unit></channel>" for label in labels
        )
        self.chunk(
            2,
            f"<?xml version='1.0'?><info><name>{escape(name)}</name><type>{kind}</type>"
            f"<channel_count>{len(labels)}</channel_count><nominal_srate>{rate_hz}</nominal_srate>"
            f"<channel_format>{value}</channel_format><source_id>id-{number}</source_id>{more}"
            f"<desc><channels>{channels}</channels></desc></info>",
            number,
        )

    def samples(self, number: int, stamps: Sequence[float | None], rows: Any) -> None:
        body = length(len(rows))
        for stamp, row in zip(stamps, rows, strict=True):
            body += b"\x00" if stamp is None else b"\x08" + struct.pack("<d", stamp)
            if self.formats[number] == "string":
                for text in row:
                    body += length(len(text.encode())) + text.encode()
            else:
                body += np.asarray(row, DTYPES[self.formats[number]]).tobytes()
        self.counts[number] += len(rows)
        self.chunk(3, body, number)

    def clock(self, number: int, collected_s: float, offset_s: float) -> None:
        self.chunk(4, struct.pack("<dd", collected_s, offset_s), number)

    def boundary(self) -> None:
        self.chunk(5, BOUNDARY)

    def footer(self, number: int) -> None:
        self.chunk(6, f"<info><sample_count>{self.counts[number]}</sample_count></info>", number)


@pytest.fixture(scope="session")
def xdf() -> type[Xdf]:
    """A writer of XDF files."""
    return Xdf
