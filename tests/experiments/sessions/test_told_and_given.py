"""The comparison of the record with a ledger finds what is wrong, train by train, and lets pass what is not."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("told_and_given", Path(__file__).with_name("told_and_given.py"))
compare = sys.modules[SPEC.name] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(compare)

MS = 1_000_000
PERIOD_NS = 25 * MS
UP, DOWN = (2.0, 4.0, 6.0, 8.0), (7.0, 5.0, 3.0)


def train(at_ms, *, up=UP, top_ma=10.0, tops=40, down=DOWN, width_us=250.0, shift_ms=0.0, period_ns=PERIOD_NS):
    currents = [*up, *[top_ma] * tops, *down]
    first_ns = round((at_ms + shift_ms) * MS)
    return [compare.Pulse(first_ns + i * period_ns, ma, width_us) for i, ma in enumerate(currents)]


def session(shift_ms=0.0, **second):
    return [*train(0, shift_ms=shift_ms), *train(5000, shift_ms=shift_ms, **second), *train(9000, shift_ms=shift_ms)]


GIVEN = session()


@pytest.mark.parametrize(
    "told",
    [
        session(), session(9.0), session(-12.0), session(tops=41), session(tops=39),
        # A change that falls one pulse later on the way up, and one earlier on the way down.
        session(up=(2.0, 4.0, 4.0, 8.0)), session(up=(2.0, 4.0, 6.0, 8.0, 8.0), tops=39),
    ],
)  # fmt: skip
def test_what_cannot_be_known_better_passes(told):
    compare.check_train_by_train(told, GIVEN, PERIOD_NS)


@pytest.mark.parametrize(
    "told",
    [
        session(tops=42), session(tops=38), session(top_ma=10.5), session(width_us=251.0), session(30.0),
        session(period_ns=24 * MS), session(up=(2.0, 4.0, 6.0, 12.0)), session(up=()), session()[:-3], GIVEN[47:],
        # Two pulses' charge too little in the one train, and as much too much in the next: the sum is right.
        [*train(0, tops=38), *train(5000, tops=42), *train(9000)],
        # One stretch in the midst of another.
        [replace(one, current_ma=9.0) if 20 <= i < 26 else one for i, one in enumerate(GIVEN)],
        [replace(one, t_ns=one.t_ns + i * 400_000) if i < 47 else one for i, one in enumerate(GIVEN)],
    ],
)  # fmt: skip
def test_what_is_wrong_in_one_train_is_found(told):
    with pytest.raises(AssertionError):
        compare.check_train_by_train(told, GIVEN, PERIOD_NS)
    with pytest.raises(AssertionError):
        compare.check_train_by_train(GIVEN, told, PERIOD_NS)


def pulse_by_pulse(*kinds, channel="left", since=0):
    return [compare.Pulse((since + i) * PERIOD_NS, 10.0, 250.0, 2 * MS, kind, channel) for i, kind in enumerate(kinds)]


@pytest.mark.parametrize("more", [0, 1])
def test_a_pulse_that_nobody_heard_of_at_the_end_is_told_as_sent_given_or_not(more):
    told = pulse_by_pulse(*["acknowledged"] * 5, "sent")
    compare.check_pulse_by_pulse(told, [replace(one, kind="ledger") for one in told[: 5 + more]], ends_unheard=True)


@pytest.mark.parametrize(
    ("told", "given"),
    [
        # An acknowledged one that was not given; one sent that was not, before others; two of one channel.
        (pulse_by_pulse(*["acknowledged"] * 6), 5),
        (pulse_by_pulse("acknowledged", "sent", "acknowledged"), 2),
        (pulse_by_pulse("acknowledged", "sent", "sent"), 1),
        # One that was given and not told.
        (pulse_by_pulse(*["acknowledged"] * 5), 6),
    ],
)
@pytest.mark.parametrize("ends_unheard", [False, True])
def test_what_was_told_and_not_given_or_given_and_not_told_is_found(told, given, ends_unheard):
    with pytest.raises(AssertionError):
        compare.check_pulse_by_pulse(told, pulse_by_pulse(*["ledger"] * given), ends_unheard=ends_unheard)


def test_a_session_that_ended_well_has_no_doubtful_end():
    told = pulse_by_pulse(*["acknowledged"] * 5, "sent")
    with pytest.raises(AssertionError):
        compare.check_pulse_by_pulse(told, told[:5])
    late = [*told[:5], replace(told[5], t_ns=told[5].t_ns + 3 * MS)]
    with pytest.raises(AssertionError):
        compare.check_pulse_by_pulse(late, told, ends_unheard=True)
