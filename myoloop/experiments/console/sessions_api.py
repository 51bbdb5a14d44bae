"""What the page of a recorded session asks for: bins of any stretch, what was decided, labels, and work to start."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console import frames
from myoloop.experiments.console.bins import INVALID, MISSING, Run
from myoloop.experiments.console.job_routes import told
from myoloop.experiments.console.jobs import jobs
from myoloop.experiments.console.lookback.choice import controllers_here
from myoloop.experiments.console.lookback.instead import instead_folder, names_of, read_instead
from myoloop.experiments.console.lookback.opened import may_see_all
from myoloop.experiments.console.lookback.pyramid import Bins, levels_of, look
from myoloop.experiments.console.lookback.recorded import Recorded
from myoloop.experiments.console.page import Settings, name_of, role_of, screen, settings_of
from myoloop.experiments.console.posted import PostedError, posted, read_object, text
from myoloop.experiments.console.security import STAFF, WATCHERS
from myoloop.experiments.console.sessions_page import ATTEMPT, asked_for, name_of_place, reports_of
from myoloop.experiments.console.work import start_work
from myoloop.experiments.index.study import attempt_folder
from myoloop.experiments.replaying import NOT_CAUSAL
from myoloop.experiments.review.acts import Act
from myoloop.experiments.review.labels import Label, Span
from myoloop.experiments.review.review import Review, apply_acts, review_of
from myoloop.experiments.review.words import as_data
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import AttemptPlace

_API = "/api" + ATTEMPT
_INSTEAD = "instead/"
_LANES_MOST = 64
_OVERVIEW, _COMPARE, _REPORT, _INDEX = "overview", "compare", "report", "index"


def routes() -> list[BaseRoute]:
    """``/api/sessions/...``: ``facts``, ``bins``, ``at``, ``labels``, ``work``; and ``/api/sessions/index``."""
    return [
        screen("/api/sessions/index", _index, roles=STAFF, methods=("POST",)),
        screen(_API + "/facts", _facts, roles=WATCHERS),
        screen(_API + "/bins", _bins, roles=WATCHERS),
        screen(_API + "/at", _at, roles=WATCHERS),
        screen(_API + "/labels", _labels, roles=WATCHERS),
        screen(_API + "/labels", _label, roles=STAFF, methods=("POST",)),
        screen(_API + "/work", _work, roles=STAFF, methods=("POST",)),
    ]


# -- what is shown --------------------------------------------------------------------------------------------------


def _facts(request: Request) -> Response:
    here = asked_for(request)
    overview = here.overview
    said: dict[str, Any] = {
        "made": overview is not None,
        "whole": here.whole,
        "blinded": here.blinded,
        "end_s": here.end_s,
        "lanes": [_lane_data(each.name, each.columns, each.units) for each in here.lanes()],
        "comparisons": [],
        "reports": [name for name, _ in reports_of(here.place, whole=here.whole)],
        "jobs": [told(each) for each in jobs(here.place.study) if each.title.endswith(name_of_place(here.place))],
        "note": NOT_CAUSAL,
    }
    if overview is not None:
        facts = overview.facts
        said |= {
            name: msgspec.to_builtins(getattr(facts, name))
            for name in ("about", "phases", "trials", "spans", "events", "gaps", "gate", "muscles", "sites")
        }
    if here.whole:
        for name in names_of(here.place):
            found = read_instead(here.place, name)
            said["comparisons"].append({"name": name, "controller": found.controller, "summary": found.summary})
            lanes = [
                _lane_data(f"{_INSTEAD}{name}/{each}", ("asked", "instead"), ("mA", "mA")) for each in found.channels
            ]
            said["lanes"] += lanes
    return JSONResponse(said)


def _lane_data(name: str, columns: tuple[str, ...], units: tuple[str, ...]) -> dict[str, Any]:
    return {"name": name, "columns": list(columns), "units": list(units)}


def _bins(request: Request) -> Response:
    """A frame of the scope with one section for each lane that is asked for, in that order."""
    asked = request.query_params
    try:
        from_s, to_s, n = float(asked["from_s"]), float(asked["to_s"]), int(asked["n"])
    except (KeyError, ValueError):
        raise UserError("bins: from_s, to_s and n are needed, as numbers") from None
    names = asked.getlist("lane")
    if not 0 < len(names) <= _LANES_MOST:
        raise UserError(f"bins: found {len(names)} lanes, allowed are 1 to {_LANES_MOST}")
    here = asked_for(request)
    sections = []
    for number, name in enumerate(names):
        if name.startswith(_INSTEAD) and here.whole:
            bins = _instead(here.place, name, from_s, to_s, n)
            invalid = np.zeros(bins.low.shape, np.bool_)
        else:
            bins, invalid = here.bins(name, from_s, to_s, n)
        flags = invalid.astype(np.uint8) * np.uint8(INVALID) + np.isnan(bins.high).astype(np.uint8) * np.uint8(MISSING)
        run = Run(0, round(bins.begin_s * 1e9), bins.low, bins.high, flags)
        sections.append(frames.bins_section(number, run, bins.width_s * 1e9))
    return Response(frames.frame(0, sections), media_type="application/octet-stream")


def _instead(place: AttemptPlace, lane: str, from_s: float, to_s: float, n: int) -> Bins:
    name, _, channel = lane.removeprefix(_INSTEAD).partition("/")
    found = read_instead(place, name)
    if channel not in found.bins or not (from_s < to_s and 0 < n <= 4096):
        raise UserError(f"lane: found {lane[:80]!r}, of {name} there is: {', '.join(found.channels)}")
    return look(levels_of(found.bins[channel]), from_s, to_s, n)


def _at(request: Request) -> Response:
    try:
        t_s = float(request.query_params["t_s"])
    except (KeyError, ValueError):
        raise UserError("at: t_s is needed, as a number") from None
    if not np.isfinite(t_s):
        raise UserError(f"at: found {t_s} s, allowed is a time")
    return JSONResponse(asked_for(request).decided_at(t_s))


# -- labels ---------------------------------------------------------------------------------------------------------


def reviewed(here: Recorded) -> Review:
    """The labels of a session as they stand, from its overview.

    Raises
    ------
    UserError
        If the session is blinded, has no overview yet, or its review is not of this recording.
    """
    if not here.whole:
        raise UserError("labels: the session is blinded; what a muscle did is not shown")
    overview = here.overview
    if overview is None:
        raise UserError("labels: the overview of this recording is not made yet")
    facts = overview.facts
    found = tuple(_detected(each) for each in facts.detected)
    return review_of(here.attempt, str(facts.about["session"]), found, facts.muscles, float(facts.about["end_s"]))


def _detected(said: Mapping[str, Any]) -> Label:
    span = Span(*said["span"])
    return Label(str(said["id"]), str(said["kind"]), str(said["muscle"]), span, span)


def _labels(request: Request) -> Response:
    return JSONResponse(_label_data(reviewed(asked_for(request))))


def _label_data(review: Review) -> dict[str, Any]:
    """As ``myoloop review --json`` has it, with who did what last; no path."""
    said = as_data(review)
    del said["folder"]
    last = [
        {key: each.get(key) for key in ("wall_utc", "who", "role", "act", "what", "why")} for each in review.acts[-20:]
    ]
    return {**said, "last": last[::-1]}


async def _label(request: Request) -> Response:
    """Do acts on labels, all or none, in the name of whoever is at the page."""
    from starlette.concurrency import run_in_threadpool

    sent = await posted(request)
    return await run_in_threadpool(_act, request, sent)


def _act(request: Request, sent: Mapping[str, Any]) -> Response:
    rows = sent.get("acts")
    if not isinstance(rows, list) or not 0 < len(rows) <= 1000 or not all(isinstance(row, dict) for row in rows):
        raise PostedError("acts: allowed is a list of 1 to 1000 acts")
    acts = [_read_act(row) for row in rows]
    here, role = asked_for(request), str(role_of(request))
    who = name_of(request).partition(" ")[2] or role
    review = apply_acts(reviewed(here), acts, who=who, role=role, wall=datetime.now(UTC))
    return JSONResponse({"ok": True, "reason": "", **_label_data(review)})


def _read_act(row: Mapping[str, Any]) -> Act:
    unknown = sorted(set(row) - {"act", "id", "class", "muscle", "begin_s", "end_s", "why"})
    if unknown:
        raise PostedError(f"act: found {unknown[0][:64]!r}, allowed are act, id, class, muscle, begin_s, end_s, why")
    span = None
    if row.get("begin_s") is not None:
        begin_s, end_s = (_seconds(row, key) for key in ("begin_s", "end_s"))
        if begin_s is not None:
            span = Span(begin_s, end_s)
    words = {key: text(row, key, needed=False) for key in ("act", "id", "class", "muscle", "why")}
    return Act(words["act"], words["id"], words["class"], words["muscle"], span, words["why"])


def _seconds(row: Mapping[str, Any], key: str) -> float | None:
    found = row.get(key)
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise PostedError(f"{key}: found {str(found)[:32]!r}, allowed is a time in s")
    return float(found)


# -- work -----------------------------------------------------------------------------------------------------------


async def _work(request: Request) -> Response:
    from starlette.concurrency import run_in_threadpool

    sent = read_object(await request.body())
    return await run_in_threadpool(_start, request, sent)


def _start(request: Request, sent: Mapping[str, Any]) -> Response:
    """Start what is asked for beside the console: an overview, a report, a comparison; one of a kind at a time."""
    kind = text(sent, "work")
    here = asked_for(request)
    place, path = here.place, str(attempt_folder(here.place))
    if kind == _OVERVIEW:
        opened = here.blinded and may_see_all(place.study, place.subject, str(role_of(request)))
        verb, arguments = "overview", [*(["--opened"] if opened else []), "--", path]
    elif kind == _REPORT:
        return _answered(start_report(settings_of(request), here))
    elif kind == _COMPARE:
        if not here.whole:
            raise UserError("compare: the session is blinded; what a controller asks for follows what the muscle did")
        known, name = controllers_here(place.study), text(sent, "controller")
        if name not in known:
            raise UserError(f"controller: found {name[:64]!r}, allowed: {', '.join(sorted(known))}")
        verb = "replay"
        arguments = ["--controller", str(known[name]), "--out", str(instead_folder(place)), "--", path]
    else:
        raise PostedError(f"work: found {kind[:32]!r}, allowed: {_OVERVIEW}, {_REPORT}, {_COMPARE}")
    return _started(request, kind, f"{kind} of {name_of_place(place)}", verb, arguments)


def _index(request: Request) -> Response:
    study = settings_of(request).study
    return _started(request, _INDEX, "index of the study", "index", ["--", str(study)])


def start_report(settings: Settings, here: Recorded) -> str:
    """Start the job that writes a session's report, the blinded one unless all may be shown; returns its id.

    Raises
    ------
    RunsAlreadyError
        If a session runs on this host.
    """
    arguments = [*(["--blinded"] if not here.whole else []), "--", str(attempt_folder(here.place))]
    return start_work(settings, _REPORT, f"{_REPORT} of {name_of_place(here.place)}", "report", arguments)


def _started(request: Request, kind: str, title: str, verb: str, arguments: list[str]) -> Response:
    name = start_work(settings_of(request), kind, title, verb, arguments)
    return _answered(name)


def _answered(job: str) -> Response:
    return JSONResponse({"ok": True, "reason": "", "job": job})
