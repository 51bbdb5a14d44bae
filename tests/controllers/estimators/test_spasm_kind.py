"""The kind of a spasm, of scenes whose truth is known."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.estimator import ImuInput, Setup, Situation
from myoloop.controllers.estimators.spasm_kind import SpasmKindSettings
from myoloop.controllers.muscles import MuscleGroup
from myoloop.controllers.parts import Faults
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.platform.messages import MuscleEstimate, SampleDescriptor, Samples
from myoloop.platform.plugins import PluginError

RATE = 2000.0


class _Muscles:
    """Muscles whose EMG is told as an envelope; noise of 3 uV."""

    def __init__(self, muscles: int = 1, seed: int = 1, gyroscope: bool = False, **settings: Any) -> None:
        self.rng, self.hops, self.count = np.random.default_rng(seed), 0, muscles
        names = tuple(f"m{n}" for n in range(muscles))
        descriptor = SampleDescriptor(
            topic="emg/s", rate_hz=RATE, dtype="<f8", channels=names, units=("V",) * muscles,
            scale=(1e-6,) * muscles, offset=(0.0,) * muscles,
        )  # fmt: skip
        segment = SampleDescriptor(
            topic="imu/s", rate_hz=100.0, dtype="<f4", channels=tuple("abcxyz"),
            units=("m/s^2",) * 3 + ("rad/s",) * 3, scale=(1.0,) * 6, offset=(0.0,) * 6,
        )  # fmt: skip
        conditioner = Conditioner(ConditioningSettings(notch="off"), descriptor, tuple(range(muscles)), False)
        setup = Setup(
            names, RATE, conditioner.hop_samples, False, np.zeros(muscles, dtype=bool),
            imu=ImuInput(segment, (0, 1, 2), (3, 4, 5)) if gyroscope else None,
        )  # fmt: skip
        chosen = (Choice(name="adaptive_burst"), Choice(name="spasm_kind", settings=settings))
        self.group = MuscleGroup(conditioner, setup, BaselineSettings(), chosen, Faults())

    def live(self, envelope_uv: np.ndarray, gyroscope_rad_s: np.ndarray | None = None) -> list[MuscleEstimate]:
        """`envelope_uv` (n,) or (n, muscles) per ms; tells each 10 ms of the first muscle."""
        envelope = np.atleast_2d(np.asarray(envelope_uv, dtype=float).T).T
        told = []
        for hop in range(len(envelope) // 10):
            now_ns = (self.hops + 1) * 10_000_000
            rows = np.repeat(envelope[10 * hop : 10 * hop + 10], 2, axis=0)
            emg = self.rng.standard_normal((20, self.count)) * np.hypot(3.0, rows)
            imu = []
            if gyroscope_rad_s is not None:
                imu.append((now_ns, np.array([[0.0, 0.0, 9.81, gyroscope_rad_s[10 * hop], 0.0, 0.0]])))
            situation = Situation(now_ns, imu=imu)
            self.group.add(Samples(first_sample=20 * self.hops, t_ns=now_ns), emg, 1, situation)
            self.hops += 1
            self.group.advance(now_ns, False, situation)
            told.append(self.group.estimates(now_ns, 150_000_000)[0])
        return told


def _rest(seconds: float) -> np.ndarray:
    return np.zeros(round(1000 * seconds))


def _hold(seconds: float, level_uv: float = 30.0) -> np.ndarray:
    return np.full(round(1000 * seconds), level_uv)


def _clonus(rate_hz: float, bursts: int, level_uv: float = 30.0) -> np.ndarray:
    t = np.arange(round(1000 * bursts / rate_hz)) / 1000
    return np.where((t * rate_hz) % 1.0 < 0.055 * rate_hz, level_uv, 0.0)


def _unit(seconds: float, size_uv: float = 80.0, seed: int = 3) -> np.ndarray:
    rng, train, t = np.random.default_rng(seed), np.zeros(round(1000 * seconds)), 0.0
    while t < len(train) - 8:
        train[int(t) : int(t) + 6] = size_uv
        t += 1000 / 9.0 * (1 + 0.15 * rng.standard_normal())
    return train


@pytest.mark.parametrize(
    ("kind", "envelope"),
    [
        ("tonic", _hold(1.5)),
        ("tonic", _hold(0.8, 12.0)),
        ("clonus", _clonus(4.6, 12)),
        ("clonus", _clonus(7.4, 20)),
        ("myoclonus", _hold(0.07)),
        ("myoclonus", _hold(0.22)),
        ("unit", _unit(2.5)),
    ],
    ids=["tonic", "weak", "slow clonus", "fast clonus", "jerk", "long jerk", "unit"],
)
def test_each_kind_is_told_within_1200_ms_of_its_onset(kind: str, envelope: np.ndarray) -> None:
    muscle = _Muscles()
    muscle.live(_rest(4.0))
    told = muscle.live(np.concatenate([envelope, _rest(1.0)]))
    kinds = [estimate.spasm_kind for estimate in told]
    assert kinds[-1] == kind
    assert kinds[min(119, len(kinds) - 1)] == kind


def test_the_rate_of_a_clonus_is_told_with_it_and_only_with_it() -> None:
    muscle = _Muscles()
    muscle.live(_rest(4.0))
    told = muscle.live(np.concatenate([_clonus(5.7, 14), _rest(1.0)]))
    rate_hz = told[-1].clonus_frequency_hz
    assert rate_hz == pytest.approx(5.7, abs=0.1)
    after = muscle.live(np.concatenate([_hold(1.2), _rest(0.6)]))
    assert after[-1].spasm_kind == "tonic"
    assert after[-1].clonus_frequency_hz is None


def test_the_newest_kind_stays_until_the_next_burst_begins() -> None:
    muscle = _Muscles()
    assert {estimate.spasm_kind for estimate in muscle.live(_rest(4.0))} == {""}
    muscle.live(np.concatenate([_hold(1.5), _rest(1.0)]))
    assert {estimate.spasm_kind for estimate in muscle.live(_rest(2.0))} == {"tonic"}
    begun = muscle.live(_hold(0.15))
    assert begun[-1].spasm.value == 1
    assert begun[-1].spasm_kind == ""


def test_a_weak_rhythm_is_a_clonus_where_the_limb_moves_in_it() -> None:
    t = np.arange(3000) / 1000
    # The muscle swells and ebbs without falling silent: alone that is no clonus.
    envelope = 30.0 * (1.0 + 0.35 * np.sin(2 * np.pi * 6.0 * t))
    shaking = np.sin(2 * np.pi * 6.0 * np.arange(7000) / 1000)
    kinds = []
    for gyroscope in (None, np.zeros(7000), shaking):
        muscle = _Muscles(gyroscope=gyroscope is not None, rhythm=0.8, clear_rhythm=0.8)
        muscle.live(_rest(4.0), None if gyroscope is None else gyroscope[:4000])
        told = muscle.live(envelope, None if gyroscope is None else gyroscope[4000:])
        kinds.append(told[-1].spasm_kind)
    assert kinds == ["tonic", "tonic", "clonus"]


def test_without_a_spasm_estimator_before_it_nothing_is_told() -> None:
    muscle = _Muscles()
    muscle.group._estimators.pop(0)
    muscle.live(_rest(2.0))
    assert {estimate.spasm_kind for estimate in muscle.live(_hold(2.0))} == {""}


def test_settings_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="myoclonus_ms is 600, allowed is below tonic_ms"):
        SpasmKindSettings(myoclonus_ms=600.0)
    with pytest.raises(PluginError, match="memory_s is 0, allowed is"):
        _Muscles(memory_s=0.0)


def test_it_goes_on_from_a_saved_state_bit_for_bit() -> None:
    script = np.stack([np.concatenate([_clonus(6.0, 12), _rest(1.0)]), _hold(3.0)], axis=1)
    one, other = _Muscles(2, gyroscope=True), _Muscles(2, gyroscope=True)
    one.live(np.zeros((4000, 2)), np.ones(4000))
    one.live(script[:1330], np.ones(1330))
    other.group.restore(json.loads(json.dumps(one.group.state())))
    other.hops, other.rng, one.rng = one.hops, np.random.default_rng(8), np.random.default_rng(8)
    assert one.live(script[1330:], np.ones(2000)) == other.live(script[1330:], np.ones(2000))
