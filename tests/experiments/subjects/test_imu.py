"""The inertial sensor: gravity and movement, askew, with bias and noise."""

import math

import numpy as np
import pytest

from myoloop.experiments.subjects.imu import GRAVITY_M_S2, Imu, ImuParameters, rotation
from myoloop.experiments.subjects.limb import Limb, LimbParameters

MS = 1_000_000
SILENT = {"accel_noise_m_s2": 0.0, "gyro_noise_rad_s": 0.0, "gyro_bias_rad_s": 0.0}


def imu(seed=3, rate_hz=1000.0, **parameters):
    return Imu(ImuParameters(**{**SILENT, **parameters}), np.random.default_rng(seed), rate_hz=rate_hz)


def still(angle=0.0, steps=10):
    return [(angle, 0.0, 0.0)] * steps


def reading(made, angle):
    """A single sample of a segment at rest."""
    return made.read(still(angle, 1), MS)[0]


def test_hanging_at_rest_it_reads_gravity_alone():
    read = imu().read(still(steps=1), MS)
    assert read[0] == pytest.approx([-GRAVITY_M_S2, 0, 0, 0, 0, 0], abs=1e-6)
    assert read.dtype == np.float32


@pytest.mark.parametrize("angle", [-0.7, 0.3, 1.2, 2.5])
def test_inclination_can_be_read_from_gravity(angle):
    read = reading(imu(), angle)
    assert np.arctan2(-read[2], -read[0]) == pytest.approx(angle, abs=1e-5)
    assert math.acos(-read[0] / np.linalg.norm(read[:3])) == pytest.approx(abs(angle), abs=1e-3)


def test_the_gyroscope_integrates_to_the_angle():
    limb = Limb(LimbParameters())
    states = limb.advance([80.0] * 400)
    read = imu().read(states, 400 * MS)
    assert read[:, 4].sum() * 1e-3 == pytest.approx(limb.angle_rad, rel=1e-4)


def test_moving_it_reads_tangential_and_centripetal_acceleration():
    read = imu(imu_distance_m=0.25).read([(0.0, 3.0, 20.0)], MS)[0]
    assert read[:3] == pytest.approx([-GRAVITY_M_S2 - 9.0 * 0.25, 0.0, -20.0 * 0.25], rel=1e-6)
    assert read[4] == pytest.approx(3.0)


def test_accelerometer_and_gyroscope_agree_by_the_right_hand():
    # What the gyroscope turns, gravity turns in the sensor's frame the other way: d(up)/dt = up x w.
    limb = Limb(LimbParameters())
    made = imu(imu_distance_m=0.0, imu_mount_x_rad=0.2, imu_mount_y_rad=-0.1, imu_mount_z_rad=0.3)
    read = made.read(limb.advance([100.0] * 200), 200 * MS).astype(float)
    up = read[:, :3] / GRAVITY_M_S2
    assert np.diff(up, axis=0) / 1e-3 == pytest.approx(np.cross(up[1:], read[1:, 3:]), abs=0.02)


def test_what_it_feels_of_movement_is_the_double_difference_of_its_place():
    limb = Limb(LimbParameters(damping_n_m_s=0.2))
    states = limb.advance([60.0] * 300)
    angle = np.array([state[0] for state in states])
    # Hanging, x points down and z to one side; at an angle both have turned about y.
    x = np.stack([np.cos(angle), -np.sin(angle)], axis=1)
    z = np.stack([np.sin(angle), np.cos(angle)], axis=1)
    felt = np.diff(0.2 * x, n=2, axis=0) / 1e-6 - np.array([GRAVITY_M_S2, 0.0])
    read = imu(imu_distance_m=0.2).read(states, 300 * MS)
    assert read[2:, 0] == pytest.approx((felt * x[1:-1]).sum(axis=1), abs=0.05)
    assert read[2:, 2] == pytest.approx((felt * z[1:-1]).sum(axis=1), abs=0.05)


def test_turned_about_the_joints_axis_it_reads_another_inclination():
    read = reading(imu(imu_mount_y_rad=0.1), 0.4)
    assert np.arctan2(-read[2], -read[0]) == pytest.approx(0.5, abs=1e-5)


@pytest.mark.parametrize("mount", [(0.2, 0.0, 0.0), (0.0, -0.3, 0.0), (0.0, 0.0, 0.25), (0.1, -0.2, 0.3)])
def test_askew_it_reads_the_same_vectors_in_its_own_axes(mount):
    names = dict(zip(("imu_mount_x_rad", "imu_mount_y_rad", "imu_mount_z_rad"), mount, strict=True))
    state = [(0.5, 2.0, 10.0)]
    straight, askew = imu().read(state, MS)[0], imu(**names).read(state, MS)[0]
    turned = rotation(*mount)
    assert turned @ askew[:3] == pytest.approx(straight[:3], abs=1e-5)
    assert turned @ askew[3:] == pytest.approx(straight[3:], abs=1e-6)
    assert np.linalg.norm(askew[:3]) == pytest.approx(np.linalg.norm(straight[:3]), rel=1e-6)


def test_a_rotation_turns_about_its_own_vector():
    made = rotation(0.0, 0.0, math.pi / 2)
    assert made @ [1.0, 0.0, 0.0] == pytest.approx([0.0, 1.0, 0.0], abs=1e-12)
    made = rotation(0.3, -0.4, 0.5)
    assert made @ made.T == pytest.approx(np.eye(3), abs=1e-12)
    assert made @ [0.3, -0.4, 0.5] == pytest.approx([0.3, -0.4, 0.5])


def test_noise_and_bias_are_as_given():
    made = imu(rate_hz=100.0, accel_noise_m_s2=0.1, gyro_noise_rad_s=0.02, gyro_bias_rad_s=0.1)
    read = made.read(still(steps=40000), 40000 * MS)
    assert read[:, :3].std(axis=0) == pytest.approx([0.1] * 3, rel=0.05)
    assert read[:, 3:].std(axis=0) == pytest.approx([0.02] * 3, rel=0.05)
    assert read[:, 3:].mean(axis=0) == pytest.approx(made.gyro_bias_rad_s, abs=0.002)
    assert np.abs(made.gyro_bias_rad_s).max() > 0.01


@pytest.mark.parametrize("rate_hz", [50.0, 400.0])
def test_white_noise_has_the_same_density_at_any_rate(rate_hz):
    made = imu(rate_hz=rate_hz, accel_noise_m_s2=0.1)
    read = made.read(still(steps=20000), 20000 * MS)
    assert read[:, :3].std(axis=0) == pytest.approx([0.1 * math.sqrt(rate_hz / 100.0)] * 3, rel=0.06)


def test_biases_and_scale_errors_have_the_spread_that_is_given():
    biases, scales = [], []
    for seed in range(400):
        made = imu(seed, accel_bias_m_s2=0.2, gyro_bias_rad_s=0.05)
        read = reading(made, 0.0)
        biases.append([read[0] + GRAVITY_M_S2, read[1], read[2], *made.gyro_bias_rad_s])
        scales.append(reading(imu(seed, accel_scale_error=0.05), 0.0)[0] / -GRAVITY_M_S2 - 1.0)
    assert np.std(biases, axis=0) == pytest.approx([0.2] * 3 + [0.05] * 3, rel=0.12)
    assert np.mean(biases, axis=0) == pytest.approx([0.0] * 6, abs=0.04)
    assert np.std(scales) == pytest.approx(0.05, rel=0.12)


def test_the_gyroscopes_bias_walks_with_the_root_of_time():
    ends = []
    for seed in range(300):
        made = imu(seed, rate_hz=100.0, gyro_bias_walk_rad_s=0.001)
        for block in range(1, 5):
            read = made.read(still(steps=1000), block * 1000 * MS)
        ends.append(made.gyro_bias_rad_s)
        assert read[-1, 3:] == pytest.approx(ends[-1], abs=1e-6)
    assert np.std(ends) == pytest.approx(0.001 * 2.0, rel=0.1)


def test_soft_tissue_wobbles_after_a_pulse_and_dies_away():
    made = imu(imu_wobble_m_s2=4.0)
    made.jolt(5 * MS, 0.5)
    across = made.read(still(steps=300), 300 * MS)[:, 2]
    assert across[:4] == pytest.approx(np.zeros(4), abs=1e-6)
    assert across[4] == pytest.approx(2.0, rel=1e-5)
    assert across[44] == pytest.approx(2.0 * math.exp(-40 / 30), rel=1e-3)
    assert np.abs(across[200:]).max() < 0.01
    made.jolt(301 * MS, 0.5)
    made.jolt(341 * MS, 0.5)
    across = made.read(still(steps=100), 400 * MS)[:, 2]
    assert across[40] == pytest.approx(2.0 + 2.0 * math.exp(-40 / 30), rel=1e-2)


def test_without_wobble_a_pulse_shakes_nothing():
    made = imu()
    made.jolt(0, 1.0)
    assert made.read(still(steps=50), 50 * MS)[:, 2] == pytest.approx(np.zeros(50), abs=1e-6)


@pytest.mark.parametrize("rate_hz", [1.0, 52.0, 100.0, 148.0, 1000.0])
def test_samples_are_as_many_as_the_rate_says_and_of_their_time(rate_hz):
    made = imu(rate_hz=rate_hz)
    # The angular rate tells the millisecond that was sampled.
    read = [made.read([(0.0, 10.0 * k + j + 1, 0.0) for j in range(10)], (k + 1) * 10 * MS) for k in range(300)]
    sampled_ms = np.vstack(read)[:, 4]
    assert len(sampled_ms) == round(3.0 * rate_hz)
    assert sampled_ms == pytest.approx(np.arange(1, len(sampled_ms) + 1) * 1e3 / rate_hz, abs=1.0)


@pytest.mark.parametrize("rate_hz", [0.5, 1001.0, math.nan])
def test_a_rate_that_cannot_be_is_refused(rate_hz):
    with pytest.raises(ValueError, match="imu_rate_hz"):
        imu(rate_hz=rate_hz)


def test_no_samples_are_due_is_an_empty_array():
    assert imu(rate_hz=10.0).read(still(), 10 * MS).shape == (0, 6)
    assert imu().read([], 0).shape == (0, 6)


def test_the_same_seed_gives_the_same_readings():
    def run(seed):
        made = imu(seed, accel_noise_m_s2=0.03, gyro_bias_rad_s=0.01, gyro_bias_walk_rad_s=1e-4)
        return b"".join(made.read(still(), k * 10 * MS).tobytes() for k in range(1, 50))

    assert run(1) == run(1)
    assert run(1) != run(2)
