"""The audit: who, what, when, old, new, why; found and verified for a file, a session or a whole study."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from myoloop.experiments.studies.audit import audit_of, read_audit, record_act, say_audit, utc
from myoloop.experiments.studies.chained import ChainedLog
from myoloop.platform.errors import UserError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def study(tmp_path):
    attempt = tmp_path / "sub-P017" / "ses-05" / "att-1"
    record_act(
        audit_of(tmp_path), NOON, "A. Berg", "pi", "reassign", "sub-P017/ses-04", "P017", "P018", "typed the wrong code"
    )
    record_act(audit_of(attempt), NOON - timedelta(hours=1), "B. Lind", "operator", "pause", "block 1", None, None, "")
    ChainedLog(tmp_path / "sub-P017" / "record" / "diary.jsonl").append({"nrs": 3})
    return tmp_path


def test_an_act_holds_who_what_when_old_new_and_why(study):
    row = read_audit(study / "audit.jsonl").acts[0]
    assert (row["who"], row["role"], row["act"], row["what"]) == ("A. Berg", "pi", "reassign", "sub-P017/ses-04")
    assert (row["wall_utc"], row["old"], row["new"]) == ("2026-11-21T12:00:00.000Z", "P017", "P018")
    assert row["why"] == "typed the wrong code"


def test_a_study_is_read_with_all_its_sessions_in_the_order_of_time(study):
    found = read_audit(study)
    assert [row["act"] for row in found.acts] == ["pause", "reassign"]
    assert (found.logs, found.problems, found.torn) == (3, [], [])
    assert say_audit(found).splitlines() == [
        "2026-11-21T11:00:00.000Z B. Lind (operator) pause block 1",
        "2026-11-21T12:00:00.000Z A. Berg (pi) reassign sub-P017/ses-04: P017 -> P018 (typed the wrong code)",
        "3 chained logs: whole",
    ]


def test_a_session_is_read_alone(study):
    found = read_audit(study / "sub-P017" / "ses-05" / "att-1")
    assert [row["act"] for row in found.acts] == ["pause"]
    assert found.logs == 1


def test_a_person_is_read_with_what_is_theirs(study):
    assert read_audit(study / "sub-P017").logs == 2


def test_damage_anywhere_in_a_study_shows(study):
    diary = study / "sub-P017" / "record" / "diary.jsonl"
    diary.write_bytes(diary.read_bytes().replace(b'"nrs":3', b'"nrs":1'))
    found = read_audit(study)
    assert [problem for problem in found.problems if "diary.jsonl, line 1: edited" in problem]
    assert "DAMAGED" in say_audit(found)


@pytest.mark.parametrize("empty", ["who", "role", "act", "what"])
def test_an_act_without_who_role_or_what_is_refused(tmp_path, empty):
    given = {"who": "A. Berg", "role": "pi", "act": "sign", "what": "x", empty: " "}
    with pytest.raises(UserError, match=f"audit: {empty} is empty"):
        record_act(audit_of(tmp_path), NOON, **given, old=None, new=None, why="")
    assert not (tmp_path / "audit.jsonl").exists()


def test_times_are_written_in_utc_and_need_a_zone():
    assert utc(datetime(2026, 11, 21, 13, tzinfo=timezone(timedelta(hours=1)))) == "2026-11-21T12:00:00.000Z"
    with pytest.raises(ValueError, match="time zone"):
        utc(datetime(2026, 11, 21, 13))  # noqa: DTZ001


def test_where_no_audit_is_it_is_said(tmp_path):
    with pytest.raises(UserError, match="no such file or folder"):
        read_audit(tmp_path / "none")
    with pytest.raises(UserError, match="no audit in it"):
        read_audit(tmp_path)
