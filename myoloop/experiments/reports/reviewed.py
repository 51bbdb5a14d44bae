"""How well the detector did against the labels of a person, where somebody has reviewed the session."""

from __future__ import annotations

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.reports.tables import Table, number_words
from myoloop.experiments.review.review import read_review
from myoloop.experiments.studies.audit import REVIEW_FILE
from myoloop.platform.errors import UserError


def reviewed(session: Session) -> tuple[Table | None, str]:
    """One row for each class that was labelled, and why the review cannot be believed; nothing where there is none."""
    if not (session.path.parent / REVIEW_FILE).is_file():
        return None, ""
    try:
        found = read_review(session)
    except UserError as error:
        return None, f"{REVIEW_FILE} cannot be believed: {error}"
    scores = found.scores()
    rows = tuple(
        (
            each.kind, str(each.labels), str(each.detected), str(each.open), str(each.matched), str(each.missed),
            str(each.false), *(number_words(value, 2) for value in (each.precision, each.recall, each.f1)),
            "yes" if each.looked_through else "no", each.why,
        )
        for each in scores
    )  # fmt: skip
    if not rows:
        return None, ""
    low, high = scores[0].tolerance_s
    by = ", ".join(dict.fromkeys(f"{act.get('who')} ({act.get('role')})" for act in found.acts))
    caption = (
        f"n = {sum(each.labels for each in scores)} labels of {len(found.acts)} audited acts by {by}. Onsets matched "
        f"one to one, a detection from {low:g} s to {high:g} s about a label. Outcomes on this page are of what was "
        f"detected, not of the labels."
    )
    columns = (
        "class", "labels", "detections", "not judged", "matched", "missed", "false", "precision", "recall", "F1",
        "looked through for missed ones", "note",
    )  # fmt: skip
    return Table(columns, rows, caption), ""
