"""The person says what is felt, once each, a reaction time later."""

import itertools

import numpy as np
import pytest

from myoloop.experiments.subjects.perception import Perception, Thresholds
from myoloop.platform.messages import Phase

THRESHOLDS = Thresholds(1.0, 2.0, 8.0)
CALIBRATION = Phase(t_ns=0, session="s", state="waiting", index=1, kind="calibration")
MS = 1_000_000


def feel(perception, charges_uc, channel="left", t_ns=0):
    for charge_uc in charges_uc:
        perception.feel(t_ns, channel, charge_uc * 4, charge_uc, THRESHOLDS)
        t_ns += 1000 * MS
    return [(event.values["what"], event.values["current_ma"]) for event in perception.step(t_ns + 3000 * MS)]


@pytest.fixture
def person():
    made = Perception(np.random.default_rng(1))
    made.see(CALIBRATION)
    return made


def test_each_threshold_is_named_once_with_the_current_that_passed_it(person):
    said = feel(person, [0.5, 1.0, 1.5, 1.75, 2.5, 3.0, 7.0, 9.0, 9.5])
    assert said == [("sensory", 6.0), ("motor", 10.0), ("tolerance", 36.0)]


def test_the_answer_takes_a_reaction_time(person):
    person.feel(0, "left", 6.0, 1.5, THRESHOLDS)
    assert person.step(199 * MS) == []
    (event,) = person.step(500 * MS)
    assert 200 * MS <= event.t_ns <= 500 * MS
    assert (event.kind, event.who) == ("felt", "subject")


def test_all_at_once_are_named_one_after_the_other(person):
    person.feel(0, "left", 40.0, 10.0, THRESHOLDS)
    events = person.step(2000 * MS)
    assert [event.values["what"] for event in events] == ["sensory", "motor", "tolerance"]
    assert all(b.t_ns - a.t_ns >= 50 * MS for a, b in itertools.pairwise(events))


def test_each_channel_is_felt_by_itself(person):
    assert feel(person, [1.5]) == [("sensory", 6.0)]
    assert feel(person, [1.5], "right", 5_000 * MS) == [("sensory", 6.0)]


def test_outside_a_calibration_nothing_is_said():
    person = Perception(np.random.default_rng(1))
    assert feel(person, [10.0]) == []
    person.see(CALIBRATION)
    person.see(Phase(t_ns=0, session="s", state="running", index=2, kind="block"))
    assert feel(person, [10.0]) == []


def test_a_new_calibration_is_answered_anew(person):
    assert len(feel(person, [1.5])) == 1
    person.see(CALIBRATION)
    assert feel(person, [1.5]) == []
    person.see(Phase(t_ns=0, session="s", state="waiting", index=3, kind="calibration"))
    assert len(feel(person, [1.5])) == 1


@pytest.mark.parametrize("again", [{"block": 2}, {"block": 1}])
def test_an_ascent_that_begins_again_is_answered_again_from_its_first_step_on(person, again):
    def screen(trial, trial_state, block=1):
        return Phase(
            t_ns=0, session="s", state="running", index=1, kind="calibration", block=block, trial=trial,
            trial_state=trial_state,
        )  # fmt: skip

    person.see(screen(1, "hold"))
    assert feel(person, [1.5]) == [("sensory", 6.0)]
    person.see(screen(5, "hold"))
    # The burst dies away after the last answer; what is felt then is nothing new.
    person.see(screen(0, "rest", **again))
    assert feel(person, [1.5]) == []
    person.see(screen(1, "hold", **again))
    assert feel(person, [1.5]) == [("sensory", 6.0)]
