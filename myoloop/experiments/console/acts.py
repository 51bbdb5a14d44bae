"""What a person at a page asks of the running session: checked here by role, done and answered by the session."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute

from myoloop.experiments.console.freshness import read_seen, too_old
from myoloop.experiments.console.page import name_of, role_of, screen, settings_of
from myoloop.experiments.console.posted import PostedError, posted, text
from myoloop.experiments.console.rig_watch import NoSessionError, NotAskableError, RigWatch
from myoloop.experiments.console.security import Role, say_refused
from myoloop.experiments.sessions.desk import ACTS, ROLES
from myoloop.experiments.top import NothingRuns, stop_running

#: Of the session's answer, what a page of any view may have.
TOLD = ("lease_ms",)


@dataclass(frozen=True, slots=True)
class Done:
    """What became of an act.

    Attributes
    ----------
    status
        Of HTTP.
    """

    ok: bool
    reason: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200


def not_allowed(role: Role, kind: str) -> str:
    """Why a role may not ask this; nothing where it may."""
    if kind not in ACTS:
        return f"unknown act {kind[:64]!r}"
    if kind not in ROLES[role]:
        return f"a {role} may not {kind}"
    return ""


async def do(
    watch: RigWatch,
    temporary: Path,
    kind: str,
    *,
    who: str,
    why: str = "",
    arguments: Mapping[str, Any],
    seen_ns: int | None = None,
) -> Done:
    """Ask it of the running session; the role and the age have been checked.

    Parameters
    ----------
    seen_ns
        Time of the newest state that the page had when it asked.
    """
    if kind == "stop" or (kind == "felt" and arguments.get("what") == "stop"):
        # By the stop socket first: nothing is asked, and nobody's answer is waited for.
        with contextlib.suppress(NothingRuns):
            stop_running(who, why or "stop on the console", temporary)
    try:
        answer = await watch.ask(kind, who=who, why=why, arguments=arguments, seen_ns=seen_ns)
    except NotAskableError as error:
        return Done(ok=False, reason=str(error), status=400)
    except NoSessionError as error:
        return Done(ok=False, reason=str(error), status=409)
    told = {name: answer.values[name] for name in TOLD if name in answer.values}
    return Done(ok=answer.ok, reason=answer.reason, values=told, status=200 if answer.ok else 409)


def routes() -> list[BaseRoute]:
    """``POST /api/act`` with ``{act, why, arguments, t_ns}``; answered by the session with ``{ok, reason}``."""
    return [screen("/api/act", _act, methods=("POST",))]


async def _act(request: Request) -> Response:
    try:
        sent = await posted(request)
        kind, why = text(sent, "act"), text(sent, "why", needed=False)
        arguments, seen_ns = read_arguments(sent), read_seen(sent)
    except PostedError as error:
        say_refused(request.scope, role_of(request), str(error))
        return JSONResponse({"ok": False, "reason": str(error)}, status_code=400)
    refused = not_allowed(role_of(request), kind)
    if refused:
        say_refused(request.scope, role_of(request), refused)
        return JSONResponse({"ok": False, "reason": refused}, status_code=403)
    watch: RigWatch = request.app.state.watch
    late = too_old(kind, seen_ns, watch.now_ns())
    if late:
        say_refused(request.scope, role_of(request), late)
        return JSONResponse({"ok": False, "reason": late}, status_code=409)
    done = await do(
        watch,
        settings_of(request).temporary,
        kind,
        who=name_of(request),
        why=why,
        arguments=arguments,
        seen_ns=seen_ns,
    )
    return JSONResponse({"ok": done.ok, "reason": done.reason, **done.values}, status_code=done.status)


def read_arguments(sent: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an act.

    Raises
    ------
    PostedError
        If they are no object, or there is something else beside them.
    """
    unknown = sorted(set(sent) - {"act", "why", "arguments", "id", "t_ns"})
    if unknown:
        raise PostedError(f"found {unknown[0][:64]!r}, allowed are act, why, arguments, id and t_ns")
    found = sent.get("arguments", {})
    if not isinstance(found, dict):
        raise PostedError("arguments: allowed is an object")
    return found
