"""What a session file looks like inside: MCAP, and what of it is ours.

For a stranger who holds such a file: it is MCAP (any MCAP tool lists its channels), and the metadata record
``myoloop.format`` in it says in words what :data:`FORMAT` says here. Every channel carries one topic; its schema is
the JSON schema of the message's fields; its message data are::

    u32 head length | u32 body length | head | body | array          (lengths little endian)

with head and body in msgpack and the array raw, little endian, row by row, its dtype and shape in the head. The
channel of a sample stream carries the stream's descriptor as channel metadata, one JSON value per key.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from myoloop.platform import wire
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Message, SampleDescriptor

MAGIC = b"\x89MCAP0\r\n"
PROFILE = "myoloop-1"
MESSAGE_ENCODING = "myoloop-1"
SCHEMA_ENCODING = "jsonschema"
SESSION_FILE = "session.mcap"

#: Names of the metadata records: what the session is, how to read it, how it ended; what was salvaged of it.
SESSION = "myoloop.session"
FORMAT_NAME = "myoloop.format"
END = "myoloop.end"
SALVAGED = "myoloop.salvaged"

FORMAT: dict[str, str] = {
    "message": "u32 head length | u32 body length | head | body | array; lengths little endian; head and body msgpack",
    "head": "msgpack array: wire version, session, publisher, epoch, seq, dtype, shape",
    "body": "msgpack map of the fields that the channel's JSON schema names",
    "array": "raw, little endian, C order, (samples, channels); physical value = raw * scale + offset in units",
    "time": "log_time is monotonic nanoseconds of the recording host; myoloop.session has the wall time at start",
    "chain": "SHA-256 over the magic and all header, schema, channel, message and metadata records, in order and "
    "as they stand in the file before compaction; a chain message covers everything before it, the next one covers "
    "it, myoloop.end covers everything before the end",
}

#: Nothing of ours is larger: a message record, and a chunk before compression.
MAX_RECORD_BYTES = 64 + 22 + wire.MAX_HEAD_BYTES + wire.MAX_BODY_BYTES + wire.MAX_ARRAY_BYTES
CHUNK_BYTES = 1 << 20
MAX_CHUNK_BYTES = CHUNK_BYTES + MAX_RECORD_BYTES


class RecordingError(UserError, ValueError):
    """Something is wrong with a recording or the place it should stand; the text is for the user."""


class DamagedRecording(RecordingError):
    """A file that cannot be what was written.

    Attributes
    ----------
    offset
        Byte in the file where it shows.
    what
        What is wrong there.
    """

    def __init__(self, offset: int, what: str) -> None:
        super().__init__(f"byte {offset}: {what}")
        self.offset = offset
        self.what = what


def schema_name(message: type[Message]) -> str:
    """Name of a message's schema record."""
    return f"myoloop.{message.__name__}"


@cache
def schema_json(message: type[Message]) -> bytes:
    """JSON schema of a message's fields, the same bytes every time."""
    return msgspec.json.encode(msgspec.json.schema(message), order="sorted")


def descriptor_metadata(descriptor: SampleDescriptor) -> dict[str, str]:
    """Channel metadata of a sample stream: every field of its descriptor as JSON."""
    fields = {name: getattr(descriptor, name) for name in descriptor.__struct_fields__ if name != "topic"}
    return {name: msgspec.json.encode(value).decode() for name, value in fields.items()}


def descriptor_of(topic: str, metadata: Mapping[str, str]) -> SampleDescriptor:
    """Read the descriptor of a sample stream back from its channel metadata.

    Raises
    ------
    RecordingError
        If the metadata do not describe a sample stream.
    """
    try:
        fields: dict[str, Any] = {name: msgspec.json.decode(value) for name, value in metadata.items()}
        return msgspec.convert({"topic": topic, **fields}, SampleDescriptor)
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RecordingError(f"{topic}: channel metadata are not a sample descriptor: {error}") from None
