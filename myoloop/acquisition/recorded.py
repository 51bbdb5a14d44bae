"""A recording as streams: read whole, by its mapping, in a dtype that travels and alters no value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.formats import Column, FormatError, OpenedFile, open_file
from myoloop.acquisition.mapping import ChannelMap, Mapping, load_mapping
from myoloop.acquisition.units import to_si
from myoloop.platform.messages import SampleDescriptor

_EXACT_IN_DOUBLE = 2**53
_KINDS = ("emg", "imu", "force")


@dataclass(frozen=True, slots=True)
class RecordedStream:
    """One stream of a recording.

    Attributes
    ----------
    descriptor
        As of a live one.
    array
        (n_samples, n_channels), raw.
    """

    descriptor: SampleDescriptor
    array: npt.NDArray[Any]


def read_recording(path: Path | str, mapping: Path | str | Mapping | None, *, name: str) -> tuple[RecordedStream, ...]:
    """Read a recording.

    Parameters
    ----------
    path
        CSV, TSV, NPZ, HDF5, EDF, BDF, or what MNE reads.
    mapping
        The mapping, or its file; None for a file that says itself what its EMG is, of which only that is read.
    name
        Of the source: its topics are ``emg/<name>``, ``imu/<name>``, ``force/<name>``.

    Returns
    -------
    tuple of RecordedStream
        EMG first.

    Raises
    ------
    FileError
        If the mapping file is wrong.
    FormatError
        If the recording is, or does not have what the mapping says.
    """
    path = Path(path)
    rules = mapping if mapping is None or isinstance(mapping, Mapping) else load_mapping(mapping)
    file = open_file(path, rules)
    if rules is None:
        rules = Mapping.model_validate({"channels": [{"from": label} for label in file.emg_names]})
    return streams_of(path, file, rules, rules.channels, name=name)


def streams_of(
    path: Path,
    file: OpenedFile,
    rules: Mapping,
    channels: Sequence[ChannelMap],
    *,
    name: str,
    measured_hz: float | None = None,
) -> tuple[RecordedStream, ...]:
    """Make streams of some channels of an opened recording, one per kind.

    Parameters
    ----------
    path
        For messages.
    channels
        Of the mapping.
    name
        Of the source.
    measured_hz
        Rate where neither the mapping nor the file says one, such as by a column of times.

    Returns
    -------
    tuple of RecordedStream
        EMG first.

    Raises
    ------
    FormatError
        If the recording does not have what the mapping says.
    """
    streams = []
    for kind in _KINDS:
        wanted = [channel for channel in channels if rules.stream_of(channel) == kind]
        if wanted:
            streams.append(_stream(path, file, rules, kind, wanted, name, measured_hz))
    return tuple(streams)


def travelling(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The same values in a dtype that travels: ``<i2``, ``<i4``, ``<f4`` or ``<f8``.

    Raises
    ------
    ValueError
        If no such dtype holds them exactly.
    """
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "f" and size <= 8:
        return values.astype("<f4" if size <= 4 else "<f8")
    if kind not in "biu":
        raise ValueError(f"holds {values.dtype}, which cannot be carried")
    if kind == "b" or size == 1 or (kind == "i" and size == 2):
        return values.astype("<i2")
    if size == 2 or (kind == "i" and size == 4):
        return values.astype("<i4")
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low >= -(2**31) and high < 2**31:
        return values.astype("<i4")
    if max(-low, high) <= _EXACT_IN_DOUBLE:
        return values.astype("<f8")
    raise ValueError("holds whole numbers beyond 2^53, which cannot be carried exactly")


def _stream(
    path: Path,
    file: OpenedFile,
    rules: Mapping,
    kind: str,
    channels: Sequence[ChannelMap],
    name: str,
    measured_hz: float | None,
) -> RecordedStream:
    columns = [_column(path, file, rules, channel) for channel in channels]
    labels = [channel.name or column.name.split("/")[-1] for channel, column in zip(channels, columns, strict=True)]
    if len(set(labels)) != len(labels):
        raise FormatError(f"{path}: {kind} channels {', '.join(labels)}: give each a name of its own")
    si = [_physical(path, rules, channel, column) for channel, column in zip(channels, columns, strict=True)]
    rates = {
        channel.rate_hz or rules.rate_hz or column.rate_hz or measured_hz
        for channel, column in zip(channels, columns, strict=True)
    }
    if None in rates:
        raise FormatError(f"{path}: does not say its rate; set rate in the mapping file")
    if len(rates) > 1:
        said = ", ".join(f"{rate:g} Hz" for rate in sorted(filter(None, rates)))
        raise FormatError(f"{path}: {kind} channels at different rates: {said}; leave out all but those of one")
    lengths = {len(column.values) for column in columns}
    if len(lengths) > 1:
        raise FormatError(f"{path}: {kind} channels of different lengths: {', '.join(map(str, sorted(lengths)))}")
    arrays = []
    for column in columns:
        try:
            arrays.append(travelling(column.values))
        except ValueError as error:
            raise FormatError(f"{path}: {column.name}: {error}") from None
    array = np.stack(arrays, axis=1)  # integers and single floats meet in a dtype that holds both exactly
    array = array.astype(array.dtype.newbyteorder("<"), copy=False)
    low, high = _rails(path, kind, channels, columns)
    descriptor = SampleDescriptor(
        topic=f"{kind}/{name}",
        rate_hz=float(rates.pop() or 0.0),
        dtype=array.dtype.str,
        channels=tuple(labels),
        units=tuple(unit for unit, _, _ in si),
        scale=tuple(scale for _, scale, _ in si),
        offset=tuple(offset for _, _, offset in si),
        rail_low=low,
        rail_high=high,
        sync_channel=next(
            (label for channel, label in zip(channels, labels, strict=True) if channel.kind == "trigger"), None
        ),
        mains_hz=rules.mains_hz,
        device=rules.device or file.device,
    )
    return RecordedStream(descriptor, np.ascontiguousarray(array))


def _column(path: Path, file: OpenedFile, rules: Mapping, channel: ChannelMap) -> Column:
    try:
        return file.column(channel.source)
    except KeyError:
        there = ", ".join(file.names[:20]) + (", …" if len(file.names) > 20 else "")
        raise _wrong(path, rules, channel, "from", f"has no {channel.source!r}; it has: {there}") from None
    except ValueError as error:
        raise _wrong(path, rules, channel, "from", f"{channel.source}: {error}") from None


def _wrong(path: Path, rules: Mapping, channel: ChannelMap, key: str, text: str) -> FormatError:
    """What the mapping says of a channel does not fit the recording: with its place in the mapping file."""
    place = rules.place(channel, key)
    return FormatError(f"{place}: {path}: {text}" if place else f"{path}: {text}")


def _physical(path: Path, rules: Mapping, channel: ChannelMap, column: Column) -> tuple[str, float, float]:
    """SI unit, scale and offset: the mapping's if it gives a unit, else the file's."""
    if channel.unit:
        unit, factor = to_si(channel.unit)
        return unit, channel.scale * factor, channel.offset * factor
    if channel.kind == "trigger":
        return "1", channel.scale, channel.offset
    if not column.unit:
        why = f"{channel.source}: the file does not say its unit; set unit in the mapping file"
        raise _wrong(path, rules, channel, "unit", why)
    return column.unit, column.scale, column.offset


def _rails(
    path: Path, kind: str, channels: Sequence[ChannelMap], columns: Sequence[Column]
) -> tuple[float | None, float | None]:
    signals = [pair for pair in zip(channels, columns, strict=True) if pair[0].kind != "trigger"]
    said = {channel.rails or column.rails for channel, column in signals}
    if len(said) > 1:
        if any(channel.rails for channel, _ in signals):
            raise FormatError(f"{path}: {kind} channels with different rails; one pair for all is needed")
        return None, None  # only the file's headers differ; plateaus are found anyway
    low, high = next(iter(said)) or (None, None)
    return low, high
