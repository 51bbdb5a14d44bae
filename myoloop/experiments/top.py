"""What every node and stream of a running rig is doing now."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from myoloop.platform.bus import Bus, send_stop
from myoloop.platform.clock import Clock, MonotonicClock
from myoloop.platform.errors import UserError
from myoloop.platform.messages import Heartbeat
from myoloop.platform.process import RIG_FILE, read_rig_file
from myoloop.platform.runtime import RuntimeFolder, running


class NothingRuns(UserError):
    """There is no running rig on this host, or more than one."""


@dataclass(slots=True)
class StreamSeen:
    """One stream over the last interval."""

    topic: str
    publisher: str
    rate_hz: float
    messages: int
    missing: int


@dataclass(slots=True)
class Snapshot:
    """Nodes and streams at one moment."""

    session: str
    nodes: dict[str, Heartbeat] = field(default_factory=dict)
    streams: list[StreamSeen] = field(default_factory=list)


def stop_running(who: str = "operator", why: str = "myoloop stop", base: Path | None = None) -> str:
    """Stop the stimulators of all rigs that run on this host; returns their sessions.

    Parameters
    ----------
    base
        Where the runtime folders are, if not in the folder for temporary files.

    Raises
    ------
    NothingRuns
        If no rig runs here, or none of them could be stopped.
    """
    stopped: list[str] = []
    problems: list[str] = []
    for folder in running(base or Path(tempfile.gettempdir())):
        try:
            rig = read_rig_file(folder)
            stimulator = next((name for name, role in rig["nodes"].items() if role == "stimulator"), None)
            if stimulator is None:
                problems.append(f"{rig['session']} has no stimulator")
                continue
            send_stop(RuntimeFolder(folder), stimulator, who, why)
            stopped.append(str(rig["session"]))
        except OSError as error:
            problems.append(f"{folder}: its stimulator cannot be reached: {(error.strerror or str(error)).lower()}")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # One rig that cannot be read keeps no other from being stopped.
            problems.append(f"{folder}: {RIG_FILE} cannot be read")
    if not stopped:
        raise NothingRuns("; ".join(problems) or "no rig runs on this host")
    return ", ".join([*stopped, *problems])


def _only_one() -> Path:
    folders = running(Path(tempfile.gettempdir()))
    if len(folders) != 1:
        raise NothingRuns("no rig runs on this host" if not folders else f"{len(folders)} rigs run on this host")
    return folders[0]


def watch(every_s: float, clock: Clock | None = None) -> Iterator[Snapshot]:
    """Yield a snapshot of the rig that runs on this host, every so often, until it ends.

    Raises
    ------
    NothingRuns
        If no rig runs here, or several do.
    """
    folder = _only_one()
    rig = read_rig_file(folder)
    clock = clock or MonotonicClock()
    bus = Bus(RuntimeFolder(folder), "observer", session=rig["session"])
    try:
        bus.overhear([*rig["nodes"], "supervisor"])
        counts: dict[tuple[str, str], int] = {}
        last: dict[tuple[str, str], int] = {}
        missing: dict[tuple[str, str], int] = {}
        snapshot = Snapshot(rig["session"])
        began_ns = clock.now_ns()
        while folder.exists():
            bus.wait(0.05)
            for received in bus.heard():
                key = (received.topic, received.publisher)
                counts[key] = counts.get(key, 0) + 1
                if key in last:
                    missing[key] = missing.get(key, 0) + max(0, received.seq - last[key] - 1)
                last[key] = received.seq
                if isinstance(received.message, Heartbeat):
                    snapshot.nodes[received.publisher] = received.message
            passed_s = (clock.now_ns() - began_ns) * 1e-9
            if passed_s >= every_s:
                snapshot.streams = [
                    StreamSeen(topic, publisher, count / passed_s, count, missing.get((topic, publisher), 0))
                    for (topic, publisher), count in sorted(counts.items())
                ]
                yield snapshot
                # One that says nothing any more stays in the list, with nothing.
                counts = dict.fromkeys(counts, 0)
                missing.clear()
                began_ns = clock.now_ns()
    finally:
        bus.close()
