"""XDF: what LabRecorder and its like write, several streams with a clock each.

Contents and clock synchronisation are pyxdf's: each stream's stamps are brought to the recorder's clock by its clock
offsets, stretch by stretch where that clock was set anew. Smoothing of stamps is ours (``times``), since pyxdf's joins
shorter holes.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.formats import Annotation, Column, FormatError
from myoloop.acquisition.units import to_si
from myoloop.experiments.imports.xdf_chunks import survey

Floats = npt.NDArray[np.float64]

#: Recorders measure clock offsets every five seconds, from a stream's first sample to its last.
_NEAR_S = 60.0
_GZIP = b"\x1f\x8b"


@dataclass(slots=True)
class LoadedStream:
    """One stream.

    Attributes
    ----------
    name
        Its own; with its number behind where two are called the same.
    kind
        LSL's type, such as ``EMG``.
    labels, units
        One per channel; a number, and empty, where the stream does not say.
    rate_hz
        As it says; 0 where it says that it has none.
    values
        (n_samples, n_channels); of text a list of rows.
    time_s, stamp_s
        (n_samples,): on the recorder's clock; as the stream's own clock stamped them.
    resets
        Rows before which that clock was set anew.
    has_offsets, far_offsets
        Whether the file says how its clock relates to the recorder's; whether all that it says of it was measured long
        before or after its samples, as recorders write it that got no answer.
    """

    name: str
    kind: str
    labels: list[str]
    units: list[str]
    rate_hz: float
    values: Any
    time_s: Floats
    stamp_s: Floats
    resets: list[int]
    has_offsets: bool
    far_offsets: bool = False

    @property
    def is_text(self) -> bool:
        """Whether its samples are text: markers."""
        return not isinstance(self.values, np.ndarray)


@dataclass(slots=True)
class XdfFile:
    """An XDF file; its columns are called ``stream/channel``.

    Attributes
    ----------
    cut
        What is left out at its end, in words; empty where it is whole.
    notes
        What else its reader is to know.
    recorded_at
        When, as the file says it.
    """

    path: Path
    streams: list[LoadedStream]
    cut: str = ""
    notes: list[str] = field(default_factory=list)
    recorded_at: str = ""
    device: str = ""
    annotations: Sequence[Annotation] = ()

    @property
    def names(self) -> Sequence[str]:
        """Columns of all streams of numbers."""
        return [f"{stream.name}/{label}" for stream in self.streams if not stream.is_text for label in stream.labels]

    @property
    def emg_names(self) -> Sequence[str]:
        """Columns of streams of type EMG, where the unit is said too."""
        known = []
        for stream in self.streams:
            if stream.kind.lower() == "emg" and not stream.is_text:
                known += [
                    f"{stream.name}/{label}" for label, unit in zip(stream.labels, stream.units, strict=False) if unit
                ]
        return known

    def column(self, key: str | int) -> Column:
        """One column; KeyError if there is none such, ValueError if its samples are text."""
        stream, place = self.find(key)
        unit, scale = "", 1.0
        if stream.units[place]:
            try:
                unit, scale = to_si(stream.units[place])
            except ValueError:
                unit = ""
        kind = "emg" if stream.kind.lower() == "emg" else ""
        name = f"{stream.name}/{stream.labels[place]}"
        return Column(name, stream.values[:, place], stream.rate_hz or None, unit, scale, kind=kind)

    def find(self, key: str | int) -> tuple[LoadedStream, int]:
        """The stream of a column, and the column in it."""
        places = [(s, place) for s in self.streams if not s.is_text for place in range(len(s.labels))]
        if isinstance(key, int):
            if not 1 <= key <= len(places):
                raise KeyError(key)
            return places[key - 1]
        found = [(s, place) for s, place in places if f"{s.name}/{s.labels[place]}" == key]
        if not found:
            if any(s.name == key for s in self.streams):
                raise ValueError("is a whole stream; name one of its channels, as in stream/channel")
            raise KeyError(key)
        if len(found) > 1:
            raise ValueError("stands twice in the file; use its number")
        return found[0]


def read_xdf(path: Path) -> XdfFile:
    """Read a file.

    Raises
    ------
    FormatError
        If it is not one, or damaged before its end, or pyxdf is not installed.
    """
    try:
        import pyxdf
    except ImportError:
        raise FormatError(f"{path}: pyxdf is not installed; pip install 'myoloop[lsl]'") from None
    data = path.read_bytes()
    if data[:2] == _GZIP:
        raise FormatError(f"{path}: is packed with gzip; unpack it first")
    found = survey(data, path)
    stamps: dict[int, list[Floats]] = {}

    def keep(values: Any, stamp_s: Floats, info: Any, stream_id: int) -> tuple[Any, Floats, Any]:
        stamps.setdefault(stream_id, []).append(stamp_s.copy())
        return values, stamp_s, info

    said = _Said()
    with said.of(pyxdf), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        try:
            streams, header = pyxdf.load_xdf(
                io.BytesIO(data[: found.whole_bytes]), on_chunk=keep, dejitter_timestamps=False
            )
        except Exception as error:  # noqa: BLE001 - the reader of a foreign format raises whatever it likes
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise FormatError(f"{path}: cannot be read: {text}") from None
    names = [each.name for each in found.streams.values()]
    loaded = []
    for each in streams:
        stream_id = each["info"]["stream_id"]
        seen = found.streams[stream_id]
        name = seen.name if names.count(seen.name) == 1 else f"{seen.name} ({stream_id})"
        raw = np.concatenate(stamps[stream_id]) if stream_id in stamps else np.zeros(0)
        loaded.append(_loaded(each, name, seen.kind, raw))
        if len(each["time_stamps"]) != seen.samples:
            less = seen.samples - len(each["time_stamps"])
            said.lines.append(f"{name}: {less} samples behind the stream's own end are left out (pylsl#67)")
    cut = ""
    if found.left_out_bytes:
        cut = f"it stops within a chunk: the last {found.left_out_bytes} bytes are left out"
    at = ((header or {}).get("info") or {}).get("datetime") if isinstance((header or {}).get("info"), dict) else None
    return XdfFile(path, loaded, cut, said.lines, str(at[0]) if at and at[0] else "")


def _loaded(each: Any, name: str, kind: str, raw: Floats) -> LoadedStream:
    info = each["info"]
    count = int(info["channel_count"][0])
    channels = _channels(info, count)
    labels = [label or str(number) for number, (label, _) in enumerate(channels, 1)]
    if len(set(labels)) != len(labels):
        labels = [f"{number}:{label}" for number, label in enumerate(labels, 1)]
    time_s = np.asarray(each["time_stamps"], np.float64)
    return LoadedStream(
        name=name,
        kind=kind,
        labels=labels,
        units=[unit for _, unit in channels],
        rate_hz=float(info["nominal_srate"][0]),
        values=each["time_series"],
        time_s=time_s,
        stamp_s=raw[: len(time_s)],
        resets=[begin for begin, _ in info["clock_segments"][1:]],
        has_offsets=bool(each["clock_times"]),
        far_offsets=_are_far(each["clock_times"], raw),
    )


def _are_far(collected_s: Sequence[float], stamp_s: Floats) -> bool:
    """Whether every clock offset was measured far from the stream's samples, by its own clock."""
    if not len(stamp_s):
        return False
    begin_s, end_s = float(stamp_s.min()) - _NEAR_S, float(stamp_s.max()) + _NEAR_S
    return bool(collected_s) and not any(begin_s <= at_s <= end_s for at_s in collected_s)


def _channels(info: Any, count: int) -> list[tuple[str, str]]:
    """Label and unit of each channel, empty where the stream's description does not say it."""
    try:
        listed = info["desc"][0]["channels"][0]["channel"]
    except (KeyError, IndexError, TypeError):
        listed = []
    if len(listed) != count or not all(isinstance(each, dict) for each in listed):
        return [("", "")] * count

    def text(channel: Any, key: str) -> str:
        found = channel.get(key)
        return found[0].strip() if found and isinstance(found[0], str) else ""

    return [(text(each, "label"), text(each, "unit")) for each in listed]


class _Said(logging.Handler):
    """What pyxdf has to say of a file, kept instead of printed."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = " ".join(record.getMessage().split())
        # Stretches between its own breaks, which are not looked for here.
        if "Segments and clock-segments differ" not in text:
            self.lines.append(f"pyxdf: {text}")

    def of(self, pyxdf: Any) -> _Listening:
        return _Listening(self, logging.getLogger("pyxdf.pyxdf"))


class _Listening:
    """Hear a library's log for a while."""

    def __init__(self, handler: logging.Handler, log: logging.Logger) -> None:
        self._handler, self._log = handler, log
        self._before = log.propagate

    def __enter__(self) -> None:
        self._log.addHandler(self._handler)
        self._log.propagate = False

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self._handler)
        self._log.propagate = self._before
