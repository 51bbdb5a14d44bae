"""The tables of an evaluation: text, ready to print, each number with its unit in the head of its column."""

from __future__ import annotations

from collections.abc import Mapping

from myoloop.experiments.reports.tables import Table
from myoloop.experiments.reports.training_results import COMPOSITE, MEASURES, Results, label
from myoloop.experiments.training.composite import WORSE

#: Of the worst people, so many have a row.
MOST_WORST = 12
NOT_MEASURED = "not measured"
_SHOWN = ("rmse", "settling_s", "fatigue", "charge_mc", "pain")
_BESIDE = ("rmse", "fatigue", "charge_mc")
_INTERVAL = "mean over people [95 % interval, bootstrap over people, BCa]"


def differences(results: Results) -> Table:
    """The learned controller beside each baseline, without faults."""
    rows = []
    for name in results.baselines:
        found = results.difference(results.plain, name)
        if found is None:
            rows.append((label(name), *[NOT_MEASURED] * 5))
            continue
        rows.append(
            (
                label(name), found.words, found.verdict,
                f"{found.better} of {len(results.people)}", f"{found.worse} of {len(results.people)}",
                f"{found.worst} ({found.worst_by:+.3f})",
            )
        )  # fmt: skip
    caption = (
        f"Learned less baseline, paired by person, in the composite ({results.composite_words}); below 0 is better. "
        f"{_capital(_INTERVAL)}, {results.n_words}. Better, worse: only where the whole interval says so. Intervals "
        "are "
        f"not corrected for there being {len(results.baselines)} of them."
    )
    columns = ("baseline", "difference [95 % interval]", "learned is", "people better", "people worse", "worst person")
    return Table(columns, tuple(rows), caption)


def outcomes(results: Results) -> Table:
    """Every measure of every controller, without faults."""
    shown = (COMPOSITE, *_SHOWN)
    rows = tuple(
        (label(name), *(_mean(results, results.plain, name, measure) for measure in shown))
        for name in (*results.baselines, results.learned)
    )
    columns = ("controller", *(MEASURES[name].axis for name in shown))
    caption = (
        f"{_capital(_INTERVAL)}, {results.n_words}. Less is better everywhere. What each is: see the figure. EMG "
        "trigger: "
        f"the person's own effort, which begins the train, adds force that no other controller meets."
    )
    return Table(columns, rows, caption)


def gate(results: Results) -> Table:
    """How much leans on the gate, and whether the envelope was kept, without faults."""
    rows = []
    for name in (*results.baselines, results.learned):
        outcome = results.outcomes[results.plain, name]
        broken = sum(outcome.violations.values())
        rows.append(
            (
                label(name), _mean(results, results.plain, name, "gated"),
                _mean(results, results.plain, name, "saturated"), _mean(results, results.plain, name, "peak_ma"),
                NOT_MEASURED if outcome.interventions is None else _counts(outcome.interventions) or "none",
                f"{broken} ({_counts(outcome.violations)})" if broken else "0",
            )
        )  # fmt: skip
    columns = (
        "controller", *(MEASURES[name].axis for name in ("gated", "saturated", "peak_ma")),
        "steps in which the gate let less through, by rule", "pulses outside the envelope",
    )  # fmt: skip
    caption = (
        f"{_capital(_INTERVAL)}, {results.n_words}. Counts are sums over people. A controller that lives on what the "
        "gate "
        f"takes away fails, whatever its composite. Pulses are judged by what was delivered, not by what the gate says."
    )
    return Table(columns, tuple(rows), caption)


def faults(results: Results) -> Table | None:
    """The learned controller under each condition, beside who else was tried."""
    conditions = [each for each in results.conditions if each != results.plain]
    tried = [
        name for name in results.baselines if any((condition, name) in results.outcomes for condition in conditions)
    ]
    rows = []
    for condition in conditions:
        outcome = results.outcomes.get((condition, results.learned))
        if outcome is None:
            continue
        row = [label(condition), str(len(outcome.people)), _mean(results, condition, results.learned, COMPOSITE)]
        for name in tried:
            found = results.difference(condition, name)
            row.append(NOT_MEASURED if found is None else found.words)
        broken = sum(
            sum(each.violations.values()) for (under, _), each in results.outcomes.items() if under == condition
        )
        row += [", ".join(results.much_worse(condition)) or "nobody", str(outcome.fell_people), str(broken)]
        rows.append(tuple(row))
    if not rows:
        return None
    columns = (
        "what goes wrong", "n", "composite of learned", *(f"learned less {label(name)}" for name in tried),
        f"people above {WORSE:g}", "fell back to classic",
        "pulses outside the envelope",
    )  # fmt: skip
    untried = [label(name) for name in results.baselines if name not in tried]
    caption = (
        f"{_capital(_INTERVAL)}; n people held out, n = 1 seed of the day each. Differences are paired, below 0 the "
        f"learned one is better. The composite is relative to {label(results.reference)} under the same condition. "
        "Fell "
        f"back: of how many people. Pulses: of all controllers."
    )
    if untried:
        caption += f" Not tried under faults: {', '.join(untried)}."
    return Table(columns, tuple(rows), caption)


def worst(results: Results) -> Table | None:
    """The people for whom the learned controller is worst, by name."""
    order = results.worst_first()[:MOST_WORST]
    outcome = results.outcomes.get((results.plain, results.learned))
    if not order or outcome is None:
        return None
    rows = []
    for place in order:
        person = results.people[place]
        cells = [person, f"{outcome.figures[COMPOSITE][place]:.3f}"]
        for measure in _BESIDE:
            pair = (results.figure(results.plain, name, measure) for name in (results.learned, results.reference))
            digits = MEASURES[measure].digits
            cells.append(" / ".join("–" if values is None else f"{values[place]:.{digits}f}" for values in pair))
        rows.append((*cells, outcome.fell_back.get(person, "no")))
    beside = f"learned / {label(results.reference)}"
    columns = ("person", "composite of learned", *(f"{MEASURES[name].axis}: {beside}" for name in _BESIDE), "fell back")
    caption = (
        f"Those with the highest composite of the learned controller, without faults: {len(rows)} of "
        f"{len(results.people)} people held out, n = 1 seed of the day each. The same number is the same virtual "
        "person "
        f"again."
    )
    return Table(columns, tuple(rows), caption)


def _mean(results: Results, condition: str, name: str, measure: str) -> str:
    found = results.interval(condition, name, measure)
    if found is None:
        return NOT_MEASURED
    mean, low, high = (f"{value:.{MEASURES[measure].digits}f}" for value in found)
    if len(results.outcomes[condition, name].people) < 2:
        return f"{mean} (one person, no interval)"
    return f"{mean} [{low},\u00a0{high}]"


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{what}: {count}" for what, count in sorted(counts.items()) if count)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
