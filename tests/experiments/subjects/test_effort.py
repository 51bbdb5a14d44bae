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


def trials_kept(hours, trials=400, **parameters):
    """Share of trials with an effort, and the mean effort in them, after so long a session."""
    person = VoluntaryEffort(SubjectParameters(**{**SURE, **parameters}), np.random.default_rng(2))
    person.step(0, hours * 3600.0, 0.0)
    kept, t_ns = [], 0
    for trial in range(1, trials + 1):
        for trial_state, seconds in (("hold", 1.5), ("rest", 1.5)):
            person.see(screen(trial_state, trial=trial), t_ns)
            for _ in range(round(seconds / 0.05)):
                t_ns += 50_000_000
                person.step(t_ns, 0.05, 0.0)
            if trial_state == "hold":
                kept.append(person.activation)
    made = np.array(kept) > 0.02
    return made.mean(), np.array(kept)[made].mean()


def test_boredom_leaves_out_trials_and_halves_the_effort_in_the_end():
    fresh_share, fresh_level = trials_kept(0.0)
    assert fresh_share == 1.0
    compliance = np.exp(-1.0 * 0.9)
    # 400 trials of 3 s: the middle one is ten minutes later.
    share, level = trials_kept(0.9 - 600 / 3600, effort_boredom_per_h=1.0)
    assert share == pytest.approx(compliance, abs=0.09)
    assert level == pytest.approx(fresh_level * (0.5 + 0.5 * compliance), rel=0.08)


def test_compliance_falls_from_one_and_is_told():
    person = VoluntaryEffort(SubjectParameters(effort_boredom_per_h=2.0), np.random.default_rng(1))
    assert person.compliance == 1.0
    person.step(10, 1800.0, 0.0)
    assert person.truth() == {"activation": 0.0, "compliance": pytest.approx(np.exp(-1.0))}


def test_an_effort_wanders_as_much_as_the_person_does():
    def spread(wander):
        held = live([(0, screen("hold"))] + [(2, screen("hold"))] * 60, effort_wander=wander)[200:]
        return held.std() / held.mean()

    assert spread(0.0) == pytest.approx(0.0, abs=1e-3)
    assert spread(0.05) < spread(0.15)
    assert 0.02 < spread(0.05) < 0.06


def test_a_maximal_contraction_is_as_strong_as_the_will_and_never_forgotten():
    shown = [(3, screen("cue", kind="mvc")), (4, screen("await_effort", kind="mvc")), (5, screen("rest", kind="mvc"))]
    levels = live(shown, effort_missed=1.0, effort_early=1.0)
    assert levels[:300].max() == 0.0
    assert levels[450:690].mean() == pytest.approx(1.0, rel=0.12)
    assert levels[-100:].max() == 0.0
