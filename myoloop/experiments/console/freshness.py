"""How long ago a page asked: what a frozen server finds in its sockets when it wakes was meant for another moment.

A page sends with each act the time of the newest state that it has been told (`t_ns`, of this host's clock that only
goes forward). What could give current is not done late; what lowers it, and what the person says, always is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from myoloop.experiments.console.posted import PostedError
from myoloop.experiments.sessions.desk import LOWERING, STALE_NS

#: A held button is asked again every 100 ms, and states are as far apart; older was held before, not now.
RAISE_STALE_NS: Final = 300_000_000
#: Acts that are done however old they are.
NEVER_TOO_OLD: Final = LOWERING | {"stop", "felt", "score", "mark"}
_LARGEST_NS: Final = 2**63 - 1


def read_seen(sent: Mapping[str, Any]) -> int | None:
    """The `t_ns` of what a page sent: when what it shows was so; None where it had been told nothing yet.

    Raises
    ------
    PostedError
        If it is no time.
    """
    found = sent.get("t_ns")
    if found is None:
        return None
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _LARGEST_NS:
        raise PostedError(f"t_ns: found {str(found)[:32]!r}, allowed is the time of the newest state, in ns")
    return found


def too_old(kind: str, seen_ns: int | None, now_ns: int) -> str:
    """Why an act is refused for its age; nothing where it is not."""
    if kind in NEVER_TOO_OLD:
        return ""
    if seen_ns is None:
        return f"{kind}: the page has not said when it asked (t_ns); load it anew"
    if seen_ns > now_ns:
        return f"{kind}: was asked {(seen_ns - now_ns) * 1e-9:.1f} s ahead of this host's time; load the page anew"
    if now_ns - seen_ns > (RAISE_STALE_NS if kind == "raise" else STALE_NS):
        return f"{kind}: was asked {(now_ns - seen_ns) * 1e-9:.1f} s ago; ask again"
    return ""


def asked_ns(kind: str, seen_ns: int | None, now_ns: int) -> int:
    """When it was asked, as the session is told: the session has a lease and an age limit of its own."""
    return now_ns if seen_ns is None or kind in NEVER_TOO_OLD else min(seen_ns, now_ns)
