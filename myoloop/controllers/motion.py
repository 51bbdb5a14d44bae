"""How the segment with the IMU lies and moves: inclination, joint angle, tremor.

All of it comes from one IMU, so what can be known is bounded. The inclination of the segment is known from gravity.
Of a joint it is known how far the segment has turned about the joint's axis since it was at rest, as far as that turn
moves the direction of gravity in the segment's own frame: for a hinge about a horizontal axis whose other side stays
where it is, that is the joint's angle; about an axis near the vertical nothing can be said.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import ImuInput, Situation
from myoloop.controllers.signals.orientation import Orientation, Vector, up
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.controllers.signals.tremor import HIGH_HZ, LOW_HZ, RATE_MIN_HZ, WINDOW_S, TremorSpectrum
from myoloop.platform.messages import Measure, MotionEstimate

GRAVITY_M_S2 = 9.80665
#: 95 % of the inclinations found on recorded arm movements were so near to the reference (``bench estimators``).
INCLINATION_ERROR_RAD = 0.03
#: The same of a tremor's frequency, from two seconds.
FREQUENCY_ERROR_HZ = 0.25
#: An axis steeper than this against the horizontal says too little by gravity.
_LEVEL_MIN = math.sin(math.radians(20.0))
#: Mean length of the accelerometer's reading, relative to gravity, that can be believed.
_GRAVITY_RANGE = (0.85, 1.15)
_GRAVITY_TAU_S = 3.0
#: Samples missing for longer have hidden movement.
_GAP_S = 0.1
#: Faster than this nobody rests.
_STILL_RAD_S = 0.15
_TREMOR_EVERY_NS = 100_000_000


class MotionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the IMU sits on the segment, and what counts.

    Attributes
    ----------
    long_axis
        The segment's long axis in the IMU's frame, away from the joint.
    joint_axis
        The joint's axis in the IMU's frame; the angle grows about it by the right hand.
    tau_s
        Time constant with which gravity corrects the inclination.
    settle_s
        So long after the IMU's first sample, or after a gap, nothing is told.
    silent_s
        After so long without a sample nothing is told.
    rest_s
        The posture at rest is averaged over so much.
    tremor_share
        Share of the power between 3 and 12 Hz that must lie at one frequency to be called a tremor.
    tremor_min_rad_s
        A smaller one is not told.
    """

    long_axis: Vector = (1.0, 0.0, 0.0)
    joint_axis: Vector = (0.0, 1.0, 0.0)
    tau_s: float = 3.0
    settle_s: float = 1.0
    silent_s: float = 0.2
    rest_s: float = 0.5
    tremor_share: float = 0.6
    tremor_min_rad_s: float = 0.03

    def __post_init__(self) -> None:
        for name in ("long_axis", "joint_axis"):
            axis = getattr(self, name)
            if not all(math.isfinite(each) for each in axis) or not math.hypot(*axis) > 1e-6:
                raise ValueError(f"{name} is {axis}, allowed is a direction: three numbers that are not all 0")
        for name in ("tau_s", "settle_s", "silent_s", "rest_s", "tremor_min_rad_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"{name} is {value}, allowed is a number above 0")
        if not 0.0 < self.tremor_share <= 1.0:
            raise ValueError(f"tremor_share is {self.tremor_share}, allowed is above 0, to 1")


class Motion(Restorable):
    """What is known of the segment with the IMU, step by step.

    Parameters
    ----------
    settings
        Of the sensor's place.
    imu
        Its stream; the rate is that of its descriptor.
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "_orientation", "_tremor", "_heard_ns", "_known_s", "_gravity", "_rest", "_rested_s", "_spectrum_ns",
        "_rhythm", "_driven_until_ns",
    )  # fmt: skip

    def __init__(self, settings: MotionSettings, imu: ImuInput) -> None:
        self._settings = settings
        rate = imu.descriptor.rate_hz
        self._rate_hz = rate
        self._period_s = 1.0 / rate
        self._accelerometer = _columns(imu.accelerometer)
        self._gyroscope = None if imu.gyroscope is None else _columns(imu.gyroscope)
        self._long = _unit(settings.long_axis)
        self._joint = _unit(settings.joint_axis)
        self._orientation = Orientation(rate, settings.tau_s)
        self._fast = rate >= RATE_MIN_HZ
        self._tremor = TremorSpectrum(max(rate, RATE_MIN_HZ))
        self._heard_ns: int | None = None
        self._known_s = 0.0
        self._gravity = GRAVITY_M_S2
        self._rest: list[float] = [0.0, 0.0, 0.0]
        self._rested_s = 0.0
        self._spectrum_ns = 0
        #: Frequency in Hz, RMS in rad/s, share; empty before the first spectrum and after a gap.
        self._rhythm: list[float] = []
        #: Until when the two seconds hold movement that stimulation made at a rate in the band.
        self._driven_until_ns = 0
        self._told: tuple[Measure, Measure] | None = None

    def restore(self, state: Any) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not the state of such an object.
        """
        super().restore(state)
        self._told = None

    def step(self, situation: Situation) -> MotionEstimate:
        """Take in what the IMU said since the last step, and tell what is known now."""
        if self._gyroscope is None:
            return _NO_GYROSCOPE
        for t_ns, rows in situation.imu:
            self._take(t_ns, rows, situation.baseline)
        if situation.now_ns - self._spectrum_ns >= _TREMOR_EVERY_NS:
            self._listen(situation)
        why = self._why_not(situation.now_ns)
        if why:
            nothing = Measure(reason=why)
            return MotionEstimate(
                inclination_rad=nothing, angle_rad=nothing, tremor_frequency_hz=nothing, tremor_rad_s=nothing
            )
        vertical = up(self._orientation.quaternion)
        if self._told is None:
            self._told = self._tremor_told()
        frequency, size = self._told
        return MotionEstimate(
            inclination_rad=self._inclination(vertical),
            angle_rad=self._angle(vertical),
            tremor_frequency_hz=frequency,
            tremor_rad_s=size,
        )

    def _take(self, t_ns: int, rows: npt.NDArray[np.float64], baseline: bool) -> None:
        if np.count_nonzero(np.isfinite(rows)) < rows.size:
            rows = rows[np.isfinite(rows).all(axis=1)]
        n = len(rows)
        if not n or self._gyroscope is None:
            return
        if self._heard_ns is not None and (t_ns - self._heard_ns) * 1e-9 - n * self._period_s > _GAP_S:
            self._orientation.start_again()
            self._tremor.start_again()
            self._known_s = 0.0
            self._rhythm, self._told = [], None
        self._heard_ns = t_ns
        gyroscope, accelerometer = rows[:, self._gyroscope], rows[:, self._accelerometer]
        self._orientation.add(gyroscope, accelerometer)
        if self._fast:
            self._tremor.add(gyroscope)
        span_s = n * self._period_s
        self._known_s += span_s
        share = min(1.0, span_s / _GRAVITY_TAU_S)
        self._gravity += share * (math.hypot(*accelerometer[-1].tolist()) - self._gravity)
        if baseline and self._known_s >= self._settings.settle_s:
            self._learn_rest(span_s, gyroscope[-1].tolist())

    def _learn_rest(self, span_s: float, rate_rad_s: list[float]) -> None:
        if math.hypot(*rate_rad_s) > _STILL_RAD_S:
            return
        self._rested_s += span_s
        share = min(1.0, span_s / min(self._rested_s, self._settings.rest_s))
        self._rest = [old + share * (new - old) for old, new in zip(self._rest, self._vertical(), strict=True)]

    def _vertical(self) -> Vector:
        return up(self._orientation.quaternion)

    def _why_not(self, now_ns: int) -> str:
        if self._heard_ns is None:
            return "the IMU has not been heard"
        if now_ns - self._heard_ns > self._settings.silent_s * 1e9:
            return f"the IMU is silent for {self._settings.silent_s:g} s and more"
        if self._known_s < self._settings.settle_s:
            return f"the IMU has been heard without a gap for less than {self._settings.settle_s:g} s"
        low, high = _GRAVITY_RANGE
        if not low * GRAVITY_M_S2 <= self._gravity <= high * GRAVITY_M_S2:
            # Rounded, so that the reason does not change with every sample.
            return f"the accelerometer reads about {self._gravity:.0f} m/s^2 on average, gravity is 9.8"
        return ""

    def _inclination(self, vertical: Vector) -> Measure:
        x, y, z = vertical
        a, b, c = self._long
        across = math.hypot(b * z - c * y, c * x - a * z, a * y - b * x)
        # 0 where the segment hangs: its long axis then points against the upward vertical.
        angle = math.atan2(across, -(a * x + b * y + c * z))
        return _about(angle, INCLINATION_ERROR_RAD)

    def _angle(self, vertical: Vector) -> Measure:
        if self._rested_s < self._settings.rest_s:
            return _NO_REST
        a, b, c = self._joint
        x, y, z = vertical
        u, v, w = self._rest
        now, then = a * x + b * y + c * z, a * u + b * v + c * w
        level = math.sqrt(max(0.0, 1.0 - max(now * now, then * then)))
        if level < _LEVEL_MIN:
            return _STEEP
        # Both seen along the joint's axis; the sensor turns by what the vertical seems to turn back.
        sine = a * (v * z - w * y) + b * (w * x - u * z) + c * (u * y - v * x)
        angle = math.atan2(-sine, u * x + v * y + w * z - now * then)
        return _about(angle, math.sqrt(2.0) * INCLINATION_ERROR_RAD / level)

    def _listen(self, situation: Situation) -> None:
        self._spectrum_ns = situation.now_ns
        self._told = None
        if situation.report is not None:
            for item in situation.report.acknowledged:
                if item.current_ma > 0.0 and self._in_band(item.rate_hz):
                    self._driven_until_ns = situation.now_ns + round(WINDOW_S * 1e9)
        self._rhythm = []
        if self._tremor.full:
            found = self._tremor.rhythm()
            self._rhythm = [found.frequency_hz, found.rms_rad_s, found.share]

    def _in_band(self, rate_hz: float) -> bool:
        """Whether pulses of this rate shake the segment within the band, as the IMU samples it."""
        seen_hz = abs(rate_hz - round(rate_hz / self._rate_hz) * self._rate_hz)
        return LOW_HZ - 0.5 <= seen_hz <= HIGH_HZ + 0.5

    def _tremor_told(self) -> tuple[Measure, Measure]:
        settings = self._settings
        why = ""
        if not self._fast:
            why = f"the IMU's rate is below {RATE_MIN_HZ:g} Hz"
        elif not self._rhythm:
            why = f"the IMU has been heard without a gap for less than {WINDOW_S:g} s"
        elif self._spectrum_ns < self._driven_until_ns:
            why = "stimulation shakes the segment at a rate in the tremor's band"
        elif self._rhythm[1] < settings.tremor_min_rad_s or self._rhythm[2] < settings.tremor_share:
            why = "no rhythm stands out"
        if why:
            nothing = Measure(reason=why)
            return nothing, nothing
        frequency, rms, _ = self._rhythm
        return _about(frequency, FREQUENCY_ERROR_HZ), Measure(value=rms, valid=True, reason="")


_NO_REST = Measure(reason="no posture at rest has been seen yet")
_STEEP = Measure(reason="the joint's axis is near the vertical: gravity does not show how it turns")
_WITHOUT = Measure(reason="the IMU has no gyroscope")
_NO_GYROSCOPE = MotionEstimate(
    inclination_rad=_WITHOUT, angle_rad=_WITHOUT, tremor_frequency_hz=_WITHOUT, tremor_rad_s=_WITHOUT
)


def _about(value: float, half: float) -> Measure:
    return Measure(value=value, low=value - half, high=value + half, valid=True, reason="")


def _unit(axis: Vector) -> Vector:
    length = math.hypot(*axis)
    a, b, c = axis
    return a / length, b / length, c / length


def _columns(columns: tuple[int, int, int]) -> Any:
    """Three columns side by side are cut out without a copy."""
    first = columns[0]
    return slice(first, first + 3) if columns == (first, first + 1, first + 2) else list(columns)
