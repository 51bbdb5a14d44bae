"""When each sample of an imported stream was, and where some are missing.

Three cases: a rate alone (sample k at k/rate), a column of times, and the stamps of a stream that a network recorder
wrote, which jitter. A time is never invented: where a clock goes back and nothing says by how much it was set, the file
is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from myoloop.acquisition.formats import FormatError

Floats = npt.NDArray[np.float64]

#: A step in a network stream's stamps that stays is a break if it is more than this, or than so many periods; what is
#: late and catches up is jitter. The bound is that of the index's segments.
STEP_S, STEP_PERIODS = 0.05, 0.5
#: Stretches may overlap by so much, as jitter makes them; by more, the clock has gone back.
OVERLAP_S = 0.25
#: Stamps are late, never early: where a stream stands is the earliest of so much on either side.
_LEVEL_S = 1.0
#: A stream's own rate is this close to the said one.
_DRIFT = 0.1
#: A measured rate further from the said one is told.
RATE_TOLERANCE = 0.01
#: A step this close to a whole number of periods says how many samples are missing.
_WHOLE = 0.25
#: Of what nine in ten steps differ from a period at most, a step must differ so many times to be a break.
_ROUNDED = 2.0
#: Without a said rate, so many of the steps must be within a quarter of the median one.
_REGULAR_SHARE = 0.9


@dataclass(frozen=True, slots=True)
class Break:
    """A place in a stream that is not like the others.

    Attributes
    ----------
    row
        First row after it.
    missing
        Samples that are missing; None where that cannot be known, and the stream begins anew.
    gap_s
        Time between the rows beside it.
    why
        What was seen: ``gap`` or ``clock reset``.
    """

    row: int
    missing: int | None
    gap_s: float
    why: str


@dataclass(frozen=True, slots=True)
class SampleTimes:
    """Times of a stream's samples.

    Attributes
    ----------
    time_s
        (n_samples,), on the file's common clock.
    breaks
        In order.
    measured_hz
        Median rate by the times; None where there is nothing to measure.
    jitter_s
        Root mean square of what was smoothed away; 0 where nothing was.
    """

    time_s: Floats
    breaks: tuple[Break, ...] = ()
    measured_hz: float | None = None
    jitter_s: float = 0.0


def of_rate(samples: int, rate_hz: float) -> SampleTimes:
    """Times by a rate alone."""
    return SampleTimes(np.arange(samples) / rate_hz, (), rate_hz)


def rate_of_column(time_s: Floats, where: str) -> float:
    """Rate of a column of times.

    Raises
    ------
    FormatError
        If its steps are not regular enough to tell.
    """
    _refuse_odd(time_s, where)
    steps = np.diff(time_s)
    median = float(np.median(steps)) if len(steps) else 0.0
    if not median > 0 or np.mean(np.abs(steps - median) <= _WHOLE * median) < _REGULAR_SHARE:
        raise FormatError(f"{where}: its steps do not tell a rate; set rate in the mapping file")
    # Nine figures: the rest is how decimals are stored.
    return float(f"{1.0 / median:.9g}")


def of_column(time_s: Floats, rate_hz: float, where: str) -> SampleTimes:
    """Times by a column: as they stand in it; where rounding made them equal, a line through each stretch.

    Raises
    ------
    FormatError
        If one is no number, or time goes back.
    """
    _refuse_odd(time_s, where)
    period_s = 1.0 / rate_hz
    steps = np.diff(time_s)
    # Rounding makes steps uneven and some of them nothing, never negative.
    noise_s = _ROUNDED * float(np.quantile(np.abs(steps - period_s), _REGULAR_SHARE)) if len(steps) else 0.0
    margin_s = max(0.5 * period_s, noise_s)
    back = np.flatnonzero(steps < 0 if noise_s >= period_s * _WHOLE else steps <= 0)
    if len(back):
        raise _goes_back(where, int(back[0]) + 1, time_s)
    breaks = []
    for row in (np.flatnonzero(steps > period_s + margin_s) + 1).tolist():
        gap_s = float(steps[row - 1])
        periods = gap_s / period_s
        known = abs(periods - round(periods)) <= _WHOLE
        breaks.append(Break(row, round(periods) - 1 if known else None, gap_s, "gap"))
    measured = float(1.0 / np.median(steps)) if len(steps) and np.median(steps) > 0 else None
    if np.all(steps > 0):
        return SampleTimes(time_s, tuple(breaks), measured)
    smooth, jitter_s = _lines(time_s, [each.row for each in breaks], period_s)
    return SampleTimes(smooth, tuple(breaks), measured, jitter_s)


def of_stamps(time_s: Floats, rate_hz: float, resets: Sequence[int], where: str) -> SampleTimes:
    """Times by stamps that jitter: a line through each stretch without a break.

    Parameters
    ----------
    time_s
        (n_samples,), brought to the file's common clock.
    resets
        Rows at which the stream's own clock was set anew.

    Raises
    ------
    FormatError
        If one is no number, or the clock goes back for good where it was not set anew, or stretches overlap.
    """
    _refuse_odd(time_s, where)
    set_anew = set(resets)
    breaks = []
    for row, shift_s in _steps_that_stay(time_s, rate_hz, set_anew):
        if row not in set_anew and shift_s < -OVERLAP_S:
            raise _goes_back(where, row, time_s)
        why = "clock reset" if row in set_anew else "gap" if shift_s > 0 else "clock step back"
        breaks.append(Break(row, None, float(time_s[row] - time_s[row - 1]), why))
    rows = [each.row for each in breaks]
    smooth, jitter_s = _lines(time_s, rows, 1.0 / rate_hz)
    for row in rows:
        overlap_s = float(smooth[row - 1] - smooth[row])
        if overlap_s > OVERLAP_S:
            raise FormatError(f"{where}: before and after sample {row} its clock has the same {overlap_s:.3f} s")
    lengths = np.diff([0, *rows, len(smooth)])
    ends = [*rows, len(smooth)]
    spans = [(int(n), float(smooth[end - 1] - smooth[end - n])) for n, end in zip(lengths, ends, strict=True) if n]
    counted, lasted_s = sum(n - 1 for n, _ in spans), sum(span for _, span in spans)
    measured = counted / lasted_s if counted > 0 and lasted_s > 0 else None
    return SampleTimes(smooth, tuple(breaks), measured, jitter_s)


def _steps_that_stay(time_s: Floats, rate_hz: float, set_anew: set[int]) -> Iterator[tuple[int, float]]:
    """Rows before which the stamps step against the count and do not come back, and by how much; resets always."""
    window = max(4, round(_LEVEL_S * rate_hz))
    period_s = 1.0 / rate_hz
    if len(time_s) > 2 * window:
        # Gaps make stretches longer, never shorter; one that is far from the said rate has nothing but gaps in it.
        measured_s = float(np.quantile(time_s[window:] - time_s[:-window], 0.25)) / window
        period_s = measured_s if abs(measured_s - period_s) <= _DRIFT * period_s else period_s
    level_s = time_s - np.arange(len(time_s)) * period_s
    least_s = max(STEP_S, STEP_PERIODS * period_s)
    odd = np.flatnonzero(np.abs(np.diff(level_s)) > 0.5 * least_s) + 1
    last, ends = 0, sorted(set_anew)
    for row in sorted(set_anew | set(odd.tolist())):
        end = next((each for each in ends if each > row), len(time_s))
        before_s = float(level_s[max(last, row - window) : row].min())
        shift_s = float(level_s[row : min(row + window, end)].min()) - before_s
        if row in set_anew or abs(shift_s) > least_s:
            yield row, shift_s
            last = row


def _lines(time_s: Floats, rows: Sequence[int], period_s: float) -> tuple[Floats, float]:
    """A least-squares line through each stretch, and the root mean square of what is left."""
    smooth = np.empty_like(time_s)
    squares = 0.0
    for begin, end in zip([0, *rows], [*rows, len(time_s)], strict=True):
        part = time_s[begin:end]
        if not len(part):
            continue
        k = np.arange(len(part)) - 0.5 * (len(part) - 1)
        slope = float(np.dot(k, part) / np.dot(k, k)) if len(part) > 1 else period_s
        # A stretch too short or too odd for a rate of its own goes at the nominal one.
        if not slope > 0:
            slope = period_s
        smooth[begin:end] = part.mean() + slope * k
        squares += float(np.sum((part - smooth[begin:end]) ** 2))
    return smooth, float(np.sqrt(squares / len(time_s))) if len(time_s) else 0.0


def _refuse_odd(time_s: Floats, where: str) -> None:
    odd = np.flatnonzero(~(np.abs(time_s) < 1e15))  # NaN is not less either
    if len(odd):
        raise FormatError(f"{where}: sample {int(odd[0]) + 1}: found {float(time_s[odd[0]])}, a time is needed")


def _goes_back(where: str, row: int, time_s: Floats) -> FormatError:
    before, after = float(time_s[row - 1]), float(time_s[row])
    return FormatError(
        f"{where}: time goes back at sample {row + 1}: {before:.6f} s, then {after:.6f} s, "
        "and nothing says by how much its clock was set"
    )
