"""The tables of a cohort report: text, ready to print."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from myoloop.experiments.cohorts.analysis import Line, by_arm
from myoloop.experiments.cohorts.cohort import Cohort
from myoloop.experiments.cohorts.flow import guesses, harms
from myoloop.experiments.cohorts.view import n_of_sessions
from myoloop.experiments.outcomes.important_change import rows_of
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.studies.blinding import Index

_ALL = "all"


def baseline(cohort: Cohort) -> Table:
    """People by arm before anything was given."""
    plan, used = cohort.result.registered, cohort.gathered.used()
    first = {name: row for (name, session), row in sorted(used.items()) if session == plan.baseline}
    arms = cohort.people.arms or (_ALL,)
    rows = [("people", *(str(len(each)) for each in by_arm(dict.fromkeys(_names(cohort), 1), cohort.people).values()))]
    rows.append(
        ("with a baseline session that is used", *(str(len(each)) for each in by_arm(first, cohort.people).values()))
    )
    for outcome in sorted({name for row in first.values() for name in row.outcomes}):
        values = {name: found.value for name, row in first.items()
                  if (found := row.outcomes.get(outcome)) is not None and found.value is not None}  # fmt: skip
        cells = [_mean_sd(each) for each in by_arm(values, cohort.people).values()]
        rows.append((f"{outcome} ({cohort.gathered.unit(outcome)}), mean (SD), n", *cells))
    caption = (
        f"n = {len(_names(cohort))} people, {len(first)} baseline sessions. Differences at baseline are by chance in a "
        "randomised study and are not tested. Age, sex and diagnosis stand in no file of the study."
    )
    return Table(("at baseline", *arms), tuple(rows), caption)


def estimates(cohort: Cohort, parts: Sequence[str]) -> Table | None:
    """Estimates with their intervals."""
    lines = [each for each in cohort.result.lines if each.part in parts]
    if not lines:
        return None
    rows = tuple(
        (each.what, each.part if cohort.result.is_registered or each.part == "sensitivity" else "exploratory",
         interval_words(each), _p(each.estimate.p), str(each.estimate.people),
         n_of_sessions(each).replace(" sessions", ""),
         each.estimate.method or "-", each.estimate.note or each.estimate.why, each.input_sha256[:12])
        for each in lines
    )  # fmt: skip
    columns = ("what", "part", f"estimate [{100 * cohort.result.registered.confidence:g} % interval]", "p", "people",
               "sessions", "method", "note", "input")  # fmt: skip
    caption = (
        f"Code myoloop {cohort.code_sha256[:12]}, analysis file {cohort.result.analysis_sha256[:12] or 'none'}; "
        f"input: hash of "
        "the values that went in, each with the head of its recording's chain (whole in estimates.csv). Exploratory "
        "and "
        "sensitivity estimates are not adjusted for how many there are."
    )
    return Table(columns, rows, caption)


def interval_words(line: Line) -> str:
    """An estimate with its interval, or that there is none."""
    shown = line.shown()
    if shown is None:
        return "none"
    return f"{_digits(shown[0])} [{_digits(shown[1])}, {_digits(shown[2])}] {line.shown_unit}"


def exclusions(cohort: Cohort) -> Table:
    """Every recording that is not used."""
    rows = tuple(
        (row.person, str(row.session), str(row.attempt), row.status, row.excluded)
        for row in cohort.gathered.rows if not row.used
    )  # fmt: skip
    use = ", ".join(cohort.result.registered.use)
    caption = f"n = {len(rows)} of {len(cohort.gathered.rows)} recordings excluded; used: {use}."
    return Table(("person", "session", "attempt", "status", "why it is not used"), rows, caption)


def doubtful(cohort: Cohort) -> Table | None:
    """Every value of a used recording that its outcome does not believe, and what became of it."""
    rows = tuple(
        (row.person, str(row.session), name, each.doubt, "left out" if each.value is None else "used")
        for row in cohort.gathered.rows if row.used
        for name, each in sorted(row.outcomes.items()) if each.doubt
    )  # fmt: skip
    if not rows:
        return None
    caption = f"n = {len(rows)} values of {len(cohort.gathered.used())} sessions used."
    return Table(("person", "session", "outcome", "why it is doubtful", "in the analysis"), rows, caption)


def adverse(cohort: Cohort) -> Table:
    """Adverse events by arm."""
    found = harms(cohort.people)
    rows = tuple(
        (each.arm, each.kind.replace("_", " "), each.grade, each.related, str(each.events), str(each.people),
         str(each.serious), str(each.open),
         f"{each.per_100_sessions:.1f}" if each.per_100_sessions is not None else "-")
        for each in found
    )  # fmt: skip
    begun = sum(each.begun for each in cohort.people.people)
    caption = f"n = {sum(each.events for each in found)} events, {len(_names(cohort))} people, {begun} sessions begun."
    columns = (
        "arm",
        "kind",
        "grade",
        "from the stimulation",
        "events",
        "people",
        "serious",
        "open",
        "per 100 sessions",
    )
    return Table(columns, rows, caption)


def blinding(cohort: Cohort) -> tuple[Table | None, str]:
    """Indices of blinding; why there are none."""
    found = guesses(cohort.gathered, cohort.people)
    if found.why:
        return None, found.why
    rows: list[tuple[str, ...]] = [
        (f"Bang, {arm}", _index(found.bang[arm]), str(each.right), str(each.wrong), str(each.unknown))
        for arm, each in found.counts.items()
    ]
    total = [sum(getattr(each, name) for each in found.counts.values()) for name in ("right", "wrong", "unknown")]
    rows.append(("James", _index(found.james), *map(str, total)))
    caption = (
        f"n = {sum(total)} people, the last guess of each. Bang: 0 as by chance, 1 all right, -1 all wrong. James: "
        f"0.5 as by "
        f"chance, 0 everybody right. Emergency unblindings on record: {cohort.people.unblinded}."
    )
    return Table(("index", "estimate [95 % interval]", "right", "wrong", "do not know"), tuple(rows), caption), ""


def responders(cohort: Cohort) -> Table:
    """Everybody's change, one by one."""
    rows = tuple(
        (each.person, each.arm or "withheld", f"{each.baseline:.4g}", f"{each.last:.4g}", str(each.last_session),
         f"{each.change_pct:+.1f}", "yes" if each.responder else "no")
        for each in cohort.result.responses
    )  # fmt: skip
    rule = cohort.result.registered.responder
    outcome = rule.outcome if rule is not None else cohort.result.registered.primary.outcome
    called = (
        f"A response is a change of {rule.change_pct:g} %, as the analysis file has it. " if rule is not None else ""
    )
    unit = cohort.gathered.unit(outcome)
    known = "; ".join(
        f"{row.words(unit)} ({row.kind}, {row.label}, {row.population}: {row.source})" for row in rows_of(outcome)
    )
    caption = (
        f"{called}Important changes known of {outcome}: {known or 'none'}. n = {len(rows)} people. Who moved by "
        f"chance and "
        "who by treatment cannot be told of one person."
    )
    columns = ("person", "arm", f"{outcome} at baseline ({unit})", "last", "last session",
    "change (%)",
               "responder")  # fmt: skip
    return Table(columns, rows, caption)


def adherence(cohort: Cohort) -> Table:
    """Sessions and dose of everybody."""
    rows = tuple(
        (each.name, each.arm or "withheld", each.status, _whole(each.planned), str(each.begun), str(each.complete),
         f"{100 * each.complete / each.planned:.0f}" if each.planned else "-", f"{sum(each.dose_mc.values()):.2f}")
        for each in cohort.people.people
    )  # fmt: skip
    columns = ("person", "arm", "status", "planned", "begun", "complete", "adherence (%)", "dose (mC)")
    return Table(columns, rows, f"n = {len(rows)} people. Dose: charge of one phase, {cohort.people.dose_is}.")


def missing(cohort: Cohort) -> Table:
    """How many sessions are missing, by why."""
    counts = Counter(row.status for row in cohort.gathered.rows if not row.used)
    rows = tuple((status, str(n)) for status, n in sorted(counts.items()))
    return Table(("status of what is not used", "recordings"), rows, f"n = {sum(counts.values())} recordings.")


def _names(cohort: Cohort) -> list[str]:
    return [each.name for each in cohort.people.people]


def _mean_sd(values: Sequence[float]) -> str:
    if not values:
        return "-"
    spread = f" ({np.std(values, ddof=1):.3g})" if len(values) > 1 else ""
    return f"{np.mean(values):.4g}{spread}, {len(values)}"


def _index(index: Index | None) -> str:
    return "not defined" if index is None else f"{index.estimate:.2f} [{index.low:.2f}, {index.high:.2f}]"


def _p(p: float | None) -> str:
    if p is None:
        return "-"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _digits(value: float) -> str:
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _whole(number: int | None) -> str:
    return "-" if number is None else str(number)
