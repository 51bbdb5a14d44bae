"""The EMG trigger's threshold, hold, refractory period and time-out, and what is refused."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest

from myoloop.controllers.choice import Choice
from myoloop.controllers.policies.policy import Activity, Decision, Policy, PolicyInput, make_policy
from myoloop.platform.messages import Measure, MuscleEstimate
from myoloop.platform.plugins import PluginError

NONE = Measure()
T0, TICK = 1_000_000_000, 10_000_000


class _Person:
    """Who contracts when told, before a policy that listens."""

    def __init__(self, kit: SimpleNamespace, **settings: Any) -> None:
        self.kit, self.now_ns, self.since_ns, self.state, self.trial = kit, T0, T0, "", 1
        self.policy: Policy = make_policy(
            Choice(name="emg_trigger", settings={"muscle": "agonist", **settings}), ("ch1",)
        )
        self.live("rest", 0.3)

    def live(self, state: str, seconds: float, level_uv: float = 5.0) -> list[Decision]:
        return [self._tick(state, level_uv) for _ in range(round(seconds * 100))]

    def next_trial(self) -> None:
        self.live("ramp_up", 0.05)
        self.trial += 1
        self.live("cue", 0.15)

    def _tick(self, state: str, level_uv: float) -> Decision:
        self.now_ns += TICK
        if state != self.state:
            self.state, self.since_ns = state, self.now_ns
        phase = self.kit.phase(
            self.now_ns, state, trial=self.trial, t_state_ns=self.since_ns, targets=(self.kit.target(),)
        )
        quiet = Measure(value=0.0, valid=True, reason="")
        estimate = MuscleEstimate(
            muscle="agonist", level_uv=level_uv, fatigue=NONE, effort=NONE, response=NONE, spasm=quiet
        )
        activity = {"agonist": Activity(level_uv, 5.0, 0.15, True)}
        return self.policy.decide(PolicyInput(self.now_ns, phase, {"agonist": estimate}, activity))


def _first(decisions: list[Decision]) -> int | None:
    return next((n for n, decision in enumerate(decisions) if decision.trigger), None)


def test_threshold_is_the_larger_of_what_rest_says_and_the_level_that_is_set(kit: SimpleNamespace) -> None:
    assert _first(_Person(kit).live("await_effort", 0.5, 20.0)) == 10
    assert _first(_Person(kit, threshold_uv=30.0).live("await_effort", 0.5, 20.0)) is None
    assert _first(_Person(kit, threshold_uv=30.0).live("await_effort", 0.5, 31.0)) == 10
    # Five times rest is needed; an absolute level below that lowers nothing.
    assert _first(_Person(kit, threshold_uv=10.0, ratio=5.0).live("await_effort", 0.5, 20.0)) is None


def test_it_tells_the_threshold_that_decides(kit: SimpleNamespace) -> None:
    for settings, threshold_uv in (({}, 10.0), ({"threshold_uv": 30.0}, 30.0)):
        told = [each.threshold_uv for each in _Person(kit, **settings).live("await_effort", 0.1)]
        assert told == [{"agonist": pytest.approx(threshold_uv)}] * 10
        assert _first(_Person(kit, **settings).live("await_effort", 0.5, threshold_uv * 0.99)) is None
        assert _first(_Person(kit, **settings).live("await_effort", 0.5, threshold_uv * 1.01)) is not None


def test_hold_is_how_long_the_effort_must_last(kit: SimpleNamespace) -> None:
    assert _first(_Person(kit, sustain_ms=0.0).live("await_effort", 0.5, 20.0)) == 0
    assert _first(_Person(kit, sustain_ms=300.0).live("await_effort", 0.5, 20.0)) == 30


def test_within_the_refractory_period_a_new_effort_triggers_nothing(kit: SimpleNamespace) -> None:
    person = _Person(kit, refractory_s=2.0)
    assert _first(person.live("await_effort", 0.11, 20.0)) == 10
    person.next_trial()
    early = person.live("await_effort", 1.7, 20.0)
    assert _first(early) is None
    assert early[-1].reason == "EMG trigger: refractory period"
    # 0.2 s between the trials and 1.7 s have passed since the trigger; 2 s have at the 10th step from here.
    assert _first(person.live("await_effort", 0.3, 20.0)) == 9


def test_after_the_time_out_effort_triggers_nothing_until_the_next_trial(kit: SimpleNamespace) -> None:
    person = _Person(kit, timeout_s=1.0)
    person.live("await_effort", 1.05)
    late = person.live("await_effort", 0.5, 20.0)
    assert _first(late) is None
    assert late[-1].reason == "EMG trigger: timed out"
    assert late[-1].current_ma["ch1"] == 0.0
    person.live("rest", 0.3)
    person.next_trial()
    assert _first(person.live("await_effort", 0.5, 20.0)) == 10


def test_refractory_period_and_time_out_survive_a_restore(kit: SimpleNamespace) -> None:
    one, other = (_Person(kit, refractory_s=2.0, timeout_s=1.5) for _ in range(2))
    one.live("await_effort", 0.2, 20.0)
    one.next_trial()
    one.live("await_effort", 0.4)
    other.policy.restore(json.loads(json.dumps(one.policy.state())))
    other.now_ns, other.since_ns, other.state, other.trial = one.now_ns, one.since_ns, one.state, one.trial
    assert one.live("await_effort", 2.0, 20.0) == other.live("await_effort", 2.0, 20.0)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"muscle": ""}, "muscle is empty"),
        ({"sigmas": -1.0}, "sigmas is -1, allowed is 0 to 100"),
        ({"ratio": 1.0}, "ratio is 1, allowed is 1.05 to 100"),
        ({"threshold_uv": -1.0}, "threshold_uv is -1"),
        ({"effort_min": 1.5}, "effort_min is 1.5, allowed is 0 to 1"),
        ({"sustain_ms": -1.0}, "sustain_ms is -1"),
        ({"quiet_ms": float("nan")}, "quiet_ms is nan"),
        ({"refractory_s": 1e4}, "refractory_s is 10000, allowed is 0 to 600"),
        ({"timeout_s": 0.2, "sustain_ms": 300.0}, "none could ever trigger"),
        ({"follow_s": -0.1}, "follow_s is -0.1"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(settings: dict[str, Any], says: str) -> None:
    with pytest.raises(PluginError) as refused:
        make_policy(Choice(name="emg_trigger", settings={"muscle": "agonist", **settings}), ("ch1",))
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)
