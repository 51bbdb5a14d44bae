"""Faults in words: ``KIND[=VALUE][@SECONDS]``, such as ``drop-answers``, ``answer-delay=300ms@5`` or ``restart@10``.

A kind is a field of the emulator's faults (with hyphens; ``_ns`` may be left out), or ``restart``. A value is read as
the field's type says:

===================  =====================================================
true or false        nothing, ``on`` or ``off``
a time (``_ns``)     ``300ms``, ``20us``, ``1.5s``, a whole number of ns, ``none`` where it may be
a moment (``_at_ns`` and ``_from_ns``)  the same, counted from when the fault is set
a number             the number; ``inf`` where it need not be whole
bytes                hexadecimal
several              with commas: ``0,2``; nothing for none
of each output       with colons: ``0:2000,1:inf``; those not named stay as they are
===================  =====================================================
"""

from __future__ import annotations

import math
import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields
from typing import Any, Union, get_args, get_origin, get_type_hints

from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.faults import LineFaults
from myoloop.stimulators.emulators.registry import EmulatorError

RESTART = "restart"
_UNITS_NS = {"ns": 1, "us": 1_000, "ms": 1_000_000, "s": 1_000_000_000}
_SEVERAL = {set: set, frozenset: frozenset, list: list, tuple: tuple}


@dataclass(frozen=True, slots=True)
class TimedFault:
    """One fault that was asked for.

    Attributes
    ----------
    kind
        Field of the emulator's faults, or ``restart``.
    value
        As it was written; None where nothing was.
    after_s
        When, counted from the beginning.
    """

    kind: str
    value: str | None
    after_s: float

    def set(self, device: Emulator, now_ns: int) -> None:
        """Break it."""
        if self.kind == RESTART:
            device.restart(now_ns)
            return
        faults = device.faults
        value = _read(self, _types(faults)[self.kind], now_ns)
        was = getattr(faults, self.kind)
        setattr(faults, self.kind, {**was, **value} if isinstance(was, Mapping) else value)


def read_fault(text: str, faults: LineFaults) -> TimedFault:
    """Read a fault in words and see that these faults have it.

    Raises
    ------
    EmulatorError
        If there is no such fault, or its value or time is none.
    """
    what, at, after = text.rpartition("@") if "@" in text else (text, "", "0")
    kind, equals, value = what.partition("=")
    field = kind.strip().replace("-", "_")
    known = _types(faults)
    if field not in known and f"{field}_ns" in known:
        field += "_ns"
    if field != RESTART and field not in known:
        raise EmulatorError(f"fault {text!r}: there is none of that kind; there are {', '.join(fault_kinds(faults))}")
    try:
        after_s = float(after)
    except ValueError:
        after_s = math.nan
    if not 0 <= after_s < math.inf:
        raise EmulatorError(f"fault {text!r}: found {after!r} behind {at}, allowed is a number of seconds, at least 0")
    found = TimedFault(field, value if equals else None, after_s)
    if field != RESTART:
        _read(found, known[field], 0)
    elif equals:
        raise EmulatorError(f"fault {text!r}: a restart has no value")
    return found


def fault_kinds(faults: LineFaults) -> list[str]:
    """What may break, as it is written."""
    return sorted([*(name.removesuffix("_ns").replace("_", "-") for name in _types(faults)), RESTART])


def _types(faults: LineFaults) -> dict[str, Any]:
    hints = get_type_hints(type(faults))
    return {each.name: hints[each.name] for each in fields(faults)}


def _read(fault: TimedFault, kind: Any, now_ns: int) -> Any:
    text = fault.value
    name = fault.kind.removesuffix("_ns").replace("_", "-")
    if text is None:
        if kind is not bool:
            raise EmulatorError(f"fault {name}: needs a value, {name}=VALUE")
        return True
    try:
        return _value(text.strip(), kind, fault.kind, now_ns)
    except (ValueError, OverflowError):
        raise EmulatorError(f"fault {name}: found {text!r}, allowed is {_allowed(kind, fault.kind)}") from None


def _value(text: str, kind: Any, field: str, now_ns: int) -> Any:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        if text == "none" and type(None) in inner:
            return None
        return _value(text, next(each for each in inner if each is not type(None)), field, now_ns)
    if origin in _SEVERAL:
        return _SEVERAL[origin](_value(each, inner[0], field, now_ns) for each in _parts(text))
    if origin is not None and issubclass(origin, Mapping):
        pairs = [each.partition(":") for each in _parts(text)]
        return {_value(key, inner[0], "", now_ns): _value(value, inner[1], field, now_ns) for key, _, value in pairs}
    if kind is bool:
        return {"on": True, "off": False}[text] if text in ("on", "off") else _refuse()
    if kind is int and field.endswith("_ns"):
        moment = field.endswith(("_at_ns", "_from_ns"))
        return _duration_ns(text) + (now_ns if moment else 0)
    if kind is float:
        number = float(text)
        return _refuse() if math.isnan(number) else number
    if kind is bytes:
        return bytes.fromhex(text)
    return kind(text)


def _parts(text: str) -> Collection[str]:
    return [each.strip() for each in text.split(",")] if text else []


def _duration_ns(text: str) -> int:
    number = text.rstrip("nums")
    unit = _UNITS_NS[text[len(number) :] or "ns"] if text[len(number) :] in ("", *_UNITS_NS) else _refuse()
    duration_ns = float(number) * unit
    return round(duration_ns) if 0 <= duration_ns < math.inf else _refuse()


def _refuse() -> Any:
    raise ValueError


def _allowed(kind: Any, field: str) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if each is type(None) else _allowed(each, field) for each in inner)
    if origin in _SEVERAL:
        return f"{_allowed(inner[0], field)}, or several with commas"
    if origin is not None and issubclass(origin, Mapping):
        return f"NUMBER:VALUE, or several with commas, each value {_allowed(inner[1], field)}"
    if kind is int and field.endswith("_ns"):
        return "a time such as 300ms"
    return {bool: "on or off", int: "a whole number", float: "a number", bytes: "hexadecimal digits"}.get(kind, "text")
