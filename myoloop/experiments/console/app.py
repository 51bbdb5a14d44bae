"""The console's server as an ASGI application; it keeps nothing that would be lost with it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from myoloop.experiments.console import acts, feed_socket, job_routes, starting, stopping
from myoloop.experiments.console.page import STATIC, Settings, entrance, message
from myoloop.experiments.console.rig_watch import RigWatch
from myoloop.experiments.console.rigs import running_rigs
from myoloop.experiments.console.screens import SCREENS, Screen
from myoloop.experiments.console.security import ENTER_PATH, STAFF, Guard, Origin, Role, log, now_s


def make_app(settings: Settings, screens: tuple[Screen, ...] = SCREENS, *, watch: RigWatch | None = None) -> Starlette:
    """Put the console together.

    Parameters
    ----------
    screens
        What it shows; all of them, but in a test.
    watch
        Its link to the rig that runs; one of its own if not given.
    """
    origin = Origin(settings.port)
    watch = watch or RigWatch(settings.temporary, study=settings.study)

    @contextlib.asynccontextmanager
    async def watching(_: Starlette) -> AsyncIterator[None]:
        watch.start()
        try:
            yield
        finally:
            watch.close()

    app = Starlette(
        routes=[
            *stopping.routes(),
            Route(ENTER_PATH, _enter, methods=["GET"]),
            *acts.routes(),
            *feed_socket.routes(),
            *starting.routes(),
            *job_routes.routes(),
            *(route for each in screens for route in each.routes()),
            Mount("/static", StaticFiles(directory=STATIC), name="static"),
        ],
        middleware=[Middleware(Guard, origin=origin, tokens=settings.tokens, entrance=partial(entrance, settings))],
        exception_handlers={404: _missing},
        lifespan=watching,
    )
    app.state.settings = settings
    app.state.screens = screens
    app.state.origin = origin
    app.state.watch = watch
    return app


async def _missing(request: Request, _: Exception) -> Response:
    """An address that leads nowhere has STOP on its page as well; a file that is not there is no page."""
    text = "Nothing of the console is at this address."
    if request.state.role is None:
        return PlainTextResponse(f"{text}\n", 404)
    return await run_in_threadpool(message, request, "There is no such page", text, status=404)


async def _enter(request: Request) -> Response:
    """Change the token of an address for a cookie; the address that is gone to has no token in it any more."""
    settings: Settings = request.app.state.settings
    origin: Origin = request.app.state.origin
    role = settings.tokens.entered_as(request.query_params.get("token", ""), now_s())
    if role is None:
        log.warning("refused: GET '%s' by nobody: the token is missing, wrong or used up", ENTER_PATH)
        return Response("the token is missing, wrong or used up\n", status_code=403, media_type="text/plain")
    shown = {each.path for each in request.app.state.screens}
    first = await run_in_threadpool(_first_page, settings, role)
    answer = RedirectResponse(first if first in shown else "/", status_code=303)
    answer.set_cookie(
        origin.cookie_name, settings.tokens.cookie(role), httponly=True, samesite="strict", path="/", secure=False
    )
    return answer


def _first_page(settings: Settings, role: Role) -> str:
    """Where a role begins: a session that runs, or today's list; the person and a supervisor on pages of their own."""
    if role in STAFF:
        return "/session" if running_rigs(settings.temporary, settings.study) else "/day"
    return "/subject" if role is Role.SUBJECT else "/supervise"
