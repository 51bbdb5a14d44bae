"""Voluntary effort: how strong the muscle is active, relative to this session's own contractions.

The level is freed of the rest level by power, √(L² − R²), and divided by the session's reference: the strongest of
the first contractions that were asked for, or a level that the settings give (from a maximum voluntary contraction).

A contraction that is on is voluntary where effort is expected of the muscle while it lasts and no spasm was on when it
began; its beginning is told while it is on, with and without stimulation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.estimators.onset import Beginnings
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Floats = npt.NDArray[np.float64]

_NO_REST = Measure(reason="the level at rest is not known yet")
_NO_REFERENCE = Measure(reason="no contraction yet to compare with")
_FEW = Measure(reason="too few valid samples in the window")
_LOST = Measure(reason="samples were lost within the window")
_SILENT = Measure(reason="no EMG")


@dataclass(frozen=True, slots=True, kw_only=True)
class EffortSettings:
    """What effort is compared with.

    Attributes
    ----------
    reference_uv
        RMS that counts as effort 1, per muscle; what is not named is learned. Names of muscles on other sources are
        passed over.
    contractions
        The reference is learned from so many contractions, then stays.
    shortest_s
        A shorter contraction is not counted.
    share_min
        Share of valid samples below which the level says nothing.
    silent_ms
        Without EMG for so long nothing is known.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    reference_uv: dict[str, float] = field(default_factory=dict)
    contractions: int = 3
    shortest_s: float = 0.5
    share_min: float = 0.15
    silent_ms: float = 150.0

    def __post_init__(self) -> None:
        if not self.contractions >= 1:
            raise ValueError(f"effort.contractions is {self.contractions}, allowed is 1 and above")
        if not 0 <= self.share_min <= 1:
            raise ValueError(f"effort.share_min is {self.share_min:g}, allowed is 0 to 1")
        for name in ("shortest_s", "silent_ms"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"effort.{name} is {getattr(self, name):g}, allowed is 0 and above")
        for muscle, value in self.reference_uv.items():
            if not 0 < value < math.inf:
                raise ValueError(f"effort.reference_uv of {muscle} is {value:g}, allowed is above 0")


class Effort(Restorable):
    """Effort of each muscle, 0 to 1."""

    Settings = EffortSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_reference", "_counted", "_power", "_hops", "_asked", "_effort", "_code", "_since_lost", "_heard_ns",
        "_beginnings", "_onset_ns", "_own", "_contracting",
    )  # fmt: skip

    def __init__(self, settings: EffortSettings, setup: Setup) -> None:
        self._settings = settings
        self._fixed = np.array([muscle in settings.reference_uv for muscle in setup.muscles])
        muscles = len(setup.muscles)
        self._effort_muscles = setup.effort_muscles
        self._shortest = round(settings.shortest_s / setup.hop_s)
        self._window = round(0.25 / setup.hop_s)
        self._silent_ns = round(settings.silent_ms * 1e6)
        self._reference: Floats = np.array([settings.reference_uv.get(muscle, 0.0) for muscle in setup.muscles])
        self._counted = np.zeros(muscles, dtype=np.int64)
        self._power: Floats = np.zeros(muscles)
        self._hops = np.zeros(muscles, dtype=np.int64)
        self._asked = np.zeros(muscles, dtype=np.bool_)
        self._effort: Floats = np.zeros(muscles)
        self._code = np.ones(muscles, dtype=np.int64)
        self._since_lost = self._window
        self._beginnings = Beginnings(muscles, setup.hop_s)
        #: Beginning of the contraction that is on; whether it was no spasm when it began.
        self._onset_ns = np.zeros(muscles, dtype=np.int64)
        self._own = np.zeros(muscles, dtype=np.bool_)
        self._contracting = np.zeros(muscles, dtype=np.bool_)
        self._nothing: list[int | None] = [None] * muscles
        self._heard_ns: int | None = None

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop."""
        self._heard_ns = heard.t_ns
        self._since_lost = 0 if heard.lost_hops else self._since_lost + 1
        power = heard.level_uv * heard.level_uv
        rest = np.exp(2.0 * heard.rest)
        own = np.maximum(power - rest, 0.0)
        self._beginnings.hear(heard)
        if np.count_nonzero(heard.contraction_began):
            self._begin(heard)
        self._learn(heard, own, situation.effort_expected)
        self._contracting = heard.contracting & self._asked & self._own
        known = self._reference > 0
        np.divide(np.sqrt(own), self._reference, out=self._effort, where=known)
        np.minimum(self._effort, 1.0, out=self._effort)
        self._code[:] = 0
        self._code[~known] = 2
        self._code[~heard.rest_known] = 1
        self._code[heard.level_share < self._settings.share_min] = 3
        if self._since_lost < self._window:
            self._code[:] = 4

    def step(self, situation: Situation) -> None:
        """Nothing: effort is told from EMG and the phase alone."""

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``effort`` and ``effort_onset_ns``."""
        if self._heard_ns is None or now_ns - self._heard_ns > self._silent_ns:
            return {"effort": [_SILENT] * len(self._code), "effort_onset_ns": [None] * len(self._code)}
        reasons = (None, _NO_REST, _NO_REFERENCE, _FEW, _LOST)
        onsets: list[int | None] = self._nothing
        if np.count_nonzero(self._contracting):
            on = zip(self._contracting.tolist(), self._onset_ns.tolist(), strict=True)
            onsets = [onset if voluntary else None for voluntary, onset in on]
        return {
            "effort_onset_ns": onsets,
            "effort": [
                reasons[code] or Measure(value=value, valid=True, reason="")
                for code, value in zip(self._code.tolist(), self._effort.tolist(), strict=True)
            ],
        }

    def _begin(self, heard: Heard) -> None:
        for muscle in np.flatnonzero(heard.contraction_began).tolist():
            self._onset_ns[muscle] = self._beginnings.of(muscle, heard)
            self._own[muscle] = not (len(heard.spasm) and heard.spasm[muscle])

    def _learn(self, heard: Heard, own: Floats, expected: bool) -> None:
        if np.count_nonzero(heard.contracting):
            self._power[heard.contraction_began] = 0.0
            self._hops[heard.contraction_began] = 0
            self._asked[heard.contraction_began] = False
            counted = heard.contracting & (heard.level_share >= self._settings.share_min)
            counted[heard.spasm] = False
            self._power[counted] += own[counted]
            self._hops[counted] += 1
            if expected:
                self._asked |= heard.contracting & self._effort_muscles
        if not np.count_nonzero(heard.contraction_ended):
            return
        done = heard.contraction_ended & self._asked & (self._hops >= self._shortest) & ~self._fixed
        done &= self._counted < self._settings.contractions
        mean = np.sqrt(self._power / np.maximum(self._hops, 1))
        self._reference[done] = np.maximum(self._reference, mean)[done]
        self._counted[done] += 1
