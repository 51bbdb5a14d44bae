"""Fitted Q in the shadow: what acts is adaptive gain bit for bit, and what would have been asked is told beside it."""

from __future__ import annotations

import dataclasses
import itertools
import json
import random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.policies.adaptive_gain import AdaptiveGain, AdaptiveGainSettings
from myoloop.controllers.policies.distilled_model import DistilledModel
from myoloop.controllers.policies.fitted_q import FittedQ, FittedQSettings
from myoloop.controllers.policies.policy import PolicyInput
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.controllers.policies.shadowing import FittedQShadow

KNOWN: dict[str, Any] = {
    "quantity": "force", "setpoint": 25.0, "full_response": 100.0, "recruitment_median_ma": 20.0, "threshold_ma": 8.0,
}  # fmt: skip
PHASE_US, RATE_HZ = 300.0, 40.0


def steps_of(kit: SimpleNamespace, seed: int, *, blind: float = 0.0, trials: int = 2) -> list[PolicyInput]:
    """Trials with a force that does what it likes, and is not always known."""
    rng = random.Random(seed)
    now_ns, force, steps = 1_000_000_000, 0.0, []
    target = kit.target(45.0, ramp_up_s=0.4, ramp_down_s=0.3, phase_us=PHASE_US, rate_hz=RATE_HZ)
    for trial in range(1, trials + 1):
        for state, length_s in (("ramp_up", 0.4), ("hold", 0.8), ("ramp_down", 0.3), ("rest", 0.3)):
            since_ns = now_ns
            for _ in range(round(length_s / 0.01)):
                now_ns += 10_000_000
                force = min(max(force + rng.gauss(0.1, 1.5), 0.0), 60.0)
                phase = kit.phase(
                    now_ns, state, trial=trial, block=1, t_state_ns=since_ns, state_s=length_s, targets=(target,)
                )
                steps.append(PolicyInput(now_ns, phase, {}, force_n=None if rng.random() < blind else force))
    return steps


def shadow(residual: float, **more: Any) -> FittedQShadow:
    model = DistilledModel.always(residual)
    return FittedQShadow(FittedQSettings(**KNOWN, **{"model": model, "budget_uc": 1000.0, **more}), ("ch1",))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), residual=st.sampled_from(ACTIONS), blind=st.sampled_from((0.0, 0.3, 0.9)))
def test_its_own_adaptive_gain_is_that_which_acts_bit_for_bit_whatever_the_model_says(
    kit: SimpleNamespace, seed: int, residual: float, blind: float
) -> None:
    classic, beside = AdaptiveGain(AdaptiveGainSettings(**KNOWN), ("ch1",)), shadow(residual)
    for step in steps_of(kit, seed, blind=blind):
        acts = classic.decide(step)
        beside.decide(step)
        assert beside.classic_ma == acts.current_ma


def test_a_model_that_says_nothing_would_ask_for_the_same(kit: SimpleNamespace) -> None:
    beside = shadow(0.0)
    asked = [(beside.decide(step).current_ma, beside.classic_ma) for step in steps_of(kit, 1)]
    assert all(would == classic for would, classic in asked)
    assert any(would["ch1"] > 8.0 for would, _ in asked)


@pytest.mark.parametrize("residual", [-0.3, 0.3])
def test_more_or_less_would_be_asked_for_as_the_model_says_within_slew_and_target(
    kit: SimpleNamespace, residual: float
) -> None:
    beside = shadow(residual)
    curve = beside._curve
    shares = []
    for step in steps_of(kit, 2, trials=1):
        held = dataclasses.replace(step, force_n=25.0 if step.phase.trial_state == "hold" else None)
        would = beside.decide(held).current_ma["ch1"]
        shares.append((curve.share(beside.classic_ma["ch1"], PHASE_US), curve.share(would, PHASE_US)))
        assert would <= 45.0
    classic, would_be = shares[100]
    assert would_be == pytest.approx(classic * (1.0 + residual), rel=0.02)
    rises = [after[1] - before[1] for before, after in itertools.pairwise(shares)]
    assert max(rises) <= 2.0 * 0.01 + 0.005  # rise_per_s, and what skipping the dead zone adds
    assert shares[-1] == (0.0, 0.0)


def test_nothing_is_added_while_the_measurement_is_lost(kit: SimpleNamespace) -> None:
    beside = shadow(0.3)
    steps = [dataclasses.replace(step, force_n=None) for step in steps_of(kit, 3, trials=1)]
    late = [(beside.decide(step).current_ma["ch1"], beside.classic_ma["ch1"]) for step in steps][60:]
    assert late[0][1] > 0.0
    assert all(would <= classic * 1.05 for would, classic in late)


def test_it_would_fall_back_as_the_policy_that_acts_does(kit: SimpleNamespace) -> None:
    """The same model, seeing the same: a shifted input ends both at the same step."""
    model = dataclasses.replace(DistilledModel.always(0.0), low=(0.0,) + (-1e6,) * 25, high=(0.05,) + (1e6,) * 25)
    acting = FittedQ(FittedQSettings(**KNOWN, model=model), ("ch1",))
    beside = shadow(0.0, model=model)
    faults = [(acting.decide(step).fault, beside.decide(step).fault) for step in steps_of(kit, 4)]
    assert all(one == other for one, other in faults)
    assert faults[0][0] == ""
    assert "shifted input, time" in faults[-1][0]


def test_a_late_step_ends_it_for_the_train(kit: SimpleNamespace) -> None:
    beside = shadow(0.15)
    told = []
    for number, step in enumerate(steps_of(kit, 5)):
        given_ = dataclasses.replace(step, overrun_ms=25.0) if number == 50 else step
        told.append(beside.decide(given_).fault)
    assert told[49] == ""
    assert "overrun of 25.0 ms" in told[50]
    assert told[-40] == ""


def test_a_restored_shadow_goes_on_bit_for_bit(kit: SimpleNamespace) -> None:
    steps = steps_of(kit, 6)
    one, other = shadow(0.15), shadow(0.15)
    for step in steps[:170]:
        one.decide(step)
    other.restore(json.loads(json.dumps(one.state())))
    for step in steps[170:]:
        assert one.decide(step).current_ma == other.decide(step).current_ma


def test_without_a_model_there_is_none() -> None:
    with pytest.raises(ValueError, match="fitted_q has no model: nothing can be computed in the shadow"):
        FittedQShadow(FittedQSettings(**KNOWN), ("ch1",))
