"""What a session leaves beside its recording, and what the next one knows from it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.screening.equipment import Device
from myoloop.experiments.sessions.records_after import acts_of, filled_forms
from myoloop.experiments.sessions.records_before import (
    RecordsError,
    dummy_load_of,
    history_before,
    screening_before,
)
from myoloop.experiments.sessions.run import prepare, run_lockstep
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.studies.adverse import open_events
from myoloop.experiments.studies.chained import ChainedLog, read_chained, verify_chained
from myoloop.platform.recording.reader import Recording
from myoloop.platform.yamlfile import parse_yaml

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TEXT = """
protocol: {id: asked, version: 1.0.0, schema: 1, title: Questions, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 12 mA, tolerance: 20 mA}
phases:
  - questions: {name: before, forms: [nrs_now, skin_after]}
  - rest: {name: rest, duration: 0.5 s}
  - block: {name: train, trials: 1, machine: cyclic, ramp_up: 0.2 s, hold: 0.3 s, ramp_down: 0.1 s, rest: 1.4 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""
PAIN = "date: 2026-11-21\noperator: {name: A. Smith}\nothers: clear\nforms: {nrs_now: {current: 3}}\n"


def script_of(text: str) -> Script:
    return Script.model_validate(parse_yaml(text)[0])


def played(study: Path, script: Script, folder: Path) -> Path:
    path = folder / "asked.yaml"
    path.write_text(TEXT)
    setup = prepare(str(path), subject="SIM:able_bodied", rig=None, study=study, seed=1, script=script)
    return run_lockstep(setup, script=script).folder


@pytest.fixture(scope="module")
def session(tmp_path_factory) -> Path:
    """A session whose forms a script has answered, with an adverse event."""
    values = json.dumps(red_spot())
    acts = f"acts:\n  - {{when: {{phase: train}}, do: {{form: {{id: adverse_event.ae-1, values: {values}}}}}}}\n"
    folder = tmp_path_factory.mktemp("session")
    return played(folder / "study", script_of(PAIN + acts), folder)


def red_spot() -> dict:
    return {
        "kind": "burn", "what": "a red spot", "place": "left_arm", "site": "ext", "began": "2026-11-21",
        "grade": "mild", "ctcae": 1, "serious": "no", "related": "probable", "device_related": "no",
        "action": ["stopped"], "resolved": "no", "follow_up_on": "2026-11-22",
    }  # fmt: skip


def test_each_form_is_a_file_of_its_own_as_it_was_answered(session):
    files = sorted((session / "forms").iterdir())
    assert files[0].name == "1-nrs_now.json"
    first = json.loads(files[0].read_text())
    assert (first["form"], first["values"]["current"], first["who"]) == ("nrs_now", 3, "script (A. Smith)")
    assert first["wall"].startswith("2026-11-21T12:00:")
    assert len(files) == len(filled_forms(Recording.open(session)))


def test_every_act_is_in_the_audit_with_who_when_and_what(session):
    rows = read_chained(session / "audit.jsonl")
    assert verify_chained(session / "audit.jsonl") == []
    assert len(rows) == len(acts_of(Recording.open(session)))
    kinds = [row["act"] for row in rows]
    assert {"confirm", "form", "arm", "armed"} <= set(kinds)
    assert {row["who"] for row in rows} == {"script (A. Smith)"}
    assert all(row["wall_utc"].startswith("2026-11-21T12:00:") for row in rows)


def test_a_form_that_nobody_answers_ends_the_session_and_is_named(tmp_path):
    folder = played(tmp_path / "study", script_of("date: 2026-11-21\n"), tmp_path)
    recording = Recording.open(folder)
    assert recording.outcome == "aborted"
    assert "form nrs_now: no script answers it" in recording.reason


def test_what_was_told_is_history_in_the_next_session(session):
    record = session.parents[1] / "record"
    history = history_before(record, 1, "SIM", NOW, None)
    assert history.sessions == 1
    assert len(history.skin_after) == 1


def test_an_adverse_event_is_on_the_persons_record_and_open_in_the_next_session(session):
    record = session.parents[1] / "record"
    (event,) = open_events(read_chained(record / "adverse_events.jsonl"))
    assert (event.session, event.who, event.values["what"]) == (1, "script (A. Smith)", "a red spot")
    (known,) = history_before(record, 1, "SIM", NOW, None).adverse_events
    assert known.is_open(NOW.date())


def test_a_record_that_was_edited_lets_no_session_begin(tmp_path):
    log = ChainedLog(tmp_path / "patch_tests.jsonl")
    log.append({"form": "skin_after.ext", "values": {}, "wall": NOW.isoformat()})
    with pytest.raises(RecordsError, match="entry 1"):
        history_before(tmp_path, 0, "SIM", NOW, None)
    text = log.path.read_text()
    log.path.write_text(text.replace("skin_after.ext", "skin_after.leg"))
    with pytest.raises(Exception, match="edited"):
        history_before(tmp_path, 0, "SIM", NOW, None)


def registered(tested_at: datetime | None, serial: str = "D1") -> Device:
    return Device(serial, "emulator", "none", NOW.date(), tested_at, tested_at is not None)


def test_the_stations_devices_are_known_to_screening(tmp_path):
    (tmp_path / "study.yaml").write_text(
        "devices:\n  - {serial: D1, model: emulator, standard: none, safety_test_until: 2027-01-01,"
        f" self_test_at: {NOW.isoformat()}, self_test_passed: true}}\n"
    )
    plan = screening_before(load_protocol("demo"), tmp_path / "sub-P1", 0, "HUMAN", NOW, None)
    assert [each["serial"] for each in plan.history["devices"]] == ["D1"]
    assert plan.dummy_load.startswith("D1: self-test of ")
    assert not screening_before(load_protocol("demo"), tmp_path / "sub-P1", 0, "SIM", NOW, None).dummy_load


def test_a_self_test_that_is_old_failed_or_never_was_shows_nothing():
    fresh = registered(NOW)
    assert dummy_load_of((fresh,), NOW)
    assert dummy_load_of((), NOW) == ""
    assert dummy_load_of((registered(NOW - timedelta(hours=9)),), NOW) == ""
    assert dummy_load_of((replace(fresh, self_test_passed=False),), NOW) == ""
    assert dummy_load_of((fresh, registered(None, "D2")), NOW) == ""
    assert dummy_load_of((fresh, registered(NOW, "D2")), NOW).count("self-test") == 2


@pytest.mark.parametrize(("protocol", "operated"), [("quad_immobilised", True), ("lbp_strength", False)])
def test_a_protocol_for_people_after_an_operation_says_so_to_screening(tmp_path, protocol, operated):
    plan = screening_before(load_protocol(protocol), tmp_path / "sub-P1", 0, "SIM", NOW, None)
    assert plan.post_operative is operated
