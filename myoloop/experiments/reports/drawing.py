"""What all figures of a report have in common: canvas, colours, source rows, SVG that is the same every time."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from myoloop.experiments.analysis.tracks import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from myoloop.experiments.analysis.session import Session

#: Okabe and Ito's colours, told apart by people with any colour vision; with line style and hatch beside.
INK, GREY, PALE = "#1f2933", "#7b8794", "#d5dbe1"
BLUE, SKY, ORANGE, VERMILLION, GREEN, PURPLE = "#0072B2", "#56B4E9", "#E69F00", "#D55E00", "#009E73", "#CC79A7"

WIDTH_IN = 9.6
#: A line is thinned out to so many bins, each with its least and greatest value.
BINS = 1400

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "myoloop",
    "font.family": ["sans-serif"],
    "font.sans-serif": ["DejaVu Sans", "Arial", "Helvetica"],
    "font.size": 8.5,
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": GREY,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e8ecf0",
    "grid.linewidth": 0.7,
    "hatch.linewidth": 0.5,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "path.simplify": True,
}


@dataclass(slots=True)
class Source:
    """The numbers a figure was drawn from, row by row."""

    simulated: str
    rows: list[tuple[str, str, float, float | None, float | str | None, str]] = field(default_factory=list)

    def line(self, series: str, name: str, t_s: Iterable[float], values: Iterable[float], unit: str) -> None:
        """Points of a line."""
        rows = zip(t_s, values, strict=True)
        self.rows.extend((series, name, float(t), None, float(value), unit) for t, value in rows)

    def spans(self, series: str, name: str, intervals: Iterable[tuple[float, float]], value: str = "") -> None:
        """Stretches of time."""
        self.rows.extend((series, name, float(begin), float(end), value, "") for begin, end in intervals)

    def csv(self) -> str:
        """As a table; an absent value is an empty cell."""
        file = io.StringIO()
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("series", "name", "x", "x_end", "value", "unit", "simulated"))
        for series, name, t_s, end_s, value, unit in self.rows:
            writer.writerow((series, name, _cell(t_s), _cell(end_s), _cell(value), unit, self.simulated))
        return file.getvalue()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A finished figure.

    Attributes
    ----------
    name
        Of its files.
    title, caption
        What it shows; how each thing in it is defined, and how many there are.
    svg, csv
        The figure and the numbers it was drawn from.
    """

    name: str
    title: str
    caption: str
    svg: str
    csv: str

    @property
    def inline(self) -> str:
        """The SVG as a page takes it: without the XML head, its ids no other figure's, described by its caption."""
        svg = self.svg[self.svg.index("<svg") :]
        svg = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{self.name}-", svg)
        label = self.title.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
        return svg.replace("<svg ", f'<svg role="img" aria-label="{label}" aria-describedby="caption-{self.name}" ', 1)


#: Height of the line that the stamp stands on, inch.
_STAMP_IN = 0.18


def style() -> Any:
    """The figures' settings, for as long as the context lasts."""
    import matplotlib

    return matplotlib.rc_context(_STYLE)


def panels(heights: Sequence[float], stamp: str) -> tuple[Figure, list[Axes]]:
    """A figure of panels above one another on one time axis; heights in inches.

    Parameters
    ----------
    stamp
        Written into the figure itself, so that it cannot lose it; empty for none.
    """
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(h_pad=0.03, w_pad=0.03, hspace=0.01)
    figure = Figure(figsize=(WIDTH_IN, sum(heights)), layout=layout)
    grid = figure.add_gridspec(len(heights), 1, height_ratios=list(heights))
    axes: list[Axes] = []
    for row in range(len(heights)):
        axes.append(figure.add_subplot(grid[row], sharex=axes[0] if axes else None))
    for axis in axes[:-1]:
        axis.tick_params(labelbottom=False)
    put_stamp(figure, stamp)
    return figure, axes


def put_stamp(figure: Figure, stamp: str) -> None:
    """Write what must not be overlooked into a figure's corner, on a line of its own."""
    if not stamp:
        return
    figure.text(0.995, 0.997, stamp, ha="right", va="top", color=VERMILLION, fontsize=8, fontweight="bold")
    from matplotlib.layout_engine import ConstrainedLayoutEngine, TightLayoutEngine

    layout = figure.get_layout_engine()
    if isinstance(layout, ConstrainedLayoutEngine | TightLayoutEngine):
        layout.set(rect=(0.0, 0.0, 1.0, 1.0 - _STAMP_IN / figure.get_figheight()))


def to_svg(figure: Figure) -> str:
    """The figure as SVG, byte for byte the same every time."""
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": "myoloop"})
    return file.getvalue()


def shade(axis: Axes, intervals: Iterable[tuple[float, float]], **how: Any) -> None:
    """Shade stretches of time, from bottom to top, as one element."""
    spans = [(begin, end - begin) for begin, end in intervals if end > begin]
    if spans:
        how.setdefault("linewidth", 0)
        axis.broken_barh(spans, (0, 1), transform=axis.get_xaxis_transform(), **how)


def lane(axis: Axes, intervals: Iterable[tuple[float, float]], low: float, height: float, **how: Any) -> None:
    """Mark stretches of time in a lane, in shares of the panel's height."""
    spans = [(begin, end - begin) for begin, end in intervals if end > begin]
    if spans:
        axis.broken_barh(spans, (low, height), transform=axis.get_xaxis_transform(), **how)


def said_simulated(session: Session) -> str:
    """What the source rows of a figure say of it."""
    return {True: "true", False: "false", None: "unknown"}[session.simulated]


def closed(intervals: Iterable[Interval], end_s: float) -> list[tuple[float, float]]:
    """Intervals with an end, the session's where they have none."""
    return [(each.begin_s, each.until(end_s)) for each in intervals]


def runs(t_s: Any, mask: Any) -> list[tuple[float, float]]:
    """Stretches in which a mask is true, each to the first point after it."""
    if not len(t_s):
        return []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], np.asarray(mask, np.int8), [0]))))
    last = len(t_s) - 1
    return [(float(t_s[b]), float(t_s[min(e, last)])) for b, e in zip(edges[::2], edges[1::2], strict=True)]


def _cell(value: float | str | None) -> str:
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return ""
    return value if isinstance(value, str) else f"{value:.6g}"
