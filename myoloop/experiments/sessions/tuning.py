"""Settings of policies, reflexes and estimators as a protocol writes them, with units, into the parts' own fields.

A protocol writes ``hold_off: 2 s``; the reflex's field is ``hold_off_s``. A key that is a field's own name is for what
has no unit.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec

from myoloop.platform.errors import UserError
from myoloop.platform.quantities import QuantityError, parse

#: Ending of a field's name and the unit it stands for.
SUFFIXES = {
    "s": "s",
    "ms": "ms",
    "us": "us",
    "hz": "Hz",
    "ma": "mA",
    "uv": "uV",
    "uc": "uC",
    "ma_per_s": "mA/s",
}


class TuningError(UserError, ValueError):
    """A setting that does not fit; the text names the key, what was found and what is allowed."""


def tune(where: str, values: Mapping[str, Any], settings: Any) -> dict[str, Any]:
    """Turn what a protocol says into plain values of a settings class.

    Parameters
    ----------
    where
        Names the place in messages: ``controller.reflex``.
    settings
        A dataclass or msgspec struct class.

    Raises
    ------
    TuningError
        If a key is unknown or a value has not the unit its field needs.
    """
    fields = _fields(settings)
    spoken = {_spoken(name): name for name in fields}
    tuned: dict[str, Any] = {}
    for key, value in values.items():
        name = spoken.get(key) or (key if key in fields else None)
        if name is None:
            near = difflib.get_close_matches(key, [*spoken], n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise TuningError(f"{where}.{key}: unknown key{meant}, allowed: {', '.join(sorted(spoken))}")
        below = _settings_class(fields[name])
        if below is not None and isinstance(value, Mapping):
            tuned[name] = tune(f"{where}.{key}", value, below)
            continue
        unit = _unit(name)
        try:
            tuned[name] = _read(value, unit) if unit else value
        except QuantityError as error:
            raise TuningError(f"{where}.{key}: {error}") from None
    return tuned


def _read(value: Any, unit: str) -> Any:
    """A quantity, or a list of them or one for each name."""
    if isinstance(value, Mapping):
        return {name: _read(each, unit) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_read(each, unit) for each in value]
    return None if value is None else parse(value, unit)


def _fields(settings: Any) -> dict[str, Any]:
    hints = get_type_hints(settings)
    if isinstance(settings, type) and issubclass(settings, msgspec.Struct):
        return {field.name: hints[field.name] for field in msgspec.structs.fields(settings)}
    return {field.name: hints[field.name] for field in dataclasses.fields(settings)}


def _ending(name: str) -> str:
    """The unit's ending of a field's name; a rate of something without a unit (``change_per_s``) has none."""
    endings = sorted(SUFFIXES, key=len, reverse=True)
    found = next((end for end in endings if name.endswith(f"_{end}")), "")
    return "" if found == "s" and name.endswith("_per_s") else found


def _spoken(name: str) -> str:
    """The key a person writes for a field."""
    ending = _ending(name)
    return name.removesuffix(f"_{ending}") if ending else name


def _unit(name: str) -> str:
    return SUFFIXES.get(_ending(name), "")


def _settings_class(kind: Any) -> Any:
    if get_origin(kind) in (Union, types.UnionType):
        return next(filter(None, map(_settings_class, get_args(kind))), None)
    is_class = isinstance(kind, type)
    return kind if is_class and (issubclass(kind, msgspec.Struct) or dataclasses.is_dataclass(kind)) else None
