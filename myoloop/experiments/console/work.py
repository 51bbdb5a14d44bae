"""What is started from a page: a session and other work never beside one another, and nothing twice.

A session's loop has these processors for itself. Looking whether something runs and starting are one act, held by a
lock in the study: two pages, or two consoles of a study, never both find that nothing runs.
"""

from __future__ import annotations

from collections.abc import Sequence

from myoloop.experiments.console.jobs import JOBS_FOLDER, SESSION, Job, jobs, start_job
from myoloop.experiments.console.page import Settings
from myoloop.experiments.console.rigs import running_rigs
from myoloop.experiments.studies.exclusive import exclusively
from myoloop.platform.errors import UserError


class RunsAlreadyError(UserError):
    """There is a session already: nothing was started."""


class WorkRunsError(UserError):
    """Other work runs, with which no session may share the processors: nothing was started."""


def start_work(settings: Settings, kind: str, title: str, verb: str, arguments: Sequence[str]) -> str:
    """Start work that is no session; returns the id of its job, of the one that runs already if it is the same.

    Raises
    ------
    RunsAlreadyError
        If a session runs on this host, or is on its way to its rig.
    """
    with exclusively(settings.study / JOBS_FOLDER):
        running = _running(settings)
        session = _session(settings, running)
        if session is not None:
            raise RunsAlreadyError(f"{title}: {session} runs on this host; allowed once it has ended")
        already = next((each.id for each in running if each.title == title), None)
        return already or start_job(settings.study, kind, title, verb, arguments)


def start_session_job(
    settings: Settings, title: str, verb: str, arguments: Sequence[str], *, said: str | None = None
) -> str:
    """Start the process of a session; returns the id of its job.

    Parameters
    ----------
    said
        Given to it on standard input.

    Raises
    ------
    RunsAlreadyError
        If a session runs on this host.
    WorkRunsError
        If other work of this study runs.
    """
    with exclusively(settings.study / JOBS_FOLDER):
        running = _running(settings)
        session = _session(settings, running)
        if session is not None:
            raise RunsAlreadyError(f"{session} runs already; it must have ended before another begins")
        if running:
            raise WorkRunsError(f"{running[0].title}: runs; no session begins beside it. Wait for its end: see Jobs")
        return start_job(settings.study, SESSION, title, verb, arguments, said=said)


def _running(settings: Settings) -> list[Job]:
    return [job for job in jobs(settings.study) if job.state == "running"]


def _session(settings: Settings, running: Sequence[Job]) -> str | None:
    """A session that runs, by name; one that has no rig yet is on its way to one."""
    rigs = (rig.session or str(rig.folder) for rig in running_rigs(settings.temporary))
    return next(rigs, None) or next((job.title for job in running if job.kind == SESSION), None)
