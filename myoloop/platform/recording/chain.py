"""The running hash over a recording.

It is the SHA-256 of the live file's own bytes from the first on: the magic, then every header, schema, channel,
message and metadata record, whole and in file order, up to the end of the data section. So for a file as it was
written, ``head -c N session.mcap | sha256sum`` gives the hash after N bytes; a compacted file holds the same records
in the same order, and its chain is taken over them unpacked.

A chain message (stream ``chain``) states the number of records and the hash of everything before it. It is itself
hashed like any other record, so the next chain message, or the end record, covers it. The end record (metadata
``myoloop.end``) states the hash of everything before it, and the **head** of the recording is the hash once more
after the end record, so that outcome and reason are covered too.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from myoloop.platform.messages import Chain

__all__ = ["ChainSchedule", "RunningHash"]


class RunningHash:
    """SHA-256 over bytes, and the number of records they hold."""

    __slots__ = ("_sha256", "records")

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self.records = 0

    def add(self, data: bytes, records: int = 1) -> None:
        """Take in the next bytes of the file, which complete `records` records."""
        self._sha256.update(data)
        self.records += records

    def head(self) -> str:
        """Hash of everything so far, hexadecimal."""
        # hexdigest leaves the running state alone: hashlib finishes a copy.
        return self._sha256.hexdigest()

    def message(self) -> Chain:
        """The chain message that states this point."""
        return Chain(records=self.records, sha256=self.head())


@dataclass(frozen=True, slots=True)
class ChainSchedule:
    """How often a chain message is written: after so many records or so much time, whichever comes first.

    Attributes
    ----------
    every_ns, every_records
        What stands after the last chain message is the part of a cut file that nothing vouches for.
    """

    every_ns: int = 200_000_000
    every_records: int = 500

    def due(self, records: int, since_ns: int) -> bool:
        """Whether one is due, `records` records and `since_ns` after the last."""
        return records > 0 and (records >= self.every_records or since_ns >= self.every_ns)
