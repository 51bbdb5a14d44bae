"""The index for people: a table, then what is to be known of each session that is not as it should be."""

from __future__ import annotations

from collections import Counter

from myoloop.experiments.index.grade import RULE
from myoloop.experiments.index.study import Index, Row

_HEAD = ("session", "status", "grade", "length", "lost", "rate", "jitter", "EMG to request")


def say_index(index: Index) -> str:
    """One line for each session, then reasons, counts and the rule of the grade."""
    cells = [_HEAD, *(_cells(row) for row in index.rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [_line(row, widths) for row in cells]
    for row in index.rows:
        lines += [f"{row.path}: {reason}" for reason in row.reasons]
        lines += [f"{row.path}: {said}" for said in _segments(row)]
    lines += index.problems
    lines.append(_counts(index))
    lines.append(_checked(index))
    lines.append(f"grades: {RULE}")
    return "\n".join(lines)


def _line(cells: tuple[str, ...], widths: list[int]) -> str:
    return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()


def _cells(row: Row) -> tuple[str, ...]:
    facts = row.facts
    if facts.status == "refused":
        return (row.path, facts.status, row.grade, "", "", "", "", "")
    emg = [stream for stream in facts.streams if stream.topic.startswith("emg/")] or list(facts.streams)
    rates = [each.rate_error_percent for each in emg if each.rate_error_percent is not None]
    jitters = [each.jitter_p99_ms for each in emg if each.jitter_p99_ms is not None]
    p99_ms = facts.latency_ms.get("emg_to_request", {}).get("p99_ms")
    return (
        row.path,
        facts.status,
        row.grade,
        f"{facts.duration_s:.0f} s",
        f"{max((each.lost_percent for each in emg), default=0.0):.2f} %",
        f"{max(rates, key=abs):+.2f} %" if rates else "",
        f"{max(jitters):.1f} ms" if jitters else "",
        "virtual clock" if facts.virtual_clock else f"{p99_ms:.1f} ms" if p99_ms is not None else "",
    )


def _segments(row: Row) -> list[str]:
    return [
        f"{stream.topic}: segment {number} of {len(stream.segments)}: {each.begin_s:.3f} to {each.end_s:.3f} s, "
        f"{each.samples} samples"
        for stream in row.facts.streams
        if len(stream.segments) > 1
        for number, each in enumerate(stream.segments, 1)
    ]


def _counts(index: Index) -> str:
    statuses = Counter(row.facts.status for row in index.rows)
    told = ", ".join(f"{number} {status}" for status, number in sorted(statuses.items()))
    excluded = sum(row.grade == "X" and row.facts.status != "refused" for row in index.rows)
    return f"{len(index.rows)} sessions: {told or 'none'}; {excluded} excluded, {len(index.usable())} usable"


def _checked(index: Index) -> str:
    checked = Counter(row.checked for row in index.rows)
    return (
        f"{checked['read']} read now, {checked['hashed']} hashed now and as they were, {checked['unchanged']} not "
        "touched since they were hashed (by size, inode and times; --rehash reads every byte)"
    )
