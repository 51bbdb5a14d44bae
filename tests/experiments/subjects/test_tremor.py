"""Tremor has the frequency, the width and the strength it is said to have."""

import numpy as np
import pytest
from scipy import signal

from myoloop.experiments.subjects.tremor import TREMORS, Tremor, TremorParameters


def waves(seconds, seed=1, steps=10, **parameters):
    made = Tremor(TremorParameters(**parameters), np.random.default_rng(seed))
    factors, torques = [], []
    for _ in range(round(seconds * 1000 / steps)):
        made.step(steps)
        factors.append(made.on_effort()[1:])
        torques.append(made.torque_n_m(True))
    return np.concatenate(factors), np.concatenate(torques)


@pytest.mark.parametrize("hz", [4.0, 8.0, 12.0])
def test_effort_and_torque_swing_at_its_frequency(hz):
    for x in waves(40, tremor_hz=hz, tremor_depth=0.1, tremor_torque_n_m=0.5):
        f, p = signal.welch(x - x.mean(), 1000, nperseg=10_000)
        assert f[p.argmax()] == pytest.approx(hz, abs=0.25)
        assert p[np.abs(f - hz) < 1.5].sum() > 0.9 * p.sum()


def test_its_rms_is_what_was_asked_for():
    factor, torque = waves(120, tremor_depth=0.1, tremor_torque_n_m=0.5, tremor_bandwidth_hz=2.0)
    assert factor.mean() == pytest.approx(1.0, abs=0.01)
    assert factor.std() == pytest.approx(0.1, rel=0.1)
    assert torque.std() == pytest.approx(0.5, rel=0.1)


def test_a_wider_band_is_wider():
    def width(bandwidth_hz):
        x = waves(80, tremor_torque_n_m=1.0, tremor_depth=0.1, tremor_bandwidth_hz=bandwidth_hz)[1]
        f, p = signal.welch(x, 1000, nperseg=20_000)
        return np.sqrt(((f - 6.0) ** 2 * p)[np.abs(f - 6) < 3].sum() / p.sum())

    assert width(1.0) > 1.5 * width(0.1)


def test_it_goes_on_from_block_to_block():
    torque = waves(20, tremor_depth=0.3, tremor_torque_n_m=1.0)[1]
    # No jump: less than half more than the steepest slope of a sine of the largest size.
    assert np.abs(np.diff(torque)).max() < 1.5 * 2.5 * 2 * np.pi * 6 * 1e-3


def test_a_postural_tremor_rests_and_a_rest_tremor_does_not():
    postural = Tremor(TremorParameters(tremor_torque_n_m=1.0), np.random.default_rng(1))
    at_rest = Tremor(TremorParameters(tremor_torque_n_m=1.0, tremor_at_rest=1.0), np.random.default_rng(1))
    postural.step(10)
    at_rest.step(10)
    assert postural.torque_n_m(False) is None
    assert np.array_equal(at_rest.torque_n_m(False), postural.torque_n_m(True))


def test_without_depth_and_torque_there_is_none_and_as_much_is_drawn():
    none, some = (Tremor(TremorParameters(tremor_depth=d), np.random.default_rng(1)) for d in (0.0, 0.5))
    for made in (none, some):
        made.step(10)
    assert none.on_effort() is None
    assert none.torque_n_m(True) is None
    assert none._rng.bit_generator.state == some._rng.bit_generator.state
    assert none.truth() == {"tremor_hz": 6.0, "tremor_depth": 0.0, "tremor_torque_n_m": 0.0}


def test_an_effort_is_never_negative():
    assert waves(10, tremor_depth=1.0, tremor_torque_n_m=1.0)[0].min() >= 0.0


def test_every_kind_lies_in_the_range_of_the_parameter():
    limits = TremorParameters.__dataclass_fields__["tremor_hz"].metadata
    assert all(limits["low"] <= low < high <= limits["high"] for low, high, _ in TREMORS.values())
