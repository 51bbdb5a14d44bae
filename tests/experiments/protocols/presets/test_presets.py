"""Presets are served by a simulated rig, keep within their families' ranges, and mark what each value rests on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from myoloop.experiments.protocols.lint import lint
from myoloop.experiments.protocols.schema import load_protocol, presets
from myoloop.experiments.protocols.show import length_s
from myoloop.experiments.sessions.setup import summarise
from myoloop.experiments.sessions.simulated_rig import simulated_rig

FAMILIES = json.loads((Path(__file__).parents[3] / "data" / "default_envelope.json").read_text())["per_modality"]
CLINICAL = ["crps_motor_reeducation", "low_back_spasm_relief"]
#: Keys of a phase that are part of the dose; each must say what it rests on.
DOSE = {
    "rest": ("duration",),
    "calibration": ("step", "stop_at", "interval"),
    "block": ("ramp_up", "hold", "ramp_down", "intensity"),
}


def test_the_presets_that_are_asked_for_are_there():
    assert set(presets()) >= {"crps_motor_reeducation", "demo", "low_back_spasm_relief", "playback_fatigue"}


@pytest.mark.parametrize("name", sorted(presets()))
def test_nothing_is_found_wrong_with_it_on_a_simulated_rig(name):
    protocol = load_protocol(name)
    assert [str(problem) for problem in lint(protocol, summarise(simulated_rig(protocol)))] == []


@pytest.mark.parametrize("name", CLINICAL)
def test_every_value_of_the_dose_is_marked(name):
    protocol = load_protocol(name)
    marks = protocol.protocol.evidence.marks
    for channel, settings in protocol.stimulation.items():
        assert f"stimulation.{channel}.phase" in marks
        assert f"stimulation.{channel}.rate" in marks
        assert f"sites.{settings.site}.pad" in marks
    for index, item in enumerate(protocol.phases):
        for key in (*DOSE[item.kind], "phase", "rate", "trials", "repeat"):
            path = f"phases[{index}].{item.kind}.{key}"
            assert path in marks or not protocol.has(path), path
    for limit in ("current_max", "charge_max", "density_max", "total_on"):
        assert f"envelope.{limit}" in marks


@pytest.mark.parametrize("name", CLINICAL)
def test_it_says_how_weak_the_evidence_is(name):
    evidence = load_protocol(name).protocol.evidence
    assert evidence.grade == "very low"
    assert any("GK" in marks for marks in evidence.marks.values())
    assert evidence.note


def test_for_crps_it_says_that_no_trial_was_found():
    assert "No trial of motor-level NMES in CRPS was found" in load_protocol(CLINICAL[0]).protocol.evidence.note


def test_crps_keeps_within_emg_triggered_re_education():
    family, protocol = FAMILIES["emg_triggered"], load_protocol("crps_motor_reeducation")
    block, channel = protocol.phases[3].block, protocol.stimulation["ext"]
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
    protocol = load_protocol("low_back_spasm_relief")
    first, second = protocol.phases[2].block, protocol.phases[4].block
    assert 80 <= protocol.stimulation["left"].rate_hz <= 100
    assert (first.intensity.ref, second.intensity.ref) == ("sensory", "motor")
    assert 1.5 <= first.intensity.x <= 2.0
    assert (second.rate_hz, second.phase_us) == (5.0, 250.0)
    assert first.hold_s + second.hold_s >= 20 * 60
    assert all(site.pad_area_cm2 == 45.0 for site in protocol.sites.values())


def test_demo_and_playback_are_not_for_people():
    assert load_protocol("demo").protocol.rigs == ("SIM",)
    assert "HUMAN" not in load_protocol("playback_fatigue").protocol.rigs
