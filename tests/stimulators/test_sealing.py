"""Lengths of what is closed tell nothing: every envelope of a stream is as long as any other."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses
from myoloop.platform.sealed import SealedError, StudyKey
from myoloop.stimulators.sealing import DEVICE, PULSE, REPORT, SealedWords, Seals, TrueReport

MS = 1_000_000
NAMES = tuple("electrode_pair_of_the_left_arm_" + letter for letter in "abcdefgh")
NOW_NS = 10**18
#: What one look at the device brings: some pulses of some channels.
POLL = st.lists(st.tuples(st.sampled_from(NAMES[:2]), st.integers(1, 9)), max_size=9)
KEY = StudyKey(b"k" * 32)


def pulses(channel: str, count: int) -> Pulses:
    times = tuple(NOW_NS + n for n in range(count))
    return Pulses(
        channel=channel, t_ns=times, uncertainty_ns=10**7, kind="acknowledged", current_ma=12.345678, phase_us=250.123
    )


@pytest.mark.parametrize("outputs", [1, 2, 8])
def test_the_largest_report_is_as_long_as_an_empty_one(outputs: int) -> None:
    seals, names = Seals(KEY, "s1", outputs), NAMES[:outputs]
    setting = [(name, 12.345678, 250.123, 35.123) for name in names]
    largest = TrueReport(
        2**40,
        "STIMULATING",
        "channels at once",
        tuple(setting),
        tuple(s[:2] for s in setting),
        (1e3 / 3, 1e3 / 7, 2.0**40),
    )
    empty = TrueReport(1, "", "", (), (), (0.0, 0.0, 0.0))
    lengths = {len(seals.close(REPORT, n, NOW_NS, what).message.box) for n, what in enumerate((largest, empty))}
    assert len(lengths) == 1


@pytest.mark.parametrize("outputs", [1, 2, 8])
def test_the_largest_word_of_the_device_is_as_long_as_the_least(outputs: int) -> None:
    seals = Seals(KEY, "s1", outputs)
    told = tuple(
        ChannelSetting(channel=name, current_ma=12.345678, phase_us=250.123, rate_hz=35.123) for name in NAMES[:outputs]
    )
    most = DeviceReport(
        t_ns=NOW_NS, connected=True, identity="a stimulator with a long name and serial 1234567890", acknowledged=told,
        ack_of=2**40, sent=2**40, oldest_unacknowledged_ns=NOW_NS, faults=("electrode open: " + NAMES[0],),
    )  # fmt: skip
    least = DeviceReport(t_ns=1, connected=False, identity="")
    lengths = {len(seals.close(DEVICE, n, NOW_NS, what).message.box) for n, what in enumerate((most, least))}
    assert len(lengths) == 1


def test_what_is_larger_than_any_arms_may_be_is_not_said_at_all() -> None:
    with pytest.raises(SealedError, match=r"sealed/device 1: \d+ bytes, allowed at most"):
        Seals(KEY, "s1", 1).close(DEVICE, 1, NOW_NS, DeviceReport(t_ns=1, connected=True, identity="x" * 2000))


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.lists(st.tuples(st.sampled_from(NAMES[:2]), st.integers(1, 9)), max_size=9), min_size=25, max_size=60)
)
def test_no_pulse_is_lost_and_no_envelope_is_longer_than_another(polls: list[list[tuple[str, int]]]) -> None:
    seals = Seals(KEY, "s1", 2)
    words = SealedWords(seals)
    given_out: list[Pulses] = []
    said = []
    for n, poll in enumerate([*polls, *[[]] * 2000]):
        fresh = [pulses(name, count) for name, count in poll]
        given_out += fresh
        said += words.pulses(fresh, NOW_NS + n * 10 * MS)
    assert len({len(each.message.box) for each in said}) == 1
    assert [each for out in said for each in seals.pulses(out.message)] == given_out
    # One each 0.1 s, whatever is in it.
    times = [each.message.t_ns for each in said]
    assert {b - a for a, b in pairwise(times)} == {100 * MS}
    assert {each.topic for each in said} == {PULSE}
