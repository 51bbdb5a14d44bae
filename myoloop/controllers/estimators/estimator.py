"""The contract of an estimator: what can be known of the muscles on one EMG source.

An estimator is one file: a class that meets :class:`Estimator`, with a frozen ``Settings`` (a msgspec struct or a
dataclass), named by an entry point of the group ``myoloop.estimators``. It is given every hop of EMG (10 ms) once,
then every step once, and tells the fields of :class:`~myoloop.platform.messages.MuscleEstimate` that it knows.
It reads no clock and keeps all it remembers in `state()`. One that raises, or gives something else than its fields,
is not believed (:class:`~myoloop.controllers.estimators.guarded.GuardedEstimator`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from myoloop.controllers.choice import Choice, make
from myoloop.platform.messages import Phase, SampleDescriptor, StimReport

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

GROUP = "myoloop.estimators"
#: Reason of a spasm that is not valid because it has been on without a pause for too long: not known to be over.
ON_TOO_LONG = "active without a pause for so long that the level at rest may have changed"
BUILT_IN = {
    "adaptive_burst": "myoloop.controllers.estimators.spasm:AdaptiveBurst",
    "effort": "myoloop.controllers.estimators.effort:Effort",
    "mwave": "myoloop.controllers.estimators.mwave:MWaves",
    "contraction_spectrum": "myoloop.controllers.estimators.fatigue:ContractionSpectrum",
    "mechanical_response": "myoloop.controllers.estimators.response:MechanicalResponse",
    "spasm_kind": "myoloop.controllers.estimators.spasm_kind:SpasmKind",
    "cocontraction": "myoloop.controllers.estimators.cocontraction:Cocontraction",
    "flexion_relaxation": "myoloop.controllers.estimators.flexion_relaxation:FlexionRelaxation",
    "learned_burst": "myoloop.controllers.estimators.learned_burst:LearnedBurst",
    "learned_fatigue": "myoloop.controllers.estimators.learned_fatigue:LearnedFatigue",
}


@dataclass(frozen=True, slots=True)
class Evoked:
    """What one pulse evoked: the EMG behind it as it was before anything was subtracted.

    Attributes
    ----------
    t_ns
        The pulse's leading edge, host time.
    channel
        Stimulation channel; empty where it cannot be told.
    since_ms
        (n,) time since the pulse of each row.
    frame_uv
        (n, n_muscles) in µV, the level just before the pulse taken off, not band-passed.
    good
        (n, n_muscles) False where the amplifier was at its rail or the sample is not valid for another reason.
    """

    t_ns: int
    channel: str
    since_ms: Floats
    frame_uv: Floats
    good: Mask


@dataclass(frozen=True, slots=True)
class ImuInput:
    """One body segment's IMU, as an estimator may use it.

    Attributes
    ----------
    descriptor
        Its stream.
    accelerometer, gyroscope
        Columns of the three axes; the gyroscope may be missing.
    """

    descriptor: SampleDescriptor
    accelerometer: tuple[int, int, int]
    gyroscope: tuple[int, int, int] | None


@dataclass(frozen=True, slots=True)
class Setup:
    """What does not change in a session.

    Attributes
    ----------
    muscles
        Names, in the order of all per-muscle arrays.
    rate_hz, hop_samples
        Of the EMG source.
    stimulated
        Whether the source sits on the person who is stimulated.
    effort_muscles
        (n_muscles,) True where the protocol asks for voluntary effort of that muscle.
    channels
        Per muscle, the names of the stimulation channels that drive it.
    imu
        The segment that moves, where there is an IMU.
    force
        Stream of the force or torque cell, where there is one; its first channel counts.
    """

    muscles: tuple[str, ...]
    rate_hz: float
    hop_samples: int
    stimulated: bool
    effort_muscles: Mask
    channels: tuple[tuple[str, ...], ...] = ()
    imu: ImuInput | None = None
    force: SampleDescriptor | None = None

    @property
    def hop_s(self) -> float:
        """Length of a hop."""
        return self.hop_samples / self.rate_hz


@dataclass(slots=True)
class Situation:
    """What stands around the EMG in this step.

    Attributes
    ----------
    now_ns
        The step's time.
    phase
        The director's, None where there is none or it is stale.
    effort_expected
        From the cue to the end of the ramp down of a trial that asks for voluntary effort.
    baseline
        The person is at rest and a baseline may be learned.
    report
        The stimulator's newest, None before the first.
    imu
        New blocks since the last step: (time of newest row, (n, n_channels) in SI units).
    force
        The same of the force cell.
    """

    now_ns: int
    phase: Phase | None = None
    effort_expected: bool = False
    baseline: bool = False
    report: StimReport | None = None
    imu: Sequence[tuple[int, Floats]] = ()
    force: Sequence[tuple[int, Floats]] = ()


@dataclass(slots=True)
class Heard:
    """One hop of EMG with what was measured in it; arrays are per muscle.

    Attributes
    ----------
    t_ns
        Host time of its newest sample.
    samples, good
        (hop_samples, n_muscles) in µV, band-passed, and which of them may be used.
    recent, recent_good
        The same for the last half second, this hop at its end.
    blanked
        Whether a stimulation pulse spoilt any of it.
    lost_hops
        How many hops were lost just before it.
    log_level, log_level_hop
        ln(RMS / µV) over 50 ms and over this hop.
    share, share_hop
        Share of valid samples in those windows.
    rest, rest_sigma, rest_hop, rest_sigma_hop
        Median and spread of those at rest.
    rest_known
        Where a rest level has been learned.
    level_uv, level_share
        RMS over the level window (250 ms) and its share of valid samples.
    contracting, contraction_began, contraction_ended
        Contractions, by activation well above rest.
    spasm
        Where an involuntary burst is on: written by the spasm estimator for those after it.
    evoked
        Frames behind pulses that were completed in this hop, in order of the pulses.
    invalid_share
        Share of this hop's samples that may not be used for another reason than a pulse.
    """

    t_ns: int
    samples: Floats
    good: Mask
    recent: Floats
    recent_good: Mask
    blanked: bool
    lost_hops: int
    log_level: Floats
    log_level_hop: Floats
    share: Floats
    share_hop: Floats
    rest: Floats
    rest_sigma: Floats
    rest_hop: Floats
    rest_sigma_hop: Floats
    rest_known: Mask
    level_uv: Floats
    level_share: Floats
    contracting: Mask
    contraction_began: Mask
    contraction_ended: Mask
    spasm: Mask = field(default_factory=lambda: np.zeros(0, dtype=np.bool_))
    evoked: Sequence[Evoked] = ()
    invalid_share: Floats = field(default_factory=lambda: np.zeros(0))


@runtime_checkable
class Estimator(Protocol):
    """Anything that knows something of the muscles on one source."""

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop of EMG; hops come in order, each once. The arrays are only lent."""
        ...

    def step(self, situation: Situation) -> None:
        """Take in one step, after its hops; also where no EMG came."""
        ...

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """Fields of ``MuscleEstimate`` that this estimator knows: for each, one value per muscle."""
        ...

    def state(self) -> dict[str, Any]:
        """What a restored object needs to go on bit for bit: JSON-ready."""
        ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        ...


def make_estimator(choice: Choice, setup: Setup) -> Estimator:
    """Build the estimator that `choice` names.

    Raises
    ------
    PluginError
        If there is none of that name, or its settings do not fit.
    """
    made: Estimator = make(GROUP, BUILT_IN, choice, setup)
    return made
