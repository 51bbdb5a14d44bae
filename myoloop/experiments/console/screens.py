"""Every screen of the console, one line each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from starlette.routing import BaseRoute

from myoloop.experiments.console import (
    after_care,
    day,
    home,
    identity,
    live_page,
    patch_tests,
    second_screens,
    session_page,
    sessions_api,
    sessions_page,
    sign,
)
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
    Screen(after_care.routes),
    Screen(sign.routes),
    Screen(patch_tests.routes),
    Screen(live_page.routes, "/live", "Live", WATCHERS),
    Screen(second_screens.routes_of_subject, "/subject", "Your screen", frozenset({Role.SUBJECT})),
    Screen(second_screens.routes_of_supervisor, "/supervise", "Supervise", frozenset({Role.SUPERVISOR})),
    Screen(sessions_page.routes, "/sessions", "Look back", WATCHERS),
    Screen(sessions_api.routes),
    Screen(sessions_page.routes_of_jobs, "/jobs", "Work", STAFF),
)
