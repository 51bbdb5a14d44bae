"""The inertial sensor on the segment.

The segment's axes, by the right hand: x along it away from the joint, y along the joint's axis so that the joint angle
grows about it, z across both (a growing angle moves the segment towards -z). An accelerometer measures acceleration
minus gravity. Hanging at rest it reads (-9.81, 0, 0); at an angle ``theta``, with velocity ``w``, acceleration ``a``
and distance ``r`` from the joint::

    acc = (-g cos(theta) - w^2 r,  0,  -g sin(theta) - a r)      gyr = (0, w, 0)

The sensor is stuck on askew: its axes are the segment's turned by the rotation vector ``(imu_mount_x, _y, _z)`` (in
the segment's axes, about x, y, z), so it reads ``R^T`` of these. After that come scale errors, biases and noise.
"""

from __future__ import annotations

import cmath
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import Parameters, Uniform, parameter
from myoloop.experiments.subjects.limb import State
from myoloop.experiments.subjects.sampling import SampleTimes

GRAVITY_M_S2 = 9.80665
IMU_CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")
#: The rate that the noise is given at; white noise of another rate has the same density.
NOISE_RATE_HZ = 100.0
_WOBBLE_HZ = 25.0
_WOBBLE_S = 0.03
_WOBBLE_OVER_M_S2 = 1e-6

_Floats = npt.NDArray[np.float64]
_MOUNT = "our choice: within 6 degrees of the segment, as placed by eye"


@dataclass(frozen=True, kw_only=True)
class ImuParameters(Parameters):
    """An inertial sensor and how it sits.

    Attributes
    ----------
    imu_distance_m
        From the joint.
    imu_mount_x_rad, imu_mount_y_rad, imu_mount_z_rad
        Rotation from the segment to the sensor.
    accel_noise_m_s2, gyro_noise_rad_s
        Standard deviation per sample at 100 Hz; white, so it goes with the root of the rate.
    gyro_bias_rad_s, accel_bias_m_s2
        Spread of the bias that each axis begins with.
    gyro_bias_walk_rad_s
        Spread that the gyroscope's bias gains in one second, with the root of time.
    accel_scale_error, gyro_scale_error
        Spread of the share by which each axis reads too much.
    imu_wobble_m_s2
        Acceleration of the soft tissue under the sensor after a pulse that recruits the whole muscle: it swings along z
        at 25 Hz and dies away with a time constant of 30 ms.
    """

    imu_distance_m: float = parameter(0.2, 0.0, 1.0, source="our choice: strapped to the wrist")
    imu_mount_x_rad: float = parameter(0.0, -0.5, 0.5, varies=Uniform(-0.1, 0.1), source=_MOUNT)
    imu_mount_y_rad: float = parameter(0.0, -0.5, 0.5, varies=Uniform(-0.1, 0.1), source=_MOUNT)
    imu_mount_z_rad: float = parameter(0.0, -0.5, 0.5, varies=Uniform(-0.1, 0.1), source=_MOUNT)
    accel_noise_m_s2: float = parameter(0.03, 0.0, 1.0, source="our choice: a consumer sensor at 100 Hz")
    gyro_noise_rad_s: float = parameter(0.005, 0.0, 0.5, source="our choice: a consumer sensor at 100 Hz")
    gyro_bias_rad_s: float = parameter(0.01, 0.0, 0.2, source="our choice: a consumer sensor after warm-up")
    accel_bias_m_s2: float = parameter(
        0.0, 0.0, 0.5, varies=Uniform(0.0, 0.1), source="our choice: none, or up to 10 mg as uncalibrated sensors have"
    )
    gyro_bias_walk_rad_s: float = parameter(
        0.0, 0.0, 0.01, varies=Uniform(0.0, 2e-4), source="our choice: none, or up to 0.3 deg/s in ten minutes"
    )
    accel_scale_error: float = parameter(
        0.0, 0.0, 0.1, varies=Uniform(0.0, 0.01), source="our choice: none, or within 1 % as sensors are specified"
    )
    gyro_scale_error: float = parameter(
        0.0, 0.0, 0.1, varies=Uniform(0.0, 0.01), source="our choice: none, or within 1 % as sensors are specified"
    )
    imu_wobble_m_s2: float = parameter(0.0, 0.0, 20.0, source="our choice: none unless a study asks for it")


class Imu:
    """Reads the segment's movement.

    Parameters
    ----------
    rng
        For biases, scale errors and noise.
    rate_hz
        1 to 1000.
    start_ns
        When its time begins.

    Raises
    ------
    ValueError
        If the rate is not within that.
    """

    def __init__(
        self, parameters: ImuParameters, rng: np.random.Generator, *, rate_hz: float = 100.0, start_ns: int = 0
    ) -> None:
        p = parameters
        self._p = p
        self._rng = rng
        self._times = SampleTimes("imu_rate_hz", rate_hz, start_ns)
        rate_hz = self._times.rate_hz
        drawn = rng.standard_normal((4, 3))
        self._bias = np.concatenate([drawn[1] * p.accel_bias_m_s2, drawn[0] * p.gyro_bias_rad_s])
        self._walk_rad_s = p.gyro_bias_walk_rad_s / math.sqrt(rate_hz)
        louder = math.sqrt(rate_hz / NOISE_RATE_HZ)
        self._sigma = louder * np.array([p.accel_noise_m_s2] * 3 + [p.gyro_noise_rad_s] * 3)
        to_sensor = rotation(p.imu_mount_x_rad, p.imu_mount_y_rad, p.imu_mount_z_rad).T
        scale = 1.0 + np.concatenate([drawn[2] * p.accel_scale_error, drawn[3] * p.gyro_scale_error])
        # What a reading is of (acceleration along x, along z, angular rate): one product for turn and scale.
        self._reads = np.zeros((3, 6))
        self._reads[0, :3], self._reads[1, :3], self._reads[2, 3:] = to_sensor[:, 0], to_sensor[:, 2], to_sensor[:, 1]
        self._reads *= scale
        self._jolts: list[tuple[int, float]] = []
        self._wobble = 0j
        self._wobble_ns = start_ns

    @property
    def rate_hz(self) -> float:
        """Samples per second."""
        return self._times.rate_hz

    @property
    def gyro_bias_rad_s(self) -> _Floats:
        """Bias of the gyroscope's axes now: the truth of what an orientation filter estimates."""
        return self._bias[3:].copy()

    def jolt(self, t_ns: int, share: float) -> None:
        """A pulse has recruited a share of a muscle; in order of time."""
        if self._p.imu_wobble_m_s2 > 0:
            self._jolts.append((t_ns, self._p.imu_wobble_m_s2 * share))

    def read(self, states: Sequence[State], t_to_ns: int) -> npt.NDArray[np.float32]:
        """Samples due while the limb went through these states, one per millisecond, the last at `t_to_ns`.

        Returns
        -------
        numpy.ndarray
            (n, 6): accelerometer x y z in m/s^2, gyroscope x y z in rad/s.
        """
        steps = len(states)
        due = self._times.due(t_to_ns, steps)
        if not due:
            return np.empty((0, 6), dtype=np.float32)
        distance = self._p.imu_distance_m
        moved = []
        for place in due:
            angle, velocity, acceleration = states[place]
            along = -GRAVITY_M_S2 * math.cos(angle) - velocity * velocity * distance
            across = -GRAVITY_M_S2 * math.sin(angle) - acceleration * distance
            if self._jolts or self._wobble:
                across += self._wobbling(t_to_ns - (steps - 1 - place) * 1_000_000)
            moved.append((along, across, velocity))
        read = np.array(moved) @ self._reads
        read += self._rng.standard_normal((len(due), 6)) * self._sigma
        if self._walk_rad_s > 0:
            walked = np.cumsum(self._rng.standard_normal((len(due), 3)), axis=0)
            walked *= self._walk_rad_s
            read[:, 3:] += walked
            read += self._bias
            self._bias[3:] += walked[-1]
        else:
            read += self._bias
        return read.astype(np.float32)

    def _wobbling(self, t_ns: int) -> float:
        """Acceleration of the soft tissue at a time not before the last one asked for."""
        jolts = [jolt for jolt in self._jolts if jolt[0] <= t_ns]
        del self._jolts[: len(jolts)]
        for at_ns, amplitude in (*jolts, (t_ns, 0.0)):
            since_s = (at_ns - self._wobble_ns) * 1e-9
            turned = cmath.exp(complex(-since_s / _WOBBLE_S, 2 * math.pi * _WOBBLE_HZ * since_s))
            self._wobble, self._wobble_ns = self._wobble * turned + amplitude, at_ns
        if abs(self._wobble) < _WOBBLE_OVER_M_S2:
            self._wobble = 0j
        return self._wobble.real


def rotation(x_rad: float, y_rad: float, z_rad: float) -> _Floats:
    """Matrix of a rotation vector (Rodrigues' formula): its columns are the turned axes."""
    angle = math.sqrt(x_rad * x_rad + y_rad * y_rad + z_rad * z_rad)
    if angle == 0.0:
        return np.eye(3)
    x, y, z = x_rad / angle, y_rad / angle, z_rad / angle
    cross = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    made: _Floats = np.eye(3) + math.sin(angle) * cross + (1.0 - math.cos(angle)) * (cross @ cross)
    return made
