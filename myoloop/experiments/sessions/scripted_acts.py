"""A script's acts as the session goes: which are due now, and as what they reach the session.

Pure: the newest phase and the time go in; commands, stops, a person's answers and faults come out, in the order of
the script. Each act happens once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from myoloop.experiments.sessions.script import FaultSpec, Moment, ScriptedAct
from myoloop.platform.messages import Phase

#: Acts that are commands to the director, by their own name; the value is the reason.
REASONED = ("pause", "resume", "hold", "end", "retry", "skip_mvc", "skip_optimise", "mark")


@dataclass(frozen=True, slots=True)
class Ask:
    """A command for the director."""

    kind: str
    why: str = ""
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Press:
    """A stop: the operator's, the person's own button, or all have to leave."""

    who: str
    why: str


@dataclass(frozen=True, slots=True)
class Say:
    """What the person feels and says; `by` names who has pressed in their place."""

    what: str
    by: str = ""


@dataclass(frozen=True, slots=True)
class Heed:
    """Whether the operator serves a wait from now on."""

    wait: str
    served: bool


@dataclass(frozen=True, slots=True)
class Break:
    """A fault."""

    fault: FaultSpec


Deed = Ask | Press | Say | Heed | Break


class ScriptedActs:
    """Hands out a script's acts when they are due.

    Parameters
    ----------
    acts
        In the order of the script.
    who
        The operator's name.
    """

    def __init__(self, acts: Sequence[ScriptedAct], who: str = "script") -> None:
        self._left = list(acts)
        self._since_ns: dict[int, int] = {}
        self._who = who

    @property
    def left(self) -> int:
        """How many have not happened yet."""
        return len(self._left)

    def has(self, kind: str) -> bool:
        """Whether an act of a kind is yet to come."""
        return any(act.do.kind == kind for act in self._left)

    def due(self, phase: Phase, now_ns: int) -> list[Deed]:
        """Acts whose time has come."""
        now: list[Deed] = []
        still = []
        for act in self._left:
            if self._is_due(act, phase, now_ns):
                now.append(deed_of(act, self._who))
            else:
                still.append(act)
        self._left = still
        return now

    def _is_due(self, act: ScriptedAct, phase: Phase, now_ns: int) -> bool:
        if act.when is None:
            return act.at_s is not None and phase.session_s >= act.at_s
        # A place that has been left before its time was over is waited for again.
        if not is_there(act.when, phase):
            self._since_ns.pop(id(act), None)
            return False
        since_ns = self._since_ns.setdefault(id(act), now_ns)
        return now_ns - since_ns >= round(act.when.after_s * 1e9)


def is_there(moment: Moment, phase: Phase) -> bool:
    """Whether the protocol is where a moment says."""
    pairs = (
        (moment.phase, phase.name), (moment.block, phase.block), (moment.trial, phase.trial),
        (moment.state, phase.trial_state), (moment.waiting, phase.waiting_for),
    )  # fmt: skip
    return all(wanted is None or wanted == found for wanted, found in pairs)


def deed_of(act: ScriptedAct, who: str) -> Deed:
    """What an act is to the session."""
    kind, value = act.do.kind, act.do.value
    if kind in REASONED:
        return Ask(kind, value)
    if kind in ("score", "level"):
        return Ask(kind, arguments={kind: value})
    if kind == "form":
        return Ask("form", arguments={"form": value.id, "values": value.values})
    if kind == "override":
        return Ask("override", str(value.get("reason", "")), value)
    if kind == "felt":
        return Say(value)
    if kind in ("ignore", "serve"):
        return Heed(value, kind == "serve")
    if kind == "attend":
        return Heed("attend", value == "on")
    if kind == "fault":
        return Break(value)
    stops = {
        "stop": (who, "stop"),
        "subject_stop": ("subject", "subject's own button"),
        "evacuate": (who, "evacuation"),
    }
    presser, said = stops[kind]
    return Press(presser, value or said)
