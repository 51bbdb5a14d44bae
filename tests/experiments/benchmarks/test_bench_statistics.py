"""Figures of a round: only values that were seen, nothing lost silently."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.benchmarks.statistics import judge_round, percentile, ratio, summary

PERIOD_NS = 10_000_000
latencies_ms = st.lists(st.floats(0.001, 50.0), min_size=1, max_size=300)


def _stamps(latencies: list[float]) -> tuple[np.ndarray, np.ndarray]:
    emitted = 1_000_000_000 + PERIOD_NS * np.arange(len(latencies), dtype=np.int64)
    return emitted, emitted + np.round(np.array(latencies) * 1e6).astype(np.int64)


def test_latency_runs_from_emission_to_arrival() -> None:
    emitted, arrived = _stamps([1.0, 2.0, 3.0, 4.0])

    judged = judge_round(emitted, arrived, period_ns=PERIOD_NS, cpu_s=0.25)

    assert (judged.p50_ms, judged.max_ms) == pytest.approx((2.0, 4.0))
    assert (judged.blocks, judged.lost, judged.late) == (4, 0, 0)
    assert judged.seconds == pytest.approx(0.04)


def test_a_command_that_never_came_is_lost_and_has_no_latency() -> None:
    emitted, arrived = _stamps([1.0, 2.0, 3.0])
    arrived[1] = 0

    judged = judge_round(emitted, arrived, period_ns=PERIOD_NS, cpu_s=0.0)

    assert judged.lost == 1
    assert judged.max_ms == pytest.approx(3.0)


def test_a_block_that_was_not_emitted_is_not_lost() -> None:
    emitted, arrived = _stamps([1.0, 2.0])
    emitted[1] = arrived[1] = 0

    judged = judge_round(emitted, arrived, period_ns=PERIOD_NS, cpu_s=0.0)

    assert (judged.blocks, judged.lost) == (1, 0)


def test_later_than_the_next_block_is_late() -> None:
    emitted, arrived = _stamps([10.1, 9.9])

    assert judge_round(emitted, arrived, period_ns=PERIOD_NS, cpu_s=0.0).late == 1


def test_a_round_in_which_nothing_arrived_is_refused() -> None:
    emitted, arrived = _stamps([1.0, 1.0])

    with pytest.raises(ValueError, match="not one of 2 commands"):
        judge_round(emitted, np.zeros_like(arrived), period_ns=PERIOD_NS, cpu_s=0.0)


@given(latencies_ms)
@settings(deadline=None)
def test_percentiles_are_values_that_were_seen_and_never_fall(values: list[float]) -> None:
    array = np.array(values)
    found = [percentile(array, percent) for percent in (50, 99, 99.9)]

    assert set(found) <= set(values)
    assert found == sorted(found)
    assert found[-1] <= max(values)


@given(st.lists(latencies_ms, min_size=1, max_size=5))
@settings(deadline=None)
def test_a_summary_is_the_median_of_rounds_between_its_ends(rounds: list[list[float]]) -> None:
    judged = [judge_round(*_stamps(values), period_ns=PERIOD_NS, cpu_s=1.0) for values in rounds]

    found = summary(judged)

    for name in ("p50", "p99", "p999", "max"):
        low, high = found[f"{name}_range_ms"]  # type: ignore[misc]
        assert low <= found[f"{name}_ms"] <= high  # type: ignore[operator]
    assert found["blocks"] == sum(len(values) for values in rounds)
    assert found["rounds"] == len(rounds)


def test_a_ratio_says_how_many_times_as_much() -> None:
    assert ratio(1.5, 1.0) == 1.5
