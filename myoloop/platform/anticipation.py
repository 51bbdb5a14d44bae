"""When the next message that gives a node a turn is due: so that the node is awake when it comes.

Waking a process that sleeps on an idle core can cost more than what it then does. A node whose messages come at a
steady pace therefore stops sleeping a little before the next one is due and looks for it until it is there, for about
a tenth of a core. Where the pace is not steady, it sleeps.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise

#: It is awake from so long before a message is due until so long after.
EARLY_NS = 1_500_000
LATE_NS = 1_000_000
#: Arrivals from which the pace is known.
REMEMBERED = 25
#: The middle half of arrivals must be within so much of the pace.
STEADY_NS = 2_000_000
#: Slower than this is not worth being awake for, faster leaves no time to sleep.
PERIOD_NS = (4_000_000, 50_000_000)


class Anticipation:
    """Learns the pace of arrivals, and says when to be awake; pure."""

    def __init__(self) -> None:
        self._arrivals: deque[int] = deque(maxlen=REMEMBERED)
        self._due_ns: int | None = None
        self._reckoned = True

    def see(self, now_ns: int) -> None:
        """Note an arrival."""
        self._arrivals.append(now_ns)
        self._reckoned = False

    @property
    def wake_ns(self) -> int | None:
        """When to stop sleeping; None where nothing is foreseen."""
        if not self._reckoned:
            # Not at the arrival itself: then there is work to do.
            self._reckoned = True
            self._due_ns = _next(self._arrivals)
        return None if self._due_ns is None else self._due_ns - EARLY_NS

    def awake_until_ns(self, now_ns: int) -> int | None:
        """Until when to look for the message, if it is time to; None while it is time to sleep.

        Once it is too late for the message, nothing is foreseen until one has come.
        """
        wake_ns = self.wake_ns
        if wake_ns is None or now_ns < wake_ns:
            return None
        until_ns = wake_ns + EARLY_NS + LATE_NS
        if now_ns >= until_ns:
            self._due_ns = None
            return None
        return until_ns


def _next(arrivals: deque[int]) -> int | None:
    """When the next arrival is due by the pace of the last ones; None where there is no pace."""
    if len(arrivals) < REMEMBERED:
        return None
    times = list(arrivals)
    steps = sorted(after - before for before, after in pairwise(times))
    usual_ns = steps[len(steps) // 2]
    if not PERIOD_NS[0] <= usual_ns <= PERIOD_NS[1]:
        return None
    begin_ns = times[0]
    places = round((times[-1] - begin_ns) / usual_ns)
    if places < REMEMBERED // 2:
        return None
    period_ns = (times[-1] - begin_ns) / places
    # Lateness of each against the pace. Load makes messages late, nothing makes them early: the early ones keep time.
    late = sorted(time_ns - begin_ns - round((time_ns - begin_ns) / period_ns) * period_ns for time_ns in times)
    quarter = REMEMBERED // 4
    if late[-1 - quarter] - late[quarter] > STEADY_NS:
        return None
    return begin_ns + round((places + 1) * period_ns + late[quarter])
