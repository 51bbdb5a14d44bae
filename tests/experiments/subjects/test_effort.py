"""The person reacts to the screen, holds, tires, lets go."""

import numpy as np
import pytest

from myoloop.experiments.subjects.effort import VoluntaryEffort
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform.messages import Phase

SURE = {"effort_missed": 0.0, "effort_early": 0.0, "effort_spread": 0.0}


def screen(trial_state, trial=1, state="running", kind="block"):
    return Phase(t_ns=0, session="s", state=state, kind=kind, block=1, trial=trial, trial_state=trial_state)


def live(shown, fatigue=0.0, seed=1, **parameters):
    """Activation every 10 ms; `shown` is (seconds, phase) in order."""
    effort = VoluntaryEffort(SubjectParameters(**{**SURE, **parameters}), np.random.default_rng(seed))
    levels, t_ns = [], 0
    for seconds, phase in shown:
        for k in range(round(seconds * 100)):
            if k % 10 == 0:
                effort.see(phase, t_ns)
            t_ns += 10_000_000
            levels.append(effort.step(t_ns, 0.01, fatigue))
    return np.array(levels)


TRIAL = [(1, screen("cue")), (1, screen("await_effort")), (4, screen("hold")), (3, screen("rest"))]


@pytest.mark.parametrize("seed", range(10))
def test_effort_begins_a_reaction_time_after_it_is_asked_for_and_ends_one_after_rest(seed):
    levels = live(TRIAL, seed=seed)
    first = np.flatnonzero(levels)[0] / 100
    assert 1.12 <= first <= 1.6
    assert levels[300:590].mean() == pytest.approx(0.35, rel=0.12)
    assert levels[600:611].min() > 0.2
    assert levels[-100:].max() == 0.0


def test_without_a_state_that_asks_for_effort_it_begins_with_the_stimulation():
    levels = live([(1, screen("cue")), (2, screen("ramp_up")), (2, screen("hold"))])
    assert 1.1 <= np.flatnonzero(levels)[0] / 100 <= 1.6


def test_an_early_starter_begins_at_the_cue():
    assert np.flatnonzero(live(TRIAL, effort_early=1.0))[0] < 100


def test_a_missed_trial_has_no_effort_and_the_next_may():
    assert live(TRIAL, effort_missed=1.0).max() == 0.0


def test_one_effort_per_trial():
    again = [*TRIAL, (3, screen("hold"))]
    assert live(again)[-250:].max() == 0.0
    nxt = [*TRIAL, (3, screen("hold", trial=2))]
    assert live(nxt)[-100:].max() > 0.2


@pytest.mark.parametrize(
    "other",
    [screen("hold", state="paused"), screen("hold", state="ended"), screen("hold", kind="calibration"),
     screen("hold", trial=0)],
)  # fmt: skip
def test_nothing_but_a_running_blocks_trial_is_worked_for(other):
    assert live([(2, other)]).max() == 0.0
    assert live([(2, screen("hold")), (2, other)])[-50:].max() == 0.0


def test_a_tired_person_gives_up_a_part():
    fresh, tired = live(TRIAL)[300:590].mean(), live(TRIAL, fatigue=0.5, effort_decline=0.4)[300:590].mean()
    assert tired == pytest.approx(0.8 * fresh, rel=0.02)
