"""Start a session, or go on with one, as a process of its own that no end of the console ends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.freshness import read_seen, too_old
from myoloop.experiments.console.page import Settings, name_of, role_of, screen, settings_of
from myoloop.experiments.console.posted import flag, posted, text
from myoloop.experiments.console.rig_watch import RigWatch
from myoloop.experiments.console.security import STAFF, say_refused
from myoloop.experiments.console.work import RunsAlreadyError, start_session_job
from myoloop.platform.errors import UserError

#: Where a session's process finds what opens the key file, unless a page has said it.
IN_ENVIRONMENT: Final = "MYOLOOP_KEYFILE_PASSPHRASE"


@dataclass(frozen=True, slots=True, kw_only=True)
class Second:
    """The second identifier that was given, and what opens the key file that it is held against.

    Attributes
    ----------
    keyfile
        The encrypted key file.
    said
        Initials and year of birth, such as ``AB 1980``; kept nowhere.
    passphrase
        None where the console's own environment has it.
    """

    keyfile: Path
    said: str = field(repr=False)
    passphrase: str | None = field(repr=False, default=None)


def start_session(
    settings: Settings,
    protocol: str,
    subject: str,
    *,
    session: int | None = None,
    second: Second | None = None,
    seed: int | None = None,
    shadow: str | None = None,
) -> str:
    """Start a session; returns the id of its job.

    Parameters
    ----------
    session
        The session to try again; None: the next.
    seed
        Of a virtual subject.
    shadow
        Folder of a trained controller that computes beside, and never acts.

    Raises
    ------
    RunsAlreadyError, WorkRunsError
        If a session runs on this host, or other work of this study.
    """
    arguments = [
        *_wiring(settings, second),
        f"--subject={subject}",
        f"--out={settings.study}",
        *([f"--session={session}"] if session is not None else ()),
        *([f"--seed={seed}"] if seed is not None else ()),
        *([f"--shadow={shadow}"] if shadow is not None else ()),
        "--",
        protocol,
    ]
    return _start(settings, f"{subject}: {Path(protocol).stem}", "run", arguments, second)


def go_on(
    settings: Settings,
    session: Path,
    *,
    who: str,
    why: str,
    same_electrodes: bool = False,
    second: Second | None = None,
    subject: str | None = None,
) -> str:
    """Go on with a session that was stopped or cut off, as a new attempt; returns the id of its job.

    Parameters
    ----------
    session
        Its folder, ``STUDY/sub-X/ses-NN``.
    subject
        The file or group of a virtual subject that is not drawn again by its name.

    Raises
    ------
    RunsAlreadyError, WorkRunsError
        If a session runs on this host, or other work of this study.
    UserError
        If no reason is given, or there is no such session.
    """
    if not why.strip():
        raise UserError("a reason is needed to go on")
    arguments = [
        *_wiring(settings, second),
        "--continue",
        f"--who={who}",
        "--why=-",
        *(["--same-electrodes"] if same_electrodes else ()),
        *([f"--subject={subject}"] if subject is not None else ()),
        "--",
        str(session),
    ]
    return _start(settings, f"{session.parent.name} {session.name}: gone on with", "resume", arguments, second, why)


def _wiring(settings: Settings, second: Second | None) -> list[str]:
    return [
        "--desk",
        *([f"--rig={settings.rig}"] if settings.rig is not None else ()),
        *([f"--key={settings.key}"] if settings.key is not None else ()),
        *([f"--identity={second.keyfile}", "--second=-"] if second is not None else ()),
    ]


def _start(
    settings: Settings, title: str, verb: str, arguments: list[str], second: Second | None, why: str | None = None
) -> str:
    return start_session_job(settings, title, verb, arguments, said=_line(second, why))


def _line(second: Second | None, why: str | None) -> str | None:
    """What a session's process reads on standard input; it stands in no list of processes and in no file."""
    said = {} if why is None else {"why": why}
    if second is not None:
        said["second"] = second.said
        if second.passphrase is not None:
            said["passphrase"] = second.passphrase
    return json.dumps(said) + "\n" if said else None


def routes() -> list[BaseRoute]:
    """``POST /api/go-on``: the second of the two acts with which a stopped session is gone on with."""
    return [screen("/api/go-on", _go_on, roles=STAFF, methods=("POST",))]


async def _go_on(request: Request) -> Response:
    sent = await posted(request)
    watch: RigWatch = request.app.state.watch
    late = too_old("go on", read_seen(sent), watch.now_ns())
    if late:
        say_refused(request.scope, role_of(request), late)
        return JSONResponse({"ok": False, "reason": late}, status_code=409)
    return await run_in_threadpool(_went_on, request, sent)


def _went_on(request: Request, sent: Mapping[str, Any]) -> Response:
    settings = settings_of(request)
    try:
        name = go_on(
            settings,
            session_folder(settings.study, text(sent, "session")),
            who=name_of(request),
            why=text(sent, "why"),
            same_electrodes=flag(sent, "same_electrodes"),
            second=second_of(settings, sent),
        )
    except RunsAlreadyError as error:
        # The attempt that was stopped is closed in a moment.
        return JSONResponse({"ok": False, "busy": True, "reason": str(error)}, status_code=409)
    return JSONResponse({"ok": True, "job": name})


def second_of(settings: Settings, sent: Mapping[str, Any]) -> Second | None:
    """The second identifier of what a page sent as ``second`` and ``passphrase``; None where there is no key file."""
    if settings.identity is None:
        return None
    return Second(
        keyfile=settings.identity,
        said=text(sent, "second"),
        passphrase=text(sent, "passphrase", needed=False) or None,
    )


def session_folder(study: Path, named: str) -> Path:
    """The folder of a session of this study, named ``sub-X/ses-NN``, and of no other place.

    Raises
    ------
    UserError
        If there is none.
    """
    folder = study / named
    parts = Path(named).parts
    good = len(parts) == 2 and parts[0].startswith("sub-") and parts[1].startswith("ses-")
    if not good or not folder.is_dir():
        raise UserError(f"{named[:80]!r}: no session of this study; allowed is sub-X/ses-NN")
    return folder
