"""Policies that know the recruitment curve: each drives a muscle of a few lines, first order behind a known curve."""

from __future__ import annotations

import json
import math
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.choice import Choice
from myoloop.controllers.policies.policy import Decision, PolicyInput, make_policy
from myoloop.platform.messages import Measure, MotionEstimate
from myoloop.platform.plugins import PluginError

TRACKING = ("inverse_recruitment", "adaptive_gain", "iterative_learning")
TICK_S = 0.01
T0 = 1_000_000_000
MEDIAN_MA, SPREAD, FULL_N = 20.0, 0.35, 100.0
KNOWN = {
    "quantity": "force", "setpoint": 25.0, "full_response": FULL_N, "recruitment_median_ma": MEDIAN_MA,
    "recruitment_spread": SPREAD, "threshold_ma": 8.0,
}  # fmt: skip
SPANS = (("ramp_up", 1.0), ("hold", 2.0), ("ramp_down", 1.0), ("rest", 1.0))


class _Muscle:
    """Phi(ln(I / median) / spread), a gain, a lag, a delay of three ticks."""

    def __init__(self, gain: float = 1.0, lag_s: float = 0.11) -> None:
        self.gain, self.lag_s, self.force_n = gain, lag_s, 0.0
        self.coming = [0.0] * 3

    def step(self, current_ma: float) -> float:
        share = 0.5 * math.erfc(-math.log(current_ma / MEDIAN_MA) / SPREAD / math.sqrt(2)) if current_ma > 0 else 0.0
        self.coming.append(share)
        goal = FULL_N * self.gain * self.coming.pop(0)
        self.force_n += (goal - self.force_n) * TICK_S / self.lag_s
        return self.force_n


class _Loop:
    """Trials of a policy on that muscle; what is heard of it can be taken away."""

    def __init__(self, kit: SimpleNamespace, name: str, muscle: _Muscle | None = None, **more: Any) -> None:
        self.kit, self.name, self.settings = kit, name, {**KNOWN, **more}
        self.policy = make_policy(Choice(name=name, settings=self.settings), ("ch1", "ch2"))
        self.muscle = muscle or _Muscle()
        self.now_ns, self.trial, self.block, self.most_ma = T0, 0, 1, 60.0
        self.forces: list[float] = []
        self.decisions: list[Decision] = []
        self.more: dict[str, Any] = {}
        self.let_through = 1.0
        self.blind = False
        self.targets = ("ch1",)

    def tick(self, state: str, since_ns: int, length_s: float) -> Decision:
        self.now_ns += round(TICK_S * 1e9)
        targets = tuple(
            self.kit.target(self.most_ma, channel=name, ramp_up_s=1.0, ramp_down_s=1.0) for name in self.targets
        )
        phase = self.kit.phase(
            self.now_ns, state, trial=self.trial, block=self.block, t_state_ns=since_ns, state_s=length_s,
            targets=targets,
        )  # fmt: skip
        force_n = None if self.blind else self.muscle.force_n
        given = PolicyInput(self.now_ns, phase, {}, force_n=force_n, let_through=self.let_through, **self.more)
        decision = self.policy.decide(given)
        self.muscle.step(decision.current_ma.get("ch1", 0.0) * self.let_through)
        self.forces.append(self.muscle.force_n)
        self.decisions.append(decision)
        return decision

    def span(self, state: str, length_s: float) -> list[Decision]:
        since_ns = self.now_ns
        return [self.tick(state, since_ns, length_s) for _ in range(round(length_s / TICK_S))]

    def trial_of(self, spans: tuple[tuple[str, float], ...] = SPANS) -> float:
        """One trial; RMS error over its on-time, share of the set point."""
        self.trial += 1
        begin = len(self.forces)
        for state, length_s in spans:
            self.span(state, length_s)
        on = self.forces[begin : begin + 400]
        setpoint = self.settings["setpoint"] * self.more.get("set_point_share", 1.0)
        due = [setpoint * min(1.0, t, 4.0 - t) for t in (0.01 * (n + 1) for n in range(400))]
        return math.sqrt(sum((f - d) ** 2 for f, d in zip(on, due, strict=True)) / len(on)) / setpoint


@pytest.mark.parametrize("name", TRACKING)
def test_it_follows_the_trapezoid_of_the_fresh_muscle_from_the_first_trial(kit: SimpleNamespace, name: str) -> None:
    loop = _Loop(kit, name)
    assert loop.trial_of() < 0.05
    assert loop.trial_of() < 0.05
    assert "force" in loop.decisions[150].reason
    assert "of 25" in loop.decisions[150].reason


@pytest.mark.parametrize("name", TRACKING)
def test_it_makes_up_for_a_muscle_that_has_lost_two_thirds_and_keeps_that_for_the_next_trial(
    kit: SimpleNamespace, name: str
) -> None:
    loop = _Loop(kit, name, _Muscle(gain=0.35))
    errors = [loop.trial_of() for _ in range(10)]
    assert errors[0] > 0.15
    assert errors[-1] < 0.05
    assert loop.decisions[-1].current_ma["ch1"] == 0.0


def test_learning_does_away_with_what_a_wrong_model_leaves(kit: SimpleNamespace) -> None:
    wrong = {"lag_s": 0.03, "recruitment_spread": 0.5, "recruitment_median_ma": 24.0}
    errors = {
        name: [_loop.trial_of() for _loop in [_Loop(kit, name, **wrong)] for _ in range(12)][-1] for name in TRACKING
    }
    assert errors["iterative_learning"] < 0.5 * errors["inverse_recruitment"]
    assert errors["iterative_learning"] < 0.5 * errors["adaptive_gain"]


def test_a_course_is_learnt_for_its_block_and_forgotten_with_it(kit: SimpleNamespace) -> None:
    loop = _Loop(kit, "iterative_learning", _Muscle(gain=0.8), adapt_gain=False)
    first = loop.trial_of()
    for _ in range(5):
        learnt = loop.trial_of()
    assert learnt < first
    assert any(loop.policy._learned.course)
    loop.block = 2
    loop.trial_of()
    assert loop.policy._learned.trials == 1
    loop.policy.reset()
    assert not any(loop.policy._learned.course)


@pytest.mark.parametrize("name", TRACKING)
def test_the_targets_current_is_the_most_it_asks_for_and_it_does_not_wind_up_against_it(
    kit: SimpleNamespace, name: str
) -> None:
    loop = _Loop(kit, name, _Muscle(gain=0.3))
    loop.most_ma = 18.0
    for _ in range(6):
        loop.trial_of()
    assert max(d.current_ma["ch1"] for d in loop.decisions) <= 18.0
    in_hold = loop.decisions[-250]
    assert in_hold.saturated
    assert in_hold.held is not None
    assert in_hold.held < 0.9
    assert "at the target's current" in in_hold.reason
    # The muscle is well again: within a trial nothing is left of the fight against the limit.
    loop.muscle.gain = 1.0
    loop.trial_of()
    loop.trial_of()
    assert max(loop.forces[-500:]) < 1.25 * 25.0


@pytest.mark.parametrize("name", TRACKING)
def test_what_the_reflexes_held_back_is_not_made_up_for_afterwards(kit: SimpleNamespace, name: str) -> None:
    loop = _Loop(kit, name)
    loop.trial_of()
    loop.let_through = 0.0
    loop.trial_of()
    loop.let_through = 1.0
    loop.trial_of()
    assert max(loop.forces[-500:]) < 1.1 * 25.0


@pytest.mark.parametrize("name", TRACKING)
def test_a_force_that_is_lost_keeps_the_correction_for_a_while_then_only_the_fresh_muscles_current(
    kit: SimpleNamespace, name: str
) -> None:
    loop = _Loop(kit, name, _Muscle(gain=0.5))
    for _ in range(4):
        loop.trial_of()
    loop.trial += 1
    loop.span("ramp_up", 1.0)
    before = loop.span("hold", 1.0)[-1].current_ma["ch1"]
    loop.blind = True
    kept = loop.span("hold", 0.2)
    assert kept[-1].current_ma["ch1"] == pytest.approx(before, rel=0.03)
    assert "not known, correction kept" in kept[-1].reason
    fallen = loop.span("hold", 4.0)[-1]
    assert "lost" in fallen.reason
    fresh = MEDIAN_MA * math.exp(SPREAD * -0.6745)
    assert fallen.current_ma["ch1"] <= fresh * 1.01
    assert fallen.current_ma["ch1"] < before
    zero = _Loop(kit, name, when_lost="zero")
    zero.blind = True
    assert zero.span("hold", 1.0)[-1].current_ma == {"ch1": 0.0}


@pytest.mark.parametrize("name", TRACKING)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_force_that_is_no_number_is_not_known(kit: SimpleNamespace, name: str, value: float) -> None:
    loop = _Loop(kit, name)
    loop.span("ramp_up", 0.5)
    loop.muscle.force_n = value
    decision = loop.tick("hold", loop.now_ns, 2.0)
    assert "not known" in decision.reason
    assert math.isfinite(decision.current_ma["ch1"])


@pytest.mark.parametrize("name", TRACKING)
def test_nothing_below_the_motor_threshold_is_asked_for_and_current_does_not_jump_in_the_hold(
    kit: SimpleNamespace, name: str
) -> None:
    loop = _Loop(kit, name, _Muscle(gain=0.6))
    for _ in range(3):
        loop.trial_of()
    currents = [d.current_ma["ch1"] for d in loop.decisions]
    assert all(ma == 0.0 or ma >= 8.0 for ma in currents)
    hold = currents[-350:-200]
    assert max(abs(b - a) for a, b in pairwise(hold)) < 1.0


def test_the_share_rises_no_faster_than_its_slew_and_falls_faster(kit: SimpleNamespace) -> None:
    loop = _Loop(kit, "inverse_recruitment", rise_per_s=0.1, fall_per_s=1.0)
    shares = []
    since_ns = loop.now_ns
    for _ in range(100):
        loop.tick("hold", since_ns, 0.0)
        shares.append(loop.policy._share)
    assert max(b - a for a, b in pairwise(shares)) <= 0.1 * TICK_S + 1e-12
    assert shares[-1] > 0.09


def test_the_set_point_follows_a_new_plan(kit: SimpleNamespace) -> None:
    loop = _Loop(kit, "adaptive_gain")
    loop.more["set_point_share"] = 0.6
    loop.trial_of()
    assert loop.trial_of() < 0.06
    assert loop.decisions[-250].held == pytest.approx(1.0, abs=0.1)
    assert max(loop.forces) < 0.7 * 25.0


def test_a_muscle_at_rest_is_believed_to_recover(kit: SimpleNamespace) -> None:
    for name in TRACKING:
        loop = _Loop(kit, name, _Muscle(gain=0.4))
        for _ in range(5):
            loop.trial_of()
        loop.span("rest", 300.0)
        loop.muscle.gain = 0.95
        loop.trial_of()
        assert max(loop.forces[-500:]) < 1.35 * 25.0, name


def test_only_the_named_channel_is_steered(kit: SimpleNamespace) -> None:
    loop = _Loop(kit, "inverse_recruitment", channel="ch1")
    loop.targets = ("ch1", "ch2")
    loop.span("ramp_up", 1.0)
    decision = loop.span("hold", 0.5)[-1]
    assert decision.current_ma["ch2"] == 60.0
    assert decision.current_ma["ch1"] < 30.0
    loop.targets = ("ch2",)
    assert "no target on ch1" in loop.span("hold", 0.01)[-1].reason
    with pytest.raises(ValueError, match=r"inverse_recruitment\.channel is 'ch9', allowed: ch1, ch2"):
        _Loop(kit, "inverse_recruitment", channel="ch9")


def test_an_angle_is_tracked_as_a_force_is(kit: SimpleNamespace) -> None:
    policy = make_policy(
        Choice(
            name="inverse_recruitment", settings={**KNOWN, "quantity": "angle", "setpoint": 0.5, "full_response": 1.5}
        ),
        ("ch1",),
    )
    for angle, said in ((Measure(value=0.3, valid=True, reason=""), "angle 0.3 of 0.5"), (Measure(), "not known")):
        motion = MotionEstimate(angle_rad=angle)
        given_ = PolicyInput(T0, kit.phase(T0, "hold", state_s=0.0), {}, motion=motion)
        assert said in policy.decide(given_).reason
    assert "not known" in policy.decide(PolicyInput(T0, kit.phase(T0, "hold"), {})).reason


@pytest.mark.parametrize("name", TRACKING)
def test_a_saved_state_goes_on_bit_for_bit(kit: SimpleNamespace, name: str) -> None:
    one, other = _Loop(kit, name, _Muscle(gain=0.7)), _Loop(kit, name, _Muscle(gain=0.7))
    one.trial_of()
    one.trial_of()
    one.trial += 1
    one.span("ramp_up", 0.7)
    other.policy.restore(json.loads(json.dumps(one.policy.state())))
    other.muscle.force_n, other.muscle.coming = one.muscle.force_n, list(one.muscle.coming)
    other.now_ns, other.trial = one.now_ns, one.trial
    for loop in (one, other):
        loop.span("hold", 1.0)
        loop.span("ramp_down", 1.0)
        loop.span("rest", 0.2)
        loop.trial_of()
    assert one.decisions[-len(other.decisions) :] == other.decisions
    assert one.policy.state() == other.policy.state()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(TRACKING),
    st.lists(
        st.tuples(
            st.sampled_from(["idle", "await_effort", "ramp_up", "hold", "ramp_down", "rest"]),
            st.one_of(st.none(), st.floats(-200, 400), st.sampled_from([math.nan, math.inf])),
            st.floats(0, 80),
            st.floats(0.1, 1.0),
            st.floats(0.0, 1.0),
            st.integers(0, 2_000_000_000),
        ),
        max_size=60,
    ),
)
def test_whatever_is_measured_it_asks_for_no_more_than_the_target(kit: SimpleNamespace, name: str, course: Any) -> None:
    policy = make_policy(Choice(name=name, settings=KNOWN), ("ch1",))
    now_ns, before, since_ns = T0, "", T0
    for state, force_n, most_ma, aim, through, passed_ns in course:
        now_ns += passed_ns
        since_ns = now_ns if state != before else since_ns
        before = state
        phase = kit.phase(now_ns, state, t_state_ns=since_ns, state_s=1.0, targets=(kit.target(most_ma),))
        given_ = PolicyInput(now_ns, phase, {}, force_n=force_n, set_point_share=aim, let_through=through)
        assert 0.0 <= policy.decide(given_).current_ma["ch1"] <= most_ma


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"setpoint": 0.0}, "setpoint is 0"),
        ({"setpoint": math.nan}, "setpoint is nan"),
        ({"setpoint": 200.0}, r"setpoint is 200, allowed is up to full_response \(100\)"),
        ({"quantity": "effort"}, "muscle is not given"),
        ({"recruitment_spread": 0.0}, "recruitment_spread is 0"),
        ({"threshold_ma": 30.0}, "threshold_ma is 30"),
        ({"proportional": -1.0}, "proportional is -1"),
        ({"lag_s": math.nan}, "lag_s is nan"),
        ({"when_lost": "guess"}, "when_lost is 'guess', allowed: feed_forward, zero"),
    ],
)
@pytest.mark.parametrize("name", TRACKING)
def test_settings_that_make_no_sense_are_refused_in_one_line(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match=said) as refused:
        make_policy(Choice(name=name, settings={**KNOWN, **changes}), ("ch1",))
    assert name in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "changes", "said"),
    [
        ("adaptive_gain", {"gain_min": 0.0}, "gain_min 0"),
        ("adaptive_gain", {"gain_memory_s": 0.0}, "gain_memory_s is 0"),
        ("iterative_learning", {"learning": 0.0}, "learning is 0"),
        ("iterative_learning", {"forgetting": 1.2}, "forgetting is 1.2"),
        ("iterative_learning", {"longest_s": 1000.0}, "longest_s is 1000"),
        ("iterative_learning", {"bin_s": 0.001}, "bin_s is 0.001"),
        ("iterative_learning", {"smooth_s": 5.0}, "smooth_s is 5"),
        ("iterative_learning", {"lead_s": -1.0}, "lead_s is -1"),
    ],
)
def test_their_own_settings_are_refused_as_well(name: str, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(PluginError, match=said):
        make_policy(Choice(name=name, settings={**KNOWN, **changes}), ("ch1",))


def test_what_is_learnt_stays_small_enough_to_be_saved() -> None:
    longest = {**KNOWN, "bin_s": 0.05, "longest_s": 50.0}
    policy = make_policy(Choice(name="iterative_learning", settings=longest), ("ch1",))
    policy._learned.course[:] = [math.sin(n) for n in range(1000)]
    assert len(json.dumps(policy.state())) < 60_000


# not asked for a while


def _hole(loop: _Loop, seconds: float) -> None:
    """The controller does not ask: nothing flows."""
    for _ in range(round(seconds / TICK_S)):
        loop.now_ns += round(TICK_S * 1e9)
        loop.muscle.step(0.0)


@pytest.mark.parametrize("name", TRACKING)
def test_after_it_was_not_asked_for_a_while_it_rises_from_nothing_and_learns_nothing_of_that(
    kit: SimpleNamespace, name: str
) -> None:
    loop = _Loop(kit, name, rise_per_s=0.4)
    loop.trial_of()
    loop.trial += 1
    loop.span("ramp_up", 1.0)
    loop.span("hold", 1.0)
    since_ns = loop.now_ns - 1_000_000_000
    gain, before = loop.policy._gain.value, loop.policy._share
    assert before > 0.1
    _hole(loop, 0.5)
    shares = []
    for _ in range(20):
        loop.tick("hold", since_ns, 2.0)
        shares.append(loop.policy._share)
    # One step of 50 ms at most, however long nothing was asked; then step by step.
    assert 0.0 < shares[0] <= 0.4 * 0.05 + 1e-12
    assert all(b - a <= 0.4 * TICK_S + 1e-12 for a, b in pairwise(shares))
    assert loop.policy._gain.value == pytest.approx(gain, abs=1e-3)
    if name == "iterative_learning":
        # The newest trial's errors: nothing of what the hole made.
        assert loop.policy._learned._sum[20:].max() < 0.05


@pytest.mark.parametrize("name", TRACKING)
def test_several_targets_and_no_channel_named_are_zero_and_said(kit: SimpleNamespace, name: str) -> None:
    loop = _Loop(kit, name)
    loop.targets = ("ch1", "ch2")
    decision = loop.span("hold", 0.5)[-1]
    assert decision.current_ma == {"ch1": 0.0, "ch2": 0.0}
    assert decision.reason.endswith("zero, targets on ch1, ch2 and no channel is named to steer")


def test_what_was_last_steered_is_saved(kit: SimpleNamespace) -> None:
    loop = _Loop(kit, "adaptive_gain", recruitment_phase_us=200.0)
    loop.span("ramp_up", 0.5)
    twin = _Loop(kit, "adaptive_gain", recruitment_phase_us=200.0)
    twin.policy.restore(json.loads(json.dumps(loop.policy.state())))
    assert twin.policy._phase_us == loop.policy._phase_us == 250.0
    # Without the width of the pulses nine tenths of the current is another share of the muscle.
    assert twin.policy._got(0.9, ()) == loop.policy._got(0.9, ()) > 0.0
