"""When activity that nobody asked for is a spasm."""

from __future__ import annotations

from dataclasses import dataclass

#: What a setting may be; NaN is in no range.
_RANGES = {
    "sigmas": (1.0, 20.0), "ratio": (1.05, 20.0), "hop_sigmas": (1.0, 20.0), "hop_ratio": (1.05, 20.0),
    "raised_sigmas": (0.0, 10.0), "keep_share": (0.0, 1.0), "minimum_ms": (10.0, 500.0), "merge_ms": (20.0, 2000.0),
    "effort_ratio": (1.05, 20.0), "wander": (0.0, 20.0), "along_ratio": (1.05, 20.0), "usual_ratio": (1.05, 20.0),
    "effort_memory_s": (0.1, 60.0), "usual_memory_s": (0.1, 600.0), "effort_settle_s": (0.0, 5.0),
    "effort_first_s": (0.05, 30.0), "usual_first_s": (0.05, 60.0), "effort_latch_s": (0.5, 60.0),
    "crosstalk": (0.0, 1.0), "tail_s": (0.0, 30.0), "tail_ratio": (1.05, 20.0),
    "held_on_s": (0.0, 10.0), "late_ms": (3.0, 100.0),
    "gap_share": (0.0, 1.0), "longest_s": (5.0, 30.0), "silent_ms": (20.0, 10_000.0),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class BurstSettings:
    """When activity is a spasm.

    Attributes
    ----------
    sigmas, ratio
        50 ms level: above rest by the larger of so many spreads and ln(ratio).
    hop_sigmas, hop_ratio
        The same for the 10 ms level, of which three of four must be above.
    raised_sigmas
        One loud moment lifts the whole 50 ms: of the newest five 10 ms levels three must be above rest by this.
    keep_share
        Once on, it stays on above this share of the margin.
    minimum_ms
        Shorter activity is none.
    merge_ms
        Bursts closer than this are one.
    effort_ratio
        250 ms level: above the level of this very effort by this, it is a spasm even during effort.
    wander
        But at least by so many times what a tenth of the person's efforts wanders above their own levels.
    along_ratio
        The same ratio for muscles that merely go along with the effort.
    usual_ratio
        The same ratio above this person's usual effort; all there is until this very effort is known.
    effort_memory_s, usual_memory_s
        Their levels are medians over so much of the newest effort.
    effort_settle_s
        Effort is still rising for so long after its beginning; its level is learned from what follows.
    effort_first_s, usual_first_s
        The levels are known after this much of that.
    effort_latch_s
        What stands above effort for so long is a stronger effort, to be learned anew.
    crosstalk
        Activity below this share of another muscle's level is that muscle's.
    tail_s
        Activity that began as effort may last so long after the trial's end and is effort still, as long as it only
        gets weaker.
    tail_ratio
        If it rises again by this, it is a spasm.
    held_on_s
        A burst that is on when effort is asked for stays on for so long at most; what goes on then may be effort.
    late_ms
        From so long after a pulse on nothing of its answer is left.
    gap_share
        In the gaps between pulses the level must be above its own rest by this share of the margin.
    longest_s
        What is on for so long without a pause is not told to be a spasm any more: the level at rest may have changed.
    silent_ms
        Without EMG for so long nothing is known.

    Raises
    ------
    ValueError
        If a value is out of its range, or the values do not fit together.
    """

    sigmas: float = 4.2
    ratio: float = 1.65
    hop_sigmas: float = 3.6
    hop_ratio: float = 2.2
    raised_sigmas: float = 1.0
    keep_share: float = 0.4
    minimum_ms: float = 20.0
    merge_ms: float = 250.0
    effort_ratio: float = 1.5
    wander: float = 3.0
    along_ratio: float = 2.5
    usual_ratio: float = 2.0
    effort_memory_s: float = 2.5
    usual_memory_s: float = 20.0
    effort_settle_s: float = 0.4
    effort_first_s: float = 0.4
    usual_first_s: float = 1.5
    effort_latch_s: float = 3.0
    crosstalk: float = 0.2
    tail_s: float = 2.0
    tail_ratio: float = 1.8
    held_on_s: float = 1.0
    late_ms: float = 14.0
    gap_share: float = 0.8
    longest_s: float = 28.0
    silent_ms: float = 150.0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value:g}, allowed is {low:g} to {high:g}")
        if self.minimum_ms >= self.merge_ms:
            raise ValueError(f"minimum_ms is {self.minimum_ms:g}, allowed is below merge_ms ({self.merge_ms:g})")
