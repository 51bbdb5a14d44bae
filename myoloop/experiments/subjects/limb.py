"""One joint with an IMU on its segment: ``J a = M_muscles - B w - K theta - W sin(theta)``.

The segment hangs at theta = 0; the IMU's x axis points along it away from the joint, its y axis along the joint's,
its z axis forward. An accelerometer measures acceleration minus gravity.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import Parameters, parameter

GRAVITY_M_S2 = 9.80665
_STOP_RAD = 1.6
_STEP_S = 0.001


@dataclass(frozen=True, kw_only=True)
class LimbParameters(Parameters):
    """A joint and what is on it.

    Attributes
    ----------
    inertia_kg_m2, damping_n_m_s, stiffness_n_m, weight_n_m
        The limb about its joint: inertia, damping and stiffness per radian, largest torque of its weight.
    moment_arm_m, imu_distance_m
        Of the muscles about the joint; of the IMU from it.
    accel_noise_m_s2, gyro_noise_rad_s, gyro_bias_rad_s
        Standard deviation per sample; spread of the constant bias.
    """

    inertia_kg_m2: float = parameter(0.05, 0.001, 5.0, source="our choice: a forearm and hand about the elbow")
    damping_n_m_s: float = parameter(1.0, 0.001, 50.0, source="our choice: passive joint, nearly critical")
    stiffness_n_m: float = parameter(12.0, 0.0, 200.0, source="our choice: some tens of degrees at moderate force")
    weight_n_m: float = parameter(3.0, 0.0, 100.0, source="our choice: 2 kg at 15 cm")
    moment_arm_m: float = parameter(0.04, 0.001, 0.2, source="our choice: a flexor about the elbow")
    imu_distance_m: float = parameter(0.2, 0.0, 1.0, source="our choice: strapped to the wrist")
    accel_noise_m_s2: float = parameter(0.03, 0.0, 1.0, source="our choice: a consumer sensor at 100 Hz")
    gyro_noise_rad_s: float = parameter(0.005, 0.0, 0.5, source="our choice: a consumer sensor at 100 Hz")
    gyro_bias_rad_s: float = parameter(0.01, 0.0, 0.2, source="our choice: a consumer sensor after warm-up")


class Limb:
    """The joint and its IMU.

    Parameters
    ----------
    rng
        For the IMU's bias and noise.
    """

    def __init__(self, parameters: LimbParameters, rng: np.random.Generator) -> None:
        self._p = parameters
        self._rng = rng
        self._bias_rad_s = rng.standard_normal(3) * parameters.gyro_bias_rad_s
        self._sigma = np.array([parameters.accel_noise_m_s2] * 3 + [parameters.gyro_noise_rad_s] * 3)
        self.angle_rad = 0.0
        self.velocity_rad_s = 0.0
        self.acceleration_rad_s2 = 0.0

    def advance(self, forces_n: list[float]) -> list[tuple[float, float, float]]:
        """Move through one millisecond per net force; give back angle, velocity and acceleration after each."""
        p = self._p
        angle, velocity = self.angle_rad, self.velocity_rad_s
        acceleration = self.acceleration_rad_s2
        arm, damping, stiffness, weight = p.moment_arm_m, p.damping_n_m_s, p.stiffness_n_m, p.weight_n_m
        per_inertia = 1.0 / p.inertia_kg_m2
        # Damping taken at the step's end, so that no parameter in its range makes the limb unstable.
        damped = 1.0 / (1.0 + damping * per_inertia * _STEP_S)
        states = []
        for force_n in forces_n:
            torque = arm * force_n - stiffness * angle - weight * math.sin(angle)
            before = velocity
            velocity = (velocity + torque * per_inertia * _STEP_S) * damped
            angle += velocity * _STEP_S
            if abs(angle) > _STOP_RAD:
                angle, velocity = math.copysign(_STOP_RAD, angle), 0.0
            acceleration = (velocity - before) / _STEP_S
            states.append((angle, velocity, acceleration))
        self.angle_rad, self.velocity_rad_s, self.acceleration_rad_s2 = angle, velocity, acceleration
        return states

    def measure(self, states: list[tuple[float, float, float]]) -> npt.NDArray[np.float32]:
        """What the IMU reads: (n, 6), accelerometer x y z in m/s^2, gyroscope x y z in rad/s."""
        if not states:
            return np.empty((0, 6), dtype=np.float32)
        distance = self._p.imu_distance_m
        exact = [
            (
                -GRAVITY_M_S2 * math.cos(angle) - velocity * velocity * distance,
                0.0,
                GRAVITY_M_S2 * math.sin(angle) + acceleration * distance,
                0.0,
                velocity,
                0.0,
            )
            for angle, velocity, acceleration in states
        ]
        read = np.array(exact) + self._rng.standard_normal((len(states), 6)) * self._sigma
        read[:, 3:] += self._bias_rad_s
        return np.asarray(read, dtype=np.float32)
