"""``myoloop bench loop``: from a block of samples to the command that answers it, beside baselines of the same run."""

from __future__ import annotations

import contextlib
import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from myoloop.experiments.benchmarks import machine, peers
from myoloop.experiments.benchmarks.ours import Loop
from myoloop.experiments.benchmarks.rivals import Chain, Closing, CompiledPipe, NotMeasured, Rival
from myoloop.experiments.benchmarks.statistics import Round, ratio, summary
from myoloop.experiments.benchmarks.yardstick.work import WINDOW_S, Shape

OURS, ALL_ESTIMATORS, ZMQ, PIPE = "myoloop", "myoloop_all_estimators", "zmq", "pipe"
WORK = Shape(channels=16)
#: The controller with everything in it is judged at the number of channels that a rig has at the most.
WHOLE_WORK = Shape(channels=8)
#: What the design asks for.
P50_TO_ZMQ_MAX = 1.3
ALL_ESTIMATORS_P50_TO_ZMQ_MAX = 1.8

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Schedule:
    """How long and in which order.

    Attributes
    ----------
    warm_s, seconds
        Of each round.
    order
        Names, round after round; systems alternate, so that a change of the machine's mood meets all of them.
    """

    warm_s: float
    seconds: float
    order: tuple[str, ...]


QUICK = Schedule(0.5, 3.0, (PIPE, "pipe_c", ZMQ, OURS, ZMQ, ALL_ESTIMATORS))
FULL_WARM_S, FULL_SECONDS, FULL_ROUNDS = 5.0, 30.0, 3


def bench_loop(*, full: bool = False, as_json: bool = False) -> int:
    """Measure and print; returns the exit code.

    Raises
    ------
    NotMeasured
        If our own loop cannot be measured here.
    """
    say = _silent if as_json or not sys.stderr.isatty() else _progress
    with _ended_in_order():
        result = measure_full(say) if full else measure_quick(say)
    say("")
    sys.stdout.write((json.dumps(result) if as_json else table(result)) + "\n")
    return 0


def measure_quick(say: Say, schedule: Schedule = QUICK) -> dict[str, Any]:
    """Baselines and ours, in well under a minute.

    Raises
    ------
    NotMeasured
        If our own loop cannot be measured here.
    """
    rivals = own_rivals()
    del rivals["zmq_matrix"]
    reasons: dict[str, str] = {}
    with Closing(tuple(rivals.values())):
        for name in list(rivals):
            # They wait for their turn without using any time of a processor.
            _start(name, rivals, reasons)
        return _measure(rivals, reasons, schedule, say, keep_open=True)


def measure_full(say: Say) -> dict[str, Any]:
    """The same with every peer that can be installed here, for the documentation.

    Raises
    ------
    NotMeasured
        If our own loop cannot be measured here.
    """
    rivals = own_rivals()
    with Closing(tuple(rivals.values())), peers.installed(WORK, say) as (others, reasons):
        rivals |= others
        with Closing(tuple(others.values())):
            schedule = Schedule(FULL_WARM_S, FULL_SECONDS, tuple(rivals) * FULL_ROUNDS)
            return _measure(rivals, reasons, schedule, say, keep_open=False)


def own_rivals() -> dict[str, Rival]:
    """The baselines, and ours."""
    return {
        PIPE: Chain("pipe", WORK),
        "pipe_c": CompiledPipe(WORK),
        ZMQ: Chain("zmq", WORK),
        "zmq_matrix": Chain("zmq", WORK, matrix=True),
        OURS: Loop(WORK),
        ALL_ESTIMATORS: Loop(WHOLE_WORK, estimators=True),
    }


def table(result: Mapping[str, Any]) -> str:
    """The result for a person."""
    zmq = result.get(ZMQ)
    lines = [f"{'':24}{'p50':>8}{'p99':>8}{'p99.9':>8}{'max':>8} ms{'lost':>6}{'cpu':>7}{'p50 / ZeroMQ':>14}"]
    for name in result["order"]:
        found = result[name]
        times = "".join(f"{found[key]:8.2f}" for key in ("p50_ms", "p99_ms", "p999_ms", "max_ms"))
        against = f"{ratio(found['p50_ms'], zmq['p50_ms']):14.2f}" if zmq else f"{'':14}"
        lines.append(f"{LABELS.get(name, name):24}{times}   {found['lost']:6}{found['cpu_share']:6.0%} {against}")
    lines += [f"{LABELS.get(name, name):24}  not measured: {why}" for name, why in result["not_measured"].items()]
    for target in result["targets"]:
        verdict = "met" if target["met"] else "NOT met"
        lines.append(f"{target['what']}: {target['found']:.2f}, wanted at most {target['limit']:.2f}: {verdict}")
    facts = result["machine"]
    others = facts["other_load_share"]
    busy = "" if others is None else f"; others used {others:.0%} of it meanwhile"
    lines.append(f"{facts['cores']} cores, {facts['processor']}{busy}")
    return "\n".join(lines)


LABELS = {
    PIPE: "pipe, Python",
    "pipe_c": "pipe, C",
    ZMQ: "ZeroMQ ipc",
    "zmq_matrix": "ZeroMQ ipc, matrix",
    OURS: "myoloop",
    ALL_ESTIMATORS: "myoloop, all estimators",
    "lsl": "LSL",
    "redis": "Redis streams",
}


# -- inside ----------------------------------------------------------------------------------------------------


def _measure(
    rivals: dict[str, Rival], reasons: dict[str, str], schedule: Schedule, say: Say, *, keep_open: bool
) -> dict[str, Any]:
    rounds: dict[str, list[Round]] = {}
    began, busy = time.monotonic(), machine.busy_ticks()
    facts = machine.machine()
    for place, name in enumerate(schedule.order):
        if name in reasons:
            continue
        say(f"{place + 1} of {len(schedule.order)}: {LABELS.get(name, name)}")
        rival = rivals[name]
        try:
            if not keep_open:
                rival.start()
            rounds.setdefault(name, []).append(rival.run(schedule.warm_s, schedule.seconds))
        except NotMeasured as why:
            if name in (OURS, ALL_ESTIMATORS):
                raise
            reasons[name] = str(why)
        finally:
            if not keep_open:
                rival.close()
    used_s = sum(each.cpu_s for found in rounds.values() for each in found)
    facts["other_load_share"] = machine.other_load_share(busy, machine.busy_ticks(), used_s)
    facts["seconds"] = round(time.monotonic() - began, 1)
    return _result(rounds, reasons, schedule, facts)


def _start(name: str, rivals: Mapping[str, Rival], reasons: dict[str, str]) -> None:
    try:
        rivals[name].start()
    except NotMeasured as why:
        reasons[name] = str(why)


def _result(
    rounds: Mapping[str, list[Round]], reasons: Mapping[str, str], schedule: Schedule, facts: dict[str, Any]
) -> dict[str, Any]:
    done = {name: found for name, found in rounds.items() if found and name not in reasons}
    result: dict[str, Any] = {
        "benchmark": "loop",
        "work": {
            "channels": WORK.channels,
            "channels_all_estimators": WHOLE_WORK.channels,
            "block": WORK.block,
            "rate_hz": WORK.rate_hz,
            "window_s": WINDOW_S,
            "warm_s": schedule.warm_s,
            "round_s": schedule.seconds,
        },
        "machine": facts,
        "order": list(done),
        "not_measured": dict(reasons),
        **{name: summary(found) for name, found in done.items()},
    }
    ours, whole, zmq, pipe = (result.get(name) for name in (OURS, ALL_ESTIMATORS, ZMQ, PIPE))
    result["ratio_p50_to_zmq"] = ratio(ours["p50_ms"], zmq["p50_ms"]) if ours and zmq else None
    result["ratio_p99_to_zmq"] = ratio(ours["p99_ms"], zmq["p99_ms"]) if ours and zmq else None
    result["ratio_p50_to_pipe"] = ratio(ours["p50_ms"], pipe["p50_ms"]) if ours and pipe else None
    if whole and zmq:
        whole["ratio_p50_to_zmq"] = ratio(whole["p50_ms"], zmq["p50_ms"])
        whole["ratio_p99_to_zmq"] = ratio(whole["p99_ms"], zmq["p99_ms"])
    result["targets"] = _targets(ours, whole, zmq)
    return result


def _targets(
    ours: Mapping[str, Any] | None, whole: Mapping[str, Any] | None, zmq: Mapping[str, Any] | None
) -> list[dict[str, Any]]:
    """What the design asks for, and what was found."""
    found: list[tuple[str, float, float]] = []
    if ours and zmq:
        found.append(("p50 to that of ZeroMQ", ours["p50_ms"] / zmq["p50_ms"], P50_TO_ZMQ_MAX))
        found.append(("p99 (ms) to ZeroMQ's worst round", ours["p99_ms"], zmq["p99_range_ms"][1]))
    if whole and zmq:
        limit = ALL_ESTIMATORS_P50_TO_ZMQ_MAX
        found.append(("all estimators, p50 to that of ZeroMQ", whole["p50_ms"] / zmq["p50_ms"], limit))
    lost = [float(each["lost"]) for each in (ours, whole) if each]
    if lost:
        found.append(("blocks without a command", sum(lost), 0.0))
    return [
        {"what": what, "found": round(value, 4), "limit": round(limit, 4), "met": value <= limit}
        for what, value, limit in found
    ]


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """Let a request to terminate end the run through every `finally`, so that no process and no folder is left."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def leave(number: int, _: object) -> None:
        raise SystemExit(128 + number)

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _silent(_: str) -> None:
    """Say nothing."""


def _progress(text: str) -> None:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"\r\x1b[K{text}")
        sys.stderr.flush()


__all__ = ["bench_loop", "measure_full", "measure_quick", "table"]
