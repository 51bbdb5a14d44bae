"""How the session went: stops with their reasons, adverse events, deviations, what may explain a change as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import EventRow
from myoloop.experiments.reports.beside import Beside
from myoloop.experiments.reports.eventwords import event_words
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.studies.diary import CONFOUNDERS

#: Events that end or interrupt stimulation.
_STOPS = {
    "stop": "stop", "fault": "fault", "paused": "pause", "held": "held", "ended": "a source ended", "end": "end",
    "tolerance": "pain counted as tolerance",
}  # fmt: skip
#: Events by which a session leaves the plain way of its protocol.
_DEVIATIONS = {
    "override": "check overridden",
    "retry": "check done again",
    "skipped": "phase skipped",
    "resumed": "resumed after a pause",
    "renewed": "thresholds measured anew",
    "electrode_changed": "electrode changed",
    "lead_off": "lead off",
    "dropped": "sites left out",
    "flare": "smaller dose after a flare",
    "false_alarm": "answer to a step without current",
    "injected": "fault brought in on purpose",
}
_NO_DEVIATION = frozenset({"effort", "assisted", "done", "skipped", "yoked"})


def stops(session: Session) -> Table | None:
    """Everything that stopped, paused or ended the session, with its reason."""
    rows = [(f"{each.t_s:.2f}", _STOPS[each.kind], each.who, each.why or _with(each)) for each in session.events
            if each.kind in _STOPS]  # fmt: skip
    if not rows:
        return None
    caption = f"n = {len(rows)}. After any stop the current is zero, and it rises from zero again only with a reason."
    return Table(("time (s)", "what", "who", "reason"), tuple(rows), caption)


def adverse(session: Session, beside: Beside) -> Table:
    """Adverse events and incidents of this session, and any that is still open; a table without rows where none is."""
    rows = []
    for event in beside.events:
        said = event.values
        state = "open" if event.open else f"over since {said.get('resolved_on')}"
        serious = "serious" if said.get("serious") == "yes" else "not serious"
        session_of = "none" if event.session is None else str(event.session)
        what, where = f"{said.get('what')} ({said.get('kind')})", f"{said.get('place')}, {said.get('site')}"
        grade = f"{said.get('grade')} (CTCAE {said.get('ctcae')}), {serious}"
        related, device = str(said.get("related")), str(said.get("device_related"))
        rows.append((str(event.number), what, where, grade, related, device, session_of, state))
    for form in _forms(session, "adverse_event", "incident"):
        said = form.values
        grade = f"{said['grade']} (CTCAE {said.get('ctcae')})" if "grade" in said else "incident"
        place = ", ".join(str(said[key]) for key in ("place", "site") if said.get(key)) or "–"
        state = "told in the session" if "resolved" not in said else "over" if said["resolved"] == "yes" else "open"
        rows.append(
            (
                f"{form.t_s:.1f} s", f"{said.get('what')} ({said.get('kind')})", place, grade,
                str(said.get("related", "–")), str(said.get("device_related", "–")), "this", state,
            )
        )  # fmt: skip
    columns = ("event", "what", "where", "grade", "related to stimulation", "to the device", "session", "state")
    caption = (
        f"n = {len(rows)}: those reported of this session, those told during it, and any of this person's that is "
        f"open. An event that is open at a site keeps that site closed."
    )
    return Table(columns, tuple(rows), caption)


def deviations(session: Session, beside: Beside) -> Table:
    """Where the session left the plain way of its protocol; a table without rows where it did not."""
    rows = [
        (f"{each.t_s:.2f}", _DEVIATIONS[each.kind], each.who, each.why, _with(each))
        for each in session.events
        if each.kind in _DEVIATIONS
    ]
    for each in session.events:
        if each.kind == "screening" and each.values.get("verdict") == "overridden":
            by = f"{each.values.get('name')}, {each.values.get('role')}"
            rows.append((f"{each.t_s:.2f}", f"screening overridden: {each.values.get('item')}", by, each.why, ""))
        elif each.kind == "mvc" and each.values.get("norm") not in (None, "mvc"):
            rows.append((f"{each.t_s:.2f}", "MVC skipped", each.who, each.why, _with(each)))
    for trial, (_, _, end_s) in zip(session.trials, session.trial_times_s, strict=True):
        if trial.kind == "block" and trial.outcome not in _NO_DEVIATION:
            rows.append((f"{end_s:.2f}", "trial cut short", "", trial.outcome,
                         f"{trial.name}, repetition {trial.block}, trial {trial.trial}"))  # fmt: skip
    rows.sort(key=lambda row: float(row[0]))
    for act in beside.acts:
        old_new = f"from {act.get('old')} to {act.get('new')}"
        by = f"{act.get('who')}, {act.get('role')}"
        rows.append((str(act.get("wall_utc")), str(act.get("act")), by, str(act.get("why")), old_new))
    caption = f"n = {len(rows)}; the last ones, with wall times, are from the session's audit."
    if not beside.acts:
        caption = f"n = {len(rows)}."
    return Table(("time (s)", "what", "who", "why", "with"), tuple(rows), caption)


def confounders(session: Session, beside: Beside) -> Table | None:
    """Changes of medicine or other care: they may explain a change as well as the stimulation does."""
    rows = [
        (f"{each.t_s:.1f} s of this session", CONFOUNDERS[name][1], _words(each.values))
        for each in _forms(session, *CONFOUNDERS)
        if (name := str(each.values["form"]).partition(".")[0]) and each.values.get(CONFOUNDERS[name][0], "no") != "no"
    ]
    rows += [
        (f"{told.at:%Y-%m-%d %H:%M} UTC, diary", told.kind, ", ".join(f"{key} {value}" for key, value in
         sorted(told.values.items()))) for told in beside.confounders
    ]  # fmt: skip
    if not rows:
        return None
    caption = f"n = {len(rows)} changes beside the study; an analysis must know of them."
    return Table(("told", "changed", "answers"), tuple(rows), caption)


def _forms(session: Session, *names: str) -> list[EventRow]:
    return [
        each
        for each in session.events
        if each.kind == "form" and str(each.values.get("form", "")).partition(".")[0] in names
    ]


def _with(event: EventRow) -> str:
    return event_words(event.kind, {key: value for key, value in event.values.items() if key != "who"})


def _words(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in values.items() if key not in ("form", "who"))
