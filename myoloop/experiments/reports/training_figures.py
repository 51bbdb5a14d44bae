"""The figures of a training report: curves of learning, people held out, faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from myoloop.experiments.reports.drawing import BLUE, GREY, INK, SKY, VERMILLION, Drawn, style, to_svg
from myoloop.experiments.reports.training_drawing import (
    SMALLEST_PT,
    Array,
    canvas,
    cells,
    looks,
    source_csv,
    strips,
)
from myoloop.experiments.reports.training_results import (
    COMPOSITE,
    MEASURES,
    Curves,
    Results,
    label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: What stands in the figure of outcomes, in this order.
_OUTCOMES = ("rmse", "settling_s", "fatigue", "charge_mc", "pain", "gated")
_COLUMNS = ("condition", "controller", "person", "measure", "value", "unit")
_NAMED = 3


def draw_results(results: Results, stamp: str, simulated: str) -> list[Drawn]:
    """Every figure of an evaluation for which there are numbers."""
    with style():
        figures = (
            _paired(results, stamp, simulated),
            _outcomes(results, stamp, simulated),
            _over_trials(results, stamp, simulated),
            _worst(results, stamp, simulated),
            _faults(results, stamp, simulated),
        )
        return [each for each in figures if each is not None]


def draw_curves(curves: Curves, stamp: str, simulated: str) -> Drawn:
    """What was learned after how much: each seed, their median and quartiles."""
    with style():
        figure = canvas(2.9, stamp)
        axis = figure.add_subplot()
        for values in curves.values:
            axis.plot(curves.at, values, color=SKY, linewidth=0.9, marker=".", markersize=3, alpha=0.9)
        low, middle, high = np.nanpercentile(curves.values, (25, 50, 75), axis=0)
        axis.fill_between(curves.at, low, high, color=BLUE, alpha=0.18, linewidth=0)
        axis.plot(curves.at, middle, color=BLUE, linewidth=2.0, marker="o", markersize=4)
        if curves.reference is not None:
            axis.axhline(curves.reference, color=INK, linewidth=1.0, linestyle="--")
            axis.annotate(
                curves.reference_label, (1.0, curves.reference), xycoords=("axes fraction", "data"), ha="right",
                va="bottom", fontsize=SMALLEST_PT, color=INK,
            )  # fmt: skip
        axis.set_xlabel(curves.at_label)
        axis.set_xticks(curves.at)
        axis.margins(x=0.06)
        axis.set_ylabel(curves.value_label)
        rows = [
            (seed, float(at), float(value))
            for seed, values in zip(curves.seeds, curves.values, strict=True)
            for at, value in zip(curves.at, values, strict=True)
        ]
        drawn = [
            (name, float(at), float(value))
            for name, line in (("median", middle), ("quartile 25 %", low), ("quartile 75 %", high))
            for at, value in zip(curves.at, line, strict=True)
        ]
        count = len(curves.seeds)
        caption = (
            f"Thin lines: one for each of n = {count} seeds of learning, which differ in what was drawn by lot and in "
            f"the trees; thick line: their median, band: from the lower to the upper quartile. {curves.note}"
        )
        if count < 5:
            caption += f" Fewer than 5 seeds: {count} say little of how much luck there is in it."
        csv = source_csv(("seed", curves.at_label, curves.value_label), [*rows, *drawn], simulated)
        return Drawn("learning", "Learning curves", caption.strip(), to_svg(figure), csv)


def _paired(results: Results, stamp: str, simulated: str) -> Drawn | None:
    """Everybody under each baseline and under the learned controller, joined."""
    ours = results.figure(results.plain, results.learned, COMPOSITE)
    if ours is None or not results.baselines:
        return None
    pairs = {
        name: theirs
        for name in results.baselines
        if (theirs := results.figure(results.plain, name, COMPOSITE)) is not None
    }
    if not pairs:
        return None
    figure = canvas(3.3, stamp)
    rows: list[Sequence[object]] = []
    for place, (name, theirs) in enumerate(pairs.items(), 1):
        axis = figure.add_subplot(1, len(pairs), place)
        _pair(axis, results, name, theirs, ours)
        if place == 1:
            axis.set_ylabel("composite (1: adaptive gain; less is better)")
        rows += [
            (person, name, float(before), float(after), float(after - before))
            for person, before, after in zip(results.people, theirs, ours, strict=True)
        ]
    caption = (
        f"A line is a person held out ({results.n_words}), "
        f"from a baseline to the learned controller with the same person, seed and "
        "faults; blue and solid: better, vermilion and dashed: worse with the learned one. Diamonds: mean with its "
        "95 % "
        f"interval (bootstrap over people, BCa). Axes differ. The {_NAMED} for whom the learned one is worst against "
        f"a baseline are named where they are worse. Composite: {results.composite_words}."
    )
    columns = ("person", "baseline", "composite of baseline", "composite of learned", "difference")
    csv = source_csv(columns, rows, simulated)
    return Drawn("paired", "Each person held out, with each baseline and learned", caption, to_svg(figure), csv)


def _pair(axis: Axes, results: Results, name: str, theirs: Array, ours: Array) -> None:
    for before, after in zip(theirs, ours, strict=True):
        worse = after > before
        colour, line = (VERMILLION, "--") if worse else (GREY if after == before else BLUE, "-")
        axis.plot(
            [0, 1], [before, after], color=colour, linestyle=line, linewidth=0.8, marker="o", markersize=2.4, alpha=0.6
        )
    away = ours - theirs
    named = [row for row in np.argsort(-away, kind="stable")[:_NAMED] if away[row] > 0]
    # Names that would lie on one another are moved apart, the lowest first.
    gap, at = 0.05 * float(np.ptp(np.concatenate([theirs, ours]))), -np.inf
    for row in sorted(named, key=lambda row: float(ours[row])):
        at = max(float(ours[row]), at + gap)
        text = results.people[row].rsplit("-", 1)[-1]
        axis.annotate(text, (1.08, at), fontsize=SMALLEST_PT, va="center", color=INK, annotation_clip=False)
    for x, controller in ((-0.16, name), (1.5, results.learned)):
        told = results.interval(results.plain, controller, COMPOSITE)
        if told is not None:
            axis.plot([x, x], told[1:], color=INK, linewidth=1.6)
            axis.plot([x], told[:1], marker="D", markersize=4, color=INK)
    axis.set_xlim(-0.35, 1.65)
    axis.set_xticks([0, 1], [label(name).replace(" ", "\n"), "learned"], fontsize=SMALLEST_PT)
    axis.grid(visible=False, axis="x")


def _outcomes(results: Results, stamp: str, simulated: str) -> Drawn | None:
    """How the parts of it are distributed over people, controller by controller."""
    names = (*results.baselines, results.learned)
    styles, words = looks((results.learned, *results.baselines)), {name: label(name) for name in names}
    shown = [
        measure
        for measure in _OUTCOMES
        if any(results.figure(results.plain, name, measure) is not None for name in names)
    ]
    if not shown:
        return None
    lines = (len(shown) + 1) // 2
    figure = canvas(0.5 + 0.55 * lines + 0.27 * lines * len(names), stamp)
    rows: list[Sequence[object]] = []
    for place, measure in enumerate(shown, 1):
        axis = figure.add_subplot(lines, 2, place)
        told = {name: values for name in names if (values := results.figure(results.plain, name, measure)) is not None}
        intervals = {
            name: found for name in told if (found := results.interval(results.plain, name, measure)) is not None
        }
        strips(axis, told, intervals, styles, words)
        axis.set_xlabel(MEASURES[measure].axis)
        axis.tick_params(axis="y", labelsize=SMALLEST_PT)
        if place % 2 == 0:
            axis.tick_params(labelleft=False)
        rows += _csv_rows(results, results.plain, told, measure)
    caption = (
        f"A point is a person held out ({results.n_words}), "
        f"shifted up or down only so that points can be told apart. Diamonds: mean with "
        f"its 95 % interval (bootstrap over people, BCa). " + " ".join(f"{MEASURES[name].sentence}" for name in shown)
    )
    return Drawn("outcomes", "What it is made of", caption, to_svg(figure), source_csv(_COLUMNS, rows, simulated))


def _over_trials(results: Results, stamp: str, simulated: str) -> Drawn | None:
    """How tracking goes as the muscle tires."""
    names = [name for name in (*results.baselines, results.learned) if results.over_trials(name) is not None]
    if not names:
        return None
    figure = canvas(2.9, stamp)
    axis = figure.add_subplot()
    rows: list[Sequence[object]] = []
    for name, (colour, marker) in looks((results.learned, *results.baselines)).items():
        table = results.over_trials(name)
        if table is None:
            continue
        low, middle, high = 100.0 * np.percentile(table, (25, 50, 75), axis=0)
        at = np.arange(1, table.shape[1] + 1)
        every = max(1, len(at) // 8)
        axis.plot(at, middle, color=colour, marker=marker, markersize=4, markevery=every, linewidth=1.3,
                  label=label(name))  # fmt: skip
        if name in (results.learned, results.reference):
            axis.fill_between(at, low, high, color=colour, alpha=0.15, linewidth=0)
        rows += [
            (name, trial, *map(float, values)) for trial, *values in zip(at.tolist(), low, middle, high, strict=True)
        ]
    axis.set_xlabel("trial")
    axis.set_ylabel("tracking RMSE (% of target)")
    axis.set_ylim(bottom=0)
    figure.legend(loc="outside lower center", ncols=3, fontsize=SMALLEST_PT + 0.5)
    caption = (
        f"Median over people ({results.n_words}); bands of the "
        f"learned controller and of {label(results.reference)}: from the lower to the upper quartile of the people."
    )
    columns = ("controller", "trial", "lower quartile (%)", "median (%)", "upper quartile (%)")
    return Drawn("trials", "Tracking as the muscle tires", caption, to_svg(figure),
                 source_csv(columns, rows, simulated))  # fmt: skip


def _worst(results: Results, stamp: str, simulated: str) -> Drawn | None:
    """The course of those for whom the learned controller is worst beside the reference."""
    ours, theirs = (results.over_trials(name) for name in (results.learned, results.reference))
    order = results.worst_first()
    if ours is None or theirs is None or not len(order):
        return None
    shown = order[:_NAMED]
    figure = canvas(2.4, stamp)
    rows: list[Sequence[object]] = []
    styles = looks((results.learned, *results.baselines))
    for place, row in enumerate(shown, 1):
        axis = figure.add_subplot(1, len(shown), place)
        for name, table in ((results.reference, theirs), (results.learned, ours)):
            at, values = np.arange(1, table.shape[1] + 1), 100.0 * table[row]
            colour, marker = styles[name]
            axis.plot(at, values, color=colour, marker=marker, markersize=3, markevery=max(1, len(at) // 8),
                      linewidth=1.2, label=label(name) if place == 1 else None)  # fmt: skip
            rows += [
                (results.people[row], name, trial, float(value))
                for trial, value in zip(at.tolist(), values, strict=True)
            ]
        axis.set_title(results.people[row], pad=3)
        axis.set_xlabel("trial")
        axis.set_ylim(bottom=0)
    figure.axes[0].set_ylabel("tracking RMSE\n(% of target)")
    figure.legend(loc="outside lower center", ncols=2, fontsize=SMALLEST_PT + 0.5)
    caption = (
        f"The {len(shown)} people held out (of n = {len(results.people)}) for whom the composite of the learned "
        f"controller is highest, trial by trial, beside {label(results.reference)} on the same person. Axes differ."
    )
    columns = ("person", "controller", "trial", "tracking RMSE (%)")
    return Drawn("worst", "Where it is worst", caption, to_svg(figure), source_csv(columns, rows, simulated))


def _faults(results: Results, stamp: str, simulated: str) -> Drawn | None:
    """Every controller under every condition, on the same people."""
    conditions = results.conditions
    tried = [outcome for (condition, _), outcome in results.outcomes.items() if condition != results.plain]
    if not tried:
        return None
    people = tried[0].people
    names = (*results.baselines, results.learned)
    table = np.full((len(names), len(conditions)), np.nan)
    rows: list[Sequence[object]] = []
    for column, condition in enumerate(conditions):
        for row, name in enumerate(names):
            outcome = results.outcomes.get((condition, name))
            if outcome is None:
                continue
            own = [
                (person, float(value))
                for person, value in zip(outcome.people, outcome.figures[COMPOSITE], strict=True)
                if person in people
            ]
            if own:
                table[row, column] = np.mean([value for _, value in own])
            rows += [(condition, name, person, COMPOSITE, value, "") for person, value in own]
    figure = canvas(1.0 + 0.34 * len(names), stamp)
    axis = figure.add_subplot()
    cells(axis, table, [label(name) for name in names], [label(each).replace(" ", "\n") for each in conditions])
    axis.tick_params(labelsize=SMALLEST_PT)
    caption = (
        f"Mean composite over the same n = {len(people)} people held out in every column, n = 1 seed of the day each. "
        "In "
        f"each column 1 is {label(results.reference)} with the same people, seeds and faults; less is better, dark is "
        f"worse. Intervals stand in the table."
    )
    return Drawn("faults", "Robustness: controllers and what goes wrong", caption, to_svg(figure),
                 source_csv(_COLUMNS, rows, simulated))  # fmt: skip


def _csv_rows(
    results: Results, condition: str, told: dict[str, Array], measure: str
) -> list[tuple[str, str, str, str, float, str]]:
    unit = MEASURES[measure].unit
    return [
        (condition, name, person, measure, float(value), unit)
        for name, values in told.items()
        for person, value in zip(results.people, values, strict=True)
    ]
