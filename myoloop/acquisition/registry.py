"""Which sources there are, by name: entry points of the group ``myoloop.sources``.

A source's class takes its settings, its name and a clock, ``Class(settings, name="forearm", clock=clock)``, has
its frozen settings dataclass as ``Class.Settings``, and meets :class:`myoloop.acquisition.source.Source`. Its
topics are ``emg/<name>``, ``imu/<name>``, ``force/<name>``.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import msgspec

from myoloop.acquisition.source import Source, SourceError
from myoloop.platform.clock import Clock, MonotonicClock

GROUP = "myoloop.sources"


class UnknownSource(SourceError):
    """No source of that name is installed."""


class BadSettings(SourceError):
    """Settings that the source does not take; the text names the key, what was found and what is allowed."""


def make_source(kind: str, settings: Mapping[str, Any], *, name: str, clock: Clock | None = None) -> Source:
    """Make a source, not yet open.

    Parameters
    ----------
    kind
        Name of the entry point, as ``nodes.<name>.source`` of a rig says it.
    settings
        ``nodes.<name>.settings`` of the rig.
    name
        Of the node; instance of its topics.
    clock
        What its blocks are stamped with; the host's monotonic clock if None.

    Raises
    ------
    UnknownSource
        If nothing of that name is installed, or it cannot be loaded.
    BadSettings
        If a key is unknown, missing or of the wrong type.
    SourceError
        If the source itself refuses the settings.
    """
    found = find_source(kind)
    checked = check_settings(kind, found.Settings, settings)
    source = found(checked, name=name, clock=clock or MonotonicClock())
    if not isinstance(source, Source):
        raise UnknownSource(f"source {kind!r}: {found.__name__} has not all of open, read, close")
    return source


def source_names() -> list[str]:
    """Names of all sources that are installed."""
    return sorted({point.name for point in entry_points(group=GROUP)})


def find_source(kind: str) -> Any:
    """Find the class of a source.

    Raises
    ------
    UnknownSource
        If nothing of that name is installed, two packages claim it, or it cannot be loaded.
    """
    points = [point for point in entry_points(group=GROUP) if point.name == kind]
    if not points:
        names = source_names()
        near = difflib.get_close_matches(kind, names, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        raise UnknownSource(f"no source is called {kind!r}{meant}; installed: {', '.join(names) or 'none'}")
    if len({point.value for point in points}) > 1:
        raise UnknownSource(f"source {kind!r} is claimed by {' and '.join(sorted(p.value for p in points))}")
    return _load(points[0])


def check_settings(kind: str, cls: type[Any], settings: Mapping[str, Any]) -> Any:
    """Turn the settings of a rig into the source's own dataclass.

    Raises
    ------
    BadSettings
        If a key is unknown, missing or of the wrong type.
    """
    allowed = [field.name for field in dataclasses.fields(cls)]
    for key in settings:
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            raise BadSettings(f"source {kind!r}: settings.{key}: unknown key{meant}, allowed: {', '.join(allowed)}")
    try:
        return msgspec.convert(dict(settings), cls)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$")
        key = f".{where.strip('.`')}" if where else ""
        raise BadSettings(f"source {kind!r}: settings{key}: {what[:1].lower()}{what[1:]}") from None
    except (TypeError, ValueError) as error:
        raise BadSettings(f"source {kind!r}: settings: {error}") from None


def _load(point: EntryPoint) -> Any:
    try:
        found = point.load()
    except (ImportError, AttributeError) as error:
        raise UnknownSource(f"source {point.name!r} ({point.value}) cannot be loaded: {error}") from None
    if not dataclasses.is_dataclass(getattr(found, "Settings", None)):
        raise UnknownSource(f"source {point.name!r} ({point.value}) has no dataclass Settings")
    return found
