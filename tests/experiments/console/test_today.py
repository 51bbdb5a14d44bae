"""Today's list: what is due, and what keeps a session from beginning, by the study's records alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.console.places_planned import planned_in, sites_shown, stimulated
from myoloop.experiments.console.protocols_here import chosen, playable
from myoloop.experiments.console.today import kept_files, newest_attempt, person_today, todays_list
from myoloop.experiments.protocols.schema import load_protocol, presets
from myoloop.experiments.studies.adverse import report_line
from myoloop.experiments.studies.audit import audit_of, record_act
from myoloop.experiments.studies.courselog import begun_line, ended_line, plan_line, plan_of
from myoloop.experiments.studies.participants import register
from myoloop.experiments.studies.personrecord import append_record
from myoloop.experiments.studies.signatures import sha256_of
from myoloop.platform.errors import UserError

PROTOCOL = load_protocol("crps_motor_reeducation")
BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
NEXT_DAY = BEGAN + timedelta(days=1, hours=1)
DOSE = {"on_s": 100.0, "charge_mc": 5.0, "pulses": 3500}
EVENT = {
    "kind": "burn", "what": "a red spot", "place": "left_arm", "site": "ext", "began": "2026-11-21", "grade": "mild",
    "ctcae": 1, "serious": "no", "related": "probable", "device_related": "yes", "action": ["stopped"],
    "resolved": "no", "follow_up_on": "2026-11-24",
}  # fmt: skip


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """P1 had a session this morning; P2 is enrolled and had none."""
    plan = plan_of(PROTOCOL.course, "UTC", ("principal investigator",))
    append_record(tmp_path, "P1", "course", plan_line(plan, sha256_of(Path(PROTOCOL.path)), BEGAN))
    append_record(tmp_path, "P1", "course", begun_line(1, 1, BEGAN, **DOSE))
    ended = ended_line(1, 1, BEGAN + timedelta(minutes=30), "complete", **DOSE, tolerance_share=0.5)
    append_record(tmp_path, "P1", "course", ended)
    attempt = tmp_path / "sub-P1/ses-01/att-1"
    attempt.mkdir(parents=True)
    (attempt / "protocol.yaml").write_bytes(Path(PROTOCOL.path).read_bytes())
    register(tmp_path, "P2", date(2026, 11, 20))
    return tmp_path


def harmed(study: Path, **more: str) -> None:
    line = report_line({**EVENT, **more}, at=BEGAN + timedelta(hours=1), who="A", session=1)
    append_record(study, "P1", "adverse_events", line)


def test_who_had_a_session_this_morning_is_told_when_the_next_may_be_and_why_not_now(study):
    found = person_today(study, "P1", BEGAN + timedelta(hours=3))
    assert found.state == "later"
    assert not found.may_begin
    assert any(reason.startswith("gap: session 1 began") for reason in found.reasons)
    assert found.says.startswith("session 2 of 18, from 2026-11-22")


def test_after_the_gap_the_next_session_is_due(study):
    found = person_today(study, "P1", NEXT_DAY)
    assert (found.state, found.reasons) == ("due", ())
    assert found.may_begin


def test_who_was_never_there_begins_with_the_first(study):
    found = person_today(study, "P2", NEXT_DAY)
    assert (found.state, found.says, found.last) == ("new", "first session", "none yet")


def test_an_open_event_at_the_only_site_blocks_the_next_session(study):
    harmed(study)
    found = person_today(study, "P1", NEXT_DAY)
    assert (found.state, found.closed_sites) == ("blocked", ("ext",))
    assert not found.may_begin
    assert "adverse event: open at ext" in found.reasons
    assert found.events[0].startswith("adverse event 1: a red spot")


def test_an_open_event_elsewhere_is_shown_and_blocks_nothing(study):
    harmed(study, place="right_leg", site="none")
    found = person_today(study, "P1", NEXT_DAY)
    assert (found.state, found.closed_sites, len(found.events)) == ("due", (), 1)


def test_the_list_has_everybody_but_who_has_withdrawn(study):
    assert [each.person for each in todays_list(study, NEXT_DAY)] == ["P1", "P2"]
    record_act(audit_of(study), NEXT_DAY, "A. Berg", "pi", "withdraw", "sub-P2", None, None, "wants to")
    assert [each.person for each in todays_list(study, NEXT_DAY)] == ["P1"]


def test_a_record_that_was_edited_is_told_and_lets_nothing_begin(study):
    log = study / "sub-P1/record/course.jsonl"
    log.write_text(log.read_text().replace('"complete"', '"stopped"'))
    (damaged, _) = sorted(todays_list(study, NEXT_DAY), key=lambda each: each.person)
    assert damaged.state == "unreadable"
    assert not damaged.may_begin


def test_the_newest_attempt_is_the_one_with_the_highest_numbers(study):
    for name in ("ses-02/att-1", "ses-100/att-2", "ses-100/att-10", "ses-09/att-1"):
        (study / "sub-P1" / name).mkdir(parents=True)
    assert newest_attempt(study, "P1") == study / "sub-P1/ses-100/att-10"


def test_a_course_goes_on_with_the_protocol_that_it_was_begun_with(study):
    other = study / "sub-P1/ses-02/att-1"
    other.mkdir(parents=True)
    (other / "protocol.yaml").write_bytes(Path(load_protocol("demo").path).read_bytes())
    assert kept_files(study, "P1") == (study / "sub-P1/ses-01/att-1/protocol.yaml", None)


def test_a_study_plays_its_own_protocols_before_those_that_ship(study):
    own = (study / "mine.yaml").write_bytes(Path(load_protocol("demo").path).read_bytes() + b"\n# mine\n")
    (study / "study.yaml").write_text("zone: Europe/Berlin\n")
    found = playable(study)
    assert own
    assert [each.origin for each in found[:2]] == ["study", "study"]
    assert {each.name for each in found if each.origin == "preset"} == set(presets()) - {"crps_motor_reeducation"}
    assert chosen(study, found[0].key).name == str(study / "mine.yaml")
    with pytest.raises(UserError, match="choose again"):
        chosen(study, "0" * 64)


@pytest.mark.parametrize("name", ["crps_motor_reeducation", "lbp_spasm_relief"])
def test_a_preset_says_what_is_put_on_the_skin_where(name):
    protocol = load_protocol(name)
    shown = sites_shown(protocol)
    assert {each.name for each in planned_in(protocol)} <= set(stimulated(protocol))
    for site in stimulated(protocol):
        keys = [each.key for each in shown[site].electrodes]
        assert len(keys) == len(set(keys)) >= 2
        assert shown[site].channels
