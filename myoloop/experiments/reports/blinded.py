"""The report for those who are to stay blind: nothing of arm, current or charge, nor of what a muscle did under them.

What stands here is allowed one by one; all else is left out. Figures of EMG, movement, force and M-waves are left out
because what a muscle does under stimulation tells the arm. Free text is kept, but every amount with a unit of current
or charge in it is replaced. At the end the page is searched for what must not be in it, and is not written if it is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import myoloop
from myoloop.experiments.analysis.session import Session
from myoloop.experiments.outcomes.attempt import Measured
from myoloop.experiments.outcomes.scoring import SCORES
from myoloop.experiments.reports import (
    conduct,
    doses,
    figure_course,
    integrity,
    outcomes,
    pre_post,
    provenance,
    screening,
)
from myoloop.experiments.reports.beside import Beside
from myoloop.experiments.reports.drawing import Drawn, style
from myoloop.experiments.reports.page import render_page
from myoloop.experiments.reports.tables import MOST_ROWS, Table
from myoloop.platform.recording.layout import RecordingError

#: Outcomes that rest on answers and counts alone.
ALLOWED_OUTCOMES = frozenset({*SCORES, "nrs_change", "pgic", "doms", "trials_done", "trigger_latency"})
WITHHELD = "withheld"
#: An amount with a unit of current, charge or their densities; what stands before a slash counts too.
_AMOUNT = re.compile(r"[\d.,]+\s*(?:to\s*[\d.,]+\s*)?(?:mA|µA|uA|mC|µC|uC)\b(?:\s*/\s*\w+²?)?")
#: The same as forms and rows name it.
_NAMED = re.compile(r"\b(?:current|charge|peak|target|highest)[ _](?:ma|mc|uc)\b:?\s*[\d.,]*")
#: Names of values that are amounts.
_AMOUNT_NAME = re.compile(r"(?:_|^)(?:ma|mc|uc|ua)$|current|charge|dose|limit")
#: What may not be left anywhere once that is done.
_FORBIDDEN = re.compile(
    r"withheld(?:&#39;|&#34;|['\"])?\s*[:=]\s*[\d.]|"
    r"\b(?:mA|µA|uA|mC|µC|uC)\b|\b(?:current|charge|peak|target)[ _](?:ma|mc|uc)\b"
)
#: Rows of the head that say nothing of what was given.
_HEAD = frozenset({
    "Session", "Subject (pseudonym)", "Began", "Length", "Protocol", "Protocol SHA-256", "Evidence grade", "Rig class",
    "Versions",
})  # fmt: skip
#: Events that tell what the gate or the device did.
_QUIET = frozenset({"act", "envelope", "gate", "approved", "tolerance", "chosen", "proposed", "false_alarm"})


class NotWithheld(RecordingError):
    """Something that must not be told would stand in a blinded report: it is not written."""


def draw_blinded(session: Session, stamp: str) -> list[Drawn]:
    """Figures that tell nothing of what was given."""
    with style():
        drawn = figure_course.course(session, stamp, current=False)
    return [drawn] if drawn is not None else []


def render_blinded(
    session: Session, figures: Sequence[Drawn], beside: Beside, *, stamp: str, head: Sequence[tuple[str, str]],
    subtitle: str, said: str, status: str,
) -> str:  # fmt: skip
    """The page.

    Parameters
    ----------
    head
        Rows of the report's head, of which some are left out.

    Raises
    ------
    NotWithheld
        If it would hold what must not be told.
    """
    measured = allowed_outcomes(beside.measured)
    # Acts are told with what was set: every step of a calibration is one.
    beside = replace(beside, acts=())
    page = render_page(
        "session_blinded.html.jinja",
        figures,
        stamp=stamp,
        said=said,
        session_id=session.session_id,
        subtitle=subtitle,
        outcome=session.outcome or "incomplete",
        reason=withheld(session.reason),
        header=[(label, withheld(value)) for label, value in head if label in _HEAD],
        outcomes_heading=outcomes.heading(measured),
        outcomes=_table(outcomes.table(measured)),
        left_out=len(beside.measured.values) - len(measured.values),
        pre_post=_table(pre_post.pre_post(beside.sensitivity)),
        stops=_table(conduct.stops(quiet(session))),
        adverse=_table(conduct.adverse(session, beside)),
        deviations=_table(conduct.deviations(quiet(session), beside)),
        confounders=_table(conduct.confounders(session, beside)),
        not_believed=[withheld(each) for each in beside.problems],
        screening=[
            (title, _table(table))
            for title, table in (("Forms", screening.forms(session)), ("Skin", screening.skin(session)))
        ],
        trials=_trials(session),
        kept=integrity.streams_kept(session),
        course=_course(session, beside),
        status=status,
        provenance=[row for row in provenance.facts(session) if not row[0].startswith("Recording")],
        version=myoloop.__version__,
    )
    check_withheld(page, "the page")
    for each in figures:
        check_withheld(each.svg + each.csv, f"figure {each.name}")
    return page


def withheld(text: str) -> str:
    """A text with every amount of current or charge replaced."""
    return _FORBIDDEN.sub(WITHHELD, _NAMED.sub(WITHHELD, _AMOUNT.sub(WITHHELD, text)))


def check_withheld(text: str, where: str) -> None:
    """Refuse a text that names current or charge.

    Raises
    ------
    NotWithheld
        If it does.
    """
    found = _FORBIDDEN.search(text)
    if found is not None:
        raise NotWithheld(f"blinded report: {where} would hold {found[0]!r}; nothing is written")


def allowed_outcomes(measured: Measured) -> Measured:
    """The outcomes that rest on answers and counts alone."""
    values = {name: value for name, value in measured.values.items() if name in ALLOWED_OUTCOMES}
    return Measured(measured.protocol, values, measured.heading, measured.missing, measured.diary_problem)


def quiet(session: Session) -> Session:
    """A session without the events that tell what gate or device did, and without amounts in the others."""
    events = tuple(
        event._replace(why=withheld(event.why), values=_plain_values(event.values))
        for event in session.events
        if event.kind not in _QUIET
    )
    return replace(session, events=events)


def _plain_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Without amounts: a number is known by its name, a text by what stands in it."""
    kept = {key: value for key, value in values.items() if _AMOUNT_NAME.search(key) is None}
    return {key: withheld(value) if isinstance(value, str) else value for key, value in kept.items()}


def _table(table: Table | None) -> Table | None:
    if table is None:
        return None
    rows = tuple(tuple(withheld(cell) for cell in row) for row in table.rows)
    return Table(tuple(withheld(column) for column in table.columns), rows, withheld(table.caption))


def _trials(session: Session) -> Table | None:
    """How each trial went, without what was given in it."""
    rows = [
        (str(trial.block), str(trial.trial), trial.outcome, f"{begin_s:.1f}", f"{end_s - begin_s:.1f}")
        for trial, (begin_s, _, end_s) in zip(session.trials, session.trial_times_s, strict=True)
        if trial.kind == "block"
    ]
    if not rows:
        return None
    caption = f"n = {len(rows)} trials; what was given in them is {WITHHELD}."
    return Table(("block", "trial", "outcome", "begin (s)", "length (s)"), tuple(rows[:MOST_ROWS]), caption)


def _course(session: Session, beside: Beside) -> list[tuple[str, str]]:
    """Place in the course without its dose."""
    hidden = ("Charge", "On-time", "Share", "Smaller")
    return [(label, withheld(text)) for label, text in doses.course(session, beside) if not label.startswith(hidden)]
