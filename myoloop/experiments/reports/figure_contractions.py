"""Fatigue contraction by contraction: peak force and M-wave of each train, with a slope and its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from myoloop.experiments.analysis.loopwalk import LoopWalk
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import Floats
from myoloop.experiments.outcomes.measures.evoked import TRAINS_MIN, slope
from myoloop.experiments.outcomes.mechanical import peaks_of_trains
from myoloop.experiments.outcomes.view import View, within
from myoloop.experiments.protocols.schema import Protocol
from myoloop.experiments.reports.drawing import (
    BLUE,
    INK,
    WIDTH_IN,
    Drawn,
    Source,
    put_stamp,
    said_simulated,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 3


class Series(NamedTuple):
    """One quantity of the trains: number of each train from 1, and its value."""

    name: str
    unit: str
    train: Floats
    value: Floats


def series(session: Session, protocol: Protocol | None, walked: LoopWalk) -> list[Series]:
    """What was measured of each train."""
    found: list[Series] = []
    view = View(session, protocol) if protocol is not None else None
    if view is None:
        return found
    peaks = peaks_of_trains(view)
    if peaks.by_train:
        number, value = (np.array(list(each), float) for each in (peaks.by_train, peaks.by_train.values()))
        found.append(Series("peak force", f"{peaks.unit} above rest", number, value))
    trains = view.trains()
    for muscle, waves in walked.mwaves.items():
        at_s = np.array([each.t_s for each in waves])
        area = np.array([np.nan if each.wave.clipped else each.wave.rectified_area_uv_ms for each in waves])
        told = [(number, area[keep]) for number, train in enumerate(trains, 1) if (keep := within(at_s, train)).any()]
        known = [(number, float(np.nanmedian(each))) for number, each in told if np.isfinite(each).any()]
        if known:
            number, value = np.array(known).T
            found.append(Series(f"M-wave of {muscle}", "µV ms, median of the train", number, value))
    return found


def contractions(session: Session, protocol: Protocol | None, walked: LoopWalk, stamp: str) -> Drawn | None:
    """The figure; None where nothing was measured of any train."""
    told = series(session, protocol, walked)
    if not told:
        return None
    from matplotlib.figure import Figure

    shown = told[:_MOST]
    figure = Figure(figsize=(WIDTH_IN, 2.5), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    source = Source(said_simulated(session))
    said = []
    for axis, each in zip(axes, shown, strict=True):
        axis.plot(each.train, each.value, marker="o", markersize=3.5, linestyle="none", color=BLUE)
        source.line(each.name, "each train", each.train, each.value, each.unit)
        said.append(f"{each.name}: {_slope(axis, each, source)}")
        axis.set_title(each.name, pad=3)
        axis.set_xlabel("train")
        axis.set_ylabel(each.unit)
        axis.set_ylim(min(0.0, float(np.min(each.value))), max(1e-9, 1.12 * float(np.max(each.value))))
    put_stamp(figure, stamp)
    caption = (
        f"n = {', '.join(f'{len(each.train)} trains ({each.name})' for each in shown)} of one session. Line: Theil and "
        f"Sen's slope per train in % of its first value, with its 95 % interval, of {TRAINS_MIN} trains or more. "
        f"{'; '.join(said)}. M-waves with the amplifier at its rail are left out. Where the current changed "
        f"from train to train, so does the answer."
    )
    return Drawn("contractions", "Contraction by contraction", caption, to_svg(figure), source.csv())


def _slope(axis: Axes, each: Series, source: Source) -> str:
    found = slope(each.train, each.value) if len(each.train) >= TRAINS_MIN else None
    if found is None:
        return "no slope of so few trains"
    pct, low, high = found
    beginning = _beginning(each, pct)
    line = beginning * (1.0 + pct / 100.0 * (each.train - each.train[0]))
    axis.plot(each.train, line, color=INK, linewidth=1.1, linestyle="--")
    source.line(each.name, "line", each.train, line, each.unit)
    return f"{pct:+.2f} % per train ({low:+.2f} to {high:+.2f})"


def _beginning(each: Series, pct: float) -> float:
    """The value at the first train of the line with this slope: the median of what each train says of it."""
    return float(np.median(each.value / (1.0 + pct / 100.0 * (each.train - each.train[0]))))
