"""The course of a session in one figure: stimulation current, triggers, pain scores, events, with gaps shaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from myoloop.experiments.analysis import bins
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.reports.drawing import (
    BINS,
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    PURPLE,
    SKY,
    VERMILLION,
    Drawn,
    Source,
    panels,
    said_simulated,
    shade,
    to_svg,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: How a trial's train was begun: mark and colour.
TRIGGERS = {
    "effort": ("by effort", "o", BLUE), "assisted": ("assisted", "s", ORANGE), "yoked": ("yoked", "D", PURPLE),
    "done": ("by the clock", "|", GREY),
}  # fmt: skip
_CURRENTS = (BLUE, VERMILLION, GREEN, ORANGE, PURPLE, SKY, INK, GREY)
_STYLES = ("-", "--", ":", "-.")
EVENTS = {
    "stop": VERMILLION, "fault": VERMILLION, "adverse": VERMILLION, "paused": ORANGE, "resumed": GREEN,
    "tolerance": ORANGE, "mark": INK, "end": INK, "electrode_changed": PURPLE, "lead_off": PURPLE,
}  # fmt: skip
_FORMS = frozenset({"nrs", "nrs_now"})


def scores(session: Session) -> list[tuple[float, float]]:
    """Pain scores in order: (time in s, 0 to 10), those of forms and those said in between."""
    found = []
    for event in session.events:
        key = "score" if event.kind == "score" else "current" if event.values.get("form") in _FORMS else ""
        value = event.values.get(key) if key else None
        if isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value):
            found.append((event.t_s, float(value)))
    return found


def triggers(session: Session) -> list[tuple[float, str]]:
    """Begin of each train of a trial: (time in s, how it was begun)."""
    return [
        (trigger_s, trial.outcome)
        for trial, (_, trigger_s, _) in zip(session.trials, session.trial_times_s, strict=True)
        if trial.kind == "block" and trigger_s is not None and trial.outcome in TRIGGERS
    ]


def course(session: Session, stamp: str, *, current: bool = True) -> Drawn | None:
    """The figure.

    Parameters
    ----------
    current
        Whether the stimulation current is drawn; not in what those see who are to stay blind.
    """
    told, begun = scores(session), triggers(session)
    happened = [event for event in session.events if event.kind in EVENTS]
    drawn = current and any(len(track.t_s) for track in session.currents.values())
    if not (drawn or told or begun or happened):
        return None
    heights = [*([1.6] if drawn else []), 0.75, 1.0, 0.75]
    figure, axes = panels(heights, stamp)
    source = Source(said_simulated(session))
    if drawn:
        _currents(axes[0], session, source)
    below = axes[1:] if drawn else axes
    _triggers(below[0], begun, source)
    _scores(below[1], told, source)
    _events(below[2], session, source)
    gaps = [(gap.begin_s, max(gap.end_s, gap.begin_s + 0.002 * session.end_s)) for gap in session.gaps]
    source.spans("gap", "", gaps)
    for axis in axes:
        shade(axis, gaps, facecolor="none", edgecolor=INK, hatch="xxxx", linewidth=0.4, zorder=3)
    axes[-1].set_xlim(0.0, max(session.end_s, 1e-3))
    axes[-1].set_xlabel("time since the first phase message (s)")
    caption = (
        f"Triggers (n = {len(begun)}): when the train of a trial was begun, and how. Pain scores (n = {len(told)}): "
        f"0 to 10, as the person said them, never changed afterwards. Events (n = {len(happened)}). Hatched: "
        f"{len(session.gaps)} gaps of samples or messages."
    )
    if drawn:
        caption = f"Current: what the gate let through on each channel (n = {len(session.currents)}). {caption}"
    return Drawn("course", "Course of the session", caption, to_svg(figure), source.csv())


def _currents(axis: Axes, session: Session, source: Source) -> None:
    for number, (name, track) in enumerate(session.currents.items()):
        at_s, values = bins.steps(track.t_s, track.allowed_ma)
        at_s, values = bins.line(at_s, values, BINS)
        axis.plot(at_s, values, drawstyle="steps-post", color=_CURRENTS[number % len(_CURRENTS)], linewidth=1.0,
                  linestyle=_STYLES[number % len(_STYLES)], label=name)  # fmt: skip
        source.line("allowed current", name, at_s, values, "mA")
    axis.set_ylabel("current (mA)")
    axis.set_ylim(bottom=0)
    axis.legend(loc="upper right", ncols=min(6, len(session.currents)), title=None)


def _triggers(axis: Axes, begun: list[tuple[float, str]], source: Source) -> None:
    for row, (outcome, (label, marker, colour)) in enumerate(TRIGGERS.items()):
        at_s = [t_s for t_s, how in begun if how == outcome]
        if at_s:
            axis.plot(at_s, [row] * len(at_s), marker=marker, color=colour, linestyle="none", markersize=4.5)
            source.line("trigger", label, at_s, [1.0] * len(at_s), "1")
    axis.set_yticks(range(len(TRIGGERS)), [label for label, _, _ in TRIGGERS.values()], fontsize=7)
    axis.set_ylim(-0.6, len(TRIGGERS) - 0.4)
    axis.set_ylabel("triggers")


def _scores(axis: Axes, told: list[tuple[float, float]], source: Source) -> None:
    if told:
        at_s, values = zip(*told, strict=True)
        axis.plot(at_s, values, color=VERMILLION, marker="o", markersize=4, linewidth=0.8, linestyle=":")
        source.line("pain score", "", at_s, values, "0 to 10")
    axis.set_ylim(-0.5, 10.5)
    axis.set_yticks((0, 5, 10))
    axis.set_ylabel("pain (0 to 10)")


def _events(axis: Axes, session: Session, source: Source) -> None:
    kinds = [kind for kind in EVENTS if any(event.kind == kind for event in session.events)]
    for event in session.events:
        if event.kind in EVENTS:
            axis.plot([event.t_s], [kinds.index(event.kind)], marker="v", markersize=4.5, color=EVENTS[event.kind],
                      linestyle="none")  # fmt: skip
            source.rows.append(("event", event.kind, event.t_s, None, event.why, ""))
    axis.set_yticks(range(len(kinds)), [kind.replace("_", " ") for kind in kinds], fontsize=7)
    axis.set_ylim(-0.6, max(0.6, len(kinds) - 0.4))
    axis.set_ylabel("events")
