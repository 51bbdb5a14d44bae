"""How far the limb moves for the charge it gets: what the EMG cannot see of fatigue.

A train's response is the angle by which the segment has turned, from its posture at rest before the trial to the
steady part of the hold, for the charge of a pulse. Relative to the session's first trains it falls as force does.

Force does not grow in proportion to charge: nothing moves below the motor threshold, and above it recruitment grows
as a power of the charge that is about 4 where a fifth of the fibres is recruited, 2.3 at half and 1 at four fifths
(thresholds log-normal with a spread of 0.35). To divide by the charge alone would take less current for more fatigue,
and a reflex that lowers the current with fatigue would feed itself. So the response is per charge to a power: that
which the steps of this session's calibration show, else 2. The interval carries what is not known of it, and between
charges further apart than half or twice nothing is said.

Voluntary effort moves the limb too. Where it is asked for, the response is that of person and stimulation together,
and its scatter from trial to trial widens the interval. How much of the movement goes with the charge is then what the
calibration, in which nobody makes an effort, showed at that charge, beside the movement of the first trains.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.estimators.trend import departure, theil_sen
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Floats = npt.NDArray[np.float64]

_NO_IMU = Measure(reason="no IMU")
_NO_CHANNEL = Measure(reason="no stimulation channel drives this muscle")
_NO_TRAIN = Measure(reason="no train yet")
#: Standard deviation that the neglect of gravity and of the force-length relation is given.
MODEL_SD = 0.05
#: Power of the charge where no calibration has shown it, and its standard deviation then and where one has.
EXPONENT = 2.0
EXPONENT_SD = 0.8
EXPONENT_SHOWN_SD = 0.5
EXPONENT_RANGE = (1.0, 5.0)
#: Share of the movement that goes with the charge where the person moves the limb too and no calibration has shown it.
STIMULATED_SHARE = 0.6
STIMULATED_SHARE_MIN = 0.2
_MOST_POINTS = 160
_FIRST_POINTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSettings:
    """Which trains count.

    Attributes
    ----------
    angle_from
        ``gravity``: the accelerometer's direction of gravity; ``gyro``: the integral of the angular rate, for a
        joint that turns about the vertical.
    settle_s
        What is left out at the beginning of the hold.
    steady_s
        A hold with less after that does not count.
    rest_s
        The posture at rest is the mean of so much.
    exponent
        Power of the charge that stimulated movement goes with; None: from the calibration, else 2. Where voluntary
        effort is part of the movement, the movement goes with less, by the share that is stimulated.
    current_spread_max
        A hold in which the current varied by more than this share does not count.
    angle_min_rad
        A movement smaller than this cannot be told from noise.
    trains_min
        Fewer are not enough evidence for fatigue.
    early, late
        Beginning and present are judged from so many trains.
    stale_s
        After so long without a train nothing is known of the present.
    """

    angle_from: Literal["gravity", "gyro"] = "gravity"
    settle_s: float = 0.4
    steady_s: float = 0.5
    rest_s: float = 0.3
    exponent: float | None = None
    current_spread_max: float = 0.2
    angle_min_rad: float = 0.02
    trains_min: int = 4
    early: int = 5
    late: int = 5
    stale_s: float = 90.0

    def __post_init__(self) -> None:
        if self.trains_min < 3 or self.early < 3 or self.late < 3:
            raise ValueError("trains_min, early and late must be at least 3: a line through fewer says nothing")


class MechanicalResponse(Restorable):
    """Response of each muscle relative to the session's first trains, and the fatigue that it means."""

    Settings = ResponseSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_rest_rows", "_rest_at", "_rest_count", "_hold_key", "_sum", "_rows", "_turn", "_current", "_current_low",
        "_current_high", "_steps", "_last_imu_ns", "_steps_shown", "_calibrating", "_points", "_last_ns",
    )  # fmt: skip

    def __init__(self, settings: ResponseSettings, setup: Setup) -> None:
        self._settings = settings
        self._channels = setup.channels or ((),) * len(setup.muscles)
        self._asked = setup.effort_muscles.tolist()
        self._imu = setup.imu
        muscles = len(setup.muscles)
        rate = setup.imu.descriptor.rate_hz if setup.imu else 100.0
        self._period_s = 1.0 / rate
        if setup.imu is not None and settings.angle_from == "gyro" and setup.imu.gyroscope is None:
            raise ValueError("angle_from is gyro, the IMU has no gyroscope")
        self._rest_rows: Floats = np.zeros((max(2, round(settings.rest_s * rate)), 3))
        self._rest_at = 0
        self._rest_count = 0
        self._hold_key: list[int] | None = None
        self._sum: Floats = np.zeros(3)
        self._turn: Floats = np.zeros(3)
        self._rows = 0
        self._current: list[float] = [0.0] * muscles
        self._current_low: list[float] = [0.0] * muscles
        self._current_high: list[float] = [0.0] * muscles
        self._steps = 0
        self._last_imu_ns: int | None = None
        # Per muscle: [t_ns, angle in rad, charge in µC, number of the train].
        self._points: list[list[list[Any]]] = [[] for _ in range(muscles)]
        # Per muscle, from the calibration: [charge in µC, angle in rad].
        self._steps_shown: list[list[list[float]]] = [[] for _ in range(muscles)]
        self._calibrating = False
        self._last_ns = 0
        self._stale = False
        self._fields: dict[str, list[Any]] | None = None

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not the state of such an estimator.
        """
        super().restore(state)
        self._fields = None

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Nothing: the response is told from movement and charge."""

    def step(self, situation: Situation) -> None:
        """Take in the movement since the last step."""
        if self._imu is None:
            return
        phase = situation.phase
        resting = holding = False
        if phase is not None:
            moving = phase.state == "running" and phase.kind in ("block", "calibration")
            resting = not moving or phase.trial_state in ("idle", "rest")
            holding = moving and phase.trial_state == "hold"
        key = [phase.index, phase.block, phase.trial] if holding and phase is not None else None
        if self._hold_key is not None and key != self._hold_key:
            self._finish(situation.now_ns)
        self._hold_key = key
        self._calibrating = phase is not None and phase.kind == "calibration"
        for t_ns, rows in situation.imu:
            self._take(rows, resting)
            self._last_imu_ns = t_ns
        if holding and phase is not None:
            steady = situation.now_ns - phase.t_state_ns >= self._settings.settle_s * 1e9
            if steady:
                self._hold(situation)

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``response`` and ``fatigue_mechanical``."""
        stale = now_ns - self._last_ns > self._settings.stale_s * 1e9
        if self._fields is None or stale != self._stale:
            self._stale = stale
            pairs = [self._measure(muscle, stale) for muscle in range(len(self._points))]
            self._fields = {"response": [a for a, _ in pairs], "fatigue_mechanical": [b for _, b in pairs]}
        return self._fields

    def _take(self, rows: Floats, resting: bool) -> None:
        imu = self._imu
        if imu is None:
            return
        columns = imu.accelerometer
        if self._settings.angle_from == "gyro" and imu.gyroscope is not None:
            columns = imu.gyroscope
        for row in rows[:, columns]:
            if not np.isfinite(row).all():
                continue
            if resting:
                self._rest_rows[self._rest_at] = row
                self._rest_at = (self._rest_at + 1) % len(self._rest_rows)
                self._rest_count += 1
                self._turn[:] = 0.0
            elif self._settings.angle_from == "gyro":
                self._turn += (row - self._rest_rows.mean(axis=0)) * self._period_s
            if self._steps:
                self._sum += self._turn if self._settings.angle_from == "gyro" else row
                self._rows += 1

    def _hold(self, situation: Situation) -> None:
        report = situation.report
        flowing = {item.channel: item for item in report.acknowledged} if report is not None else {}
        for muscle, channels in enumerate(self._channels):
            charge = sum(
                flowing[name].current_ma * flowing[name].phase_us * 1e-3 for name in channels if name in flowing
            )
            first = self._steps == 0
            self._current[muscle] = charge if first else self._current[muscle] + charge
            self._current_low[muscle] = charge if first else min(self._current_low[muscle], charge)
            self._current_high[muscle] = charge if first else max(self._current_high[muscle], charge)
        self._steps += 1

    def _finish(self, now_ns: int) -> None:
        settings = self._settings
        enough = self._rows * self._period_s >= settings.steady_s and self._rest_count >= len(self._rest_rows)
        driven = [muscle for muscle, high in enumerate(self._current_high) if high > 0]
        if enough and self._steps and len(driven) == 1:
            muscle = driven[0]
            steady = self._current_low[muscle] >= (1 - settings.current_spread_max) * self._current_high[muscle]
            angle = self._angle()
            if steady and angle >= settings.angle_min_rad:
                self._count(muscle, angle, self._current[muscle] / self._steps, now_ns)
        self._sum[:] = 0.0
        self._rows = 0
        self._steps = 0
        self._current_high = [0.0] * len(self._current_high)

    def _count(self, muscle: int, angle: float, charge: float, now_ns: int) -> None:
        if self._calibrating:
            steps = self._steps_shown[muscle]
            steps.append([charge, angle])
            del steps[:-_MOST_POINTS]
            return
        points = self._points[muscle]
        number = points[-1][3] + 1 if points else 1
        points.append([now_ns, angle, charge, number])
        if len(points) > _MOST_POINTS:
            del points[_FIRST_POINTS]
        self._last_ns = now_ns
        self._fields = None

    def _power(self, muscle: int, usual: float, angle: float) -> tuple[float, float]:
        """Power of the charge that the movement goes with near the usual charge, and its standard deviation.

        `usual` and `angle` are charge and movement of the first trains.
        """
        near = [step for step in self._steps_shown[muscle] if 0.5 * usual <= step[0] <= 1.25 * usual]
        shown = len({round(step[0], 6) for step in near}) >= 3
        power, power_sd = EXPONENT, EXPONENT_SD
        share = STIMULATED_SHARE if self._asked[muscle] else 1.0
        if shown:
            table = np.log(np.array(near))
            line = theil_sen(table[:, 0], table[:, 1])
            power, power_sd = min(max(line.slope, EXPONENT_RANGE[0]), EXPONENT_RANGE[1]), EXPONENT_SHOWN_SD
            if self._asked[muscle]:
                alone = float(np.exp(line.at(float(np.log(usual)))))
                share = min(max(alone / angle, STIMULATED_SHARE_MIN), 1.0)
        if self._settings.exponent is not None:
            power, power_sd = self._settings.exponent, EXPONENT_SHOWN_SD
        return share * power, share * power_sd

    def _angle(self) -> float:
        mean = self._sum / max(self._rows, 1)
        if self._settings.angle_from == "gyro":
            return float(np.linalg.norm(mean))
        rest = self._rest_rows.mean(axis=0)
        # atan2 of sine and cosine: exact for small angles, where acos is not.
        return float(np.arctan2(np.linalg.norm(np.cross(rest, mean)), np.dot(rest, mean)))

    def _measure(self, muscle: int, stale: bool) -> tuple[Measure, Measure]:
        settings = self._settings
        if self._imu is None:
            return _NO_IMU, _NO_IMU
        if not self._channels[muscle]:
            return _NO_CHANNEL, _NO_CHANNEL
        points = self._points[muscle]
        if not points:
            return _NO_TRAIN, _NO_TRAIN
        if stale:
            old = Measure(reason=f"no steady train for {settings.stale_s:g} s")
            return old, old
        if len(points) < settings.trains_min:
            few = Measure(reason=f"not enough evidence: {len(points)} of {settings.trains_min} steady trains")
            return few, few
        table = np.array([point[:3] for point in points], dtype=np.float64)
        usual = float(np.median(table[:3, 2]))
        away = abs(float(np.log(table[-1, 2] / usual)))
        if away > np.log(2.0):
            unlike = Measure(reason="the charge is not comparable with that of the first trains")
            return unlike, unlike
        power, power_sd = self._power(muscle, usual, float(np.median(table[:3, 1])))
        per_charge = table[:, 1] * (usual / table[:, 2]) ** power
        moved = departure(
            (table[:, 0] - table[0, 0]) * 1e-9, per_charge / float(np.median(per_charge[:3])), np.ones(len(table)),
            early=settings.early, late=settings.late, scatter_min=0.02,
        )  # fmt: skip
        ratio = moved.last / moved.first
        spread = 1.96 * float(np.sqrt((moved.sd / moved.first) ** 2 + MODEL_SD**2 + (power_sd * away * ratio) ** 2))
        response = Measure(
            value=max(ratio, 0.0), low=max(ratio - spread, 0.0), high=ratio + spread, valid=True, reason=""
        )
        fatigue = 1.0 - ratio
        return response, Measure(
            value=min(max(fatigue, 0.0), 1.0), low=fatigue - spread, high=fatigue + spread, valid=True, reason=""
        )
