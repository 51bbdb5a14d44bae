"""Values of a course that mean nothing where they stand: without what they refer to, or because they change nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from myoloop.experiments.protocols.schema import Protocol
from myoloop.platform.yamlfile import KeyPath

Finding = tuple[KeyPath, str, Any]


def flare_has_a_course(protocol: Protocol) -> Iterator[Finding]:
    """A flare is told of from session to session, makes a dose smaller, and somebody asks about it."""
    flare, course = protocol.flare, protocol.course
    if flare is None:
        return
    if course is None:
        text = "a flare rule needs a course: nothing is kept from one session to the next without one"
        yield ("flare",), text, "error"
        return
    if flare.next_share >= 1:
        yield ("flare", "next_share"), f"found {flare.next_share:g}, which takes nothing away", "warning"
    asked = any("follow_up" in forms for forms in protocol.forms()) or any(
        entry.form == "follow_up" for entry in course.diary
    )
    if not asked and not course.followups_s and all(item.screening is None for item in protocol.phases):
        text = "nothing asks of a flare: neither a screening nor the form follow_up in questions or diary"
        yield ("flare",), text, "warning"


def first_session_is_one_of_several(protocol: Protocol) -> Iterator[Finding]:
    """A smaller first session is smaller, and followed by others."""
    course = protocol.course
    if course is None or course.first_session is None:
        return
    keys: KeyPath = ("course", "first_session")
    if course.max_sessions == 1:
        yield keys, "found with max_sessions: 1: every session of the course is the smaller one", "warning"
    if course.first_session.current_share >= 1 and course.first_session.on_share >= 1:
        yield keys, "found shares of all: the first session is as any other", "warning"


def washout_has_something_to_wash_out(protocol: Protocol) -> Iterator[Finding]:
    """A washout waits for what carries over."""
    course = protocol.course
    if course is not None and course.washout_s is not None and not course.carry_over:
        yield ("course", "washout"), "means nothing without carry_over: true", "warning"


RULES = (flare_has_a_course, first_session_is_one_of_several, washout_has_something_to_wash_out)
