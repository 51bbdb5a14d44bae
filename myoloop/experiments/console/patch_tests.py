"""Patch tests of a person's skin: what was put on and read, and the forms for both."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.filled import filled, questions, sent_answers
from myoloop.experiments.console.page import name_of, render, screen, settings_of
from myoloop.experiments.console.posted import posted, text
from myoloop.experiments.console.security import STAFF
from myoloop.experiments.screening.forms import FORMS
from myoloop.experiments.studies import patchacts
from myoloop.experiments.studies.participants import check_person, refuse_withdrawn
from myoloop.experiments.studies.studyfile import load_study
from myoloop.platform.errors import UserError

_NOT_IN_A_NAME = re.compile(r"[^a-z0-9_-]+")


def routes() -> list[BaseRoute]:
    """``/patch/{person}``."""
    return [
        screen("/patch/{person}", _patch, roles=STAFF),
        screen("/patch/{person}", _write, roles=STAFF, methods=("POST",)),
    ]


def _patch(request: Request) -> Response:
    study, person = settings_of(request).study, request.path_params["person"]
    check_person(person)
    now = datetime.now(UTC)
    forms = {name: (FORMS[name], questions(FORMS[name], now)) for name in patchacts.PATCH_FORMS}
    return render(
        request, "patch.html.jinja", person=person, rows=patchacts.look(study, person), forms=forms,
        zone=load_study(study).zone,
    )  # fmt: skip


async def _write(request: Request) -> Response:
    return await run_in_threadpool(_written, request, await posted(request))


def _written(request: Request, sent: dict[str, Any]) -> Response:
    study, person, now = settings_of(request).study, request.path_params["person"], datetime.now(UTC)
    check_person(person)
    refuse_withdrawn(study, person)
    kind, answers = text(sent, "form"), sent_answers(sent.get("answers"))
    if kind not in patchacts.PATCH_FORMS:
        raise UserError(f"form: allowed is {' or '.join(patchacts.PATCH_FORMS)}")
    # Under which name it stands follows from the material: two spellings of one name are one.
    named = _NOT_IN_A_NAME.sub("-", " ".join(answers.get("material", ("",))).casefold()).strip("-")[:31]
    done = filled(f"{kind}.{named or 'material'}", answers, now, load_study(study).zone)
    if done.mistakes:
        said = done.says()
        return JSONResponse({"ok": False, "mistakes": said, "reason": "; ".join(said.values())})
    patchacts.write(study, person, done.form_id, done.values, who=name_of(request), now=now)
    return JSONResponse({"ok": True})
