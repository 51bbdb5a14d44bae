"""Frames moved by a fraction of a row: Lagrange interpolation of order 6."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: Rows on each side of a frame that interpolation needs.
MARGIN = 3
_STEPS = 256


def shift_rows(padded: Floats, off: float) -> Floats:
    """A padded frame moved by `off` rows onto the grid; its outermost rows stay as they are."""
    if off == 0.0:
        return padded
    moved = np.array(padded, order="C")
    rows, channels = len(moved) - 2 * MARGIN, moved.shape[1]
    # Row k of `taps` is the frame k rows further on.
    step = moved.itemsize
    taps: Floats = np.ndarray((2 * MARGIN + 1, rows * channels), moved.dtype, moved, 0, (channels * step, step))
    moved[MARGIN:-MARGIN] = (lagrange(off)[0] @ taps).reshape(rows, channels)
    return moved


def lagrange(shift: float) -> Floats:
    """Weights of seven samples around a point `shift` rows further on, |shift| <= 0.5; and minus their slopes (2, 7).

    Looked up in steps of 1/256 of a row: at 300 Hz and 2 kHz that is an error of less than 0.2 %.
    """
    made: Floats = _LAGRANGE[round(shift * _STEPS) + _STEPS // 2]
    return made


def _lagrange_table() -> Floats:
    nodes = np.arange(-MARGIN, MARGIN + 1.0)
    made = np.empty((_STEPS + 1, 2, len(nodes)))
    for place in range(_STEPS + 1):
        shift = place / _STEPS - 0.5
        for k, node in enumerate(nodes.tolist()):
            others = np.delete(nodes, k)
            basis = np.poly(others) / np.prod(node - others)
            made[place, :, k] = np.polyval(basis, shift), -np.polyval(np.polyder(basis), shift)
    return made


_LAGRANGE = _lagrange_table()
