"""Who is there, and the session that is to begin: a code, a second check, then start.

Initials and year of birth are held against the key file and dropped: they stand in no file, no address and no log.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.day import BADGES
from myoloop.experiments.console.job_routes import told
from myoloop.experiments.console.jobs import job
from myoloop.experiments.console.page import Settings, name_of, render, screen, settings_of
from myoloop.experiments.console.posted import posted, text
from myoloop.experiments.console.protocols_here import chosen, playable
from myoloop.experiments.console.rigs import running_rigs
from myoloop.experiments.console.security import STAFF, say_refused
from myoloop.experiments.console.starting import IN_ENVIRONMENT, second_of, start_session
from myoloop.experiments.console.today import person_today
from myoloop.experiments.sessions.continuing import cut_attempt
from myoloop.experiments.sessions.resuming import close_session
from myoloop.experiments.studies.identity import check_identity, parse_identity
from myoloop.experiments.studies.participants import check_person, refuse_withdrawn
from myoloop.platform.errors import UserError
from myoloop.platform.rig import load_rig

CLOSE_REASONS = ("the person does not want to go on", "out of time", "pain", "technical fault not solved today")


class IdentityError(UserError):
    """It is not known who is there: nothing begins. What was typed is not repeated."""


def routes() -> list[BaseRoute]:
    """``/day/{person}`` and what it posts."""
    return [
        screen("/day/{person}", _person, roles=STAFF),
        screen("/day/{person}/check", _checked, roles=STAFF, methods=("POST",)),
        screen("/day/{person}/start", _start, roles=STAFF, methods=("POST",)),
        screen("/day/{person}/close", _close, roles=STAFF, methods=("POST",)),
        screen("/day/job/{job}", _job, roles=STAFF),
    ]


def _person(request: Request) -> Response:
    settings, person = settings_of(request), _named(request)
    refuse_withdrawn(settings.study, person)
    today = person_today(settings.study, person, datetime.now(UTC))
    return render(
        request,
        "identity.html.jinja",
        person=today,
        badge=BADGES[today.state],
        protocols=() if today.protocol is not None else playable(settings.study),
        rig_name=_rig_named(settings),
        people=_for_people(settings),
        checks=settings.identity is not None,
        asks_passphrase=IN_ENVIRONMENT not in os.environ,
        cut=cut_attempt(settings.study / f"sub-{person}"),
        reasons=CLOSE_REASONS,
        busy=[each.session or "a session" for each in running_rigs(settings.temporary)],
    )


async def _checked(request: Request) -> Response:
    """Whether the second identifier is the person's; the answer is yes or no, and nothing is kept."""
    sent = await posted(request)
    same = await run_in_threadpool(_same_person, settings_of(request), _named(request), sent)
    if not same:
        say_refused(request.scope, request.state.role, "the second identifier is not that of the person")
    reason = "" if same else "This is another person, or another was named. Ask again."
    return JSONResponse({"ok": same, "reason": reason})


async def _start(request: Request) -> Response:
    """Begin the next session; checked once more, as nothing of the check was kept."""
    return await run_in_threadpool(_started, request, await posted(request))


def _started(request: Request, sent: dict[str, Any]) -> Response:
    settings, person = settings_of(request), _named(request)
    refuse_withdrawn(settings.study, person)
    _refuse_stranger(settings, person, sent)
    today = person_today(settings.study, person, datetime.now(UTC))
    if not today.may_begin:
        raise UserError("; ".join([today.says, *today.reasons]))
    if today.protocol is not None:
        protocol = str(today.protocol)
    else:
        protocol = chosen(settings.study, text(sent, "protocol")).name
    name = start_session(settings, protocol, person, second=second_of(settings, sent))
    return JSONResponse({"ok": True, "job": name})


async def _close(request: Request) -> Response:
    """Close what was cut off, as interrupted."""
    sent = await posted(request)
    return await run_in_threadpool(_closed, request, text(sent, "why"))


def _closed(request: Request, why: str) -> Response:
    settings, person = settings_of(request), _named(request)
    cut = cut_attempt(settings.study / f"sub-{person}")
    if cut is None:
        raise UserError(f"{person}: nothing was cut off")
    close_session(cut.parent, who=name_of(request), why=why)
    return JSONResponse({"ok": True})


def _job(request: Request) -> Response:
    """How the start of a session stands: running rig, or why it was refused."""
    settings = settings_of(request)
    found = job(settings.study, request.path_params["job"])
    rigs = running_rigs(settings.temporary, settings.study)
    # Once the card is there the page knows what it shows.
    up = any(rig.card.subject for rig in rigs)
    said = told(found)
    return JSONResponse({"ok": True, "state": said["state"], "line": said["line"], "running": up})


# -- inside --------------------------------------------------------------------------------------------------------


def _named(request: Request) -> str:
    person: str = request.path_params["person"]
    check_person(person)
    return person


def _rig_named(settings: Settings) -> str:
    if settings.rig is None:
        return "a virtual subject (SIM)"
    rig = load_rig(settings.rig).rig
    return f"{rig.id} ({rig.rig_class})"


def _for_people(settings: Settings) -> bool:
    return settings.rig is not None and load_rig(settings.rig).rig.rig_class == "HUMAN"


def _refuse_stranger(settings: Settings, person: str, sent: dict[str, Any]) -> None:
    if settings.identity is None:
        if _for_people(settings):
            raise IdentityError("this rig is for people: the console needs --identity FILE to check who is there")
        return
    if not _same_person(settings, person, sent):
        raise IdentityError("the second identifier is not that of the person who was named")


def _same_person(settings: Settings, person: str, sent: dict[str, Any]) -> bool:
    if settings.identity is None:
        raise IdentityError("this console has no key file to check against (--identity FILE)")
    said = parse_identity(text(sent, "second"))
    passphrase = text(sent, "passphrase", needed=False) or os.environ.get(IN_ENVIRONMENT)
    if not passphrase:
        raise IdentityError("passphrase: is missing")
    return check_identity(settings.identity, passphrase, person, said)
