"""Files that recordings come in: each opened as columns of raw values with what the file itself says of them."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.arrayfiles import Hdf5File, NpzFile
from myoloop.acquisition.columns import Annotation, Column, FormatError, OpenedFile, place_of_column
from myoloop.acquisition.mapping import Format, Mapping
from myoloop.acquisition.units import to_si

__all__ = ["Annotation", "Column", "FormatError", "OpenedFile", "format_of", "open_file"]


def open_file(path: Path, mapping: Mapping | None) -> OpenedFile:
    """Open a recording by its format: what the mapping says, else the file's ending.

    Raises
    ------
    FormatError
        If it cannot be read.
    """
    kind = (mapping.format if mapping else None) or format_of(path)
    if not path.exists():
        raise FormatError(f"{path}: no such file")
    if path.is_dir() and kind != "mne":
        raise FormatError(f"{path}: is a folder, a file is needed")
    reader = _READERS.get(kind)
    if reader is None:
        raise FormatError(f"{path}: the streams of an XDF file have clocks of their own; `myoloop import` reads it")
    try:
        return reader(path, mapping)
    except FormatError:
        raise
    except ImportError as error:
        raise FormatError(f"{path}: cannot be read here: {error}") from None
    except Exception as error:  # noqa: BLE001 - readers of foreign formats raise whatever they like on a damaged file
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FormatError(f"{path}: not a readable {kind} file: {text}") from None


_ENDINGS: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".txt": "tsv",
    ".npz": "npz",
    ".h5": "hdf5",
    ".hdf5": "hdf5",
    ".edf": "edf",
    ".bdf": "bdf",
    ".xdf": "xdf",
    ".xdfz": "xdf",
}


def format_of(path: Path) -> Format:
    """The format that a file's ending stands for; ``mne`` for every other."""
    return _ENDINGS.get(path.suffix.lower(), "mne")


_SEPARATORS: dict[str, str | None] = {"comma": ",", "tab": "\t", "semicolon": ";", "space": None}


class _Text:
    """CSV, TSV and the like."""

    device = ""
    emg_names = ()
    annotations = ()

    def __init__(self, path: Path, mapping: Mapping | None) -> None:
        if mapping is None:
            raise FormatError(f"{path}: a text file does not say what its columns are; a mapping file is needed")
        self._path = path
        by_ending = "," if path.suffix.lower() == ".csv" else "\t"
        self._separator = _SEPARATORS[mapping.delimiter] if mapping.delimiter else by_ending
        self._comment = mapping.comment
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError:
            raise FormatError(f"{path}: found bytes that are not UTF-8 text") from None
        numbered = [(number, line) for number, line in enumerate(lines, 1) if number > mapping.skip_lines]
        self._lines = [(number, line.strip(" \r\n")) for number, line in numbered if self._says_something(line)]
        # OpenSignals ends each line with a separator; where only some do, the last cell of those is empty.
        ends = self._separator or " "
        if all(line.endswith(ends) for _, line in self._lines):
            self._lines = [(number, line.removesuffix(ends).rstrip(" ")) for number, line in self._lines]
        header = self._cells(self._lines.pop(0)[1]) if mapping.header and self._lines else []
        if not self._lines:
            raise FormatError(f"{path}: holds no numbers")
        columns = len(header) or len(self._cells(self._lines[0][1]))
        first = len(self._cells(self._lines[0][1]))
        if first != columns:
            raise FormatError(f"{path}: {columns} names for {first} columns")
        self.names = tuple(name.strip("\"' ") for name in header) or tuple(str(n) for n in range(1, columns + 1))
        self._table = self._numbers(columns, mapping)

    def column(self, key: str | int) -> Column:
        place = place_of_column(self.names, key)
        name, values = self.names[place], self._table[:, place]
        # a text file has no types: whole numbers are counts
        if np.isfinite(values).all() and np.array_equal(values, np.trunc(values)) and np.abs(values).max() < 2**31:
            return Column(name, values.astype(np.int16 if np.abs(values).max() < 2**15 else np.int32))
        return Column(name, values)

    def _says_something(self, line: str) -> bool:
        text = line.strip()
        return bool(text) and not (self._comment and text.startswith(self._comment))

    def _cells(self, line: str) -> list[str]:
        return line.split() if self._separator is None else line.split(self._separator)

    def _numbers(self, columns: int, mapping: Mapping) -> npt.NDArray[np.float64]:
        try:
            text = [line for _, line in self._lines]
            return np.loadtxt(text, delimiter=self._separator, comments=None, ndmin=2, dtype=np.float64)
        except ValueError:
            return self._with_holes(columns, self._needed(mapping))

    def _needed(self, mapping: Mapping) -> set[int]:
        """Columns that the mapping wants; one that is not there is told where it is asked for."""
        found = set()
        for key in mapping.sources:
            with contextlib.suppress(KeyError, ValueError, FormatError):
                found.add(place_of_column(self.names, key))
        return found

    def _with_holes(self, columns: int, needed: set[int]) -> npt.NDArray[np.float64]:
        """Line by line: NaN where a cell is empty, as a lost sample is written.

        A column that nobody needs and that holds no number is text, such as notes.
        """
        table = np.full((len(self._lines), columns), np.nan)
        numbers: set[int] = set(needed)
        words: dict[int, tuple[int, str]] = {}
        for row, (number, line) in enumerate(self._lines):
            cells = self._cells(line)
            if len(cells) != columns:
                raise FormatError(f"{self._path}:{number}: found {len(cells)} columns, {columns} before")
            for place, cell in enumerate(cells):
                text = cell.strip("\"' \t")
                if text:
                    try:
                        table[row, place] = float(text)
                        numbers.add(place)
                    except ValueError:
                        words.setdefault(place, (number, cell))
        for place, (number, cell) in words.items():
            if place in numbers:
                raise FormatError(f"{self._path}:{number}: column {place + 1}: found {cell!r}, a number is needed")
        return table


class _Edf:
    """EDF and BDF: the counts as they are stored, with the header's scale."""

    def __init__(self, path: Path, mapping: Mapping | None) -> None:
        import edfio

        with path.open("rb") as stream:
            is_bdf = stream.read(1) == b"\xff"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            file = edfio.read_bdf(path) if is_bdf else edfio.read_edf(path)
        # edfio compares the times of data records digit by digit; a file that says it is continuous is.
        if not file.is_continuous and "+C" not in file.reserved:
            raise FormatError(f"{path}: is discontinuous (EDF+D); only recordings without holes can be read")
        self._signals = file.signals
        self.names = tuple(signal.label for signal in file.signals)
        self.emg_names = tuple(
            signal.label for signal in file.signals if self._says_emg(signal) and _si(signal)[0] == "V"
        )
        device = _first_line(lambda: file.recording.equipment_code)
        self.device = "" if device == "X" else device  # EDF+ for: not known
        self.annotations = [Annotation(float(a.onset), a.duration, a.text) for a in file.annotations]
        if mapping is None and not self.emg_names:
            raise FormatError(
                f"{path}: no signal is labelled EMG; a mapping file is needed, it has: {', '.join(self.names)}"
            )

    def column(self, key: str | int) -> Column:
        signal = self._signals[place_of_column(self.names, key)]
        counts = np.array(signal.digital)
        low, high = signal.digital_range
        gain = (signal.physical_max - signal.physical_min) / (high - low)
        base = signal.physical_min - gain * low
        unit, factor = _si(signal)
        kind = "emg" if signal.label in self.emg_names else ""
        rails = (float(low), float(high))
        return Column(signal.label, counts, signal.sampling_frequency, unit, gain * factor, base * factor, rails, kind)

    @staticmethod
    def _says_emg(signal: Any) -> bool:
        return bool(re.search(r"\bemg", f"{signal.label} {signal.transducer_type}", re.IGNORECASE))


def _si(signal: Any) -> tuple[str, float]:
    try:
        return to_si(signal.physical_dimension)
    except ValueError:
        return "", 1.0


_MNE_VOLTS = frozenset({"emg", "eeg", "ecg", "eog", "bio", "seeg"})


class _Mne:
    """Whatever MNE reads, in its own float64."""

    def __init__(self, path: Path, mapping: Mapping | None) -> None:
        import mne

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._raw = mne.io.read_raw(path, preload=False, verbose="error")
        self.names = tuple(self._raw.ch_names)
        self._types = dict(zip(self.names, self._raw.get_channel_types(), strict=True))
        self.emg_names = tuple(name for name in self.names if self._types[name] == "emg")
        self.device = str((self._raw.info.get("device_info") or {}).get("model") or "")
        self.annotations = [
            Annotation(float(each["onset"]) - self._begin_s(each), float(each["duration"]), str(each["description"]))
            for each in self._raw.annotations
        ]
        if mapping is None and not self.emg_names:
            raise FormatError(f"{path}: no channel is of type EMG; a mapping file is needed")

    def _begin_s(self, annotation: Any) -> float:
        """Onsets of an annotation with a date count from there, and its file's first sample may stand later."""
        return 0.0 if annotation["orig_time"] is None else float(self._raw.first_time)

    def column(self, key: str | int) -> Column:
        name = self.names[place_of_column(self.names, key)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            values = self._raw.get_data(picks=[name], verbose="error")[0]
        kind = self._types[name]
        return Column(
            name,
            np.ascontiguousarray(values),
            float(self._raw.info["sfreq"]),
            "V" if kind in _MNE_VOLTS else "",
            kind="emg" if kind == "emg" else "",
        )


_READERS: dict[Format, Callable[[Path, Mapping | None], OpenedFile]] = {
    "csv": _Text,
    "tsv": _Text,
    "npz": NpzFile,
    "hdf5": Hdf5File,
    "edf": _Edf,
    "bdf": _Edf,
    "mne": _Mne,
}


def _first_line(get: Callable[[], str]) -> str:
    try:
        return get().splitlines()[0] if get() else ""
    except (ValueError, IndexError, AttributeError):
        return ""
