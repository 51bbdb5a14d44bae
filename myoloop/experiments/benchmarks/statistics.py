"""From stamps to figures: percentiles of a round, the median of rounds, ratios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Stamps = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one system, without its warm-up.

    Attributes
    ----------
    blocks, lost, late, out_of_order
        Emitted; without a command; with one later than the next block was due; overtaken.
    cpu_s
        Of all its processes together.
    superseded
        Blocks whose command was that of a later block already; 0 where each has its own.
    """

    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    blocks: int
    lost: int
    late: int
    out_of_order: int
    cpu_s: float
    seconds: float
    superseded: int = 0


def judge_round(
    emitted_ns: Stamps,
    arrived_ns: Stamps,
    *,
    period_ns: int,
    cpu_s: float,
    out_of_order: int = 0,
    superseded: int = 0,
) -> Round:
    """Judge the stamps of one round.

    Parameters
    ----------
    emitted_ns, arrived_ns
        (n_blocks,), warm-up left out; 0 where a block was not emitted, or its command did not arrive.
    period_ns
        Time between two blocks.

    Raises
    ------
    ValueError
        If not one command arrived.
    """
    emitted = emitted_ns > 0
    there = emitted & (arrived_ns > 0)
    latency_ms = (arrived_ns[there] - emitted_ns[there]) * 1e-6
    if not len(latency_ms):
        raise ValueError(f"not one of {int(emitted.sum())} commands arrived")
    return Round(
        p50_ms=percentile(latency_ms, 50),
        p99_ms=percentile(latency_ms, 99),
        p999_ms=percentile(latency_ms, 99.9),
        max_ms=float(latency_ms.max()),
        blocks=int(emitted.sum()),
        lost=int(emitted.sum() - there.sum()),
        late=int((latency_ms > period_ns * 1e-6).sum()),
        out_of_order=out_of_order,
        cpu_s=cpu_s,
        seconds=len(emitted_ns) * period_ns * 1e-9,
        superseded=superseded,
    )


def percentile(values: npt.NDArray[np.floating[Any]], percent: float) -> float:
    """The smallest value that at least `percent` of all do not exceed (nearest rank): always one that was seen."""
    return float(np.percentile(values, percent, method="inverted_cdf"))


def summary(rounds: Sequence[Round]) -> dict[str, float | int | list[float]]:
    """The median of rounds, with minimum and maximum; counts are sums over the rounds."""
    said: dict[str, float | int | list[float]] = {}
    for name in ("p50_ms", "p99_ms", "p999_ms", "max_ms"):
        values = [getattr(each, name) for each in rounds]
        said[name] = _rounded(float(np.median(values)))
        said[f"{name.removesuffix('_ms')}_range_ms"] = [_rounded(min(values)), _rounded(max(values))]
    for name in ("blocks", "lost", "late", "out_of_order", "superseded"):
        said[name] = sum(getattr(each, name) for each in rounds)
    said["cpu_s"] = _rounded(sum(each.cpu_s for each in rounds))
    said["seconds"] = _rounded(sum(each.seconds for each in rounds))
    said["cpu_share"] = _rounded(sum(each.cpu_s for each in rounds) / sum(each.seconds for each in rounds))
    said["rounds"] = len(rounds)
    return said


def ratio(ours: float, theirs: float) -> float:
    """How many times as much, to three places."""
    return round(ours / theirs, 3)


def _rounded(value: float) -> float:
    return round(value, 4)
