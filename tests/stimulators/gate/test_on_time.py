"""Rule 7, on-time and duty: trains use it up, rest pays it back."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.gate import ChannelLimits, DoseTotals
from myoloop.stimulators.gate.dose import Running, book_pulses, dose_with_gap, pass_dose
from myoloop.stimulators.gate.ontime import OnTime, must_rest, pass_time

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
    assert bench.state.ontime[0] == OnTime(6 * S, True, 0)


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


class TestAGap:
    """What is shorter than a period of 12 Hz is no rest: pulses so close together are a train, whatever its rate."""

    @pytest.mark.parametrize("parts", [1, 2, 7])
    @pytest.mark.parametrize(
        ("gap_ns", "rests"), [(10 * MS, False), (83_333_333, False), (83_333_334, True), (300 * MS, True)]
    )
    def test_is_time_on_if_current_comes_again_before_and_else_all_of_it_is_rest(self, gap_ns, rests, parts):
        at, ontime = limits(6.0, 0.4), OnTime(2 * S, False, 0)
        for part in range(parts):
            ontime = pass_time(ontime, False, gap_ns // parts + (gap_ns % parts if part == 0 else 0), at)
        assert ontime.gap_ns == (None if rests else gap_ns)
        assert ontime.used_ns == pytest.approx(2 * S - (gap_ns * 2 / 3 if rests else 0), abs=parts)
        after = pass_time(ontime, True, 5 * MS, at)
        assert after.used_ns == ontime.used_ns + 5 * MS + (0 if rests else gap_ns)
        assert after.gap_ns == 0

    def test_is_paid_back_at_once_when_it_is_rest_and_no_more_than_once(self):
        ontime = OnTime(2 * S, False, 0)
        for elapsed_ns, used_ns in ((80 * MS, 2 * S), (10 * MS, 2 * S - 60 * MS), (30 * MS, 2 * S - 80 * MS)):
            ontime = pass_time(ontime, False, elapsed_ns, limits(6.0, 0.4))
            assert ontime.used_ns == pytest.approx(used_ns, abs=2)

    def test_that_would_use_the_rest_up_is_waited_out_and_then_leaves_what_there_was(self):
        at, ontime = limits(6.0, 0.4), OnTime(6 * S - 50 * MS, False, 0)
        assert not must_rest(ontime, at)
        ontime = pass_time(ontime, False, 50 * MS - 1, at)
        assert not must_rest(ontime, at)
        ontime = pass_time(ontime, False, 1, at)
        assert must_rest(ontime, at)
        assert not ontime.exhausted
        ontime = pass_time(ontime, False, 40 * MS, at)
        assert not must_rest(ontime, at), "half need not be paid back: it never was used up"

    def test_must_be_rest_while_the_train_is_used_up_and_needs_none_without_a_limit(self):
        assert must_rest(OnTime(4 * S, True), limits(6.0, 0.4))
        assert not must_rest(OnTime(4 * S, True), limits(None, 1.0))
        assert must_rest(OnTime(6 * S), limits(6.0, 0.4))
        assert not must_rest(OnTime(6 * S - 1), limits(6.0, 0.4))

    @pytest.mark.parametrize(("on", "off", "rate_hz"), [(1, 2, 33.0), (1, 1, 40.0), (1, 7, 80.0), (2, 4, 13.0)])
    def test_of_an_output_that_blinks_uses_up_on_time_as_an_unbroken_train_does(self, bench, wish, on, off, rate_hz):
        """On for so many cycles of 10 ms, off for so many."""
        rested(bench.to_stimulating(5.0, rate_hz=rate_hz))
        began_ns = bench.now_ns
        while bench.verdict.rule != "on-time":
            last_ns = bench.now_ns
            bench.hold(wish(5.0, rate_hz=rate_hz), 10 * on)
            if bench.verdict.rule != "on-time":
                bench.hold(wish(0.0), 10 * off)
            assert bench.now_ns - began_ns < 20 * S
        assert 6.0 - 0.01 * (on + off) <= (last_ns - began_ns) / S <= 6.0

    def test_with_twitches_in_it_is_one_too(self, bench, wish):
        rested(bench.to_stimulating(5.0))
        for _ in range(100):
            bench.step(wish(5.0))
            bench.hold(wish(5.0, rate_hz=12.0), 50)
        assert bench.state.ontime[0].used_ns + bench.state.ontime[0].gap_ns == 6 * S

    def test_of_twitches_that_are_12_a_second_is_rest(self, bench, wish):
        rested(bench.to_stimulating(5.0))
        for _ in range(50):
            bench.step(wish(5.0))
            bench.hold(wish(0.0), 90)
        assert bench.state.ontime[0].used_ns < 20 * MS


class TestAGapOfTheSession:
    """Time without any current is rest once it is longer than a period of what flowed last, and than one of 12 Hz."""

    def after(self, *parts):
        """Seconds booked, and with what is pending, after (rates by output, ns) one after another."""
        dose, running = DoseTotals(), Running()
        for rates_hz, elapsed_ns in parts:
            flows = {output: (5.0, rate_hz) for output, rate_hz in enumerate(rates_hz) if rate_hz}
            dose, running = book_pulses(dose, running, flows)
            dose, running = pass_dose(dose, running, flows, elapsed_ns)
        return dose.on_s, dose_with_gap(dose, running).on_s

    @pytest.mark.parametrize(
        ("rates_hz", "gap_ns", "rests"),
        [
            ((40.0,), 83_333_333, False),
            ((40.0,), 83_333_334, True),
            ((2.0,), 500 * MS - 1, False),
            ((2.0,), 500 * MS, True),
            ((2.0, 40.0), 500 * MS - 1, False),
            ((2.0, 40.0), 500 * MS, True),
        ],
    )
    def test_is_time_on_if_current_comes_again_before(self, rates_hz, gap_ns, rests):
        gap_s = 0.0 if rests else gap_ns / S
        train, gap = (rates_hz, 100 * MS), ((), gap_ns)
        assert self.after(train, gap) == pytest.approx((0.1, 0.1 + gap_s))
        assert self.after(train, ((), gap_ns // 2), ((), gap_ns - gap_ns // 2)) == pytest.approx((0.1, 0.1 + gap_s))
        assert self.after(train, gap, train) == pytest.approx((0.2 + gap_s, 0.2 + gap_s))
        assert self.after(train, gap, train, gap, train) == pytest.approx((0.3 + 2 * gap_s, 0.3 + 2 * gap_s))

    def test_of_an_output_goes_on_while_another_one_is_on(self):
        """500 ms from the end of 2 Hz, not from that of the other."""
        ended = (((2.0,), 100 * MS), ((0.0, 40.0), 300 * MS))
        assert self.after(*ended, ((), 200 * MS - 1), ((2.0,), 10 * MS))[0] == pytest.approx(0.61)
        assert self.after(*ended, ((), 200 * MS), ((2.0,), 10 * MS))[0] == pytest.approx(0.41)

    def test_before_the_first_current_is_none(self):
        assert self.after(((), 10 * MS), ((40.0,), 10 * MS))[0] == pytest.approx(0.01)

    def test_that_would_use_the_session_up_is_waited_out(self, new_gate, envelope, wish):
        bench = new_gate(replace(envelope, session_on_s_max=4.0)).to_stimulating(5.0)
        while bench.state.dose.on_s < 3.955:
            assert bench.step(wish(5.0)).allowed
            assert bench.now_ns < 20 * S
        bench.hold(wish(0.0), 50)
        assert bench.step(wish(5.0)).reasons == ("session on-time of 4 s is used up",)
        bench.hold(wish(0.0), 40)
        assert bench.step(wish(5.0)).allowed

    def test_of_current_that_blinks_uses_the_session_up_as_an_unbroken_train_does(self, new_gate, envelope, wish):
        bench = new_gate(replace(envelope, session_on_s_max=4.0)).to_stimulating(5.0)
        had_s, began_ns = bench.state.dose.on_s, bench.now_ns
        while bench.verdict.rule != "dose":
            assert bench.now_ns - began_ns < 20 * S
            bench.step(wish(5.0))
            if bench.verdict.rule != "dose":
                bench.hold(wish(0.0), 20)
        assert (bench.now_ns - began_ns) / S == pytest.approx(4.0 - had_s, abs=0.04)


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
        bench.hold(None, 600)
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
    assert pass_time(OnTime(S), True, 3 * S, limits(20.0, duty_max)) == OnTime(4 * S, False, 0)


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
    st.integers(0, 25 * S), st.booleans(), st.none() | st.integers(0, 80 * MS), st.booleans(), st.integers(0, S),
    st.floats(0.1, 20.0), st.floats(0.01, 1.0), st.floats(0.01, 1.0), st.floats(0.01, 1.0),
)  # fmt: skip
@settings(deadline=None, max_examples=200, derandomize=True)
def test_a_lower_limit_never_leaves_more(
    used_ns, exhausted, gap_ns, tetanic, elapsed_ns, on_s_max, duty_max, less, lower
):
    before, most = OnTime(used_ns, exhausted, gap_ns), limits(on_s_max, duty_max)
    least = limits(on_s_max * less, duty_max * lower)
    wide, narrow = pass_time(before, tetanic, elapsed_ns, most), pass_time(before, tetanic, elapsed_ns, least)
    assert must_rest(narrow, least) or not must_rest(wide, most)
    assert narrow.used_ns >= wide.used_ns
    assert narrow.exhausted or not wide.exhausted
