"""Alive, at rate, without gaps: what can be said of each subscribed stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from myoloop.platform.messages import Gap
from myoloop.platform.steps import Received
from myoloop.platform.streams import stream_of

#: A stream slower than this share of its nominal rate is called slow.
SLOW_SHARE = 0.8
#: Over how long a rate is measured.
RATE_WINDOW_NS = 1_000_000_000


class Sequences:
    """Counts what is missing, per topic, publisher and epoch."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], tuple[int, int]] = {}

    def see(self, received: Received, now_ns: int) -> Gap | None:
        """Note a message; say what is missing right before it, if anything is.

        The first message of a publisher's epoch starts the count, except that an epoch seen from its beginning (by a
        lossless road) should start at 0: what is missed before the first message heard cannot be told here.
        """
        key = (received.topic, received.publisher)
        epoch, last = self._last.get(key, (-1, -1))
        if epoch == received.epoch and received.seq <= last:
            return None
        self._last[key] = (received.epoch, received.seq)
        if epoch != received.epoch or received.seq == last + 1:
            return None
        return Gap(
            t_ns=now_ns,
            topic=received.topic,
            publisher=received.publisher,
            epoch=received.epoch,
            first_missing=last + 1,
            last_missing=received.seq - 1,
        )


class Liveness:
    """Says which of a set of topics are not alive.

    Parameters
    ----------
    topics
        Those that are expected; topics whose stream has no `dead_after_ms` are never missed.
    """

    def __init__(self, topics: Iterable[str]) -> None:
        rows = {topic: stream_of(topic) for topic in topics}
        self._dead_after_ns = {
            topic: row.dead_after_ms * 1_000_000 for topic, row in rows.items() if row.dead_after_ms is not None
        }
        self._rate_hz = {topic: row.rate_hz for topic, row in rows.items() if row.rate_hz is not None}
        self._arrivals: dict[str, deque[int]] = {topic: deque() for topic in self._dead_after_ns}
        self._first_ns: dict[str, int] = {}
        self._gap: set[str] = set()

    def see(self, topic: str, now_ns: int, *, gap: bool = False) -> None:
        """Note an arrival, and whether something was missing before it."""
        arrivals = self._arrivals.get(topic)
        if arrivals is None:
            return
        self._first_ns.setdefault(topic, now_ns)
        arrivals.append(now_ns)
        while arrivals[0] < now_ns - RATE_WINDOW_NS:
            arrivals.popleft()
        if gap:
            self._gap.add(topic)

    def not_alive(self, now_ns: int) -> dict[str, str]:
        """Every topic that is not alive now and why; a gap is told once."""
        verdict: dict[str, str] = {}
        for topic, dead_after_ns in self._dead_after_ns.items():
            arrivals = self._arrivals[topic]
            if not arrivals:
                verdict[topic] = "never" if topic not in self._first_ns else "silent"
            elif now_ns - arrivals[-1] > dead_after_ns:
                verdict[topic] = "silent"
            elif topic in self._gap:
                verdict[topic] = "gap"
            elif self._is_slow(topic, arrivals, now_ns):
                verdict[topic] = "slow"
        self._gap.clear()
        return verdict

    def _is_slow(self, topic: str, arrivals: deque[int], now_ns: int) -> bool:
        rate_hz = self._rate_hz.get(topic)
        if rate_hz is None or now_ns - self._first_ns[topic] < RATE_WINDOW_NS:
            return False
        while arrivals and arrivals[0] <= now_ns - RATE_WINDOW_NS:
            arrivals.popleft()
        return len(arrivals) < SLOW_SHARE * rate_hz
