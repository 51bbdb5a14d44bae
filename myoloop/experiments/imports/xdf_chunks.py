"""Is an XDF file whole? A strict walk over its chunks, before anything is made of them.

pyxdf, which reads the contents, looks for the next place that makes sense where a file is damaged, and goes on without
what stood between; and it makes room for as many samples as a chunk claims. Here every length is held against what
is there. A file that merely stops, as after a crash, is read up to its last whole chunk; any other damage is refused.
The format: https://github.com/sccn/xdf/wiki/Specifications, version 1.0.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from myoloop.acquisition.formats import FormatError

MAGIC = b"XDF:"
BOUNDARY = bytes.fromhex("43a546dccbf5410fb30ed5467383cbe4")
_FILE_HEADER, _STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _BOUNDARY, _STREAM_FOOTER = range(1, 7)
_VALUE_BYTES = {"int8": 1, "int16": 2, "int32": 4, "int64": 8, "float32": 4, "double64": 8}
_MAX_CHANNELS = 4096
_MAX_DEPTH = 64
_STAMP_BYTES = 8
_DOUBLE, _STREAM_ID, _TAG = struct.Struct("<d"), struct.Struct("<I"), struct.Struct("<H")


@dataclass(slots=True)
class XdfStream:
    """What the walk found of a stream.

    Attributes
    ----------
    samples
        How many stand in its chunks.
    """

    name: str
    kind: str
    channels: int
    value: str
    rate_hz: float
    samples: int = 0


@dataclass(slots=True)
class XdfSurvey:
    """What the walk found.

    Attributes
    ----------
    whole_bytes, left_out_bytes
        Up to where the file is made of whole chunks; what stands behind.
    """

    streams: dict[int, XdfStream] = field(default_factory=dict)
    whole_bytes: int = 0
    left_out_bytes: int = 0


def survey(data: bytes, path: Path) -> XdfSurvey:
    """Walk over a file's chunks.

    Raises
    ------
    FormatError
        If it is no XDF file, or damaged before its end; the text names the byte.
    """
    if not data:
        raise FormatError(f"{path}: is empty")
    if data[:4] != MAGIC:
        raise FormatError(f"{path}: not an XDF file")
    return _Walk(data, path).all()


class _Cut(Exception):
    """The file stops here."""


class _Damage(ValueError):
    """What is wrong, without the place."""


class _Walk:
    def __init__(self, data: bytes, path: Path) -> None:
        self._data = data
        self._path = path
        self._found = XdfSurvey()
        self._is_first = True

    def all(self) -> XdfSurvey:
        found, at = self._found, len(MAGIC)
        while at < len(self._data):
            try:
                begin, end = self._frame(at)
                self._chunk(begin, end)
            except _Cut:
                # What a flipped length makes of a whole file looks the same, but for the marks further on.
                if self._data.find(BOUNDARY, at) >= 0:
                    raise FormatError(f"{self._path}: byte {at}: damaged, whole chunks follow") from None
                found.left_out_bytes = len(self._data) - at
                break
            except _Damage as damage:
                raise FormatError(f"{self._path}: byte {at}: damaged: {damage}") from None
            at = end
            self._is_first = False
        found.whole_bytes = at
        if self._is_first:
            raise FormatError(f"{self._path}: stops before its header ends")
        return found

    def _frame(self, at: int) -> tuple[int, int]:
        """Where a chunk's tag stands, and the chunk's end."""
        begin, length = self._number(at, len(self._data), cut=True)
        if length < _TAG.size:
            raise _Damage(f"a chunk of {length} bytes")
        if begin + length > len(self._data):
            raise _Cut
        return begin, begin + length

    def _number(self, at: int, limit: int, *, cut: bool = False) -> tuple[int, int]:
        """A length of variable length: where it ends, and what it is."""
        if at >= limit:
            raise _Cut if cut else _Damage("stops within a length")
        size = self._data[at]
        if size not in (1, 4, 8):
            raise _Damage(f"a length of {size} bytes, allowed are 1, 4 and 8")
        end = at + 1 + size
        if end > limit:
            raise _Cut if cut else _Damage("stops within a length")
        return end, int.from_bytes(self._data[at + 1 : end], "little")

    def _chunk(self, begin: int, end: int) -> None:
        tag = _TAG.unpack_from(self._data, begin)[0]
        at = begin + _TAG.size
        if self._is_first != (tag == _FILE_HEADER):
            raise _Damage("the first chunk, and no other, is the file's header")
        if tag in (_STREAM_HEADER, _SAMPLES, _CLOCK_OFFSET, _STREAM_FOOTER):
            if at + _STREAM_ID.size > end:
                raise _Damage("stops before its stream's number")
            stream_id = _STREAM_ID.unpack_from(self._data, at)[0]
            at += _STREAM_ID.size
            if (tag == _STREAM_HEADER) == (stream_id in self._found.streams):
                raise _Damage(f"stream {stream_id} is announced {'twice' if tag == _STREAM_HEADER else 'nowhere'}")
        if tag == _FILE_HEADER:
            _xml(self._data[at:end])
        elif tag == _STREAM_HEADER:
            self._found.streams[stream_id] = _stream(self._data[at:end])
        elif tag == _SAMPLES:
            stream = self._found.streams[stream_id]
            stream.samples += self._samples(stream, at, end)
        elif tag == _CLOCK_OFFSET:
            self._clock_offset(at, end)
        elif tag == _STREAM_FOOTER:
            _footer(self._data[at:end])
        elif tag != _BOUNDARY:
            raise _Damage(f"a chunk of kind {tag}, allowed are 1 to 6")
        elif self._data[at:end] != BOUNDARY:
            raise _Damage("a boundary that is none")

    def _samples(self, stream: XdfStream, at: int, end: int) -> int:
        data = self._data
        at, count = self._number(at, end)
        if count > end - at:
            raise _Damage(f"{count} samples in {end - at} bytes")
        text = stream.value == "string"
        size = 0 if text else stream.channels * _VALUE_BYTES[stream.value]
        for _ in range(count):
            if at >= end or data[at] not in (0, _STAMP_BYTES):
                raise _Damage("its samples are not as long as they should be")
            at += 1 + data[at] + size
            if text:
                for _ in range(stream.channels):
                    at, length = self._number(at, end)
                    at += length
        if at != end:
            raise _Damage("its samples are not as long as they should be")
        return count

    def _clock_offset(self, at: int, end: int) -> None:
        if end - at != 2 * _DOUBLE.size:
            raise _Damage("a clock offset of the wrong length")
        pair = (_DOUBLE.unpack_from(self._data, at)[0], _DOUBLE.unpack_from(self._data, at + _DOUBLE.size)[0])
        if not all(math.isfinite(value) and abs(value) < 1e15 for value in pair):
            raise _Damage(f"a clock offset of {pair[1]} s at {pair[0]} s")


def _xml(content: bytes) -> ElementTree.Element:
    text = content.decode("utf-8", "replace")
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise _Damage("its XML declares entities, which are not read")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - without entities, and of bounded depth
    except (ElementTree.ParseError, ValueError) as error:
        raise _Damage(f"its XML cannot be read: {error}") from None
    depth, level = 0, [root]
    while level:
        depth += 1
        level = [child for each in level for child in each]
        if depth > _MAX_DEPTH:
            raise _Damage(f"its XML is nested more than {_MAX_DEPTH} deep")
    return root


def _stream(content: bytes) -> XdfStream:
    root = _xml(content)
    if root.tag != "info":
        raise _Damage(f"a stream's header begins with {root.tag[:40]!r}, it should with 'info'")

    def said(key: str) -> str:
        found = root.findall(key)
        if len(found) != 1 or not (found[0].text or "").strip():
            raise _Damage(f"a stream's header has {key} {len(found)} times, or empty")
        return (found[0].text or "").strip()

    value = said("channel_format")
    if value != "string" and value not in _VALUE_BYTES:
        raise _Damage(f"channel_format: found {value[:40]!r}, allowed: {', '.join(_VALUE_BYTES)}, string")
    try:
        channels, rate_hz = int(said("channel_count")), float(said("nominal_srate"))
    except ValueError:
        raise _Damage("a stream's channel_count or nominal_srate is no number") from None
    if not (1 <= channels <= _MAX_CHANNELS and 0 <= rate_hz <= 1e9):
        raise _Damage(f"a stream of {channels} channels at {rate_hz} Hz")
    return XdfStream(said("name"), (root.findtext("type") or "").strip(), channels, value, rate_hz)


def _footer(content: bytes) -> None:
    count = _xml(content).findtext("sample_count")
    if count is not None and not count.strip().isdecimal():
        raise _Damage(f"a stream's sample_count is {count[:40]!r}")
