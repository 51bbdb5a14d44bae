"""What every pulse of one stimulation channel leaves in the EMG: its mean course, per EMG channel, with a gain.

A frame is the EMG behind one pulse on the grid of the template: row `j` of it lies `j - before` rows behind the
pulse, plus the fraction of a row by which the first pulse missed the sampling grid; other pulses are shifted onto it
by Lagrange interpolation of order 6 (nothing is shifted where the period is a whole number of samples). The template
is ``C + s A``: a mean over the newest pulses and, where polarity is seen to alternate, the mean of what alternates,
with ``s`` the polarity of this pulse.

A frame is predicted as ``g (T + tau dT)``: the gain of each EMG channel is followed from pulse to pulse by a scalar
Kalman filter, the shift `tau` is common to all. Both are estimated from that part of the frame that is in hand, held
to what is known beforehand: least squares over one frame alone would take the EMG for a change of the M-wave.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.interpolation import MARGIN, lagrange, shift_rows
from myoloop.controllers.signals.snapshot import Restorable

Floats = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

GAIN_LOW, GAIN_HIGH = 0.5, 1.5
#: Neighbouring samples of EMG at 2 kHz say almost the same: so many count as one.
_ALIKE = 4.0
#: Standard deviation of the gain from one pulse to the next, and just after a step of the current.
_GAIN_STEP, _GAIN_OPEN = 0.02, 0.3
_ALTERNATES = 4.0
_FLOOR_UV2 = 0.01
#: Pulses of a current this far from that of the mean are not the mean's.
_STEP = 0.08
#: Energy over that of the EMG from which a stimulus cannot be overlooked.
_STANDS_OUT = 200.0


class Template(Restorable):
    """Template, gain and what subtraction leaves, of one stimulation channel on all EMG channels.

    Parameters
    ----------
    rows
        Of a frame.
    before
        Of them, how many lie before the pulse.
    channels
        Of the EMG.
    pulses
        The mean has the memory of so many pulses.
    jitter_rows
        Standard deviation of a pulse against its clock.
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "_common", "_alternating", "_common_used", "_alternating_used", "_spread", "_seen", "_phase", "_turns", "_gain",
        "_gain_var", "_steady_var", "_noise", "_usual", "_left", "_left_frames", "_quiet", "_previous", "_locked",
        "_locked_power", "_current_ma", "_lasts", "count", "strange", "version",
    )  # fmt: skip

    def __init__(self, rows: int, before: int, channels: int, pulses: int, jitter_rows: float) -> None:
        self.rows, self.before = rows, before
        self._memory, self._jitter_var = pulses, jitter_rows * jitter_rows
        padded = rows + 2 * MARGIN
        self._common: Floats = np.zeros((padded, channels))
        self._alternating: Floats = np.zeros((padded, channels))
        #: The same, held towards zero where they are not more than chance.
        self._common_used: Floats = np.zeros((padded, channels))
        self._alternating_used: Floats = np.zeros((padded, channels))
        #: Mean square of frames about what was expected.
        self._spread: Floats = np.zeros((padded, channels))
        self._work: Floats = np.zeros((padded, channels))
        step = self._work.itemsize
        self._shifts = np.lib.stride_tricks.as_strided(
            self._work, (2 * MARGIN + 1, rows * channels), (channels * step, step)
        )
        self._shape = (2, rows, channels)
        self._seen: Floats = np.zeros((padded, channels))
        self._phase = 0.0
        self._turns: Mask = np.zeros(channels, dtype=np.bool_)
        self._gain: Floats = np.ones(channels)
        self._gain_var: Floats = np.full(channels, _GAIN_STEP**2)
        #: What the gain's variance settles at: its effect is part of what was seen to be left.
        self._steady_var: Floats = np.full(channels, _GAIN_STEP**2)
        self._noise: Floats = np.full(channels, _FLOOR_UV2)
        self._usual: Floats = np.zeros(channels)
        self._left: Floats = np.zeros((rows, channels))
        self._left_frames = 0
        self._quiet: Floats = np.zeros(channels)
        self._previous: Floats = np.zeros((rows, channels))
        self._locked: Floats = np.zeros(channels)
        self._locked_power: Floats = np.zeros(channels)
        self._current_ma = 0.0
        self._leaves: tuple[tuple[int, float, float, float], Mask] | None = None
        self._lasts = rows
        #: Frames learned since it was begun or seeded anew.
        self.count = 0
        #: Frames in a row that did not look like it though they looked like each other.
        self.strange = 0
        #: Changes with what it predicts.
        self.version = 0

    @property
    def gain(self) -> Floats:
        """(channels,) size of the newest frames relative to the mean."""
        return self._gain

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state."""
        super().restore(state)
        self._leaves = None

    def align(self, row: float) -> tuple[int, float]:
        """First row of the frame behind a pulse at `row`, and by how much it lies off the template's grid."""
        whole = math.floor(row)
        off = (row - whole) - self._phase
        if off > 0.5:
            whole, off = whole + 1, off - 1.0
        elif off < -0.5:
            whole, off = whole - 1, off + 1.0
        return whole - self.before, off if abs(off) > 1e-3 else 0.0

    def begin(self, row: float) -> None:
        """Take the grid from a first pulse."""
        self._phase = row - float(np.floor(row))

    def step(self, current_ma: float) -> None:
        """Hear of a pulse's current: where it is not that of the mean, frames change in size, and perhaps in shape."""
        if not current_ma:
            return
        before = self._current_ma
        if self.count and before and abs(current_ma / before - 1.0) > _STEP:
            ratio = min(max(current_ma / before, GAIN_LOW), GAIN_HIGH)
            self.seed_anew()
            self._gain[:] = ratio
        # The mean's own current follows as the mean does.
        share = max(1.0 / (self.count + 1.0), 2.0 / (self._memory + 1.0)) if before else 1.0
        self._current_ma += share * (current_ma - before)

    def seed_anew(self) -> None:
        """What was learned is a first guess only."""
        self.count = min(self.count, 2)
        self._left_frames = 0
        self._gain_var[:] = _GAIN_OPEN**2
        self._seen[:] = np.minimum(self._seen, 2.0)
        self.strange = 0
        self.version += 1

    def after_gap(self) -> None:
        """Hear that stimulation had paused: the muscle and its skin may have changed meanwhile."""
        self.count = min(self.count, 5)
        self._left_frames = min(self._left_frames, 5)
        self._gain_var[:] = _GAIN_OPEN**2
        self._seen[:] = np.minimum(self._seen, 5.0)
        self.strange = 0
        self.version += 1

    @property
    def judged(self) -> int:
        """Frames in which it has been seen what subtraction leaves."""
        return self._left_frames

    @property
    def noise_uv(self) -> Floats:
        """(channels,) standard deviation of what is not the answer."""
        made: Floats = np.sqrt(self._noise)
        return made

    def absent(self, made: Floats, x: Floats, ok: Mask | None, shown: int) -> bool:
        """Whether the stimulus is missing from the first `shown` rows of a frame though it would stand out."""
        shape = made[0, :shown] if ok is None else made[0, :shown] * ok[:shown]
        size = np.einsum("ij,ij->j", shape, shape) / self._noise
        if float(size.sum()) < _STANDS_OUT:
            return False
        like = np.einsum("ij,ij->j", shape, x[:shown]) / self._noise
        return float(like.sum()) < 0.3 * float(size.sum())

    def predict(self, off: float, polarity: Floats | None) -> Floats:
        """What a pulse `off` rows off the grid leaves, at gain 1, and its change per row of shift: (2, rows, ch)."""
        if polarity is None:
            self._work[:] = self._common_used
        else:
            np.multiply(self._alternating_used, polarity, out=self._work)
            self._work += self._common_used
        made: Floats = (lagrange(-off) @ self._shifts).reshape(self._shape)
        return made

    def polarity(self, number: int, x: Floats, ok: Mask | None, shown: int) -> Floats | None:
        """+1 or -1 per channel where it alternates, else 0; None where none does.

        The count of pulses tells it, unless the frame's first `shown` rows say that one was missed.
        """
        if not np.count_nonzero(self._turns):
            return None
        expected = 1.0 - 2.0 * (number % 2)
        rows = slice(MARGIN, MARGIN + shown)
        off = x[:shown] - self._common_used[rows]
        if ok is not None:
            off = off * ok[:shown]
        like = float((off * self._alternating_used[rows] / self._noise)[:, self._turns].sum())
        size = float((self._alternating_used[rows] ** 2 / self._noise)[:, self._turns].sum())
        if abs(like) > 0.5 * size > 20.0:
            expected = 1.0 if like > 0 else -1.0
        return np.where(self._turns, expected, 0.0)

    def fit(self, made: Floats, x: Floats, ok: Mask | None, begin: int, end: int) -> tuple[Floats, float, Floats]:
        """Gain (channels,), shift in rows, and the gain's variance, from rows `begin` to `end` of a frame."""
        if end - begin < 3:
            return self._gain, 0.0, self._gain_var
        # With the slope the sums for the shift come in the same two calls.
        part = made[: 2 if self._jitter_var else 1, begin:end]
        rest = x[begin:end] - self._gain * part[0]
        if ok is not None:
            valid = ok[begin:end]
            rest, part = rest * valid, part * valid
        size = np.einsum("kij,kij->kj", part, part)
        like = np.einsum("kij,ij->kj", part, rest)
        noise = _ALIKE * self._noise
        known = size[0] + noise / self._gain_var
        gain = self._gain + like[0] / known
        gain = np.minimum(np.maximum(gain, GAIN_LOW), GAIN_HIGH)
        shift = 0.0
        if len(part) > 1:
            top, low = float(like[1] @ (inverse := 1.0 / noise)), float(size[1] @ inverse)
            shift = min(max(top / (low + 1.0 / self._jitter_var), -1.0), 1.0)
        return gain, shift, noise / known

    def weak(self, count: int) -> Mask:
        """(rows, channels): where fewer than `count` frames had a valid sample."""
        return self._seen[MARGIN:-MARGIN] < count

    def leaves(self, ratio: float, current_ma: float) -> Mask:
        """(rows, channels): where subtraction leaves more than `ratio` times the power of the EMG between M-waves.

        To what it was seen to leave comes what follows from a gain that is not known well: after a pause, and where
        the current is not that of the mean.
        """
        # The current of the mean moves with every pulse, the mean itself only with those that are learned.
        before = self._current_ma
        key = (self.version, ratio, current_ma, before)
        kept = self._leaves
        if kept is not None and kept[0] == key:
            return kept[1]
        left = self._left
        smooth = left.copy()
        smooth[1:-1] = 0.25 * (left[:-2] + 2.0 * left[1:-1] + left[2:])
        doubt = self._gain_var - self._steady_var
        if current_ma and before:
            doubt = doubt + (current_ma / before - 1.0) ** 2
        shape = self._common_used[MARGIN:-MARGIN]
        smooth += np.maximum(doubt, 0.0) * (shape * shape)
        made: Mask = smooth > ratio * np.maximum(self._quiet, _FLOOR_UV2)
        self._leaves = (key, made)
        return made

    def learn(
        self, frame: Floats, ok: Mask, off: float, number: int, left: Floats | None, lasts: int, blank: int,
        frozen: Mask,
    ) -> None:  # fmt: skip
        """Take in a whole frame.

        Parameters
        ----------
        frame
            (rows + 2 MARGIN, channels), its level taken off.
        ok
            Which samples of it are valid.
        off
            By how much it lies off the grid, rows.
        number
            Of the pulse.
        left
            (rows, channels) what subtraction left of it when it was heard, high-passed; None where nothing was
            subtracted.
        lasts
            Rows until the next pulse's blank.
        blank
            Rows that are blanked at its beginning.
        frozen
            (channels,) where nothing may be learned from it.
        """
        x = shift_rows(frame, off)
        inside = x[MARGIN:-MARGIN]
        valid = ok.copy()
        valid[MARGIN + lasts :] = False
        late = late_rows(lasts, blank)
        self._lasts = lasts
        self.version += 1
        if self.count == 0:
            self._common[:] = np.where(valid, x, 0.0)
            self._alternating[:] = 0.0
            self._common_used[:], self._alternating_used[:], self._spread[:] = self._common, 0.0, 0.0
            self._seen[:] = valid
            self._gain[:], self._gain_var[:] = 1.0, _GAIN_OPEN**2
            self._noise[:] = np.maximum(inside[late].var(axis=0), _FLOOR_UV2)
            self._usual[:] = self._noise
            self._left_frames, self._locked[:], self._locked_power[:] = 0, 0.0, 0.0
            self._previous[:] = 0.0
            self._turns[:] = False
            self.count = 1
            return
        inner = valid[MARGIN:-MARGIN]
        sign = self.polarity(number, inside, inner, min(lasts, blank + 4))
        used = self._common_used if sign is None else self._common_used + self._alternating_used * sign
        gain, _, variance = self.fit(used[None, MARGIN:-MARGIN], inside, inner, blank, lasts)
        weight = self._judge(left, inner, late, blank, lasts)
        weight[frozen] = 0.0
        free = weight > 0
        self._gain[free] = gain[free]
        self._gain_var[free] = variance[free]
        self._gain_var += _GAIN_STEP**2
        self._steady_var += 0.1 * (self._gain_var - self._steady_var)
        np.minimum(self._steady_var, self._gain_var, out=self._steady_var)
        self._take_in(x, valid, weight, number, sign)

    def _take_in(self, x: Floats, valid: Mask, weight: Floats, number: int, sign: Floats | None) -> None:
        self.count += 1
        seen = self._seen
        heavy = weight * valid
        part = np.maximum(1.0 / (seen + 1.0), 2.0 / (self._memory + 1.0)) * heavy
        seen += valid & (weight > 0.1)
        turn = 1.0 - 2.0 * (number % 2)
        if sign is not None:
            # The frame itself may have said that a pulse was missed.
            turn = float(np.sign(sign.sum())) or turn
        off = x - self._common
        if self.count > 2:
            if sign is None:
                # What may alternate is learned fast at first.
                part_turn = part
                if 1.0 / self.count > 2.0 / (self._memory + 1.0):
                    part_turn = np.maximum(part, min(1.0 / self.count, 0.5) * heavy)
                self._alternating += part_turn * (turn * off - self._alternating)
            else:
                self._alternating += part * (turn * off - self._alternating)
        own = off if sign is None else off - sign * self._alternating
        self._common += part * own
        # The gain is told relative to a mean that has just moved towards this frame.
        moved = 1.0 + np.maximum.reduce(part, axis=0) * (self._gain - 1.0)
        self._gain /= moved
        np.minimum(np.maximum(self._gain, GAIN_LOW, out=self._gain), GAIN_HIGH, out=self._gain)
        part_spread = max(0.1, 1.0 / self.count) * (weight > 0)
        self._spread += part_spread * (own * own * valid - self._spread)
        chance, power = _smooth(self._spread, self._common * self._common)
        chance /= min(self.count, self._memory)
        np.multiply(self._common, _beyond_chance(power, chance), out=self._common_used)
        if self.count >= 6:
            energy = np.add.reduce(chance, axis=0) * (min(self.count, self._memory) / min(self.count - 2, self._memory))
            turns = np.einsum("ij,ij->j", self._alternating, self._alternating) > _ALTERNATES * energy
            if np.count_nonzero(turns != self._turns):
                self._left_frames = 0
            self._turns[:] = turns
            if np.count_nonzero(turns):
                (power,) = _smooth(self._alternating * self._alternating)
                np.multiply(self._alternating, _beyond_chance(power, chance), out=self._alternating_used)

    def _judge(self, left: Floats | None, valid: Mask, late: slice, blank: int, lasts: int) -> Floats:
        """Learn what subtraction leaves where, and notice frames that have changed; the weight of this frame."""
        if left is None:
            return np.ones_like(self._gain)
        count = max(1, lasts - blank)
        squares = left * left
        power = np.add.reduce(squares[blank:lasts], axis=0) / count
        quiet = np.add.reduce(squares[late], axis=0) / (late.stop - late.start)
        quiet = np.maximum(quiet, _FLOOR_UV2)
        both = np.einsum("ij,ij->j", left[blank:lasts], self._previous[blank:lasts]) / count
        self._previous[:] = left
        self._locked += 0.4 * (both - self._locked)
        self._locked_power += 0.4 * (power - self._locked_power)
        strange = (self._locked > 0.6 * self._locked_power) & (power > 4.0 * quiet)
        self.strange = self.strange + 1 if np.count_nonzero(strange) and self.count > 4 else 0
        # A louder frame says less of the mean: its weight goes with the inverse of the EMG's power.
        weight: Floats = np.minimum(1.0, 2.0 * self._usual / quiet)
        self._usual += np.where(quiet < self._usual, 0.2, 0.03) * (quiet - self._usual)
        self._noise += 0.3 * (quiet - self._noise)
        self._left_frames += 1
        # As a share of this frame's own quiet part, so that loud EMG is no bad subtraction.
        part = max(1.0 / self._left_frames, 0.1)
        share = part * np.maximum(self._usual, _FLOOR_UV2) / np.maximum(quiet, self._usual)
        squares *= share
        squares -= part * self._left
        squares *= valid
        self._left += squares
        self._quiet += share * quiet - part * self._quiet
        return weight


def late_rows(lasts: int, blank: int) -> slice:
    """The last quarter of a frame, where the answer is over, without the rows at which the next pulse pulls."""
    end = max(blank + 4, lasts - MARGIN)
    return slice(max(blank, end - max(4, lasts // 4)), end)


def _smooth(*powers: Floats) -> list[Floats]:
    """Of each the mean over 2 MARGIN + 1 neighbouring rows; the ends stay as they are."""
    made = np.concatenate(powers, axis=1)
    total = np.zeros((len(made) + 1, made.shape[1]))
    np.add.accumulate(made, axis=0, out=total[1:])
    width = 2 * MARGIN + 1
    np.divide(total[width:] - total[:-width], width, out=made[MARGIN:-MARGIN])
    channels = powers[0].shape[1]
    return [made[:, place : place + channels] for place in range(0, made.shape[1], channels)]


def _beyond_chance(power: Floats, chance: Floats) -> Floats:
    """Share of a mean that is more than its own error (Wiener's weight), by the energy around each row."""
    made: Floats = np.maximum(1.0 - chance / np.maximum(power, 1e-12), 0.0)
    return made
