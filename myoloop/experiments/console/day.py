"""Today's list: who takes part, what is due, what keeps a session from beginning, what runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.page import render, screen, settings_of
from myoloop.experiments.console.security import STAFF
from myoloop.experiments.console.today import State, todays_list
from myoloop.experiments.studies.moments import say_moment, time_zone
from myoloop.experiments.studies.studyfile import load_study


class Badge(NamedTuple):
    """A state as the page shows it: a class for colour and shape, and a word."""

    look: str
    word: str


#: Colour and shape come from the class, the word is for everybody.
BADGES: dict[State, Badge] = {
    "running": Badge("good", "running"),
    "cut": Badge("bad", "cut off"),
    "due": Badge("good", "due"),
    "new": Badge("good", "new"),
    "blocked": Badge("bad", "blocked"),
    "later": Badge("warn", "not now"),
    "over": Badge("quiet", "over"),
    "unreadable": Badge("bad", "cannot be read"),
}


def routes() -> list[BaseRoute]:
    """``/day``."""
    return [screen("/day", _day, roles=STAFF)]


def _day(request: Request) -> Response:
    study, now = settings_of(request).study, datetime.now(UTC)
    zone = time_zone(load_study(study).zone)
    people = todays_list(study, now)
    return render(request, "day.html.jinja", people=people, badges=BADGES, today=say_moment(now, zone), zone=str(zone))
