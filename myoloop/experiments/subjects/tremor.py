"""Tremor: a narrow-band oscillation of the drive to the muscles and of the torque about the joint.

``y(t) = Re(z(t) exp(2 pi i f t))`` with a slow complex envelope z (an Ornstein-Uhlenbeck process of the stated
bandwidth), so that amplitude and phase wander as those of a real tremor do and y has an RMS of 1. It multiplies a
voluntary effort by ``1 + depth * y`` and adds ``torque * y`` to the joint.
"""

from __future__ import annotations

import cmath
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import Parameters, Uniform, parameter

Array = npt.NDArray[np.float64]

#: Where the kinds of tremor lie (science.md 2.4), and whether they are there at rest.
TREMORS: dict[str, tuple[float, float, bool]] = {
    "rest": (4.0, 6.0, True),
    "essential": (4.0, 12.0, False),
    "physiological": (8.0, 12.0, False),
}
_HIGHEST = 2.5


@dataclass(frozen=True, kw_only=True)
class TremorParameters(Parameters):
    """A person's tremor; none by default.

    Attributes
    ----------
    tremor_hz, tremor_bandwidth_hz
        Middle of its band; full width of it at half of the power.
    tremor_depth
        RMS of the modulation of a voluntary effort, relative.
    tremor_torque_n_m
        RMS of the torque while an effort is held.
    tremor_at_rest
        Share of that torque without an effort: 1 for a rest tremor, 0 for a postural one.
    """

    tremor_hz: float = parameter(
        6.0, 3.0, 12.0, varies=Uniform(4.0, 12.0), source="science.md 2.4: 4 to 12 Hz by kind; shown only with a depth"
    )
    tremor_bandwidth_hz: float = parameter(0.3, 0.02, 3.0, source="our choice: cycles stay in step for about a second")
    tremor_depth: float = parameter(0.0, 0.0, 1.0, source="our choice: none, unless a study asks for it")
    tremor_torque_n_m: float = parameter(0.0, 0.0, 20.0, source="our choice: none, unless a study asks for it")
    tremor_at_rest: float = parameter(0.0, 0.0, 1.0, source="our choice: postural, unless a study asks for it")


class Tremor:
    """A person's tremor, one for all muscles.

    Parameters
    ----------
    rng
        Two numbers are taken per step, whatever comes of them.
    """

    def __init__(self, parameters: TremorParameters, rng: np.random.Generator) -> None:
        self._p = parameters
        self._rng = rng
        self._envelope = self._drawn()
        self._phase = 0.0
        self._wave: Array | None = None

    def step(self, steps: int) -> None:
        """Go on by whole milliseconds."""
        p = self._p
        keep = math.exp(-math.pi * p.tremor_bandwidth_hz * steps * 1e-3)
        before = self._envelope
        self._envelope = before * keep + math.sqrt(1.0 - keep * keep) * self._drawn()
        begin = self._phase
        self._phase = math.fmod(begin + 2 * math.pi * p.tremor_hz * steps * 1e-3, 2 * math.pi)
        if p.tremor_depth <= 0.0 and p.tremor_torque_n_m <= 0.0:
            self._wave = None
            return
        along = np.arange(steps + 1) / steps
        envelope = _limited(before) + (_limited(self._envelope) - _limited(before)) * along
        phase = begin + 2 * math.pi * p.tremor_hz * 1e-3 * np.arange(steps + 1)
        self._wave = (envelope * np.exp(1j * phase)).real

    def on_effort(self) -> Array | None:
        """Factor on a voluntary effort at the begin of the span stepped last and at the end of each of its ms.

        Returns
        -------
        array (steps + 1,)
            From 0; None where it is 1 throughout.
        """
        if self._wave is None or self._p.tremor_depth <= 0.0:
            return None
        factor: Array = np.maximum(0.0, 1.0 + self._p.tremor_depth * self._wave)
        return factor

    def torque_n_m(self, held: bool) -> Array | None:
        """Torque about the joint at the end of each ms of the span stepped last, (steps,); None where there is none.

        Parameters
        ----------
        held
            Whether an effort is held.
        """
        size_n_m = self._p.tremor_torque_n_m * (1.0 if held else self._p.tremor_at_rest)
        if self._wave is None or size_n_m <= 0.0:
            return None
        torque: Array = size_n_m * self._wave[1:]
        return torque

    def truth(self) -> dict[str, float]:
        """Frequency, and how strong it is."""
        p = self._p
        return {"tremor_hz": p.tremor_hz, "tremor_depth": p.tremor_depth, "tremor_torque_n_m": p.tremor_torque_n_m}

    def _drawn(self) -> complex:
        real, imaginary = self._rng.standard_normal(2)
        return complex(real, imaginary)


def _limited(envelope: complex) -> complex:
    """At most 2.5 times its RMS: the limb has an end."""
    size = abs(envelope)
    return envelope if size <= _HIGHEST else cmath.rect(_HIGHEST, cmath.phase(envelope))
