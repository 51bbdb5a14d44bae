"""A rehearsal in words."""

from __future__ import annotations

from collections.abc import Iterator

from myoloop.experiments.rehearsal.findings import Findings, Row
from myoloop.experiments.rehearsal.measured import Measured, Spread

#: What the times of each way of measuring are.
_WAYS = {
    "sync": "by the amplifier's sync channel; its own delay is in it",
    "acknowledged": "by the device's receipt of each pulse",
    "sent": "by the host's own writing; what the device then takes is not in it",
    "predicted": "reckoned from the device's answers: it times itself and does not tell",
}
_WIDTHS = (8, 8, 8, 13, 6, 6, 6)


def say_findings(found: Findings) -> str:
    """A table, the figures, what is wrong."""
    return "\n".join(_lines(found))


def _lines(found: Findings) -> Iterator[str]:
    yield f"device: {found.device or 'has not said who it is'}"
    yield from _table(found.rows)
    for each in (found.by_sync, found.by_stream):
        if each is not None:
            yield from _measured(each)
    offset = found.sync_offset
    if offset is not None:
        yield (
            f"sync channel less the stimulator's word: median {offset.median_ms:.2f} ms, 95 % within "
            f"{offset.spread_ms:.2f} ms of it; {offset.within:.0%} of {offset.count} within what the word allowed for"
        )
    if found.answer_max_ms is not None:
        yield f"longest wait for the device's answer: {found.answer_max_ms:.0f} ms"
    if found.stop_ms is not None:
        watched = f"watched for {found.watched_ms:.0f} ms" if found.watched_ms is not None else "not watched"
        said = f"the device said zero after {found.zero_said_ms:.0f} ms, " if found.zero_said_ms is not None else ""
        yield f"stop: last pulse {_after(found.stop_ms)} it was pressed ({said}{watched})"
    yield from (f"WRONG: {problem}" for problem in found.problems)
    yield "passed" if found.passed else "failed"


def _table(rows: tuple[Row, ...]) -> Iterator[str]:
    if not rows:
        return
    wide = max(7, *(len(row.channel) for row in rows))
    heads = ("asked", "allowed", "answered", "given", "trains", "pulses", "sync")
    yield f"{'channel':{wide}} " + " ".join(map("{:>{}}".format, heads, _WIDTHS))
    for row in rows:
        given = "-" if row.delivered_ma is None else " to ".join(f"{ma:g}" for ma in dict.fromkeys(row.delivered_ma))
        currents = (f"{ma:.4g}" for ma in (row.asked_ma, row.allowed_ma, row.acknowledged_ma))
        cells = (*currents, given, row.trains, row.pulses, "-" if row.synced is None else row.synced)
        yield f"{row.channel:{wide}} " + " ".join(map("{:>{}}".format, cells, _WIDTHS))
    yield "(currents in mA)"


def _measured(each: Measured) -> Iterator[str]:
    way = "; ".join(_WAYS.get(kind, kind) for kind in each.by.split("+"))
    yield f"{way} (each time within {each.uncertainty_ms:.2f} ms):"
    if each.first_pulse is not None:
        yield f"  request to first pulse: {_spread(each.first_pulse)}"
    if each.last_pulse is not None:
        yield f"  request for zero to last pulse: {_spread(each.last_pulse)}"
    if each.jitter is not None:
        yield f"  jitter, interval less period: {_spread(each.jitter)}"
    else:
        yield "  jitter: not measured, these times are reckoned from the period"
    if each.missing:
        yield f"  {each.missing} intervals of more than one and a half periods"


def _spread(each: Spread) -> str:
    return (
        f"median {each.median_ms:.2f}, p95 {each.p95_ms:.2f}, p99 {each.p99_ms:.2f}, max {each.max_ms:.2f} ms "
        f"({each.count})"
    )


def _after(ms: float) -> str:
    return f"{ms:.1f} ms after" if ms >= 0 else f"{-ms:.1f} ms before"
