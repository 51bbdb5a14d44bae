"""The first page: what runs, and where to go from here."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.page import render, screen


def routes() -> list[BaseRoute]:
    """``/``."""
    return [screen("/", _home)]


def _home(request: Request) -> Response:
    return render(request, "home.html.jinja")
