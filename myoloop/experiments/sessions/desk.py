"""What a console asks of a running session: who may do what, and what became of it.

Pure: a console's commands and the time go in; deeds, commands and answers come out, as from the keys of a terminal, and
they take the same road (:mod:`myoloop.experiments.sessions.byhand`). Nothing that happens here can raise current by
itself: what is waited for is served once for each ``serve``, or step by step while ``raise`` is held; the session says
when it waits, the gate whether it may be.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

from myoloop.experiments.sessions.keyboard import LEVEL_STEP
from myoloop.experiments.sessions.scripted_acts import Ask, Press, Say
from myoloop.platform.messages import Answer, Command, Phase

#: A held button is asked again every 100 ms; it counts as held for so long after it was last heard of.
LEASE_NS = 200_000_000
#: An act that is as old as this when it comes was meant for another moment; what lowers current is never too old.
STALE_NS = 2_000_000_000
LOWERING = frozenset({"pause", "hold", "end"})
#: What was passed on and is not answered within this time never will be.
ANSWER_NS = 3_000_000_000
#: After a step that was refused the next one is tried so much later, however long the button is held.
REFUSED_NS = 500_000_000
#: What the person themself may say: what they feel in a calibration, and stop.
FELT = ("sensory", "motor", "tolerance", "stop")
#: Acts of a session's director, passed on as they are, and the arguments that each takes.
PASSED_ON: dict[str, tuple[str, ...]] = {
    "pause": (),
    "resume": (),
    "hold": (),
    "end": (),
    "mark": (),
    "attend": (),
    "retry": (),
    "score": ("score",),
    "level": ("level",),
    "form": ("form", "values"),
    "override": ("item", "name", "role", "reason", "date", "sites"),
    "skip_mvc": (),
    "skip_optimise": (),
    "electrode_changed": (),
}
#: Acts that need a reason, as their keys ask for one.
REASONED = frozenset({"resume", "end", "skip_mvc", "skip_optimise", "electrode_changed"})
ACTS = frozenset({*PASSED_ON, "serve", "raise", "felt", "stop"})
ROLES: dict[str, frozenset[str]] = {
    "operator": ACTS - {"override"},
    "clinician": ACTS,
    "supervisor": frozenset({"pause", "end", "mark", "stop"}),
    "subject": frozenset({"felt", "score", "stop"}),
}
#: The key that a console has.
KEY_ROLE = "operator"
#: Who pressed it where the person's own button was.
OWN_BUTTON = Press("subject", "subject's own button")


@dataclass(frozen=True, slots=True)
class Asked:
    """An act of a person at a page, until it is answered.

    Attributes
    ----------
    id
        The page's own; the answer repeats it.
    back
        The way back to the page.
    """

    id: str
    back: bytes
    kind: str
    who: str
    role: str
    at_ns: int


@dataclass(slots=True)
class _Lease:
    """A button that is held."""

    asked: Asked
    channel: str
    until_ns: int


@dataclass(frozen=True, slots=True)
class Told:
    """An answer, and the way to whom it is for."""

    back: bytes
    answer: Answer


@dataclass(slots=True)
class _Waiting:
    """What has been asked and not yet been answered."""

    passed: list[tuple[Asked, Ask]] = field(default_factory=list)
    said: list[tuple[Asked, Say]] = field(default_factory=list)
    serve: Asked | None = None
    lease: _Lease | None = None
    under_way: Asked | None = None
    open: list[Asked] = field(default_factory=list)


class Desk:
    """What pages ask of a session.

    Parameters
    ----------
    serves
        Whether a person does what is waited for; else a script does, and nobody here can.
    """

    name = "desk"

    def __init__(self, *, serves: bool = True) -> None:
        self._serves = serves
        self._now_ns = 0
        self._phase: Phase | None = None
        self._waiting = _Waiting()
        self._told: list[Told] = []
        self._refused_step = ""
        self._rest_until_ns = 0

    # -- what comes from a page ----------------------------------------------------------------------------------

    def take(self, command: Command, back: bytes, phase: Phase | None, now_ns: int) -> Press | None:
        """Take an act; a stop comes back at once, whatever else is asked with it.

        Parameters
        ----------
        back
            The way back to who asks.
        """
        self.look(phase, now_ns)
        role, _, name = command.who.partition(" ")
        asked = Asked(command.id, back, command.kind, command.who, role, now_ns)
        stop = self._stop(command, role)
        if stop is not None:
            self._tell(asked)
            return stop
        refused = self._refused(command, role, name)
        if refused:
            self._tell(asked, refused)
            return None
        _TAKEN.get(command.kind, Desk._pass_on)(self, asked, command)
        return None

    def look(self, phase: Phase | None, now_ns: int) -> None:
        """See where the session is, and what time it is."""
        self._phase, self._now_ns = phase, now_ns
        lease = self._waiting.lease
        if lease is not None and now_ns >= lease.until_ns:
            self._waiting.lease = None
        for asked in [each for each in self._waiting.open if now_ns - each.at_ns >= ANSWER_NS]:
            self._close(asked, "not answered")

    # -- what it asks of the session -----------------------------------------------------------------------------

    def take_acts(self) -> list[tuple[Asked, Ask]]:
        """Acts for the director since last asked."""
        acts, self._waiting.passed = self._waiting.passed, []
        self._waiting.open += [asked for asked, _ in acts]
        return acts

    def take_said(self) -> list[Say]:
        """What the person has said that they feel, since last asked."""
        said, self._waiting.said = self._waiting.said, []
        for asked, _ in said:
            self._tell(asked)
        return [each for _, each in said]

    def wants(self, wait: str, channel: str) -> Asked | None:
        """Who wants done now what the session waits for; an act of serving is used up by it."""
        waiting = self._waiting
        if waiting.serve is not None:
            waiting.under_way, waiting.serve = waiting.serve, None
            return waiting.under_way
        lease = waiting.lease
        held = lease is not None and lease.channel == channel and self._now_ns < lease.until_ns
        if wait == "step" and lease is not None and held and self._now_ns >= self._rest_until_ns:
            return lease.asked
        return None

    def unserved(self, wait: str) -> None:
        """Nothing that could be done was waited for: who pressed, pressed for nothing, now and later."""
        asked, self._waiting.serve = self._waiting.serve, None
        if asked is not None:
            self._tell(asked, f"nothing that can be served; the session waits for {wait or 'nothing'}")

    # -- what became of it ---------------------------------------------------------------------------------------

    def answered(self, asked: Asked, answer: Answer) -> None:
        """An act for the director has been answered."""
        if asked in self._waiting.open:
            self._close(asked, "" if answer.ok else answer.reason)

    def served(self, asked: Asked, reason: str) -> None:
        """What was waited for has been done, or why not."""
        if asked.kind == "raise":
            self._refused_step = reason
            self._rest_until_ns = self._now_ns + REFUSED_NS if reason else 0
        elif self._waiting.under_way is asked:
            self._waiting.under_way = None
            self._tell(asked, reason)

    def end(self, why: str) -> None:
        """The session is over: nothing that is still open will be done."""
        waiting, self._waiting = self._waiting, _Waiting()
        left = [waiting.serve, waiting.under_way, *waiting.open]
        left += [asked for asked, _ in waiting.passed] + [asked for asked, _ in waiting.said]
        for asked in left:
            if asked is not None:
                self._tell(asked, why)

    def take_told(self) -> list[Told]:
        """Answers for the pages since last asked."""
        told, self._told = self._told, []
        return told

    # -- inside --------------------------------------------------------------------------------------------------

    def _stop(self, command: Command, role: str) -> Press | None:
        """A stop, from whoever may connect at all: neither its age nor how it is written keeps it from stopping."""
        own = command.kind == "felt" and command.arguments.get("what") == "stop"
        if own or (command.kind == "stop" and role == "subject"):
            return OWN_BUTTON
        if command.kind == "stop":
            return Press(command.who or "console", command.why or "stop by console")
        return None

    def _refused(self, command: Command, role: str, name: str) -> str:
        """Why an act cannot be; nothing where it can."""
        if command.role != KEY_ROLE:
            return f"role: found {command.role!r}, allowed is who has the key of an {KEY_ROLE}"
        if role not in ROLES:
            return f"who: found {command.who[:64]!r}, allowed is a role and a name; roles are {', '.join(ROLES)}"
        if len(name) > 64 or not name.isprintable():
            return "who: allowed is a name of at most 64 printable characters"
        if command.kind not in ACTS:
            return f"unknown act {command.kind[:64]!r}, known are {', '.join(sorted(ACTS))}"
        if command.kind not in ROLES[role]:
            return f"a {role} may not {command.kind}, may {', '.join(sorted(ROLES[role]))}"
        if command.kind not in LOWERING and self._now_ns - command.t_ns >= STALE_NS:
            return f"{command.kind}: was asked {(self._now_ns - command.t_ns) * 1e-9:.1f} s ago; ask again"
        if self._phase is None:
            return "the session has not begun"
        if self._phase.state == "ended":
            return f"the session has ended as {self._phase.outcome}"
        if command.kind in REASONED and not command.why.strip():
            return f"{command.kind}: a reason is needed"
        return ""

    def _pass_on(self, asked: Asked, command: Command) -> None:
        named = PASSED_ON[command.kind]
        wrong = sorted(set(command.arguments) - set(named))
        if wrong:
            self._tell(asked, f"{command.kind}: found {wrong[0][:64]!r}, allowed: {', '.join(named) or 'nothing'}")
            return
        if command.kind == "level" and self._too_far(command.arguments):
            self._tell(asked, f"level: one step at a time, at most {self._most_level():g} now")
            return
        why = str(command.arguments.get("reason", "")) if command.kind == "override" else command.why
        self._waiting.passed.append((asked, Ask(command.kind, why, dict(command.arguments))))

    def _most_level(self) -> float:
        return min(1.0, round((0.0 if self._phase is None else self._phase.level) + LEVEL_STEP, 9))

    def _too_far(self, arguments: Mapping[str, Any]) -> bool:
        level = arguments.get("level")
        # What is no number the director refuses in its own words.
        if isinstance(level, bool) or not isinstance(level, int | float) or not isfinite(level):
            return False
        return level > self._most_level() + 1e-9

    def _serve(self, asked: Asked, command: Command) -> None:
        """Once, and only what is waited for now; a page may say what it believes that to be."""
        phase = self._phase
        meant, found = command.arguments.get("waiting_for"), "" if phase is None else phase.waiting_for
        if not self._serves:
            self._tell(asked, "a script serves this session")
        elif meant is not None and meant != found:
            self._tell(asked, f"meant for {str(meant)[:64]}, the session waits for {found or 'nothing'}")
        elif self._waiting.serve is not None or self._waiting.under_way is not None:
            self._tell(asked, "the last one is under way")
        else:
            self._waiting.serve = asked

    def _raise(self, asked: Asked, command: Command) -> None:
        """Held: from the moment the page says so, by the clock of this host, whichever is earlier."""
        phase, channel = self._phase, command.arguments.get("channel")
        raised = phase.targets[0].channel if phase is not None and phase.targets else ""
        if not self._serves:
            self._tell(asked, "a script serves this session")
        elif phase is None or phase.kind != "calibration" or not phase.arm_id:
            self._tell(asked, "nothing is there to be raised: no calibration is armed")
        elif channel != raised:
            self._tell(asked, f"raise.channel: found {str(channel)[:64]!r}, raised now is {raised}")
        else:
            until_ns = min(self._now_ns, command.t_ns) + LEASE_NS
            self._waiting.lease = _Lease(asked, raised, until_ns)
            refused, self._refused_step = self._refused_step, ""
            self._tell(asked, refused, lease_ms=max(0, until_ns - self._now_ns) / 1e6)

    def _felt(self, asked: Asked, command: Command) -> None:
        what = command.arguments.get("what")
        if what not in FELT:
            self._tell(asked, f"felt.what: found {str(what)[:64]!r}, allowed: {', '.join(FELT)}")
        else:
            self._waiting.said.append((asked, Say(str(what), "" if asked.role == "subject" else asked.who)))

    def _close(self, asked: Asked, reason: str) -> None:
        self._waiting.open.remove(asked)
        self._tell(asked, reason)

    def _tell(self, asked: Asked, reason: str = "", **values: float) -> None:
        answer = Answer(t_ns=self._now_ns, id=asked.id, ok=not reason, reason=reason, values=dict(values))
        self._told.append(Told(asked.back, answer))


_TAKEN: dict[str, Callable[[Desk, Asked, Command], None]] = {
    "serve": Desk._serve,
    "raise": Desk._raise,
    "felt": Desk._felt,
}
