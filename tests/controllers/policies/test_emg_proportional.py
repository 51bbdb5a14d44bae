"""EMG-proportional control: activity sets the current, and what the current itself leaves in the EMG does not."""

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
from myoloop.controllers.policies.policy import Activity, Decision, PolicyInput, make_policy
from myoloop.platform.messages import Measure, MuscleEstimate
from myoloop.platform.plugins import PluginError

TICK_NS = 10_000_000
REST_UV, FULL_UV, TARGET_MA = 5.0, 105.0, 20.0


class _Loop:
    """A policy, a person's activity, and what stimulation leaves in it."""

    def __init__(self, kit: SimpleNamespace, residue_uv_per_ma: float = 0.0, **more: Any) -> None:
        settings_ = {"muscle": "agonist", "full_uv": FULL_UV, **more}
        self.kit, self.residue = kit, residue_uv_per_ma
        self.policy = make_policy(Choice(name="emg_proportional", settings=settings_), ("ch1",))
        self.now_ns, self.current_ma = 1_000_000_000, 0.0
        #: The level is the RMS of the last 50 ms.
        self.power = [REST_UV**2] * 5
        self.decisions: list[Decision] = []

    def live(
        self, seconds: float, effort_uv: float = 0.0, *, state: str = "hold", usable: bool = True, spasm: float = 0.0
    ) -> list[float]:
        currents = []
        for _ in range(round(seconds * 100)):
            self.now_ns += TICK_NS
            self.power = [*self.power[1:], REST_UV**2 + effort_uv**2 + (self.residue * self.current_ma) ** 2]
            estimate = MuscleEstimate(
                muscle="agonist", level_uv=None, fatigue=Measure(), effort=Measure(), response=Measure(),
                spasm=Measure(value=spasm, valid=True, reason=""),
            )  # fmt: skip
            activity = {"agonist": Activity(math.sqrt(sum(self.power) / 5), REST_UV, 0.1, usable)}
            phase = self.kit.phase(self.now_ns, state, targets=(self.kit.target(TARGET_MA),))
            decision = self.policy.decide(PolicyInput(self.now_ns, phase, {"agonist": estimate}, activity))
            self.current_ma = decision.current_ma["ch1"]
            self.decisions.append(decision)
            currents.append(self.current_ma)
        return currents


def test_more_activity_is_more_current_between_nothing_and_the_target(kit: SimpleNamespace) -> None:
    reached = [_Loop(kit).live(2.5, effort)[-1] for effort in (0.0, 8.0, 40.0, 70.0, 200.0)]
    assert reached[:2] == [0.0, 0.0]
    assert 0 < reached[2] < reached[3] < reached[4]
    assert reached[4] == pytest.approx(TARGET_MA, rel=0.01)
    assert reached[2] == pytest.approx(TARGET_MA * (math.hypot(40, 5) - 10) / 95, rel=0.02)


@pytest.mark.parametrize("residue_uv_per_ma", [1.0, 4.0, 8.0, 30.0, 500.0])
def test_with_no_volition_the_current_goes_to_zero_whatever_the_loop_gain(
    kit: SimpleNamespace, residue_uv_per_ma: float
) -> None:
    loop = _Loop(kit, residue_uv_per_ma)
    assert loop.live(4.0, 100.0)[-1] > 0 or loop.live(1.0, 100.0)[-1] > 0
    gone = loop.live(20.0)
    # One check, with its pause, at the latest.
    assert set(gone[round((3.0 + 0.3 + 0.1) * 100) :]) == {0.0}
    assert not any("share 1" in decision.reason for decision in loop.decisions[-100:])


def test_an_effort_that_goes_on_outlives_its_checks(kit: SimpleNamespace) -> None:
    loop = _Loop(kit, residue_uv_per_ma=8.0)
    currents = loop.live(30.0, 100.0)
    flowing = sum(current > 0 for current in currents) / len(currents)
    assert 0.8 < flowing < 0.95
    assert currents[-250:].count(0.0) <= 80
    assert sum("withheld to hear the person alone" in decision.reason for decision in loop.decisions) > 200


def test_what_is_known_of_the_artifact_does_not_count(kit: SimpleNamespace) -> None:
    with_allowance = _Loop(kit, residue_uv_per_ma=4.0, artifact_uv_per_ma=4.0)
    without = _Loop(kit, residue_uv_per_ma=4.0)
    for loop in (with_allowance, without):
        loop.live(2.0, 100.0)
    assert with_allowance.live(0.9)[-1] == 0.0
    assert without.live(0.9)[-1] > 0.0


def test_nothing_outside_the_train_nothing_in_a_spasm_nothing_without_emg(kit: SimpleNamespace) -> None:
    loop = _Loop(kit)
    assert set(loop.live(1.0, 100.0, state="rest")) == {0.0}
    assert loop.live(1.0, 100.0)[-1] > 15.0
    assert loop.live(0.2, 100.0, usable=False)[-1] > 0.0
    assert loop.live(1.0, 100.0, usable=False)[-1] == 0.0
    assert "no usable EMG" in loop.decisions[-1].reason
    assert loop.live(1.0, 100.0)[-1] > 15.0
    assert loop.live(1.0, 100.0, spasm=1.0)[-1] == 0.0
    assert "a spasm is on" in loop.decisions[-1].reason
    loop.live(1.0, 100.0)
    loop.policy.reset()
    assert loop.live(0.01, 0.0) == [0.0]


def test_emg_that_fails_in_the_pause_is_no_volition(kit: SimpleNamespace) -> None:
    loop = _Loop(kit)
    currents = loop.live(4.0, 100.0)
    start = next(n for n, (a, b) in enumerate(pairwise(currents)) if a > 0 and b == 0.0)
    again = _Loop(kit)
    again.live((start + 2) / 100, 100.0)
    again.live(0.3, 100.0, usable=False)
    assert again.decisions[-1].current_ma == {"ch1": 0.0}


def test_a_saved_state_goes_on_bit_for_bit_in_the_middle_of_a_pause(kit: SimpleNamespace) -> None:
    one, other = _Loop(kit, 8.0), _Loop(kit, 8.0)
    one.live(3.2, 100.0)
    assert one.policy._pause_s is not None
    other.policy.restore(json.loads(json.dumps(one.policy.state())))
    other.now_ns, other.current_ma, other.power = one.now_ns, one.current_ma, list(one.power)
    assert one.live(5.0, 60.0) == other.live(5.0, 60.0)


odd = st.one_of(st.floats(0, 500), st.sampled_from([math.nan, math.inf, -math.inf, -3.0, 1e300]))


@settings(deadline=None)
@given(st.lists(st.tuples(odd, odd, odd, st.booleans(), st.integers(0, 10**10)), max_size=60))
def test_whatever_it_hears_it_asks_for_nothing_or_up_to_the_target(kit: SimpleNamespace, heard: Any) -> None:
    policy = make_policy(
        Choice(name="emg_proportional", settings={"muscle": "agonist", "full_uv": 50.0, "gain": 10.0}), ("ch1",)
    )
    now_ns = 0
    for level, rest, sigma, usable, passed_ns in heard:
        now_ns += passed_ns
        phase = kit.phase(now_ns, "hold", targets=(kit.target(TARGET_MA),))
        given_ = PolicyInput(now_ns, phase, {}, {"agonist": Activity(level, rest, sigma, usable)})
        assert 0.0 <= policy.decide(given_).current_ma["ch1"] <= TARGET_MA


@pytest.mark.parametrize(
    ("setting", "value"),
    [("full_uv", 0.0), ("threshold_ratio", 0.5), ("gain", math.nan), ("check_every_s", 0.0), ("check_s", 0.05)],
)
def test_settings_that_would_open_the_trap_are_refused(setting: str, value: float) -> None:
    with pytest.raises(PluginError, match=f"emg_proportional.{setting} is"):
        make_policy(
            Choice(name="emg_proportional", settings={"muscle": "a", "full_uv": 50.0, setting: value}), ("ch1",)
        )


def test_after_it_was_not_asked_for_a_while_the_share_rises_from_nothing(kit: SimpleNamespace) -> None:
    loop = _Loop(kit)
    assert loop.live(2.0, 200.0)[-1] > 0.9 * TARGET_MA
    loop.now_ns += 50 * TICK_NS
    rise = loop.live(0.5, 200.0)
    assert rise[0] <= TARGET_MA * (1.0 - math.exp(-0.05 / 0.3)) + 1e-9
    # As soft as a first rise: a step of 10 ms is at most this of what is left.
    assert all(b - a <= TARGET_MA * 0.06 for a, b in pairwise(rise[1:]) if a > 0)
