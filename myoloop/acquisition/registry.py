"""Which sources there are, by name: our own, and the entry points of the group ``myoloop.sources``.

A source's class takes its settings and, if it has parameters of these names, `name` (of the node: the instance of
its topics ``emg/<name>``, ``imu/<name>``, ``force/<name>``) and `clock` (what its blocks are stamped with). It has
its frozen settings dataclass as ``Class.Settings`` and meets :class:`myoloop.acquisition.source.Source`.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from myoloop.acquisition.source import Foreseeing, Foreseen, Source
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.plugins import PluginError, find_plugin, plugin_names, plugin_settings

GROUP = "myoloop.sources"
BUILT_IN = {
    "brainflow": "myoloop.acquisition.brainflow:BrainFlowSource",
    "lsl": "myoloop.acquisition.lsl:LslSource",
    "playback": "myoloop.acquisition.playback:PlaybackSource",
    "simulated": "myoloop.acquisition.simulated:SimulatedSource",
}


def make_source(kind: str, settings: Mapping[str, Any], *, name: str, clock: Clock | None = None) -> Source:
    """Make a source, not yet open.

    Parameters
    ----------
    kind
        What ``nodes.<name>.source`` of a rig says.
    settings
        ``nodes.<name>.settings`` of the rig.
    name
        Of the node.
    clock
        What its blocks are stamped with; the host's monotonic clock if None.

    Raises
    ------
    PluginError
        If nothing of that name is installed, or a setting is unknown, missing or of the wrong kind.
    SourceError
        If the source itself refuses the settings.
    """
    found = find_source(kind)
    checked = plugin_settings(f"source {kind!r}", found, settings)
    given = {"name": name, "clock": clock or MonotonicClock()}
    taken = inspect.signature(found).parameters
    source = found(checked, **{key: value for key, value in given.items() if key in taken})
    if not isinstance(source, Source):
        raise PluginError(f"source {kind!r}: {found.__name__} has not all of open, read, close")
    return source


def foresee_source(kind: str, settings: Mapping[str, Any], *, name: str) -> Foreseen:
    """What can be said of a source before it is opened; no device is touched.

    Raises
    ------
    PluginError
        As `make_source`.
    SourceMistake
        If the source cannot be opened as it was told to.
    SourceError
        If this machine cannot tell.
    """
    source = make_source(kind, settings, name=name)
    return source.foresee() if isinstance(source, Foreseeing) else Foreseen()


def source_names() -> tuple[str, ...]:
    """Names of all sources that can be chosen."""
    return plugin_names(GROUP, BUILT_IN)


def find_source(kind: str) -> Any:
    """The class of a source.

    Raises
    ------
    PluginError
        If nothing of that name is installed, or it cannot be loaded.
    """
    return find_plugin(GROUP, BUILT_IN, kind)
