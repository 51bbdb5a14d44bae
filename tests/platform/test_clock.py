"""Time, as something one is given."""

from __future__ import annotations

import time

import pytest

from myoloop.platform.clock import MonotonicClock, VirtualClock, boottime_ns


def test_the_hosts_clock_is_the_monotonic_one():
    before = time.monotonic_ns()
    now_ns = MonotonicClock().now_ns()
    assert before <= now_ns <= time.monotonic_ns()


def test_a_virtual_clock_stands_until_it_is_told_to_go():
    clock = VirtualClock(5_000)
    assert clock.now_ns() == clock.now_ns() == 5_000
    assert clock.advance(10) == clock.now_ns() == 5_010
    assert clock.advance(0) == 5_010


def test_it_does_not_begin_at_zero_so_that_a_forgotten_stamp_shows():
    assert VirtualClock().now_ns() > 0


def test_it_never_goes_back():
    clock = VirtualClock()
    with pytest.raises(ValueError, match="-1 ns"):
        clock.advance(-1)


def test_boot_time_has_every_suspend_in_it():
    before = time.monotonic_ns()
    assert boottime_ns() >= before
