"""The mapping file of an import: a playback's, and what only an import can use.

Beside what :mod:`myoloop.acquisition.mapping` reads there are::

    time: {from: t, unit: ms}          # text, NPZ, HDF5: when each row was, instead of a rate or beside one
    events:                            # text: a mark at each change of a column; XDF: only these marker streams
      - {from: class, name: gesture}
    stimulated: true                   # who was recorded was stimulated by some device
    channels:
      - {from: 1, name: biceps, unit: mV, stream: arm}    # becomes emg/arm

Channels of one kind that are sampled by different clocks or at different rates need a `stream` each.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from myoloop.acquisition.formats import FormatError, format_of
from myoloop.acquisition.mapping import ChannelMap, Format, Mapping, Strict, load_mapping_of
from myoloop.platform.yamlfile import at

#: What a draft has where the file does not say; a mapping that still has it is refused.
FILL_IN = "FILL_IN"
DEFAULT_STREAM = "imported"
TimeUnit = Literal["s", "ms", "us", "ns"]
SECONDS: dict[TimeUnit, float] = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_STREAM = r"^$|^[a-z0-9][a-z0-9_-]{0,55}$"
#: Which formats can use which keys; a key that would do nothing is refused.
_TIMED: frozenset[Format] = frozenset({"csv", "tsv", "npz", "hdf5"})
_MARKED: frozenset[Format] = frozenset({"csv", "tsv", "xdf"})


class ImportedChannel(ChannelMap):
    """One channel.

    Attributes
    ----------
    stream
        Which stream of its kind it goes to, as in ``emg/<stream>``; ``imported`` if empty.
    """

    stream: str = Field("", pattern=_STREAM)

    @property
    def source_name(self) -> str:
        """The stream, also where none is said."""
        return self.stream or DEFAULT_STREAM


class TimeMap(Strict):
    """Where the time of each row stands."""

    source: str | int = Field(alias="from")
    unit: TimeUnit


class EventMap(Strict):
    """What becomes marks: a column whose value changes, or a marker stream."""

    source: str | int = Field(alias="from")
    name: str = Field("", max_length=63)


class ImportMapping(Mapping):
    """A mapping file of an import.

    Attributes
    ----------
    time
        Column of times; None where a rate is said, or the file itself says when each sample was.
    events
        What becomes marks; None for an XDF file's marker streams, all of them, and an EDF file's annotations.
    stimulated
        Whether who was recorded was stimulated; None: where a trigger was recorded.
    """

    time: TimeMap | None = None
    events: tuple[EventMap, ...] | None = None
    stimulated: bool | None = None
    # A list of a kind of ChannelMap: nobody adds others, the model is frozen.
    channels: list[ImportedChannel] = Field(min_length=1)  # type: ignore[assignment]

    @field_validator("channels")
    @classmethod
    def _one_trigger_stream(cls, value: list[ImportedChannel]) -> list[ImportedChannel]:
        emg = {channel.source_name for channel in value if channel.kind == "emg"}
        for channel in value:
            if channel.kind == "trigger" and channel.source_name not in emg:
                raise ValueError(f"the trigger {channel.source!r} stands in a stream without EMG")
        return value

    @property
    def sources(self) -> list[str | int]:
        """Everything of the file that is needed."""
        others = [] if self.time is None else [self.time.source]
        return [*super().sources, *others, *(each.source for each in self.events or ())]

    @property
    def flows(self) -> bool:
        """Whether the person was stimulated."""
        if self.stimulated is not None:
            return self.stimulated
        return any(channel.kind == "trigger" for channel in self.channels)

    def where(self, *keys: str | int) -> str:
        """``file:line: key`` of what stands in the mapping file."""
        return at(self._path, self._lines, keys) if self._path else ".".join(map(str, keys))

    def format_for(self, path: Path) -> Format:
        """Format of a recording.

        Raises
        ------
        FormatError
            If the mapping has a key that nothing can be made of in that format.
        """
        kind = self.format or format_of(path)
        if self.time is not None and kind not in _TIMED:
            raise FormatError(f"{self.where('time')}: {path}: a {kind} file says itself when its samples were")
        if self.events is not None and kind not in _MARKED:
            raise FormatError(f"{self.where('events')}: {path}: events cannot be named in a {kind} file")
        return kind


def load_import_mapping(path: Path | str) -> ImportMapping:
    """Read a mapping file of an import.

    Raises
    ------
    FileError
        With every mistake in it, one line each.
    """
    return load_mapping_of(path, ImportMapping)


def plain_name(text: Any, fallback: str) -> str:
    """A name that a stream may have, as close to a text as it goes."""
    name = re.sub(r"[^a-z0-9_-]+", "-", str(text).lower()).strip("-_")[:55].strip("-_")
    return name or fallback


def plain_label(text: Any, fallback: str) -> str:
    """A channel's name without what may not be in one."""
    return re.sub(r"[\s,/]+", "_", str(text)).strip("_")[:63] or fallback
