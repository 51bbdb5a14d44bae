"""What is drawn by lot in a session: the places of catch trials, and whose turn a condition is.

Every draw is a hash of the session's name and of what is drawn: no state, no generator whose algorithm a later version
may change, the same in every replay, and another one in every session.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from myoloop.experiments.protocols.plan import Plan


def number(*what: object) -> int:
    """A number below 2^64 for these words."""
    words = "/".join(str(word) for word in what)
    return int.from_bytes(hashlib.sha256(words.encode()).digest()[:8], "big")


def session_of(plan: Plan) -> str:
    """The session's name without its attempt: who goes on after a kill draws what would have been drawn."""
    return re.sub(r"/att-\d+$", "", plan.envelope.session)


def shuffled(items: Sequence[str], *what: object) -> list[str]:
    """The items in an order that these words draw."""
    return sorted(items, key=lambda item: (number(*what, item), item))


def condition_of(names: Sequence[str], order: str, trial: int, *what: object) -> str:
    """Whose turn it is in a trial, counted from 0 over the whole block; empty without conditions.

    ``fixed`` takes turns as written, ``random`` draws each, ``balanced`` shuffles group by group, so that after every
    whole group each has had the same number.
    """
    if not names:
        return ""
    if order == "random":
        return names[number(*what, trial) % len(names)]
    if order == "balanced":
        return shuffled(names, *what, trial // len(names))[trial % len(names)]
    return names[trial % len(names)]


def catch_steps(steps: int, catches: int, *what: object) -> frozenset[int]:
    """Before which steps of an ascent (from 0) one gives nothing.

    They are drawn from its first half, where the question is whether anything is felt; from more of it only where the
    half has too few.
    """
    among = min(steps, max((steps + 1) // 2, catches))
    drawn = shuffled([str(step) for step in range(among)], *what)
    return frozenset(int(step) for step in drawn[:catches])
