"""What a text file says of its columns: its header lines, the names of columns, units in brackets behind them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from myoloop.acquisition.formats import FormatError
from myoloop.acquisition.mapping import Format
from myoloop.acquisition.units import to_si
from myoloop.experiments.imports.guess import DraftChannel, Known, kind_by_words
from myoloop.experiments.imports.mapping import plain_label

_HEAD_BYTES = 1 << 18
_LINES = 200
_SEPARATORS = {"\t": "tab", ",": "comma", ";": "semicolon"}
_TIME = re.compile(r"(t|time|times|timestamp|timestamps|zeit)", re.IGNORECASE)
_COUNT = re.compile(r"(nseq|seq|sample|samples|index|row|n|counter)", re.IGNORECASE)
_MARKS = re.compile(r"(class|label|labels|marker|markers|event|events|gesture|stimulus)", re.IGNORECASE)
_UNIT_BEHIND = re.compile(r"^(.*?)[\s_]*[\[(]([^\])]+)[\])]\s*$")
_TIME_UNITS = ("s", "ms", "us", "ns")
#: EMG of these devices: 3 V supply, gain 1000.
_PLUX = frozenset({"bioplux", "biosignalsplux"})
_PLUX_SPAN_MV = 3.0


def look_at_text(path: Path, kind: Format) -> Known:
    """Look at a text file's beginning.

    Raises
    ------
    FormatError
        If there is no table of numbers in it.
    """
    with path.open("rb") as file:
        raw = file.read(_HEAD_BYTES)
    if not raw:
        raise FormatError(f"{path}: is empty")
    text = raw.decode("utf-8-sig", "replace")
    if "\0" in text:
        raise FormatError(f"{path}: holds bytes that are no text")
    # The last line may be cut where the look ends.
    lines = text.splitlines()[: _LINES if len(raw) < _HEAD_BYTES else -1][:_LINES]
    first, separator = _first_row(path, lines)
    columns = len(_cells(lines[first], separator))
    names, skip = _names(lines, first, separator, columns)
    comments = [line.lstrip("# ").rstrip() for line in lines[:first] if line.startswith("#")]
    said = _opensignals(comments) or _keys(comments)
    more = [f"delimiter: {_SEPARATORS.get(separator or '', 'space')}"]
    more += ["header: true"] if names else []
    more += [f"skip_lines: {skip}"] if skip else []
    return _known(kind, names or said.get("columns") or [], bool(names), columns, said, more)


def _known(kind: Format, names: list[str], by_name: bool, columns: int, said: dict[str, Any], more: list[str]) -> Known:
    channels, time, marks = [], None, []
    sensors: dict[str, DraftChannel] = said.get("sensors", {})
    for number in range(1, columns + 1):
        label = names[number - 1] if number <= len(names) else ""
        source: str | int = label if by_name and names.count(label) == 1 else number
        unit, plain = _unit_behind(label)
        if time is None and (_TIME.fullmatch(plain) or _TIME.fullmatch(re.sub(r"_(s|ms|us|ns)$", "", plain))):
            tail = re.search(r"_(s|ms|us|ns)$", plain)
            time = (source, unit if unit in _TIME_UNITS else tail[1] if tail else "")
        elif _MARKS.fullmatch(plain):
            marks.append(source)
        elif label in sensors:
            found = sensors[label]
            channels.append(
                DraftChannel(source, found.name, found.kind, found.unit, found.scale, found.offset, found.rails)
            )
        elif _COUNT.fullmatch(plain) or label == "DI":
            channels.append(DraftChannel(source, kind="ignored", unit=None, comment=label if not by_name else ""))
        else:
            name = plain_label(plain, f"ch{number}")
            channels.append(
                DraftChannel(source, name, kind_by_words(plain), _known_unit(unit) or _known_unit(said.get("unit", "")))
            )
    if marks:
        more = [*more, "events:", *(f"  - {{from: {json.dumps(each)}}}" for each in marks)]
    return Known(kind, channels, said.get("rate_hz", 0.0), time, said.get("device", ""), more)


def _first_row(path: Path, lines: list[str]) -> tuple[int, str | None]:
    """The line where the numbers begin, and what separates them."""
    for place, line in enumerate(lines):
        following = [each for each in lines[place : place + 10] if each.strip()]
        if not line.strip() or line.startswith("#"):
            continue
        for separator in ("\t", ",", ";", None):
            widths = {len(cells) for each in following if (cells := _cells(each, separator)) and _numbers(cells)}
            if len(widths) == 1 and all(_numbers(_cells(each, separator)) for each in following):
                return place, separator
    raise FormatError(f"{path}: no table of numbers in its first {len(lines)} lines")


def _cells(line: str, separator: str | None) -> list[str]:
    plain = line.strip().removesuffix(separator or " ").rstrip()
    return [cell.strip() for cell in (plain.split() if separator is None else plain.split(separator))]


def _numbers(cells: list[str]) -> bool:
    for cell in cells:
        try:
            float(cell)
        except ValueError:
            return False
    return bool(cells)


def _names(lines: list[str], first: int, separator: str | None, columns: int) -> tuple[list[str], int]:
    """Names in the line before the numbers, and how many lines stand before that which are no comments."""
    before = [place for place in range(first) if lines[place].strip() and not lines[place].startswith("#")]
    if before:
        cells = [cell.strip("\"' ") for cell in _cells(lines[before[-1]], separator)]
        if len(cells) == columns and all(cells) and len(set(cells)) == columns:
            return cells, before[-1] if len(before) > 1 else 0
    return [], first if before else 0


def _unit_behind(label: str) -> tuple[str, str]:
    found = _UNIT_BEHIND.match(label)
    return (found[2].strip(), found[1].strip()) if found else ("", label.strip())


def _known_unit(text: str) -> str:
    try:
        to_si(text)
    except ValueError:
        return ""
    return text.strip()


def _keys(comments: list[str]) -> dict[str, Any]:
    """``Sampling Rate (Hz):= 1000`` and its like."""
    said: dict[str, Any] = {}
    for line in comments:
        key, found, value = line.partition(":=")
        if not found:
            continue
        if key.strip().lower().startswith("sampling rate"):
            try:
                said["rate_hz"] = max(0.0, float(value))
            except ValueError:
                continue
        elif key.strip().lower() == "labels":
            said["columns"] = [each.strip() for each in value.split("\t")]
        elif key.strip().lower() == "units":
            said["unit"] = value.strip()
    return said


def _opensignals(comments: list[str]) -> dict[str, Any]:
    """The header of OpenSignals: one device's columns, rate, and scale of EMG where the device is known."""
    for line in comments:
        if not line.startswith("{"):
            continue
        try:
            devices = json.loads(line)
            ((_, device),) = devices.items()
            model, rate_hz = str(device["device"]), float(device["sampling rate"])
            columns = [str(each) for each in device["column"]]
            rows = list(zip(device["label"], device["sensor"], device["resolution"], strict=True))
            said: dict[str, Any] = {"columns": columns, "rate_hz": max(0.0, rate_hz), "device": model}
            said["sensors"] = {
                str(label): _sensor(model, str(label), str(what), int(bits)) for label, what, bits in rows
            }
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        return said
    return {}


def _sensor(model: str, label: str, what: str, bits: int) -> DraftChannel:
    if what == "EMG" and model in _PLUX and 1 <= bits <= 24:
        scale = _PLUX_SPAN_MV / 2**bits
        rails = (0.0, float(2**bits - 1))
        return DraftChannel(label, label, "emg", "mV", scale, -0.5 * _PLUX_SPAN_MV, rails)
    return DraftChannel(
        label, plain_label(label, "ch"), kind_by_words(what) or ("imu" if what in ("XYZ", "ACC") else "")
    )
