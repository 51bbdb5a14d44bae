"""Charge and pulses: never less is booked than a device can have given, whatever its phase, and hardly more."""

from __future__ import annotations

from dataclasses import replace
from math import floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.gate import DoseTotals
from myoloop.stimulators.gate.dose import Running, book_pulses, pass_dose

MS = 1_000_000
KINDS = ["minding", "following", "free"]


class Books:
    """What is booked for one output, or for more."""

    def __init__(self):
        self.dose, self.running, self.flows = DoseTotals(), Running(), {}

    def set(self, *flows):
        self.flows = {output: flow for output, flow in enumerate(flows) if flow is not None}
        self.dose, self.running = book_pulses(self.dose, self.running, self.flows)
        return self

    def run(self, elapsed_ns):
        self.dose, self.running = pass_dose(self.dose, self.running, self.flows, elapsed_ns)
        return self

    @property
    def charge_uc(self):
        return pytest.approx(self.dose.charge_mc * 1e3, rel=1e-9)


class TestATrain:
    @pytest.mark.parametrize("periods", [1, 2, 40, 1000])
    @pytest.mark.parametrize("rate_hz", [1.0, 12.0, 33.0, 40.0, 1e9 / 30_030_030.7])
    def test_is_booked_as_floor_of_time_times_rate_and_one(self, rate_hz, periods):
        period_ns = floor(1e9 / rate_hz)
        for more_ns, pulses in ((-1, periods), (0, periods), (1, periods + 1)):
            books = Books().set((5.0, rate_hz)).run(periods * period_ns + more_ns)
            assert books.dose.pulses == pulses
            assert books.charge_uc == 5.0 * pulses
        # The pulse that may come at the very end is booked only if current goes on.
        assert Books().set((5.0, rate_hz)).run(periods * period_ns).set((5.0, rate_hz)).dose.pulses == periods + 1

    def test_is_booked_before_its_pulse_can_come(self):
        books = Books().set((5.0, 40.0), None, (2.0, 1.0))
        assert (books.dose.pulses, books.charge_uc) == (2.0, 7.0)
        assert books.set((5.0, 40.0), None, (2.0, 1.0)).dose.pulses == 2.0, "once"

    @given(st.lists(st.integers(0, 100 * MS), max_size=40), st.floats(1.0, 200.0))
    @settings(deadline=None, derandomize=True, max_examples=60)
    def test_is_booked_alike_in_whatever_steps(self, steps_ns, rate_hz):
        books = Books().set((5.0, rate_hz))
        for step_ns in steps_ns:
            books.run(step_ns).set((5.0, rate_hz))
        at_once = Books().set((5.0, rate_hz)).run(sum(steps_ns)).set((5.0, rate_hz))
        assert books.dose.pulses == at_once.dose.pulses
        assert books.charge_uc == 5.0 * books.dose.pulses
        assert books.running.periods == at_once.running.periods


class TestAPeriod:
    """Of 25 ms, at 40 Hz."""

    @pytest.mark.parametrize(("off_ns", "pulses"), [(0, 1), (15 * MS - 1, 1), (15 * MS, 2), (15 * MS + 1, 2)])
    def test_holds_one_pulse_though_current_blinks(self, off_ns, pulses):
        books = Books().set((5.0, 40.0)).run(10 * MS).set().run(off_ns).set((5.0, 40.0))
        assert (books.dose.pulses, books.charge_uc) == (pulses, 5.0 * pulses)

    def test_that_is_over_is_forgotten(self):
        books = Books().set((5.0, 40.0)).run(10 * MS).set()
        assert books.run(15 * MS - 1).running.periods[0].passed_ns == 25 * MS - 1
        assert books.run(1).running.periods == {}

    def test_of_a_blink_begins_with_it(self):
        """10 ms of every 25 at 40 Hz are as many pulses as an unbroken train."""
        books, unbroken = Books(), Books()
        for _ in range(1000):
            books.set((5.0, 40.0)).run(10 * MS).set().run(15 * MS)
            unbroken.set((5.0, 40.0)).run(25 * MS)
        assert books.dose.pulses == unbroken.dose.pulses == 1000

    def test_has_the_largest_charge_in_it(self):
        books = Books().set((5.0, 40.0)).run(10 * MS).set((7.0, 40.0))
        assert (books.dose.pulses, books.charge_uc) == (1, 7.0)
        books.run(10 * MS).set((6.0, 40.0)).run(1 * MS).set((7.0, 40.0))
        assert (books.dose.pulses, books.charge_uc) == (1, 7.0), "less takes nothing back"
        books.set((6.0, 40.0)).run(5 * MS)
        assert (books.dose.pulses, books.charge_uc) == (2, 13.0), "the next one has what flows then"
        assert books.running.periods[0].passed_ns == 1 * MS

    def test_ends_as_soon_as_a_faster_rate_says(self):
        books = Books().set((5.0, 10.0)).run(50 * MS)
        assert books.set((5.0, 40.0)).dose.pulses == 2, "it may give a pulse at once"
        assert Books().set((5.0, 10.0)).run(20 * MS).set((5.0, 40.0)).run(5 * MS).dose.pulses == 1
        assert Books().set((5.0, 10.0)).run(20 * MS).set((5.0, 40.0)).run(5 * MS + 1).dose.pulses == 2
        assert Books().set((5.0, 10.0)).run(25 * MS - 1).set((5.0, 40.0)).dose.pulses == 1
        assert Books().set((5.0, 10.0)).run(25 * MS).set((5.0, 40.0)).dose.pulses == 2

    def test_that_began_at_a_faster_rate_ends_by_it_and_the_next_by_the_slower(self):
        books = Books().set((5.0, 40.0)).run(10 * MS).set((5.0, 10.0))
        assert books.run(15 * MS).dose.pulses == 1
        assert books.run(1).dose.pulses == 2
        assert books.run(100 * MS - 1).dose.pulses == 2
        assert books.run(1).dose.pulses == 3

    def test_is_each_outputs_own(self):
        books = Books().set((5.0, 40.0), (2.0, 10.0)).run(10 * MS).set(None, (2.0, 10.0)).run(90 * MS)
        assert (books.dose.pulses, books.charge_uc) == (2, 7.0)
        assert set(books.running.periods) == {1}
        assert books.set((5.0, 40.0), (2.0, 10.0)).dose.pulses == 4


FLOWS = st.one_of(
    st.none(),
    st.tuples(
        st.sampled_from([1.0, 2.0, 5.0, 12.0]), st.one_of(st.sampled_from([2.0, 12.0, 33.0, 40.0]), st.floats(2, 120))
    ),
)
SPANS_NS = st.one_of(st.just(10 * MS), st.integers(0, 100 * MS), st.sampled_from([25 * MS, 15 * MS, 500 * MS]))


@given(st.lists(st.tuples(FLOWS, SPANS_NS), max_size=60), st.floats(0.0, 0.999))
@settings(deadline=None, derandomize=True, max_examples=300)
@pytest.mark.parametrize("kind", KINDS)
def test_no_device_of_whatever_phase_gives_more_than_is_booked(new_output, kind, course, phase):
    books, outputs = Books(), [new_output(kind, phase), new_output(kind)]
    for flow, span_ns in course:
        books.set(flow)
        for output in outputs:
            output.set(flow)
        for part_ns in (span_ns // 3, span_ns - span_ns // 3):
            books.run(part_ns)
            for output in outputs:
                output.run(part_ns)
                assert len(output.charges_uc) <= books.dose.pulses
                assert output.charge_mc <= books.dose.charge_mc + 1e-12


@given(st.lists(st.tuples(st.integers(1, 2000), st.integers(84, 2000)), max_size=20), st.floats(12.0, 120.0))
@settings(deadline=None, derandomize=True, max_examples=100)
def test_a_train_is_never_booked_as_more_than_a_pulse_too_many(new_output, trains_ms, rate_hz):
    books, output = Books(), new_output()
    for on_ms, off_ms in trains_ms:
        before, given_before = books.dose.pulses, len(output.charges_uc)
        for flow, span_ms in (((5.0, rate_hz), on_ms), (None, off_ms)):
            books.set(flow).run(span_ms * MS)
            output.set(flow)
            output.run(span_ms * MS)
        booked, given_now = books.dose.pulses - before, len(output.charges_uc) - given_before
        assert given_now <= booked <= min(given_now + 1, floor(on_ms * 1e-3 * rate_hz * (1 + 1e-6)) + 1)


# -- by the gate -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("every", [2, 3, 5, 30])
def test_many_short_trains_do_not_pass_the_charge_of_a_session(new_gate, new_output, envelope, wish, every, kind):
    """The pulse that reaches the limit is the last."""
    most_mc = 0.2
    bench = new_gate(replace(envelope, session_charge_mc_max=most_mc, on_s_max=20.0)).to_armed()
    output = new_output(kind)
    for step in range(20_000):
        bench.step(wish(15.0 if step % every else 0.0, rate_hz=33.0))
        output.run(10 * MS)
        output.set(next(((s.charge_uc, s.rate_hz) for s in bench.verdict.allowed), None))
        assert output.charge_mc <= bench.state.dose.charge_mc + 1e-12
        if bench.verdict.rule == "dose":
            break
    assert bench.verdict.reasons == ("session charge of 0.2 mC is used up",)
    assert 0.6 * most_mc < output.charge_mc < most_mc + output.charges_uc[-1] * 1e-3


def test_current_that_is_taken_back_in_the_same_moment_is_booked_as_a_pulse(bench, wish):
    bench.to_stimulating(5.0)
    bench.hold(wish(0.0), 500)
    before = bench.state.dose
    bench.step(wish(5.0))
    assert bench.ma() > 0.0
    bench.step(wish(0.0), after_ms=0.0)
    bench.hold(wish(0.0), 500)
    after = bench.state.dose
    assert (after.pulses - before.pulses, after.on_s - before.on_s) == (1.0, 0.0)
