"""Yoked trains: another person's delays decide, the person's own effort changes nothing."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.choice import Choice
from myoloop.controllers.policies.policy import Activity, Decision, Policy, PolicyInput, make_policy
from myoloop.platform.messages import Measure, MuscleEstimate
from myoloop.platform.plugins import PluginError

T0, TICK = 1_000_000_000, 10_000_000
SURE = Measure(value=1.0, valid=True, reason="")
QUIET = Measure(value=0.0, valid=True, reason="")


class _Person:
    """Somebody before a yoked policy, in a block called train of two trials a repetition."""

    def __init__(self, kit: SimpleNamespace, delays_s: list[float | None], **more: Any) -> None:
        self.kit, self.now_ns, self.since_ns, self.state = kit, T0, T0, ""
        self.block, self.trial = 1, 1
        choice = Choice(name="yoked", settings={"delays_s": {"train": delays_s}, **more})
        self.policy: Policy = make_policy(choice, ("ch1",))

    def live(self, state: str, seconds: float, level_uv: float = 5.0, name: str = "train") -> list[Decision]:
        return [self._tick(state, level_uv, name) for _ in range(round(seconds * 100))]

    def _tick(self, state: str, level_uv: float, name: str) -> Decision:
        self.now_ns += TICK
        if state != self.state:
            self.state, self.since_ns = state, self.now_ns
        phase = self.kit.phase(
            self.now_ns, state, name=name, block=self.block, trial=self.trial, trials=2, t_state_ns=self.since_ns,
            targets=(self.kit.target(),),
        )  # fmt: skip
        estimate = MuscleEstimate(
            muscle="agonist", level_uv=level_uv, fatigue=QUIET, effort=SURE if level_uv > 20 else QUIET,
            response=QUIET, spasm=QUIET,
        )  # fmt: skip
        activity = {"agonist": Activity(level_uv, 5.0, 0.15, True)}
        return self.policy.decide(PolicyInput(self.now_ns, phase, {"agonist": estimate}, activity))


def _first(decisions: list[Decision]) -> int | None:
    return next((n for n, decision in enumerate(decisions) if decision.trigger), None)


def test_the_train_begins_at_the_delay_without_any_effort(kit: SimpleNamespace) -> None:
    person = _Person(kit, [0.5])
    person.live("cue", 0.2)
    decisions = person.live("await_effort", 0.8)
    assert _first(decisions) == 50
    currents = [decision.current_ma["ch1"] for decision in decisions]
    assert set(currents[:50]) == {0.0}
    assert 0 < currents[50] < currents[60]
    assert person.live("hold", 1.0)[-1].current_ma["ch1"] == pytest.approx(20.0)
    assert person.live("ramp_down", 1.0)[-1].current_ma["ch1"] == 0.0


def test_effort_brings_no_train_forward_and_none_where_there_was_none(kit: SimpleNamespace) -> None:
    person = _Person(kit, [0.5, None])
    assert person.live("await_effort", 0.8, 60.0) == _Person(kit, [0.5, None]).live("await_effort", 0.8)
    person.live("rest", 0.2)
    person.trial = 2
    decisions = person.live("await_effort", 2.0, 60.0)
    assert _first(decisions) is None
    assert {decision.current_ma["ch1"] for decision in decisions} == {0.0}
    assert decisions[-1].reason == "yoked: no trigger in this trial"


def test_each_trial_has_its_own_delay_over_all_repetitions(kit: SimpleNamespace) -> None:
    delays_s = [0.1, 0.2, 0.3, 0.4]
    person = _Person(kit, delays_s)
    for number, delay_s in enumerate(delays_s):
        person.live("cue", 0.1)
        person.block, person.trial = 1 + number // 2, 1 + number % 2
        assert _first(person.live("await_effort", 0.6)) == round(delay_s * 100)
        person.live("rest", 0.1)


def test_a_trial_beyond_the_list_and_a_block_without_one_get_no_trigger(kit: SimpleNamespace) -> None:
    person = _Person(kit, [0.1])
    assert _first(person.live("await_effort", 0.5, name="another")) is None
    person.live("rest", 0.1)
    person.trial = 2
    assert _first(person.live("await_effort", 0.5)) is None


def test_where_the_director_does_not_follow_the_train_ends(kit: SimpleNamespace) -> None:
    decisions = _Person(kit, [0.1], follow_s=0.3).live("await_effort", 2.0)
    assert decisions[-1].current_ma["ch1"] == 0.0
    assert decisions[-1].reason == "yoked: the director did not follow"


def test_after_a_hole_the_current_rises_from_zero_again(kit: SimpleNamespace) -> None:
    person = _Person(kit, [0.0])
    assert person.live("hold", 2.0)[-1].current_ma["ch1"] == pytest.approx(20.0)
    person.now_ns += 50 * TICK
    assert person.live("hold", 0.01)[0].current_ma["ch1"] < 4.0


@given(
    delays=st.lists(st.none() | st.floats(0, 2), min_size=1, max_size=4),
    levels=st.lists(st.floats(0, 500), min_size=30, max_size=30),
)
@settings(deadline=None, max_examples=40)
def test_no_effort_whatsoever_changes_a_decision(
    kit: SimpleNamespace, delays: list[float | None], levels: list[float]
) -> None:
    quiet, trying = _Person(kit, delays), _Person(kit, delays)
    for state in ("cue", "await_effort", "ramp_up", "hold", "ramp_down"):
        for level_uv in levels:
            assert quiet.live(state, 0.01) == trying.live(state, 0.01, level_uv)


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"delays_s": {"train": [0.5, -0.1]}}, "delays of 'train', trial 2: found -0.1 s"),
        ({"delays_s": {"train": [math.nan]}}, "trial 1: found nan s"),
        ({"delays_s": {"train": [601.0]}}, "found 601 s, allowed is 0 to 600 s"),
        ({"delays_s": {"train": []}}, "delays are empty"),
        ({"delays_s": {}}, "delays are empty"),
        ({}, "delays_s"),
        ({"delays_s": {"train": [0.5]}, "follow_s": -1.0}, "follow_s is -1"),
    ],
)
def test_what_is_no_list_of_delays_is_refused(settings_: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match=said):
        make_policy(Choice(name="yoked", settings=settings_), ("ch1",))
