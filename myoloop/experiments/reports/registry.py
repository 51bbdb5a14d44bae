"""Which reports there are, by name: our own, and the entry points of the group ``myoloop.reports``.

A report's class takes its settings, a frozen dataclass that it has as ``Class.Settings``, and has
``write(path, out)``: the recording to report on, where to (None: beside the recording); it returns the file written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from myoloop.platform.plugins import PluginError, find_plugin, plugin_names, plugin_settings

GROUP = "myoloop.reports"
BUILT_IN = {
    "session": "myoloop.experiments.reports.session:SessionReport",
    "training": "myoloop.experiments.reports.training:TrainingReport",
}
#: A folder with one of these is a training's; named here, so that a session's report need not wait for what trains.
OF_TRAINING = ("training.json", "evaluation.json")


@runtime_checkable
class Report(Protocol):
    """Anything that turns a recording into something to read."""

    def write(self, path: Path | str, out: Path | None = None) -> Path:
        """Write the report on the recording at `path`; to `out`, or beside the recording."""
        ...


def make_report(kind: str, settings: Mapping[str, Any] | None = None) -> Report:
    """Make a report by its name.

    Raises
    ------
    PluginError
        If nothing of that name is installed, or a setting is unknown, missing or of the wrong kind.
    """
    found = find_plugin(GROUP, BUILT_IN, kind)
    report = found(plugin_settings(f"report {kind!r}", found, settings or {}))
    if not isinstance(report, Report):
        raise PluginError(f"report {kind!r}: {found.__name__} has no write")
    return report


def kind_of(path: Path | str) -> str:
    """Name of the built-in report on what is there: ``training`` for a training's folder, else ``session``."""
    return "training" if any((Path(path) / name).is_file() for name in OF_TRAINING) else "session"


def report_names() -> tuple[str, ...]:
    """Names of all reports that can be chosen."""
    return plugin_names(GROUP, BUILT_IN)
