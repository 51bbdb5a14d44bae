"""Fatigue of force under stimulation, as learned: boosted trees over what the rules know, the M-wave, and the dose.

It stands in the place of ``mwave`` and ``mechanical_response``, whose fields it tells as well, and gives ``fatigue``
instead of the controller's fused index. Where that would tell nothing it tells nothing either; and as soon as effort is
asked of a muscle, of which it has learned nothing, it gives the rules' index of these two terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.boosted import Boosted, read_model
from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.estimators.fatigue_evidence import EVIDENCE, FatigueEvidence
from myoloop.controllers.estimators.fused import FusedFatigue
from myoloop.controllers.estimators.mwave import MWaves, MWaveSettings
from myoloop.controllers.estimators.response import MechanicalResponse, ResponseSettings
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

#: Told anew as often as this.
_EVERY_NS = 1_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedFatigueSettings:
    """What was learned.

    Attributes
    ----------
    model, error_model
        Plain arrays as `myoloop train-estimators` writes them, see :class:`~.boosted.BoostedModel`: of the share of
        force lost, and of how far the first one is off.
    widen
        Half the 95 % interval, in units of the error that is foreseen.
    error_least
        No error smaller than this is foreseen.
    """

    model: dict[str, Any] = field(default_factory=dict)
    error_model: dict[str, Any] = field(default_factory=dict)
    widen: float = 3.0
    error_least: float = 0.01

    def __post_init__(self) -> None:
        if not 0.1 <= self.widen <= 100.0:
            raise ValueError(f"widen is {self.widen:g}, allowed is 0.1 to 100")
        if not 1e-4 <= self.error_least <= 1.0:
            raise ValueError(f"error_least is {self.error_least:g}, allowed is 0.0001 to 1")


class LearnedFatigue(Restorable):
    """``fatigue`` of each muscle, with the fields of the two estimators that it is made of."""

    Settings = LearnedFatigueSettings

    _kept: ClassVar[tuple[str, ...]] = ("_mwaves", "_response", "_fused", "_evidence", "_effort", "_told", "_next_ns")

    def __init__(self, settings: LearnedFatigueSettings, setup: Setup) -> None:
        muscles = len(setup.muscles)
        self._settings = settings
        self._model = Boosted(read_model(settings.model, EVIDENCE))
        self._error = Boosted(read_model(settings.error_model, EVIDENCE))
        self._mwaves = MWaves(MWaveSettings(), setup)
        self._response = MechanicalResponse(ResponseSettings(), setup)
        self._fused = FusedFatigue(muscles)
        self._evidence = FatigueEvidence(setup.channels or ((),) * muscles)
        self._asked = setup.effort_muscles
        self._effort: npt.NDArray[np.bool_] = np.zeros(muscles, dtype=np.bool_)
        # Per muscle: value, low, high; empty where nothing is told.
        self._told: list[list[float]] = [[] for _ in range(muscles)]
        self._next_ns = 0

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop."""
        self._mwaves.hear(heard, situation)
        self._response.hear(heard, situation)

    def step(self, situation: Situation) -> None:
        """Take in one step."""
        self._mwaves.step(situation)
        self._response.step(situation)
        self._evidence.step(situation)
        if situation.effort_expected:
            self._effort |= self._asked

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``fatigue``, ``mwave``, ``fatigue_mwave``, ``response`` and ``fatigue_mechanical``."""
        fields = {**self._mwaves.fields(now_ns), **self._response.fields(now_ns)}
        fused = self._fused.step(now_ns, fields)
        if now_ns >= self._next_ns:
            self._next_ns = now_ns + _EVERY_NS
            evidence = self._evidence.known(fields, fused)
            value = np.clip(self._model.score(evidence), 0.0, 1.0)
            half = self._settings.widen * np.maximum(self._error.score(evidence), self._settings.error_least)
            self._told = np.column_stack([value, np.clip(value - half, 0, 1), np.clip(value + half, 0, 1)]).tolist()
        told = [
            known if effort or not known.valid or not row else _measure(row)
            for known, effort, row in zip(fused, self._effort.tolist(), self._told, strict=True)
        ]
        return {**fields, "fatigue": told}


def _measure(row: Sequence[float]) -> Measure:
    value, low, high = row
    return Measure(value=value, low=low, high=high, valid=True, reason="")
