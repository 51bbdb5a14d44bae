"""A protocol in words says what a clinician must know before believing it."""

from __future__ import annotations

import json

import pytest

from myoloop.experiments.protocols.schema import load_protocol, presets
from myoloop.experiments.protocols.show import as_data, describe, length_s
from myoloop.experiments.protocols.words import duration_text


@pytest.mark.parametrize("name", sorted(presets()))
def test_every_preset_can_be_said(name):
    text = describe(load_protocol(name))
    assert text.splitlines()[1] == "Research use only. Not medical advice."
    assert all(len(line) > 0 for line in text.splitlines()[:3])
    assert "None" not in text
    assert "Ends by itself" in text


def test_what_is_unverified_is_said_first():
    text = describe(load_protocol("crps_motor_reeducation"))
    assert "Evidence: very low. No trial of motor-level NMES in CRPS was found" in text
    assert "general knowledge, unverified" in text
    assert text.index("general knowledge, unverified") < text.index("Course")


def test_intensity_is_said_as_what_it_refers_to():
    assert "at 20% of the way from motor to tolerance threshold" in describe(load_protocol("crps_motor_reeducation"))
    assert "at 1.5 x sensory threshold" in describe(load_protocol("lbp_spasm_relief"))


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("pain_rise: 2", "when the pain score is 2 above the person's own first"),
        ("pain_ceiling: 8", "when the pain score is 8"),
        ("spasms: {count: 3, within: 60 s}", "after 3 spasms within 1 min"),
        ("session_max: 20 min", "after 20 min"),
        ("timeouts: 4", "after 4 efforts in a row that did not come"),
        ("attention: 90 s", "pauses when the operator has given no sign of attention for 1 min 30 s"),
        ("cap_hits: 3", "after 3 trials in a row in which the gate allowed less than was asked"),
    ],
)
def test_every_rule_of_stopping_is_said(tmp_path, rule, words):
    path = tmp_path / "p.yaml"
    text = presets()["demo"].read_text(encoding="utf-8")
    path.write_text(text.replace("stop_rules:\n", f"stop_rules:\n  - {rule}\n", 1), encoding="utf-8")
    assert f"  {words}\n" in describe(load_protocol(path))


def test_data_is_json_with_units_in_its_keys():
    data = json.loads(json.dumps(as_data(load_protocol("demo")), allow_nan=False))
    assert data["stimulation"]["ext"] == {"site": "ext", "phase_us": 250.0, "rate_hz": 35.0}
    assert data["phases"][3]["block"]["hold_s"] == 3.8
    assert data["least_s"] < data["most_s"]


def test_the_demo_fits_into_three_minutes_whatever_the_person_does():
    least_s, most_s = length_s(load_protocol("demo"))
    assert 120 < least_s < 170
    assert most_s < 185


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.5, "0.5 s"), (59, "59 s"), (60, "1 min"), (125, "2 min 5 s"), (3600, "1 h"), (4200, "1 h 10 min")],
)
def test_lengths_of_time(seconds, text):
    assert duration_text(seconds) == text
