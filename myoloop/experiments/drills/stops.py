"""From a stop on the stop socket to stop bytes at the device: a thousand times, through the real node.

The session is a real one, in which sources, controller, recorder and stimulator do what they always do; only that it is
not ended when the gate has latched its first stop. From then on nothing goes to the device but stop bytes, and the
keep-alive of a ScienceMode device, which is told from a stop; so that what arrives after a stop, and after silence, is
that stop's. The virtual subject's node is a drill's: it notes when bytes arrive, looking every half millisecond; what
that adds is in the figures.
"""

from __future__ import annotations

import math
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
from ruamel.yaml import YAML

from myoloop.experiments.drills.devices import Device, device_of, drill_rig
from myoloop.experiments.drills.rig import PERSON, refuse_unless_simulated
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.acting import operator_of
from myoloop.experiments.sessions.live import TURN_S, LiveSession
from myoloop.experiments.sessions.run import prepare
from myoloop.experiments.sessions.script import Script
from myoloop.experiments.subjects.node import SubjectBody
from myoloop.platform.bus import Bus
from myoloop.platform.errors import UserError
from myoloop.platform.node import Configuration
from myoloop.platform.priority import ask_for_priority
from myoloop.platform.process import read_rig_file, run_node
from myoloop.stimulators.sciencemode.commands import Command
from myoloop.stimulators.sciencemode.frames import Receiver

#: What is asked of the 99.9th percentile.
P999_MAX_MS = 20.0
#: Stops are at least so far apart: stop bytes are repeated for 30 ms, and then the line must be silent for twice this.
APART_S = (0.10, 0.14)
SILENT_S = 0.03
_UNCLEAR_MAX = 0.1
#: What stamps stops and bytes gets a core as the loop does: it is the stimulator that is timed, not its stopwatch.
_INSTRUMENT = "controller"


class StopFigures(msgspec.Struct, frozen=True, kw_only=True):
    """How long it took.

    Attributes
    ----------
    unheard
        Stops that no bytes followed before the next one.
    """

    stops: int
    p50_ms: float
    p99_ms: float
    p999_ms: float
    worst_ms: float
    unheard: int
    passed: bool


def stops_heard(emulator: str) -> Callable[[bytes], bool]:
    """What tells the bytes of a stop from others that a latched gate lets go to a device, its keep-alive."""
    if emulator not in ("p24", "rehamove3"):
        return bool
    heard = Receiver()
    return lambda data: any(frame.command in (Command.LL_STOP, Command.ML_STOP) for frame in heard.feed(data))


class ListeningSubject(SubjectBody):
    """Role ``subject``, which notes when the bytes of a stop arrive at its device."""

    cycle_ns = 500_000

    def __init__(self, arrivals: Path, is_stop: Callable[[bytes], bool]) -> None:
        super().__init__()
        self._arrivals = arrivals
        self._is_stop = is_stop

    def configure(self, given: Configuration, bus: Bus) -> tuple[tuple[str, ...], dict[str, object]]:
        """As always, with an ear at the device."""
        told = super().configure(given, bus)
        file = os.open(self._arrivals, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        if self._server is not None:
            body, feed, is_stop = self._server.body, self._server.body.feed, self._is_stop

            def heard(data: bytes, now_ns: int) -> None:
                arrived_ns = time.monotonic_ns()
                if is_stop(data):
                    os.write(file, f"{arrived_ns}\n".encode())
                feed(data, now_ns)

            setattr(body, "feed", heard)  # noqa: B010
        return told


class _StoppedAgain(LiveSession):
    """A session that is stopped again and again, at moments that are random to its nodes.

    Its director takes the first stop for the end and leaves; nobody else does, and so it is played on here.
    """

    count = 0
    arrivals: Path

    def _play(self) -> tuple[str, str]:
        self.sent_ns: list[int] = []
        draw = random.Random(1)
        ask_for_priority(_INSTRUMENT)
        # One more than is counted: the first only latches the gate.
        for _ in range(self.count + 1):
            self._listen_on(draw.uniform(*APART_S))
            while not self._is_silent():
                self._listen_on(TURN_S)
            self.sent_ns.append(time.monotonic_ns())
            self.supervisor.stop("drill", "one of many")
        self._listen_on(APART_S[0])
        return "stopped", "enough stops"

    def _is_silent(self) -> bool:
        """Whether nothing has come to the device for a while: what comes next is the next stop's."""
        heard = _heard(self.arrivals)
        return not heard or time.monotonic_ns() - heard[-1] > 2 * SILENT_S * 1e9


def time_stops(device: str, count: int) -> StopFigures:
    """Time so many stops on a device."""
    with tempfile.TemporaryDirectory(prefix="drill-") as name:
        return _time(device_of(device), count, Path(name))


def _time(device: Device, count: int, folder: Path) -> StopFigures:
    protocol = Path(__file__).parent / "drill.yaml"
    data = drill_rig(load_protocol(protocol), device, None)
    with (folder / "rig.yaml").open("w", encoding="utf-8") as file:
        YAML().dump(data, file)
    setup = prepare(str(protocol), subject=PERSON, rig=str(folder / "rig.yaml"), study=folder / "study", seed=1)
    refuse_unless_simulated(setup.rig)
    session = _StoppedAgain(setup, operator_of(setup, Script(), None))
    session.count, session.arrivals = count, folder / "arrivals"
    session.supervisor.node_command = (
        "-m",
        "myoloop.experiments.drills.stops",
        str(folder / "arrivals"),
        device.emulator,
    )
    session.run()
    return figures(*took(session.sent_ns, _heard(session.arrivals)))


def _heard(arrivals: Path) -> list[int]:
    return [int(line) for line in arrivals.read_text(encoding="ascii").split()] if arrivals.exists() else []


def took(sent_ns: Sequence[int], arrivals_ns: Sequence[int]) -> tuple[list[float], int]:
    """From each stop but the first to the first bytes after it, in ms; and how many stops no bytes followed.

    A stop that other bytes came just before (a device's keep-alive) is not timed: nobody knows whose bytes came after.

    Raises
    ------
    UserError
        If that is so of more than one stop in ten.
    """
    found: list[float] = []
    unheard = unclear = 0
    for number, began_ns in enumerate(sent_ns[1:], start=1):
        end_ns = sent_ns[number + 1] if number + 1 < len(sent_ns) else math.inf
        if any(began_ns - SILENT_S * 1e9 < each <= began_ns for each in arrivals_ns):
            unclear += 1
            continue
        after = [each for each in arrivals_ns if began_ns < each < end_ns]
        if after:
            found.append((after[0] - began_ns) * 1e-6)
        else:
            unheard += 1
    if unclear > _UNCLEAR_MAX * len(sent_ns):
        raise UserError(
            f"{unclear} of {len(sent_ns)} stops cannot be timed: the line to the device was not silent before"
        )
    return found, unheard


def figures(took_ms: Sequence[float], unheard: int) -> StopFigures:
    """Figures of stops; a percentile is always a value that occurred (nearest rank)."""
    ordered = sorted(took_ms) or [math.inf]

    def rank(share: float) -> float:
        return round(ordered[max(0, math.ceil(share * len(ordered)) - 1)], 2)

    return StopFigures(
        stops=len(took_ms) + unheard,
        p50_ms=rank(0.5),
        p99_ms=rank(0.99),
        p999_ms=rank(0.999),
        worst_ms=rank(1.0),
        unheard=unheard,
        passed=unheard == 0 and rank(0.999) <= P999_MAX_MS,
    )


def say_stops(device: str, found: StopFigures) -> str:
    """The figures in a line."""
    verdict = "pass" if found.passed else "FAIL"
    return (
        f"{device}: stop to stop bytes, {found.stops} stops: median {found.p50_ms:.1f} ms, 99 % {found.p99_ms:.1f} ms, "
        f"99.9 % {found.p999_ms:.1f} ms (at most {P999_MAX_MS:.0f}), worst {found.worst_ms:.1f} ms, "
        f"unheard {found.unheard}: {verdict}"
    )


def main(arguments: Sequence[str]) -> int:
    """Be a node of the session: ``ARRIVALS EMULATOR RIG NODE --runtime FOLDER``."""
    arrivals, emulator, _, name, _, runtime = arguments
    role = read_rig_file(Path(runtime))["nodes"].get(name)
    body = ListeningSubject(Path(arrivals), stops_heard(emulator)) if role == "subject" else None
    if body is not None:
        ask_for_priority(_INSTRUMENT)
    return run_node(Path(runtime), name, body=body)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
