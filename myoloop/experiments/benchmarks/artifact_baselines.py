"""The simplest known ways to be rid of a stimulation artifact, for comparison: blanking, comb, mean template.

They work on a whole recording at once and are told every pulse exactly, which the controller is not. Their output goes
through the same band-pass filter.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]


def blank(seen: Array, pulse_rows: Array, rate_hz: float, after_ms: float = 15.0) -> tuple[Array, Mask]:
    """A straight line from half a millisecond before each pulse to `after_ms` after it, and where there is none."""
    rows = np.arange(len(seen))
    good = np.ones(len(seen), dtype=np.bool_)
    for pulse in pulse_rows.tolist():
        begin, end = pulse - 0.5e-3 * rate_hz, pulse + after_ms * 1e-3 * rate_hz
        good[max(0, int(np.ceil(begin))) : int(end) + 1] = False
    lines = [np.interp(rows, rows[good], column[good]) for column in seen.T]
    return np.stack(lines, axis=1), good


def comb(seen: Array, period_rows: int) -> Array:
    """What is different from one period before."""
    made = seen.copy()
    made[period_rows:] -= seen[:-period_rows]
    return made


def mean_template(
    seen: Array, pulse_rows: Array, rate_hz: float, pulses: int = 20, every: int = 1, blank_ms: float = 3.0
) -> tuple[Array, Mask]:
    """Subtract the mean of the last `pulses` frames, aligned to whole samples; then blank the stimulus itself.

    Parameters
    ----------
    every
        Pulses in a frame: 2 where every other one is alike.
    """
    made = seen.copy()
    first = np.floor(pulse_rows).astype(int)[::every]
    length = int(np.median(np.diff(first)))
    frames: list[Array] = []
    for row in first.tolist():
        frame = seen[row : row + length]
        if frames and len(frame) == length:
            made[row : row + length] -= np.mean(frames[-pulses:], axis=0)
        if len(frame) == length:
            frames.append(frame - frame.mean(axis=0))
    return blank(made, pulse_rows, rate_hz, blank_ms)
