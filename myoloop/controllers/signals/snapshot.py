"""The state of an object becomes JSON, and the same state again, bit for bit."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import numpy.typing as npt


class StateError(ValueError):
    """A saved state that does not belong to this object."""


class Restorable:
    """An object whose state is the attributes that `_kept` names: arrays, plain scalars, lists and other such objects.

    Arrays are written as base64 of their compressed bytes, so that NaN and the last bit survive JSON and a controller
    that has heard nothing yet is small. Arrays keep their shape for life and are restored in place.
    """

    _kept: ClassVar[tuple[str, ...]] = ()

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit: JSON-ready."""
        return {name: _freeze(getattr(self, name)) for name in self._kept}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If a name is missing or unknown, or an array has another shape or dtype.
        """
        if set(state) != set(self._kept):
            odd = sorted(set(state) ^ set(self._kept))
            raise StateError(f"state of {type(self).__name__}: missing or unknown: {', '.join(odd)}")
        for name in self._kept:
            current = getattr(self, name)
            where = f"{type(self).__name__}.{name}"
            if isinstance(current, np.ndarray):
                np.copyto(current, thaw_array(state[name], where, current.shape, current.dtype))
            elif isinstance(current, Restorable):
                current.restore(state[name])
            else:
                setattr(self, name, _plain(state[name]))


Part = TypeVar("Part", bound=Restorable)


class Table(Restorable, Generic[Part]):
    """Parts by name, made as they are asked for.

    Parameters
    ----------
    make
        Makes a part that has heard nothing yet.
    most
        With so many parts all further names share one, that of the empty name.
    """

    def __init__(self, make: Callable[[], Part], most: int) -> None:
        self._make, self._most = make, most
        self._parts: dict[str, Part] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._parts

    def __iter__(self) -> Iterator[tuple[str, Part]]:
        return iter(self._parts.items())

    def get(self, name: str) -> Part | None:
        """The part of this name, None where there is none."""
        return self._parts.get(name)

    def of(self, name: str) -> Part:
        """The part of this name, a new one where there is none."""
        part = self._parts.get(name)
        if part is None:
            if len(self._parts) >= self._most:
                name = ""
            part = self._parts.get(name)
            if part is None:
                part = self._parts[name] = self._make()
        return part

    def state(self) -> dict[str, Any]:
        """What restored parts need to go on bit for bit: JSON-ready."""
        return {name: part.state() for name, part in self._parts.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over the parts of a saved state, and no others.

        Raises
        ------
        StateError
            If it is not the state of such parts.
        """
        if not isinstance(state, Mapping):
            raise StateError(f"state of {type(self).__name__}: no parts")
        self._parts = {}
        for name, saved in state.items():
            self.of(name).restore(saved)


def freeze_array(array: npt.NDArray[Any]) -> dict[str, Any]:
    """Write an array as JSON-ready text."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {
        "dtype": little.dtype.str,
        "shape": list(array.shape),
        "base64": base64.b64encode(zlib.compress(little.tobytes(), 1)).decode("ascii"),
    }


def thaw_array(saved: Mapping[str, Any], where: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """Read an array that :func:`freeze_array` wrote.

    Raises
    ------
    StateError
        If it is not an array of this shape and dtype.
    """
    try:
        written, given = np.dtype(saved["dtype"]), tuple(saved["shape"])
        packed = base64.b64decode(saved["base64"], validate=True)
        size = dtype.itemsize * int(np.prod(shape))
        # No more than this array can hold is ever unpacked.
        data = zlib.decompressobj().decompress(packed, size + 1)
    except (KeyError, TypeError, ValueError, zlib.error) as error:
        raise StateError(f"state of {where}: not a saved array ({error})") from None
    if written != dtype or given != shape or len(data) != size:
        raise StateError(f"state of {where}: {written} {given}, this object has {dtype} {shape}")
    return np.frombuffer(data, dtype=written).reshape(shape)


def _freeze(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return freeze_array(value)
    if isinstance(value, Restorable):
        return value.state()
    return _plain(value)


def _plain(value: Any) -> Any:
    # A copy, so that a state taken once does not change as the object goes on.
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
