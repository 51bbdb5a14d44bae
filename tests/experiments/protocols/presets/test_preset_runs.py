"""Every preset runs on a virtual subject: to its end, with its outcome measured, within its envelope.

The quick ones are shortened; `make prove` plays all of them shortened, and then whole.
"""

from __future__ import annotations

import pytest

from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.protocols.lint import lint
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.setup import summarise
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.planted import soreness

QUICK = ["crps_microcurrent", "crps_tens"]
OTHERS = [
    "crps_motor_reeducation", "emgtrig_wrist_stroke", "lbp_spasm_relief", "lbp_strength", "neck_relax",
    "neck_strength", "quad_immobilised", "spasticity_clonus", "sports_recovery",
]  # fmt: skip
#: Whose spasms are treated has some.
SUBJECTS = {"spasticity_clonus": "SIM:chronic_sci"}
#: A day and three after, as the course's diary asks.
DIARY_H = (24, 48, 72)


def subject_of(name):
    return SUBJECTS.get(name, "SIM:able_bodied")


def check(played):
    """What holds of every session of a preset."""
    assert (played.end.outcome, played.end.reason) == ("complete", "")
    if played.protocol.outcomes.primary.measure == "doms":
        played.diary.extend(diary_of(played))
    assert played.primary.value is not None, played.primary.why
    stays_within(played)
    answers_are_the_persons(played)


def stays_within(played):
    """By the body's own account of the pulses."""
    envelope = played.protocol.envelope
    pulses = played.truths("pulse")
    assert pulses
    assert max(each["current_ma"] for each in pulses) <= envelope.current_max_ma
    assert max(each["current_ma"] * each["phase_us"] for each in pulses) * 1e-3 <= envelope.charge_max_uc
    assert played.reports()[-1].dose.session_on_s <= envelope.total_on_s


def answers_are_the_persons(played):
    forms = played.forms()
    said = forms.get("nrs_now") or forms["yes_no_feel"]
    if "current" in said:
        pain = played.truths("pain")[-1]["pain"]
        assert abs(said["current"] - pain) <= 2
    assert any(name.startswith("skin_after") for name in forms)


def diary_of(played):
    """What the person would write down on the days after, from what the body knows at the session's end."""
    truth = played.truths("planted")[-1]
    told = ((after_h, soreness(truth["sorest"], 0.0, after_h)) for after_h in DIARY_H)
    return [("doms", {"after_h": after_h, "soreness": round(sore)}) for after_h, sore in told]


def shorten(shortened, name):
    # Only what is felt counts there: it is looked for in the lower part of the way to the ceiling.
    ascent = 0.4 if name == "crps_tens" else 1.0
    return shortened(name, 100.0 if name in QUICK else 6.0, ascent)


@pytest.mark.parametrize("name", [*QUICK, *OTHERS])
def test_it_is_clean_when_it_is_shortened(shortened, name):
    protocol = load_protocol(str(shorten(shortened, name)))
    found = lint(protocol, summarise(simulated_rig(protocol)))
    assert [str(each) for each in found if each.severity == "error"] == []


@pytest.mark.parametrize("name", [QUICK[0], pytest.param(QUICK[1], marks=pytest.mark.prove)])
def test_it_runs_shortened(play, shortened, name):
    played = play(shorten(shortened, name), subject_of(name))
    check(played)
    if name == "crps_microcurrent":
        assert replay(played.end.folder, BUILDERS).equal


@pytest.mark.prove
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", OTHERS)
def test_it_runs_shortened_too(play, shortened, name):
    check(play(shorten(shortened, name), subject_of(name)))


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", [*QUICK, *OTHERS])
def test_it_runs_whole(play, name):
    check(play(name, subject_of(name)))
