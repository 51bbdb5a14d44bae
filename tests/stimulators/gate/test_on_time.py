"""Rule 7, on-time and duty: trains use it up, rest pays it back."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.gate import ChannelLimits
from myoloop.stimulators.gate.ontime import OnTime, pass_time

S = 1_000_000_000
MS = 1_000_000


def run(bench, request, s):
    """Seconds with current, of a wish held for a while in cycles of 50 ms."""
    return sum(0.05 for verdict in bench.hold(request, s * 1000, every_ms=50.0) if verdict.allowed)


def rested(bench):
    bench.state = replace(bench.state, ontime={})
    return bench


def test_a_train_is_over_after_on_s_max(bench, wish):
    rested(bench.to_stimulating(5.0))
    bench.step(wish(5.0), after_ms=0.0)
    for _ in range(120):
        assert bench.verdict.allowed
        bench.step(wish(5.0), after_ms=50.0)
    assert not bench.verdict.allowed
    assert bench.verdict.rule == "on-time"
    assert bench.verdict.reasons == ("left: on-time or duty is used up, it must rest",)
    assert bench.state.ontime[0] == OnTime(6 * S, True)


def test_the_next_train_waits_until_half_is_paid_back(bench, wish):
    rested(bench.to_stimulating(5.0))
    run(bench, wish(5.0), 6.0)
    # At a duty of 0.4 rest pays back 2/3 s a second: 3 s in 4.5 s.
    for _ in range(90):
        assert not bench.step(wish(5.0), after_ms=50.0).allowed
    assert any(verdict.allowed for verdict in bench.hold(wish(5.0), 100, every_ms=50.0))


def test_duty_holds_in_the_long_run(bench, wish):
    rested(bench.to_stimulating(5.0))
    run(bench, wish(5.0), 60.0)
    assert run(bench, wish(5.0), 150.0) == pytest.approx(0.4 * 150.0, abs=3.1)


def test_single_twitches_are_not_counted(bench, wish):
    rested(bench.to_stimulating(5.0))
    assert run(bench, wish(5.0, rate_hz=12.0), 30.0) == pytest.approx(30.0)
    assert bench.state.ontime[0].used_ns == 0
    run(bench, wish(5.0, rate_hz=12.001), 1.0)
    assert bench.state.ontime[0].used_ns > 0


def test_a_used_up_output_may_twitch(bench, wish):
    rested(bench.to_stimulating(5.0))
    run(bench, wish(5.0), 7.0)
    assert not bench.verdict.allowed
    bench.hold(wish(5.0, rate_hz=12.0), 200)
    assert bench.ma() == 5.0


def test_one_used_up_output_takes_all_to_zero(bench, wish):
    rested(bench.to_stimulating(5.0))
    run(bench, wish(5.0), 5.5)
    bench.hold(wish({"left": 5.0, "right": 1.0}), 600)
    assert bench.verdict.rule == "on-time"
    assert not bench.verdict.allowed
    bench.hold(wish({"left": 0.0, "right": 1.0}), 110)
    assert bench.ma("right") == 1.0


def test_blinking_does_not_rest(bench, wish):
    """One cycle off in ten must not begin a new train."""
    rested(bench.to_stimulating(5.0))
    on = 0.0
    for _ in range(200):
        on += sum(0.05 for verdict in bench.hold(wish(5.0), 450, every_ms=50.0) if verdict.allowed)
        bench.step(wish(0.0), after_ms=50.0)
    assert on <= 0.4 * 100.0 + 0.6 * 6.0 + 0.1


class TestAnotherEnvelope:
    def renamed(self, bench, wish, **changes):
        bench.do("pause")
        bench.hold(None, 500)
        channels = (ChannelLimits("calf", 0, 25.0, 40.0), ChannelLimits("left", 1, 25.0, 40.0))
        assert bench.set_envelope(channels=channels, **changes).ok
        assert bench.confirm().ok
        assert bench.arm().ok
        bench.step(wish({"calf": 0.0}))

    def test_with_new_names_does_not_rest_the_output(self, bench, wish):
        rested(bench.to_stimulating(5.0))
        run(bench, wish(5.0), 6.0)
        self.renamed(bench, wish)
        assert bench.step(wish({"calf": 1.0})).rule == "on-time"
        assert bench.step(wish({"left": 1.0})).allowed

    def test_without_a_limit_and_back_does_not_rest_it_either(self):
        limitless = limits(None, 1.0)
        assert pass_time(OnTime(5 * S, True), True, S, limitless) == OnTime(5 * S, False)
        assert pass_time(OnTime(5 * S), False, S, limitless) == OnTime(5 * S)

    def test_without_the_output_lets_it_go_on_resting(self, bench, wish):
        rested(bench.to_stimulating(5.0))
        run(bench, wish(5.0), 5.0)
        bench.do("pause")
        bench.hold(None, 500)
        used_ns = bench.state.ontime[0].used_ns
        bench.set_envelope(channels=(ChannelLimits("right", 1, 25.0, 30.0),))
        bench.hold(None, 900)
        assert bench.state.ontime[0].used_ns == pytest.approx(used_ns - 0.91 * S * 2 / 3, abs=1000)


def limits(on_s_max, duty_max):
    """An envelope of which only this matters."""
    return SimpleNamespace(on_s_max=on_s_max, duty_max=duty_max)


@pytest.mark.parametrize(("duty_max", "payback"), [(0.1, 1 / 9), (0.4, 2 / 3), (0.5, 1.0), (0.8, 1.0), (1.0, 1.0)])
def test_rest_pays_back_by_the_duty_and_never_faster_than_the_train_used_it(duty_max, payback):
    after = pass_time(OnTime(10 * S), False, 3 * S, limits(20.0, duty_max))
    assert after.used_ns == pytest.approx(10 * S - 3 * S * payback, abs=2)
    assert pass_time(OnTime(S), False, 1, limits(20.0, 0.4)) == OnTime(S), "rounded against the train"
    assert pass_time(OnTime(S), False, 60 * S, limits(20.0, duty_max)) == OnTime(0)
    assert pass_time(OnTime(S), True, 3 * S, limits(20.0, duty_max)) == OnTime(4 * S)


def test_used_up_at_the_limit_and_free_at_half():
    at = limits(6.0, 0.4)
    assert not pass_time(OnTime(0), True, 6 * S - 1, at).exhausted
    assert pass_time(OnTime(0), True, 6 * S, at).exhausted
    assert pass_time(OnTime(3 * S + 1, True), True, 0, at).exhausted
    assert not pass_time(OnTime(3 * S, True), True, 0, at).exhausted
    assert not pass_time(OnTime(6 * S - 1, False), True, 0, at).exhausted


@given(
    st.floats(0.5, 20.0),
    st.floats(0.05, 0.5),
    st.lists(st.tuples(st.booleans(), st.integers(1, 3000)), max_size=60),
)
@settings(deadline=None, max_examples=60, derandomize=True)
def test_no_window_holds_more_than_the_duty_and_one_train(on_s_max, duty_max, wishes):
    """A policy that asks whenever it likes: in every window on-time <= duty x window + (1 - duty) x on_s_max."""
    at, ontime, now_ms, slices = limits(on_s_max, duty_max), OnTime(), 0, []
    for asks, ms in wishes:
        for _ in range(0, ms, 100):
            on = asks and not ontime.exhausted
            ontime = pass_time(ontime, on, 100 * MS, at)
            slices.append((now_ms, on))
            now_ms += 100
    begins = [begin for begin, on in slices if on]
    for first, begin in enumerate(begins):
        for last in range(first, len(begins), 7):
            window_s = (begins[last] + 100 - begin) / 1000
            on_s = (last - first + 1) * 0.1
            assert on_s <= duty_max * window_s + (1 - duty_max) * (on_s_max + 0.1) + 1e-6


@given(
    st.integers(0, 25 * S), st.booleans(), st.booleans(), st.integers(0, S),
    st.floats(0.1, 20.0), st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.floats(0.01, 1.0),
)  # fmt: skip
@settings(deadline=None, max_examples=200, derandomize=True)
def test_a_lower_limit_never_leaves_more(used_ns, exhausted, tetanic, elapsed_ns, on_s_max, duty_max, less, lower):
    wide = pass_time(OnTime(used_ns, exhausted), tetanic, elapsed_ns, limits(on_s_max, duty_max))
    narrow = pass_time(OnTime(used_ns, exhausted), tetanic, elapsed_ns, limits(on_s_max * less, duty_max * lower))
    assert narrow.used_ns >= wide.used_ns
    assert narrow.exhausted or not wide.exhausted
