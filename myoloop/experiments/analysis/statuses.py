"""Which recordings an analysis uses, by their status in the index, as a person names them."""

from __future__ import annotations

from myoloop.platform.errors import UserError

#: What the index refuses is never used.
STATUSES = ("complete", "interrupted", "incomplete", "recovered")


def statuses(told: str) -> tuple[str, ...]:
    """Read ``complete,recovered``; empty where nothing is named.

    Raises
    ------
    UserError
        If one of them is none.
    """
    named = tuple(dict.fromkeys(each.strip() for each in told.split(",") if each.strip()))
    unknown = [each for each in named if each not in STATUSES]
    if unknown:
        raise UserError(f"--use: found {', '.join(unknown)}, allowed are {', '.join(STATUSES)}")
    return named
