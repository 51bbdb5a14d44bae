"""Co-contraction: the indices as published, and a pair of simulated muscles whose truth is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.cocontraction import (
    CocontractionSettings,
    falconer_winter,
    likeness,
    overflow,
    rudolph,
)
from myoloop.controllers.estimators.estimator import Setup, Situation
from myoloop.controllers.muscles import MuscleGroup
from myoloop.controllers.parts import Faults
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.platform.messages import Measure, SampleDescriptor, Samples
from myoloop.platform.plugins import PluginError


def test_the_indices_are_what_their_formulas_say() -> None:
    a, b = np.array([0.2, 0.6, 0.4, 0.0]), np.array([0.4, 0.2, 0.4, 0.0])
    assert falconer_winter(a, b) == pytest.approx(2 * 0.8 / 2.2)
    assert rudolph(a, b) == pytest.approx((0.5 * 0.6 + 0.8 / 3 + 0.8) / 4)
    assert falconer_winter(a, a) == 1.0
    assert falconer_winter([1.0, 0.0], [0.0, 1.0]) == 0.0
    assert overflow(50.0, [5.0, 0.0, 20.0]).tolist() == [0.1, 0.0, 0.4]


@given(st.lists(st.tuples(st.floats(0, 10), st.floats(0, 10)), min_size=1, max_size=30), st.floats(0.1, 10))
@settings(deadline=None)
def test_falconer_winter_is_symmetric_scale_free_and_within_0_and_1(pairs: list[Any], gain: float) -> None:
    a, b = np.array(pairs).T
    if a.sum() + b.sum() < 1e-6:
        return
    index = falconer_winter(a, b)
    assert 0.0 <= index <= 1.0
    assert falconer_winter(b, a) == pytest.approx(index)
    assert falconer_winter(gain * a, gain * b) == pytest.approx(index)


def test_what_is_no_pair_of_envelopes_is_refused() -> None:
    for a, b in (([1.0], [1.0, 2.0]), ([-1.0], [1.0]), ([np.nan], [1.0]), ([], [])):
        with pytest.raises(ValueError, match="envelope"):
            falconer_winter(a, b)
    with pytest.raises(ValueError, match="nothing to share"):
        falconer_winter([0.0], [0.0])
    with pytest.raises(ValueError, match="task_uv is 0"):
        overflow(0.0, [1.0])
    with pytest.raises(ValueError, match="negative"):
        overflow(1.0, [-1.0])


def test_copies_are_alike_at_their_lag_and_strangers_are_not() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.standard_normal((2, 2000))
    good = np.ones(2000, dtype=bool)
    late = np.roll(one, 6)
    assert likeness(one, -3 * late, good, 10) > 0.95
    assert likeness(one, late, good, 4) < 0.2
    assert likeness(one, other, good, 10) < 0.15
    assert likeness(one, one, np.zeros(2000, dtype=bool), 10) == 0.0


class _Pair:
    """Two muscles (and one beside them) with activations that are told; noise of 3 uV."""

    RATE = 2000.0

    def __init__(self, seed: int = 1, mixing: float = 0.0, **settings: Any) -> None:
        self.rng, self.mixing = np.random.default_rng(seed), mixing
        names = ("flexor", "extensor", "other")
        descriptor = SampleDescriptor(
            topic="emg/s", rate_hz=self.RATE, dtype="<f8", channels=names, units=("V",) * 3, scale=(1e-6,) * 3,
            offset=(0.0,) * 3,
        )  # fmt: skip
        conditioner = Conditioner(ConditioningSettings(notch="off"), descriptor, (0, 1, 2), stimulated=False)
        setup = Setup(names, self.RATE, conditioner.hop_samples, False, np.zeros(3, dtype=bool))
        given = {"pairs": [["flexor", "extensor"]], **settings}
        self.group = MuscleGroup(
            conditioner, setup, BaselineSettings(), (Choice(name="cocontraction", settings=given),), Faults()
        )
        self.hops = 0

    def live(self, seconds: float, flexor: float = 0.0, extensor: float = 0.0, full_uv: float = 200.0) -> list[Measure]:
        told = []
        for _ in range(round(seconds * 100)):
            noise = self.rng.standard_normal((20, 3))
            emg = noise * np.hypot(3.0, full_uv * np.array([flexor, extensor, 0.0]))
            emg[:, 1] += self.mixing * emg[:, 0]
            situation = Situation(self.now_ns + 10_000_000)
            self.group.add(Samples(first_sample=20 * self.hops, t_ns=situation.now_ns), emg, 1, situation)
            self.hops += 1
            self.group.advance(self.now_ns, False, situation)
            told.append(self.group.estimates(self.now_ns, 150_000_000)[0].cocontraction)
        return told

    @property
    def now_ns(self) -> int:
        return self.hops * 10_000_000


FULL = {"reference_uv": {"flexor": 200.0, "extensor": 200.0}}


@pytest.mark.parametrize(("flexor", "extensor"), [(0.5, 0.5), (0.5, 0.4), (0.6, 0.2), (0.3, 0.03), (0.1, 0.3)])
def test_the_index_is_within_five_points_of_the_truth(flexor: float, extensor: float) -> None:
    pair = _Pair(**FULL)
    pair.live(2.0)
    told = pair.live(6.0, flexor, extensor)[150:]
    assert all(measure.valid for measure in told)
    truth = 2 * min(flexor, extensor) / (flexor + extensor)
    errors = np.array([measure.value for measure in told]) - truth
    assert np.abs(errors).mean() <= 0.05
    assert abs(errors.mean()) <= 0.04


def test_alternating_muscles_share_little_and_the_other_muscle_is_in_no_pair() -> None:
    pair = _Pair(window_s=4.0, **FULL)
    pair.live(2.0)
    for _ in range(4):
        pair.live(1.0, 0.5, 0.0)
        told = pair.live(1.0, 0.0, 0.5)
    assert told[-1].value is not None
    assert told[-1].value <= 0.05
    assert pair.group.estimates(pair.now_ns, 150_000_000)[2].cocontraction.reason == "no pair is named"


def test_without_a_reference_or_activity_it_says_so() -> None:
    pair = _Pair()
    first = pair.live(0.2)[-1]
    assert first.reason == "the level at rest is not known yet"
    quiet = pair.live(3.0)[-1]
    assert quiet.reason == "no contraction yet to compare with"
    pair.live(1.5, 0.5, 0.3)
    assert pair.live(2.5)[-1].reason == "neither muscle of the pair is active"
    told = pair.live(2.0, 0.5, 0.3)[-1]
    assert told.valid
    assert told.value == pytest.approx(1.0, abs=0.15)  # each as strong as its own strongest contraction


def test_cross_talk_is_no_cocontraction() -> None:
    pair = _Pair(mixing=0.6, **FULL)
    pair.live(2.0)
    told = pair.live(3.0, 0.5, 0.02)[-1]
    assert not told.valid
    assert "both channels hear the same signal" in told.reason


def test_a_pair_with_a_muscle_that_is_not_there_or_named_twice_is_refused() -> None:
    with pytest.raises((PluginError, ValueError), match="tongue is not on the EMG source of flexor"):
        _Pair(pairs=[["flexor", "tongue"]])
    with pytest.raises((PluginError, ValueError), match="flexor named more than once"):
        _Pair(pairs=[["flexor", "extensor"], ["other", "flexor"]])
    with pytest.raises(ValueError, match="window_s is 0"):
        CocontractionSettings(window_s=0.0)
    with pytest.raises(ValueError, match="reference_uv of flexor is 0"):
        CocontractionSettings(reference_uv={"flexor": 0.0})
    assert _Pair(pairs=[["tongue", "cheek"]]).live(0.5)[-1].reason == "no pair is named"


def test_it_goes_on_from_a_saved_state_bit_for_bit() -> None:
    one, other = _Pair(), _Pair()
    one.live(2.0)
    one.live(1.53, 0.5, 0.3)
    one.live(1.0)
    other.group.restore(json.loads(json.dumps(one.group.state())))
    other.hops, other.rng = one.hops, np.random.default_rng(5)
    one.rng = np.random.default_rng(5)
    assert one.live(1.7, 0.4, 0.5) == other.live(1.7, 0.4, 0.5)


def test_saved_before_the_first_hop_it_says_the_same_when_restored() -> None:
    one, other = _Pair(), _Pair()
    other.group.restore(json.loads(json.dumps(one.group.state())))
    told = [[each.cocontraction for each in pair.group.estimates(0, 150_000_000)] for pair in (one, other)]
    assert told[0] == told[1]
    assert one.live(0.03) == other.live(0.03)
    assert one.live(0.01)[0].reason == "the level at rest is not known yet"
    assert one.group.estimates(one.now_ns, 150_000_000)[2].cocontraction.reason == told[0][2].reason
