"""What a learned correction sees, and that a correction of nothing is the classic policy."""

from __future__ import annotations

import dataclasses
import json
import random
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.policies.adaptive_gain import AdaptiveGain, AdaptiveGainSettings
from myoloop.controllers.policies.observation import OBSERVATION, Observer, Seen
from myoloop.controllers.policies.policy import PolicyInput
from myoloop.controllers.policies.residual import ACTIONS
from myoloop.controllers.policies.steered import SteeredGain

SETTINGS = AdaptiveGainSettings(
    quantity="force", setpoint=25.0, full_response=100.0, recruitment_median_ma=20.0, threshold_ma=8.0
)
SEEN = Seen(
    at_s=0.5, trial_state="hold", due=1.0, ahead=1.0, slope=0.0, response=0.2, goal=0.25, gain=0.9, feed=0.28,
    correction=0.1, residual=0.0, share=0.3, limit=0.9, through=1.0, seconds=0.01,
)  # fmt: skip


def _inputs(kit: SimpleNamespace, seed: int, trials: int = 3) -> list[PolicyInput]:
    """Trials with a force that does what it likes, gaps, and steps in which it is not known."""
    rng = random.Random(seed)
    now_ns, force, given = 1_000_000_000, 0.0, []
    for trial in range(1, trials + 1):
        for state, length_s in (("ramp_up", 0.5), ("hold", 1.0), ("ramp_down", 0.5), ("rest", 0.5)):
            since_ns = now_ns
            for _ in range(round(length_s / 0.01)):
                now_ns += 400_000_000 if rng.random() < 0.002 else 10_000_000
                force = min(max(force + rng.gauss(0.0, 1.0), 0.0), 60.0)
                phase = kit.phase(
                    now_ns, state, trial=trial, block=1, t_state_ns=since_ns, state_s=length_s,
                    targets=(kit.target(60.0, channel="ch1", ramp_up_s=0.5, ramp_down_s=0.5),),
                )  # fmt: skip
                known = rng.random() > 0.1
                through = 1.0 if rng.random() > 0.02 else 0.5
                given.append(PolicyInput(now_ns, phase, {}, force_n=force if known else None, let_through=through))
    return given


@pytest.mark.parametrize("seed", range(5))
def test_a_residual_of_zero_is_adaptive_gain_bit_for_bit(kit: SimpleNamespace, seed: int) -> None:
    classic, steered = AdaptiveGain(SETTINGS, ("ch1",)), SteeredGain(SETTINGS, ("ch1",))
    for given in _inputs(kit, seed):
        assert dataclasses.astuple(steered.decide(given)) == dataclasses.astuple(classic.decide(given))
    kept = steered.state()
    del kept["steered"]
    assert kept == classic.state()


def test_a_residual_multiplies_what_is_asked_for_and_ends_with_the_train(kit: SimpleNamespace) -> None:
    classic, more = AdaptiveGain(SETTINGS, ("ch1",)), SteeredGain(SETTINGS, ("ch1",))
    asked = []
    for given in _inputs(kit, 1, trials=1):
        if given.phase.trial_state == "hold":
            more.steered.steer(0.3)
        asked.append((classic.decide(given).current_ma["ch1"], more.decide(given).current_ma["ch1"]))
    assert any(after > before * 1.02 for before, after in asked)
    assert more.steered.value == 0.0


@pytest.mark.parametrize("value", [0.51, -0.51, float("nan"), float("inf")])
def test_a_residual_out_of_bounds_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"allowed is -0\.5 to 0\.5"):
        SteeredGain(SETTINGS, ("ch1",)).steered.steer(value)


def test_the_actions_contain_the_classic_policy_and_rise() -> None:
    assert 0.0 in ACTIONS
    assert list(ACTIONS) == sorted(ACTIONS)


def test_outside_of_a_train_there_is_no_observation(kit: SimpleNamespace) -> None:
    policy = SteeredGain(SETTINGS, ("ch1",))
    for given in _inputs(kit, 2, trials=1):
        policy.decide(given)
        seen = policy.steered.observation
        assert (seen is None) == (given.phase.trial_state == "rest")
        if seen is not None:
            assert seen.shape == (len(OBSERVATION),)
            assert seen.dtype == np.float64
            assert np.isfinite(seen).all()


def test_the_error_of_the_last_trial_is_found_at_the_same_time_of_the_next() -> None:
    observer = Observer()
    errors = {0.0: 0.4, 0.1: 0.2, 0.2: -0.1, 0.3: 0.0, 0.4: 0.5}
    for at_s, error in errors.items():
        observer.see(SEEN._replace(at_s=at_s + 0.01, response=0.25 * (1.0 - error)))
    observer.leave()
    assert observer.vector() is None
    observer.see(SEEN._replace(at_s=0.11))
    seen = _named(observer)
    assert seen["last_error"] == pytest.approx(0.2)
    assert seen["last_error_in_100ms"] == pytest.approx(-0.1)
    assert seen["last_error_in_300ms"] == pytest.approx(0.5)
    assert seen["last_rms"] == pytest.approx(np.sqrt(np.mean(np.square(list(errors.values())))))
    assert seen["trials"] > 0.0
    assert seen["error"] == pytest.approx(0.2)
    observer.reset()
    observer.see(SEEN)
    assert _named(observer)["last_error"] == 0.0


def test_it_goes_on_bit_for_bit_from_a_saved_state(kit: SimpleNamespace) -> None:
    one, rng = SteeredGain(SETTINGS, ("ch1",)), random.Random(3)
    other: SteeredGain | None = None
    for number, given in enumerate(_inputs(kit, 3)):
        if number == 333:
            other = SteeredGain(SETTINGS, ("ch1",))
            other.restore(json.loads(json.dumps(one.state())))
        action = rng.choice(ACTIONS)
        one.steered.steer(action)
        asked = one.decide(given)
        if other is not None:
            other.steered.steer(action)
            assert other.decide(given) == asked
            assert _bits(other.steered.observation) == _bits(one.steered.observation)


def _bits(vector: Any) -> bytes | None:
    return None if vector is None else vector.tobytes()


def _named(observer: Observer) -> dict[str, float]:
    vector = observer.vector()
    assert vector is not None
    return dict(zip(OBSERVATION, vector.tolist(), strict=True))
