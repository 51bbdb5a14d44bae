"""Look back: the list of recorded sessions, one of them to scrub through, its report, and work that runs beside."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.job_routes import told
from myoloop.experiments.console.jobs import jobs
from myoloop.experiments.console.lookback.choice import controllers_here
from myoloop.experiments.console.lookback.instead import names_of
from myoloop.experiments.console.lookback.opened import may_see_all
from myoloop.experiments.console.lookback.recorded import Recorded, recorded
from myoloop.experiments.console.page import render, role_of, screen, settings_of
from myoloop.experiments.console.rigs import running_rigs
from myoloop.experiments.console.security import STAFF, WATCHERS
from myoloop.experiments.index.cache import SETTLED_NS
from myoloop.experiments.index.study import Row, attempt_folder, known_rows
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import AttemptPlace

ATTEMPT = "/sessions/{person}/{session:int}/{attempt:int}"
REPORT_FILE = "report.html"
#: Colour, shape and word of a status.
_LOOKS = {"complete": "good", "recovered": "warn", "interrupted": "warn", "incomplete": "bad", "refused": "bad"}
#: A finished report brings its own styles and figures, and nothing of it may run or fetch anything.
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; sandbox"
)
#: The page that shows it, STOP and all: what it brings may style itself, and only scripts of ours run.
_FRAME_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; "
    "connect-src 'self' http://127.0.0.1:* ws://127.0.0.1:* ws://localhost:*; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)


def routes() -> list[BaseRoute]:
    """``/sessions``, ``/sessions/{person}/{session}/{attempt}``, and its report."""
    return [
        screen("/sessions", _list, roles=WATCHERS),
        screen(ATTEMPT, _one, roles=WATCHERS),
        screen(ATTEMPT + "/report", _report, roles=WATCHERS),
        screen(ATTEMPT + "/report/page", _report_page, roles=WATCHERS),
    ]


def routes_of_jobs() -> list[BaseRoute]:
    """``/jobs``."""
    return [screen("/jobs", _jobs, roles=STAFF)]


def asked_for(request: Request) -> Recorded:
    """The recorded session that an address names, opened as far as whoever asks may see it.

    Raises
    ------
    RecordingError
        If there is no recording, or it is damaged.
    UserError
        If there is no such session, or it runs now: a file that grows would be gone through anew each time.
    """
    place = place_of_request(request)
    name = name_of_place(place)
    if any(each.session == name for each in running_rigs(settings_of(request).temporary)):
        raise UserError(f"{name}: runs now; look at it under Live, and here once it has ended")
    opened = may_see_all(place.study, place.subject, str(role_of(request)))
    return recorded(place, opened=opened)


def place_of_request(request: Request) -> AttemptPlace:
    """The attempt that an address names.

    Raises
    ------
    UserError
        If a part of the address is none of a pseudonym, a session's and an attempt's number.
    """
    given = request.path_params
    person, session, attempt = str(given["person"]), int(given["session"]), int(given["attempt"])
    if not (
        person.isascii() and person.isalnum() and len(person) <= 32 and 1 <= session <= 9999 and 1 <= attempt <= 9999
    ):
        raise UserError(f"{person[:32]}/{session}/{attempt}: no such session")
    return AttemptPlace(settings_of(request).study, person, session, attempt)


def name_of_place(place: AttemptPlace) -> str:
    """As a session is named: its folder in the study."""
    return attempt_folder(place).relative_to(place.study).as_posix()


@dataclass(frozen=True, slots=True)
class Line:
    """A session in the list."""

    person: str
    session: int
    attempt: int
    status: str
    look: str
    grade: str
    when: str
    minutes: str
    protocol: str
    blinded: bool
    reasons: tuple[str, ...]


def lines_of(study: Path, *, settled_ns: int = SETTLED_NS) -> tuple[list[Line], int]:
    """The list, newest session of each person first; and how many of them nobody has read yet.

    Parameters
    ----------
    settled_ns
        See :mod:`myoloop.experiments.index.cache`.
    """
    rows, unread = known_rows(study, settled_ns=settled_ns)
    lines = [_line(row) for row in rows]
    lines += [
        Line(each.subject, each.session, each.attempt, "not read yet", "", "", "", "", "", blinded=False, reasons=())
        for each in unread
    ]
    return sorted(lines, key=lambda each: (each.person, -each.session, -each.attempt)), len(unread)


def _line(row: Row) -> Line:
    facts = row.facts
    reasons = (*row.reasons, *(each.reason for each in row.exclusions if each.reason not in row.reasons))
    return Line(
        row.person, row.session, row.attempt, facts.status, _LOOKS[facts.status], row.grade,
        (facts.wall_start or "")[:16].replace("T", " "), f"{facts.duration_s / 60:.1f}", facts.protocol,
        blinded=facts.blinded, reasons=(facts.reason, *reasons) if facts.status != "complete" else reasons,
    )  # fmt: skip


def reports_of(place: AttemptPlace, *, whole: bool) -> list[tuple[str, Path]]:
    """Reports that whoever may see the whole session, or the blinded part of it alone, may open."""
    folder = attempt_folder(place) / "report"
    found = [("blinded", folder / "blinded" / REPORT_FILE)]
    if whole:
        found.insert(0, ("session", folder / REPORT_FILE))
    return [(name, path) for name, path in found if path.is_file()]


def _list(request: Request) -> Response:
    lines, unread = lines_of(settings_of(request).study)
    return render(request, "sessions.html.jinja", lines=lines, unread=unread, may_act=role_of(request) in STAFF)


def _one(request: Request) -> Response:
    here = asked_for(request)
    place = here.place
    return render(
        request,
        "recorded.html.jinja",
        place=place,
        api=f"/api{request.url.path}",
        here=request.url.path,
        whole=here.whole,
        may_act=role_of(request) in STAFF,
        reports=[name for name, _ in reports_of(place, whole=here.whole)],
        comparisons=names_of(place) if here.whole else [],
        controllers=sorted(controllers_here(place.study)) if here.whole else [],
    )


def _report(request: Request) -> Response:
    found = _chosen_report(request)
    page = render(request, "report.html.jinja", kind=found[0], here=request.url.path.removesuffix("/report"))
    page.headers["content-security-policy"] = _FRAME_POLICY
    return page


def _report_page(request: Request) -> Response:
    try:
        content = _chosen_report(request)[1].read_bytes()
    except OSError as error:
        raise UserError(f"the report cannot be read: {error.strerror}") from None
    return HTMLResponse(content, headers={"content-security-policy": _REPORT_POLICY})


def _chosen_report(request: Request) -> tuple[str, Path]:
    here = asked_for(request)
    found = reports_of(here.place, whole=here.whole)
    kind = request.query_params.get("kind", found[0][0] if found else "")
    chosen = next((each for each in found if each[0] == kind), None)
    if chosen is None:
        raise UserError(f"report: found {kind[:32]!r}, there is: {', '.join(name for name, _ in found) or 'none yet'}")
    return chosen


def _jobs(request: Request) -> Response:
    found: list[dict[str, Any]] = [told(each) for each in jobs(settings_of(request).study)]
    return render(request, "jobs.html.jinja", jobs=found)
