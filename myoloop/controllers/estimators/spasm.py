"""Involuntary bursts: adaptive threshold on two time scales.

A muscle at rest that becomes active though nobody asked it to has a spasm: its 50 ms level rises above the adaptive
rest level, or three of four 10 ms levels do. While effort is expected of a muscle, activity in it is that effort;
only what stands clearly above the person's own effort level is a spasm then, and anything weaker cannot be told
apart, which is said. Muscles of which no effort is asked go along with an effort to some degree; how far is learned
too, and what stands clearly above that is a spasm, so that co-activation of the antagonist shows.

A neighbour's EMG is heard across: activity that is weak beside what another muscle of the same source shows at that
moment is taken for cross-talk.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.baseline import MedianMemory
from myoloop.controllers.estimators.estimator import Heard, Setup, Situation
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

QUIET, ON, NO_REST, EFFORT, FEW, SILENT, EFFORT_UNKNOWN = range(7)
_MEASURES = (
    Measure(value=0.0, valid=True, reason=""),
    Measure(value=1.0, valid=True, reason=""),
    Measure(reason="the level at rest is not known yet"),
    Measure(reason="voluntary effort: a spasm no stronger than it cannot be told apart"),
    Measure(reason="too few valid samples in the window"),
    Measure(reason="no EMG"),
    Measure(reason="voluntary effort expected and this person's effort level is not known yet"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstSettings:
    """When activity is a spasm.

    Attributes
    ----------
    sigmas, ratio
        50 ms level: above rest by the larger of so many spreads and ln(ratio).
    hop_sigmas, hop_ratio
        The same for the 10 ms level, of which three of four must be above.
    keep_share
        Once on, it stays on above this share of the margin.
    minimum_ms
        Shorter activity is none.
    merge_ms
        Bursts closer than this are one.
    effort_sigmas, effort_ratio
        250 ms level: above this person's effort level by the larger of these, it is a spasm even during effort.
    effort_settle_s
        Effort is still rising for so long after its beginning; its level is learned from what follows.
    effort_first_s
        The effort level is known after this much of that.
    crosstalk
        Activity below this share of another muscle's level is that muscle's.
    tail_s
        Activity that began as effort may last so long after the trial's end and is effort still.
    silent_ms
        Without EMG for so long nothing is known.
    """

    sigmas: float = 4.0
    ratio: float = 1.8
    hop_sigmas: float = 3.5
    hop_ratio: float = 2.5
    keep_share: float = 0.6
    minimum_ms: float = 30.0
    merge_ms: float = 250.0
    effort_sigmas: float = 3.5
    effort_ratio: float = 1.6
    effort_settle_s: float = 0.6
    effort_first_s: float = 1.0
    crosstalk: float = 0.15
    tail_s: float = 2.0
    silent_ms: float = 150.0


class AdaptiveBurst(Restorable):
    """Spasm of each muscle: 1 while a burst is on, 0 while none is, and why where it cannot tell."""

    Settings = BurstSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_effort", "_effort_run", "_recent", "_run", "_begin_ns", "_quiet", "_on", "_onset_ns", "_voluntary", "_tail", "_code",
        "_ticks", "_heard_ns",
    )  # fmt: skip

    def __init__(self, settings: BurstSettings, setup: Setup) -> None:
        self._settings = settings
        muscles, hop_s = len(setup.muscles), setup.hop_s
        self._hop_ns = round(hop_s * 1e9)
        self._asked = setup.effort_muscles
        self._nobody: Mask = np.zeros(muscles, dtype=np.bool_)
        self._minimum = max(1, round(settings.minimum_ms * 1e-3 / hop_s))
        self._merge = max(1, round(settings.merge_ms * 1e-3 / hop_s))
        self._tail_hops = round(settings.tail_s / hop_s)
        self._effort_first = max(4, round(settings.effort_first_s / (5 * hop_s)))
        self._silent_ns = round(settings.silent_ms * 1e6)
        self._log_ratio = float(np.log(settings.ratio))
        self._log_hop_ratio = float(np.log(settings.hop_ratio))
        self._log_crosstalk = float(np.log(max(settings.crosstalk, 1e-6)))
        self._silence: Floats = np.full(muscles, -np.inf)
        self._log_effort_ratio = float(np.log(settings.effort_ratio))
        self._effort_settle = round(settings.effort_settle_s / hop_s)
        self._effort = MedianMemory(200, muscles, 0.08)
        self._effort_run = np.zeros(muscles, dtype=np.int64)
        self._recent: Mask = np.zeros((4, muscles), dtype=np.bool_)
        self._run = np.zeros(muscles, dtype=np.int64)
        self._begin_ns = np.zeros(muscles, dtype=np.int64)
        self._quiet = np.zeros(muscles, dtype=np.int64)
        self._on: Mask = np.zeros(muscles, dtype=np.bool_)
        self._onset_ns = np.zeros(muscles, dtype=np.int64)
        self._voluntary: Mask = np.zeros(muscles, dtype=np.bool_)
        self._tail = np.zeros(muscles, dtype=np.int64)
        self._code = np.full(muscles, NO_REST, dtype=np.int64)
        self._ticks = 0
        self._heard_ns: int | None = None

    def hear(self, heard: Heard, situation: Situation) -> None:
        """Take in one hop and write `heard.spasm`."""
        self._ticks += 1
        self._heard_ns = heard.t_ns
        asked = self._asked if situation.effort_expected else self._nobody
        usable = (heard.share >= 0.1) & heard.rest_known
        rise = heard.log_level - heard.rest
        margin, fast = self._above_rest(heard, usable)
        own = usable & (heard.log_level > self._across(heard.log_level))
        active = own & ((rise > margin) | fast)
        keep = own & (rise > self._settings.keep_share * margin)

        # Effort: activity of a muscle of which it is asked, from its beginning to its own end.
        self._tail[asked] = 0
        self._tail[~asked] += 1
        goes_on = self._voluntary & (active | keep) & (self._tail <= self._tail_hops)
        self._voluntary = goes_on | (asked & active & ~self._on)
        self._effort_run = np.where(self._voluntary & ~self._on, self._effort_run + 1, 0)
        # The others go along with it while it lasts.
        along = ~self._asked if self._voluntary.any() else self._nobody
        settled = bool((self._effort_run > self._effort_settle).any())
        effort_level = np.log(np.maximum(heard.level_uv, 1e-3))
        learning = asked & active & (self._effort_run > self._effort_settle)
        self._learn_effort(effort_level, learning | (along & usable & ~self._on if settled else self._nobody))
        effort_known = self._effort.count >= self._effort_first
        over_effort = own & self._over_effort(effort_level, usable & effort_known)
        masked = self._voluntary | (asked & active) | along
        candidate = np.where(masked, over_effort & (rise > margin), active)
        holding = np.where(masked, over_effort, keep)

        self._decide(heard, usable, candidate, holding)
        self._code[:] = QUIET
        self._code[masked & active] = EFFORT
        self._code[masked & active & ~effort_known] = EFFORT_UNKNOWN
        self._code[self._on] = ON
        self._code[~usable] = FEW
        self._code[~heard.rest_known] = NO_REST
        heard.spasm = self._on

    def step(self, situation: Situation) -> None:
        """Nothing: a burst is told from EMG and the phase alone."""

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        """``spasm`` and ``spasm_onset_ns``."""
        if self._heard_ns is None or now_ns - self._heard_ns > self._silent_ns:
            silent = _MEASURES[SILENT]
            return {"spasm": [silent] * len(self._code), "spasm_onset_ns": [None] * len(self._code)}
        codes = self._code.tolist()
        onsets = [onset if code == ON else None for onset, code in zip(self._onset_ns.tolist(), codes, strict=True)]
        return {"spasm": [_MEASURES[code] for code in codes], "spasm_onset_ns": onsets}

    def _across(self, log_level: Floats) -> Floats:
        """Level up to which each muscle may merely be hearing the loudest other one."""
        if len(log_level) < 2:
            return self._silence
        loudest = int(np.argmax(log_level))
        across = np.full_like(log_level, log_level[loudest])
        across[loudest] = np.max(np.delete(log_level, loudest))
        return across + self._log_crosstalk

    def _above_rest(self, heard: Heard, usable: Mask) -> tuple[Floats, Mask]:
        settings = self._settings
        # With a share s of the samples the level scatters 1 / sqrt(s) as much.
        widen = 1.0 / np.sqrt(np.maximum(heard.share, 0.1))
        margin = np.maximum(settings.sigmas * heard.rest_sigma * widen, self._log_ratio)
        hop_margin = np.maximum(settings.hop_sigmas * heard.rest_sigma_hop, self._log_hop_ratio)
        self._recent[self._ticks % 4] = (
            usable & (heard.share_hop >= 0.5) & (heard.log_level_hop - heard.rest_hop > hop_margin)
        )
        return margin, self._recent.sum(axis=0) >= 3

    def _over_effort(self, level: Floats, usable: Mask) -> Mask:
        margin = np.maximum(self._settings.effort_sigmas * self._effort.sigma, self._log_effort_ratio)
        return usable & (level > self._effort.median + margin)

    def _learn_effort(self, level: Floats, where: Mask) -> None:
        if self._ticks % 5 == 0:
            self._effort.add(level, where)
            if self._ticks % 25 == 0:
                self._effort.compute()

    def _decide(self, heard: Heard, usable: Mask, candidate: Mask, holding: Mask) -> None:
        starting = candidate & (self._run == 0)
        self._begin_ns[starting] = heard.t_ns - self._hop_ns
        self._run[candidate] += 1
        self._run[usable & ~candidate] = 0
        begun = (self._run >= self._minimum) & ~self._on
        self._onset_ns[begun] = self._begin_ns[begun]
        self._quiet += 1
        self._quiet[candidate | holding] = 0
        # Where nothing can be heard a burst is not kept on: the reason is then the lack of samples.
        self._on = (self._on | begun) & (self._quiet < self._merge) & heard.rest_known
        self._run[~self._on & (self._quiet >= self._merge)] = 0
