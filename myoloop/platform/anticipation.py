"""When the next message that gives a node a turn is due: so that the node is awake when it comes.

Waking a process that sleeps on an idle core costs more than what it then does. A node whose messages come at a steady
pace therefore stops sleeping a little before the next one is due and looks for it until it is there, which takes about
a tenth of a core and halves the way from a sample to the driver. Where the pace is not steady, it sleeps.
"""

from __future__ import annotations

from collections import deque

#: It is awake from so long before a message is due until so long after.
EARLY_NS = 1_000_000
LATE_NS = 1_000_000
#: Arrivals from which the pace is known, and how far off its middle one may be for it to count as steady.
REMEMBERED = 9
STEADY_NS = 1_500_000
#: Slower than this is not worth being awake for, faster leaves no time to sleep.
PERIOD_NS = (4_000_000, 50_000_000)


class Anticipation:
    """Learns the pace of arrivals, and says when to be awake; pure."""

    def __init__(self) -> None:
        self._arrivals: deque[int] = deque(maxlen=REMEMBERED)
        self._due_ns: int | None = None

    def see(self, now_ns: int) -> None:
        """Note an arrival."""
        arrivals = self._arrivals
        arrivals.append(now_ns)
        self._due_ns = None
        if len(arrivals) < REMEMBERED:
            return
        steps = sorted(after - before for before, after in zip(arrivals, list(arrivals)[1:], strict=False))
        period_ns = (arrivals[-1] - arrivals[0]) // (REMEMBERED - 1)
        middle_ns = steps[len(steps) // 2]
        # One that came late, and the one after it that was in time, do not make the pace unsteady.
        steady = abs(period_ns - middle_ns) <= STEADY_NS and steps[-2] - steps[1] <= 2 * STEADY_NS
        if steady and PERIOD_NS[0] <= middle_ns <= PERIOD_NS[1]:
            self._due_ns = now_ns + middle_ns

    def sleep_until_ns(self) -> int | None:
        """When to stop sleeping; None where nothing is foreseen."""
        return None if self._due_ns is None else self._due_ns - EARLY_NS

    def awake(self, now_ns: int) -> bool:
        """Whether it may come at any moment; once it is too late for it, nothing is foreseen until the next comes."""
        if self._due_ns is None or now_ns < self._due_ns - EARLY_NS:
            return False
        if now_ns > self._due_ns + LATE_NS:
            self._due_ns = None
            return False
        return True
