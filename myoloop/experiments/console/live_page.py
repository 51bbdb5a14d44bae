"""The live view alone, without anything to press but STOP: for a second screen of the operator, and who supervises."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.page import render, screen
from myoloop.experiments.console.security import WATCHERS


def routes() -> list[BaseRoute]:
    """``/live``."""
    return [screen("/live", _live, roles=WATCHERS)]


def _live(request: Request) -> Response:
    return render(request, "live.html.jinja")
