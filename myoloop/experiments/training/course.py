"""What came of a closed loop: per person, and trial by trial."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.training.task import STEP_S, Task

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Course:
    """What came of it: (people,) each, `trial_*` (people, trials).

    Attributes
    ----------
    rmse
        Root mean square of the true force against the trapezoid over the train, over the set point; mean of all
        trials. `bias` is its mean in the hold, signed.
    fatigue
        Share of the muscle's force that is lost at the end of the last train, in truth.
    charge_mc
        Charge per phase summed over the pulses that reached the person.
    saturated
        Share of the trains' time in which more was wanted than may be asked for.
    peak_ma
        Largest current delivered.
    interventions
        Of each person: steps in which the gate let less through than was asked for, by its rule.
    violations
        Of each person: pulses that broke the envelope, by limit, judged by the delivered pulses alone.
    assisted
        Trials that waited for an effort in vain.
    trial_rmse, trial_bias, trial_charge_mc, trial_fatigue, trial_force_n_s
        The same of each trial; `trial_force_n_s` is the force-time integral of the train.
    """

    rmse: Array
    bias: Array
    fatigue: Array
    charge_mc: Array
    saturated: Array
    peak_ma: Array
    interventions: tuple[Mapping[str, int], ...]
    violations: tuple[Mapping[str, int], ...]
    assisted: tuple[int, ...]
    trial_rmse: Array
    trial_bias: Array
    trial_charge_mc: Array
    trial_fatigue: Array
    trial_force_n_s: Array


class Tally:
    """Adds a course up, step by step."""

    def __init__(self, task: Task, set_points_n: Sequence[float]) -> None:
        trial = task.trial
        self._ramp_s, self._hold_s, self._on_s = trial.ramp_s, trial.hold_s, trial.on_s
        self.set_points_n: Array = np.array(set_points_n)
        shape = (len(set_points_n), trial.repetitions)
        self._square, self._error, self._on, self._held = (np.zeros(shape) for _ in range(4))
        self._charge, self._fatigue, self._force = (np.zeros(shape) for _ in range(3))
        self._saturated = np.zeros(shape[0])
        self._rows = np.arange(shape[0])
        #: Error now as a share of the set point, 0 outside of a train.
        self.error: Array = np.zeros(shape[0])
        self.in_train: npt.NDArray[np.bool_] = np.zeros(shape[0], dtype=bool)

    def step(
        self, trial: npt.NDArray[np.int64], at_s: Array, force_n: Array, fatigue: Array, charge_mc: Array,
        saturated: npt.NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """Note the end of a step.

        Parameters
        ----------
        trial
            Number of the trial from 0, by person; -1 before the first.
        at_s
            Time since the train's begin, below 0 before it.
        charge_mc
            That reached the person within the step.
        """
        rise = np.minimum(at_s, self._on_s - at_s) * (1.0 / self._ramp_s)
        due = np.minimum(1.0, np.maximum(0.0, rise))
        # Times are whole steps but for a rounding error.
        self.in_train = (at_s > 0.5 * STEP_S) & (at_s < self._on_s + 0.5 * STEP_S) & (trial >= 0)
        in_hold = (at_s > self._ramp_s + 0.5 * STEP_S) & (at_s < self._ramp_s + self._hold_s + 0.5 * STEP_S)
        relative = force_n / self.set_points_n
        self.error = np.where(self.in_train, relative - due, 0.0)
        at = self._rows, trial
        self._charge[at] += charge_mc
        self._square[at] += np.square(self.error)
        self._on[at] += self.in_train
        held = self.in_train & in_hold
        self._error[at] += np.where(held, self.error, 0.0)
        self._held[at] += held
        self._force[at] += np.where(self.in_train, force_n * STEP_S, 0.0)
        self._fatigue[at] = np.where(self.in_train, fatigue, self._fatigue[at])
        self._saturated += self.in_train & saturated

    def course(
        self, peak_ma: Sequence[float], interventions: Sequence[Counter[str]], violations: Sequence[Counter[str]],
        assisted: Sequence[int],
    ) -> Course:  # fmt: skip
        """What has come of it so far; trials that have not begun count nothing."""
        on = np.maximum(self._on, 1.0)
        begun = np.maximum((self._on > 0).sum(axis=1), 1)
        rmse = np.sqrt(self._square / on)
        bias = self._error / np.maximum(self._held, 1.0)
        last = np.maximum((self._on > 0).sum(axis=1) - 1, 0)
        return Course(
            rmse=rmse.sum(axis=1) / begun,
            bias=bias.sum(axis=1) / begun,
            fatigue=self._fatigue[self._rows, last],
            charge_mc=self._charge.sum(axis=1),
            saturated=self._saturated / np.maximum(self._on.sum(axis=1), 1.0),
            peak_ma=np.array(peak_ma, dtype=np.float64),
            interventions=tuple(dict(sorted(one.items())) for one in interventions),
            violations=tuple(dict(sorted(one.items())) for one in violations),
            assisted=tuple(assisted),
            trial_rmse=rmse,
            trial_bias=bias,
            trial_charge_mc=self._charge.copy(),
            trial_fatigue=self._fatigue.copy(),
            trial_force_n_s=self._force.copy(),
        )
