"""Presets are served by a simulated rig, keep within their families' ranges, and mark what each value rests on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from myoloop.experiments.protocols.evidence import FREE_MARKS, safety_parameters
from myoloop.experiments.protocols.lint import lint
from myoloop.experiments.protocols.schema import load_protocol, presets
from myoloop.experiments.protocols.show import describe, length_s
from myoloop.experiments.sessions.setup import summarise
from myoloop.experiments.sessions.simulated_rig import simulated_rig

FAMILIES = json.loads((Path(__file__).parents[3] / "data" / "default_envelope.json").read_text())["per_modality"]
CLINICAL = [
    "crps_microcurrent", "crps_motor_reeducation", "crps_tens", "emgtrig_wrist_stroke", "lbp_spasm_relief",
    "lbp_strength", "neck_relax", "neck_strength", "quad_immobilised", "spasticity_clonus", "sports_recovery",
]  # fmt: skip
NO_TRIAL = ["crps_microcurrent", "neck_strength"]


def test_the_presets_that_are_asked_for_are_there():
    assert set(presets()) == {*CLINICAL, "demo", "playback_fatigue"}


@pytest.mark.parametrize("name", sorted(presets()))
def test_nothing_is_found_wrong_with_it_on_a_simulated_rig(name):
    protocol = load_protocol(name)
    assert [str(problem) for problem in lint(protocol, summarise(simulated_rig(protocol)))] == []


@pytest.mark.parametrize("name", CLINICAL)
def test_every_value_on_which_safety_rests_is_marked_and_every_source_is_used(name):
    protocol = load_protocol(name)
    evidence = protocol.protocol.evidence
    parameters = safety_parameters(protocol)
    assert len(parameters) > 20
    assert [each.path for each in parameters if not protocol.marked(each.path)] == []
    used = {mark for marks in evidence.marks.values() for mark in marks}
    told = set(re.findall(r"P[0-9]+[A-Z]?", evidence.note))
    assert set(evidence.sources) == {mark for mark in used | told if mark not in FREE_MARKS}


@pytest.mark.parametrize("name", CLINICAL)
def test_it_says_how_weak_the_evidence_is(name):
    evidence = load_protocol(name).protocol.evidence
    assert evidence.grade in ("none", "very low", "low", "moderate")
    assert any("GK" in marks for marks in evidence.marks.values())
    assert evidence.note
    assert "unverified" in describe(load_protocol(name))


@pytest.mark.parametrize("name", NO_TRIAL)
def test_what_no_trial_has_tried_says_so_first(name):
    evidence = load_protocol(name).protocol.evidence
    assert evidence.grade == "none"
    assert evidence.note.startswith("No trial of")


def test_microcurrent_is_for_no_person_and_says_why():
    protocol = load_protocol("crps_microcurrent")
    assert protocol.protocol.rigs == ("SIM", "BENCH")
    assert "It runs on SIM and BENCH rigs only, because" in " ".join(protocol.protocol.evidence.note.split())
    assert protocol.envelope.current_max_ma <= 0.5


@pytest.mark.parametrize("name", [name for name in CLINICAL if name != "crps_microcurrent"])
def test_a_course_begins_smaller_and_pain_ends_a_session(name):
    protocol = load_protocol(name)
    assert "HUMAN" in protocol.protocol.rigs
    assert protocol.course is not None
    assert protocol.course.first_session.on_share < 1
    assert any(rule.pain_rise for rule in protocol.stop_rules)


def test_for_crps_it_says_that_no_trial_was_found():
    assert "No trial of motor-level NMES in CRPS" in load_protocol("crps_motor_reeducation").protocol.evidence.note


def test_crps_keeps_within_emg_triggered_re_education():
    family, protocol = FAMILIES["emg_triggered"], load_protocol("crps_motor_reeducation")
    block, channel = protocol.phases[7].block, protocol.stimulation["ext"]
    assert family["rate_hz"][0] <= channel.rate_hz <= family["rate_hz"][1]
    assert family["phase_us"][0] <= channel.phase_us <= family["phase_us"][1]
    assert family["on_s"][0] <= block.hold_s <= family["on_s"][1]
    assert family["off_s"][0] <= block.rest_s <= family["off_s"][1]
    assert protocol.envelope.current_max_ma <= family["mA"][1]
    # Not more than 0.6 of the way from motor threshold to tolerance.
    assert block.intensity.share <= 0.6
    least_s, most_s = length_s(protocol)
    assert 10 * 60 <= least_s <= most_s <= 40 * 60


def test_low_back_relief_is_sensory_then_twitches_for_twenty_minutes():
    protocol = load_protocol("lbp_spasm_relief")
    first, second = protocol.phases[5].block, protocol.phases[7].block
    assert 80 <= protocol.stimulation["left"].rate_hz <= 100
    assert (first.intensity.ref, second.intensity.ref) == ("sensory", "motor")
    assert 1.5 <= first.intensity.x <= 2.0
    assert (second.rate_hz, second.phase_us) == (5.0, 250.0)
    assert first.hold_s + second.hold_s >= 20 * 60
    assert all(site.pad_area_cm2 == 45.0 for site in protocol.sites.values())


def test_demo_and_playback_are_not_for_people():
    assert load_protocol("demo").protocol.rigs == ("SIM",)
    assert "HUMAN" not in load_protocol("playback_fatigue").protocol.rigs
