"""Involuntary bursts, as learned: boosted trees over the same levels that the rules are made of.

The rules (:mod:`~myoloop.controllers.estimators.spasm`) go on beneath it. Where they say that nothing can be told (rest
unknown, voluntary effort, too few samples, no gap between pulses) nothing is told here either: it has learned of
muscles at rest and under stimulation, and of nothing else. It only decides between "on" and "quiet" where they decide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.boosted import Boosted, read_model
from myoloop.controllers.estimators.burst_evidence import EVIDENCE, BurstEvidence
from myoloop.controllers.estimators.burst_settings import BurstSettings
from myoloop.controllers.estimators.estimator import ON_TOO_LONG, Heard, Setup, Situation
from myoloop.controllers.estimators.spasm import ON, QUIET, AdaptiveBurst
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

_ON, _QUIET = Measure(value=1.0, valid=True, reason=""), Measure(value=0.0, valid=True, reason="")
_TOO_LONG = Measure(reason=ON_TOO_LONG)


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnedBurstSettings:
    """What was learned, and when it is acted on.

    Attributes
    ----------
    model
        Plain arrays as `myoloop train-estimators` writes them, see :class:`~.boosted.BoostedModel`.
    on_from, off_below
        Probability from which a spasm begins, and below which it may be over.
    hops_min
        So many hops of 10 ms in a row begin one.
    merge_ms
        It is over after so long below `off_below`.
    longest_s
        What is on for so long without a pause is not told to be a spasm any more.
    rules
        Settings of the rules beneath, see :class:`~.burst_settings.BurstSettings`.
    """

    model: dict[str, Any] = field(default_factory=dict)
    on_from: float = 0.5
    off_below: float = 0.25
    hops_min: int = 2
    merge_ms: float = 250.0
    longest_s: float = 28.0
    rules: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not 0.0 < self.off_below <= self.on_from < 1.0:
            raise ValueError(
                f"on_from is {self.on_from:g} and off_below {self.off_below:g}, allowed is 0 < off_below <= on_from < 1"
            )
        if not 1 <= self.hops_min <= 50:
            raise ValueError(f"hops_min is {self.hops_min}, allowed is 1 to 50")
        if not 20.0 <= self.merge_ms <= 2000.0:
            raise ValueError(f"merge_ms is {self.merge_ms:g}, allowed is 20 to 2000")
        if not 5.0 <= self.longest_s <= 30.0:
            raise ValueError(f"longest_s is {self.longest_s:g}, allowed is 5 to 30")


class Bursts(Restorable):
    """From probabilities to bursts: on after so many hops, over after so long without."""

    _kept: ClassVar[tuple[str, ...]] = ("_run", "_quiet", "_since_on", "on", "stuck", "_begin_ns", "onset_ns")

    def __init__(self, settings: LearnedBurstSettings, muscles: int, hop_s: float) -> None:
        self._settings = settings
        self._merge = max(1, round(settings.merge_ms * 1e-3 / hop_s))
        self._longest = round(settings.longest_s / hop_s)
        self._hop_ns = round(hop_s * 1e9)
        self._run, self._quiet, self._since_on, self._begin_ns, self.onset_ns = np.zeros((5, muscles), dtype=np.int64)
        self.on: Mask = np.zeros(muscles, dtype=np.bool_)
        self.stuck: Mask = np.zeros(muscles, dtype=np.bool_)

    def hear(self, t_ns: int, probability: Floats, may: Mask) -> None:
        """Take in a hop: how likely a spasm is, and where one may be told."""
        above = may & (probability >= self._settings.on_from)
        self._begin_ns[above & (self._run == 0)] = t_ns - self._hop_ns
        self._run[:] = np.where(above, self._run + 1, 0)
        self._quiet[:] = np.where(may & (probability >= self._settings.off_below), 0, self._quiet + 1)
        begun = ~self.on & ~self.stuck & (self._run >= self._settings.hops_min)
        self.onset_ns[begun] = self._begin_ns[begun]
        goes_on = self._quiet < self._merge
        self.on = (self.on | begun) & may & goes_on
        self._since_on[:] = np.where(self.on, self._since_on + 1, 0)
        self.stuck = (self.stuck | (self._since_on > self._longest)) & goes_on
        self.on = self.on & ~self.stuck


class LearnedBurst(Restorable):
    """Spasm of each muscle: 1 while a burst is on, 0 while none is, and why where it cannot tell."""

    Settings = LearnedBurstSettings

    _kept: ClassVar[tuple[str, ...]] = ("_rules", "_evidence", "_bursts", "_may")

    def __init__(self, settings: LearnedBurstSettings, setup: Setup) -> None:
        try:
            rules = msgspec.convert(settings.rules, BurstSettings)
        except msgspec.ValidationError as error:
            raise ValueError(f"rules: {error}") from None
        muscles = len(setup.muscles)
        self._model = Boosted(read_model(settings.model, EVIDENCE))
        self._rules = AdaptiveBurst(rules, setup)
        self._evidence = BurstEvidence(muscles)
        self._bursts = Bursts(settings, muscles, setup.hop_s)
        self._may: Mask = np.zeros(muscles, dtype=np.bool_)

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop and write `heard.spasm`."""
        self._rules.hear(heard, situation)
        probability = self._model.probability(self._evidence.hear(heard, self._rules))
        # What may merely be another muscle's is none of this one's.
        probability = np.where(heard.log_level > self._rules.across(heard.log_level), probability, 0.0)
        codes = self._rules.codes
        self._may = (codes == QUIET) | (codes == ON)
        self._bursts.hear(heard.t_ns, probability, self._may)
        heard.spasm = np.where(self._may, self._bursts.on, heard.spasm)

    def step(self, situation: Situation) -> None:
        """Nothing: a burst is told from EMG and the phase alone."""

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``spasm`` and ``spasm_onset_ns``."""
        told = self._rules.fields(now_ns)
        spasm, onsets = list(told["spasm"]), list(told["spasm_onset_ns"])
        for muscle in np.flatnonzero(self._may).tolist():
            if spasm[muscle].valid:
                on, stuck = bool(self._bursts.on[muscle]), bool(self._bursts.stuck[muscle])
                spasm[muscle] = _TOO_LONG if stuck else _ON if on else _QUIET
                onsets[muscle] = int(self._bursts.onset_ns[muscle]) if on else None
        return {"spasm": spasm, "spasm_onset_ns": onsets}
