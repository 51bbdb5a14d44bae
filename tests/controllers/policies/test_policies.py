"""What each policy asks for, trial state by trial state."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.controllers.choice import Choice
from myoloop.controllers.policies.policy import (
    Activity,
    Decision,
    PolicyInput,
    make_policy,
    towards,
    trapezoid,
    why_zero,
)
from myoloop.platform.messages import Measure, MuscleEstimate
from myoloop.platform.plugins import PluginError

NONE = Measure()
T0 = 1_000_000_000
TICK = 10_000_000


def _estimate(effort: float | None = None, spasm: float = 0.0, level_uv: float | None = 5.0) -> MuscleEstimate:
    told = Measure(value=effort, valid=True, reason="") if effort is not None else NONE
    return MuscleEstimate(
        muscle="agonist", level_uv=level_uv, fatigue=NONE, effort=told, response=NONE,
        spasm=Measure(value=spasm, valid=True, reason=""),
    )  # fmt: skip


class _Driven:
    """A policy driven tick by tick."""

    def __init__(self, kit: SimpleNamespace, name: str, **settings: Any) -> None:
        self.kit, self.now_ns, self.trial = kit, T0, 1
        self.policy = make_policy(Choice(name=name, settings=settings), ("ch1",))
        self.since_ns, self.state = T0, ""

    def tick(self, state: str, level_uv: float = 5.0, report: Any = None, usable: bool = True, **more: Any) -> Decision:
        self.now_ns += TICK
        if state != self.state:
            self.state, self.since_ns = state, self.now_ns
        dial = more.pop("dial", 0.0)
        phase = self.kit.phase(
            self.now_ns, state, trial=self.trial, t_state_ns=self.since_ns, level=dial, targets=(self.kit.target(),)
        )
        estimate = _estimate(level_uv=level_uv, **more)
        activity = {"agonist": Activity(level_uv, 5.0, 0.15, usable)}
        return self.policy.decide(PolicyInput(self.now_ns, phase, {"agonist": estimate}, activity, report))

    def live(self, state: str, seconds: float, **more: Any) -> list[Decision]:
        return [self.tick(state, **more) for _ in range(round(seconds * 100))]

    def current(self, state: str, seconds: float, **more: Any) -> list[float]:
        return [decision.current_ma["ch1"] for decision in self.live(state, seconds, **more)]


# open loop


def test_open_loop_is_the_target_along_the_trapezoid(kit: SimpleNamespace) -> None:
    driven = _Driven(kit, "open_loop")
    assert set(driven.current("cue", 0.2) + driven.current("await_effort", 0.2)) == {0.0}
    up = driven.current("ramp_up", 0.5)
    assert up[0] == 0.0
    assert up[25] == pytest.approx(10.0)
    assert set(driven.current("hold", 1.0)) == {20.0}
    down = driven.current("ramp_down", 0.6)
    assert down[25] == pytest.approx(10.0)
    assert down[-1] == 0.0
    assert set(driven.current("rest", 0.3)) == {0.0}


@given(st.floats(0, 10), st.floats(0, 5), st.sampled_from(["idle", "cue", "ramp_up", "hold", "ramp_down", "rest"]))
def test_the_trapezoid_is_within_0_and_1(elapsed_s: float, ramp_s: float, state: str) -> None:
    from myoloop.platform.messages import Phase, Target

    phase = Phase(t_ns=0, session="s", state="running", trial_state=state, t_state_ns=0)
    target = Target(channel="c", current_ma=1.0, phase_us=1.0, rate_hz=1.0, ramp_up_s=ramp_s, ramp_down_s=ramp_s)
    assert 0.0 <= trapezoid(phase, target, round(elapsed_s * 1e9)) <= 1.0


@given(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.floats(0, 5), st.floats(0, 5))
def test_a_level_moves_towards_its_goal_and_never_past_it(
    level: float, goal: float, seconds: float, rise_s: float, fall_s: float
) -> None:
    moved = towards(level, goal, seconds, rise_s, fall_s)
    assert min(level, goal) <= moved <= max(level, goal)


# EMG trigger


def _rested(kit: SimpleNamespace, **settings: Any) -> _Driven:
    driven = _Driven(kit, "emg_trigger", muscle="agonist", **settings)
    driven.live("rest", 0.3)
    driven.live("cue", 0.5)
    return driven


def test_effort_that_is_sustained_triggers_and_the_ramp_begins_at_that_step(kit: SimpleNamespace) -> None:
    driven = _rested(kit, sustain_ms=100.0)
    assert not any(d.trigger or d.current_ma["ch1"] for d in driven.live("await_effort", 1.0))
    decisions = driven.live("await_effort", 0.3, level_uv=40.0)
    triggered = [d.trigger for d in decisions]
    first = triggered.index(True)
    assert first == 10
    assert all(triggered[first:])
    currents = [d.current_ma["ch1"] for d in decisions]
    assert not any(currents[:first])
    assert currents[first] > 0
    assert currents[-1] == pytest.approx(20.0 * (len(currents) - first) * 0.01 / 0.5)


def test_the_ramp_has_no_seam_when_the_director_follows(kit: SimpleNamespace) -> None:
    driven = _rested(kit)
    current = driven.current("await_effort", 0.25, level_uv=40.0)
    current += driven.current("ramp_up", 0.5, level_uv=40.0) + driven.current("hold", 1.0)
    current += driven.current("ramp_down", 0.5) + driven.current("rest", 0.2)
    steps = [b - a for a, b in pairwise(current)]
    assert max(map(abs, steps)) <= 20.0 * 0.01 / 0.5 + 1e-9
    assert max(current) == pytest.approx(20.0)
    assert current[-20:] == [0.0] * 20


def test_a_spasm_a_dip_to_rest_and_too_weak_an_effort_trigger_nothing(kit: SimpleNamespace) -> None:
    spasm = _rested(kit)
    assert not any(d.trigger for d in spasm.live("await_effort", 1.0, level_uv=60.0, spasm=1.0))
    flicker = _rested(kit, sustain_ms=100.0)
    for _ in range(5):
        assert not any(d.trigger for d in flicker.live("await_effort", 0.08, level_uv=40.0))
        flicker.live("await_effort", 0.06)
    weak = _rested(kit, effort_min=0.3)
    assert not any(d.trigger for d in weak.live("await_effort", 0.5, level_uv=40.0, effort=0.2))
    assert weak.tick("await_effort", level_uv=40.0, effort=0.4).trigger


def test_an_old_effort_is_not_a_new_one(kit: SimpleNamespace) -> None:
    driven = _rested(kit)
    assert driven.live("await_effort", 0.3, level_uv=40.0)[-1].trigger
    driven.live("ramp_up", 0.5, level_uv=40.0)
    driven.live("rest", 0.5, level_uv=40.0)
    driven.trial = 2
    going_on = driven.live("await_effort", 1.0, level_uv=40.0)
    assert not any(d.trigger for d in going_on)
    assert going_on[-1].reason == "EMG trigger: relax first"
    driven.live("await_effort", 0.2)
    assert driven.live("await_effort", 0.3, level_uv=40.0)[-1].trigger


def test_a_trigger_that_nobody_follows_ends_and_one_that_the_director_gave_ramps(kit: SimpleNamespace) -> None:
    alone = _rested(kit, follow_s=1.0)
    alone.live("await_effort", 1.0, level_uv=40.0)
    after = alone.live("await_effort", 1.0, level_uv=40.0)
    assert after[-1].current_ma["ch1"] == 0.0
    assert "did not follow" in after[-1].reason
    assisted = _rested(kit)
    decisions = assisted.live("ramp_up", 0.5)
    assert decisions[-1].current_ma["ch1"] == pytest.approx(20.0)
    assert "without a trigger" in decisions[-1].reason


def test_without_usable_emg_or_the_muscle_it_says_so(kit: SimpleNamespace) -> None:
    driven = _rested(kit)
    assert driven.live("await_effort", 0.5, level_uv=40.0, usable=False)[-1].reason == "EMG trigger: no usable EMG"
    other = _Driven(kit, "emg_trigger", muscle="tongue")
    assert "no muscle is called tongue" in other.tick("await_effort").reason


# PI


def test_pi_raises_where_effort_falls_short_within_its_limit(kit: SimpleNamespace) -> None:
    driven = _Driven(kit, "pi", muscle="agonist", quantity="effort", setpoint=0.5)
    driven.current("ramp_up", 0.5, effort=0.3)
    hold = driven.current("hold", 20.0, effort=0.3)
    assert hold[0] == pytest.approx(20.0)  # bumpless
    assert all(b >= a - 1e-9 for a, b in pairwise(hold))
    assert hold[-1] == pytest.approx(20.0 * 1.5)
    down = driven.current("hold", 1.0, effort=0.9)
    assert down[5] < 30.0  # not wound up: it leaves the limit at once
    assert min(down) >= 0.0


def test_pi_gives_way_to_what_was_not_allowed(kit: SimpleNamespace) -> None:
    ends = []
    for factor in (1.0, 0.7):
        driven = _Driven(kit, "pi", muscle="agonist", quantity="effort", setpoint=0.5, correction_max=1.0)
        report = None
        for n in range(400):
            decision = driven.tick("hold", effort=0.4, report=report)
            asked = decision.current_ma["ch1"]
            setting = kit.report_settings(channel="ch1", current_ma=asked, phase_us=250.0, rate_hz=35.0)
            report = kit.report_of(SimpleNamespace(step=n, channels=(setting,)), driven.now_ns, factor)
        ends.append(asked)
    assert ends[1] < ends[0]
    assert ends[1] < 20.0 * 1.2


def _rounded_down(kit: SimpleNamespace, policy: str, **model: float) -> tuple[float, float]:
    """What is asked for in the end of a hold without any report, and where each says a tenth less by no rule."""
    ends = []
    for reported in (False, True):
        driven = _Driven(kit, policy, muscle="agonist", quantity="effort", setpoint=0.5, **model)
        report = None
        for n in range(400):
            decision = driven.tick("hold", effort=0.45, report=report)
            asked = decision.current_ma["ch1"]
            setting = kit.report_settings(channel="ch1", current_ma=asked, phase_us=250.0, rate_hz=35.0)
            if reported:
                request = SimpleNamespace(step=n, channels=(setting,))
                report = kit.report_of(request, driven.now_ns, 0.9, rule="")
        ends.append(asked)
    return ends[0], ends[1]


_MODEL = {"full_response": 1.0, "recruitment_median_ma": 20.0}


@pytest.mark.parametrize(("policy", "model"), [("pi", {}), ("inverse_recruitment", _MODEL)])
def test_what_the_devices_step_leaves_holds_nothing_back(
    kit: SimpleNamespace, policy: str, model: dict[str, float]
) -> None:
    """Rounding down is no limit: the error shows it, and the integral works against it as if nothing were reported."""
    unreported, reported = _rounded_down(kit, policy, **model)
    assert reported == unreported


@pytest.mark.parametrize("policy", ["adaptive_gain", "iterative_learning"])
def test_a_gain_is_estimated_from_what_the_devices_step_let_flow(kit: SimpleNamespace, policy: str) -> None:
    """The same response to less current is more gain, so less is asked for."""
    unreported, reported = _rounded_down(kit, policy, **_MODEL)
    assert 0.0 < reported < unreported


def test_pi_keeps_its_correction_where_it_cannot_measure_and_is_zero_outside_the_trial(kit: SimpleNamespace) -> None:
    driven = _Driven(kit, "pi", muscle="agonist", quantity="effort", setpoint=0.5)
    reached = driven.current("hold", 2.0, effort=0.3)[-1]
    blind = driven.live("hold", 1.0)
    assert blind[-1].current_ma["ch1"] == pytest.approx(reached, rel=0.02)
    assert "not known" in blind[-1].reason
    assert set(driven.current("rest", 0.2)) == {0.0}
    driven.policy.reset()
    assert driven.current("hold", 0.01, effort=0.3)[0] == pytest.approx(20.0)


def test_pi_that_cannot_measure_for_long_takes_back_what_it_added_and_keeps_what_it_took(kit: SimpleNamespace) -> None:
    raised = _Driven(kit, "pi", muscle="agonist", quantity="effort", setpoint=0.5, lost_s=0.5)
    assert raised.current("hold", 2.0, effort=0.3)[-1] > 22.0
    lost = raised.live("hold", 4.0)
    assert lost[-1].current_ma["ch1"] == pytest.approx(20.0, rel=0.001)
    assert "not known for" in lost[-1].reason
    lowered = _Driven(kit, "pi", muscle="agonist", quantity="effort", setpoint=0.5, lost_s=0.5)
    low = lowered.current("hold", 2.0, effort=0.9)[-1]
    assert low < 18.0
    assert lowered.current("hold", 4.0)[-1] == low


def test_pi_tracks_level_too(kit: SimpleNamespace) -> None:
    driven = _Driven(kit, "pi", muscle="agonist", quantity="level_uv", setpoint=50.0, proportional=0.01)
    assert driven.current("hold", 1.0, level_uv=80.0)[-1] < 20.0


# manual


def test_manual_is_the_dial_within_the_trapezoid_up_slowly_down_at_once(kit: SimpleNamespace) -> None:
    driven = _Driven(kit, "manual", full_turn_s=1.0)
    assert set(driven.current("rest", 0.2, dial=1.0)) == {0.0}
    driven = _Driven(kit, "manual", full_turn_s=1.0)
    up = driven.current("hold", 1.2, dial=1.0)
    assert up[50] == pytest.approx(10.0)
    assert up[-1] == pytest.approx(20.0)
    assert driven.current("hold", 0.01, dial=0.25) == [pytest.approx(5.0)]
    assert driven.current("hold", 2.0, dial=7.0)[-1] == pytest.approx(20.0)


# all of them

TRACKED: dict[str, Any] = {
    "muscle": "agonist", "quantity": "effort", "setpoint": 0.5, "full_response": 2.0, "recruitment_median_ma": 18.0,
}  # fmt: skip
SETTINGS: dict[str, dict[str, Any]] = {
    "open_loop": {},
    "manual": {},
    "emg_trigger": {"muscle": "agonist"},
    "pi": {"muscle": "agonist", "quantity": "effort", "setpoint": 0.5},
    "inverse_recruitment": {**TRACKED},
    "adaptive_gain": {**TRACKED},
    "iterative_learning": {**TRACKED},
    "emg_proportional": {"muscle": "agonist", "full_uv": 60.0},
    "yoked": {"delays_s": {"": [0.1]}},
}


@pytest.mark.parametrize("name", SETTINGS)
def test_state_goes_through_json_and_on_bit_for_bit(kit: SimpleNamespace, name: str) -> None:
    one, other = _Driven(kit, name, **SETTINGS[name]), _Driven(kit, name, **SETTINGS[name])
    script = [("rest", 30, 5.0), ("await_effort", 25, 40.0), ("ramp_up", 20, 40.0), ("hold", 40, 30.0)]
    for state, ticks, level in script:
        for _ in range(ticks):
            one.tick(state, level_uv=level, effort=0.3, dial=0.8)
    other.policy.restore(json.loads(json.dumps(one.policy.state())))
    other.now_ns, other.since_ns, other.state = one.now_ns, one.since_ns, one.state
    for state in ("hold", "ramp_down", "rest"):
        ahead = [d.live(state, 0.3, level_uv=20.0, effort=0.4, dial=0.5) for d in (one, other)]
        assert ahead[0] == ahead[1]


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("state", ["idle", "cue", "rest"])
def test_outside_the_train_every_policy_asks_for_zero(kit: SimpleNamespace, name: str, state: str) -> None:
    driven = _Driven(kit, name, **SETTINGS[name])
    driven.live("hold", 1.0, effort=0.2, dial=1.0)
    assert set(driven.current(state, 0.2, level_uv=60.0, effort=0.2, dial=1.0)) == {0.0}


def test_why_nothing_may_be_asked_for(kit: SimpleNamespace) -> None:
    phase = kit.phase(T0)
    assert why_zero(None, T0) == "no phase yet"
    assert why_zero(phase, T0 + 300_000_000) == ""
    assert why_zero(phase, T0 + 300_000_001) == "phase is stale"
    assert why_zero(kit.phase(T0, state="paused"), T0) == "protocol is paused"
    assert why_zero(kit.phase(T0, arm_id=""), T0) == "not armed"


def test_a_policy_that_does_not_exist_or_does_not_take_a_setting_is_refused_by_name() -> None:
    with pytest.raises(PluginError, match="open_loop"):
        make_policy(Choice(name="open_lop"), ("ch1",))
    with pytest.raises(PluginError, match="sigma"):
        make_policy(Choice(name="emg_trigger", settings={"muscle": "a", "sigma": 3}), ("ch1",))
    with pytest.raises(PluginError, match="tracking_s is 0"):
        make_policy(Choice(name="pi", settings={**SETTINGS["pi"], "tracking_s": 0.0}), ("ch1",))
    assert math.isfinite(towards(0.0, 1.0, 0.01, 0.0, 0.0))


def test_a_policy_that_cannot_be_made_is_one_line_that_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclass(frozen=True)
    class Nothing:
        pass

    class Lab:
        Settings = Nothing

        def __init__(self, settings: Nothing, channels: tuple[str, ...]) -> None:
            raise KeyError("weights")

    monkeypatch.setattr("myoloop.controllers.choice.find_plugin", lambda *_: Lab)
    with pytest.raises(PluginError, match="policy 'lab' cannot be made: KeyError: 'weights'"):
        make_policy(Choice(name="lab"), ("ch1",))


# not asked for a while


def test_the_dial_rises_from_nothing_after_the_policy_was_not_asked_for_a_while(kit: SimpleNamespace) -> None:
    driven = _Driven(kit, "manual", full_turn_s=1.0)
    assert driven.current("hold", 2.0, dial=1.0)[-1] == pytest.approx(20.0)
    driven.now_ns += 50 * TICK
    rise = driven.current("hold", 0.5, dial=1.0)
    assert rise[0] == pytest.approx(0.05 * 20.0)
    assert all(b - a <= 0.01 * 20.0 + 1e-9 for a, b in pairwise(rise))


def test_the_correction_does_not_move_while_the_policy_is_not_asked(kit: SimpleNamespace) -> None:
    driven = _Driven(kit, "pi", muscle="agonist", quantity="effort", setpoint=0.5, proportional=0.0, integral_per_s=1.0)
    before = driven.current("hold", 0.5, effort=0.3)[-1]
    driven.now_ns += 50 * TICK
    after = driven.current("hold", 0.02, effort=0.3)
    assert after[0] == before
    assert after[1] - before == pytest.approx(20.0 * 0.2 * 0.01)


@pytest.mark.parametrize("value", [math.nan, math.inf, -0.1])
def test_gains_and_times_that_are_no_numbers_of_their_range_are_refused(value: float) -> None:
    for name, setting in (("pi", "proportional"), ("pi", "integral_per_s"), ("pi", "tracking_s"), ("pi", "lost_s"),
                          ("manual", "full_turn_s")):  # fmt: skip
        needs = {"quantity": "force", "setpoint": 1.0} if name == "pi" else {}
        with pytest.raises(PluginError, match=rf"{name}\.{setting} is {value:g}, "):
            make_policy(Choice(name=name, settings={**needs, setting: value}), ("ch1",))
    with pytest.raises(PluginError, match=r"manual\.full_turn_s is 0"):
        make_policy(Choice(name="manual", settings={"full_turn_s": 0.0}), ("ch1",))
