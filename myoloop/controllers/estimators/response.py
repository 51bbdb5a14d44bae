"""How far the limb moves, or how hard it pulls, for the charge it gets: what the EMG cannot see of fatigue.

A train's response is the angle by which the segment has turned, from its posture at rest before the trial to the
steady part of the hold, for the charge of a pulse. Relative to the session's first trains it falls as force does.
Where there is a force cell the response is what that reads, the rest before taken off; then the joint may be held.

Force does not grow in proportion to charge: nothing moves below the motor threshold, and above it recruitment grows
as a power of the charge that is about 4 where a fifth of the fibres is recruited, 2.3 at half and 1 at four fifths
(thresholds log-normal with a spread of 0.35). To divide by the charge alone would take less current for more fatigue,
and a reflex that lowers the current with fatigue would feed itself. So the response is per charge to a power: that
which the steps of this session's calibration show, else 2; trains whose charges differ correct it. The gain is
tracked from train to train by Kalman filters (:mod:`myoloop.controllers.estimators.gain`), whose interval carries
what is not known of the power. Between charges further apart than half or twice nothing is said.

Voluntary effort moves the limb too. Where it is asked for, the response is that of person and stimulation together,
and its scatter from trial to trial widens the interval. How much of the movement goes with the charge is then what the
calibration, in which nobody makes an effort, showed at that charge, beside the movement of the first trains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.estimators.gain import GainBank
from myoloop.controllers.estimators.trains import Train, Trains, TrainSettings
from myoloop.controllers.estimators.trend import theil_sen
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

_NO_SENSOR = Measure(reason="no IMU and no force cell")
_NO_CHANNEL = Measure(reason="no stimulation channel drives this muscle")
#: What no filter knows, as a standard deviation: fatigue and recovery between one train and the next; and, per unit
#: of the fall, that neither movement (gravity, moment arm, skin that slides over the nerve) nor force is proportional.
CYCLE_SD = 0.02
MOVEMENT_SD = 0.08
FORCE_SD = 0.04
#: Power of the charge where no calibration has shown it, and its standard deviation then and where one has.
EXPONENT = 2.0
EXPONENT_SD = 0.8
EXPONENT_SHOWN_SD = 0.5
EXPONENT_RANGE = (1.0, 5.0)
#: Share of the movement that goes with the charge where the person moves the limb too and no calibration has shown it.
STIMULATED_SHARE = 0.6
STIMULATED_SHARE_MIN = 0.2
#: A gain that was more than this and is gone in the next train has not been lost by fatigue.
_GONE_FROM = 0.3
_MOST_STEPS = 160


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseSettings:
    """Which trains count.

    Attributes
    ----------
    response_from
        ``imu``: movement; ``force``: the force cell; ``auto``: the force cell where there is one.
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
        A hold in which the charge varied by more than this share does not count.
    angle_min_rad, force_min
        A first movement, or force in the unit of the cell, smaller than this cannot be told from noise.
    trains_min
        Fewer are not enough evidence for fatigue; from so many the filters begin.
    stale_s
        After so long without a train nothing is known of the present.
    """

    response_from: Literal["auto", "imu", "force"] = "auto"
    angle_from: Literal["gravity", "gyro"] = "gravity"
    settle_s: float = 0.4
    steady_s: float = 0.5
    rest_s: float = 0.3
    exponent: float | None = None
    current_spread_max: float = 0.2
    angle_min_rad: float = 0.02
    force_min: float = 1.0
    trains_min: int = 4
    stale_s: float = 90.0

    def __post_init__(self) -> None:
        if self.trains_min < 3:
            raise ValueError(f"trains_min is {self.trains_min}, allowed is 3 or more: a line through two says nothing")
        for name in ("settle_s", "current_spread_max", "angle_min_rad", "force_min"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name):g}, allowed is 0 and above")
        for name in ("steady_s", "rest_s", "stale_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name):g}, allowed is above 0")
        if self.exponent is not None and not math.isfinite(self.exponent):
            raise ValueError(f"exponent is {self.exponent:g}, allowed is a finite number")


class MechanicalResponse(Restorable):
    """Response of each muscle relative to the session's first trains, and the fatigue that it means."""

    Settings = ResponseSettings

    _kept: ClassVar[tuple[str, ...]] = ("_trains", "_gain", "_first", "_count", "_newest", "_why", "_steps_shown")

    def __init__(self, settings: ResponseSettings, setup: Setup) -> None:
        self._settings = settings
        self._channels = setup.channels or ((),) * len(setup.muscles)
        self._asked = setup.effort_muscles.tolist()
        muscles = len(setup.muscles)
        by_force = settings.response_from == "force" or (settings.response_from == "auto" and setup.force is not None)
        self._least = settings.force_min if by_force else settings.angle_min_rad
        self._unit = (setup.force.units[0] if setup.force is not None else "N") if by_force else "rad"
        self._model_sd = FORCE_SD if by_force else MOVEMENT_SD
        self._has_sensor = by_force or setup.imu is not None or settings.response_from == "imu"
        self._trains: Trains | _Nothing = _Nothing()
        if self._has_sensor:
            which = TrainSettings(
                source="force" if by_force else settings.angle_from,
                settle_s=settings.settle_s,
                steady_s=settings.steady_s,
                rest_s=settings.rest_s,
                current_spread_max=settings.current_spread_max,
            )
            self._trains = Trains(which, setup)
        self._gain = GainBank(muscles)
        # Per muscle, of the first trains: [t_ns, response, charge in uC].
        self._first: list[list[list[Any]]] = [[] for _ in range(muscles)]
        self._count = [0] * muscles
        # Per muscle: [t_ns, charge in uC] of the newest train that counted; t_ns is when it was over.
        self._newest: list[list[Any]] = [[0, 0.0] for _ in range(muscles)]
        # Per muscle: why the newest train did not count; empty where it did.
        self._why: list[str] = [""] * muscles
        # Per muscle, from the calibration: [charge in uC, response].
        self._steps_shown: list[list[list[float]]] = [[] for _ in range(muscles)]
        self._next_stale_ns = 0
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
        """Nothing: the response is told from movement or force, and charge."""

    def step(self, situation: Situation) -> None:
        """Take in what moved since the last step."""
        train = self._trains.step(situation)
        if train is not None:
            self._take(train, situation.now_ns)

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``response`` and ``fatigue_mechanical``."""
        if self._fields is None or now_ns >= self._next_stale_ns:
            stale_ns = round(self._settings.stale_s * 1e9)
            ends = [t_ns + stale_ns for t_ns, _ in self._newest]
            self._next_stale_ns = min((end for end in ends if end > now_ns), default=1 << 62)
            pairs = [self._measure(muscle, now_ns >= end) for muscle, end in enumerate(ends)]
            self._fields = {"response": [a for a, _ in pairs], "fatigue_mechanical": [b for _, b in pairs]}
        return self._fields

    def _take(self, train: Train, now_ns: int) -> None:
        self._fields = None
        if train.muscle is None:
            # It says as much of one muscle as of another.
            self._why = [train.why_not] * len(self._why)
            return
        muscle = train.muscle
        first, began = self._first[muscle], self._count[muscle] >= self._settings.trains_min
        why = train.why_not
        small = train.response < self._least
        if not why and small and (not began or self._gain.tell(muscle).ratio > _GONE_FROM):
            what = "turned" if self._unit == "rad" else "pulled"
            why = f"nothing {what} by {self._least:g} {self._unit} or more"
        if train.calibrating:
            if not why:
                steps = self._steps_shown[muscle]
                steps.append([train.charge_uc, train.response])
                del steps[:-_MOST_STEPS]
            return
        self._why[muscle] = why
        if why:
            return
        self._newest[muscle] = [now_ns, train.charge_uc]
        self._count[muscle] += 1
        if not began:
            first.append([train.t_ns, train.response, train.charge_uc])
            if len(first) == self._settings.trains_min:
                self._begin(muscle)
            return
        response, charge, t_ns = self._usual(muscle)
        if self._comparable(muscle):
            self._gain.update(muscle, (train.t_ns - t_ns) * 1e-9, train.response / response, train.charge_uc / charge)

    def _usual(self, muscle: int) -> tuple[float, float, int]:
        """Response and charge of the first trains, and when the first was."""
        first = self._first[muscle]
        return (
            float(np.median([point[1] for point in first[:3]])),
            float(np.median([point[2] for point in first[:3]])),
            first[0][0],
        )

    def _comparable(self, muscle: int) -> bool:
        _, charge, _ = self._usual(muscle)
        return bool(abs(np.log(self._newest[muscle][1] / charge)) <= np.log(2.0))

    def _begin(self, muscle: int) -> None:
        response, charge, t_ns = self._usual(muscle)
        table = np.array([[(t - t_ns) * 1e-9, r / response, c / charge] for t, r, c in self._first[muscle]])
        # Trains of wholly different charge cannot be brought to one line.
        table[:, 2] = np.clip(table[:, 2], 0.5, 2.0)
        self._gain.begin(muscle, table[:, 0], table[:, 1], table[:, 2], *self._power(muscle, charge, response))

    def _power(self, muscle: int, usual: float, response: float) -> tuple[float, float]:
        """Power of the charge that the response goes with near the usual charge, and its standard deviation.

        `usual` and `response` are of the first trains.
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
                share = min(max(alone / response, STIMULATED_SHARE_MIN), 1.0)
        if self._settings.exponent is not None:
            power, power_sd = self._settings.exponent, EXPONENT_SHOWN_SD
        return share * power, share * power_sd

    def _measure(self, muscle: int, stale: bool) -> tuple[Measure, Measure]:
        why = self._why_not(muscle, stale)
        if why is not None:
            return why, why
        gain = self._gain.tell(muscle)
        ratio, fatigue = gain.ratio, 1.0 - gain.ratio
        spread = 1.96 * float(np.sqrt(gain.sd**2 + CYCLE_SD**2 + (self._model_sd * fatigue) ** 2))
        response = Measure(
            value=max(ratio, 0.0), low=max(ratio - spread, 0.0), high=max(ratio, 0.0) + spread, valid=True, reason=""
        )
        return response, Measure(
            value=min(max(fatigue, 0.0), 1.0), low=fatigue - spread, high=fatigue + spread, valid=True, reason=""
        )

    def _why_not(self, muscle: int, stale: bool) -> Measure | None:
        settings = self._settings
        if not self._has_sensor:
            return _NO_SENSOR
        if not self._channels[muscle]:
            return _NO_CHANNEL
        count, because = self._count[muscle], self._why[muscle]
        because = f" ({because})" if because else ""
        if not count:
            return Measure(reason=f"no steady train yet{because}")
        if stale:
            return Measure(reason=f"no steady train for {settings.stale_s:g} s{because}")
        if count < settings.trains_min:
            return Measure(reason=f"not enough evidence: {count} of {settings.trains_min} steady trains")
        if not self._comparable(muscle):
            return Measure(reason="the charge is not comparable with that of the first trains")
        return None


class _Nothing(Restorable):
    """Where there is no sensor no train is heard."""

    def step(self, situation: Situation) -> None:
        """Nothing."""
