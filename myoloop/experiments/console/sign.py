"""A clinician's signature under an attempt, its report, and what is still open before."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.lookback.opened import may_see_all
from myoloop.experiments.console.lookback.recorded import recorded
from myoloop.experiments.console.page import render, role_of, screen, settings_of
from myoloop.experiments.console.posted import posted, text
from myoloop.experiments.console.security import STAFF, Role
from myoloop.experiments.console.sessions_api import start_report
from myoloop.experiments.sessions.signoff import AfterCare, after_care, sign_off
from myoloop.experiments.studies.personrecord import RecordError, read_record
from myoloop.experiments.studies.signatures import CLINICIANS
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of


def routes() -> list[BaseRoute]:
    """``/sign/{attempt}`` and what it posts; an attempt is named ``sub-X/ses-NN/att-N``."""
    return [
        screen("/sign/{attempt:path}/signature", _signed, roles=(Role.CLINICIAN,), methods=("POST",)),
        screen("/sign/{attempt:path}/report", _report, roles=STAFF, methods=("POST",)),
        screen("/sign/{attempt:path}", _sign, roles=STAFF),
    ]


def _sign(request: Request) -> Response:
    attempt = _attempt(request)
    place = place_of(attempt)
    return render(
        request,
        "sign.html.jinja",
        attempt=request.path_params["attempt"],
        person=place.subject if place is not None else "",
        look_back=f"/sessions/{place.subject}/{place.session}/{place.attempt}" if place is not None else "/sessions",
        care=_care(attempt),
        roles=CLINICIANS,
        name=settings_of(request).names.get(role_of(request), ""),
        today=datetime.now().astimezone().date().isoformat(),
        may_sign=request.state.role is Role.CLINICIAN,
    )


async def _signed(request: Request) -> Response:
    return await run_in_threadpool(_written, request, await posted(request))


def _written(request: Request, sent: dict[str, Any]) -> Response:
    try:
        day = date.fromisoformat(text(sent, "date"))
    except ValueError:
        raise UserError("date: allowed is a date such as 2026-11-21") from None
    care = _care(_attempt(request))
    row = sign_off(
        care, name=text(sent, "name"), role=text(sent, "role"), day=day, wall=datetime.now(UTC),
        why=text(sent, "why", needed=False),
    )  # fmt: skip
    return JSONResponse({"ok": True, "signed": row["new"]["recording_sha256"][:12]})


def _report(request: Request) -> Response:
    """Write the report anew, as a job; of a blinded session the one that whoever asks may see."""
    place = place_of(_attempt(request))
    assert place is not None
    opened = may_see_all(place.study, place.subject, str(role_of(request)))
    return JSONResponse({"ok": True, "job": start_report(settings_of(request), recorded(place, opened=opened))})


def _attempt(request: Request) -> Path:
    """The folder of an attempt of this study, and of no other place."""
    study = settings_of(request).study
    named: str = request.path_params["attempt"]
    attempt = study / named
    place = place_of(attempt)
    # A path with .. in it has other parts than the place that it leads to.
    if len(Path(named).parts) != 3 or place is None or place.study != study or not attempt.is_dir():
        raise UserError(f"{named[:80]!r}: no attempt of this study; allowed is sub-X/ses-NN/att-N")
    return attempt


def _care(attempt: Path) -> AfterCare:
    place = place_of(attempt)
    assert place is not None
    try:
        events = read_record(place.study, place.subject).events
    except RecordError:
        events = ()
    return after_care(attempt, events)
