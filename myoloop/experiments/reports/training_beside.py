"""What stands beside a controller that learns: who the data are of, the model's gap, estimators, the set-up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from myoloop.experiments.reports.drawing import BLUE, GREY, INK, ORANGE, Drawn, style, to_svg
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.reports.training_drawing import SMALLEST_PT, canvas, source_csv, spread

#: Of a longer list the report names so many.
_MOST = 40
_NOTHING = "not known"


def data_facts(card: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Label and value of what a dataset's card says."""
    subjects, cohort = card["subjects"], card["cohort"]
    facts = [
        ("Holds", str(card["holds"])),
        ("Subjects", f"n = {sum(subjects.values())}: {subjects['train']} to train, {subjects['held_out']} held out"),
        ("Recorded sessions", f"n = {len(card['sessions'])} used, {len(card['excluded'])} excluded"),
        ("Arms", str(card["arms"])),
        ("Age, sex, diagnosis", str(card["demographics"]["people"])),
    ]
    strata = card["demographics"]["strata"]
    if strata:
        facts.append(("Strata", ", ".join(f"{name}: {count}" for name, count in strata.items())))
    if cohort is not None:
        facts += [
            ("Virtual cohort", f"task {cohort['task']['name']}, n = {cohort['people']} people of {cohort['preset']}, "
                               f"from number {cohort['first']}, {cohort['non_responders']} of them non-responders"),
            ("Decisions drawn by lot", f"{100 * cohort['explored_share']:.0f} % of the cohort's"),
        ]  # fmt: skip
    return facts


def sources(card: Mapping[str, Any]) -> Table:
    """Who came from where."""
    rows = tuple((str(name), str(row["train"]), str(row["held_out"])) for name, row in card["sources"].items())
    return Table(("source", "subjects to train", "subjects held out"), rows, "Split by person, never by session.")


def excluded(card: Mapping[str, Any]) -> Table | None:
    """What was left out, and why."""
    rows = [(str(row["source"]), str(row["session"]), str(row["reason"])) for row in card["excluded"]]
    if not rows:
        return None
    left = len(rows) - _MOST
    caption = f"n = {len(rows)} sessions were left out." + (f" {left} more stand in the card." if left > 0 else "")
    return Table(("source", "session", "why"), tuple(rows[:_MOST]), caption)


def gaps(table: Mapping[str, Any]) -> list[tuple[str, str, Table | None]]:
    """Virtual against recorded open-loop responses: title, what is said where there is nothing, and the table."""
    found = []
    for name, title in (("people", "Recorded from people, against virtual people"),
                        ("full_tier", "Simulated in full detail, against the quick model trained on")):  # fmt: skip
        part = table[name]
        rows = tuple(
            (
                f"{str(row['measure']).replace('_', ' ')} ({row['unit']})", _with_interval(row["recorded"]),
                _of_virtual(row["virtual"]), _with_interval(row["difference"]),
                f"{row['within']} of {row['subjects']}",
            )
            for row in part["rows"]
        )  # fmt: skip
        columns = ("measure", "recorded: mean [95 % interval]", "virtual: median (95 % of them)",
                   "recorded less virtual [95 % interval]", "recorded within the virtual range")  # fmt: skip
        people = max((int(row["subjects"]) for row in part["rows"]), default=0)
        caption = (
            f"n = {people} subjects, {len(part['sessions'])} open-loop sessions, each against "
            f"{table['virtual_people']} virtual people who were given the same pulses. Intervals: Student's t over "
            f"subjects."
        )
        found.append((title, str(part["note"]), Table(columns, rows, caption) if rows else None))
    return found


def estimators(found: Mapping[str, Any]) -> tuple[Table, str]:
    """Learned estimators beside the rules on the same people, and the verdict."""
    rows, verdicts = [], []
    for what in ("spasm", "fatigue"):
        part = found[what]
        for row in part["compared"]:
            unit = f" ({row['unit']})" if row["unit"] else ""
            rows.append(
                (
                    f"{what}: {row['what']}{unit}", f"{row['rules']:.3g}", f"{row['learned']:.3g}",
                    f"{row['difference']:+.3g} [{row['low']:+.3g}, {row['high']:+.3g}]", f"{row['margin']:g}",
                    str(row["people"]), str(row["worst"]), "yes" if row["at_least_equal"] else "not shown",
                )
            )  # fmt: skip
        said = "at least equal to the rules" if part["at_least_equal"] else "not shown to be equal to the rules"
        verdicts.append(f"The learned estimator of {what} is {said}.")
    size = found["size"]
    caption = (
        f"Learned on n = {size['people']} virtual people, compared on n = {size['held_out']} others "
        f"({size['seconds']:g} s each, one session, one seed). Differences are paired, learned less rules, with their "
        "95 % interval (Student's t). At least equal: the whole interval is worse by no more than the margin, which "
        "was "
        f"fixed before. Worst: the number of the person for whom the difference is worst."
    )
    columns = ("measure", "rules", "learned", "difference [95 % interval]", "margin", "n", "worst", "at least equal")
    verdicts.append("The rules stay the default.")
    return Table(columns, tuple(rows), caption), " ".join(verdicts)


def draw_estimators(found: Mapping[str, Any], stamp: str, simulated: str) -> Drawn:
    """Each person's scores by the rules and learned."""
    panels = (("spasm", "f1", "spasm: F1 of onsets"), ("spasm", "false_per_min", "spasm: false onsets (per min)"),
              ("fatigue", "rms_error", "fatigue: RMS error\n(share of force)"))  # fmt: skip
    rows: list[Sequence[object]] = []
    with style():
        figure = canvas(2.5, stamp)
        for place, (what, name, title) in enumerate(panels, 1):
            axis = figure.add_subplot(1, len(panels), place)
            for person in found[what]["by_person"]:
                before, after = person["rules"][name], person["learned"][name]
                rows.append((what, name, person["number"], before, after))
                if before is not None and after is not None:
                    axis.plot([0, 1], [before, after], color=BLUE, marker="o", markersize=2.6, linewidth=0.8, alpha=0.6)
            axis.set_xticks([0, 1], ["rules", "learned"])
            axis.set_xlim(-0.3, 1.3)
            axis.set_ylabel(title)
            axis.grid(visible=False, axis="x")
        count = found["size"]["held_out"]
        caption = f"A line is a person held out (n = {count} people, one session and one seed each)."
        csv = source_csv(("estimator", "measure", "person", "rules", "learned"), rows, simulated)
        return Drawn("estimators", "Learned estimators beside the rules", caption, to_svg(figure), csv)


def set_up_facts(found: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What came of setting virtual people up by Bayesian optimisation."""
    return [
        ("Verdict", "does what was asked of it" if found["good"] else "does NOT do what was asked of it"),
        ("90 % of the best in at most a quarter of the grid", f"{100 * found['share_reached']:.0f} % of n = "
                                                              f"{found['people']} people (asked: 80 %)"),
        ("As many trials at random", f"{100 * found['share_reached_at_random']:.0f} % of the same people"),
        ("Reached, median", f"{100 * found['median_reached']:.0f} % of the best response of the grid"),
        ("Trials, median", f"{100 * found['median_trials_share']:.0f} % of the grid"),
        ("Trials above anyone's tolerance", f"{found['over_tolerance']} of {found['trials']} (asked: 0)"),
        ("Most unpleasant trial", f"{found['worst']:.1f} (0: not felt, 10: tolerance)"),
    ]  # fmt: skip


def draw_set_up(found: Mapping[str, Any], stamp: str, simulated: str) -> Drawn:
    """What each person's set-up reached, and after which share of the grid."""
    each = found["each"]
    at_random = np.array([person["reached_at_random"] for person in each])
    reached = np.array([person["reached"] for person in each])
    with style():
        figure = canvas(2.6, stamp)
        axis = figure.add_subplot()
        for place, (values, colour, marker) in enumerate(((at_random, ORANGE, "s"), (reached, BLUE, "o"))):
            axis.plot(100.0 * values, place + spread(len(values), 0.5), linestyle="none", marker=marker, markersize=3.4,
                      markerfacecolor=colour, markeredgewidth=0, alpha=0.65)  # fmt: skip
            axis.plot([100.0 * float(np.median(values))] * 2, [place - 0.34, place + 0.34], color=INK, linewidth=1.8)
        axis.axvline(90.0, color=GREY, linewidth=1.0, linestyle="--")
        axis.annotate("asked: 90 %", (90.0, 1.02), xycoords=("data", "axes fraction"), ha="center",
                      fontsize=SMALLEST_PT, color=INK)  # fmt: skip
        axis.set_yticks([0, 1], ["as many at random", "Bayesian set-up"])
        axis.set_ylim(-0.5, 1.5)
        axis.grid(visible=False, axis="y")
        axis.set_xlabel("true response of what was chosen (% of the best of the grid)")
        rows = [
            (person["seed"], person["preset"], int(person["grid"]), int(person["trials"]), float(person["reached"]),
             float(person["reached_at_random"]), int(person["over_tolerance"]))
            for person in each
        ]  # fmt: skip
        columns = ("seed of the person", "preset", "settings in the grid", "trials", "reached (share of best)",
                   "reached at random (share of best)", "trials over tolerance")  # fmt: skip
        caption = (
            f"A point is a virtual person (n = {len(each)} people, one seed each), shifted up or down only so that "
            "points "
            "can be told apart; lines: medians. At random: the best of as many settings of the same grid, as "
            "measured, "
            f"mean of 200 draws for each person."
        )
        csv = source_csv(columns, rows, simulated)
        return Drawn("set-up", "Set-up by Bayesian optimisation", caption, to_svg(figure), csv)


def _with_interval(value: Mapping[str, Any]) -> str:
    if value["mean"] is None:
        return _NOTHING
    if value["low"] is None:
        return f"{value['mean']:.3g} (one subject, no interval)"
    return f"{value['mean']:.3g} [{value['low']:.3g}, {value['high']:.3g}]"


def _of_virtual(value: Mapping[str, Any]) -> str:
    if value["median"] is None:
        return _NOTHING
    return f"{value['median']:.3g} ({value['low']:.3g} to {value['high']:.3g})"
