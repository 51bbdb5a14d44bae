"""A part chosen by name: estimators and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from myoloop.controllers.parts import said
from myoloop.platform.plugins import PluginError, find_plugin, plugin_settings

_ONE_OF = {"myoloop.policies": "policy", "myoloop.estimators": "estimator"}


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part by name, with its settings as the part's own ``Settings`` reads them."""

    name: str
    settings: dict[str, Any] = {}


def make(group: str, built_in: Mapping[str, str], choice: Choice, *arguments: Any) -> Any:
    """Make ``Class(settings, *arguments)`` for the class that `choice` names.

    Raises
    ------
    PluginError
        If there is no such name, the class cannot be loaded, its settings do not fit, or it cannot be made.
    """
    part = find_plugin(group, built_in, choice.name)
    what = f"{_ONE_OF[group]} {choice.name!r}"
    settings = plugin_settings(what, part, choice.settings)
    try:
        return part(settings, *arguments)
    except ValueError:
        # Made to be read: a part refuses what it is given.
        raise
    except Exception as error:
        raise PluginError(f"{what} cannot be made: {said(error)}") from error
