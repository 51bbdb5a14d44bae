"""One joint: it balances, swings, stops at its ends, and stays finite whatever is allowed."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.subjects.limb import Limb, LimbParameters


def limb(**parameters):
    return Limb(LimbParameters(**parameters))


def allowed(name):
    declared = LimbParameters.__dataclass_fields__[name].metadata
    return st.floats(declared["low"], declared["high"])


def energy_j(p, angle_rad, velocity_rad_s):
    """Kinetic, gravitational and elastic, the springs of the stops with it."""
    beyond = max(0.0, angle_rad - p.stop_high_rad, p.stop_low_rad - angle_rad)
    return (
        0.5 * p.inertia_kg_m2 * velocity_rad_s**2
        + p.weight_n_m * (1 - math.cos(angle_rad))
        + 0.5 * p.stiffness_n_m * (angle_rad - p.joint_rest_rad) ** 2
        + 0.5 * p.stop_stiffness_n_m * beyond**2
    )


def test_a_constant_force_settles_where_the_torques_balance():
    made = limb(stiffness_n_m=10.0, weight_n_m=3.0, moment_arm_m=0.04)
    made.advance([100.0] * 5000)
    assert 10.0 * made.angle_rad + 3.0 * np.sin(made.angle_rad) == pytest.approx(4.0, rel=1e-6)
    assert made.velocity_rad_s == pytest.approx(0.0, abs=1e-6)


def test_it_begins_where_the_passive_torques_balance():
    made = limb(stiffness_n_m=10.0, weight_n_m=5.0, joint_rest_rad=0.8)
    assert 10.0 * (0.8 - made.angle_rad) == pytest.approx(5.0 * math.sin(made.angle_rad), rel=1e-9)
    before = made.angle_rad
    made.advance([0.0] * 1000)
    assert made.angle_rad == pytest.approx(before, abs=1e-9)
    assert limb(stiffness_n_m=0.0, joint_rest_rad=-1.0).angle_rad == pytest.approx(0.0, abs=1e-9)


def test_it_swings_at_its_own_frequency():
    made = limb(stiffness_n_m=20.0, weight_n_m=0.0, inertia_kg_m2=0.05, damping_n_m_s=0.001)
    made.angle_rad = 0.1
    angles = np.array([state[0] for state in made.advance([0.0] * 3000)])
    crossings = np.flatnonzero((angles[:-1] > 0) & (angles[1:] <= 0))
    assert np.diff(crossings).mean() == pytest.approx(1e3 * 2 * np.pi * np.sqrt(0.05 / 20.0), rel=0.01)


def test_without_forces_damping_only_takes_energy_away():
    made = limb(stiffness_n_m=5.0, damping_n_m_s=0.05, joint_rest_rad=0.2)
    made.angle_rad = 1.2
    held = [energy_j(made._p, angle, velocity) for angle, velocity, _ in made.advance([0.0] * 8000)]
    # Half-implicit steps let the energy breathe within a swing; from swing to swing it falls.
    assert all(late < early for early, late in zip(held[:-400:100], held[400::100], strict=True))
    assert held[-1] - energy_j(made._p, limb(**vars(made._p)).angle_rad, 0.0) < 1e-3 * held[0]


@settings(deadline=None, max_examples=60)
@given(
    inertia_kg_m2=allowed("inertia_kg_m2"),
    damping_n_m_s=allowed("damping_n_m_s"),
    stiffness_n_m=allowed("stiffness_n_m"),
    weight_n_m=allowed("weight_n_m"),
    stop_stiffness_n_m=allowed("stop_stiffness_n_m"),
    stop_damping_n_m_s=allowed("stop_damping_n_m_s"),
    moment_arm_m=allowed("moment_arm_m"),
    moment_arm_fall=allowed("moment_arm_fall"),
    moment_arm_best_rad=allowed("moment_arm_best_rad"),
    force_n=st.floats(-1350.0, 1350.0),
    start_rad=st.floats(-1.5, 1.5),
    velocity_rad_s=st.floats(-20.0, 20.0),
)
def test_no_allowed_parameter_makes_it_unstable(force_n, start_rad, velocity_rad_s, **parameters):
    made = limb(**parameters)
    p = made._p
    made.angle_rad, made.velocity_rad_s = start_rad, velocity_rad_s
    # The energy that was there and all the work that the torque can do on the way from stop to stop and beyond.
    torque_n_m = abs(force_n) * p.moment_arm_m
    room_j = energy_j(p, start_rad, velocity_rad_s) + p.weight_n_m * 2 + torque_n_m * 8.0
    most_beyond_rad = math.sqrt(2 * room_j / p.stop_stiffness_n_m) + 2 * torque_n_m / p.stop_stiffness_n_m
    for _ in range(60):
        for angle, velocity, acceleration in made.advance([force_n] * 10):
            assert math.isfinite(acceleration)
            assert abs(angle) <= 1.6 + most_beyond_rad
            # Half-implicit integration keeps a swing's energy to within its step: not exactly, but for ever.
            assert energy_j(p, angle, velocity) <= 2.0 * room_j + 1e-6


@settings(deadline=None, max_examples=60)
@given(
    inertia_kg_m2=allowed("inertia_kg_m2"),
    stop_stiffness_n_m=allowed("stop_stiffness_n_m"),
    stop_damping_n_m_s=allowed("stop_damping_n_m_s"),
    velocity_rad_s=st.floats(0.1, 30.0),
    way=st.sampled_from([-1.0, 1.0]),
)
def test_no_stop_throws_the_limb_back_faster_than_it_came(velocity_rad_s, way, **parameters):
    made = limb(stiffness_n_m=0.0, weight_n_m=0.0, damping_n_m_s=0.001, **parameters)
    made.angle_rad, made.velocity_rad_s = way * 1.5, way * velocity_rad_s
    states = made.advance([0.0] * 500)
    assert max(abs(velocity) for _, velocity, _ in states) <= velocity_rad_s
    back = [velocity for _, velocity, _ in states if velocity * way < 0]
    assert all(abs(velocity) < velocity_rad_s for velocity in back)


@pytest.mark.parametrize("way", [-1.0, 1.0])
def test_a_stop_holds_the_limb_close_to_its_place(way):
    made = limb(stop_low_rad=-0.5, stop_high_rad=0.5, stiffness_n_m=0.0, weight_n_m=0.0, moment_arm_m=0.1)
    made.advance([way * 100.0] * 3000)
    assert made.angle_rad == pytest.approx(way * (0.5 + 10.0 / 2000.0), rel=1e-6)
    assert made.velocity_rad_s == pytest.approx(0.0, abs=1e-9)
    # It only pushes: without the force the limb is free to leave.
    made.advance([-way * 1.0] * 500)
    assert abs(made.angle_rad) < 0.45


def test_a_held_joint_does_not_move_and_its_torque_is_what_the_muscles_pull():
    made = limb(joint_fixed=1.0, joint_rest_rad=0.4)
    assert made.advance([150.0] * 10) == [(0.4, 0.0, 0.0)] * 10
    assert made.torques_n_m == pytest.approx([6.0] * 10)
    assert (made.angle_rad, made.velocity_rad_s, made.acceleration_rad_s2) == (0.4, 0.0, 0.0)


def test_the_moment_arm_is_largest_at_its_best_angle_and_never_gone():
    made = limb(moment_arm_m=0.05, moment_arm_best_rad=0.6, moment_arm_fall=0.4)
    angles = np.linspace(-1.6, 1.6, 65)
    arms = np.array([made.moment_arm_m(angle) for angle in angles])
    assert made.moment_arm_m(0.6) == 0.05
    assert made.moment_arm_m(1.6) == pytest.approx(0.05 * 0.6)
    assert arms.min() == pytest.approx(0.01)
    assert angles[arms.argmax()] == pytest.approx(0.6, abs=0.03)


def test_an_arm_that_falls_bends_the_joint_less():
    constant, falling = limb(), limb(moment_arm_fall=0.8)
    for made in (constant, falling):
        for _ in range(300):
            made.advance([130.0] * 10)
    assert 0.0 < falling.angle_rad < constant.angle_rad


def test_other_torques_move_the_joint_and_are_felt_by_a_cell():
    made = limb(weight_n_m=0.0)
    for _ in range(300):
        made.advance([0.0] * 10, [2.4] * 10)
    assert made.angle_rad == pytest.approx(2.4 / 12.0, rel=1e-6)
    assert made.torques_n_m == [2.4] * 10
    held = limb(joint_fixed=1.0)
    held.advance([100.0] * 2, [0.5, -0.5])
    assert held.torques_n_m == pytest.approx([4.5, 3.5])
    with pytest.raises(ValueError):
        made.advance([0.0] * 10, [1.0])


def test_truth_tells_angle_velocity_and_inclination():
    made = limb()
    made.advance([-80.0] * 100)
    told = made.truth()
    assert told == {
        "angle_rad": made.angle_rad, "velocity_rad_s": made.velocity_rad_s, "inclination_rad": -made.angle_rad
    }  # fmt: skip
    assert told["angle_rad"] < 0


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"joint_fixed": 0.5}, "joint_fixed"),
        ({"joint_rest_rad": 1.0, "stop_high_rad": 0.9}, "joint_rest_rad"),
        ({"joint_rest_rad": -1.0, "stop_low_rad": -0.9}, "joint_rest_rad"),
        ({"moment_arm_fall": 0.9}, "moment_arm_fall"),
    ],
)
def test_a_wrong_parameter_is_named(parameters, named):
    with pytest.raises(ValueError, match=named):
        LimbParameters(**parameters)
