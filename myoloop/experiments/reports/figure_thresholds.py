"""Thresholds of the person's sessions so far, channel by channel, as charge of one phase."""

from __future__ import annotations

import numpy as np

from myoloop.experiments.analysis.sensitivity import THRESHOLDS, Sensitivity
from myoloop.experiments.reports.drawing import (
    BLUE,
    GREEN,
    VERMILLION,
    WIDTH_IN,
    Drawn,
    Source,
    put_stamp,
    to_svg,
)

_HOW = {"sensory": (GREEN, "o", "-"), "motor": (BLUE, "s", "--"), "tolerance": (VERMILLION, "^", "-.")}
_MOST = 4


def thresholds(course: Sensitivity, stamp: str, simulated: str) -> Drawn | None:
    """The figure; None where none was ever found."""
    rows = [(place, visit, found) for place, visit in enumerate(course.visits, 1) for found in visit.found]
    channels = list(dict.fromkeys(found.channel for _, _, found in rows))
    if not channels:
        return None
    from matplotlib.figure import Figure

    shown = channels[:_MOST]
    figure = Figure(figsize=(WIDTH_IN, 2.5), layout="constrained")
    axes = figure.subplots(1, len(shown), squeeze=False, sharex=True)[0]
    source = Source(simulated)
    names = [f"{visit.session or '–'}.{visit.attempt or '–'}" for visit in course.visits]
    for axis, channel in zip(axes, shown, strict=True):
        for name in THRESHOLDS:
            told = [
                (at, each.charge_uc[name]) for at, _, each in rows if each.channel == channel and name in each.charge_uc
            ]
            if told:
                at, values = np.array(told).T
                colour, marker, style = _HOW[name]
                axis.plot(
                    at, values, color=colour, marker=marker, linestyle=style, markersize=4, linewidth=1, label=name
                )
                source.line(name, channel, at, values, "uC")
        axis.set_title(channel, pad=3)
        axis.set_xlabel("session.attempt")
        axis.set_ylabel("charge of one phase (µC)")
        axis.set_xticks(range(1, len(names) + 1), names, fontsize=7)
        axis.set_xlim(0.5, len(names) + 0.5)
        axis.set_ylim(bottom=0)
        axis.legend(loc="upper left")
    put_stamp(figure, stamp)
    caption = (
        f"n = {len(rows)} findings in {len({at for at, _, _ in rows})} attempts of one person, up to this one. Pads "
        f"are put on anew at each visit: skin, place and time of day move thresholds too. A trend is no effect."
    )
    if len(channels) > _MOST:
        caption += f" {len(channels) - _MOST} more channels are not drawn."
    return Drawn("thresholds", "Thresholds from session to session", caption, to_svg(figure), source.csv())
