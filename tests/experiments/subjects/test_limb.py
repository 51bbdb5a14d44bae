"""One joint and its IMU."""

import numpy as np
import pytest

from myoloop.experiments.subjects.limb import GRAVITY_M_S2, Limb
from myoloop.experiments.subjects.parameters import SubjectParameters

STILL = {"accel_noise_m_s2": 0.0, "gyro_noise_rad_s": 0.0, "gyro_bias_rad_s": 0.0}


def limb(**parameters):
    return Limb(SubjectParameters(**{**STILL, **parameters}), np.random.default_rng(1))


def test_a_constant_force_settles_where_the_torques_balance():
    made = limb(stiffness_n_m=10.0, weight_n_m=3.0, moment_arm_m=0.04)
    made.advance([100.0] * 5000)
    assert 10.0 * made.angle_rad + 3.0 * np.sin(made.angle_rad) == pytest.approx(4.0, rel=1e-6)
    assert made.velocity_rad_s == pytest.approx(0.0, abs=1e-6)


def test_it_swings_at_its_own_frequency():
    made = limb(stiffness_n_m=20.0, weight_n_m=0.0, inertia_kg_m2=0.05, damping_n_m_s=0.001)
    made.angle_rad = 0.1
    angles = np.array([state[0] for state in made.advance([0.0] * 3000)])
    crossings = np.flatnonzero((angles[:-1] > 0) & (angles[1:] <= 0))
    assert np.diff(crossings).mean() == pytest.approx(1e3 * 2 * np.pi * np.sqrt(0.05 / 20.0), rel=0.01)


def test_no_parameter_in_its_range_makes_it_unstable():
    made = limb(damping_n_m_s=50.0, inertia_kg_m2=0.001, stiffness_n_m=200.0)
    made.advance([500.0] * 2000)
    assert abs(made.angle_rad) <= 1.6


def test_at_rest_the_imu_reads_gravity_alone():
    read = limb().measure([(0.0, 0.0, 0.0)])
    assert read[0] == pytest.approx([-GRAVITY_M_S2, 0, 0, 0, 0, 0], abs=1e-6)
    assert read.dtype == np.float32


@pytest.mark.parametrize("angle", [-0.7, 0.3, 1.2])
def test_inclination_can_be_read_from_gravity(angle):
    read = limb().measure([(angle, 0.0, 0.0)])[0]
    assert np.arctan2(read[2], -read[0]) == pytest.approx(angle, abs=1e-5)


def test_the_gyroscope_integrates_to_the_angle():
    made = limb()
    states = made.advance([80.0] * 400)
    read = made.measure(states)
    assert read[:, 4].sum() * 1e-3 == pytest.approx(made.angle_rad, rel=1e-4)


def test_noise_and_bias_are_as_given():
    made = Limb(
        SubjectParameters(accel_noise_m_s2=0.1, gyro_noise_rad_s=0.02, gyro_bias_rad_s=0.1),
        np.random.default_rng(3),
    )
    read = made.measure([(0.0, 0.0, 0.0)] * 4000)
    assert read[:, :3].std(axis=0) == pytest.approx([0.1] * 3, rel=0.05)
    assert read[:, 3:].std(axis=0) == pytest.approx([0.02] * 3, rel=0.05)
    assert np.abs(read[:, 3:].mean(axis=0)).max() > 0.01


def test_no_samples_are_due_is_an_empty_array():
    assert limb().measure([]).shape == (0, 6)
