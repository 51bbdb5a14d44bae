"""The stimulation artifact: what a pulse leaves in an amplifier, and how the amplifier comes back from its rail.

The pulse is biphasic. What reaches the amplifier's output is each edge with the amplifier's own rise time, decaying
as the AC coupling forgets it, and the discharge of the electrodes at the end. Where that would exceed the rail, the
amplifier is driven into saturation: its samples are clipped, and afterwards its base line is off by a share of the
overdrive, against the leading phase, and recovers exponentially. Electrodes of other muscles see a share of it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Uniform, parameter

Array = npt.NDArray[np.float64]

# The amplifier's own rise time, the electrode's discharge, and its share. At 20 mA and 0.4 mV/mA less than 2 uV are
# left 4 ms after the pulse.
_RISE_S = 0.12e-3
_DISCHARGE_S = 0.42e-3
_DISCHARGE_SHARE = 0.35
#: The amplifier is AC coupled: of a longer phase only the edge is seen.
_LONGEST_EDGE_S = 1.0e-3
#: What is left of the edges so long after the second phase is below 1e-6.
_EDGES_LAST_S = 6.0e-3
#: The recovery is followed for so many of its time constants: to 1e-4 of the rail, a microvolt.
_RECOVERY_TAUS = 9.0


@dataclass(frozen=True, kw_only=True)
class ArtifactParameters(Parameters):
    """What a pulse leaves in the amplifier.

    Attributes
    ----------
    artifact_mv_per_ma
        Plateau on the stimulated muscle's channels.
    artifact_crosstalk
        Share that the channels of other muscles get.
    artifact_recovery_share, artifact_recovery_ms
        Base line after saturation as a share of what was beyond the rail, at most the rail; its time constant.
    artifact_jitter_us
        A pulse comes so much later than the stimulator reports, and up to so much before or after that. The trigger
        line shows when it came.
    """

    artifact_mv_per_ma: float = parameter(
        0.4, 0.0, 5.0, varies=LogNormal(0.4, 0.3), source="our choice: clips at 14 mA, as in the FES cycling record"
    )
    artifact_crosstalk: float = parameter(
        0.12, 0.0, 1.0,
        varies=Uniform(0.006, 0.06),
        source="science.md 3: 0.05 to 0.2 mV on other muscles; up to 0.5 mV in the FES cycling record",
    )  # fmt: skip
    artifact_recovery_share: float = parameter(
        0.0, 0.0, 1.0, varies=Uniform(0.02, 0.3), source="our choice: 0.1 to 1.5 mV, as in the FES cycling record"
    )
    artifact_recovery_ms: float = parameter(4.0, 0.5, 30.0, varies=Uniform(2.0, 8.0), source="science.md 3: 2 to 8 ms")
    artifact_jitter_us: float = parameter(
        0.0, 0.0, 500.0, varies=Uniform(50.0, 100.0), source="science.md 3: 50 to 100 us"
    )


def artifact(since_s: Array, phase_s: float) -> Array:
    """Stimulation artifact per unit of its plateau, at times after the leading edge, before any clipping."""
    width = min(phase_s, _LONGEST_EDGE_S)
    since = np.maximum(since_s, 0.0)

    def edge(begin: float) -> Array:
        after = np.maximum(since - begin, 0.0)
        rise: Array = (1.0 - np.exp(-after / _RISE_S)) * np.exp(-after / _DISCHARGE_S)
        return rise

    discharge = _DISCHARGE_SHARE * np.where(since > 2 * width, np.exp(-(since - 2 * width) / _DISCHARGE_S), 0.0)
    return edge(0.0) - 2.0 * edge(width) + edge(2 * width) - discharge


@lru_cache(maxsize=256)
def artifact_peak(phase_s: float) -> float:
    """Largest absolute value of :func:`artifact`."""
    return float(np.abs(artifact(np.arange(0.0, 4e-3, 5e-6), phase_s)).max())


def edges_last_s(phase_s: float) -> float:
    """Time from the leading edge to where nothing of the artifact itself is left."""
    return 2 * min(phase_s, _LONGEST_EDGE_S) + _EDGES_LAST_S


class ArtifactModel:
    """Artifacts of one muscle's stimulation.

    Parameters
    ----------
    reach
        (channels,) share of the plateau that each EMG channel of the amplifier gets.
    rail_v
        (channels,) where each channel clips.
    """

    def __init__(self, parameters: ArtifactParameters, reach: Array, rail_v: Array) -> None:
        self._p = parameters
        self._reach, self._rail_v = reach, rail_v
        self._recovery_s = parameters.artifact_recovery_ms * 1e-3

    def overdrive_v(self, current_ma: float, phase_s: float) -> Array | None:
        """How far each channel is driven beyond its rail (channels,); None where none is or none remembers it."""
        if self._p.artifact_recovery_share <= 0.0:
            return None
        peak_v = 1e-3 * self._p.artifact_mv_per_ma * current_ma * artifact_peak(phase_s)
        beyond: Array = np.maximum(0.0, peak_v * self._reach - self._rail_v)
        return beyond if beyond.any() else None

    def lasts_s(self, phase_s: float, overdriven: bool) -> float:
        """Time from a pulse to the end of what it leaves."""
        if not overdriven:
            return edges_last_s(phase_s)
        return 2 * min(phase_s, _LONGEST_EDGE_S) + max(_EDGES_LAST_S, _RECOVERY_TAUS * self._recovery_s)

    def left_v(self, since_s: Array, current_ma: float, phase_s: float, overdrive_v: Array | None) -> Array:
        """What a pulse leaves on every channel, before clipping: (n, channels) at times (n,) after it."""
        plateau_v = 1e-3 * self._p.artifact_mv_per_ma * current_ma
        stray_v: Array = (artifact(since_s, phase_s) * plateau_v)[:, None] * self._reach
        if overdrive_v is not None:
            after_s = since_s - 2 * min(phase_s, _LONGEST_EDGE_S)
            tail = np.where(after_s > 0.0, np.exp(-np.maximum(after_s, 0.0) / self._recovery_s), 0.0)
            stray_v -= tail[:, None] * np.minimum(self._rail_v, self._p.artifact_recovery_share * overdrive_v)
        return stray_v
