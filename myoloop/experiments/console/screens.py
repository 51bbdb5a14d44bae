"""Every screen of the console, one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.routing import BaseRoute

from myoloop.experiments.console import day, home, identity, live_page, session_page
from myoloop.experiments.console.security import EVERYBODY, STAFF, WATCHERS, Role


@dataclass(frozen=True, slots=True)
class Screen:
    """The routes of one module; one with a title stands in the bar of links of the roles that may see it."""

    routes: Callable[[], list[BaseRoute]]
    path: str = ""
    title: str = ""
    roles: frozenset[Role] = EVERYBODY


SCREENS: tuple[Screen, ...] = (
    Screen(home.routes, "/", "Start"),
    Screen(day.routes, "/day", "Today", STAFF),
    Screen(identity.routes),
    Screen(session_page.routes, "/session", "Session", STAFF),
    Screen(live_page.routes, "/live", "Live", WATCHERS),
)
