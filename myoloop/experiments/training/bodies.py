"""The people behind the loop: on the fast tier, or on the full tier for comparison."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.adc import VOLTS_PER_COUNT
from myoloop.experiments.subjects.fast import STEP_NS, FastSubjects
from myoloop.experiments.subjects.force_cell import ForceCell
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.person import MuscleSite, Randomness
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.experiments.training.cases import Case
from myoloop.experiments.training.stimulated import CHANNEL
from myoloop.platform.messages import Phase
from myoloop.stimulators.emulators.ledger import Pulse

Array = npt.NDArray[np.float64]

MUSCLE = "agonist"
SITES = (MuscleSite(MUSCLE, ("emg_1",), ((0, CHANNEL),)),)
#: That activity is taken over.
LEVEL_S = 0.05


@dataclass(frozen=True, slots=True)
class Lived:
    """What a step of 10 ms came to, (people,) each.

    Attributes
    ----------
    force_n
        Of the muscle, in truth.
    cell_n
        As the force cell read it.
    level_uv
        RMS of the EMG over the last 50 ms.
    spasm
        Whether one is on.
    fatigue
        Share of all force that is lost.
    """

    force_n: Array
    cell_n: list[float]
    level_uv: list[float]
    spasm: list[bool]
    fatigue: Array


class Bodies(Protocol):
    """People that live in steps of 10 ms."""

    def see(self, number: int, phase: Phase, now_ns: int) -> None:
        """One person's screen shows this."""
        ...

    def step(self, pulses: Sequence[Sequence[Pulse]]) -> Lived:
        """Live for 10 ms with these pulses, a list per person."""
        ...


class FastBodies:
    """All people on the fast tier, stepped together."""

    def __init__(self, cases: Sequence[Case], start_ns: int) -> None:
        people = [as_they_are(case) for case in cases]
        seeds = [case.seed for case in cases]
        self._subjects = FastSubjects(people, seeds, muscles=SITES, window_s=LEVEL_S, start_ns=start_ns)
        self._cells = [
            ForceCell(person, Randomness(seed).cell, rate_hz=1e9 / STEP_NS, start_ns=start_ns)
            for person, seed in zip(people, seeds, strict=True)
        ]

    def see(self, number: int, phase: Phase, now_ns: int) -> None:
        """One person's screen shows this."""
        self._subjects.people[number].see(phase, now_ns)

    def step(self, pulses: Sequence[Sequence[Pulse]]) -> Lived:
        """Live for 10 ms with these pulses, a list per person."""
        subjects = self._subjects
        told = subjects.step(pulses)
        now_ns = subjects.now_ns
        cell_n = [
            float(cell.read(person.limb.torques_n_m, now_ns)[-1, 0])
            for cell, person in zip(self._cells, subjects.people, strict=True)
        ]
        return Lived(
            told.force_n[:, 0], cell_n, told.rms_uv[:, 0].tolist(), told.spasm[:, 0].tolist(), told.fatigue[:, 0].copy()
        )


class FullBodies:
    """The same people on the full tier, each by themselves, with every sample of EMG."""

    def __init__(self, cases: Sequence[Case], start_ns: int) -> None:
        self._subjects = [
            VirtualSubject(as_they_are(case), case.seed, muscles=SITES, force_cell=True, start_ns=start_ns)
            for case in cases
        ]
        self._now_ns = start_ns
        self._emg: list[deque[npt.NDArray[np.int16]]] = [deque(maxlen=round(LEVEL_S * 1e9) // STEP_NS) for _ in cases]

    def see(self, number: int, phase: Phase, now_ns: int) -> None:
        """One person's screen shows this."""
        self._subjects[number].see(phase, now_ns)

    def step(self, pulses: Sequence[Sequence[Pulse]]) -> Lived:
        """Live for 10 ms with these pulses, a list per person."""
        begin_ns, self._now_ns = self._now_ns, self._now_ns + STEP_NS
        force_n, cell_n, level_uv, spasm, fatigue = [], [], [], [], []
        for subject, given, past in zip(self._subjects, pulses, self._emg, strict=True):
            lived = subject.step(begin_ns, self._now_ns, given)
            past.append(lived.emg[:, 0])
            force_n.append(subject.person.limb.torques_n_m[-1] / subject.parameters.moment_arm_m)
            cell_n.append(float(lived.force[-1, 0]) if lived.force is not None else float("nan"))
            level_uv.append(float(np.std(np.concatenate(list(past)))) * VOLTS_PER_COUNT * 1e6)
            spasm.append(subject.person.spasms.now is not None)
            fatigue.append(subject.fatigue[MUSCLE])
        return Lived(np.array(force_n), cell_n, level_uv, spasm, np.array(fatigue))


def as_they_are(case: Case) -> SubjectParameters:
    """The person on that day: thresholds moved since the calibration, the joint held.

    The one muscle is the one that was calibrated, so it differs from the person's parameters in nothing else.
    """
    person, drift = case.person, case.drift
    return replace(
        person,
        joint_fixed=1.0,
        muscle_spread=0.0,
        recruitment_median_uc=person.recruitment_median_uc * drift,
        sensory_uc=person.sensory_uc * drift,
        motor_uc=person.motor_uc * drift,
        tolerance_uc=person.tolerance_uc * drift,
    )
