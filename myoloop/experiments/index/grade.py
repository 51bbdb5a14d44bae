"""How good a session's record is, by a rule that is told with every grade.

A grade says how far the record can be trusted as a record, nothing of the person or the treatment. The bounds are our
choice.
"""

from __future__ import annotations

from typing import Literal

from myoloop.experiments.index.facts import Exclusion, SessionFacts, StreamFact

Grade = Literal["A", "B", "C", "X"]

#: (most of the samples lost in percent, most error of the rate in percent, most jitter in ms) for each grade.
BOUNDS: dict[Grade, tuple[float, float, float]] = {"A": (0.1, 0.5, 20.0), "B": (1.0, 2.0, 100.0)}
#: 99 % of the EMG must have led to a request within this, where that was measured.
LATENCY_P99_MS = {"A": 50.0, "B": 100.0}

RULE = (
    "A: ended as planned, the chain verified, of every stream at most 0.1 % of the samples lost, the rate within "
    "0.5 %, 99 % of the stamps within 20 ms of an even clock, and 99 % of EMG to request within 50 ms. "
    "B: the same with 1 %, 2 %, 100 ms and 100 ms. "
    "C: anything less that can be used: interrupted, without an end, recovered, a source opened anew. "
    "X: refused or excluded; not used until a person decides otherwise."
)


def grade(facts: SessionFacts, exclusions: tuple[Exclusion, ...]) -> tuple[Grade, tuple[str, ...]]:
    """A session's grade, and what kept it from a better one."""
    if facts.status == "refused":
        return "X", (facts.reason,)
    if exclusions:
        return "X", tuple(f"{each.what}: {each.reason}" for each in exclusions)
    why = []
    if facts.status != "complete":
        why.append(_STATUS[facts.status].format(outcome=facts.outcome, bytes=facts.unverified_bytes))
    why += [f"{what}: {said}" for what, said in sorted(facts.salvaged.items()) if what == "file" or "lost" in said]
    for stream in facts.streams:
        restarts = sum(each.cause == "restart" for each in stream.segments)
        if restarts:
            why.append(f"{stream.topic}: opened anew {restarts} times")
    short_of_b = _short(facts, "B")
    if why or short_of_b:
        return "C", (*why, *short_of_b)
    short_of_a = _short(facts, "A")
    return ("B", short_of_a) if short_of_a else ("A", ())


_STATUS = {
    "interrupted": "did not end as planned: {outcome}",
    "incomplete": "has no end; nothing vouches for its last {bytes} bytes",
    "recovered": "was cut or damaged, and recovered",
}


def _short(facts: SessionFacts, wanted: Grade) -> tuple[str, ...]:
    """What is worse than a grade allows."""
    why: list[str] = []
    for stream in facts.streams:
        why += _short_stream(stream, *BOUNDS[wanted])
    p99_ms = facts.latency_ms.get("emg_to_request", {}).get("p99_ms")
    if p99_ms is not None and p99_ms > LATENCY_P99_MS[wanted]:
        why.append(f"EMG to request: {p99_ms:.1f} ms (99 %)")
    return tuple(why)


def _short_stream(stream: StreamFact, lost_percent: float, rate_percent: float, jitter_ms: float) -> list[str]:
    why = []
    if stream.lost_percent > lost_percent:
        why.append(f"{stream.topic}: {stream.lost_percent:.2f} % lost in {stream.gaps} gaps")
    if stream.rate_error_percent is not None and abs(stream.rate_error_percent) > rate_percent:
        why.append(f"{stream.topic}: rate {stream.rate_error_percent:+.2f} %")
    if stream.jitter_p99_ms is not None and stream.jitter_p99_ms > jitter_ms:
        why.append(f"{stream.topic}: jitter {stream.jitter_p99_ms:.1f} ms (99 %)")
    return why
