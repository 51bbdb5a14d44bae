"""Involuntary bursts: adaptive threshold on two time scales.

A muscle at rest that becomes active though nobody asked it to has a spasm: its 50 ms level rises above the adaptive
rest level, or three of four 10 ms levels do. While effort is expected of a muscle, activity in it is that effort;
only what stands clearly above the person's own effort level is a spasm then, by more than this person's efforts are
seen to wander, and anything weaker cannot be told apart, which is said. Muscles of which no effort is asked go along
with an effort to some degree; how far is learned too, and what stands clearly above that is a spasm, so that
co-activation of the antagonist shows.

A neighbour's EMG is heard across: activity that is weak beside what another muscle of the same source shows at that
moment is taken for cross-talk.

While pulses are given, what is loud only close behind them is what their subtraction left, and no spasm: the level in
the gaps between pulses must be up too (:mod:`~myoloop.controllers.estimators.pulse_gaps`).

Nothing is ever told from posture: a limb that is held in an odd way is no evidence of a spasm.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.baseline import MedianMemory
from myoloop.controllers.estimators.burst_settings import BurstSettings
from myoloop.controllers.estimators.estimator import ON_TOO_LONG, Heard, Setup, Situation
from myoloop.controllers.estimators.pulse_gaps import FIRST, PulseGaps
from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import Measure

Mask = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]

#: Levels of effort are remembered every so many hops.
_EVERY = 5
#: Scatter of ln(250 ms level) of steady EMG with all samples valid.
_LEVEL_SIGMA = 0.10
_SHARE_MIN = 0.3
#: For so long what is loud while nothing is heard between pulses may be what they leave; later it is the muscle.
_DARK_S = 0.6
#: Rest in the gaps between pulses scatters as it seems to after so many values.
_GAP_FIRM = 60
_NOISE_SIGMAS = 3.5
#: What stands out of effort already does so down to this share of the margin.
_EFFORT_KEEP = 0.8

QUIET, ON, NO_REST, EFFORT, FEW, SILENT, EFFORT_UNKNOWN, TOO_LONG, NO_GAP, NEW_TRAIN = range(10)
_MEASURES = (
    Measure(value=0.0, valid=True, reason=""),
    Measure(value=1.0, valid=True, reason=""),
    Measure(reason="the level at rest is not known yet"),
    Measure(reason="voluntary effort: a spasm no stronger than it cannot be told apart"),
    Measure(reason="too few valid samples in the window"),
    Measure(reason="no EMG"),
    Measure(reason="voluntary effort expected and this person's effort level is not known yet"),
    Measure(reason=ON_TOO_LONG),
    Measure(reason="loud while pulses follow one another too closely to hear the muscle between them"),
    Measure(reason="loud behind pulses, and nothing is known yet of the muscle between them"),
)


class AdaptiveBurst(Restorable):
    """Spasm of each muscle: 1 while a burst is on, 0 while none is, and why where it cannot tell."""

    Settings = BurstSettings

    _kept: ClassVar[tuple[str, ...]] = (
        "_effort", "_usual", "_wander", "_effort_run", "_recent", "_raised", "_run", "_begin_ns", "_quiet", "_on",
        "_onset_ns", "_voluntary", "_tail", "_let_go", "_lowest", "_over", "_code", "_ticks", "_heard_ns",
        "_gaps", "_gap_rise", "_gap_known", "_gap_margin", "_since_on", "_stuck", "_since_asked", "_effort_begin_ns",
        "_deaf", "_unheard", "_dark",
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
        tick_s = _EVERY * hop_s
        self._effort_first = max(4, round(settings.effort_first_s / tick_s))
        self._usual_first = max(4, round(settings.usual_first_s / tick_s))
        self._silent_ns = round(settings.silent_ms * 1e6)
        self._log_ratio = float(np.log(settings.ratio))
        self._log_hop_ratio = float(np.log(settings.hop_ratio))
        self._log_crosstalk = float(np.log(max(settings.crosstalk, 1e-6)))
        self._silence: Floats = np.full(muscles, -np.inf)
        self._others_across: Floats = np.zeros(muscles)
        ratios = np.where(setup.effort_muscles, settings.effort_ratio, settings.along_ratio)
        self._log_effort_ratio: Floats = np.log(ratios)
        self._log_tail_ratio = float(np.log(settings.tail_ratio))
        self._gaps = PulseGaps(muscles, setup.rate_hz, settings.late_ms)
        #: Level in the gaps over its rest, where that is known, and the margin; from the newest look.
        self._gap_rise: Floats = np.zeros(muscles)
        self._gap_known: Mask = np.zeros(muscles, dtype=np.bool_)
        self._gap_margin: Floats = np.zeros(muscles)
        #: For how many hops of trains a muscle could not be heard between pulses.
        self._dark = np.zeros(muscles, dtype=np.int64)
        self._dark_most = round(_DARK_S / hop_s)
        self._short_rows = 0.05 * setup.rate_hz
        self._longest = round(settings.longest_s / hop_s)
        self._held_on = round(settings.held_on_s / hop_s)
        self._since_asked = np.zeros(muscles, dtype=np.int64)
        self._since_on = np.zeros(muscles, dtype=np.int64)
        self._stuck: Mask = np.zeros(muscles, dtype=np.bool_)
        self._latch = round(settings.effort_latch_s / hop_s)
        self._effort_settle = round(settings.effort_settle_s / hop_s)
        self._effort = MedianMemory(max(8, round(settings.effort_memory_s / tick_s)), muscles, 0.08, 0.35)
        size = max(8, round(settings.usual_memory_s / tick_s))
        self._usual = MedianMemory(size, muscles, 0.08, 0.35)
        self._wander = MedianMemory(size, muscles, 0.08, 0.35)
        self._usual_ratio: Floats = np.log(
            np.where(setup.effort_muscles, settings.usual_ratio, max(settings.along_ratio, settings.usual_ratio))
        )
        self._effort_run = np.zeros(muscles, dtype=np.int64)
        self._effort_begin_ns = np.zeros(muscles, dtype=np.int64)
        #: Which muscles have not been quiet since a train that leaves no gap to hear them in.
        self._deaf: Mask = np.zeros(muscles, dtype=np.bool_)
        #: Of whom effort was asked while they could not be heard: hops until enough has been heard of them again.
        self._unheard = np.zeros(muscles, dtype=np.int64)
        self._recent: Mask = np.zeros((4, muscles), dtype=np.bool_)
        self._raised: Mask = np.zeros((5, muscles), dtype=np.bool_)
        self._run = np.zeros(muscles, dtype=np.int64)
        self._begin_ns = np.zeros(muscles, dtype=np.int64)
        self._quiet: Floats = np.zeros(muscles)
        self._on: Mask = np.zeros(muscles, dtype=np.bool_)
        self._onset_ns = np.zeros(muscles, dtype=np.int64)
        self._voluntary: Mask = np.zeros(muscles, dtype=np.bool_)
        self._tail = np.zeros(muscles, dtype=np.int64)
        self._let_go = np.zeros(muscles, dtype=np.int64)
        self._lowest: Floats = np.zeros(muscles)
        self._over = np.zeros(muscles, dtype=np.int64)
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
        margin, above = self._above_rest(heard, usable)
        own = usable & (heard.log_level > self.across(heard.log_level))
        active = own & above
        keep = own & (rise > self._settings.keep_share * margin)
        if heard.evoked:
            self._gaps.hear(heard)
        no_gap = new = self._nobody
        pulsed = self._gaps.goes_on(heard.t_ns)
        if pulsed:
            if self._gaps.dense():
                self._deaf[:] = True
            if not np.count_nonzero(self._deaf):
                active, keep = self._between_pulses(heard, asked, own, active, keep)
                new = active & self._strange(heard.t_ns) & ~asked & ~self._on
                if np.count_nonzero(new):
                    active, keep = active & ~new, keep & ~new
        elif np.count_nonzero(self._deaf):
            # What such a train has left in the levels is over once the muscle has been quiet, and in a while anyhow:
            # what is loud then is the muscle.
            self._deaf[usable & ~active] = False
            if self._gaps.long_over(heard.t_ns):
                self._deaf[:] = False
        if np.count_nonzero(self._deaf):
            # Nobody can tell whether what is loud is the muscle or what pulses leave.
            no_gap = active & self._deaf
            active, keep = active & ~self._deaf, keep & ~self._deaf

        # Who is active when he can be heard again is at the effort that was asked of him meanwhile.
        resumed = self._nobody
        if np.count_nonzero(self._unheard) or np.count_nonzero(usable) < len(usable):
            resumed = (self._unheard > 0) & active & ~self._on
            waiting = ~usable & (asked | (self._unheard > 0))
            self._unheard = np.where(waiting, len(self._raised), np.maximum(0, self._unheard - 1))
        self._tail = np.where(asked, 0, self._tail + 1)
        self._since_asked = np.where(asked, self._since_asked + 1, 0)
        self._let_go += usable
        self._let_go[active | keep] = 0
        if np.count_nonzero(self._voluntary) or np.count_nonzero(resumed | (asked & active)):
            risen = own & (rise > margin)
            masked, over, effort_known = self._effort_stands(heard, asked, active, risen, resumed, pulsed)
            candidate = np.where(masked, over, active)
            # What rose again after the trial is held on until it is over, though it began as effort.
            tail = self._voluntary & ~asked & self._on
            # What was on before the person was asked is not effort all at once; in a while it may be.
            before = self._on & (self._since_asked <= self._held_on) & ~self._voluntary
            self._decide(heard, usable, candidate, np.where(masked & ~tail & ~before, over, keep))
            effort = masked & active
        else:
            # What an effort left behind is not looked at before the next one begins, which sets it anew.
            self._over[:] = 0
            self._decide(heard, usable, active, keep)
            effort = effort_known = self._nobody
        if np.count_nonzero(self._on) or np.count_nonzero(self._stuck):
            self._unlatch()
        self._code[:] = QUIET
        if effort is not self._nobody:
            self._code[effort] = EFFORT
            self._code[effort & ~effort_known] = EFFORT_UNKNOWN
        if no_gap is not self._nobody:
            self._code[no_gap] = NO_GAP
        if new is not self._nobody:
            self._code[new] = NEW_TRAIN
        self._code[self._on] = ON
        self._code[self._stuck] = TOO_LONG
        if np.count_nonzero(usable) < len(usable):
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

    @property
    def codes(self) -> npt.NDArray[np.int64]:
        """What was told of each muscle after the newest hop: ``QUIET``, ``ON``, or why nothing can be told."""
        return self._code

    def gaps(self, t_ns: int) -> tuple[bool, Floats, Mask, Floats]:
        """Whether pulses are given; the level in their gaps over its rest, where that is known, and its margin."""
        return self._gaps.goes_on(t_ns), self._gap_rise, self._gap_known, self._gap_margin

    def _between_pulses(self, heard: Heard, asked: Mask, own: Mask, active: Mask, keep: Mask) -> tuple[Mask, Mask]:
        """Only what is up between pulses too; and what is up there though it is not behind pulses."""
        look = self._ticks % _EVERY == 0
        doubtful = active | (self._on & keep) | (self._gap_known & (self._gap_rise > self._gap_margin))
        if look or np.count_nonzero(doubtful):
            level, count = self._gaps.level(heard)
            rest = self._gaps.rest
            if np.count_nonzero(heard.rest_known) < len(level):
                rest.clear(~heard.rest_known)
            fewest = int(np.minimum.reduce(rest.count))
            median, sigma = rest.median, rest.sigma
            if fewest < FIRST:
                # Until it is known it is rest as it is without pulses.
                median = np.where(rest.count < FIRST, heard.rest, median)
            self._gap_rise = level - median
            self._gap_known = (count > 0) & heard.rest_known
            # Fewer samples than the usual 50 ms scatter more.
            # A spread of few values is too small as often as not.
            if fewest < _GAP_FIRM:
                sigma = np.where(rest.count < _GAP_FIRM, np.maximum(sigma, heard.rest_sigma), sigma)
            widen = np.sqrt(np.maximum(1.0, self._short_rows / np.maximum(count, 1.0)))
            self._gap_margin = np.maximum(self._settings.sigmas * sigma * widen, self._log_ratio)
            if look:
                # Also while a burst is on: a rest that rose meanwhile would hold it on for ever.
                quiet = self._gap_known & ~asked & ~self._voluntary & (self._gap_rise < self._gap_margin)
                self._gaps.learn(level, quiet, self._ticks % (4 * _EVERY) == 0)
        elif not np.count_nonzero(keep):
            return active, keep
        margin = self._gap_margin
        share = self._settings.gap_share
        behind = self._gap_known & (self._gap_rise <= share * margin)
        between = self._gap_known & own & (self._gap_rise > margin)
        still = self._gap_known & (self._gap_rise <= self._settings.keep_share * share * margin)
        return (active & ~behind) | between, (keep & ~still) | between

    def _strange(self, t_ns: int) -> Mask:
        """Who may be what pulses leave: for a while after hearing between them ceases, or as a train begins."""
        known = self._gap_known
        self._dark[known] = 0
        self._dark += ~known
        strange = ~known & (self._dark <= self._dark_most)
        if self._gaps.new(t_ns):
            # Its first pulses may leave more in the gaps than those before them did.
            strange |= known & ((self._gaps.rest.count < FIRST) | (self._gap_rise <= self._gap_margin))
        return strange

    def _unlatch(self) -> None:
        """What is on for too long is told to be that; it may be a spasm again once it has paused."""
        self._since_on = np.where(self._on, self._since_on + 1, 0)
        self._stuck = (self._stuck | (self._since_on > self._longest)) & (self._quiet < self._merge)
        self._on = self._on & ~self._stuck

    def _effort_stands(
        self, heard: Heard, asked: Mask, active: Mask, risen: Mask, resumed: Mask, pulsed: bool
    ) -> tuple[Mask, Mask, Mask]:
        """Where activity is taken for effort, where it stands above that effort, and where the effort is known."""
        # Effort is activity of a muscle of which it is asked, from its beginning to its own end.
        before = self._voluntary
        goes_on = (resumed | (before & (self._let_go < self._merge))) & (self._tail <= self._tail_hops)
        self._voluntary = goes_on | (asked & active & ~self._on)
        self._effort_run = np.where(self._voluntary & ~self._on, self._effort_run + 1, 0)
        begun = self._voluntary & ~before
        if np.count_nonzero(begun):
            self._effort.clear(begun | ~self._asked)
            self._effort_begin_ns[begun] = heard.t_ns - self._hop_ns
        # The other muscles go along with it while it lasts.
        masked = self._voluntary | (asked & active)
        lasts = np.count_nonzero(masked) > 0
        along = ~self._asked if lasts else self._nobody
        masked = masked | along

        level = np.log(np.maximum(heard.level_uv, 1e-3))
        known = self._wander.count >= self._usual_first
        over = risen & self._over_effort(level, heard.level_share) if lasts else self._nobody
        if lasts and self._ticks % _EVERY == 0:
            settled = self._effort_run > self._effort_settle
            steady = along & (heard.share >= 0.1) if np.count_nonzero(settled) else self._nobody
            self._learn_effort(level, (asked & active & settled) | steady, over | self._on)
        if pulsed:
            # Pulses whose current falls leave more than those before them: nothing is told from a rise among them.
            self._lowest = level
        else:
            self._lowest = np.where(asked | resumed, level, np.minimum(self._lowest, level))
            rises = level > self._lowest + self._beyond(self._log_tail_ratio)
            over = over | (self._voluntary & ~asked & active & rises)
        self._forget_effort(over & masked)
        return masked, over, known

    def across(self, log_level: Floats) -> Floats:
        """Level up to which each muscle may merely be hearing the loudest other one."""
        if len(log_level) < 2:
            return self._silence
        loudest = log_level.argmax()
        others = log_level.copy()
        others[loudest] = -np.inf
        across = self._others_across
        across[:] = log_level[loudest] + self._log_crosstalk
        across[loudest] = others.max() + self._log_crosstalk
        return across

    def _above_rest(self, heard: Heard, usable: Mask) -> tuple[Floats, Mask]:
        """The margin of the 50 ms level, and where either level is above its own."""
        settings = self._settings
        # With a share s of the samples the level scatters 1 / sqrt(s) as much.
        widen = 1.0 / np.sqrt(np.maximum(heard.share, 0.1))
        margin = np.maximum(settings.sigmas * heard.rest_sigma * widen, self._log_ratio)
        hop_margin = np.maximum(settings.hop_sigmas * heard.rest_sigma_hop, self._log_hop_ratio)
        rise = heard.log_level_hop - heard.rest_hop
        known = usable & (heard.share_hop >= 0.5)
        ticks = self._ticks
        recent, raised = self._recent[ticks % 4], self._raised[ticks % 5]
        np.greater(rise, hop_margin, out=recent)
        np.greater(rise, settings.raised_sigmas * heard.rest_sigma_hop, out=raised)
        if np.count_nonzero(known) < len(known):
            # A hop that cannot be judged counts as the one before it.
            recent[~known] = self._recent[(ticks - 1) % 4][~known]
            raised[~known] = self._raised[(ticks - 1) % 5][~known]
        above = heard.log_level - heard.rest > margin
        if np.count_nonzero(above):
            above &= np.add.reduce(self._raised, axis=0, dtype=np.int64) >= 3
        if np.count_nonzero(self._recent) >= 3:
            above |= np.add.reduce(self._recent, axis=0, dtype=np.int64) >= 3
        return margin, above

    def _over_effort(self, level: Floats, share: Floats) -> Mask:
        noise = _NOISE_SIGMAS * _LEVEL_SIGMA / np.sqrt(np.maximum(share, 0.1))
        # What stands out already may come nearer before it is taken for effort again.
        keep = np.where(self._on, _EFFORT_KEEP, 1.0)
        margin = keep * np.maximum(self._beyond(self._log_effort_ratio), noise)
        over: Mask = (self._effort.count >= self._effort_first) & (level > self._effort.median + margin)
        # A weak beginning is no measure: it must stand above the usual effort too.
        over &= level > self._usual.median + keep * np.maximum(0.5 * self._log_effort_ratio, 1.5 * self._usual.upper)
        usual = keep * np.maximum(np.maximum(self._settings.wander * self._usual.upper, noise), self._usual_ratio)
        over = over | (level > self._usual.median + usual)
        return over & (self._wander.count >= self._usual_first)

    def _beyond(self, ratio: Floats | float) -> Floats:
        """By how much a level must be above that of the effort, given how this person's efforts wander."""
        wander = self._settings.wander * (self._wander.median + self._wander.upper)
        return np.maximum(wander, ratio)

    def _learn_effort(self, level: Floats, where: Mask, over: Mask) -> None:
        # What is above is no part of the level, but if it is not rare it is this person's way.
        self._wander.add(level - self._effort.median, where & (self._effort.count >= self._effort_first))
        self._wander.compute()
        for memory in (self._effort, self._usual):
            memory.add(level, where & ~over)
            memory.compute()

    def _forget_effort(self, over: Mask) -> None:
        self._over = np.where(over, self._over + 1, 0)
        latched = self._over > self._latch
        if np.count_nonzero(latched):
            self._effort.clear(latched)
            self._usual.clear(latched)
            self._wander.clear(latched)
            self._on[latched] = False
            self._run[latched] = 0
            self._over[latched] = 0

    def _decide(self, heard: Heard, usable: Mask, candidate: Mask, holding: Mask) -> None:
        # A moment of which little was heard is little evidence that it is over.
        self._quiet += np.maximum(heard.share_hop, _SHARE_MIN)
        self._quiet[candidate | holding] = 0
        if not (np.count_nonzero(candidate) or np.count_nonzero(self._run) or np.count_nonzero(self._on)):
            return
        starting = candidate & (self._run == 0)
        self._begin_ns[starting] = heard.t_ns - self._hop_ns
        self._run[candidate] += 1
        self._run[usable & ~candidate] = 0
        begun = (self._run >= self._minimum) & ~self._on
        if np.count_nonzero(begun):
            # What stands out before there was any steady effort under it was no effort from its beginning.
            never = self._voluntary & (self._effort.count < self._effort_first) & (self._effort_begin_ns > 0)
            self._onset_ns[begun] = np.where(never, self._effort_begin_ns, self._begin_ns)[begun]
        # Where nothing can be heard a burst is not kept on: the reason is then the lack of samples.
        self._on = (self._on | begun) & (self._quiet < self._merge) & heard.rest_known
        self._run[~self._on & (self._quiet >= self._merge)] = 0
