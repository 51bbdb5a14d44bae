"""Ten minutes of intermittent stimulation, five seconds on and five off: many people side by side.

Muscle, limb, IMU and force cell are the virtual subject's. There is no EMG: only what moves and pulls is made, in
blocks of 100 ms, with the phases and the reports that a session would send with it. The charge differs from train to
train, as a controller's would, and in some trains the person moves the limb too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Situation
from myoloop.experiments.subjects.ding import FRESH_N, force_capacity_n
from myoloop.experiments.subjects.force_cell import ForceCell
from myoloop.experiments.subjects.imu import Imu
from myoloop.experiments.subjects.limb import Limb
from myoloop.experiments.subjects.muscle import SHARES, Muscles, Recruited, bins_recruited
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform.messages import ChannelSetting, Dose, Phase, SampleDescriptor, StimReport

Array = npt.NDArray[np.float64]

RATE_HZ = 33.0
CYCLE_S, REST_S, RAMP_S = 10.0, 5.0, 0.5
BLOCK_S = 0.1
SENSOR_RATE_HZ = 100.0
#: Spread of the charge from train to train (logarithm), share of trains that are disturbed, and how much at most.
CHARGE_SPREAD, DISTURBED_SHARE, DISTURBANCE = 0.08, 0.05, 0.3
#: Conduction velocity that is lost per unit of fatigue that EMG shows, in the middle of the population.
CV_SLOWING = 0.5
#: How finely muscle and limb are stepped.
_STEP_MS = 20
_PHASE_US = 250.0

IMU = SampleDescriptor(
    topic="imu/scene", rate_hz=SENSOR_RATE_HZ, dtype="<f4", channels=("ax", "ay", "az", "gx", "gy", "gz"),
    units=("m/s^2",) * 3 + ("rad/s",) * 3, scale=(1.0,) * 6, offset=(0.0,) * 6,
)  # fmt: skip
FORCE = SampleDescriptor(
    topic="force/scene", rate_hz=SENSOR_RATE_HZ, dtype="<f4", channels=("force",), units=("N",), scale=(1.0,),
    offset=(0.0,),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Moment:
    """A block of 100 ms of all people.

    Attributes
    ----------
    t_s
        Its end.
    situations
        What an estimator is told, one per person.
    fatigue
        Force that the fibres have lost that the usual charge recruits: (people,), 0 to 1.
    shown
        What conduction velocity shows of it at best: its loss in the same fibres over 0.5, the loss per unit of
        fatigue in the middle of the population.
    """

    t_s: float
    situations: Sequence[Situation]
    fatigue: Array
    shown: Array


class Scene:
    """People who are stimulated.

    Parameters
    ----------
    people
        One row each; may repeat.
    rngs
        One for each, for sensors and for what differs from train to train.
    by_force
        Whether the force cell is read (of a joint that is held, where the person's parameters say so), not the IMU.
    """

    def __init__(
        self, people: Sequence[SubjectParameters], rngs: Sequence[np.random.Generator], *, by_force: bool
    ) -> None:
        self._people = people
        self._rngs = rngs
        self._muscles = Muscles(people)
        self._limbs = [Limb(person) for person in people]
        self._by_force = by_force
        make: Callable[..., Any] = ForceCell if by_force else Imu
        self._sensors = [make(person, rng, rate_hz=SENSOR_RATE_HZ) for person, rng in zip(people, rngs, strict=True)]
        #: Half of the fibres, in the posture at rest: a usual charge.
        self._usual_uc = np.array([person.recruitment_median_uc for person in people])
        usual = [self._muscles.recruits(i, charge) for i, charge in enumerate(self._usual_uc)]
        weight = bins_recruited(np.array(usual)) * SHARES
        self._weight = weight / weight.sum(axis=1, keepdims=True)

    def run(self, seconds: float) -> Iterator[Moment]:
        """Live; one moment each 100 ms."""
        count = len(self._people)
        next_pulse = 0
        charge_uc, moved = self._usual_uc, np.zeros(count)
        reports: list[StimReport] = []
        for block in range(round(seconds / BLOCK_S)):
            begin_s = block * BLOCK_S
            trial, in_cycle_s = divmod(begin_s + 1e-9, CYCLE_S)
            state, since_s = _state(in_cycle_s)
            if block % round(CYCLE_S / BLOCK_S) == 0:
                charge_uc, moved = self._train()
                reports = [_report(charge) for charge in charge_uc]
            lived: list[list[Any]] = [[] for _ in range(count)]
            for part in range(round(BLOCK_S * 1000) // _STEP_MS):
                begin_ms = round(begin_s * 1000) + part * _STEP_MS
                share = _trapezoid((begin_ms / 1000) % CYCLE_S)
                pulses = []
                while next_pulse / RATE_HZ * 1000 < begin_ms + _STEP_MS:
                    if share > 0.0:
                        pulses += self._pulse(round(next_pulse / RATE_HZ * 1e9), share * charge_uc)
                    next_pulse += 1
                active = moved if state == "hold" else np.zeros(count)
                forces = self._muscles.advance(begin_ms * 1_000_000, _STEP_MS, pulses, active)
                for i, limb in enumerate(self._limbs):
                    states = limb.advance(forces[:, i].tolist())
                    lived[i] += limb.torques_n_m if self._by_force else states
            now_ns = round((begin_s + BLOCK_S) * 1e9)
            phase = Phase(
                t_ns=now_ns, session="", state="running", kind="block", block=1, trial=int(trial) + 1,
                trial_state=state, t_state_ns=round((begin_s - since_s) * 1e9),
            )  # fmt: skip
            situations = []
            for i in range(count):
                rows = [(now_ns, self._sensors[i].read(lived[i], now_ns).astype(np.float64))]
                at = Situation(now_ns, phase, report=reports[i])
                if self._by_force:
                    at.force = rows
                else:
                    at.imu = rows
                situations.append(at)
            yield Moment(begin_s + BLOCK_S, situations, self._fatigue(), self._shown())

    def _train(self) -> tuple[Array, Array]:
        """Charge of the next train, and how much the person moves in it."""
        drawn = np.array([[rng.standard_normal(), rng.random(), rng.random()] for rng in self._rngs])
        charge_uc = self._usual_uc * np.exp(CHARGE_SPREAD * np.clip(drawn[:, 0], -2.5, 2.5))
        return charge_uc, np.where(drawn[:, 1] < DISTURBED_SHARE, DISTURBANCE * drawn[:, 2], 0.0)

    def _pulse(self, t_ns: int, charge_uc: Array) -> list[Recruited]:
        recruits = self._muscles.recruits
        return [
            Recruited(i, t_ns, recruits(i, charge, self._limbs[i].angle_rad))
            for i, charge in enumerate(charge_uc.tolist())
        ]

    def _fatigue(self) -> Array:
        a, tau1, km = self._muscles.slow_states
        left = force_capacity_n(a, tau1, km) / FRESH_N
        lost: Array = np.clip(1.0 - (self._weight * left).sum(axis=1), 0.0, 1.0)
        return lost

    def _shown(self) -> Array:
        velocity = (self._weight * self._muscles.velocity_by_bin).sum(axis=1)
        shown: Array = np.clip((1.0 - velocity) / CV_SLOWING, 0.0, 1.0)
        return shown


def _state(in_cycle_s: float) -> tuple[str, float]:
    """State of the trial, and for how long it has been."""
    ends = (
        ("rest", 0.0), ("ramp_up", REST_S), ("hold", REST_S + RAMP_S), ("ramp_down", CYCLE_S - RAMP_S),
    )  # fmt: skip
    name, since_s = max((item for item in ends if item[1] <= in_cycle_s), key=lambda item: item[1])
    return name, in_cycle_s - since_s


def _trapezoid(in_cycle_s: float) -> float:
    """Share of the train's charge at a time of the cycle."""
    return float(np.clip(min((in_cycle_s - REST_S) / RAMP_S, (CYCLE_S - in_cycle_s) / RAMP_S), 0.0, 1.0))


def _report(charge_uc: float) -> StimReport:
    current_ma = float(charge_uc) / _PHASE_US * 1e3
    flowing = (ChannelSetting(channel="ch1", current_ma=current_ma, phase_us=_PHASE_US, rate_hz=RATE_HZ),)
    return StimReport(
        step=0, t_ns=0, state="STIMULATING", request=None, requested=flowing, allowed=flowing, acknowledged=flowing,
        rule="", reasons=(), dose=Dose(),
    )  # fmt: skip
