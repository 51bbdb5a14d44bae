"""What pulses leave in the EMG is taken out of it, sample by sample, before the filter.

The frame behind a pulse reaches to the next pulse of whichever channel, so what one channel's pulse still leaves
there belongs to the frame of the next: channels that are pulsed one behind the other keep their order and distance.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.artifact import ArtifactSettings
from myoloop.controllers.signals.filters import BlockFilter, highpass
from myoloop.controllers.signals.interpolation import MARGIN
from myoloop.controllers.signals.snapshot import Restorable, Table
from myoloop.controllers.signals.template import Template, late_rows

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

#: Level before a pulse: over so long.
_LEVEL_S = 0.007
_WATCH_HZ = 30.0
#: A template is made anew if so many frames in a row do not look like it.
_STRANGE_MOST = 4
MOST_CHANNELS = 32
#: Pulses this close are one, rows; and how their channels' names stand together.
_TOGETHER = 1.0
JOINT = "\n"
#: Instead of a channel, of what may be a pulse or not.
STRAY = "?"
#: Frames of which a sample of the template must be the mean.
_SEEN = 2
#: In the blank, what is left goes through the filter up to so many standard deviations of the EMG.
_FIT_SIGMAS = 4.0


@dataclass(slots=True)
class Rows:
    """The rows in hand: arrays of which entry 0 is row `first` of the stream."""

    first: int
    raw: Floats
    bad: Mask
    cleaned: Floats


@dataclass(slots=True)
class Frame:
    """What stands behind one pulse, as it was heard."""

    row: float
    channel: str
    begin: int
    raw: Floats
    good: Mask


@dataclass(slots=True)
class _Expected:
    """What is expected of one pulse; made anew from the template where it has changed, never saved."""

    key: tuple[int, float, bool]
    first: int
    off: float
    #: Rows of the frame from which gain and shift are told; later ones change nothing.
    upto: int
    level: Floats
    noise_uv: Floats
    left: Mask
    left_rows: Mask
    weak: Mask
    weak_rows: Mask
    shapes: dict[int, Floats] = field(default_factory=dict)
    made: Floats = field(default_factory=lambda: np.zeros((2, 0, 0)))
    gain: Floats | float = 1.0
    shift: float = 0.0
    final: bool = False


class Subtraction(Restorable):
    """Pulses, the templates of each stimulation channel, and what is made of a hop.

    Parameters
    ----------
    settings
        What is blanked and learned.
    rate_hz, channels
        Of the EMG.
    """

    _kept: ClassVar[tuple[str, ...]] = ("pulses", "_newest", "frozen", "_watch", "_watching", "templates")

    def __init__(self, settings: ArtifactSettings, rate_hz: float, channels: int) -> None:
        per_ms = rate_hz * 1e-3
        self._settings = settings
        self._channels = channels
        self._before = settings.before_ms * per_ms
        self._after = settings.after_ms * per_ms
        self._mwave = settings.mwave_ms * per_ms
        self._reach = math.floor(settings.template_ms * per_ms)
        self._gap = settings.gap_ms * per_ms
        self._jitter = settings.jitter_ms * per_ms
        self._lead = math.ceil(self._before)
        self._level = max(2, round(_LEVEL_S * rate_hz))
        self._frame = self._reach + self._lead + 1
        #: Rows of a padded frame behind its pulse.
        self._behind: Floats = np.arange(-MARGIN - self._lead, self._frame + MARGIN - self._lead, dtype=np.float64)[
            :, None
        ]
        #: Rows before the hop that must stay in hand.
        self.history = self._frame + self._level + 2 * MARGIN + 2
        #: Pulses whose frames are not over: row, channel, current, number, half width of what is known of it (rows),
        #: told of, not seen.
        self.pulses: list[list[Any]] = []
        #: Newest pulse of each channel, row.
        self._newest: dict[str, float] = {}
        #: Where involuntary activity is on, so that nothing may be learned of the answer to a pulse.
        self.frozen: Mask = np.zeros(channels, dtype=np.bool_)
        #: What is left is judged free of what moves slowly.
        self._watch = BlockFilter(highpass(rate_hz, _WATCH_HZ), channels)
        self._watching = False
        self.templates = Table(self._template, MOST_CHANNELS)
        self._made: dict[float, _Expected] = {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        super().restore(state)
        self._made = {}

    def add(self, row: float, channel: str, current_ma: float, number: int, width: float, told: bool) -> None:
        """Hear of a pulse; one that comes together with another channel's is one with it."""
        at = len(self.pulses)
        while at and self.pulses[at - 1][0] > row:
            at -= 1
        for place in (at - 1, at):
            if 0 <= place < len(self.pulses) and abs(self.pulses[place][0] - row) <= _TOGETHER:
                self.join(self.pulses[place], channel, current_ma)
                self.pulses[place][5] |= told
                return
        self.pulses.insert(at, [row, channel, current_ma, number, width, told, False])

    @staticmethod
    def join(pulse: list[Any], channel: str, current_ma: float) -> None:
        """Let a pulse be another channel's too."""
        names = pulse[1].split(JOINT) if pulse[1] not in ("", STRAY) else []
        if channel == STRAY:
            return
        if channel and channel not in names:
            pulse[1] = JOINT.join(sorted([*names, channel]))
            pulse[2] += current_ma

    def forget(self) -> None:
        """Rows are lost: frames that are not over never will be."""
        self.pulses = []
        self._newest = {}
        self._made = {}
        self._watching = False

    def first_row(self, pulse: list[Any]) -> int:
        """First row that a pulse spoils."""
        return math.ceil(float(pulse[0]) - self._before - float(pulse[4]))

    def covered(self, row: float, reach: float) -> bool:
        """Whether a pulse whose frame is over already is this one."""
        return any(abs(newest - row) <= reach for newest in self._newest.values())

    def open_until(self, row: int) -> float:
        """Last row of the blank that lies over `row`, 0 where none does."""
        for pulse in self.pulses:
            if pulse[0] - self._before - pulse[4] <= row <= (end := pulse[0] + self._after + pulse[4]):
                return float(end)
        return 0.0

    def behind(self, begin: int, size: int) -> Mask:
        """Which of `size` rows from `begin` on lie behind a pulse, as far as it can be felt."""
        made = np.zeros(size, dtype=np.bool_)
        for number, pulse in enumerate(self.pulses):
            low, high = self.first_row(pulse), self._end(number)
            if low < begin + size and high > begin:
                whole = max(high, math.floor(pulse[0] + self._mwave + pulse[4]) + 1)
                made[max(low - begin, 0) : max(whole - begin, 0)] = True
        return made

    def clean(self, rows: Rows, begin: int, size: int, n: int) -> tuple[Floats, Mask, Mask]:
        """Subtract.

        Parameters
        ----------
        rows
            What is in hand.
        begin, size
            The hop: its first row and its length.
        n
            How many rows from `begin` are in hand and looked at.

        Returns
        -------
        samples, missing, unused
            (n, channels) with what is known of pulses taken out; where nothing can be put into the filter; where the
            output is no evidence.
        """
        at = begin - rows.first
        x = rows.raw[at : at + n].copy()
        missing = rows.bad[at : at + n].copy()
        unused = missing.copy()
        untold = missing.copy()
        trial = x.copy()
        level: Floats | None = None
        for number, pulse in enumerate(self.pulses):
            low = self.first_row(pulse)
            if low >= begin + n:
                break
            high = self._end(number)
            if high <= begin:
                continue
            level = self._one(rows, pulse, low, high, begin, n, x, trial, missing, unused, untold)
        self._watch_hop(rows, at, size, trial, level, untold)
        return x, missing, unused

    def _watch_hop(
        self, rows: Rows, at: int, size: int, x: Floats, level: Floats | None, untold: Mask
    ) -> None:  # fmt: skip
        """Keep what is left of this hop, high-passed, so that it can be judged when the frame is over."""
        if level is None:
            rows.cleaned[at : at + size] = 0.0
            self._watching = False
            return
        left, untold = x[:size], untold[:size]
        if np.count_nonzero(untold):
            left = np.where(untold, level, left)
        if not self._watching:
            self._watch.settle(level)
            self._watching = True
        rows.cleaned[at : at + size] = self._watch.process(left)

    def finish(self, rows: Rows, end: int) -> list[Frame]:
        """Learn from the frames that are over before row `end`, and hand them over."""
        done: list[Frame] = []
        while self.pulses and self._end(0) <= end:
            pulse, high = self.pulses[0], self._end(0)
            self._learn(rows, pulse, high, done)
            self._newest[pulse[1]] = pulse[0]
            del self.pulses[0]
            self._made.pop(pulse[0], None)
        return done

    def _end(self, number: int) -> int:
        """First row that is not of this pulse's frame any more."""
        end = math.floor(float(self.pulses[number][0])) + self._reach
        if number + 1 < len(self.pulses):
            end = min(end, self.first_row(self.pulses[number + 1]))
        return end

    def _template(self) -> Template:
        return Template(self._frame, self._lead, self._channels, self._settings.template_pulses, self._jitter)

    def _one(
        self, rows: Rows, pulse: list[Any], low: int, high: int, begin: int, n: int, x: Floats, trial: Floats,
        missing: Mask, unused: Mask, untold: Mask,
    ) -> Floats | None:  # fmt: skip
        """Take one pulse out of `x`; the level before it, None where nothing of it is known."""
        row, channel, sd = pulse[0], pulse[1], pulse[4]
        template = self.templates.of(channel)
        blank_end = math.floor(row + self._after + sd) + 1
        expected = None
        if template.count >= _SEEN and template.align(row)[0] >= rows.first:
            expected = self._expect(rows, template, pulse, low, min(high, begin + n), blank_end)
        rest = row - self._newest.get(channel, row) > self._gap
        ready = expected is not None and not rest and template.judged >= self._settings.seed_pulses
        if not ready:
            over = math.floor(row + self._mwave + sd) + 1
            span = slice(max(low - begin, 0), max(over - begin, 0))
            missing[span] = True
            unused[span] = True
        if expected is None:
            return None
        a, b = max(low, begin), min(high, begin + n)
        span = slice(a - begin, b - begin)
        part = slice(a - expected.first, b - expected.first)
        guess = expected.made[0, part]
        if expected.shift:
            guess = guess + expected.shift * expected.made[1, part]
        trial[span] -= expected.gain * guess
        if ready:
            x[span] = trial[span]
            if np.count_nonzero(expected.left_rows[part]):
                unused[span] |= expected.left[part]
                missing[span] |= expected.left[part]
        if blank_end > begin:
            blank = slice(max(low - begin, 0), min(blank_end - begin, n))
            unused[blank] = True
            if blank.stop > blank.start:
                # What of the stimulus itself is left is fit to go through the filter where it is no more than EMG.
                off = np.abs(trial[blank] - expected.level)
                wrong = np.maximum.reduce(off, axis=0) > _FIT_SIGMAS * expected.noise_uv
                missing[blank] |= wrong
                untold[blank] |= wrong
        if np.count_nonzero(expected.weak_rows[part]):
            for mask in (missing, untold, unused):
                mask[span] |= expected.weak[part]
        return expected.level

    def _expect(
        self, rows: Rows, template: Template, pulse: list[Any], low: int, end: int, blank_end: int
    ) -> _Expected | None:
        """What a pulse leaves, from the rows of its frame before `end`; None where it does not seem to be there."""
        row, number, told = pulse[0], pulse[3], pulse[5]
        known = self._made.get(row)
        key = (template.version, pulse[2], told)
        if known is None or known.key != key:
            first, off = template.align(row)
            left = template.leaves(self._settings.left_ratio, pulse[2])
            weak = template.weak(_SEEN)
            upto = math.floor(row + self._mwave) - first
            level = self._level_before(rows, low) if known is None else known.level
            known = self._made[row] = _Expected(
                key, first, off, upto, level, template.noise_uv, left, np.logical_or.reduce(left, axis=1),
                weak, np.logical_or.reduce(weak, axis=1),
            )  # fmt: skip
        if known.final:
            return known
        shown = end - known.first
        blank = blank_end - known.first
        frame = slice(known.first - rows.first, end - rows.first)
        x, bad = rows.raw[frame] - known.level, rows.bad[frame]
        ok = None
        if np.count_nonzero(bad) or np.count_nonzero(known.weak_rows[:shown]):
            ok = ~(bad | known.weak[:shown])
        sign = template.polarity(number, x, ok, min(shown, blank + 4))
        turn = 0 if sign is None else int(sign.sum())
        if turn not in known.shapes:
            known.shapes[turn] = template.predict(known.off, sign)
        known.made = known.shapes[turn]
        if not told and template.absent(known.made, x, ok, min(blank, shown)):
            # Taken for granted and not seen: weak, or never given.
            pulse[6] = True
            return None
        upto = min(shown, known.upto)
        known.gain, known.shift, _ = template.fit(known.made, x, ok, blank, upto)
        known.final = upto == known.upto
        return known

    def _level_before(self, rows: Rows, low: int) -> Floats:
        end = low - rows.first
        begin = max(0, end - self._level)
        if end <= begin:
            return np.zeros(self._channels)
        raw, bad = rows.raw[begin:end], rows.bad[begin:end]
        if not np.count_nonzero(bad):
            mean: Floats = np.add.reduce(raw, axis=0) / (end - begin)
            return mean
        good = ~bad
        made: Floats = (raw * good).sum(axis=0) / np.maximum(good.sum(axis=0), 1)
        return made

    def _learn(self, rows: Rows, pulse: list[Any], high: int, done: list[Frame]) -> None:
        row, channel, current_ma, number, sd, told = pulse[:6]
        template = self.templates.of(channel)
        newest = self._newest.get(channel)
        if channel == STRAY or (pulse[6] and not told):
            return
        if newest is not None and row - newest > self._gap:
            template.after_gap()
        if not template.count:
            template.begin(row)
        template.step(current_ma)
        first, off = template.align(row)
        low = self.first_row(pulse)
        begin = first - MARGIN - rows.first
        padded = self._frame + 2 * MARGIN
        lasts = high - first
        blank = math.floor(row + self._after + sd) + 1 - first
        if begin < 0 or lasts <= blank + 3:
            return
        level = self._level_before(rows, low)
        raw = np.zeros((padded, self._channels))
        ok = np.zeros((padded, self._channels), dtype=np.bool_)
        there = rows.raw[begin : begin + padded]
        raw[: len(there)] = there
        ok[: len(there)] = ~rows.bad[begin : begin + padded]
        good = ok[MARGIN : MARGIN + lasts]
        behind = raw[MARGIN + low - first : MARGIN + lasts] - level
        if told:
            done.append(Frame(row, channel, low, behind, ok[MARGIN + low - first : MARGIN + lasts]))
        if MARGIN + lasts < padded:
            # The next pulse's own artifact is not to be drawn in by interpolation.
            raw[MARGIN + lasts :] = raw[MARGIN + lasts - 1]
        late = late_rows(lasts, blank)
        # A straight line from the level before to that at the end: what moves slowly is not of the answer.
        usable = good[late]
        counted = np.maximum(np.add.reduce(usable, axis=0, dtype=np.int64), 1)
        end_level = np.add.reduce((raw[MARGIN:][late] - level) * usable, axis=0) / counted
        middle = max(1.0, 0.5 * (late.start + late.stop) - self._lead)
        line = level + end_level * (self._behind / middle)
        frame = (raw - line) * ok
        cleaned = None
        if template.count >= _SEEN:
            cleaned = np.zeros((self._frame, self._channels))
            kept = rows.cleaned[first - rows.first : first - rows.first + lasts]
            cleaned[: len(kept)] = kept
        template.learn(frame, ok, off, number, cleaned, lasts, blank, self.frozen)
        if template.strange >= _STRANGE_MOST:
            template.seed_anew()
