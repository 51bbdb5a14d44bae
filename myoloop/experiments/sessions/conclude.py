"""What a session leaves when it has ended: a summary, and its report."""

from __future__ import annotations

from typing import Any

from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.summary import summarise
from myoloop.experiments.reports.session import write_report
from myoloop.experiments.sessions.run import SessionEnd
from myoloop.platform.recording.layout import RecordingError


def conclude(end: SessionEnd) -> dict[str, Any]:
    """Write the report; return the summary with the places of both.

    A session that ended before anything could be recorded, or whose record cannot be read, has neither: then
    ``report`` is None and ``not_reported`` says why. How the session ended stays what it was.
    """
    ended = {"session": str(end.folder), "outcome": end.outcome, "reason": end.reason}
    try:
        session = load(end.folder)
        report = write_report(end.folder, loaded=session)
    except RecordingError as error:
        return {**ended, "report": None, "not_reported": str(error)}
    return {**summarise(session), **ended, "report": str(report)}
