"""A part chosen by name: estimators and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from myoloop.platform.plugins import find_plugin, plugin_settings


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part by name, with its settings as the part's own ``Settings`` reads them."""

    name: str
    settings: dict[str, Any] = {}


def make(group: str, built_in: Mapping[str, str], choice: Choice, *arguments: Any) -> Any:
    """Make ``Class(settings, *arguments)`` for the class that `choice` names.

    Raises
    ------
    PluginError
        If there is no such name, the class cannot be loaded, or its settings do not fit.
    """
    part = find_plugin(group, built_in, choice.name)
    what = f"{group.removeprefix('myoloop.').removesuffix('s')} {choice.name!r}"
    return part(plugin_settings(what, part, choice.settings), *arguments)
