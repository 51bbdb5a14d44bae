"""After a session: the form for an adverse event, or none; and what is written of events later."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.filled import Filled, filled, questions, sent_answers
from myoloop.experiments.console.page import name_of, render, role_of, screen, settings_of
from myoloop.experiments.console.posted import PostedError, posted, text
from myoloop.experiments.console.security import STAFF
from myoloop.experiments.console.today import newest_attempt
from myoloop.experiments.screening.forms import FORMS
from myoloop.experiments.sessions.signoff import AfterCare, after_care, tell_no_event
from myoloop.experiments.studies import adverseacts
from myoloop.experiments.studies.adverse import FORM, LATER, AdverseEvent
from myoloop.experiments.studies.courseview import say_event
from myoloop.experiments.studies.participants import check_person
from myoloop.experiments.studies.personrecord import PersonRecord, RecordError, read_record
from myoloop.experiments.studies.studyfile import load_study
from myoloop.platform.recording.folder import place_of

#: What a later line is called on the page.
LATER_WORDS = {"follow_up": "Followed up, still open", "correction": "Correct the form", "resolution": "It is over"}


def routes() -> list[BaseRoute]:
    """``/adverse/{person}`` and what it posts."""
    return [
        screen("/adverse/{person}", _adverse, roles=STAFF),
        screen("/adverse/{person}/report", _report, roles=STAFF, methods=("POST",)),
        screen("/adverse/{person}/later", _later, roles=STAFF, methods=("POST",)),
        screen("/adverse/{person}/none", _none, roles=STAFF, methods=("POST",)),
    ]


def _adverse(request: Request) -> Response:
    study, person, now = settings_of(request).study, _named(request), datetime.now(UTC)
    record = _record_of(study, person)
    care = _care(study, person, record)
    form = FORMS[FORM]
    return render(
        request,
        "adverse.html.jinja",
        person=person,
        care=care,
        attempt=_attempt_named(care),
        session=_session_of(care),
        asked=questions(form, _at_study(record, now)),
        events=[
            {
                "number": each.number,
                "open": each.open,
                "says": say_event(each, now),
                "notes": each.notes,
                "asked": questions(form, _at_study(record, now), each.values),
                "kinds": [kind for kind in LATER if each.open or kind == "correction"],
            }
            for each in sorted(record.events if record is not None else (), key=lambda each: not each.open)
        ],
        words=LATER_WORDS,
    )


async def _report(request: Request) -> Response:
    """A new event, by the same function as the verb."""
    return await run_in_threadpool(_reported, request, await posted(request))


def _reported(request: Request, sent: dict[str, Any]) -> Response:
    study, person, now = settings_of(request).study, _named(request), datetime.now(UTC)
    done = _checked(request, f"{FORM}.new", sent, now)
    if done.mistakes:
        return JSONResponse(_wrong(done))
    session = sent.get("session")
    if session is not None and (isinstance(session, bool) or not isinstance(session, int)):
        raise PostedError("session: allowed is its number, or none")
    found = adverseacts.report(study, person, _texts(sent), session, name_of(request), now, dry_run=False)
    return JSONResponse({"ok": True, "said": found.text})


async def _later(request: Request) -> Response:
    """A follow-up, a correction or the resolution of an event: only what has changed is sent."""
    return await run_in_threadpool(_written_later, request, await posted(request))


def _written_later(request: Request, sent: dict[str, Any]) -> Response:
    study, person, now = settings_of(request).study, _named(request), datetime.now(UTC)
    number, kind = sent.get("number"), text(sent, "kind")
    if isinstance(number, bool) or not isinstance(number, int) or kind not in LATER:
        raise PostedError(f"number and kind: allowed is an event's number, and one of {', '.join(LATER)}")
    event = _event(study, person, number)
    done = _checked(request, event.name, sent, now)
    # The form as a whole is checked with the answers that stay, by the act itself.
    wrong = [each for each in done.mistakes if each.field in sent_answers(sent.get("answers"))]
    if wrong:
        return JSONResponse(_wrong(Filled(done.form_id, done.values, tuple(wrong))))
    present = {name: _as_texts(value) for name, value in event.values.items()}
    changed = {
        name: texts for name, texts in sent_answers(sent.get("answers", {})).items() if texts != present.get(name)
    }
    act = adverseacts.Later(kind, number, _texts({"answers": changed}), name_of(request), text(sent, "why"))
    found = adverseacts.write_later(study, person, act, now, dry_run=False)
    return JSONResponse({"ok": True, "said": found.text})


async def _none(request: Request) -> Response:
    """There was no adverse event in the person's newest attempt."""
    return await run_in_threadpool(_told_none, request, await posted(request))


def _told_none(request: Request, sent: dict[str, Any]) -> Response:
    study, person = settings_of(request).study, _named(request)
    care = _care(study, person, _record_of(study, person))
    if care is None or _attempt_named(care) != text(sent, "attempt"):
        raise PostedError("attempt: another one is the newest by now; look again")
    tell_no_event(care, who=name_of(request), role=str(role_of(request)), wall=datetime.now(UTC))
    return JSONResponse({"ok": True, "said": "recorded: no adverse event"})


# -- inside --------------------------------------------------------------------------------------------------------


def _named(request: Request) -> str:
    person: str = request.path_params["person"]
    check_person(person)
    return person


def _record_of(study: Path, person: str) -> PersonRecord | None:
    try:
        return read_record(study, person)
    except RecordError:
        return None


def _at_study(record: PersonRecord | None, now: datetime) -> datetime:
    return now if record is None else record.at_study(now)


def _care(study: Path, person: str, record: PersonRecord | None) -> AfterCare | None:
    attempt = newest_attempt(study, person)
    return None if attempt is None else after_care(attempt, record.events if record is not None else ())


def _attempt_named(care: AfterCare | None) -> str:
    return "" if care is None else "/".join(care.attempt.parts[-3:])


def _session_of(care: AfterCare | None) -> int | None:
    place = place_of(care.attempt) if care is not None else None
    return None if place is None else place.session


def _event(study: Path, person: str, number: int) -> AdverseEvent:
    for each in read_record(study, person).events:
        if each.number == number:
            return each
    raise PostedError(f"number: found {number}, {person} has no such event")


def _checked(request: Request, form_id: str, sent: dict[str, Any], now: datetime) -> Filled:
    study = settings_of(request).study
    at = _at_study(_record_of(study, _named(request)), now)
    return filled(form_id, sent_answers(sent.get("answers")), at, load_study(study).zone)


def _wrong(done: Filled) -> dict[str, Any]:
    said = done.says()
    reason = "; ".join(f"{field}: {problem}" if field else problem for field, problem in said.items())
    return {"ok": False, "mistakes": said, "reason": reason}


def _texts(sent: dict[str, Any]) -> list[str]:
    """The answers as the verb takes them."""
    answers = {name: list(texts) for name, texts in sent.get("answers", {}).items()}
    return [f"{name}={' '.join(texts)}" for name, texts in sent_answers(answers).items() if any(texts)]


def _as_texts(value: Any) -> tuple[str, ...]:
    return tuple(map(str, value)) if isinstance(value, list | tuple) else (str(value),)
