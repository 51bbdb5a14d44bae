"""How a job stands, for a page that follows it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.jobs import SESSION, Job, job, jobs
from myoloop.experiments.console.page import screen, settings_of
from myoloop.experiments.console.security import STAFF


def routes() -> list[BaseRoute]:
    """``/api/jobs`` and ``/api/jobs/{name}``."""
    return [screen("/api/jobs", _all, roles=STAFF), screen("/api/jobs/{name}", _one, roles=STAFF)]


def _all(request: Request) -> Response:
    return JSONResponse({"jobs": [told(each) for each in jobs(settings_of(request).study)]})


def _one(request: Request) -> Response:
    return JSONResponse(told(job(settings_of(request).study, request.path_params["name"])))


def told(job: Job) -> dict[str, Any]:
    """What a page may have of a job.

    Of a session no more than how it ended: what was found in it, or what ended it, may tell the arm.
    """
    said = asdict(job)
    if job.kind == SESSION and job.answer is not None:
        said |= {"line": "", "answer": {name: job.answer.get(name, "") for name in ("session", "outcome")}}
    return said
