"""Time, as something one is given."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Where a shell takes the time from."""

    def now_ns(self) -> int:
        """Nanoseconds of a clock that never goes back."""
        ...


class MonotonicClock:
    """The host's monotonic clock: what a live node uses."""

    def now_ns(self) -> int:
        """``time.monotonic_ns()``."""
        return time.monotonic_ns()


class VirtualClock:
    """A clock that goes only where it is told: lockstep, training, tests.

    Parameters
    ----------
    start_ns
        Its first reading. Not zero, so that a forgotten stamp shows.
    """

    def __init__(self, start_ns: int = 1_000_000_000) -> None:
        self._now_ns = start_ns

    def now_ns(self) -> int:
        """The time it stands at."""
        return self._now_ns

    def advance(self, by_ns: int) -> int:
        """Go forward.

        Raises
        ------
        ValueError
            If `by_ns` is negative.
        """
        if by_ns < 0:
            raise ValueError(f"a clock cannot go back, asked to by {by_ns} ns")
        self._now_ns += by_ns
        return self._now_ns


def boottime_ns() -> int:
    """Time since boot including suspends, where the host has such a clock; else the monotonic one.

    Boot time minus monotonic time changes by the length of a suspend.
    """
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    return time.monotonic_ns()
