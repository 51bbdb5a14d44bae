"""Who may have a session now: a signed protocol, a course that allows it, values that are the person's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.protocols.evidence import safety_parameters
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.admission import RefusedError, admit
from myoloop.experiments.studies.courselog import begun_line, ended_line, plan_line, plan_of
from myoloop.experiments.studies.personrecord import append_record
from myoloop.experiments.studies.progression import Change, Result, change_line, result_line
from myoloop.experiments.studies.signatures import sha256_of, sign

PROTOCOL = load_protocol("crps_motor_reeducation")
NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DOSE = {"on_s": 100.0, "charge_mc": 5.0, "pulses": 3500}
SHARE = "phases[7].block.intensity.share"


def booked(study: Path, session: int, begin: datetime, outcome: str = "complete", attempt: int = 1) -> None:
    if session == attempt == 1:
        plan = plan_of(PROTOCOL.course, "UTC", ("principal investigator",))
        append_record(study, "P1", "course", plan_line(plan, sha256_of(Path(PROTOCOL.path)), begin))
    append_record(study, "P1", "course", begun_line(session, attempt, begin, **DOSE))
    if outcome:
        end = begin + timedelta(minutes=30)
        append_record(study, "P1", "course", ended_line(session, attempt, end, outcome, **DOSE, tolerance_share=0.5))


def test_the_first_session_is_smaller(tmp_path: Path) -> None:
    found = admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    assert found.caps is not None
    assert (found.caps.current_share, found.caps.on_share) == (0.8, 0.6)
    assert found.counted
    assert found.held == 0


def test_after_a_whole_session_the_next_is_whole(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    found = admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    assert found.caps is None
    assert found.held == 1


def test_a_session_inside_the_gap_is_refused_with_the_moment_from_which_it_may_be(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(hours=3))
    with pytest.raises(RefusedError) as refused:
        admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    (gap, *_) = str(refused.value).splitlines()
    assert gap.startswith("gap: ")
    assert "allowed from 2026-11-22 02:00" in gap
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW + timedelta(hours=18)).held == 1


def test_an_attempt_that_has_no_end_keeps_the_next_session_from_beginning_but_not_its_own_next_attempt(
    tmp_path: Path,
) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=3), outcome="")
    with pytest.raises(RefusedError, match="unfinished"):
        admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW, session=1).counted


def test_a_protocol_without_a_course_counts_nothing(tmp_path: Path) -> None:
    found = admit(tmp_path, "P1", load_protocol("demo"), "SIM", NOW)
    assert (found.caps, found.counted) == (None, False)


def test_a_person_is_stimulated_by_what_a_clinician_has_signed_only(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"not signed: .*no clinician has signed this protocol"):
        admit(tmp_path, "P1", PROTOCOL, "HUMAN", NOW)
    parameters = [(each.path, each.written, each.grade) for each in safety_parameters(PROTOCOL)]
    sign(
        tmp_path, sha256_of(Path(PROTOCOL.path)), parameters, name="Dr A", role="physician",
        day=NOW.date(), wall=NOW,
    )  # fmt: skip
    assert admit(tmp_path, "P1", PROTOCOL, "HUMAN", NOW).counted


def test_values_that_progression_has_moved_are_the_persons_own(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    append_record(
        tmp_path, "P1", "progression", result_line(Result(1, "session_end", {"effort_started_share": 0.3}), NOW)
    )
    moved = Change(1, "more help after failure", SHARE, 0.2, 0.25, "0.3 is below 0.5", 1)
    append_record(tmp_path, "P1", "progression", change_line(moved, NOW))
    assert admit(tmp_path, "P1", PROTOCOL, "SIM", NOW).personal == {SHARE: 0.25}


def test_after_a_flare_the_next_session_lasts_half_as_long(tmp_path: Path) -> None:
    booked(tmp_path, 1, NOW - timedelta(days=2))
    append_record(tmp_path, "P1", "progression", result_line(Result(1, "session_end", {}, flare=True), NOW))
    caps = admit(tmp_path, "P1", PROTOCOL, "SIM", NOW).caps
    assert caps is not None
    assert (caps.current_share, caps.on_share) == (1.0, 0.5)


def test_a_mistake_in_the_studys_own_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "study.yaml").write_text("zone: Middle/Earth\n")
    with pytest.raises(ValueError, match=r"study.yaml:1: zone: found 'Middle/Earth'"):
        admit(tmp_path, "P1", PROTOCOL, "SIM", NOW)
