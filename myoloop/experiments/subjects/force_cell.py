"""A force cell: the muscles' torque about the joint, taken as the force at its lever.

It is tared: weight and stiffness of the passive limb are not in it. Where the joint is held
(:attr:`~myoloop.experiments.subjects.limb.LimbParameters.joint_fixed`) it is a dynamometer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import Parameters, parameter
from myoloop.experiments.subjects.sampling import SampleTimes


@dataclass(frozen=True, kw_only=True)
class ForceCellParameters(Parameters):
    """A force cell.

    Attributes
    ----------
    force_lever_m
        From the joint to where it holds the segment.
    force_noise_n
        Standard deviation per sample.
    force_offset_n, force_drift_n
        Spread of the offset that it begins with, and of what the offset gains in one minute, with the root of time.
    """

    force_lever_m: float = parameter(
        0.04, 0.001, 1.0, source="our choice: the muscles' own moment arm, so that it reads newtons of muscle"
    )
    force_noise_n: float = parameter(0.5, 0.0, 20.0, source="the reference control benchmark's sensor")
    force_offset_n: float = parameter(0.2, 0.0, 20.0, source="our choice: less than the noise, as after taring")
    force_drift_n: float = parameter(0.1, 0.0, 20.0, source="our choice: half a newton in half an hour")


class ForceCell:
    """Reads the torque.

    Parameters
    ----------
    rng
        For offset, drift and noise.
    rate_hz
        1 to 1000.
    start_ns
        When its time begins.

    Attributes
    ----------
    offset_n
        Now: the truth of what it reads too much.

    Raises
    ------
    ValueError
        If the rate is not within that.
    """

    def __init__(
        self, parameters: ForceCellParameters, rng: np.random.Generator, *, rate_hz: float = 100.0, start_ns: int = 0
    ) -> None:
        self._p = parameters
        self._rng = rng
        self._times = SampleTimes("force_rate_hz", rate_hz, start_ns)
        self._walk_n = parameters.force_drift_n / math.sqrt(60.0 * self._times.rate_hz)
        self.offset_n = parameters.force_offset_n * float(rng.standard_normal())

    @property
    def rate_hz(self) -> float:
        """Samples per second."""
        return self._times.rate_hz

    def read(self, torques_n_m: Sequence[float], t_to_ns: int) -> npt.NDArray[np.float32]:
        """Samples due in the span of these torques, one per millisecond, the last at `t_to_ns`.

        Returns
        -------
        numpy.ndarray
            (n, 1) in N.
        """
        due = self._times.due(t_to_ns, len(torques_n_m))
        read = np.empty((len(due), 1), dtype=np.float32)
        for row, (place, (noise, step)) in enumerate(zip(due, self._rng.standard_normal((len(due), 2)), strict=True)):
            self.offset_n += self._walk_n * float(step)
            read[row, 0] = torques_n_m[place] / self._p.force_lever_m + self.offset_n + self._p.force_noise_n * noise
        return read
