"""Looks for the rig that runs on this host, listens to it, and hands pages what they may see of it.

One thread. It only subscribes, so nothing here can slow a session: what it does not fetch in time is dropped before it
gets here, and counted. A rig that is not there is a state like any other; sessions come and go while pages stay open.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import zmq

from myoloop.experiments.console.card import Card, read_card
from myoloop.experiments.console.feed import Feed
from myoloop.experiments.console.freshness import asked_ns
from myoloop.experiments.console.hub import Hub, Page
from myoloop.experiments.console.security import log
from myoloop.experiments.console.views import shown_reason, view_of
from myoloop.experiments.sessions.desk import LOWERING
from myoloop.platform.bus import AT_ONCE, Bus
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Answer, Command
from myoloop.platform.process import read_rig_file
from myoloop.platform.runtime import RuntimeFolder, RuntimeFolderError, running
from myoloop.platform.wire import encode

#: Frames a second: what an eye sees as motion.
FRAME_NS: Final = 1_000_000_000 // 30
#: States a second, at most, while nothing changes.
STATE_NS: Final = 100_000_000
#: How often it is looked whether a rig has come or gone.
LOOK_NS: Final = 250_000_000
#: An answer is looked for so often while one is waited for.
_ANSWER_S: Final = 0.005
#: Messages fetched in one turn; the rest waits for the next, and is dropped by the socket where it gets too much.
_IN_ONE_TURN: Final = 8 * AT_ONCE
#: Acts that may be unanswered.
_UNANSWERED: Final = 64
SCREENS: Final = ("operator", "subject")
#: Who a console is on the bus; where another has taken that name it looks on and cannot act.
CONSOLE, ONLOOKER = "console", "observer"


#: What lowers current and what the person says waits behind nothing that is unanswered.
_NEVER_TOO_MANY: Final = LOWERING | {"stop", "felt"}
_ENDED, _ANEW = "the session has ended", "the link to the session begins anew; ask again"
_FOREIGN = "this session is of another study: this console only looks on"


class NoSessionError(UserError):
    """There is no session that could be asked, or it does not answer."""


class NotAskableError(NoSessionError):
    """What was asked cannot be put into a message."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """An act that a page waits for the answer of."""

    command: Command
    loop: asyncio.AbstractEventLoop
    answer: asyncio.Future[Answer]


class Attached:
    """One running session, heard.

    Parameters
    ----------
    folder
        Its runtime folder.
    card
        What it says of itself.
    ours
        Whether it is of this console's study: else it is only looked at.

    Raises
    ------
    OSError, ValueError, KeyError, RuntimeFolderError
        If it is gone again.
    """

    def __init__(self, folder: Path, card: Card, *, ours: bool = True) -> None:
        rig = read_rig_file(folder)
        self.folder, self.card, self.ours = folder, card, ours
        self.nodes: dict[str, str] = rig["nodes"]
        #: Why it may not act, if it may not; and whether that is because another console does.
        self.refusal, self.taken = "" if ours else _FOREIGN, False
        try:
            self.bus = Bus(RuntimeFolder(folder), CONSOLE if ours else ONLOOKER, session=rig["session"])
        except (RuntimeFolderError, KeyError) as error:
            self.taken = isinstance(error, RuntimeFolderError)
            self.refusal = _taken(folder) if self.taken else "this session takes no acts"
            self.bus = Bus(RuntimeFolder(folder), ONLOOKER, session=rig["session"])
        try:
            self.feeds = {each: Feed(card, view_of(each, blinded=card.blinded)) for each in SCREENS}
            topics = {topic for feed in self.feeds.values() for topic in feed.topics(self.nodes)}
            self.bus.subscribe([*self.nodes, "supervisor"], sorted(topics))
        except BaseException:
            self.bus.close()
            raise


class RigWatch:
    """The console's one link to whatever rig runs here.

    Parameters
    ----------
    base
        Where runtime folders are: the folder for temporary files.
    study
        Of several rigs the one of this study is watched; else the first, and that is only looked at. Without a study
        every rig is its own.
    clock
        The host's, if not given.
    """

    def __init__(self, base: Path, *, study: Path | None = None, clock: Clock | None = None) -> None:
        self.hubs = {screen: Hub(screen) for screen in SCREENS}
        self._base, self._study = base, str(study.resolve()) if study is not None else ""
        self._clock: Clock = clock or MonotonicClock()
        self._attached: Attached | None = None
        self._wanted: deque[_Wanted] = deque()
        self._asked: dict[str, _Wanted] = {}
        self._wake, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="rig-watch", daemon=True)
        self._looked_ns: int | None = None
        self._told: dict[str, tuple[int, int]] = {}
        #: ``none`` or ``starting``; empty while it is not known.
        self._rig = "none"

    # -- for the server ----------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def close(self) -> None:
        """End; may be called twice."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def card(self) -> Card | None:
        """The card of the session that is watched; None where there is none."""
        attached = self._attached
        return attached.card if attached is not None else None

    @property
    def folder(self) -> Path | None:
        """Its runtime folder."""
        attached = self._attached
        return attached.folder if attached is not None else None

    def now_ns(self) -> int:
        """The time that pages are told, now."""
        return self._clock.now_ns()

    def open(self, screen: str) -> Page:
        """Open a page; called in the event loop that will send to it.

        Parameters
        ----------
        screen
            ``operator`` or ``subject``: which of the session's views it gets is decided here, by its card.
        """
        return self.hubs[screen].open()

    def shut(self, page: Page) -> None:
        """The page is gone."""
        self.hubs[page.screen].close(page)

    async def ask(
        self,
        kind: str,
        *,
        who: str,
        why: str = "",
        arguments: Mapping[str, Any] | None = None,
        seen_ns: int | None = None,
        timeout_s: float = 5.0,
    ) -> Answer:
        """Ask the running session to do an act, and wait for what becomes of it, as a page may be told it.

        Parameters
        ----------
        seen_ns
            Time of the newest state that the page had when it asked: how old the act is counts from there.

        Raises
        ------
        NoSessionError
            If none runs, another console acts, or it does not answer in time: the act may then still be done if it
            was sent before.
        NotAskableError
            If no message can be made of it.
        """
        attached = self._attached
        if attached is None:
            raise NoSessionError("no session runs" if self._rig else _ANEW)
        if attached.refusal:
            raise NoSessionError(attached.refusal)
        if len(self._asked) + len(self._wanted) >= _UNANSWERED and kind not in _NEVER_TOO_MANY:
            raise NoSessionError("the session does not answer")
        loop = asyncio.get_running_loop()
        command = Command(
            t_ns=asked_ns(kind, seen_ns, self._clock.now_ns()),
            id=f"console-{uuid.uuid4().hex}",
            kind=kind,
            target="supervisor",
            who=who,
            why=why,
            arguments=dict(arguments or {}),
        )
        try:
            encode("command", command, session=attached.card.session, publisher=CONSOLE, epoch=0, seq=0)
        except (ValueError, OverflowError, TypeError, RecursionError) as error:
            raise NotAskableError(f"{kind[:64]}: cannot be asked: {' '.join(str(error).split())[:120]}") from None
        wanted = _Wanted(command, loop, loop.create_future())
        self._wanted.append(wanted)
        self._wake.set()
        try:
            answer = await asyncio.wait_for(wanted.answer, timeout_s)
        except TimeoutError:
            raise NoSessionError(f"the session has not answered {kind} within {timeout_s:g} s") from None
        finally:
            # What nobody waits for any more is not sent later.
            wanted.answer.cancel()
            self._asked.pop(command.id, None)
        view = view_of("operator", blinded=attached.card.blinded)
        return msgspec.structs.replace(answer, reason=shown_reason(view, kind, answer.reason))

    # -- the thread --------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            next_ns = self._clock.now_ns()
            while not self._ended.is_set():
                try:
                    self._turn()
                except Exception:  # noqa: BLE001 - pages must go on being told something, and the session is none of our business
                    log.exception("the live view failed; it begins anew")
                    # Whether a session runs is not known until it has been looked again.
                    self._leave(_ANEW)
                    self._rig, self._looked_ns = "", self._clock.now_ns()
                # Later than planned is not made up for: a turn that comes late is followed by none sooner.
                now_ns = self._clock.now_ns()
                next_ns = max(next_ns + FRAME_NS, now_ns)
                self._wake.wait(_ANSWER_S if self._asked else (next_ns - now_ns) * 1e-9)
                self._wake.clear()
        finally:
            self._leave(_ENDED)

    def _turn(self) -> None:
        now_ns = self._clock.now_ns()
        if self._looked_ns is None or now_ns - self._looked_ns >= LOOK_NS:
            self._looked_ns = now_ns
            self._look()
        attached = self._attached
        if attached is None:
            self._refuse("no session runs" if self._rig else _ANEW)
            if self._rig:
                self._say_nothing(now_ns)
            return
        self._send(attached)
        self._hear(attached)
        self._hand_out(attached, self._clock.now_ns())

    def _look(self) -> None:
        """Notice that the rig has gone, or one has come."""
        there = running(self._base)
        attached = self._attached
        if attached is not None and attached.ours and attached.folder in there and not self._may_act_now(attached):
            return
        cards = [(folder, card) for folder in there if (card := read_card(folder)) is not None]
        own = [each for each in cards if not self._study or each[1].study == self._study]
        if attached is not None:
            if not attached.ours and attached.folder in there and not own:
                return
            self._leave(_ENDED)
        self._rig = "starting" if there else "none"
        for folder, card in own or cards:
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError, RuntimeFolderError, zmq.ZMQError):
                self._attach(Attached(folder, card, ours=bool(own)))
                return

    @staticmethod
    def _may_act_now(attached: Attached) -> bool:
        """Whether the console that acted is gone, and this one has only looked on so far."""
        if not attached.taken:
            return False
        try:
            claim = RuntimeFolder(attached.folder).claim(CONSOLE)
        except (RuntimeFolderError, OSError):
            return False
        if claim is not None:
            os.close(claim)
        return claim is not None

    def _attach(self, attached: Attached) -> None:
        for screen, feed in attached.feeds.items():
            self.hubs[screen].begin(msgspec.json.encode(feed.layout()))
        self._told.clear()
        self._attached = attached

    def _leave(self, why: str) -> None:
        attached, self._attached = self._attached, None
        self._told.clear()
        if attached is None:
            return
        self._refuse(why)
        for hub in self.hubs.values():
            hub.begin(msgspec.json.encode({"kind": "layout", "view": "", "streams": [], "lines": [], "channels": []}))
        attached.bus.close()

    def _send(self, attached: Attached) -> None:
        while self._wanted:
            wanted = self._wanted.popleft()
            # Kept before it is looked at: whoever gives up in between takes it out again.
            self._asked[wanted.command.id] = wanted
            if wanted.answer.done():
                self._asked.pop(wanted.command.id, None)
                continue
            attached.bus.ask(wanted.command)

    def _hear(self, attached: Attached) -> None:
        bus = attached.bus
        for received in bus.answers():
            if isinstance(received.message, Answer):
                self._answered(received.message)
        left = _IN_ONE_TURN
        while left > 0:
            heard = bus.heard()
            for received in heard:
                for feed in attached.feeds.values():
                    feed.take(received)
            left -= AT_ONCE
            if len(heard) < AT_ONCE // 2:
                return

    def _hand_out(self, attached: Attached, now_ns: int) -> None:
        for screen, feed in attached.feeds.items():
            told_ns, changes = self._told.get(screen, (-1, -1))
            due = now_ns // STATE_NS != told_ns // STATE_NS
            if not feed.view.steady and feed.changes != changes:
                due = True
            state = None
            if due:
                self._told[screen] = (now_ns, feed.changes)
                state = msgspec.json.encode({**feed.state(now_ns), "looks_on": attached.refusal})
            frame = feed.bins()
            if state is not None or frame:
                self.hubs[screen].offer(state, frame)

    def _say_nothing(self, now_ns: int) -> None:
        told_ns, _ = self._told.get("", (-1, 0))
        if now_ns // STATE_NS == told_ns // STATE_NS:
            return
        self._told[""] = (now_ns, 0)
        state = msgspec.json.encode(no_session(self._rig, now_ns))
        for hub in self.hubs.values():
            hub.offer(state, b"")

    def _answered(self, answer: Answer) -> None:
        wanted = self._asked.pop(answer.id, None)
        if wanted is not None:
            _settle(wanted, answer)

    def _refuse(self, why: str) -> None:
        unanswered = [*list(self._asked.values()), *list(self._wanted)]
        self._asked.clear()
        self._wanted.clear()
        for wanted in unanswered:
            _settle(wanted, Answer(t_ns=wanted.command.t_ns, id=wanted.command.id, ok=False, reason=why))


def _taken(folder: Path) -> str:
    holder = RuntimeFolder(folder).claimed_by(CONSOLE)
    who, how = (f"another console (process {holder})", f" (kill -KILL {holder})") if holder else ("another console", "")
    return f"{who} acts; this one only looks on. If that one answers no more, end it{how}: this one then acts by itself"


def no_session(rig: str, now_ns: int) -> dict[str, Any]:
    """What a page is told while there is nothing to tell of; `rig` is ``none`` or ``starting``."""
    return {
        "kind": "state", "view": "", "t_ns": now_ns, "rig": rig, "running": False, "session": "", "title": "",
        "subject": "", "rig_class": "", "simulated": False, "blinded": False, "stop_ports": [], "phase": None,
        "muscles": [], "motion": None, "channels": [],
        "gate": {"state": "", "rule": "", "reason": "", "latched": "", "alive": False},
        "pain": [], "recording": {"alive": False, "growing": False}, "nodes": [], "events": [], "stopped": None,
        "looks_on": "",
    }  # fmt: skip


def _settle(wanted: _Wanted, answer: Answer) -> None:
    def settle() -> None:
        if not wanted.answer.done():
            wanted.answer.set_result(answer)

    with contextlib.suppress(RuntimeError):
        wanted.loop.call_soon_threadsafe(settle)
