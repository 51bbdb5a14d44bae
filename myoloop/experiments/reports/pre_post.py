"""Scores before and now, of one person, and which of the known important changes each change reaches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from myoloop.experiments.analysis.sensitivity import Sensitivity, Visit
from myoloop.experiments.outcomes.important_change import Judged, NotComparable, Point, check_comparable, judge, rows_of
from myoloop.experiments.outcomes.instrument import VERSION, Instrument, ScoreKind
from myoloop.experiments.outcomes.scoring import SCORES
from myoloop.experiments.outcomes.words import value_words
from myoloop.experiments.reports.tables import Table

#: Pain now is asked in two forms.
_FORMS = {"nrs_current": ("nrs", "nrs_now")}


class Told(NamedTuple):
    """One score at one time; `missing` is why there is none."""

    when: str
    point: Point
    missing: str


def pre_post(course: Sensitivity) -> Table | None:
    """One row for each score that was taken twice: within this session, and since the person's first."""
    rows = [row for kind in SCORES.values() for row in _rows(*kind, course)]
    if not rows:
        return None
    columns = (
        "measure", "before", "now", "change", "from", "reaches", "does not reach", "source of what matters",
    )  # fmt: skip
    caption = (
        f"n = {len(rows)} comparisons of one person. Reaches: the change is at least as large as one that people in "
        f"that population called important (MIC) or than error of measurement (MDC), by the one table that all reports "
        f"use. A change of one person is no effect: pain comes and goes, who enters a study on bad days gets better."
    )
    return Table(columns, tuple(rows), caption)


def _rows(instrument: Instrument, kind: ScoreKind, course: Sensitivity) -> Iterator[tuple[str, ...]]:
    for form_id in _form_ids(instrument, kind, course):
        visits = [visit for visit in course.visits if _answers(visit, kind, form_id)]
        now = course.visits[-1]
        if not visits or visits[-1] is not now:
            continue
        told = _answers(now, kind, form_id)
        if len(told) > 1 and told[0] != told[-1]:
            yield _row(kind, form_id, _told(instrument, kind, told[0], "begin of this session"),
                       _told(instrument, kind, told[-1], "its end"))  # fmt: skip
        if len(visits) > 1:
            first = _answers(visits[0], kind, form_id)[0]
            yield _row(kind, form_id, _told(instrument, kind, first, f"session {visits[0].session}"),
                       _told(instrument, kind, told[-1], "this session"))  # fmt: skip


def _form_ids(instrument: Instrument, kind: ScoreKind, course: Sensitivity) -> list[str]:
    """Forms, with their sites, in which the score was ever answered."""
    told = [name for visit in course.visits for name in visit.forms if name.partition(".")[0] == instrument.form_id]
    if kind.name in _FORMS:
        return [instrument.form_id] if any(_answers(visit, kind, instrument.form_id) for visit in course.visits) else []
    return list(dict.fromkeys(told))


def _answers(visit: Visit, kind: ScoreKind, form_id: str) -> list[Mapping[str, Any]]:
    """First and newest answers in a visit, of every form that asks the same."""
    found = [visit.forms[name] for name in _FORMS.get(kind.name, (form_id,)) if name in visit.forms]
    if not found:
        return []
    # `nrs` at the begin and the end, `nrs_now` in between: where both were asked, `nrs` tells.
    return [found[0][0], found[-1 if len(found) == 1 else 0][1]]


def _told(instrument: Instrument, kind: ScoreKind, values: Mapping[str, Any], when: str) -> Told:
    score = instrument.score(values)[kind.name]
    point = Point(kind.name, score.value, score.code, str(values.get(VERSION) or ""))
    return Told(when, point, score.why)


def _row(kind: ScoreKind, form_id: str, before: Told, after: Told) -> tuple[str, ...]:
    site = form_id.partition(".")[2]
    name = f"{kind.text}{f', {site}' if site else ''} ({kind.name})"
    shown = [each.point.code or value_words(each.point.value) for each in (before, after)]
    span = f"{before.when} to {after.when}"
    try:
        check_comparable(before.point, after.point)
    except NotComparable as error:
        why = before.missing or after.missing or str(error)
        return name, *shown, "–", span, f"not told: {why}", "", ""
    judged = judge(before.point, after.point, kind.better)
    return (
        name, *(f"{each} {kind.unit}".strip() if each != "–" else each for each in shown),
        _change(kind, before.point, after.point, judged), span,
        "; ".join(_words(each, kind) for each in judged if each.reached) or ("none" if rows_of(kind.name) else "–"),
        "; ".join(_words(each, kind) for each in judged if each.reached is False)
        or ("–" if rows_of(kind.name) else "no important change is known"),
        "; ".join(dict.fromkeys(each.row.source for each in judged)),
    )  # fmt: skip


def _change(kind: ScoreKind, before: Point, after: Point, judged: tuple[Judged, ...]) -> str:
    direction = judged[0].direction if judged else ""
    if before.value is None or after.value is None:
        return direction or "–"
    return f"{after.value - before.value:+.3g} {kind.unit}" + (f", {direction}" if direction else "")


def _words(each: Judged, kind: ScoreKind) -> str:
    row = each.row
    return f"{row.kind} {row.label}, {row.words(kind.unit)} ({row.population})"
