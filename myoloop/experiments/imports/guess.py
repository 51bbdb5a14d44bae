"""A draft of a mapping file: what a recording says itself, and a hole to fill in for everything that it does not.

A unit, a rate and what a channel is are never guessed from the numbers. Where the file does not say one, the draft has
``FILL_IN``, and a mapping that still has it is refused.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myoloop.acquisition.formats import Column, FormatError, OpenedFile, format_of, open_file
from myoloop.acquisition.mapping import Format, Mapping
from myoloop.acquisition.units import UNITS, to_si
from myoloop.experiments.imports.mapping import FILL_IN, plain_label, plain_name
from myoloop.experiments.imports.xdf import read_xdf

_KIND_WORDS = {
    "emg": r"(?<![a-z])s?emg(?![a-z])",
    "imu": r"(?<![a-z])(acc|accelerometer|gyr|gyro|gyroscope|imu)(?![a-z])",
    "force": r"(?<![a-z])(force|torque|load ?cell)(?![a-z])",
}
_RATE_NAMES = frozenset({"sampling rate", "sampling_rate", "samplingrate", "fs", "srate", "sfreq", "rate_hz"})
_MOST_COLUMNS = 64
_PLUX_CHANNEL = re.compile(r"[^/]+/raw/channel_\d+")
_TIME = re.compile(r"t|time|times|timestamps?", re.IGNORECASE)
_UNITS_HINT = ", ".join(UNITS[:6])


@dataclass(frozen=True, slots=True)
class DraftChannel:
    """A channel as far as it is known: an empty `kind` or `unit` is to be filled in, None says that none is needed."""

    source: str | int
    name: str = ""
    kind: str = ""
    unit: str | None = ""
    scale: float | None = None
    offset: float | None = None
    rails: tuple[float, float] | None = None
    rate_hz: float | None = None
    stream: str = ""
    comment: str = ""


@dataclass(slots=True)
class Draft:
    """A drafted mapping file.

    Attributes
    ----------
    text
        YAML.
    missing
        Keys to fill in, as ``line: key``.
    """

    text: str
    missing: list[str]


@dataclass(slots=True)
class Known:
    """What a recording says of itself.

    Attributes
    ----------
    rate_hz
        None where each channel or the file itself says its own; 0 where nobody says one.
    time
        Column of times and its unit, empty where the file does not say it.
    more
        Lines of YAML for what belongs to this format alone.
    """

    kind: Format
    channels: list[DraftChannel]
    rate_hz: float | None = None
    time: tuple[str | int, str] | None = None
    device: str = ""
    more: list[str] = field(default_factory=list)


def draft(path: Path) -> Draft:
    """Draft the mapping file of a recording.

    Raises
    ------
    FormatError
        If it cannot be read at all.
    """
    if not path.is_file():
        raise FormatError(f"{path}: is a folder, a file is needed" if path.is_dir() else f"{path}: no such file")
    kind = format_of(path)
    if kind in ("csv", "tsv"):
        from myoloop.experiments.imports.guess_text import look_at_text

        known = look_at_text(path, kind)
    elif kind == "xdf":
        known = _xdf(path)
    elif kind in ("hdf5", "npz"):
        known = _arrays(path, kind)
    else:
        known = _columns(path, kind)
    if not known.channels:
        raise FormatError(f"{path}: has no channel of numbers")
    return _spell(path, known)


def keep_draft(drafted: Draft, path: Path) -> None:
    """Write a draft; nothing is overwritten.

    Raises
    ------
    FormatError
        If there is such a file, or it cannot be written.
    """
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(drafted.text)
    except FileExistsError:
        raise FormatError(f"{path}: is already there, nothing is overwritten") from None
    except OSError as error:
        raise FormatError(f"{path}: cannot be written: {(error.strerror or str(error)).lower()}") from None


def kind_by_words(*texts: str) -> str:
    """What a channel is by what it is called; empty where that does not say."""
    joined = re.sub(r"[_\d]+", " ", " ".join(texts).lower())
    found = [kind for kind, words in _KIND_WORDS.items() if re.search(words, joined)]
    return found[0] if len(found) == 1 else ""


def _xdf(path: Path) -> Known:
    file = read_xdf(path)
    channels: list[DraftChannel] = []
    taken: set[str] = set()
    for number, stream in enumerate(file.streams, 1):
        if stream.is_text:
            continue
        name = plain_name(stream.name, f"stream{number}")
        name = name if name not in taken else plain_name(f"{name}-{number}", f"stream{number}")
        taken.add(name)
        kind = kind_by_words(stream.kind)
        for label, unit in zip(stream.labels, stream.units, strict=True):
            known = _is_unit(unit)
            channels.append(
                DraftChannel(
                    f"{stream.name}/{label}",
                    plain_label(label, f"ch{number}"),
                    kind or kind_by_words(stream.name, label),
                    None if known else "",
                    rate_hz=None if stream.rate_hz else 0.0,
                    stream=name,
                    comment=f"the file says {unit}" if unit else f"LSL type {stream.kind}" if not kind else "",
                )
            )
    marks = [stream.name for stream in file.streams if stream.is_text]
    more = [f"# Marks of {', '.join(marks)} come by themselves; `events` would choose among them."] if marks else []
    return Known("xdf", _apart(channels), more=more)


def _columns(path: Path, kind: Format) -> Known:
    """EDF, BDF and what MNE reads: units and rates are in the file."""
    file = open_file(path, Mapping.model_validate({"format": kind, "channels": [{"from": 1}]}))
    channels = []
    rates: dict[str, set[float]] = {}
    for number, name in enumerate(file.names, 1):
        column = _column(path, file, number)
        what = column.kind or kind_by_words(name)
        rates.setdefault(what, set()).add(column.rate_hz or 0.0)
        source = name if list(file.names).count(name) == 1 else number
        channels.append((source, name, what, column))
    made = []
    for source, name, what, column in channels:
        several = len(rates[what]) > 1
        stream = plain_name(f"at-{column.rate_hz:g}-hz", "other") if several and column.rate_hz else ""
        label = plain_label(name, f"ch{source}")
        made.append(DraftChannel(source, label, what, None if column.unit else "", stream=stream))
    return Known(kind, _apart(made), device=file.device)


def _column(path: Path, file: OpenedFile, number: int) -> Column:
    try:
        return file.column(number)
    except Exception as error:  # noqa: BLE001 - readers of foreign formats raise whatever they like on a damaged file
        raise FormatError(f"{path}: channel {number}: {' '.join(str(error).split())}") from None


def _arrays(path: Path, kind: Format) -> Known:
    """HDF5 and NPZ: arrays by name; OpenSignals' own EMG is known."""
    shapes, rates = _shapes(path, kind)
    # OpenSignals keeps summaries and counters beside; its channels stand in DEVICE/raw.
    raw = {name: shape for name, shape in shapes.items() if _PLUX_CHANNEL.fullmatch(name)}
    shapes = raw or shapes
    times = [name for name, shape in shapes.items() if len(shape) == 1 and _TIME.fullmatch(name.split("/")[-1])]
    time = times[0] if len(times) == 1 else None
    channels = []
    for name, shape in shapes.items():
        if name == time:
            continue
        longest = max(range(len(shape)), key=lambda axis: shape[axis]) if shape else 0
        others = [size for axis, size in enumerate(shape) if axis != longest and size > 1]
        if len(others) > 1:
            continue
        squeezed = len(shape) == 1 or not others
        names = [name] if squeezed else [f"{name}[{index}]" for index in range(min(others[0], _MOST_COLUMNS))]
        if not squeezed and len(shape) > 2:
            continue
        for each in names:
            label = plain_label(each.split("/")[-1].replace("[", "_").replace("]", ""), "ch")
            known = _known_column(path, each) if kind == "hdf5" else None
            if known is not None and known.kind == "emg":
                channels.append(DraftChannel(each, label, "emg", None, comment="by the device's own scale"))
                continue
            rate_hz = known.rate_hz if known is not None and known.rate_hz else rates.get(name)
            in_file = (known is not None and bool(known.rate_hz)) or (time is not None and not rate_hz)
            channels.append(DraftChannel(each, label, kind_by_words(each), rate_hz=None if in_file else rate_hz or 0.0))
    return Known(kind, _apart(channels), time=None if time is None else (time, ""))


def _shapes(path: Path, kind: Format) -> tuple[dict[str, tuple[int, ...]], dict[str, float]]:
    """Arrays of numbers with more than one value, and what the file says of their rates."""
    shapes: dict[str, tuple[int, ...]] = {}
    rates: dict[str, float] = {}
    try:
        if kind == "npz":
            import numpy as np

            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
                for name in arrays.files:
                    array = arrays[name]
                    if array.dtype.kind in "biuf" and array.size > 1:
                        shapes[name] = array.shape
            return shapes, rates
        import h5py

        with h5py.File(path, "r") as file:

            def look(name: str, item: Any) -> None:
                if (
                    isinstance(name, str)
                    and isinstance(item, h5py.Dataset)
                    and item.dtype.kind in "biuf"
                    and item.size
                    and item.size > 1
                ):
                    shapes[name] = item.shape
                    rate_hz = _rate_in(item.attrs) or _rate_in(item.parent.attrs)
                    if rate_hz:
                        rates[name] = rate_hz

            file.visititems(look)
    except Exception as error:  # noqa: BLE001 - readers of foreign formats raise whatever they like on a damaged file
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{path}: not a readable {kind} file: {text}") from None
    return shapes, rates


def _rate_in(attributes: Any) -> float:
    for key in attributes:
        if str(key).lower() in _RATE_NAMES:
            try:
                rate_hz = float(attributes[key])
            except (TypeError, ValueError):
                continue
            if rate_hz > 0:
                return rate_hz
    return 0.0


def _known_column(path: Path, name: str) -> Column | None:
    """What the reader knows of a dataset by its layout alone."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            mapping = Mapping.model_validate({"format": "hdf5", "channels": [{"from": name}]})
            return open_file(path, mapping).column(name)
        except (FormatError, KeyError, ValueError):
            return None


def _is_unit(text: str) -> bool:
    try:
        to_si(text)
    except ValueError:
        return False
    return True


def _apart(channels: Sequence[DraftChannel]) -> list[DraftChannel]:
    """The same with names that differ."""
    import dataclasses

    seen: dict[str, int] = {}
    apart = []
    for each in channels:
        seen[each.name] = seen.get(each.name, 0) + 1
        name = each.name if seen[each.name] == 1 else f"{each.name[:58]}_{seen[each.name]}"
        apart.append(dataclasses.replace(each, name=name))
    return apart


def _spell(path: Path, known: Known) -> Draft:
    """YAML with a comment where something is to be filled in."""
    lines = [f"# Drafted from a {known.kind} file by `myoloop import --guess`; replace each {FILL_IN}, then import."]
    lines.append(f"format: {known.kind}")
    if known.rate_hz is not None and known.time is None:
        lines.append(_pair("rate", f"{known.rate_hz:g} Hz" if known.rate_hz else "", "such as 1000 Hz"))
    if known.time is not None:
        unit = known.time[1] or f"{FILL_IN}}}  # s, ms, us or ns"
        lines.append(f"time: {{from: {json.dumps(known.time[0])}, unit: {unit}" + ("}" if known.time[1] else ""))
    lines.append(_pair("mains", "", "of where it was recorded: 50 Hz or 60 Hz"))
    if known.device:
        lines.append(f"device: {json.dumps(known.device, ensure_ascii=False)}")
    lines.append("simulated: false  # true where nobody was recorded")
    lines += known.more
    lines.append("channels:  # leave out, or make kind ignored, what is not wanted")
    lines += [_channel_line(each) for each in known.channels]
    missing = [
        f"{number}: {key}"
        for number, line in enumerate(lines, 1)
        for key in re.findall(rf"(\w+): {FILL_IN}", line.split("#")[0])
    ]
    return Draft("\n".join(lines) + "\n", missing)


def _pair(key: str, value: str, hint: str) -> str:
    return f"{key}: {value}" if value else f"{key}: {FILL_IN}  # {hint}"


def _channel_line(each: DraftChannel) -> str:
    pairs = [f"from: {json.dumps(each.source, ensure_ascii=False)}"]
    pairs += [f"name: {json.dumps(each.name, ensure_ascii=False)}"] if each.name else []
    pairs.append(f"kind: {each.kind or FILL_IN}")
    ignored = each.kind == "ignored"
    hints = [] if each.kind else ["emg, imu, force, trigger or ignored"]
    if each.unit is not None and not ignored:
        pairs.append(f"unit: {each.unit or FILL_IN}")
        hints += [] if each.unit else [f"{_UNITS_HINT}, …"]
    for key, value in (("scale", each.scale), ("offset", each.offset)):
        pairs += [f"{key}: {value!r}"] if value is not None else []
    pairs += [f"rails: [{each.rails[0]:g}, {each.rails[1]:g}]"] if each.rails else []
    if each.rate_hz is not None and not ignored:
        pairs.append(f"rate: {f'{each.rate_hz:g} Hz' if each.rate_hz else FILL_IN}")
    pairs += [f"stream: {each.stream}"] if each.stream and not ignored else []
    comment = "; ".join([*([each.comment] if each.comment else []), *hints])
    return f"  - {{{', '.join(pairs)}}}" + (f"  # {comment}" if comment else "")
