"""What a session leaves when it has ended: a summary, and its report."""

from __future__ import annotations

from typing import Any, Final

from myoloop.experiments.analysis.session import Session, load
from myoloop.experiments.analysis.summary import summarise
from myoloop.experiments.outcomes.attempt import measure
from myoloop.experiments.reports.blinded import allowed_outcomes, withheld
from myoloop.experiments.reports.session import SessionReport, SessionReportSettings
from myoloop.experiments.sessions.run import SessionEnd
from myoloop.experiments.studies.blindness import was_blinded
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.layout import RecordingError

#: Of a blinded session's summary; what is not here may tell the arm, or an amount.
_TOLD: Final = frozenset({
    "session_id", "subject", "simulated", "origins", "complete", "duration_s", "samples", "gaps", "trials",
    "outcomes", "outcomes_are", "outcomes_labels", "outcomes_missing", "outcomes_entered",
})  # fmt: skip


def conclude(end: SessionEnd) -> dict[str, Any]:
    """Write the report; return the summary with the places of both.

    Of a blinded session both withhold what may tell the arm: the operator who reads them is to stay blind.

    A session that ended before anything could be recorded, or whose record cannot be read, has neither: then
    ``report`` is None and ``not_reported`` says why. How the session ended stays what it was.
    """
    ended = {"session": str(end.folder), "outcome": end.outcome, "reason": end.reason}
    try:
        session = load(end.folder)
        place = place_of(end.folder)
        blinded = was_blinded(session.metadata, place.study if place is not None else None)
        report = SessionReport(SessionReportSettings(blinded=blinded)).write(end.folder, loaded=session)
    except RecordingError as error:
        return {**ended, "report": None, "not_reported": str(error)}
    if blinded:
        ended["reason"] = withheld(end.reason)
    return {**(_blinded_summary(session) if blinded else summarise(session)), **ended, "report": str(report)}


def _blinded_summary(session: Session) -> dict[str, Any]:
    summary = summarise(session, allowed_outcomes(measure(session)))
    return {name: value for name, value in summary.items() if name in _TOLD}
