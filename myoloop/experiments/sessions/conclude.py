"""What a session leaves when it has ended: a summary, and its report."""

from __future__ import annotations

from typing import Any

from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.summary import summarise
from myoloop.experiments.reports.session import write_report
from myoloop.experiments.sessions.run import SessionEnd


def conclude(end: SessionEnd) -> dict[str, Any]:
    """Write the report; return the summary with the places of both."""
    session = load(end.folder)
    report = write_report(end.folder, loaded=session)
    summary = summarise(session)
    return {**summary, "session": str(end.folder), "report": str(report), "outcome": end.outcome, "reason": end.reason}
