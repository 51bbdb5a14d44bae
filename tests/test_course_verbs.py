"""The verbs about a person's course: what they say, what they write, and what they refuse."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.studies.audit import audit_of, record_act
from myoloop.experiments.studies.chained import ChainedLog, read_chained, verify_chained
from myoloop.experiments.studies.course import CoursePlan
from myoloop.experiments.studies.courselog import begun_line, ended_line, plan_line
from myoloop.experiments.studies.diary import DiaryPrompt
from myoloop.experiments.studies.moments import time_zone

DOSE = {"on_s": 300.0, "charge_mc": 90.0, "pulses": 9000}
DOMS = ("--form", "doms", "--value", "soreness=4", "--value", "dark_urine=no", "--value", "much_swelling=no")
EVENT = {
    "kind": "skin_reaction",
    "what": "redness under the pad",
    "place": "left_arm",
    "site": "ext",
    "began": "2026-01-05",
    "grade": "mild",
    "ctcae": "1",
    "serious": "no",
    "related": "probable",
    "device_related": "yes",
    "action": "stopped",
    "resolved": "no",
    "follow_up_on": "2026-01-07",
}
REPORT = ("--report", "--who", "B. Lang", *(part for key in EVENT for part in ("--value", f"{key}={EVENT[key]}")))
END = ("--who", "C. Roth", "--why", "no mark for two days")


def said(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    return result.stdout if code == 0 else result.stderr


def told(*arguments: str) -> dict:
    return json.loads(said(*arguments, "--json"))


def wrong(*arguments: str, words: str) -> None:
    assert words in said(*arguments, code=2)


@pytest.fixture
def study(tmp_path: Path) -> str:
    """P017 had the first session, 30 h ago, and 3 a week are planned for 2 weeks."""
    log = ChainedLog(tmp_path / "sub-P017" / "record" / "course.jsonl")
    plan = CoursePlan(
        sessions_per_week=3,
        sessions_per_day=1,
        weeks=2,
        min_gap_s=48 * 3600.0,
        max_sessions=6,
        first_current_share=0.5,
        first_on_time_share=0.5,
        diary=(DiaryPrompt(form="doms", after_s=24 * 3600.0, window_s=12 * 3600.0),),
        zone=time_zone("Europe/Berlin"),
        override_roles=("pi",),
    )
    begin = datetime.now(UTC) - timedelta(hours=30)
    log.append(plan_line(plan, "ab" * 32, begin - timedelta(days=1)))
    log.append(begun_line(1, 1, begin, **DOSE))
    log.append(ended_line(1, 1, begin + timedelta(hours=1), "complete", **DOSE, tolerance_share=0.8))
    return str(tmp_path)


def test_course_says_what_was_done_what_is_due_and_why_not_now(study) -> None:
    text = said("course", study, "P017")
    assert "next: session 2 of 6, from " in text
    assert "not now, gap: session 1 began" in text
    assert "(may be lifted by: pi)" in text
    assert "6 planned, 1 due by now: 1 done, 0 partial, 0 missed; adherence 100.0 %" in text
    assert ", 3 planned: 1 on " in text
    assert "300 of 300 s (100.0%), 90 of 90 mC (100.0%), 9000 of 9000 pulses (100.0%); 80% of the day's" in text
    assert "due: ses-01 doms 24 h, until " in text


def test_course_as_data_has_every_moment_in_utc(study) -> None:
    found = told("course", study, "P017")
    assert (found["next"]["session"], found["next"]["late"], found["next"]["caps"]["current_share"]) == (2, False, 1.0)
    assert found["next"]["opens_utc"].endswith("Z")
    assert [each["rule"] for each in found["refusals"]] == ["gap"]
    assert found["adherence"]["percent"] == 100.0
    assert [(week["planned"], len(week["sessions"])) for week in found["weeks"]] == [(3, 1), (3, 0)]
    assert found["weeks"][0]["sessions"][0]["outcome"] == "complete"
    assert found["adherence"]["on_s"] == {"planned": 300.0, "delivered": 300.0, "share": 1.0}
    assert [(each["prompt"], each["state"]) for each in found["diary"]] == [("ses-01 doms 24 h", "due")]


def test_a_diary_entry_answers_what_is_open_and_shows_in_the_course(study) -> None:
    row = told("diary", study, "P017", *DOMS)["entry"]
    assert (row["session"], row["prompt"], row["who"]) == (1, "doms 24 h", "P017")
    # How long after the session it is, nobody has to work out.
    assert row["values"] == {"after_h": 29, "soreness": 4, "dark_urine": "no", "much_swelling": "no"}
    assert [each["state"] for each in told("course", study, "P017")["diary"]] == ["answered"]
    assert "soreness 4" in said("diary", study, "P017")
    assert verify_chained(Path(study) / "sub-P017" / "record" / "diary.jsonl") == []


def test_a_correction_keeps_what_it_corrects(study) -> None:
    said("diary", study, "P017", *DOMS)
    fix = ("--form", "doms", "--value", "soreness=2", "--correct", "1")
    wrong("diary", study, "P017", *fix, words="a reason")
    said("diary", study, "P017", *fix, "--why", "misread", "--who", "B. Lang")
    (entry,) = told("diary", study, "P017")["entries"]
    assert (entry["n"], entry["values"]["soreness"], entry["values"]["after_h"]) == (1, 2, 29)
    assert (entry["corrected"], entry["why"]) == (True, "misread")
    rows = read_chained(Path(study) / "sub-P017" / "record" / "diary.jsonl")
    assert [row["values"]["soreness"] for row in rows] == [4, 2]
    wrong("diary", study, "P017", *fix[:-1], "9", "--why", "misread", words="no entry 9 to correct; there are: 1, 2")


def test_an_answer_that_asks_for_an_adverse_event_says_so(study) -> None:
    answers = [each.replace("dark_urine=no", "dark_urine=yes") for each in DOMS]
    assert "an adverse event must be reported" in said("diary", study, "P017", *answers)


def test_every_mistake_in_an_answer_is_a_line(study) -> None:
    lines = said("diary", study, "P017", "--form", "doms", "--value", "soreness=11", "--value", "sore=1", code=2)
    assert "soreness: found 11, allowed: a whole number from 0 to 10" in lines
    assert "found 'sore=1', allowed is question=answer, with one of after_h, soreness" in lines
    wrong("diary", study, "P017", "--form", "doms", "--value", "soreness=1", words="dark_urine: not answered")
    wrong("diary", study, "P017", "--form", "dooms", "--value", "1", words="dooms")
    wrong("diary", study, "P017", "--value", "1", words="--form: is needed with an entry")


def test_a_form_with_one_question_takes_its_answer_alone(study) -> None:
    assert told("diary", study, "P017", "--form", "pgic", "--value", "2")["entry"]["values"] == {"change": 2}


def test_a_change_of_medicine_stands_in_the_course_as_a_confounder(study) -> None:
    form = ("--form", "medication", "--value", "medication_changed=yes", "--value", "change=baclofen stopped")
    questions = said("diary", study, "P017", "--form", "medication", "--value", "change=x", code=2)
    rest = [line.split(": ")[1] for line in questions.splitlines() if "not answered" in line]
    others = [part for each in rest if each != "medication_changed" for part in ("--value", f"{each}=no")]
    said("diary", study, "P017", *form, *others)
    (found,) = told("course", study, "P017")["confounders"]
    assert (found["kind"], found["values"]["change"]) == ("medication", "baclofen stopped")
    assert "changed beside the study: medication" in said("course", study, "P017")


def test_an_adverse_event_is_reported_followed_up_corrected_and_resolved(study) -> None:
    assert "adverse event 1: redness under the pad" in said("adverse", study, "P017", *REPORT, "--session", "1")
    assert told("course", study, "P017")["open_adverse_events"] == [1]
    said("adverse", study, "P017", "--follow-up", "1", *END)
    said("adverse", study, "P017", "--correct", "1", "--value", "grade=moderate", "--value", "ctcae=2", *END)
    assert "moderate" in said("adverse", study, "P017")
    said("adverse", study, "P017", "--resolve", "1", *END)
    found = told("adverse", study, "P017")
    assert found["open"] == 0
    assert [note["kind"] for note in found["events"][0]["notes"]] == ["follow_up", "correction", "resolution"]
    wrong("adverse", study, "P017", "--resolve", "1", *END, words="event 1 is over already")


def test_an_adverse_event_is_not_ended_by_nobody_or_for_nothing(study) -> None:
    said("adverse", study, "P017", *REPORT)
    wrong("adverse", study, "P017", "--resolve", "1", "--why", "gone", words="the name of who")
    wrong("adverse", study, "P017", "--resolve", "1", "--who", "C. Roth", words="needs a reason")
    wrong("adverse", study, "P017", "--resolve", "7", *END, words="no adverse event 7; there are: 1")
    wrong("adverse", study, "P017", "--resolve", "1", "--correct", "1", *END, words="one of them at a time")
    wrong("adverse", study, "P017", *END, words="one of them is needed to write")
    assert told("adverse", study, "P017")["open"] == 1


def test_a_dry_run_writes_nothing(study) -> None:
    assert told("diary", study, "P017", *DOMS, "--dry-run")["written"] is False
    assert told("adverse", study, "P017", *REPORT, "--dry-run")["written"] is False
    assert [path.name for path in (Path(study) / "sub-P017" / "record").iterdir()] == ["course.jsonl"]


def test_who_is_not_there_has_no_course_or_has_withdrawn_is_one_line(study) -> None:
    for verb in ("course", "diary", "adverse"):
        wrong(verb, study, "P099", words="no person P099; it has P017")
        wrong(verb, study, "../P017", words="allowed is a pseudonym")
    (Path(study) / "sub-P018").mkdir()
    wrong("course", study, "P018", words="P018 has no course")
    assert "nothing asked, nothing written" in said("diary", study, "P018")
    assert "no adverse events" in said("adverse", study, "P018")
    now = datetime(2026, 11, 21, tzinfo=UTC)
    record_act(audit_of(study), now, "A. Berg", "pi", "withdraw", "sub-P018", None, None, "consent withdrawn")
    wrong("diary", study, "P018", *DOMS, "--value", "after_h=24", words="has withdrawn")


def test_a_record_that_was_edited_is_not_believed(study) -> None:
    path = Path(study) / "sub-P017" / "record" / "course.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"outcome":"complete"', '"outcome":"stopped"'), "utf-8")
    wrong("course", study, "P017", words="edited")
