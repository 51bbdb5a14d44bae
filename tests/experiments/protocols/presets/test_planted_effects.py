"""Effects that were planted in virtual people are found again by a preset's own outcomes; where none was, none is.

What is recovered here was planted: it says that the way from body to outcome is whole, and nothing about people. Each
cohort plays a shortened preset, one session per person, people and sessions with the seeds 1, 2, 3, ...
"""

from __future__ import annotations

import math
import re
from dataclasses import replace
from statistics import mean, stdev

import pytest

from myoloop.experiments.subjects.population import draw

pytestmark = [pytest.mark.prove, pytest.mark.timeout(1800)]

#: Of Student's t, 95 % between both sides, by degrees of freedom.
T_975 = {2: 4.303, 3: 3.182}
#: A shortened session is minutes long: what is planted comes in minutes, and nothing else changes. It takes longer than
#: the calibration, which is real in every arm and is felt.
PLANTED = {
    "pain_baseline": 8.0, "pain_relief": 0.5, "pain_relief_s": 120.0, "pain_responds": 1.0, "pain_flares_per_h": 0.0,
    "resting_tone": 0.03, "tone_relief": 0.5, "planted_s": 120.0, "sensory_habituation": 0.0, "threshold_wander": 0.0,
}  # fmt: skip
PEOPLE = 3
PLAYED: dict[str, list] = {}


@pytest.fixture
def cohort(play, shortened):
    """Sessions of TENS: of those who respond, who do not, and of responders whose arm is a sham without current."""

    def played(which):
        if which not in PLAYED:
            path = shortened("crps_tens", 10.0, 0.4)
            arm = "sham" if which == "sham" else None
            planted = PLANTED | ({"pain_responds": 0.0} if which == "non-responders" else {})
            people = {seed: replace(draw(seed, "able_bodied"), **planted) for seed in range(1, PEOPLE + 1)}
            PLAYED[which] = [play(path, person, seed, arm) for seed, person in people.items()]
        assert [(each.end.outcome, each.end.reason) for each in PLAYED[which]] == [("complete", "")] * PEOPLE
        return PLAYED[which]

    return played


def interval(values):
    """Mean, and half the width of its 95 % interval."""
    return mean(values), T_975[len(values) - 1] * stdev(values) / math.sqrt(len(values))


def found(sessions, outcome):
    return [each.outcomes[outcome].value for each in sessions]


def test_a_planted_relief_of_pain_is_recovered(cohort):
    sessions = cohort("responders")
    planted = mean(each.truths("pain")[-1]["pain"] - PLANTED["pain_baseline"] for each in sessions)
    change, margin = interval(found(sessions, "nrs_change"))
    assert planted < -1.5
    # Scores are whole numbers.
    assert abs(change - planted) <= margin + 0.5
    assert change + margin < 0


def test_a_planted_relief_of_tone_is_recovered(cohort):
    sessions = cohort("responders")
    planted = mean(each.truths("planted")[-1]["tone"] for each in sessions)
    ratio, margin = interval(found(sessions, "resting_emg"))
    assert planted < 0.75
    # The amplifier's noise does not go with the tone.
    assert abs(ratio - planted) <= margin + 0.05
    assert ratio + margin < 1


@pytest.mark.parametrize("which", ["non-responders", "sham"])
def test_who_does_not_respond_and_who_gets_no_current_show_none(cohort, which):
    sessions = cohort(which)
    changes = found(sessions, "nrs_change")
    assert max(abs(change) for change in changes) <= 1.0
    ratio, margin = interval(found(sessions, "resting_emg"))
    assert abs(ratio - 1) <= margin + 0.05
    if which == "non-responders":
        assert all(each.truths("planted")[-1]["tone"] == 1.0 for each in sessions)


def test_a_planted_relief_of_spasms_is_recovered(play, shortened):
    """By the rests before and after: under pulses at 100 Hz nobody can tell spasms, and nothing is told of them."""
    path = shortened("spasticity_clonus", 6.0, 0.5)
    path.write_text(re.sub(r"(rest: \{name: \w+, duration: )[\d.]+ s", r"\g<1>60 s", path.read_text()))
    spastic = {"spasm_rate_per_min": 12.0, "spasm_tonic_share": 1.0, "spasm_ebb_s": 0.0, "spasm_joined": 0.0,
               "spasm_chained": 0.0, "spasm_relief": 0.9, "planted_s": 10.0}  # fmt: skip
    after = {}
    for responds in (1.0, 0.0):
        told, true = [], []
        for seed in (1, 2):
            person = replace(draw(seed, "able_bodied"), pain_responds=responds, **spastic)
            played = play(path, person, seed)
            assert played.end.outcome == "complete"
            for name in ("baseline", "after"):
                told.append(count(played.session.muscles["calf"].spasms, played.session, name))
                true.append(count(played.session.truth.spasms["calf"], played.session, name))
        # One at the edge of a rest may count or not.
        assert all(abs(a - b) <= 1 + 0.2 * b for a, b in zip(told, true, strict=True)), (told, true)
        after[responds] = sum(told[1::2]) / sum(told[0::2])
    assert after[1.0] < 0.5 < 0.7 < after[0.0], after


def count(spasms, session, name):
    (rest,) = (phase for phase in session.phases if phase.name == name)
    return sum(rest.begin_s <= spasm.begin_s < rest.end_s for spasm in spasms)
