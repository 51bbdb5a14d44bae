"""The page of a running session: one decision at a time, whatever the director waits for.

The page follows the feed by itself; what it needs besides comes from here: a form's questions, the picture of a site,
who may override what. Answers are checked here by the form's own rules, and go on to the session, which has the last
word.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.card import Card
from myoloop.experiments.console.filled import (
    Asked,
    Filled,
    NotAnswersError,
    filled,
    questions,
    sent_answers,
)
from myoloop.experiments.console.page import render, rig_of, role_of, screen, settings_of
from myoloop.experiments.console.places_planned import SiteShown, site_picture, sites_shown, stimulated
from myoloop.experiments.console.posted import posted
from myoloop.experiments.console.security import STAFF, Role
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.screening.form import Form
from myoloop.experiments.screening.forms import FORMS, form_of
from myoloop.experiments.screening.item import ROLES
from myoloop.experiments.screening.items import item_of
from myoloop.experiments.sessions.admission import KEPT_PROTOCOL
from myoloop.experiments.sessions.asking import OF_PADS
from myoloop.experiments.studies.studyfile import load_study
from myoloop.platform.errors import UserError

#: A picture has its style in itself; nothing else may be loaded by it.
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
#: To be touched and not typed.
SKIP_MVC_REASONS = ("it hurts", "the person cannot", "the person does not want to", "a clinician advises against it")
END_REASONS = ("the person wants to stop", "pain", "the person is unwell", "out of time", "technical fault")
MANUAL = "manual"
#: Forms that may be filled in at any time, and what they are called on the page.
ANY_TIME = {"adverse_event": "Adverse event", "incident": "Incident"}
#: Forms beside which the site's picture is shown.
WITH_PICTURE = frozenset({*OF_PADS, "skin", "skin_after"})


class NoSessionError(UserError):
    """There is nothing to be asked of."""


def routes() -> list[BaseRoute]:
    """``/session`` and what the page fetches."""
    return [
        screen("/session", _session, roles=STAFF),
        screen("/session/form/{form_id}", _form, roles=STAFF),
        screen("/session/form/{form_id}", _check, roles=STAFF, methods=("POST",)),
        screen("/session/override/{item}", _override, roles=STAFF),
        screen("/session/override/{item}", _check_override, roles=STAFF, methods=("POST",)),
        screen("/session/picture/{site}", _picture, roles=STAFF),
    ]


def _session(request: Request) -> Response:
    rig = rig_of(request)
    protocol = _protocol_of(rig.card) if rig is not None else None
    return render(
        request,
        "session.html.jinja",
        sites=sites_shown(protocol) if protocol is not None else {},
        stimulated=stimulated(protocol) if protocol is not None else (),
        person=rig.card.subject if rig is not None else "",
        reasons={"skip_mvc": SKIP_MVC_REASONS, "end": END_REASONS},
        # Only then is the dial a wish that somebody follows.
        manual=protocol is not None and protocol.controller.policy == MANUAL,
    )


def _form(request: Request) -> Response:
    """The questions of a form, as a part of the page."""
    form_id = request.path_params["form_id"]
    try:
        form, instance = _form_named(form_id)
    except KeyError as error:
        raise UserError(str(error.args[0])) from None
    now, sites = _now(request), _sites_of(request)
    site = sites.get(instance) if form.id in WITH_PICTURE else None
    return render(
        request,
        "form.html.jinja",
        form=form,
        form_id=form_id,
        needs_instance=bool(form.per) and not instance,
        asked=questions(form, now, sites=tuple(sites)),
        site=site,
        ticks=site.electrodes if site is not None and form.id == "placement" else (),
    )


async def _check(request: Request) -> Response:
    """Check what was filled in; `values` is what the session is then asked to take."""
    return await run_in_threadpool(_answer, request, request.path_params["form_id"], await posted(request))


def _answer(request: Request, form_id: str, body: dict[str, Any]) -> Response:
    try:
        done = filled(form_id, sent_answers(body.get("answers")), _now(request), _zone(request))
    except NotAnswersError as error:
        return JSONResponse({"ok": False, "reason": str(error)}, status_code=422)
    return JSONResponse(_said(done))


def _override(request: Request) -> Response:
    """Who may override an item, and the form they sign."""
    item = request.path_params["item"]
    what, roles, named = _overridable(item)
    now, form = _now(request), FORMS["override"]
    present = {"given_on": now.date().isoformat(), **({} if named else {"sites": ["all"]})}
    asked = questions(form, now, present, _stimulated_of(request))
    return render(
        request,
        "override.html.jinja",
        item=item,
        what=what,
        roles=roles,
        asked=[_only(each, roles) for each in asked],
        may=role_of(request) is Role.CLINICIAN,
    )


async def _check_override(request: Request) -> Response:
    return await run_in_threadpool(_answer_override, request, await posted(request))


def _answer_override(request: Request, body: dict[str, Any]) -> Response:
    item = request.path_params["item"]
    _overridable(item)
    try:
        done = filled(f"override.{item}", sent_answers(body.get("answers")), _now(request), _zone(request))
    except NotAnswersError as error:
        return JSONResponse({"ok": False, "reason": str(error)}, status_code=422)
    said = _said(done)
    if said["ok"]:
        # The act's own words for the same answers.
        given = {"date" if name == "given_on" else name: value for name, value in done.values.items()}
        said["values"] = {"item": item, **given}
    return JSONResponse(said)


def _picture(request: Request) -> Response:
    site = _sites_of(request).get(request.path_params["site"])
    if site is None or not site.ref:
        raise UserError(f"{request.path_params['site']}: the protocol names no site of the library for it")
    return Response(
        site_picture(site.ref), media_type="image/svg+xml", headers={"content-security-policy": PICTURE_POLICY}
    )


# -- inside --------------------------------------------------------------------------------------------------------


def _form_named(form_id: str) -> tuple[Form, str]:
    """As `form_of`; one that is asked without its material or event is shown too, the page asks of which."""
    if form_id in FORMS and FORMS[form_id].per not in ("", "site"):
        return FORMS[form_id], ""
    return form_of(form_id)


def _overridable(item: str) -> tuple[str, tuple[str, ...], bool]:
    """What it is, who may override it, and whether the sites must be named."""
    try:
        found = item_of(item)
    except KeyError:
        # A check of the session, not an item of screening.
        return item.replace("_", " "), ROLES, False
    return found.text, found.override_by, found.named_sites


def _only(asked: Asked, roles: tuple[str, ...]) -> Asked:
    if asked.id != "role":
        return asked
    return replace(asked, choices=tuple(each for each in asked.choices if each[0] in roles))


def _said(done: Filled) -> dict[str, Any]:
    wrong = done.says()
    reason = "; ".join(f"{field}: {problem}" if field else problem for field, problem in wrong.items())
    return {"ok": not wrong, "values": done.values, "mistakes": wrong, "reason": reason}


def _zone(request: Request) -> str:
    return load_study(settings_of(request).study).zone


def _now(request: Request) -> datetime:
    """As the session counts days: by UTC."""
    return datetime.now(UTC)


def _sites_of(request: Request) -> dict[str, SiteShown]:
    protocol = _running_protocol(request)
    return sites_shown(protocol) if protocol is not None else {}


def _stimulated_of(request: Request) -> tuple[str, ...]:
    protocol = _running_protocol(request)
    return stimulated(protocol) if protocol is not None else ()


def _running_protocol(request: Request) -> Protocol | None:
    rig = rig_of(request)
    return _protocol_of(rig.card) if rig is not None else None


def _protocol_of(card: Card) -> Protocol | None:
    """The protocol that the session plays: the copy in its folder, which does not change any more."""
    kept = Path(card.study) / card.session / KEPT_PROTOCOL
    return _loaded(kept) if kept.is_file() else None


@lru_cache(maxsize=4)
def _loaded(path: Path) -> Protocol:
    return load_protocol(path)
