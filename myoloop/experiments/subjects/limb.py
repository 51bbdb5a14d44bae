"""One joint with an IMU on its segment: ``J a = M_muscles - B w - K theta - W sin(theta)``.

The segment hangs at theta = 0; the IMU's x axis points along it away from the joint, its y axis along the joint's,
its z axis forward. An accelerometer measures acceleration minus gravity.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.parameters import SubjectParameters

GRAVITY_M_S2 = 9.80665
_STOP_RAD = 1.6
_STEP_S = 0.001


class Limb:
    """The joint and its IMU.

    Parameters
    ----------
    rng
        For the IMU's bias and noise.
    """

    def __init__(self, parameters: SubjectParameters, rng: np.random.Generator) -> None:
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
