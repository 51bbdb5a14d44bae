"""A person's course on record: ``record/course.jsonl`` to plan and bookings, and what is appended to it.

The first line is the plan, as the protocol had it when the person began; a later plan is an amendment and holds from
there. Each attempt is a line when it begins and one when it has ended.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, get_args
from zoneinfo import ZoneInfo

from myoloop.experiments.protocols.study import Course as CourseSection
from myoloop.experiments.studies.course import Booked, CoursePlan, Outcome, Override, check_override
from myoloop.experiments.studies.diary import DiaryPrompt
from myoloop.experiments.studies.moments import read_moment, time_zone, write_moment
from myoloop.platform.errors import UserError

OUTCOMES = tuple(each for each in get_args(Outcome) if each)
_COUNTED = ("on_s", "charge_mc", "pulses")


class CourseError(UserError, ValueError):
    """A course that cannot be read or written; one line for the operator."""


@dataclass(frozen=True, slots=True)
class PersonCourse:
    """What is prescribed to a person, and what has been.

    Attributes
    ----------
    protocol_sha256
        Of the protocol that the plan is from.
    closed_at, closed_why
        When and why the course was closed before its end; None and empty where it was not.
    """

    plan: CoursePlan
    protocol_sha256: str
    booked: tuple[Booked, ...] = ()
    overrides: tuple[Override, ...] = ()
    closed_at: datetime | None = None
    closed_why: str = ""


def plan_of(course: CourseSection, zone: str, override_roles: tuple[str, ...] = ()) -> CoursePlan:
    """Make the plan of a protocol's section `course`.

    Parameters
    ----------
    zone
        IANA name of the study's own time zone.

    Raises
    ------
    MomentError
        If there is no such zone.
    """
    first = course.first_session
    return CoursePlan(
        sessions_per_week=course.sessions_per_week,
        sessions_per_day=course.sessions_per_day,
        weeks=course.weeks,
        min_gap_s=course.min_gap_s,
        max_sessions=course.max_sessions,
        first_current_share=first.current_share if first else 1.0,
        first_on_time_share=first.on_share if first else 1.0,
        followups_s=tuple(course.followups_s),
        diary=tuple(
            DiaryPrompt(form=each.form, after_s=after_s, window_s=each.within_s)
            for each in course.diary
            for after_s in each.after_s
        ),
        zone=time_zone(zone),
        override_roles=override_roles,
    )


def read_course(log: Iterable[Mapping[str, Any]]) -> PersonCourse | None:
    """Read the lines of ``record/course.jsonl``; None where no plan was written.

    Raises
    ------
    CourseError
        If a line is not what its kind says: nobody is begun on half a course.
    """
    course: PersonCourse | None = None
    for line in log:
        try:
            course = _taken(course, line)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CourseError(f"course: entry {line.get('n')}: cannot be understood: {error}") from None
    return course


def plan_line(plan: CoursePlan, protocol_sha256: str, at: datetime) -> dict[str, Any]:
    """Compose the line of a plan.

    Raises
    ------
    CourseError
        If its time zone has no name to be found by again.
    """
    if not isinstance(plan.zone, ZoneInfo) or plan.zone.key is None:
        raise CourseError(f"time zone: found {plan.zone!r}, allowed is one with an IANA name, like Europe/Berlin")
    written = {**asdict(plan), "zone": plan.zone.key}
    return {"kind": "plan", "wall_utc": write_moment(at), "protocol_sha256": protocol_sha256, "plan": written}


def begun_line(
    session: int, attempt: int, at: datetime, *, on_s: float, charge_mc: float, pulses: int
) -> dict[str, Any]:
    """Compose the line of an attempt that begins; `on_s`, `charge_mc` and `pulses` are the session's planned dose."""
    planned = {"on_s": on_s, "charge_mc": charge_mc, "pulses": pulses}
    return {
        "kind": "begun",
        "wall_utc": write_moment(at),
        "session": session,
        "attempt": attempt,
        "planned": planned,
    }


def ended_line(
    session: int,
    attempt: int,
    at: datetime,
    outcome: str,
    *,
    on_s: float,
    charge_mc: float,
    pulses: int,
    tolerance_share: float | None,
) -> dict[str, Any]:
    """Compose the line of an attempt that has ended, with what this attempt delivered; nominal in a blinded study.

    Raises
    ------
    CourseError
        If there is no such outcome.
    """
    if outcome not in OUTCOMES:
        raise CourseError(f"outcome: found {outcome!r}, allowed: {', '.join(OUTCOMES)}")
    return {
        "kind": "ended",
        "wall_utc": write_moment(at),
        "session": session,
        "attempt": attempt,
        "outcome": outcome,
        "delivered": {"on_s": on_s, "charge_mc": charge_mc, "pulses": pulses},
        "tolerance_share": tolerance_share,
    }


def override_line(plan: CoursePlan, override: Override) -> dict[str, Any]:
    """Compose the line of an override.

    Raises
    ------
    CourseError
        If it lifts nothing: a rule that cannot be, a role that may not, no name or no reason.
    """
    if problems := check_override(plan, override):
        raise CourseError("; ".join(problems))
    said = {"session": override.session, "rule": override.rule, "name": override.name, "role": override.role}
    return {"kind": "override", "wall_utc": write_moment(override.at), **said, "reason": override.reason}


def closed_line(at: datetime, who: str, why: str) -> dict[str, Any]:
    """Compose the line that closes a course before its end.

    Raises
    ------
    CourseError
        If nobody is named, or no reason given.
    """
    if not who.strip() or not why.strip():
        raise CourseError("course: closed: needs who says so, and why")
    return {"kind": "closed", "wall_utc": write_moment(at), "who": who, "why": why}


def _taken(course: PersonCourse | None, line: Mapping[str, Any]) -> PersonCourse:
    kind, at = line["kind"], read_moment(line["wall_utc"])
    if kind == "plan":
        plan, sha256 = _plan(line["plan"]), str(line["protocol_sha256"])
        return PersonCourse(plan, sha256) if course is None else replace(course, plan=plan, protocol_sha256=sha256)
    if course is None:
        raise ValueError(f"found {kind!r} before any plan")
    if kind == "begun":
        return replace(course, booked=(*course.booked, _begun(course, line, at)))
    if kind == "ended":
        return replace(course, booked=tuple(_ended(course, line, at)))
    if kind == "override":
        rule, name, role, reason = (str(line[key]) for key in ("rule", "name", "role", "reason"))
        override = Override(_whole(line, "session"), rule, name, role, reason, at)
        return replace(course, overrides=(*course.overrides, override))
    if kind == "closed":
        return replace(course, closed_at=at, closed_why=str(line["why"]))
    raise ValueError(f"found {kind!r}, allowed: plan, begun, ended, override, closed")


def _plan(written: Mapping[str, Any]) -> CoursePlan:
    given = dict(written)
    given["zone"] = time_zone(given["zone"])
    given["diary"] = tuple(DiaryPrompt(**each) for each in given["diary"])
    for name in ("followups_s", "override_roles"):
        given[name] = tuple(given[name])
    return CoursePlan(**given)


def _begun(course: PersonCourse, line: Mapping[str, Any], at: datetime) -> Booked:
    session, attempt = _whole(line, "session"), _whole(line, "attempt")
    if any((each.session, each.attempt) == (session, attempt) for each in course.booked):
        raise ValueError(f"session {session}, attempt {attempt} was begun before")
    planned = {f"planned_{name}": line["planned"][name] for name in _COUNTED}
    return Booked(session=session, attempt=attempt, begin=at, **planned)


def _ended(course: PersonCourse, line: Mapping[str, Any], at: datetime) -> list[Booked]:
    ended = (line["session"], line["attempt"])
    begun = [each for each in course.booked if (each.session, each.attempt) == ended]
    if not begun or begun[0].outcome:
        raise ValueError(f"session {ended[0]}, attempt {ended[1]} has not begun, or has ended before")
    if line["outcome"] not in OUTCOMES:
        raise ValueError(f"outcome: found {line['outcome']!r}, allowed: {', '.join(OUTCOMES)}")
    dose = {name: line["delivered"][name] for name in _COUNTED}
    # A clock that was set back in a session ends it no sooner than it began.
    end = max(at, begun[0].begin)
    now = replace(begun[0], end=end, outcome=line["outcome"], tolerance_share=line["tolerance_share"], **dose)
    return [now if each is begun[0] else each for each in course.booked]


def _whole(line: Mapping[str, Any], name: str) -> int:
    found = line[name]
    if isinstance(found, bool) or not isinstance(found, int) or found < 1:
        raise ValueError(f"{name}: found {found!r}, allowed is a whole number, at least 1")
    return found
