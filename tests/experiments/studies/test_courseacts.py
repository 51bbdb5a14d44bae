"""What somebody decides of a course: leave for one session, its close, a flare told later; by name, role and reason."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.admission import RefusedError, admit
from myoloop.experiments.studies import courseacts
from myoloop.experiments.studies.courselog import CourseError, begun_line, ended_line, plan_line, plan_of
from myoloop.experiments.studies.personrecord import append_record
from myoloop.experiments.studies.signatures import sha256_of

PROTOCOL = load_protocol("crps_motor_reeducation")
BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
LATER = BEGAN + timedelta(hours=15)
DOSE = {"on_s": 100.0, "charge_mc": 5.0, "pulses": 3500}


@pytest.fixture
def study(tmp_path: Path) -> Path:
    plan = plan_of(PROTOCOL.course, "UTC", ("principal investigator",))
    append_record(tmp_path, "P1", "course", plan_line(plan, sha256_of(Path(PROTOCOL.path)), BEGAN))
    append_record(tmp_path, "P1", "course", begun_line(1, 1, BEGAN, **DOSE))
    ended = ended_line(1, 1, BEGAN + timedelta(minutes=30), "complete", **DOSE, tolerance_share=0.5)
    append_record(tmp_path, "P1", "course", ended)
    return tmp_path


def test_a_gap_is_lifted_for_the_next_session_by_who_may(study: Path) -> None:
    with pytest.raises(RefusedError, match="gap"):
        admit(study, "P1", PROTOCOL, "SIM", LATER)
    with pytest.raises(CourseError, match="role"):
        courseacts.lift(study, "P1", "gap", name="A", role="operator", why="far away", now=LATER)
    with pytest.raises(CourseError, match="cannot be overridden"):
        courseacts.lift(study, "P1", "course", name="A", role="principal investigator", why="more", now=LATER)
    courseacts.lift(study, "P1", "gap", name="A", role="principal investigator", why="far away", now=LATER)
    assert admit(study, "P1", PROTOCOL, "SIM", LATER).counted


def test_nothing_is_written_by_way_of_trial(study: Path) -> None:
    given = {"name": "A", "role": "principal investigator", "why": "far away", "now": LATER}
    assert courseacts.lift(study, "P1", "gap", **given, dry_run=True)["kind"] == "override"
    with pytest.raises(RefusedError, match="gap"):
        admit(study, "P1", PROTOCOL, "SIM", LATER)


def test_a_course_that_is_closed_begins_no_session(study: Path) -> None:
    with pytest.raises(CourseError, match="needs who says so, and why"):
        courseacts.close(study, "P1", who="", why="moved away", now=LATER)
    courseacts.close(study, "P1", who="A", why="moved away", now=LATER)
    with pytest.raises(RefusedError, match="closed"):
        admit(study, "P1", PROTOCOL, "SIM", BEGAN + timedelta(days=3))


def test_a_flare_told_later_halves_the_next_dose(study: Path) -> None:
    with pytest.raises(CourseError, match="session 4: found no such session"):
        courseacts.flare(study, "P1", 4, who="A", why="hand hot and swollen", now=LATER)
    courseacts.flare(study, "P1", 1, who="A", why="hand hot and swollen", now=LATER)
    caps = admit(study, "P1", PROTOCOL, "SIM", BEGAN + timedelta(days=2)).caps
    assert caps is not None
    assert caps.on_share == 0.5


def test_who_has_no_course_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "sub-P9").mkdir()
    with pytest.raises(CourseError, match="P9 has no course"):
        courseacts.close(tmp_path, "P9", who="A", why="x", now=LATER)
