"""A message becomes frames, and frames become a message or a typed refusal.

Frames are ``topic | head | body | array``: the topic in ASCII; the head a msgpack array (version, session,
publisher, epoch, seq, dtype, shape); the body a msgpack map of the message's fields, so that a stranger can read a
recording; the array raw, little endian, absent where there is none. Sizes are checked before anything is decoded or
allocated, and no frame can make code run.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from functools import cache, lru_cache
from math import prod

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.platform.messages import Message
from myoloop.platform.steps import Received
from myoloop.platform.streams import UnknownStream, stream_of

VERSION = 1
MAX_TOPIC_BYTES = 96
MAX_HEAD_BYTES = 512
MAX_BODY_BYTES = 1 << 20
MAX_ARRAY_BYTES = 1 << 24
DTYPES = frozenset({"<i2", "<i4", "<f4", "<f8"})


class WireError(ValueError):
    """Frames that are not one of our messages."""


class Malformed(WireError):
    """Not the right frames, or fields of the wrong kind."""


class Oversized(WireError):
    """Larger than anything of ours may be."""


class Truncated(WireError):
    """Fewer bytes than the head announces."""


class UnknownVersion(WireError):
    """Written by a myoloop whose wire format this one does not know."""


class Head(msgspec.Struct, frozen=True, array_like=True):
    """Who sent it, and what array follows."""

    version: int
    session: str
    publisher: str
    epoch: int
    seq: int
    dtype: str = ""
    shape: tuple[int, ...] = ()


#: What bytes that are not ours may make msgspec raise; nesting without end is a RecursionError.
_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_encoder = msgspec.msgpack.Encoder()
_head_decoder = msgspec.msgpack.Decoder(Head)
_LENGTHS = struct.Struct("<II")


@cache
def _body_decoder(message: type[Message]) -> msgspec.msgpack.Decoder[Message]:
    return msgspec.msgpack.Decoder(message)


@lru_cache(maxsize=1024)
def _topic_decoder(topic: str) -> msgspec.msgpack.Decoder[Message]:
    return _body_decoder(stream_of(topic).message)


def encode(
    topic: str,
    message: Message,
    *,
    session: str,
    publisher: str,
    epoch: int,
    seq: int,
    array: npt.NDArray[np.generic] | None = None,
) -> list[bytes]:
    """Make the frames of a message.

    Raises
    ------
    UnknownStream
        If the table has no such topic.
    WireError
        If `message` is not what the topic carries, or the array's dtype or size is not allowed.
    """
    row = stream_of(topic)
    if type(message) is not row.message:
        raise Malformed(f"{topic} carries {row.message.__name__}, not {type(message).__name__}")
    if array is None:
        head = Head(VERSION, session, publisher, epoch, seq)
        frames = [topic.encode("ascii"), _encoder.encode(head), _encoder.encode(message)]
    else:
        dtype = array.dtype.newbyteorder("<").str
        if dtype not in DTYPES:
            raise Malformed(f"{topic}: arrays of {array.dtype} do not travel; allowed are {sorted(DTYPES)}")
        head = Head(VERSION, session, publisher, epoch, seq, dtype, array.shape)
        raw = np.ascontiguousarray(array, dtype=dtype).tobytes()
        frames = [topic.encode("ascii"), _encoder.encode(head), _encoder.encode(message), raw]
    _check_sizes(frames)
    return frames


def decode(frames: Sequence[bytes]) -> tuple[Head, Received]:
    """Read the frames of a message.

    Raises
    ------
    Malformed, Oversized, Truncated, UnknownVersion
        Whatever is wrong with them; nothing else is raised, whatever the bytes.
    """
    if len(frames) not in (3, 4):
        raise Malformed(f"{len(frames)} frames, not 3 or 4")
    _check_sizes(frames)
    try:
        topic = frames[0].decode("ascii")
        row = stream_of(topic)
    except (UnicodeDecodeError, UnknownStream) as error:
        raise Malformed(f"topic: {error}") from None
    head = _decode_head(frames[1])
    try:
        message = _body_decoder(row.message).decode(frames[2])
    except _UNREADABLE as error:
        raise Malformed(f"body of {topic}: {error}") from None
    crc = zlib.crc32(frames[2])
    array = None
    if head.dtype:
        # An array of no samples has no bytes, and a file keeps no empty frame.
        raw = frames[3] if len(frames) == 4 else b""
        array = _decode_array(topic, head, raw)
        crc = zlib.crc32(raw, crc)
    elif len(frames) == 4:
        raise Malformed(f"{topic}: an array that the head does not announce")
    return head, Received(topic, head.publisher, head.epoch, head.seq, message, array, crc)


def pack(frames: Sequence[bytes]) -> bytes:
    """Join head, body and array (the topic is kept elsewhere) into one record for a file."""
    return b"".join((_LENGTHS.pack(len(frames[1]), len(frames[2])), *frames[1:]))


def unpack(topic: str, record: bytes) -> list[bytes]:
    """Take a record apart into frames again.

    Raises
    ------
    Truncated
        If the record is shorter than its own lengths say.
    """
    if len(record) < _LENGTHS.size:
        raise Truncated(f"{topic}: a record of {len(record)} bytes")
    head, body = _LENGTHS.unpack_from(record)
    end = _LENGTHS.size + head + body
    if len(record) < end:
        raise Truncated(f"{topic}: a record of {len(record)} bytes that should have at least {end}")
    start = _LENGTHS.size
    frames = [topic.encode("ascii"), record[start : start + head], record[start + head : end]]
    if len(record) > end or _announces_array(frames[1]):
        frames.append(record[end:])
    return frames


def read_record(topic: str, record: bytes) -> tuple[Head, Message, npt.NDArray[np.generic] | None]:
    """Read what :func:`pack` made, in one go: for analyses of millions of messages, none of which is sent on.

    Raises
    ------
    Malformed, Oversized, Truncated, UnknownVersion
        As :func:`decode`.
    """
    if len(record) < _LENGTHS.size:
        raise Truncated(f"{topic}: a record of {len(record)} bytes")
    head_bytes, body_bytes = _LENGTHS.unpack_from(record)
    body_at = _LENGTHS.size + head_bytes
    array_at = body_at + body_bytes
    if len(record) < array_at:
        raise Truncated(f"{topic}: a record of {len(record)} bytes that should have at least {array_at}")
    try:
        head = _head_decoder.decode(record[_LENGTHS.size : body_at])
        message = _topic_decoder(topic).decode(record[body_at:array_at])
    except (*_UNREADABLE, UnknownStream):
        head = None
    if head is None or head.version != VERSION or head.seq < 0 or head.epoch < 0:
        # Something is wrong with it: `decode` says what.
        found, received = decode(unpack(topic, record))
        return found, received.message, received.array
    if head.dtype:
        return head, message, _decode_array(topic, head, record[array_at:])
    if len(record) > array_at:
        raise Malformed(f"{topic}: an array that the head does not announce")
    return head, message, None


def _announces_array(head: bytes) -> bool:
    """Whether an array follows a head, be it one without a single sample."""
    try:
        return bool(_head_decoder.decode(head).dtype)
    except _UNREADABLE:
        return False


def _check_sizes(frames: Sequence[bytes]) -> None:
    limits = (MAX_TOPIC_BYTES, MAX_HEAD_BYTES, MAX_BODY_BYTES, MAX_ARRAY_BYTES)
    for frame, limit, what in zip(frames, limits, ("topic", "head", "body", "array"), strict=False):
        if len(frame) > limit:
            raise Oversized(f"{what} of {len(frame)} bytes, at most {limit}")


def _decode_head(frame: bytes) -> Head:
    # The version comes first and alone, so that a later format is refused by name, not as garbage.
    try:
        fields = msgspec.msgpack.decode(frame)
    except _UNREADABLE as error:
        raise Malformed(f"head: {error}") from None
    if not isinstance(fields, list) or not fields or type(fields[0]) is not int:
        raise Malformed("head: not an array that begins with a version")
    if fields[0] != VERSION:
        raise UnknownVersion(f"wire version {fields[0]}, this myoloop reads {VERSION}")
    try:
        head = _head_decoder.decode(frame)
    except _UNREADABLE as error:
        raise Malformed(f"head: {error}") from None
    if head.seq < 0 or head.epoch < 0:
        raise Malformed("head: a negative epoch or sequence number")
    return head


def _decode_array(topic: str, head: Head, raw: bytes) -> npt.NDArray[np.generic]:
    if head.dtype not in DTYPES:
        raise Malformed(f"{topic}: dtype {head.dtype[:16]!r} does not travel")
    if not 1 <= len(head.shape) <= 2 or min(head.shape) < 0:
        raise Malformed(f"{topic}: shape {head.shape[:4]}")
    # A side of any length makes no byte beside a side of none; numpy reckons with it all the same.
    if max(head.shape) > MAX_ARRAY_BYTES:
        raise Oversized(f"{topic}: shape {head.shape}, at most {MAX_ARRAY_BYTES} along a side")
    size = prod(head.shape) * np.dtype(head.dtype).itemsize
    if size > MAX_ARRAY_BYTES:
        raise Oversized(f"{topic}: an array of {size} bytes, at most {MAX_ARRAY_BYTES}")
    if len(raw) < size:
        raise Truncated(f"{topic}: {len(raw)} bytes of array, {size} announced")
    if len(raw) > size:
        raise Malformed(f"{topic}: {len(raw)} bytes of array, {size} announced")
    return np.frombuffer(raw, dtype=head.dtype).reshape(head.shape)
