"""Many scenes at once as the muscles of one detector: the controller's own path, and the simplest known method.

Each scene is a column of one EMG source. The columns have nothing to do with one another, so the rule for cross-talk is
switched off. What counts is what the estimates say, hop by hop, and when they say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.estimator import Setup, Situation
from myoloop.controllers.muscles import MuscleGroup
from myoloop.controllers.parts import Faults
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.platform.messages import SampleDescriptor, Samples

Array = npt.NDArray[np.float64]

RATE_HZ = 2000.0
#: RMS of rest in µV: a scene is in units of it.
REST_UV = 5.0
_RAIL_UV = 5500.0
_SILENT_NS = 150_000_000
_TRIGGER_S = 0.001
#: Hodges and Bui 1996: smoothing, threshold, how long it must be above; the mean of which stretch is rest.
_SMOOTH_HZ, _DEVIATIONS, _SUSTAINED_S, _REST_S = 50.0, 3.0, 0.025, (2.0, 12.0)
#: As ours: bursts closer than this are one.
_MERGE_S = 0.25


@dataclass(slots=True)
class Told:
    """One burst as it was told.

    Attributes
    ----------
    at_s, end_s
        When it was first told to be on, and no more.
    kind, kind_s
        What was told at its end, and when a kind was first told; infinite where none was.
    clonus_hz
        Told with it; NaN where none was.
    """

    at_s: float
    end_s: float
    kind: str = ""
    kind_s: float = np.inf
    clonus_hz: float = np.nan


def run_controller(emg: Array, pulses_s: Array | None = None) -> list[list[Told]]:
    """What the controller's estimates tell of each column.

    Parameters
    ----------
    emg
        (n, columns) in units of the RMS at rest.
    pulses_s
        Times of stimulation pulses, which the amplifier's trigger line shows; None: nobody is stimulated.
    """
    rows, columns = emg.shape
    stimulated = pulses_s is not None
    names = tuple(f"m{column}" for column in range(columns))
    channels = (*names, "trigger")
    descriptor = SampleDescriptor(
        topic="emg/scenes", rate_hz=RATE_HZ, dtype="<f8", channels=channels, units=("V",) * columns + ("1",),
        scale=(1e-6,) * columns + (1.0,), offset=(0.0,) * (columns + 1), rail_low=-_RAIL_UV, rail_high=_RAIL_UV,
        sync_channel="trigger" if stimulated else None,
    )  # fmt: skip
    conditioner = Conditioner(ConditioningSettings(), descriptor, tuple(range(columns)), stimulated)
    size = conditioner.hop_samples
    setup = Setup(names, RATE_HZ, size, stimulated, np.zeros(columns, dtype=np.bool_))
    chosen = (Choice(name="adaptive_burst", settings={"crosstalk": 0.0}), Choice(name="spasm_kind"))
    group = MuscleGroup(conditioner, setup, BaselineSettings(), chosen, Faults())
    block = np.zeros((size, columns + 1))
    line = _trigger_line(rows, () if pulses_s is None else pulses_s)
    told: list[list[Told]] = [[] for _ in range(columns)]
    on = [False] * columns
    for number in range(rows // size):
        now_ns = (number + 1) * round(1e9 * size / RATE_HZ)
        part = slice(number * size, (number + 1) * size)
        block[:, :-1] = REST_UV * emg[part]
        block[:, -1] = line[part]
        situation = Situation(now_ns)
        group.add(Samples(first_sample=number * size, t_ns=now_ns), block, 1, situation)
        group.advance(now_ns, stimulated, situation)
        now_s = now_ns * 1e-9
        for column, estimate in enumerate(group.estimates(now_ns, _SILENT_NS)):
            active = estimate.spasm.value == 1.0
            if not active and not on[column]:
                continue
            if active and not on[column]:
                told[column].append(Told(now_s, np.inf))
            burst = told[column][-1]
            if estimate.spasm_kind:
                burst.kind = estimate.spasm_kind
                burst.kind_s = min(burst.kind_s, now_s)
                burst.clonus_hz = np.nan if estimate.clonus_frequency_hz is None else estimate.clonus_frequency_hz
            if not active:
                burst.end_s = now_s
            on[column] = active
    for bursts in told:
        for burst in bursts:
            burst.end_s = min(burst.end_s, rows / RATE_HZ)
    return told


def run_fixed_threshold(emg: Array) -> list[list[Told]]:
    """The simplest known method (Hodges and Bui): rectified, smoothed, above the mean + 3 SD of a stretch of rest."""
    from scipy.signal import butter, sosfilt

    sos = butter(2, _SMOOTH_HZ, fs=RATE_HZ, output="sos")
    smooth = sosfilt(sos, np.abs(emg), axis=0)
    rest = smooth[round(_REST_S[0] * RATE_HZ) : round(_REST_S[1] * RATE_HZ)]
    above = smooth > rest.mean(axis=0) + _DEVIATIONS * rest.std(axis=0)
    # The first moments are the filter's.
    above[: round(0.1 * RATE_HZ)] = False
    return [_bursts(above[:, column]) for column in range(emg.shape[1])]


def _bursts(above: npt.NDArray[np.bool_]) -> list[Told]:
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    bursts: list[Told] = []
    for first, last in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if last - first < _SUSTAINED_S * RATE_HZ:
            continue
        at_s, end_s = first / RATE_HZ + _SUSTAINED_S, last / RATE_HZ
        if bursts and first / RATE_HZ - bursts[-1].end_s < _MERGE_S:
            bursts[-1].end_s = end_s
        else:
            bursts.append(Told(at_s, end_s))
    return bursts


def _trigger_line(rows: int, pulses_s: Sequence[float] | Array) -> Array:
    line = np.zeros(rows)
    for pulse_s in pulses_s:
        first = int(np.ceil(pulse_s * RATE_HZ))
        line[first : first + round(_TRIGGER_S * RATE_HZ)] = 1.0
    return line
