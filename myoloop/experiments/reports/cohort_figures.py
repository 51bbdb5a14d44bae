"""The figures of a cohort report: flow, dose, trajectories, estimates, responders, dose-response, what is missing."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from myoloop.experiments.cohorts.analysis import Line
from myoloop.experiments.cohorts.cohort import Cohort
from myoloop.experiments.cohorts.flow import STATES, flow, state
from myoloop.experiments.outcomes.registry import OUTCOMES
from myoloop.experiments.reports.drawing import BLUE, GREY, INK, PALE, SKY, VERMILLION, Drawn, style, to_svg
from myoloop.experiments.reports.training_drawing import SMALLEST_PT, canvas, source_csv

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: By arm in order: colour, marker, line; who cannot tell the colours has the others.
_LOOKS: tuple[tuple[str, str, Literal["-", "--", ":"]], ...] = (
    (BLUE, "o", "-"),
    (VERMILLION, "s", "--"),
    (INK, "^", ":"),
)
_STATE_LOOKS = {
    "used": (SKY, ""), "no value": (PALE, "...."), "excluded": (VERMILLION, "////"), "not held": ("white", ""),
    "withdrawn": (GREY, "xxxx"),
}  # fmt: skip


def draw_all(cohort: Cohort) -> list[Drawn]:
    """Every figure for which there are numbers."""
    with style():
        figures = (
            _flow(cohort), _missing(cohort), _dose(cohort), _trajectories(cohort), _primary(cohort),
            _responder_curve(cohort), _waterfall(cohort), _dose_response(cohort),
        )  # fmt: skip
        return [each for each in figures if each is not None]


def simulated_word(cohort: Cohort) -> str:
    """As every source CSV has it."""
    return "true" if cohort.gathered.simulated else "false"


def n_words(cohort: Cohort) -> str:
    """How many people and sessions are used."""
    used = cohort.gathered.used()
    return f"n = {len({name for name, _ in used})} people, {len(used)} sessions used"


def _look(cohort: Cohort, arm: str) -> tuple[str, str, Literal["-", "--", ":"]]:
    arms = cohort.people.arms
    return _LOOKS[arms.index(arm) % len(_LOOKS)] if arm in arms else _LOOKS[2]


def _legend(axis: Axes, cohort: Cohort) -> None:
    from matplotlib.lines import Line2D

    names = cohort.people.arms or ("all",)
    marks = [Line2D([], [], color=_look(cohort, name)[0], marker=_look(cohort, name)[1],
                    linestyle=_look(cohort, name)[2], markersize=4) for name in names]  # fmt: skip
    axis.legend(marks, names, loc="best", fontsize=SMALLEST_PT)


def _flow(cohort: Cohort) -> Drawn:
    steps = flow(cohort.gathered, cohort.people, cohort.result)
    figure = canvas(0.85 * len(steps) + 0.2, cohort.stamp)
    axis = figure.add_subplot()
    axis.axis("off")
    axis.set_xlim(0, 1)
    axis.set_ylim(len(steps) - 0.4, -0.5)
    for place, step in enumerate(steps):
        arms = ", ".join(f"{arm} {n}" for arm, n in step.by_arm.items())
        told = f"{step.what}\nn = {step.people} people{f' ({arms})' if arms else ''}"
        told += f", {step.sessions} sessions" if step.sessions is not None else ""
        box = {"boxstyle": "square,pad=0.5", "facecolor": "white", "edgecolor": INK, "linewidth": 0.9}
        axis.text(0.26, place, told, ha="center", va="center", fontsize=8, bbox=box)
        if place:
            axis.annotate(
                "", (0.26, place - 0.27), (0.26, place - 0.73), arrowprops={"arrowstyle": "-|>", "color": INK}
            )
        if step.lost:
            said = "\n".join(_wrapped(each, 58) for each in step.lost)
            axis.text(0.56, place, said, ha="left", va="center", fontsize=SMALLEST_PT, color=INK)
    rows = [(step.what, step.people, step.sessions, "; ".join(step.lost)) for step in steps]
    caption = (
        f"From enrolment to analysis, as the study's records have it; to the right who or what did not go on, and why. "
        f"How many were approached before they were enrolled is in no record. {n_words(cohort)}."
    )
    csv = source_csv(("step", "people", "sessions", "lost"), rows, simulated_word(cohort))
    return Drawn("flow", "Flow of people and sessions", caption, to_svg(figure), csv)


def _wrapped(text: str, width: int) -> str:
    import textwrap

    return "\n".join(textwrap.wrap(text, width)[:3])


def _grid(cohort: Cohort) -> tuple[list[str], list[int]]:
    """People, those of one arm beside one another, and sessions."""
    people = sorted(cohort.people.people, key=lambda each: (each.arm, each.name))
    return [each.name for each in people], list(range(1, cohort.sessions + 1))


def _missing(cohort: Cohort) -> Drawn:
    from matplotlib.patches import Patch, Rectangle

    names, sessions = _grid(cohort)
    outcome = cohort.result.registered.primary.outcome
    figure = canvas(0.75 + 0.17 * len(names), cohort.stamp)
    axis = figure.add_subplot()
    rows = []
    for y, name in enumerate(names):
        person = cohort.people.of(name)
        for x, session in enumerate(sessions):
            found = (
                state(cohort.gathered, cohort.people, person, session, outcome) if person is not None else "not held"
            )
            colour, hatch = _STATE_LOOKS[found]
            axis.add_patch(
                Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=colour, edgecolor=GREY, linewidth=0.4, hatch=hatch)
            )
            rows.append((name, person.arm if person is not None else "", session, found))
    _matrix(axis, names, sessions, cohort)
    marks = [
        Patch(facecolor=_STATE_LOOKS[each][0], edgecolor=GREY, hatch=_STATE_LOOKS[each][1], label=each)
        for each in STATES
    ]
    axis.legend(handles=marks, loc="upper left", bbox_to_anchor=(1.01, 1.0), fontsize=SMALLEST_PT)
    n = sum(row[3] == "used" for row in rows)
    caption = (
        f"Each cell a planned session of one person: used for the primary outcome ({outcome}); used, but without a "
        f"value "
        f"of it; recorded and excluded; not held; or withdrawn with all data. n = {len(names)} people, {n} of "
        f"{len(rows)} "
        f"sessions with a value. Why each was excluded stands in the table of exclusions."
    )
    csv = source_csv(("person", "arm", "session", "state"), rows, simulated_word(cohort))
    return Drawn("missing", "What is missing", caption, to_svg(figure), csv)


def _matrix(axis: Axes, names: list[str], sessions: list[int], cohort: Cohort) -> None:
    axis.set_xlim(-0.5, len(sessions) - 0.5)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_xticks(range(len(sessions)), list(map(str, sessions)), fontsize=8)
    words = [f"{name} {person.arm}".strip() if (person := cohort.people.of(name)) else name for name in names]
    axis.set_yticks(range(len(names)), words, fontsize=SMALLEST_PT)
    axis.set_xlabel("session")
    axis.tick_params(length=0)
    axis.grid(visible=False)


def _dose(cohort: Cohort) -> Drawn | None:
    from matplotlib import colormaps
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize
    from matplotlib.patches import Rectangle

    names, sessions = _grid(cohort)
    doses = {name: person.dose_mc for name in names if (person := cohort.people.of(name)) is not None}
    most = max((mc for each in doses.values() for mc in each.values()), default=0.0)
    if most <= 0.0:
        return None
    figure = canvas(0.75 + 0.17 * len(names), cohort.stamp)
    axis = figure.add_subplot()
    rows = []
    for y, name in enumerate(names):
        for x, session in enumerate(sessions):
            mc = doses[name].get(session)
            fill = "none" if mc is None else colormaps["cividis_r"](mc / most)
            axis.add_patch(Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=fill, edgecolor=GREY, linewidth=0.4,
                                     hatch="////" if mc is None else ""))  # fmt: skip
            person = cohort.people.of(name)
            planned = person.planned_mc.get(session) if person is not None else None
            rows.append((name, person.arm if person is not None else "", session, mc, planned))
    _matrix(axis, names, sessions, cohort)
    figure.colorbar(ScalarMappable(Normalize(0.0, most), "cividis_r"), ax=axis, label="charge (mC, one phase)")
    held = sum(row[3] is not None for row in rows)
    caption = (
        f"Charge of each session ({cohort.people.dose_is}), thresholds of the day included; hatched: not held, or "
        f"nothing "
        f"booked. n = {len(names)} people, {held} of {len(rows)} sessions booked."
    )
    columns = ("person", "arm", "session", "dose (mC)", "planned in blocks (mC)")
    return Drawn(
        "dose", "Adherence and dose", caption, to_svg(figure), source_csv(columns, rows, simulated_word(cohort))
    )


def _trajectories(cohort: Cohort) -> Drawn | None:
    plan, outcome = cohort.result.registered, cohort.result.registered.primary.outcome
    rows: list[tuple[object, ...]] = []
    lines: dict[str, list[tuple[int, float]]] = {}
    for (name, session), row in sorted(cohort.gathered.used().items()):
        found = row.outcomes.get(outcome)
        if found is not None and found.value is not None:
            lines.setdefault(name, []).append((session, found.value))
            person = cohort.people.of(name)
            rows.append(("person", name, person.arm if person is not None else "", session, found.value, None, None))
    if not lines:
        return None
    figure = canvas(3.2, cohort.stamp)
    axis = figure.add_subplot()
    for name, points in lines.items():
        person = cohort.people.of(name)
        colour, marker, dash = _look(cohort, person.arm if person is not None else "")
        axis.plot(*zip(*points, strict=True), color=colour, linestyle=dash, linewidth=0.7, marker=marker,
        markersize=2.4,
                  alpha=0.55)  # fmt: skip
    line = cohort.result.line("primary") or cohort.result.line("exploratory", outcome)
    for which in (0, 1):
        curve = [each[1:] for each in (line.estimate.curve if line is not None else ()) if each[0] == which]
        if line is None or not curve:
            continue
        arm = _arm_of(cohort, which)
        at = [plan.baseline + t for t, *_ in curve]
        mean, low, high = (np.array([_raw(line, each[k]) for each in curve]) for k in (1, 2, 3))
        colour, _, dash = _look(cohort, arm)
        axis.fill_between(at, low, high, color=colour, alpha=0.16, linewidth=0)
        axis.plot(at, mean, color=colour, linestyle=dash, linewidth=2.4)
        rows += [("model mean", "", arm, s, m, lo, hi) for s, m, lo, hi in zip(at, mean, low, high, strict=True)]
    axis.set_xlabel("session")
    axis.set_xticks(range(1, cohort.sessions + 1))
    kind, unit = OUTCOMES[outcome], cohort.gathered.unit(outcome)
    axis.set_ylabel(f"{outcome} ({unit})")
    _legend(axis, cohort)
    caption = (
        f"{kind.text[:1].upper()}{kind.text[1:]}: a thin line for each person; thick the mixed model's mean with its "
        f"{100 * plan.confidence:g} % interval. n = {len(lines)} people, {sum(map(len, lines.values()))} sessions."
    )
    columns = ("series", "person", "arm", "session", f"{outcome} ({unit})", "low", "high")
    return Drawn("trajectories", "Every person, and the model's mean", caption, to_svg(figure),
                 source_csv(columns, rows, simulated_word(cohort)))  # fmt: skip


def _arm_of(cohort: Cohort, which: int) -> str:
    arms = cohort.result.registered.arms
    if cohort.people.view == "coded":
        return "B" if which else "A"
    return (arms.test if which else arms.reference) if arms is not None else ""


def _raw(line: Line, value: float) -> float:
    return math.exp(value) if line.scale != "raw" else value


def _primary(cohort: Cohort) -> Drawn | None:
    first = cohort.result.lines[0]
    shown = [line for line in (first, *(each for each in cohort.result.lines if each.part == "sensitivity"))
             if line.shown() is not None and line.shown_unit == first.shown_unit]  # fmt: skip
    if first.shown() is None:
        return None
    figure = canvas(0.9 + 0.34 * len(shown), cohort.stamp)
    axis = figure.add_subplot()
    rows, names = [], []
    for place, line in enumerate(shown):
        told = line.shown()
        if told is None:
            continue
        value, low, high = told
        main = line is first
        axis.plot([low, high], [place, place], color=BLUE if main else GREY, linewidth=2.4 if main else 1.4)
        axis.plot([value], [place], marker="D" if main else "o", markersize=6 if main else 4.5,
                  color=BLUE if main else GREY, linestyle="none")  # fmt: skip
        axis.annotate(f"{value:.1f} [{low:.1f}, {high:.1f}]", (high, place), xytext=(6, 0), textcoords="offset points",
                      va="center", fontsize=SMALLEST_PT)  # fmt: skip
        names.append("as registered" if main else line.what.split("; ", 1)[-1])
        rows.append((line.part, line.what, value, low, high, line.shown_unit, line.estimate.people,
                     line.estimate.sessions, line.estimate.method))  # fmt: skip
    axis.axvline(0.0, color=INK, linewidth=0.9, linestyle="--")
    axis.set_yticks(range(len(names)), [_wrapped(each, 34) for each in names], fontsize=8)
    axis.set_ylim(len(names) - 0.4, -0.6)
    axis.margins(x=0.25)
    axis.grid(visible=False, axis="y")
    axis.set_xlabel(
        f"difference ({first.shown_unit})" if first.contrast == "arms" else f"estimate ({first.shown_unit})"
    )
    caption = (
        f"{first.what[:1].upper()}{first.what[1:]}, with {100 * cohort.result.registered.confidence:g} % intervals; "
        f"below "
        f"the same under other rules, which are exploratory. Method: {first.estimate.method}. "
        f"n = {first.estimate.people} people, {first.estimate.sessions} sessions."
    )
    columns = ("part", "what", "estimate", "low", "high", "unit", "people", "sessions", "method")
    return Drawn(
        "primary", "The primary outcome", caption, to_svg(figure), source_csv(columns, rows, simulated_word(cohort))
    )


def _responder_curve(cohort: Cohort) -> Drawn | None:
    responses = cohort.result.responses
    if not responses:
        return None
    figure = canvas(2.7, cohort.stamp)
    axis = figure.add_subplot()
    rows: list[tuple[object, ...]] = []
    for arm in cohort.people.arms or ("",):
        changes = np.sort([each.change_pct for each in responses if each.arm == arm or not cohort.people.arms])
        if not len(changes):
            continue
        shares = 100.0 * np.arange(len(changes), 0, -1) / len(changes)
        colour, marker, dash = _look(cohort, arm)
        axis.step(
            changes, shares, where="pre", color=colour, linestyle=dash, marker=marker, markersize=3, linewidth=1.4
        )
        rows += [
            (arm, float(change), float(share), len(changes)) for change, share in zip(changes, shares, strict=True)
        ]
    _threshold(axis, cohort)
    axis.set_xlabel(f"change from baseline of {_responder_outcome(cohort)} (%)")
    axis.set_ylabel("people with at least\nso much (%)")
    axis.set_ylim(0, 105)
    _legend(axis, cohort)
    caption = (
        f"Share of people whose change from baseline to their last session is at least so large. n = {len(responses)} "
        f"people, {2 * len(responses)} sessions (first and last used). One person's change is no effect of anything."
    )
    return Drawn("responders", "Responders: cumulative", caption, to_svg(figure),
                 source_csv(("arm", "change (%)", "share (%)", "people"), rows, simulated_word(cohort)))  # fmt: skip


def _responder_outcome(cohort: Cohort) -> str:
    rule = cohort.result.registered.responder
    return rule.outcome if rule is not None else cohort.result.registered.primary.outcome


def _threshold(axis: Axes, cohort: Cohort, *, across: bool = False) -> None:
    rule = cohort.result.registered.responder
    if rule is not None:
        (axis.axhline if across else axis.axvline)(rule.change_pct, color=INK, linewidth=0.9, linestyle="--")


def _waterfall(cohort: Cohort) -> Drawn | None:
    responses = cohort.result.responses
    if not responses:
        return None
    figure = canvas(2.7, cohort.stamp)
    axis = figure.add_subplot()
    hatches = ("", "////", "....")
    for place, each in enumerate(responses):
        colour = _look(cohort, each.arm)[0]
        number = cohort.people.arms.index(each.arm) if each.arm in cohort.people.arms else 0
        axis.bar(
            place, each.change_pct, color=colour, width=0.8, hatch=hatches[number % 3], edgecolor="white", linewidth=0
        )
    axis.axhline(0.0, color=INK, linewidth=0.8)
    _threshold(axis, cohort, across=True)
    axis.set_xticks(range(len(responses)), [each.person for each in responses], rotation=90, fontsize=SMALLEST_PT)
    axis.set_ylabel(f"change of {_responder_outcome(cohort)} (%)")
    axis.grid(visible=False, axis="x")
    _legend(axis, cohort)
    caption = (
        f"Everybody's change from baseline to the last session used, the largest first; dashed what the analysis "
        f"file calls "
        f"a response. n = {len(responses)} people, {2 * len(responses)} sessions."
    )
    rows = [(each.person, each.arm, each.baseline, each.last, each.last_session, each.change_pct,
             "yes" if each.responder else "no") for each in responses]  # fmt: skip
    columns = ("person", "arm", "baseline", "last", "last session", "change (%)", "responder")
    return Drawn(
        "waterfall",
        "Responders: one by one",
        caption,
        to_svg(figure),
        source_csv(columns, rows, simulated_word(cohort)),
    )


def _dose_response(cohort: Cohort) -> Drawn | None:
    points = cohort.result.dose
    line = next((each for each in cohort.result.lines if each.contrast == "dose"), None)
    if not points or line is None or (cohort.people.view != "open" and cohort.people.allocated):
        return None
    figure = canvas(2.9, cohort.stamp)
    axis = figure.add_subplot()
    for arm in cohort.people.arms or ("",):
        own = [each for each in points if each.arm == arm or not cohort.people.arms]
        colour, marker, _ = _look(cohort, arm)
        axis.plot([each.dose_mc for each in own], [each.change for each in own], linestyle="none", marker=marker,
                  color=colour, markersize=4.5)  # fmt: skip
        slope = line.estimate.value
        if slope is not None and len(own) > 1:
            x = np.array([min(each.dose_mc for each in own), max(each.dose_mc for each in own)])
            middle = np.mean([each.dose_mc for each in own]), np.mean([each.change for each in own])
            axis.plot(x, middle[1] + slope * (x - middle[0]), color=colour, linewidth=1.4)
    axis.set_xlabel("charge before the last session used (mC)")
    axis.set_ylabel(
        f"change of {line.outcome}" + (" (log)" if line.scale == "log" else f" ({cohort.gathered.unit(line.outcome)})")
    )
    _legend(axis, cohort)
    e = line.estimate
    told = (
        f"Slope {e.value:.4g} [{e.low:.4g}, {e.high:.4g}] per mC ({e.method})"
        if e.value is not None
        else f"No slope: {e.why}"
    )
    caption = (
        f"A point for each person: change from baseline against the charge of all sessions before the last one used. "
        f"{told}. "
        f"Nobody was given a dose by lot within an arm: who gets more differs in other ways too (thresholds, "
        f"tolerance, "
        f"attendance), and a slope is no proof that more does more. n = {len(points)} people, {2 * len(points)} "
        f"sessions."
    )
    rows = [(each.person, each.arm, each.dose_mc, each.change, each.last_session) for each in points]
    columns = ("person", "arm", "dose before (mC)", "change", "last session")
    return Drawn(
        "dose-response", "Dose and response", caption, to_svg(figure), source_csv(columns, rows, simulated_word(cohort))
    )
