"""The binary message of the scope: what is new since the last one, little endian, every part on a multiple of 8 bytes.

::

    frame    "MYB1" | u16 sections | u16 0 | u32 number | u32 length in bytes, these 16 included | sections
    section  u8 kind | u8 source | u16 columns | u32 rows | f64 t_us | f64 step_us | f64 first | payload, padded with 0

    kind 1, bins     source: stream of the layout; rows: bins; t_us: when the first begins; step_us: length of a bin;
                     first: its number. payload: f32 low[rows][columns], f32 high[rows][columns], u8 flags of the same
                     shape
    kind 2, line     source: line of the layout. payload: f64 t_us[rows], f32 value[rows][columns]
    kind 3, pulses   source: stimulation channel of the layout. payload: f64 t_us[rows]

A value that is not to be drawn is NaN. Several frames may stand one after the other in a message. Times are the host's
monotonic time in µs, which a double holds exactly. The page reads it in ``static/frames.js``.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from myoloop.experiments.console.bins import Flags, Floats, Run

MAGIC: Final = b"MYB1"
BINS, LINE, PULSES = 1, 2, 3
_FRAME: Final = struct.Struct("<4sHHII")
_SECTION: Final = struct.Struct("<BBHIddd")


class FrameError(ValueError):
    """Bytes that are no frame of ours."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a frame, read again.

    Attributes
    ----------
    kind, source
        What it is, and of which stream, line or channel.
    t_us
        (rows,) of a line or of pulses; of bins the beginning of each.
    first, step_us
        Of bins: number of the first, and length of one.
    low, high, flags
        (rows, columns) of bins; a line has its values in `low`.
    """

    kind: int
    source: int
    t_us: npt.NDArray[np.float64]
    first: int = 0
    step_us: float = 0.0
    low: Floats | None = None
    high: Floats | None = None
    flags: Flags | None = None


def bins_section(source: int, run: Run, bin_ns: float) -> bytes:
    """Bytes of a run of bins."""
    rows, columns = run.low.shape
    head = _SECTION.pack(BINS, source, columns, rows, run.t_ns / 1e3, bin_ns / 1e3, float(run.first_bin))
    return _padded(head, run.low.tobytes(), run.high.tobytes(), run.flags.tobytes())


def line_section(source: int, t_ns: Sequence[int], values: Sequence[Sequence[float]]) -> bytes:
    """Bytes of new points of a line, (rows, columns)."""
    table = np.array(values, "<f4")
    head = _SECTION.pack(LINE, source, table.shape[1], table.shape[0], 0.0, 0.0, 0.0)
    return _padded(head, _stamps(t_ns), table.tobytes())


def pulses_section(source: int, t_ns: Sequence[int]) -> bytes:
    """Bytes of new pulses on one channel."""
    return _padded(_SECTION.pack(PULSES, source, 1, len(t_ns), 0.0, 0.0, 0.0), _stamps(t_ns))


def frame(number: int, sections: Sequence[bytes]) -> bytes:
    """Put sections together."""
    length = _FRAME.size + sum(map(len, sections))
    return b"".join((_FRAME.pack(MAGIC, len(sections), 0, number & 0xFFFFFFFF, length), *sections))


def read_message(message: bytes) -> list[list[Section]]:
    """Read the frames of a message, each a list of its sections.

    Raises
    ------
    FrameError
        If it is not made of whole frames.
    """
    frames, at = [], 0
    while at < len(message):
        if len(message) - at < _FRAME.size:
            raise FrameError(f"{len(message) - at} bytes after the last frame")
        magic, count, _, _, length = _FRAME.unpack_from(message, at)
        if magic != MAGIC or length < _FRAME.size or at + length > len(message):
            raise FrameError(
                f"at byte {at}: found {magic!r} and a length of {length}, of {len(message) - at} bytes left"
            )
        frames.append(_sections(message[at + _FRAME.size : at + length], count))
        at += length
    return frames


def _sections(data: bytes, count: int) -> list[Section]:
    sections, at = [], 0
    for _ in range(count):
        if len(data) - at < _SECTION.size:
            raise FrameError("a section without its head")
        kind, source, columns, rows, t_us, step_us, first = _SECTION.unpack_from(data, at)
        at += _SECTION.size
        cells = rows * columns
        length = {BINS: 9 * cells, LINE: 8 * rows + 4 * cells, PULSES: 8 * rows}.get(kind)
        if length is None or len(data) - at < length:
            raise FrameError(f"a section of kind {kind} with {len(data) - at} bytes left")
        if kind == BINS:
            low = np.frombuffer(data, "<f4", cells, at).reshape(rows, columns)
            high = np.frombuffer(data, "<f4", cells, at + 4 * cells).reshape(rows, columns)
            flags = np.frombuffer(data, np.uint8, cells, at + 8 * cells).reshape(rows, columns)
            times = t_us + step_us * np.arange(rows)
            sections.append(Section(kind, source, times, int(first), step_us, low, high, flags))
        else:
            times = np.frombuffer(data, "<f8", rows, at)
            values = np.frombuffer(data, "<f4", cells, at + 8 * rows).reshape(rows, columns) if kind == LINE else None
            sections.append(Section(kind, source, times, low=values))
        at += -(-length // 8) * 8
    if at != len(data):
        raise FrameError(f"{len(data) - at} bytes after the last section")
    return sections


def _stamps(t_ns: Sequence[int]) -> bytes:
    return (np.array(t_ns, "<i8") / 1e3).astype("<f8").tobytes()


def _padded(*parts: bytes) -> bytes:
    length = sum(map(len, parts))
    return b"".join((*parts, bytes(-length % 8)))
