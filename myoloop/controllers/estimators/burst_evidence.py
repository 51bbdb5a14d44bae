"""What a learned detector of spasms looks at: levels over rest, now and lately, and between pulses.

The same quantities as the rules of :mod:`~myoloop.controllers.estimators.spasm` are made of, all of them relative to
the person's own rest; nothing of who it is, of the time, or of what the rules say.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Heard
from myoloop.controllers.estimators.spasm import AdaptiveBurst
from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]

#: Levels are natural logarithms, over rest. ``hop_<n>``: of 10 ms, n hops ago.
EVIDENCE: tuple[str, ...] = (
    "rise_50ms", "rise_50ms_spreads", "rise_250ms", "hop_0", "hop_1", "hop_2", "hop_3", "hop_4",
    "mean_100ms", "mean_250ms", "most_250ms", "least_250ms", "mean_500ms", "most_500ms",
    "share_50ms", "share_10ms", "pulsed", "gap_rise", "gap_rise_margins", "rest_spread",
)  # fmt: skip
_HOPS = 50
_SHARE_MIN = 0.5
_LEVEL_MIN_UV = 1e-3
#: Beyond this a level over rest says no more.
_RISE_MOST = 6.0
_SPREADS_MOST = 60.0


class BurstEvidence(Restorable):
    """Remembers the last half second of each muscle."""

    _kept: ClassVar[tuple[str, ...]] = ("_rises", "_hops")

    def __init__(self, muscles: int) -> None:
        self._rises: Floats = np.zeros((_HOPS, muscles))
        self._hops = 0

    def hear(self, heard: Heard, rules: AdaptiveBurst) -> Floats:
        """Take in a hop after the rules have: (muscles, evidence), finite.

        Parameters
        ----------
        rules
            Who listens between pulses.
        """
        now = self._hops % _HOPS
        before = self._rises[now - 1]
        # A hop that cannot be judged counts as the one before it.
        known = (heard.share_hop >= _SHARE_MIN) & heard.rest_known
        self._rises[now] = np.where(known, _within(heard.log_level_hop - heard.rest_hop), before)
        self._hops += 1
        lately = self._rises[(now - np.arange(_HOPS)) % _HOPS]
        rise = _within(heard.log_level - heard.rest)
        spread = np.maximum(heard.rest_sigma, 1e-3)
        pulsed, gap_rise, gap_known, gap_margin = rules.gaps(heard.t_ns)
        between = gap_known if pulsed else np.zeros(len(rise), dtype=np.bool_)
        gap = np.where(between, _within(gap_rise), rise)
        margin = np.where(between, gap_margin, 4.0 * spread)
        evidence = np.column_stack(
            [
                rise,
                np.clip(rise / spread, -_SPREADS_MOST, _SPREADS_MOST),
                _within(np.log(np.maximum(heard.level_uv, _LEVEL_MIN_UV)) - heard.rest),
                *lately[:5],
                lately[:10].mean(axis=0),
                lately[:25].mean(axis=0),
                lately[:25].max(axis=0),
                lately[:25].min(axis=0),
                lately.mean(axis=0),
                lately.max(axis=0),
                heard.share,
                heard.share_hop,
                np.full(len(rise), float(pulsed)),
                gap,
                np.clip(gap / np.maximum(margin, 1e-3), -_SPREADS_MOST, _SPREADS_MOST),
                spread,
            ]
        )
        finite: Floats = np.nan_to_num(evidence, nan=0.0, posinf=_SPREADS_MOST, neginf=-_SPREADS_MOST)
        return finite


def _within(rise: Floats) -> Floats:
    return np.clip(rise, -_RISE_MOST, _RISE_MOST)
