"""Files of named arrays: NPZ and HDF5, in which the longest axis of an array is time."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.columns import Annotation, Column, FormatError, place_of_column
from myoloop.acquisition.mapping import Mapping

#: A dataset smaller than this is read whatever the file's size; a larger one may be packed so much at most.
_VAST_BYTES, _MOST_PACKED = 1 << 26, 1000


class _Arrays:
    """Named arrays of any shape, in which the longest axis is time."""

    _NAME = re.compile(r"(.+?)(?:\[\s*(\d+(?:\s*,\s*\d+)*)\s*\])?")

    def __init__(self, path: Path) -> None:
        self._path = path
        self.device = ""
        self.emg_names: Sequence[str] = ()
        self.names: Sequence[str] = ()
        self.annotations: Sequence[Annotation] = ()

    def _get(self, name: str) -> npt.NDArray[Any]:
        raise NotImplementedError

    def _plain(self, key: str | int) -> str:
        """The array that a channel's `from` speaks of."""
        if isinstance(key, int):
            return self.names[key - 1] if 1 <= key <= len(self.names) else ""
        found = self._NAME.fullmatch(key.strip("/"))
        return found[1] if found else key

    def column(self, key: str | int) -> Column:
        name = key if isinstance(key, str) else self.names[place_of_column(self.names, key)]
        found = self._NAME.fullmatch(name)
        plain, index = (found[1], found[2]) if found else (name, None)
        if plain not in self.names:
            raise KeyError(name)
        return Column(name, self._series(plain, self._get(plain), index))

    def _series(self, name: str, array: npt.NDArray[Any], index: str | None) -> npt.NDArray[Any]:
        if array.dtype.kind not in "biuf":
            raise ValueError(f"holds {array.dtype}, numbers are needed")
        if array.size == 0:
            raise ValueError("is empty")
        if array.ndim > 1 and index is None:
            array = np.squeeze(array)
            if array.ndim > 1:
                raise ValueError(f"has the shape {array.shape}; say which channel, as in {name}[0]")
        if index is None:
            return np.atleast_1d(array)
        wanted = [int(number) for number in index.split(",")]
        if len(wanted) != array.ndim - 1:
            raise ValueError(f"has the shape {array.shape}: {array.ndim - 1} numbers are needed in the brackets")
        series = np.moveaxis(array, int(np.argmax(array.shape)), -1)
        try:
            return np.asarray(series[tuple(wanted)])
        except IndexError:
            raise ValueError(f"has the shape {array.shape}: {index} is beyond it") from None


class NpzFile(_Arrays):
    """NPZ, by name."""

    def __init__(self, path: Path, mapping: Mapping | None) -> None:
        super().__init__(path)
        if mapping is None:
            raise FormatError(f"{path}: an NPZ file does not say what its arrays are; a mapping file is needed")
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            self.names = tuple(arrays.files)
            wanted = {self._plain(source) for source in mapping.sources}
            self._data = {name: np.asarray(arrays[name]) for name in self.names if name in wanted}

    def _get(self, name: str) -> npt.NDArray[Any]:
        return self._data[name]


class Hdf5File(_Arrays):
    """HDF5 by path; in the layout of OpenSignals, EMG of PLUX devices is known by itself."""

    #: EMG sensor of these devices: 3 V supply, gain 1000, so that V = (counts / 2^bits - 0.5) * 3 / 1000.
    _PLUX = frozenset({"bioplux", "biosignalsplux"})
    _SUPPLY_V, _GAIN = 3.0, 1000.0

    def __init__(self, path: Path, mapping: Mapping | None) -> None:
        super().__init__(path)
        import h5py

        self._known: dict[str, Column] = {}
        self._data: dict[str, npt.NDArray[Any]] = {}
        with h5py.File(path, "r") as file:
            datasets: list[str] = []
            # A name that is no text comes as bytes; nobody can say it in a mapping file.
            file.visititems(lambda name, item: datasets.append(name) if isinstance(item, h5py.Dataset) else None)
            self.names = tuple(name for name in datasets if isinstance(name, str))
            wanted = {self._plain(source) for source in mapping.sources} if mapping else None
            for name in self.names:
                if wanted is None or name in wanted:
                    self._refuse_vast(file[name])
                    self._look(file, name)
        self.emg_names = tuple(name for name, column in self._known.items() if column.kind == "emg")
        if mapping is None and not self.emg_names:
            raise FormatError(f"{path}: no EMG of a known device in it; a mapping file is needed")

    def column(self, key: str | int) -> Column:
        """One dataset, by the device's own scale where it is known."""
        name = (key if isinstance(key, str) else self.names[place_of_column(self.names, key)]).strip("/")
        known = self._known.get(name)
        return known if known is not None else super().column(name)

    def _get(self, name: str) -> npt.NDArray[Any]:
        return self._data[name]

    def _refuse_vast(self, dataset: Any) -> None:
        # A file of some bytes may claim a dataset of any size; what was never written reads as zeros.
        if dataset.nbytes > max(_VAST_BYTES, _MOST_PACKED * self._path.stat().st_size):
            raise FormatError(
                f"{self._path}: {dataset.name}: claims {dataset.nbytes} bytes, more than the file can hold"
            )

    def _look(self, file: Any, name: str) -> None:
        parts = name.split("/")
        if len(parts) == 3 and parts[1] == "raw" and parts[2].startswith("channel_"):
            device = file[parts[0]].attrs
            number = int(parts[2].removeprefix("channel_"))
            bits = dict(zip(device["channels"].tolist(), device["resolution"].tolist(), strict=True))[number]
            model = _as_text(device.get("device", ""))
            sensor = _as_text(file[name].attrs.get("sensor", ""))
            self.device = f"{model} {_as_text(device.get('device name', ''))}".strip()
            values = file[name][:].reshape(-1)
            rate_hz = float(device["sampling rate"])
            if sensor == "EMG" and model in self._PLUX:
                scale = self._SUPPLY_V / self._GAIN / 2**bits
                offset = -0.5 * self._SUPPLY_V / self._GAIN
                rails = (0.0, float(2**bits - 1))
                self._known[name] = Column(name, values, rate_hz, "V", scale, offset, rails, "emg")
            else:
                self._known[name] = Column(name, values, rate_hz)
            return
        if file[name].dtype.kind in "biuf":
            self._data[name] = file[name][()]
        else:
            self._data[name] = np.zeros(0, "S1")


def _as_text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
