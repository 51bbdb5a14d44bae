"""Outcomes of an attempt with what stands beside it: only of the protocol that was played, and never taken for more."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.summary import summarise
from myoloop.experiments.origins import Origins
from myoloop.experiments.outcomes.attempt import NOBODY, PLANTED, heading_of, measure
from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.outcomes.words import say_known, say_outcomes
from myoloop.experiments.studies.chained import ChainedLog
from myoloop.experiments.studies.diary import Prompt, entry_line

PROTOCOL = """
protocol: {id: tiny, version: 1.2.3, schema: 1, title: Tiny, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [c1]}
  stim: {class: mA, min_step: 1 mA}
sites:
  c1: {muscle: biceps, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 20 mA}
stimulation:
  c1: {site: c1, phase: 250 us, rate: 20 Hz}
thresholds: {motor: 10 mA, tolerance: 20 mA}
phases:
  - block: {name: work, trials: 1, machine: cyclic, ramp_up: 0.1 s, hold: 1 s, ramp_down: 0.1 s, rest: 2 s,
            intensity: {ref: motor, x: 1.0}}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes:
  primary: trials_done
  secondary: [doms, pgic, {entered: grip strength, by: clinician}]
"""
END = datetime(2026, 11, 21, 11, 0, tzinfo=UTC)


@pytest.fixture
def attempt(known, tmp_path) -> Path:
    """Session 3 of P017, with the copy of its protocol and the hash of it in the record."""
    folder = tmp_path / "study" / "sub-P017" / "ses-03" / "att-2"
    told = {"sha256.protocol.yaml": hashlib.sha256(PROTOCOL.encode()).hexdigest()}
    known.write(folder, metadata={**known.METADATA, **told})
    (folder / "protocol.yaml").write_text(PROTOCOL, encoding="utf-8")
    return folder


def soreness(folder: Path, session: int, value: int) -> None:
    prompt = Prompt("doms 24 h", "doms", session, END, END + timedelta(days=1), END + timedelta(days=2))
    line = entry_line(
        at=END + timedelta(days=1), form="doms", prompt=prompt, who="P017",
        values={"soreness": value, "dark_urine": "no", "much_swelling": "no"},
    )  # fmt: skip
    ChainedLog(folder.parents[1] / "record" / "diary.jsonl").append(line)


def test_each_outcome_has_its_part_its_value_or_why_there_is_none(attempt):
    rows = {row["outcome"]: row for row in measure(load(attempt)).rows()}
    assert list(rows) == ["trials_done", "doms", "pgic"]
    assert (rows["trials_done"]["part"], rows["trials_done"]["value"], rows["trials_done"]["n"]) == ("primary", 1.0, 1)
    assert (rows["pgic"]["part"], rows["pgic"]["value"], rows["pgic"]["why"]) == ("secondary", None, "not asked")


def test_what_somebody_enters_elsewhere_is_named_and_not_made_up(attempt):
    assert measure(load(attempt)).entered() == [{"part": "secondary", "text": "grip strength", "by": "clinician"}]


def test_the_diary_of_this_session_counts_and_no_others(attempt):
    soreness(attempt, 2, 9)
    assert measure(load(attempt)).values["doms"].value is None
    soreness(attempt, 3, 4)
    assert measure(load(attempt)).values["doms"].value == 4.0


def test_a_diary_that_was_edited_is_not_believed(attempt):
    soreness(attempt, 3, 4)
    diary = attempt.parents[1] / "record" / "diary.jsonl"
    diary.write_bytes(re.sub(rb'("soreness": ?)4', rb"\g<1>1", diary.read_bytes()))
    found = measure(load(attempt))
    assert found.values["doms"].value is None
    assert "cannot be believed" in found.values["doms"].why
    assert found.values["trials_done"].value == 1.0
    assert found.diary_problem


def test_another_protocol_than_the_one_that_was_played_gives_nothing(attempt):
    copy = attempt / "protocol.yaml"
    copy.write_text(PROTOCOL.replace("trials_done", "dose_share"), encoding="utf-8")
    found = measure(load(attempt))
    assert (found.protocol, found.rows()) == (None, [])
    assert "is not the protocol that was played" in found.missing
    copy.unlink()
    assert "cannot be read" in measure(load(attempt)).missing


def test_a_record_that_names_no_protocol_has_no_outcomes(known_attempt):
    assert "does not say which protocol" in measure(load(known_attempt)).missing


@pytest.mark.parametrize(
    ("origins", "heading"),
    [
        (Origins("simulated", "simulated", "simulated"), PLANTED),
        (Origins("live", "device", "person"), ""),
        (Origins("live", "device", "none"), NOBODY),
        (Origins("recorded", "simulated", "none"), NOBODY),
        (Origins("recorded", "simulated", "simulated"), PLANTED),
    ],
)
def test_only_what_is_of_a_person_stands_without_a_heading(known_attempt, origins, heading):
    session = dataclasses.replace(load(known_attempt), metadata=origins.metadata(), simulated=origins.simulated)
    assert heading_of(session) == heading


def test_where_nobody_knows_what_was_simulated_that_is_said(known_attempt):
    session = dataclasses.replace(load(known_attempt), metadata={}, simulated=None)
    assert heading_of(session) == "simulated or not: unknown"


def test_a_summary_has_them_and_is_json(attempt):
    summary = summarise(load(attempt))
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
    assert summary["outcomes"][0]["outcome"] == "trials_done"
    assert (summary["outcomes_are"], summary["outcomes_missing"]) == (PLANTED, "")
    assert [each["text"] for each in summary["outcomes_entered"]] == ["grip strength"]


def test_in_words_they_say_what_they_are_first(attempt):
    lines = say_outcomes(measure(load(attempt)).as_data()).splitlines()
    assert lines[0] == f"outcomes ({PLANTED}):"
    assert lines[1].split() == ["primary", "trials_done", "1", "trials", "(n", "1)"]
    assert lines[3].endswith("none: not asked")
    assert lines[4].endswith("grip strength: entered by the clinician")


def test_every_outcome_there_is_has_a_line_with_unit_and_needs():
    lines = say_known().splitlines()
    assert len(lines) == len(OUTCOMES)
    for line, (name, kind) in zip(lines, OUTCOMES.items(), strict=True):
        assert line.split()[0] == name
        assert kind.unit in line
        assert "; needs " in line
