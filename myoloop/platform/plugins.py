"""Parts by name: sources, drivers, policies, estimators, reports; ours, and those that other packages announce.

A part is a class with its frozen settings dataclass as ``Class.Settings``. Another package announces one by an entry
point of the group (``myoloop.policies``, …). Our own are found without entry points too, so that a source tree works
as an installed package does, and no other package can take their names.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import importlib
import inspect
from collections.abc import Mapping
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import msgspec

from myoloop.platform.errors import UserError

_SINGULAR = {
    "myoloop.sources": "source",
    "myoloop.drivers": "driver",
    "myoloop.policies": "policy",
    "myoloop.estimators": "estimator",
    "myoloop.reports": "report",
}


class PluginError(UserError, ValueError):
    """There is no such part, it cannot be loaded, or its settings do not fit it.

    Attributes
    ----------
    key
        Which key of the settings is meant, as ``settings.channels[1]``; empty where it is the name that is wrong.
    problem
        The text without part and key, for who knows in which file they stand.
    """

    def __init__(self, text: str, *, key: str = "", problem: str = "") -> None:
        super().__init__(text)
        self.key = key
        self.problem = problem or text


def plugin_names(group: str, built_in: Mapping[str, str]) -> tuple[str, ...]:
    """Every name that can be chosen in a group, in order."""
    return tuple(sorted({*built_in, *entry_points(group=group).names}))


def find_plugin(group: str, built_in: Mapping[str, str], name: str) -> Any:
    """The class of a part.

    Parameters
    ----------
    group
        ``myoloop.sources``, ``myoloop.drivers``, …
    built_in
        Our own: name -> ``module:Class``.

    Raises
    ------
    PluginError
        If nothing of that name is installed, two packages claim it, it cannot be loaded, or it has no settings.
    """
    what = f"{_SINGULAR.get(group, group)} {name!r}"
    if name in built_in:
        target = built_in[name]
    else:
        targets = sorted({point.value for point in entry_points(group=group) if point.name == name})
        if not targets:
            known = plugin_names(group, built_in)
            raise PluginError(f"there is no {what}{_meant(name, known)}; installed: {', '.join(known) or 'none'}")
        if len(targets) > 1:
            raise PluginError(f"{what} is claimed by {' and '.join(targets)}")
        target = targets[0]
    module, _, attribute = target.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except Exception as error:
        # Another package's module may raise anything while it is imported.
        raise PluginError(f"{what} ({target}) cannot be loaded: {type(error).__name__}: {error}") from error
    if not dataclasses.is_dataclass(getattr(found, "Settings", None)):
        raise PluginError(f"{what} ({target}) has no dataclass Settings")
    return found


def plugin_settings(what: str, cls: Any, values: Mapping[str, Any]) -> Any:
    """Turn plain values into a part's own settings.

    Parameters
    ----------
    what
        Names the part in messages: ``source 'playback'``.
    cls
        The part's class.

    Raises
    ------
    PluginError
        If a key is unknown, missing or of the wrong kind, or the settings refuse themselves.
    """
    allowed = [field.name for field in dataclasses.fields(cls.Settings)]
    for key in values:
        if key not in allowed:
            problem = f"unknown key{_meant(key, allowed)}, allowed: {', '.join(allowed)}"
            raise _wrong(what, f"settings.{key}", problem)
    try:
        return msgspec.convert(dict(values), cls.Settings)
    except msgspec.ValidationError as error:
        problem, _, where = str(error).partition(" - at `$")
        key = f".{where.strip('.`')}" if where else ""
        raise _wrong(what, f"settings{key}", f"{problem[:1].lower()}{problem[1:]}") from None
    except (TypeError, ValueError) as error:
        raise _wrong(what, "settings", str(error)) from None


def plugin_sha256(cls: type[Any]) -> str:
    """Hash of the file a part's class stands in, for the record; empty where it has none."""
    try:
        return hashlib.sha256(Path(inspect.getfile(cls)).read_bytes()).hexdigest()
    except (TypeError, OSError):
        return ""


def _wrong(what: str, key: str, problem: str) -> PluginError:
    return PluginError(f"{what}: {key}: {problem}", key=key, problem=problem)


def _meant(name: str, known: tuple[str, ...] | list[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]}?)" if near else ""
