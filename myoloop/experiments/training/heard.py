"""What the controller of one person hears: the force cell, EMG's level and spasms, late and faulty as they are."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np

from myoloop.controllers.policies.policy import Activity
from myoloop.experiments.training.bodies import MUSCLE
from myoloop.experiments.training.task import Fault, Task
from myoloop.platform.messages import Measure, MuscleEstimate

STEP_S = 0.01
#: A spasm is told so long after its onset, and so long after its end: the median of the detector (bench policies).
SPASM_LATE_STEPS = 6
#: Rest is known from so many steps, and not better than this.
_REST_SIGMA_MIN = 0.05
_ON, _OFF = Measure(value=1.0, valid=True), Measure(value=0.0, valid=True)
_UNKNOWN = Measure(reason="not told by the fast tier")


class Striking:
    """The faults of one person.

    Parameters
    ----------
    seed
        Of the person's day: draws who has which.
    """

    def __init__(self, task: Task, seed: int) -> None:
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence((0x6661756C, seed))))
        drawn = rng.random(len(task.faults)).tolist()
        self.faults = [fault for fault, chance in zip(task.faults, drawn, strict=True) if chance < fault.share]

    def on(self, kind: str, at_s: float) -> Fault | None:
        """The fault of this kind that is on at a time since the first trial's begin."""
        for fault in self.faults:
            if fault.kind == kind and fault.at_s <= at_s and (fault.for_s is None or at_s < fault.at_s + fault.for_s):
                return fault
        return None

    def threshold(self, at_s: float) -> float:
        """How many times the current of before is needed for the same."""
        factor = 1.0
        for fault in self.faults:
            if fault.kind == "threshold_drift" and fault.for_s is not None:
                gone = min(1.0, max(0.0, (at_s - fault.at_s) / fault.for_s))
                factor *= math.exp(gone * math.log(fault.factor))
        off = self.on("pad_half_off", at_s)
        return factor if off is None else factor * off.factor

    def open(self, at_s: float) -> bool:
        """Whether the lead is open."""
        return self.on("lead_open", at_s) is not None


class Heard:
    """The controller's ears."""

    def __init__(self, striking: Striking) -> None:
        self._striking = striking
        self._faulty = any(fault.kind.startswith("force") for fault in striking.faults)
        self._past: deque[float] = deque(maxlen=102)
        self._stuck: float | None = None
        self._rest: list[float] = []
        self._rest_uv, self._sigma = 0.0, _REST_SIGMA_MIN
        self._spasm = [False] * SPASM_LATE_STEPS
        self._estimates: dict[tuple[float, bool], dict[str, MuscleEstimate]] = {}

    def rest(self, level_uv: float) -> None:
        """Learn what the muscle is at rest."""
        self._rest.append(level_uv)

    def rested(self) -> None:
        """Rest is over."""
        log_uv = np.log(np.maximum(self._rest, 1e-3))
        middle = float(np.median(log_uv))
        self._rest_uv = math.exp(middle)
        # As robust as the controller's own: the median's deviation, as a normal distribution has it.
        self._sigma = max(_REST_SIGMA_MIN, 1.4826 * float(np.median(np.abs(log_uv - middle))))

    def force_n(self, cell_n: float, at_s: float) -> float | None:
        """The newest value that is heard; None where none is."""
        if not self._faulty:
            return cell_n
        self._past.append(cell_n)
        striking = self._striking
        if striking.on("force_lost", at_s) is not None:
            return None
        late = striking.on("force_late", at_s)
        told = cell_n if late is None else self._past[-1 - min(late.by_ms // 10, len(self._past) - 1)]
        if striking.on("force_stuck", at_s) is None:
            self._stuck = None
            return told
        self._stuck = told if self._stuck is None else self._stuck
        return self._stuck

    def activity(self, level_uv: float) -> dict[str, Activity]:
        """Level now beside that of rest."""
        return {MUSCLE: Activity(level_uv, self._rest_uv, self._sigma, True)}

    def estimates(self, level_uv: float, spasm: bool) -> dict[str, MuscleEstimate]:
        """What estimators would tell: level, and a spasm as late as its detector."""
        self._spasm.append(spasm)
        told = _ON if self._spasm.pop(0) else _OFF
        return {
            MUSCLE: MuscleEstimate(
                muscle=MUSCLE, level_uv=level_uv, fatigue=_UNKNOWN, spasm=told, effort=_UNKNOWN, response=_UNKNOWN
            )
        }


def strikes(task: Task, seeds: Sequence[int]) -> list[Striking]:
    """Of all people."""
    return [Striking(task, seed) for seed in seeds]
