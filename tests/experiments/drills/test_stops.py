"""From a stop to its bytes: each stop has its own, and silence before it."""

from __future__ import annotations

import pytest

from myoloop.experiments.drills.stops import P999_MAX_MS, figures, say_stops, stops_heard, took
from myoloop.platform.errors import UserError
from myoloop.stimulators.sciencemode.commands import Command, ml_get_current_data, plain

MS = 1_000_000


def test_the_first_bytes_after_a_stop_are_its_own_and_the_first_stop_only_latches():
    sent = [0, 100 * MS, 200 * MS]
    arrivals = [1 * MS, 103 * MS, 113 * MS, 202 * MS]
    assert took(sent, arrivals) == ([3.0, 2.0], 0)


def test_a_stop_that_no_bytes_follow_is_counted():
    found, unheard = took([0, 100 * MS, 200 * MS], [1 * MS, 202 * MS])
    assert (found, unheard) == ([2.0], 1)
    assert not figures(found, unheard).passed


def test_bytes_just_before_a_stop_would_make_the_figure_a_guess():
    with pytest.raises(UserError, match=r"1 of 2 stops cannot be timed: .* not silent"):
        took([0, 100 * MS], [90 * MS, 101 * MS])


def test_a_stop_that_a_keep_alive_came_just_before_is_left_out():
    sent = [number * 100 * MS for number in range(20)]
    arrivals = sorted([each + 2 * MS for each in sent] + [sent[7] - 5 * MS])
    assert took(sent, arrivals) == ([2.0] * 18, 0)


def test_a_sciencemode_stop_is_told_from_a_keep_alive():
    is_stop = stops_heard("p24")
    assert not is_stop(ml_get_current_data(1, 2))
    assert is_stop(plain(2, Command.ML_STOP))
    assert is_stop(plain(3, Command.LL_STOP))
    # Any byte at all, of the others.
    assert stops_heard("rehastim2")(b"\x01")


def test_percentiles_are_values_that_occurred():
    found = figures([float(number) for number in range(1, 1001)], 0)
    assert (found.p50_ms, found.p99_ms, found.p999_ms, found.worst_ms) == (500.0, 990.0, 999.0, 1000.0)
    assert not found.passed


def test_one_of_a_thousand_may_be_late_and_not_two():
    good = [2.0] * 999
    assert figures([*good, 50.0], 0).passed
    late = figures([*good[:-1], P999_MAX_MS + 1, 50.0], 0)
    assert not late.passed
    assert say_stops("simulated", late).endswith("unheard 0: FAIL")


def test_nothing_measured_is_nothing_passed():
    assert not figures([], 0).passed
