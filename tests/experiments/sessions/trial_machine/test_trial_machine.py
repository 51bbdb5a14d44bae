"""One trial: states in their order, each at least as long as planned, a train never without its ramps."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.sessions.trial_machine import (
    TRANSITIONS,
    TrialState,
    TrialTiming,
    advance,
    begin,
    end,
    left_s,
)

TICK_NS = 10_000_000
EFFORT = TrialTiming(
    machine="effort", cue_s=0.5, ramp_up_s=0.5, hold_s=2.0, ramp_down_s=0.5, rest_s=1.0, await_timeout_s=3.0
)
CYCLIC = replace(EFFORT, machine="cyclic", await_timeout_s=0.0)


def play(timing, effort=lambda t_s: False, *, tick_ns=TICK_NS, end_at_s=math.inf, start_ns=10**9):
    """All transitions of one trial; effort is a function of time since its beginning."""
    state, first = begin(TrialState(), start_ns)
    steps, now_ns = [first], start_ns
    while state.name != "idle":
        now_ns += tick_ns
        t_s = (now_ns - start_ns) * 1e-9
        if t_s >= end_at_s:
            state, step = end(state, now_ns)
            end_at_s = math.inf
        else:
            state, step = advance(timing, state, now_ns, effort(t_s))
        if step is not None:
            steps.append(step)
    return state, steps


def names(steps):
    return [step.after for step in steps]


def test_an_effort_releases_the_train():
    state, steps = play(EFFORT, effort=lambda t_s: t_s >= 1.2)
    assert names(steps) == ["cue", "await_effort", "ramp_up", "hold", "ramp_down", "rest", "idle"]
    assert [step.cause for step in steps][2] == "effort"
    times_s = [(step.t_ns - 10**9) * 1e-9 for step in steps]
    assert times_s == pytest.approx([0.0, 0.5, 1.2, 1.7, 3.7, 4.2, 5.2])
    assert state.trigger == "effort"
    assert state.trigger_ns == 10**9 + 1_200_000_000


def test_an_effort_at_the_cue_is_too_early():
    _, steps = play(EFFORT, effort=lambda t_s: t_s < 0.4)
    assert [step.cause for step in steps][2] == "assist"


def test_without_effort_the_train_assists_at_the_time_out():
    _, steps = play(EFFORT)
    assert (steps[2].t_ns - steps[1].t_ns) * 1e-9 == pytest.approx(3.0)
    assert steps[2].cause == "assist"


def test_or_the_trial_is_skipped_where_the_protocol_says_so():
    state, steps = play(replace(EFFORT, assist=False))
    assert names(steps) == ["cue", "await_effort", "rest", "idle"]
    assert state.trigger_ns is None


@pytest.mark.parametrize("machine", ["cyclic", "continuous"])
def test_machines_that_await_no_effort_go_by_the_clock(machine):
    _, steps = play(replace(CYCLIC, machine=machine), effort=lambda t_s: True)
    assert names(steps) == ["cue", "ramp_up", "hold", "ramp_down", "rest", "idle"]


@pytest.mark.parametrize(
    ("at_s", "expected"),
    [
        (0.2, ["cue", "rest", "idle"]),
        (1.0, ["cue", "await_effort", "rest", "idle"]),
        (3.7, ["cue", "await_effort", "ramp_up", "ramp_down", "rest", "idle"]),
        (4.5, ["cue", "await_effort", "ramp_up", "hold", "ramp_down", "rest", "idle"]),
        (6.2, ["cue", "await_effort", "ramp_up", "hold", "ramp_down", "rest", "idle"]),
    ],
)
def test_ended_early_a_train_still_ramps_down(at_s, expected):
    _, steps = play(EFFORT, end_at_s=at_s)
    assert names(steps) == expected


def test_a_second_trial_cannot_begin_within_one():
    state, _ = begin(TrialState(), 0)
    with pytest.raises(ValueError, match="under way"):
        begin(state, 1)


def test_time_left_counts_the_longest_way():
    state, _ = begin(TrialState(), 0)
    assert left_s(EFFORT, state, 0) == pytest.approx(EFFORT.longest_s)
    assert left_s(EFFORT, state, 200_000_000) == pytest.approx(EFFORT.longest_s - 0.2)
    assert left_s(EFFORT, TrialState(), 0) == 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf, -0.1])
def test_a_length_that_is_none_is_refused(bad):
    with pytest.raises(ValueError, match="hold_s"):
        replace(EFFORT, hold_s=bad)


lengths = st.floats(0.0, 3.0)
timings = st.builds(
    TrialTiming,
    machine=st.sampled_from(["effort", "cyclic", "continuous"]),
    cue_s=lengths,
    ramp_up_s=lengths,
    hold_s=lengths,
    ramp_down_s=lengths,
    rest_s=lengths,
    await_timeout_s=lengths,
    assist=st.booleans(),
)


@given(
    timing=timings,
    gaps_ms=st.lists(st.integers(20, 700), min_size=1, max_size=40),
    efforts=st.lists(st.booleans(), min_size=1, max_size=40),
    end_at=st.none() | st.integers(0, 30),
)
@settings(deadline=None, max_examples=200)
def test_whatever_the_clock_and_the_person_do(timing, gaps_ms, efforts, end_at):
    now_ns = 10**9
    state, first = begin(TrialState(), now_ns)
    steps = [first]
    for number in range(1500):
        now_ns += gaps_ms[number % len(gaps_ms)] * 1_000_000
        if number == end_at:
            state, step = end(state, now_ns)
        else:
            state, step = advance(timing, state, now_ns, efforts[number % len(efforts)])
        if step is not None:
            assert step.after == state.name
            assert TRANSITIONS[step.before, step.cause] == step.after
            steps.append(step)
        if state.name == "idle":
            break
    assert state.name == "idle", "a trial always ends"
    visited = names(steps)
    # A train goes up and down, in this order, once.
    for before, after in (("hold", "ramp_up"), ("ramp_down", "ramp_up"), ("rest", "cue")):
        if before in visited:
            assert visited.index(after) < visited.index(before)
    assert ("ramp_up" in visited) == ("ramp_down" in visited)
    assert len(visited) == len(set(visited))
    for one, other in pairwise(steps):
        lasted_ns = other.t_ns - one.t_ns
        assert lasted_ns >= 0
        if other.cause in ("elapsed", "await", "assist", "skip"):
            assert lasted_ns >= round(timing.length_s(one.after) * 1e9)


@given(timing=timings, back_ms=st.integers(0, 5000))
@settings(deadline=None)
def test_a_clock_that_goes_back_takes_no_way(timing, back_ms):
    state, _ = begin(TrialState(), 10**10)
    after, step = advance(timing, state, 10**10 - back_ms * 1_000_000 - 1, effort=True)
    assert step is None
    assert after == state
    assert left_s(timing, state, 10**10 - 1) >= 0
