"""A person's course, diary and adverse events in words for people and as plain data for machines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, tzinfo
from typing import Any

from myoloop.experiments.studies.adherence import Adherence, Dose, Week, adherence, weeks
from myoloop.experiments.studies.adverse import AdverseEvent, days_open
from myoloop.experiments.studies.course import Due, Session, SessionCaps, due, session_caps
from myoloop.experiments.studies.courselog import PersonCourse
from myoloop.experiments.studies.diary import Asked, confounders
from myoloop.experiments.studies.moments import say_moment, write_moment
from myoloop.experiments.studies.personrecord import PersonRecord


def course_data(record: PersonRecord, course: PersonCourse, now: datetime) -> dict[str, Any]:
    """Say what is planned, done and due, as plain data; wall times in UTC."""
    kept, asks, caps = _judged(record, course, now)
    return {
        "person": record.person,
        "now_utc": write_moment(now),
        "protocol_sha256": course.protocol_sha256,
        "closed_utc": write_moment(course.closed_at) if course.closed_at else None,
        "closed_why": course.closed_why,
        "next": None
        if asks.next is None
        else {
            "session": asks.next.session,
            "opens_utc": write_moment(asks.next.opens),
            "on_plan_until_utc": write_moment(asks.next.on_plan_until) if asks.next.on_plan_until else None,
            "late": asks.next.late(now),
            "caps": asdict(caps),
        },
        "refusals": [
            {
                "rule": each.rule,
                "why": each.why,
                "allowed_from_utc": write_moment(each.allowed_from) if each.allowed_from else None,
                "override_roles": list(each.override_roles),
            }
            for each in asks.refusals
        ],
        "adherence": {
            **asdict(kept),
            "percent": kept.percent,
            **{name: _dose_data(getattr(kept, name)) for name in ("on_s", "charge_mc", "pulses")},
        },
        "weeks": [_week_data(each) for each in weeks(course.plan, course.booked)],
        "diary": [asked_data(each) for each in asks.diary],
        "followups": [asked_data(each) for each in asks.followups],
        "confounders": [
            {"at_utc": write_moment(each.at), "kind": each.kind, "values": dict(each.values)}
            for each in confounders(record.diary)
        ],
        "open_adverse_events": [each.number for each in record.events if each.open],
    }


def say_course(record: PersonRecord, course: PersonCourse, now: datetime) -> str:
    """Say the same in words, wall times as the study's clock shows them."""
    kept, asks, caps = _judged(record, course, now)
    zone = course.plan.zone
    lines = [f"{record.person}, {say_moment(now, zone)} ({zone})", _next_line(course, asks, now)]
    if asks.next is not None and caps.why:
        shares = f"{caps.current_share:.0%} of the current and {caps.on_time_share:.0%} of the on-time"
        lines.append(f"  at most {shares} of the envelope: {caps.why}")
    lines += [f"  not now, {each.rule}: {each.why}{_who(each.override_roles)}" for each in asks.refusals]
    percent = "-" if kept.percent is None else f"{kept.percent:.1f} %"
    lines.append(
        f"sessions: {kept.planned} planned, {kept.due} due by now: {kept.done} done, {kept.partial} partial, "
        f"{kept.missed} missed; adherence {percent}"
    )
    lines += [_week_line(each, zone) for each in weeks(course.plan, course.booked)]
    lines.append(
        f"dose of those begun, delivered of planned: {_dose(kept.on_s, 's')}, {_dose(kept.charge_mc, 'mC')}, "
        f"{_dose(kept.pulses, 'pulses')}; {_tolerance(kept)}"
    )
    lines += say_asked([*asks.diary, *asks.followups], zone)
    lines += [f"changed beside the study: {each.kind}, told {say_moment(each.at, zone)}: {_values(each.values)}"
              for each in confounders(record.diary)]  # fmt: skip
    return "\n".join([*lines, *(f"open {say_event(each, now)}" for each in record.events if each.open)])


def asked_data(each: Asked) -> dict[str, Any]:
    """One prompt and what became of it, as plain data."""
    return {
        "prompt": each.prompt.key,
        "form": each.prompt.form,
        "session": each.prompt.session,
        "opens_utc": write_moment(each.prompt.opens),
        "closes_utc": write_moment(each.prompt.closes),
        "state": each.state,
        "entry": each.entry.n if each.entry else None,
    }


def say_asked(asked: Sequence[Asked], zone: tzinfo) -> list[str]:
    """Count the prompts, and name those that are due, missed or come next."""
    if not asked:
        return []
    counts = {state: sum(each.state == state for each in asked) for state in ("answered", "late", "missed")}
    lines = ["asked for: " + ", ".join(f"{count} {state}" for state, count in counts.items())]
    for each in asked:
        if each.state == "due":
            lines.append(f"  due: {each.prompt.key}, until {say_moment(each.prompt.closes, zone)}")
        elif each.state == "missed":
            lines.append(f"  missed: {each.prompt.key}, was due until {say_moment(each.prompt.closes, zone)}")
        elif each.state == "waiting":
            lines.append(f"  later: {each.prompt.key}, from {say_moment(each.prompt.opens, zone)}")
    return lines


def event_data(event: AdverseEvent) -> dict[str, Any]:
    """One adverse event as it stands, as plain data."""
    return {
        "number": event.number,
        "open": event.open,
        "reported_utc": write_moment(event.at),
        "who": event.who,
        "session": event.session,
        "values": dict(event.values),
        "notes": [
            {"at_utc": write_moment(note.at), "kind": note.kind, "who": note.who, "why": note.why}
            for note in event.notes
        ],
    }


def say_event(event: AdverseEvent, now: datetime) -> str:
    """One adverse event in a line."""
    said = event.values
    state = f"open for {days_open(event, now.date())} d" if event.open else f"over since {said['resolved_on']}"
    serious = ", serious" if said["serious"] == "yes" else ""
    return (
        f"adverse event {event.number}: {said['what']} ({said['kind']}, {said['place']}, site {said['site']}), "
        f"{said['grade']}{serious}, {said['related']} relation, since {said['began']}, {state}"
    )


def _judged(record: PersonRecord, course: PersonCourse, now: datetime) -> tuple[Adherence, Due, SessionCaps]:
    plan, booked = course.plan, course.booked
    asks = due(plan, booked, now, entries=record.diary, overrides=course.overrides, closed_at=course.closed_at)
    return adherence(plan, booked, now), asks, session_caps(plan, booked)


def _next_line(course: PersonCourse, asks: Due, now: datetime) -> str:
    zone = course.plan.zone
    if asks.next is None:
        return "next: none"
    when = "now" if asks.next.opens <= now else f"from {say_moment(asks.next.opens, zone)}"
    until = asks.next.on_plan_until
    plan = "" if until is None else f", on plan before {say_moment(until, zone)}"
    late = " (late)" if asks.next.late(now) else ""
    return f"next: session {asks.next.session} of {course.plan.planned}, {when}{plan}{late}"


def _week_data(week: Week) -> dict[str, Any]:
    held = [
        {
            "session": each.number,
            "begin_utc": write_moment(each.begin),
            "attempts": len(each.attempts),
            "outcome": _outcome(each),
        }
        for each in week.held
    ]
    return {"week": week.number, "first_day": week.first.isoformat(), "planned": week.planned, "sessions": held}


def _week_line(week: Week, zone: tzinfo) -> str:
    held = ", ".join(f"{each.number} on {say_moment(each.begin, zone)} {_outcome(each)}" for each in week.held)
    return f"  week {week.number} from {week.first.isoformat()}, {week.planned} planned: {held or 'none'}"


def _outcome(session: Session) -> str:
    return "complete" if session.complete else session.attempts[-1].outcome or "without an end"


def _who(roles: Sequence[str]) -> str:
    return f" (may be lifted by: {', '.join(roles)})" if roles else ""


def _dose_data(dose: Dose) -> dict[str, float | None]:
    return {"planned": dose.planned, "delivered": dose.delivered, "share": dose.share}


def _dose(dose: Dose, unit: str) -> str:
    share = "" if dose.share is None else f" ({dose.share:.1%})"
    return f"{dose.delivered:g} of {dose.planned:g} {unit}{share}"


def _tolerance(kept: Adherence) -> str:
    if kept.tolerance_share is None:
        return "share of tolerance not known"
    return f"{kept.tolerance_share:.0%} of the day's tolerance"


def _values(values: Any) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(values.items()))
