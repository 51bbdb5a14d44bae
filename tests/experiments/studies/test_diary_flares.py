"""A flare that is told between sessions, in the diary or a follow-up, reaches the progression and the next dose."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.admission import admit
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.courselog import begun_line, ended_line, plan_line, plan_of
from myoloop.experiments.studies.diaryacts import Act, write
from myoloop.experiments.studies.personrecord import append_record, record_path
from myoloop.experiments.studies.progression import Result, read_progression, result_line
from myoloop.experiments.studies.signatures import sha256_of

PROTOCOL = load_protocol("crps_motor_reeducation")
BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NEXT = BEGAN + timedelta(days=3)
DOSE = {"on_s": 100.0, "charge_mc": 5.0, "pulses": 3500}
ANSWERS = ("after_h=24", "reached=yes", "current=6", "came_back=no", "new_complaint=no")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    plan = plan_of(PROTOCOL.course, "UTC", ("principal investigator",))
    append_record(tmp_path, "P1", "course", plan_line(plan, sha256_of(Path(PROTOCOL.path)), BEGAN))
    for session in (1, 2):
        begin = BEGAN + timedelta(days=session - 1)
        append_record(tmp_path, "P1", "course", begun_line(session, 1, begin, **DOSE))
        ended = ended_line(session, 1, begin + timedelta(minutes=30), "complete", **DOSE, tolerance_share=0.5)
        append_record(tmp_path, "P1", "course", ended)
        result = Result(session, "session_end", {"effort_started_share": 0.9})
        append_record(tmp_path, "P1", "progression", result_line(result, begin + timedelta(minutes=30)))
    return tmp_path


def _flares(study: Path) -> list[int]:
    results, _ = read_progression(read_chained(record_path(study, "P1", "progression")))
    return [each.session for each in results if each.flare]


def _told(study: Path, flared: str, *, dry_run: bool = False, correct: int | None = None, why: str = ""):
    act = Act("follow_up", (*ANSWERS, f"flared={flared}"), "B. Lang", correct, why)
    return write(study, "P1", act, BEGAN + timedelta(days=2), dry_run=dry_run)


def _next_share(study: Path) -> float:
    caps = admit(study, "P1", PROTOCOL, "SIM", NEXT).caps
    return 1.0 if caps is None else caps.on_share


def test_a_flare_in_the_diary_halves_the_next_dose_and_says_so(study: Path) -> None:
    assert _next_share(study) == 1.0
    found = _told(study, "yes")
    assert _flares(study) == [2]
    assert _next_share(study) == 0.5
    assert "a flare of session 2 is on record" in found.text
    assert (found.data["flare"]["session"], found.data["flare"]["who"]) == (2, "B. Lang")
    assert found.data["flare"]["why"] == "told in the diary, follow_up"


def test_who_had_none_changes_nothing(study: Path) -> None:
    before = record_path(study, "P1", "progression").read_bytes()
    for answer in ("no", "unsure"):
        assert _told(study, answer).data["flare"] is None
    assert record_path(study, "P1", "progression").read_bytes() == before


def test_told_twice_it_is_written_once(study: Path) -> None:
    _told(study, "yes")
    assert _told(study, "yes").data["flare"] is None
    lines = read_chained(record_path(study, "P1", "progression"))
    assert [line["kind"] for line in lines].count("flare") == 1


def test_a_correction_brings_one_in_and_takes_none_back(study: Path) -> None:
    entry = _told(study, "no").data["entry"]["n"]
    assert _flares(study) == []
    _told(study, "yes", correct=entry, why="misheard")
    assert _flares(study) == [2]
    _told(study, "no", correct=entry, why="misheard again")
    assert _flares(study) == [2]
    assert _next_share(study) == 0.5


def test_a_dry_run_and_a_refused_entry_write_none(study: Path) -> None:
    assert _told(study, "yes", dry_run=True).data["flare"]["session"] == 2
    with pytest.raises(ValueError, match="needs who wrote it"):
        write(study, "P1", Act("follow_up", (*ANSWERS, "flared=yes"), " "), BEGAN + timedelta(days=2), dry_run=False)
    assert _flares(study) == []


def test_a_kill_between_flare_and_entry_loses_no_flare(study: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    def append(study: Path, person: str, log, line):
        if log == "diary":
            raise Killed
        return append_record(study, person, log, line)

    with monkeypatch.context() as patched:
        patched.setattr("myoloop.experiments.studies.diaryacts.append_record", append)
        with pytest.raises(Killed):
            _told(study, "yes")
    assert _flares(study) == [2]
    _told(study, "yes")
    assert _flares(study) == [2]
