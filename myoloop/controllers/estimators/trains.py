"""What each train of stimulation did: how far the segment turned, or how hard the muscle pulled, for which charge.

A train counts by the steady part of its hold against the rest before it, if one muscle alone was driven and its
current stayed what it was.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Setup, Situation
from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Source = Literal["gravity", "gyro", "force"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """Which part of a train counts.

    Attributes
    ----------
    source
        ``gravity``: the turn of gravity's direction in the segment's frame; ``gyro``: the integral of the angular
        rate, for a joint that turns about the vertical; ``force``: the force cell.
    settle_s
        What is left out at the beginning of the hold.
    steady_s
        A hold with less after that does not count.
    rest_s
        What was at rest is the mean of so much.
    current_spread_max
        A hold in which the charge varied by more than this share does not count.
    """

    source: Source
    settle_s: float
    steady_s: float
    rest_s: float
    current_spread_max: float


@dataclass(frozen=True, slots=True)
class Train:
    """A train that is over.

    Attributes
    ----------
    t_ns
        Middle of its steady part.
    muscle
        The one that was driven; None where none was, or more than one.
    response
        Turn in rad, or force in the unit of the cell.
    charge_uc
        Of a pulse, all channels of the muscle together.
    calibrating
        Whether it belongs to a calibration.
    why_not
        Why it does not count; empty where it does.
    """

    t_ns: int
    muscle: int | None
    response: float
    charge_uc: float
    calibrating: bool
    why_not: str


class Trains(Restorable):
    """Follows phases, movement or force, and charge; tells each train once it is over.

    Parameters
    ----------
    settings
        Which part counts.
    setup
        Muscles, their channels and the sensors.

    Raises
    ------
    ValueError
        If the sensor that is asked for is not there.
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "_rest_rows", "_rest_at", "_rest_count", "_rest", "_hold_key", "_calibrating", "_sum", "_turn", "_rows",
        "_charge", "_charge_low", "_charge_high", "_steps", "_steady_ns",
    )  # fmt: skip

    def __init__(self, settings: TrainSettings, setup: Setup) -> None:
        self._settings = settings
        self._driven_by: dict[str, list[int]] = {}
        for muscle, channels in enumerate(setup.channels):
            for channel in channels:
                self._driven_by.setdefault(channel, []).append(muscle)
        columns: tuple[int, ...]
        if settings.source == "force":
            if setup.force is None:
                raise ValueError("response_from is force, there is no force cell")
            descriptor, columns = setup.force, (0,)
        else:
            if setup.imu is None:
                raise ValueError("response_from is imu, there is no IMU")
            descriptor, columns = setup.imu.descriptor, setup.imu.accelerometer
            if settings.source == "gyro":
                if setup.imu.gyroscope is None:
                    raise ValueError("angle_from is gyro, the IMU has no gyroscope")
                columns = setup.imu.gyroscope
        width = len(columns)
        first = columns[0]
        side_by_side = columns == tuple(range(first, first + width))
        # Columns side by side are cut out without a copy.
        self._columns = slice(first, first + width) if side_by_side else list(columns)
        self._period_s = 1.0 / descriptor.rate_hz
        self._rest_rows: Floats = np.zeros((max(2, round(settings.rest_s * descriptor.rate_hz)), width))
        self._rest_at = 0
        self._rest_count = 0
        self._rest: Floats = np.zeros(width)
        self._hold_key: list[int] | None = None
        self._calibrating = False
        self._sum: Floats = np.zeros(width)
        self._turn: Floats = np.zeros(width)
        self._rows = 0
        muscles = len(setup.muscles)
        self._charge = [0.0] * muscles
        self._charge_low = [0.0] * muscles
        self._charge_high = [0.0] * muscles
        self._steps = 0
        self._steady_ns = 0

    def step(self, situation: Situation) -> Train | None:
        """Take in the newest step; the train that has just ended, if one has."""
        phase = situation.phase
        resting = holding = False
        if phase is not None:
            driven = phase.state == "running" and phase.kind in ("block", "calibration", "optimise")
            resting = not driven or phase.trial_state in ("idle", "rest")
            holding = driven and phase.trial_state == "hold"
        key = [phase.index, phase.block, phase.trial] if holding and phase is not None else None
        ended = None
        if self._hold_key is not None and key != self._hold_key:
            ended = self._finish(situation.now_ns)
        self._hold_key = key
        self._calibrating = phase is not None and phase.kind in ("calibration", "optimise")
        for _, rows in situation.force if self._settings.source == "force" else situation.imu:
            self._take(rows, resting)
        if holding and phase is not None and situation.now_ns - phase.t_state_ns >= self._settings.settle_s * 1e9:
            self._hold(situation)
        return ended

    def _take(self, rows: Floats, resting: bool) -> None:
        rows = rows[:, self._columns]
        if np.count_nonzero(np.isfinite(rows)) < rows.size:
            rows = rows[np.isfinite(rows).all(axis=1)]
        if not len(rows):
            return
        if resting:
            for row in rows[-len(self._rest_rows) :]:
                self._rest_rows[self._rest_at] = row
                self._rest_at = (self._rest_at + 1) % len(self._rest_rows)
            self._rest_count = min(self._rest_count + len(rows), len(self._rest_rows))
            self._turn[:] = 0.0
            return
        if self._settings.source == "gyro":
            if not self._turn.any():
                self._rest = self._rest_rows.mean(axis=0)
            rows = self._turn + np.cumsum((rows - self._rest) * self._period_s, axis=0)
            self._turn = rows[-1].copy()
        if self._steps:
            self._sum += rows.sum(axis=0)
            self._rows += len(rows)

    def _hold(self, situation: Situation) -> None:
        charges = [0.0] * len(self._charge)
        if situation.report is not None:
            for item in situation.report.acknowledged:
                for muscle in self._driven_by.get(item.channel, ()):
                    charges[muscle] += item.current_ma * item.phase_us * 1e-3
        if not self._steps:
            self._steady_ns = situation.now_ns
            self._charge, self._charge_low, self._charge_high = charges, charges, charges
        else:
            self._charge = [total + new for total, new in zip(self._charge, charges, strict=True)]
            self._charge_low = list(map(min, self._charge_low, charges))
            self._charge_high = list(map(max, self._charge_high, charges))
        self._steps += 1

    def _finish(self, now_ns: int) -> Train:
        settings = self._settings
        driven = [muscle for muscle, high in enumerate(self._charge_high) if high > 0.0] if self._steps else []
        muscle = driven[0] if len(driven) == 1 else None
        why_not = ""
        charge = response = 0.0
        if muscle is None:
            why_not = "more than one muscle was driven" if driven else "no current flowed"
        elif self._rows * self._period_s < settings.steady_s:
            why_not = f"steady for less than {settings.steady_s:g} s"
        elif self._rest_count < len(self._rest_rows):
            why_not = f"less than {settings.rest_s:g} s of rest before it"
        elif self._charge_low[muscle] < (1 - settings.current_spread_max) * self._charge_high[muscle]:
            why_not = f"its charge varied by more than {100 * settings.current_spread_max:.0f} %"
        else:
            charge = self._charge[muscle] / self._steps
            response = self._response(self._sum / self._rows)
        train = Train((self._steady_ns + now_ns) // 2, muscle, response, charge, self._calibrating, why_not)
        self._sum[:] = 0.0
        self._rows = self._steps = 0
        return train

    def _response(self, mean: Floats) -> float:
        if self._settings.source == "gyro":
            return float(np.linalg.norm(mean))
        rest = self._rest_rows.mean(axis=0)
        if self._settings.source == "force":
            return float(mean[0] - rest[0])
        # atan2 of sine and cosine: exact for small angles, where acos is not.
        return float(np.arctan2(np.linalg.norm(np.cross(rest, mean)), np.dot(rest, mean)))
