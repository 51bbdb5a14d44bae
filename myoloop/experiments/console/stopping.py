"""STOP by the console's own server: beside the stop node, not instead of it."""

from __future__ import annotations

from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from myoloop.experiments.console.security import STOP_PATH
from myoloop.experiments.top import NothingRuns, stop_running


def routes() -> list[BaseRoute]:
    """``POST /stop``: without login, without a token, from wherever; nothing of the console is asked first."""
    return [Route(STOP_PATH, _stop, methods=["POST"])]


async def _stop(request: Request) -> Response:
    """Send it from the loop itself, before anything else is waited for: a thread may be had only later.

    What was posted with it is not read.
    """
    temporary: Path = request.app.state.settings.temporary
    try:
        stopped = stop_running("console", "STOP on a page", temporary)
    except NothingRuns as nobody:
        return JSONResponse({"sent": False, "reason": str(nobody)}, status_code=503)
    return JSONResponse({"sent": True, "sessions": stopped})
