"""What a learned estimator of evoked fatigue looks at: the terms of the rules, the M-wave's shape, and the dose so far.

The dose is what the muscle was made to do: seconds of stimulation, each weighed by its pulse rate over 33/s and by its
charge over that of the first train, forgotten with 20 s, with 120 s (Ding's recovery) and never.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Situation
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure, MWave, StimReport

Floats = npt.NDArray[np.float64]

_TERMS = ("fatigue_mechanical", "fatigue_mwave", "fused")
_SHAPES = ("peak_to_peak_uv", "rectified_area_uv_ms", "duration_ms", "latency_ms")
#: ``<term>``, ``<term>_low``, ``<term>_high`` are -1 where the term is not valid; shapes are ln of now over first.
EVIDENCE: tuple[str, ...] = (
    *(f"{term}{end}" for term in _TERMS for end in ("", "_low", "_high")),
    *(f"ln_{shape}" for shape in _SHAPES),
    "dose_20s", "dose_120s", "dose_s", "rested_s",
)  # fmt: skip
UNKNOWN = -1.0
_FORGOTTEN_S = (20.0, 120.0, math.inf)
_RATE_HZ = 33.0
#: The charge of the first train is the largest within so much stimulation; M-waves count after this much.
_FIRST_S, _SKIP_S = 3.0, 8.0
_RESTED_MOST_S = 120.0
_LN_MOST = 2.0


class FatigueEvidence(Restorable):
    """Of each muscle on one source.

    Parameters
    ----------
    channels
        Per muscle, the names of the stimulation channels that drive it.
    """

    _kept: ClassVar[tuple[str, ...]] = ("_first", "_dose", "_on_s", "_usual_uc", "_rested_s", "_last_ns")

    def __init__(self, channels: Sequence[Sequence[str]]) -> None:
        self._channels = [frozenset(names) for names in channels]
        muscles = len(channels)
        # Per muscle: its first M-wave's shape; empty before.
        self._first: list[list[float]] = [[] for _ in range(muscles)]
        self._dose: Floats = np.zeros((len(_FORGOTTEN_S), muscles))
        self._on_s: Floats = np.zeros(muscles)
        self._usual_uc: Floats = np.zeros(muscles)
        self._rested_s: Floats = np.full(muscles, _RESTED_MOST_S)
        self._last_ns: int | None = None

    def step(self, situation: Situation) -> None:
        """Take in what was given since the last step."""
        last_ns, self._last_ns = self._last_ns, situation.now_ns
        if last_ns is None or situation.report is None:
            return
        span_s = min(max((situation.now_ns - last_ns) * 1e-9, 0.0), 1.0)
        for forgotten_s, dose in zip(_FORGOTTEN_S, self._dose, strict=True):
            dose *= math.exp(-span_s / forgotten_s)
        for muscle, names in enumerate(self._channels):
            charge_uc, rate_hz = _flowing(situation.report, names)
            if charge_uc <= 0.0:
                self._rested_s[muscle] = min(_RESTED_MOST_S, self._rested_s[muscle] + span_s)
                continue
            self._rested_s[muscle] = 0.0
            if self._on_s[muscle] < _FIRST_S:
                self._usual_uc[muscle] = max(charge_uc, self._usual_uc[muscle])
            self._on_s[muscle] += span_s
            self._dose[:, muscle] += span_s * rate_hz / _RATE_HZ * charge_uc / self._usual_uc[muscle]

    def known(self, fields: Mapping[str, Sequence[Any]], fused: Sequence[Measure]) -> Floats:
        """Evidence now: (muscles, evidence), finite.

        Parameters
        ----------
        fields
            Of the M-wave's and the movement's estimators.
        fused
            What the rules make of them.
        """
        rows = []
        for muscle in range(len(self._channels)):
            terms = [fields["fatigue_mechanical"][muscle], fields["fatigue_mwave"][muscle], fused[muscle]]
            rows.append(
                [
                    *(number for term in terms for number in _term(term)),
                    *self._shape(muscle, fields["mwave"][muscle]),
                    *self._dose[:, muscle].tolist(),
                    float(self._rested_s[muscle]),
                ]
            )
        return np.array(rows)

    def _shape(self, muscle: int, wave: MWave | None) -> list[float]:
        if wave is None or self._on_s[muscle] < _SKIP_S:
            return [0.0] * len(_SHAPES)
        now = [max(float(getattr(wave, name)), 1e-6) for name in _SHAPES]
        if not self._first[muscle]:
            self._first[muscle] = now
        pairs = zip(now, self._first[muscle], strict=True)
        return [min(_LN_MOST, max(-_LN_MOST, math.log(new / first))) for new, first in pairs]


def _term(measure: Measure) -> tuple[float, float, float]:
    if not measure.valid or measure.value is None:
        return UNKNOWN, UNKNOWN, UNKNOWN
    value = measure.value
    return value, value if measure.low is None else measure.low, value if measure.high is None else measure.high


def _flowing(report: StimReport, names: frozenset[str]) -> tuple[float, float]:
    """Charge of a phase and pulse rate, of the strongest of these channels."""
    flowing = [item for item in report.allowed if item.channel in names and item.current_ma > 0.0]
    best = max(flowing, key=lambda item: item.current_ma * item.phase_us, default=None)
    return (0.0, 0.0) if best is None else (best.current_ma * best.phase_us * 1e-3, best.rate_hz)
