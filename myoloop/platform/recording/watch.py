"""Is what must be recorded still coming? A stream whose publisher lives and that is not in the file must not go on so.

A node that hangs or dies is the gate's and the supervisor's to notice; this is about the rest: a device that gives
nothing any more, and a road to the recorder on which nothing arrives while everybody else hears it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from myoloop.platform.messages import Heartbeat
from myoloop.platform.streams import stream_of

#: A required stream that is silent in the file for so long ends the session.
SILENT_NS = 1_000_000_000
#: One that has never been heard gets longer: a device may take a moment to begin.
UNHEARD_NS = 2_000_000_000
NOBODY = "no node publishes it"


@dataclass(slots=True)
class _Heart:
    """When a node was last heard, and since when it has been running without a pause."""

    heard_ns: int
    running_ns: int | None = None


class Watch:
    """Notices a required stream that is missing in the file although its publisher runs.

    Parameters
    ----------
    topics
        Required streams.
    nodes
        Role of every node of the rig.
    """

    def __init__(self, topics: Collection[str], nodes: Mapping[str, str]) -> None:
        self._publishers = {topic: _publishers(topic, nodes) for topic in topics}
        self._hearts: dict[str, _Heart] = {}
        self._begin_ns: int | None = None

    def begin(self, now_ns: int) -> None:
        """From now on streams are required."""
        self._begin_ns = now_ns

    def hear(self, beat: Heartbeat, now_ns: int) -> None:
        """Take in a heartbeat as it was heard, not as it was recorded."""
        heart = self._hearts.setdefault(beat.node, _Heart(now_ns))
        if beat.state != "running" or now_ns - heart.heard_ns > _dead_after_ns(beat.node):
            heart.running_ns = None
        if beat.state == "running" and heart.running_ns is None:
            heart.running_ns = now_ns
        heart.heard_ns = now_ns

    def missing(self, last_ns: Mapping[str, int], ended: Collection[str], now_ns: int) -> str:
        """Say which stream is missing, and for how long; empty where none is.

        Parameters
        ----------
        last_ns
            Per topic, when its last message was recorded.
        ended
            Publishers that have said that there is no more to come.
        """
        if self._begin_ns is None:
            return ""
        for topic, publishers in self._publishers.items():
            running_ns = [self._running_ns(name, now_ns) for name in publishers if name not in ended]
            since = [each for each in running_ns if each is not None]
            if len(since) < len(publishers):
                continue
            heard_ns = last_ns.get(topic)
            silent_ns = now_ns - max(self._begin_ns, *since, heard_ns or 0)
            who = f"{' and '.join(publishers)} {'runs' if len(publishers) == 1 else 'run'}" if publishers else NOBODY
            if heard_ns is None and silent_ns > UNHEARD_NS:
                return f"{topic} has never come in {silent_ns / 1e9:.1f} s: {who}"
            if heard_ns is not None and silent_ns > SILENT_NS:
                return f"{topic} has not come for {silent_ns / 1e9:.1f} s: {who}"
        return ""

    def _running_ns(self, node: str, now_ns: int) -> int | None:
        heart = self._hearts.get(node)
        if heart is None or now_ns - heart.heard_ns > _dead_after_ns(node):
            return None
        return heart.running_ns


def _publishers(topic: str, nodes: Mapping[str, str]) -> tuple[str, ...]:
    """Nodes that the stream comes from: those of its roles, or of them the one that it is named after."""
    able = tuple(name for name, role in nodes.items() if role in stream_of(topic).publishers)
    instance = topic.partition("/")[2]
    return (instance,) if instance in able else able


def _dead_after_ns(node: str) -> int:
    return (stream_of(f"heartbeat/{node}").dead_after_ms or 0) * 1_000_000
