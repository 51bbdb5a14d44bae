"""The screens beside the operator's: the person's own on a tablet, and that of who supervises."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.page import render, screen
from myoloop.experiments.console.security import Role


def routes_of_subject() -> list[BaseRoute]:
    """``/subject``."""
    return [screen("/subject", _subject, roles=frozenset({Role.SUBJECT}))]


def routes_of_supervisor() -> list[BaseRoute]:
    """``/supervise``."""
    return [screen("/supervise", _supervise, roles=frozenset({Role.SUPERVISOR}))]


def _subject(request: Request) -> Response:
    """Nothing of it says what they are given; in a blinded session not how hard they try either."""
    return render(request, "subject.html.jinja")


def _supervise(request: Request) -> Response:
    return render(request, "supervise.html.jinja")
