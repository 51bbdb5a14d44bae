"""The websocket of a page: what the session tells goes out, what the person asks comes in."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.routing import BaseRoute, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from myoloop.experiments.console.acts import Done, do, not_allowed, read_arguments
from myoloop.experiments.console.freshness import read_seen, too_old
from myoloop.experiments.console.hub import Page
from myoloop.experiments.console.page import Settings, name_for
from myoloop.experiments.console.posted import PostedError, read_object, text
from myoloop.experiments.console.rig_watch import RigWatch
from myoloop.experiments.console.security import Role, say_refused
from myoloop.experiments.sessions.desk import LOWERING

#: Largest message of a page.
MESSAGE_MAX_BYTES: Final = 4096
#: Open feeds of one role, so that none can shut another out; and acts of one page that may be unanswered.
FEEDS_MAX: Final = 16
UNANSWERED_MAX: Final = 16
#: What lowers current, and what the person says: never behind anything.
NEVER_TOO_MANY: Final = LOWERING | {"stop", "felt"}
MALFORMED, TOO_LARGE, TRY_LATER = 1008, 1009, 1013


@dataclass(frozen=True, slots=True)
class Asked:
    """One message of a page.

    Attributes
    ----------
    screen
        What it wants to see, if that is what it asks; else it asks an act.
    seen_ns
        Time of the newest state that it had then.
    """

    kind: str = ""
    why: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""
    screen: str = ""
    seen_ns: int | None = None


def read_message(data: str | bytes) -> Asked:
    """Read what a page sent: ``{"act", "why", "arguments"}``, ``{"raise": channel}`` or ``{"want": {"screen"}}``.

    With each there may be an ``id``, which the answer repeats, and ``t_ns``.

    Raises
    ------
    PostedError
        If it is none of these.
    """
    sent = read_object(data)
    said, seen_ns = text(sent, "id", needed=False), read_seen(sent)
    kinds = [kind for kind in ("act", "raise", "want") if kind in sent]
    if len(kinds) != 1:
        raise PostedError("allowed is one of act, raise and want")
    if kinds[0] == "act":
        return Asked(text(sent, "act"), text(sent, "why", needed=False), read_arguments(sent), said, seen_ns=seen_ns)
    if set(sent) - {kinds[0], "id", "t_ns"}:
        raise PostedError(f"with {kinds[0]} nothing else is allowed but id and t_ns")
    if kinds[0] == "raise":
        return Asked("raise", arguments={"channel": text(sent, "raise")}, id=said, seen_ns=seen_ns)
    want = sent["want"]
    if not isinstance(want, dict) or set(want) != {"screen"} or want["screen"] not in ("operator", "subject"):
        raise PostedError("want: allowed is a screen, operator or subject")
    return Asked(id=said, screen=want["screen"])


def routes() -> list[BaseRoute]:
    """``/feed``."""
    return [WebSocketRoute("/feed", _Feeds().serve)]


class _Feeds:
    """All open pages, counted by role."""

    def __init__(self) -> None:
        self._open: Counter[Role] = Counter()

    async def serve(self, socket: WebSocket) -> None:
        """Be one page's link until it is gone."""
        role: Role = socket.state.role
        if self._open[role] >= FEEDS_MAX:
            say_refused(socket.scope, role, f"more than {FEEDS_MAX} open pages of a {role}")
            await socket.close(TRY_LATER)
            return
        self._open[role] += 1
        try:
            await _feed(socket, role)
        finally:
            self._open[role] -= 1


async def _feed(socket: WebSocket, role: Role) -> None:
    watch: RigWatch = socket.app.state.watch
    await socket.accept()
    link = _Link(socket, role, watch)
    try:
        await link.hear()
    except WebSocketDisconnect as gone:
        if gone.code == TOO_LARGE:
            # The server's own limit was met before ours.
            say_refused(socket.scope, role, "an oversized message")
    finally:
        await link.end()


class _Link:
    """One open page."""

    def __init__(self, socket: WebSocket, role: Role, watch: RigWatch) -> None:
        self._socket, self._role, self._watch = socket, role, watch
        self._settings: Settings = socket.app.state.settings
        self._sending = asyncio.Lock()
        self._acting: set[asyncio.Task[None]] = set()
        self._show("subject" if role is Role.SUBJECT else "operator")

    def _show(self, screen: str) -> None:
        self._page: Page = self._watch.open(screen)
        self._telling = asyncio.create_task(self._tell(self._page))

    async def hear(self) -> None:
        """Take in messages until one is not allowed."""
        while True:
            message = await self._socket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message.get("code") or 1000)
            data: str | bytes = message.get("text") or message.get("bytes") or b""
            if (
                len(data) > MESSAGE_MAX_BYTES
                or len(data if isinstance(data, bytes) else data.encode()) > MESSAGE_MAX_BYTES
            ):
                await self._close(TOO_LARGE, f"a message of more than {MESSAGE_MAX_BYTES} bytes")
                return
            try:
                asked = read_message(data)
            except PostedError as error:
                await self._close(MALFORMED, f"a message that is not allowed: {error}")
                return
            refused = self._refused(asked)
            if refused:
                say_refused(self._socket.scope, self._role, refused)
                await self._answer(asked.id, Done(ok=False, reason=refused))
            elif asked.screen:
                await self._turn_to(asked.screen)
            else:
                task = asyncio.create_task(self._do(asked))
                self._acting.add(task)
                task.add_done_callback(self._acting.discard)

    def _refused(self, asked: Asked) -> str:
        if asked.screen:
            return f"a {self._role} may not see {asked.screen}" if self._role is Role.SUBJECT else ""
        if len(self._acting) >= UNANSWERED_MAX and asked.kind not in NEVER_TOO_MANY:
            return f"{len(self._acting)} acts are not answered yet"
        return not_allowed(self._role, asked.kind) or too_old(asked.kind, asked.seen_ns, self._watch.now_ns())

    async def _turn_to(self, screen: str) -> None:
        await self._leave()
        self._show(screen)

    async def _do(self, asked: Asked) -> None:
        who = name_for(self._role, self._settings)
        done = await do(
            self._watch,
            self._settings.temporary,
            asked.kind,
            who=who,
            why=asked.why,
            arguments=asked.arguments,
            seen_ns=asked.seen_ns,
        )
        await self._answer(asked.id, done)

    async def _answer(self, said: str, done: Done) -> None:
        answer = {"kind": "answer", "id": said, "ok": done.ok, "reason": done.reason, **done.values}
        await self._send(json.dumps(answer))

    async def _tell(self, page: Page) -> None:
        while True:
            for each in await page.take():
                await self._send(each)

    async def _send(self, said: str | bytes) -> None:
        async with self._sending:
            if self._socket.application_state is not WebSocketState.CONNECTED:
                return
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await (self._socket.send_text(said) if isinstance(said, str) else self._socket.send_bytes(said))

    async def _close(self, code: int, why: str) -> None:
        say_refused(self._socket.scope, self._role, why)
        async with self._sending:
            await self._socket.close(code)

    async def _leave(self) -> None:
        self._watch.shut(self._page)
        self._telling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._telling

    async def end(self) -> None:
        """The page is gone; what it asked is done all the same, only nobody is told."""
        await self._leave()
