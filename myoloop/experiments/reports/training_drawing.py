"""What the figures of a training report have in common: canvas, one marker per controller, points of people, CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from myoloop.experiments.reports.drawing import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, SKY, VERMILLION, put_stamp

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

#: Width of a printed A4 page between its margins: letters keep their size on paper.
WIDTH_IN = 7.3
#: No letter is smaller, in points.
SMALLEST_PT = 7.0
_LOOKS = (
    (BLUE, "o"), (VERMILLION, "s"), (GREEN, "^"), (PURPLE, "D"), (ORANGE, "v"), (INK, "P"), (SKY, "X"), (GREY, "<"),
)  # fmt: skip
#: Of the golden ratio: points side by side are spread without a pattern, the same way every time.
_SPREAD = 0.6180339887498949


def canvas(height_in: float, stamp: str) -> Figure:
    """An empty figure with its stamp."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(WIDTH_IN, height_in), layout=ConstrainedLayoutEngine(h_pad=0.05, w_pad=0.05))
    put_stamp(figure, stamp)
    return figure


def looks(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Colour and marker by name: who cannot tell the colours has the markers."""
    return {name: _LOOKS[number % len(_LOOKS)] for number, name in enumerate(names)}


def spread(count: int, width: float) -> Array:
    """Offsets (count,) within half of `width` to either side, for points that would lie on one another."""
    return np.array([((number * _SPREAD) % 1.0 - 0.5) * width for number in range(count)])


def strips(
    axis: Axes, rows: Mapping[str, Array], intervals: Mapping[str, tuple[float, float, float]],
    styles: Mapping[str, tuple[str, str]], words: Mapping[str, str],
) -> None:  # fmt: skip
    """A row of points for each name, a person each, above it the mean with its interval.

    Parameters
    ----------
    rows
        (people,) by name; what is not known is left out.
    intervals
        Mean, low, high by name; names without one have no mark.
    """
    for place, (name, values) in enumerate(rows.items()):
        colour, marker = styles[name]
        known = values[np.isfinite(values)]
        axis.plot(
            known, place + 0.1 + spread(len(known), 0.44), linestyle="none", marker=marker, markersize=3.2,
            markerfacecolor=colour, markeredgewidth=0, alpha=0.6,
        )  # fmt: skip
        if name in intervals:
            mean, low, high = intervals[name]
            axis.plot([low, high], [place - 0.28] * 2, color=INK, linewidth=1.6, solid_capstyle="butt")
            axis.plot([mean], [place - 0.28], marker="D", markersize=4, color=INK, linestyle="none")
    axis.set_yticks(range(len(rows)), [words.get(name, name) for name in rows])
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")


def cells(axis: Axes, table: Array, rows: Sequence[str], columns: Sequence[str], digits: int = 2) -> Any:
    """A matrix of numbers, each also written; what was not measured says so."""
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    known = table[np.isfinite(table)]
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 1.0)
    span = high - low or 1.0
    for row, column in np.ndindex(table.shape):
        value = float(table[row, column])
        if not np.isfinite(value):
            axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor="none", edgecolor=GREY, hatch="////"))
            axis.text(column, row, "not\nmeasured", ha="center", va="center", fontsize=SMALLEST_PT, color=INK)
            continue
        # Dark is high, and cividis is ordered for every colour vision and in grey.
        red, green, blue, _ = colormaps["cividis_r"]((value - low) / span)
        colour = (red, green, blue)
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.2))
        light = 0.299 * red + 0.587 * green + 0.114 * blue
        text = INK if light > 0.5 else "white"
        axis.text(column, row, f"{value:.{digits}f}", ha="center", va="center", fontsize=8, color=text)
    axis.set_xlim(-0.5, len(columns) - 0.5)
    axis.set_ylim(len(rows) - 0.5, -0.5)
    axis.set_xticks(range(len(columns)), columns)
    axis.set_yticks(range(len(rows)), rows)
    axis.tick_params(length=0)
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)


def source_csv(columns: Sequence[str], rows: Iterable[Sequence[object]], simulated: str) -> str:
    """The numbers a figure was drawn from, to the last digit; an absent one is an empty cell.

    Parameters
    ----------
    columns
        Each with its unit where it has one.
    simulated
        ``true``, ``false`` or ``partly``: stands in every row.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow((*columns, "simulated"))
    for row in rows:
        writer.writerow((*(_cell(value) for value in row), simulated))
    return file.getvalue()


def _cell(value: object) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return ""
    return repr(float(value)) if isinstance(value, float) else str(value)
