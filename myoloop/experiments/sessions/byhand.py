"""Persons at the keys and at a console: alone on a rig for people, beside the script where nobody can be hurt.

Keys and desk take one road: what they ask of the director is passed on under the name of who asks, and what the session
waits for is done once for each time that somebody says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from myoloop.experiments.sessions.desk import ANSWER_NS, Asked, Desk
from myoloop.experiments.sessions.keyboard import Keyboard
from myoloop.experiments.sessions.operator import OperatorSettings, ScriptedOperator
from myoloop.experiments.sessions.scripted_acts import Ask, Deed
from myoloop.platform.messages import Answer, Command, Phase, StimReport

#: What the stimulator does at the operator's word is told the director after it: an answer is not yet the end.
_FOLLOWED = frozenset({"arm", "step"})


class Hand(Protocol):
    """Somebody who acts: at the keys, or at a page."""

    @property
    def name(self) -> str:
        """Short, and the hand's own: its commands are numbered under it."""
        ...

    def look(self, phase: Phase | None, now_ns: int) -> None:
        """See where the session is."""
        ...

    def take_acts(self) -> list[tuple[Asked, Ask]]:
        """Acts for the director since last asked."""
        ...

    def wants(self, wait: str, channel: str) -> Asked | None:
        """Who wants done now what the session waits for."""
        ...

    def unserved(self, wait: str) -> None:
        """What somebody wanted done now was not waited for."""
        ...

    def answered(self, asked: Asked, answer: Answer) -> None:
        """An act for the director has been answered."""
        ...

    def served(self, asked: Asked, reason: str) -> None:
        """What was waited for has been done, or why not."""
        ...


class AtTheKeys:
    """A terminal's keyboard as a hand.

    Parameters
    ----------
    who
        On the record.
    """

    name = "key"

    def __init__(self, keyboard: Keyboard, who: str) -> None:
        self._keyboard = keyboard
        self._me = Asked("", b"", "key", who, "", 0)

    def look(self, phase: Phase | None, now_ns: int) -> None:
        """The view tells the keyboard by itself."""

    def take_acts(self) -> list[tuple[Asked, Ask]]:
        """What keys have asked of the director."""
        return [(self._me, deed) for deed in self._keyboard.take_deeds() if isinstance(deed, Ask)]

    def wants(self, wait: str, channel: str) -> Asked | None:
        """ENTER, once."""
        return self._me if self._keyboard.take_wanted() else None

    def unserved(self, wait: str) -> None:
        """ENTER that was pressed too soon is not kept for later."""
        self._keyboard.take_wanted()

    def answered(self, asked: Asked, answer: Answer) -> None:
        """Shown under the view."""
        self._keyboard.tell("" if answer.ok else answer.reason)

    def served(self, asked: Asked, reason: str) -> None:
        """Shown under the view."""
        self._keyboard.tell(reason)


class ByHand:
    """What hands ask for, and whatever another operator does.

    Parameters
    ----------
    inner
        Who serves what the session waits for, each time a hand says so or by itself.
    hands
        At the keys, at the desk.
    director
        Name of the node that acts are for.
    desk
        Among the hands: where consoles ask.
    """

    def __init__(self, inner: ScriptedOperator, hands: Sequence[Hand], director: str, desk: Desk) -> None:
        #: Where consoles ask.
        self.desk = desk
        self._inner = inner
        self._hands = hands
        self._director = director
        self._sent = 0
        self._asked: dict[str, tuple[Hand, Asked]] = {}

    def step(self, phase: Phase | None, report: StimReport | None, now_ns: int) -> list[Command]:
        """What is to be done now."""
        for hand in self._hands:
            hand.look(phase, now_ns)
        commands = self._inner.step(phase, report, now_ns)
        for hand in self._hands:
            hand.unserved("" if phase is None else phase.waiting_for)
            for asked, ask in hand.take_acts():
                self._sent += 1
                identity = f"{hand.name}-{self._sent}"
                self._asked[identity] = (hand, asked)
                commands.append(
                    Command(
                        t_ns=now_ns,
                        id=identity,
                        kind=ask.kind,
                        target=self._director,
                        who=asked.who,
                        why=ask.why,
                        arguments=dict(ask.arguments),
                        role=asked.role,
                    )
                )
        return commands

    def answered(self, answer: Answer) -> None:
        """Whether what was asked for was done."""
        hand, asked = self._asked.pop(answer.id, (None, None))
        if hand is not None and asked is not None:
            hand.answered(asked, answer)
        self._inner.answered(answer)

    def take_deeds(self) -> Sequence[Deed]:
        """What a script does besides."""
        return self._inner.take_deeds()


class HandOperator(ScriptedOperator):
    """Does what the session waits for when a person says so, each time anew; no script, so it may on any rig.

    Parameters
    ----------
    hands
        Whoever may say so.
    """

    def __init__(self, settings: OperatorSettings, hands: Sequence[Hand]) -> None:
        super().__init__("SIM", settings)
        self._hands = hands
        self._serving: tuple[Hand, Asked] | None = None
        self._sent: tuple[str, str] | None = None
        self._sent_ns = 0
        self.leave_to_keys()

    def step(self, phase: Phase | None, report: StimReport | None, now_ns: int) -> list[Command]:
        """Do what somebody wants done, and tell who wanted it what became of it."""
        if self._sent is not None and now_ns - self._sent_ns >= ANSWER_NS:
            self._over("not answered")
        commands = super().step(phase, report, now_ns)
        if self._asked is not None and self._asked != self._sent:
            self._sent, self._sent_ns = self._asked, now_ns
        elif self._serving is not None and self._sent is None:
            self._over("the session waits for something else by now")
        return commands

    def answered(self, answer: Answer) -> None:
        """What was done is told, unless something follows it."""
        if self._sent is not None and answer.id == self._sent[0]:
            kind, self._sent = self._sent[1], None
            if not answer.ok or kind not in _FOLLOWED:
                self._over("" if answer.ok else answer.reason)
        super().answered(answer)

    def _over(self, reason: str) -> None:
        serving, self._serving, self._sent = self._serving, None, None
        if serving is not None:
            hand, asked = serving
            hand.served(asked, reason)

    def _may_act(self, now_ns: int) -> bool:
        if self._serving is not None or self._wait is None:
            return False
        for hand in self._hands:
            asked = hand.wants(self._wait[0], self._wait[-1])
            if asked is not None:
                self._serving = (hand, asked)
                return True
        return False

    def _who(self) -> str:
        return self._settings.name if self._serving is None else self._serving[1].who

    def _role(self) -> str:
        return "" if self._serving is None else self._serving[1].role

    def _approving(self) -> str:
        return ""
