"""What holds of a ScienceMode device whatever it hears: no pulse without a command, after a stop, or too late."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.emulators.sciencemode34 import ScienceMode34Device
from myoloop.stimulators.emulators.sciencemode34_wire import Packet, PacketReader, packed

MS, US, S = 1_000_000, 1_000, 1_000_000_000
PROFILES = st.sampled_from(["p24", "rehamove3"])
LONGEST_NS = 200 * MS
REQUESTS = [0, 2, 4, 30, 32, 34, 36, 50, 52, 54, 58, 62, 68]


@st.composite
def steps(draw, low=None):
    """Commands of one level, mostly good, and how long after the last each comes."""
    word = st.builds(
        lambda us, code: (us << 20 | code << 10).to_bytes(4, "big"), st.integers(5, 600), st.integers(100, 500)
    )
    points = st.lists(word, min_size=1, max_size=4).map(b"".join)
    config = st.builds(
        lambda head, data: bytes((head | len(data) // 4 - 1,)) + data,
        st.sampled_from([0x80, 0xA0, 0xC0, 0xE0, 0x90, 0x20]), points,
    )  # fmt: skip
    train = st.builds(
        lambda ramp, half_ms, data: bytes(((len(data) // 4 - 1) << 4 | ramp,))
        + (half_ms << 1).to_bytes(2, "big")
        + data,
        st.integers(0, 15), st.integers(8, 400), points,
    )  # fmt: skip
    update = st.dictionaries(st.sampled_from([0, 1, 2, 3, 7]), train, max_size=3).map(
        lambda trains: bytes((sum(1 << k for k in trains),)) + b"".join(trains[k] for k in sorted(trains))
    )
    low = draw(st.booleans()) if low is None else low
    of_level = st.tuples(st.just(2), config) if low else st.tuples(st.just(32), update)
    command = st.one_of(
        of_level,
        of_level,
        of_level,
        st.tuples(st.just(0 if low else 30), st.just(b"\x00")),
        st.tuples(st.sampled_from([4, 34, 62]), st.just(b"")),
        st.tuples(st.just(36), st.sampled_from([b"\x02", b"\x04"])),
        st.tuples(st.sampled_from(REQUESTS), st.binary(max_size=30)),
    )
    wait_ns = st.one_of(st.integers(0, 2 * MS), st.integers(0, 200 * MS), st.integers(0, 3 * S))
    first = (draw(wait_ns), (0 if low else 30, b"\x00"))
    return [first, *draw(st.lists(st.tuples(wait_ns, command), min_size=3, max_size=20))]


def played(profile, script, polls=()):
    """The ledger and the answers of a script; polls at some times between must change neither."""
    device, now_ns = ScienceMode34Device(profile), 0
    times = iter(sorted(polls))
    poll_ns = next(times, None)
    pulses, answers = [], b""
    for wait_ns, (command, payload) in [*script, (30 * S, (62, b""))]:
        now_ns += wait_ns
        while poll_ns is not None and poll_ns <= now_ns:
            pulses += device.pulses_until(poll_ns)
            answers += device.take(poll_ns)
            poll_ns = next(times, None)
        device.feed(packed(1, command, payload), now_ns)
    return pulses + device.pulses_until(now_ns + S), answers + device.take(now_ns + S)


@settings(deadline=None, max_examples=200)
@given(PROFILES, st.lists(st.tuples(st.integers(0, S), st.binary(max_size=200)), max_size=10))
def test_arbitrary_bytes_never_raise_and_never_make_a_pulse(profile, script):
    device, now_ns = ScienceMode34Device(profile), 0
    for wait_ns, data in script:
        now_ns += wait_ns
        device.feed(data, now_ns)
        device.take(now_ns)
    assert device.pulses_until(now_ns + 10 * S) == []
    assert device.active == ()


@settings(deadline=None, max_examples=200)
@given(PROFILES, st.lists(st.tuples(st.integers(0, 1023), st.binary(max_size=60)), max_size=20))
def test_no_packet_makes_a_pulse_before_a_level_was_initialised(profile, packets):
    device = ScienceMode34Device(profile)
    for command, payload in packets:
        if command not in (0, 30):
            device.feed(packed(3, command, payload), 0)
    assert device.pulses_until(10 * S) == []


@settings(deadline=None, max_examples=150)
@given(PROFILES, steps(low=True), st.sampled_from([LONGEST_NS, MS, 0]))
def test_every_pulse_of_low_level_was_asked_for_and_a_stop_leaves_the_one_under_way(profile, script, longest_wait_ns):
    device, now_ns, asked, given_count = ScienceMode34Device(profile), 40 * MS, 0, 0
    device.feed(packed(1, 0, b"\x00"), 0)
    for wait_ns, (command, payload) in script:
        if command not in (0, 4, 30, 34, 58):
            now_ns += wait_ns % (longest_wait_ns + 1)
            asked += command == 2
            device.feed(packed(1, command, payload), now_ns)
    given_count = len(device.pulses_until(now_ns))
    device.feed(packed(1, 4), now_ns)
    under_way = device.pulses_until(now_ns + 20 * S)
    assert len(under_way) <= 1
    assert all(one.t_ns < now_ns + 4 * MS for one in under_way)
    assert given_count + len(under_way) <= asked


@settings(deadline=None, max_examples=150)
@given(PROFILES, steps(low=False), st.sampled_from([(34, b""), (32, b"\x00")]))
def test_no_pulse_after_a_mid_level_stop_once_it_is_done(profile, script, stop):
    device, now_ns = ScienceMode34Device(profile), 0
    device.feed(packed(1, 30, b"\x00"), 0)
    for wait_ns, (command, payload) in script:
        now_ns += wait_ns
        if command not in (0, 2, 58):
            device.feed(packed(1, command, payload), now_ns)
    # What was said before it may still be switching; a pulse under way may have its leading edge ahead.
    now_ns += S
    device.feed(packed(1, *stop), now_ns)
    late = [one for one in device.pulses_until(now_ns + 30 * S) if one.t_ns > now_ns + 4 * MS]
    assert late == []
    assert device.active == ()


@settings(deadline=None, max_examples=150)
@given(PROFILES, steps())
def test_no_pulse_two_seconds_after_the_last_word(profile, script):
    said = [command for _, command in script if command[0] in (32, 36)]
    pulses, _ = played(profile, script)
    last_ns = sum(wait_ns for wait_ns, _ in script)
    # Ten low-level pulses of at most 16 points may be waiting; switching takes 80 ms at a time.
    bound_ns = last_ns + 80 * MS * len(script) + (2 * S if said else 0) + 11 * 4 * MS
    assert all(one.t_ns < bound_ns for one in pulses)


@settings(deadline=None, max_examples=150)
@given(PROFILES, steps())
def test_pulses_come_one_after_the_other(profile, script):
    pulses, _ = played(profile, script)
    for one, other in itertools.pairwise(pulses):
        width_us = sum(point.width_us for point in one.points) or 2 * one.phase_us
        assert other.t_ns >= one.t_ns + width_us * US


@settings(deadline=None, max_examples=150)
@given(PROFILES, steps(), st.lists(st.integers(0, 20 * S), max_size=30))
def test_when_it_is_looked_at_changes_nothing(profile, script, polls):
    assert played(profile, script, polls) == played(profile, script)


@settings(deadline=None, max_examples=150)
@given(PROFILES, steps())
def test_each_packet_is_answered_at_most_once_and_only_packets_are(profile, script):
    _, answers = played(profile, script)
    heard = PacketReader().feed(answers)
    assert all(isinstance(packet, Packet) for packet in heard)
    assert b"".join(packed(*packet) for packet in heard) == answers
    assert len(heard) <= len(script) + 1


def test_a_stop_among_ten_thousand_interruptions_is_always_obeyed(new_host):
    chance = random.Random(4)
    host = new_host().mid_level()
    start = packed(1, 32, host.update({0: host.train(10.0)}))
    stop = packed(2, 32, host.update())
    now_ns = S
    for _ in range(10_000):
        now_ns += MS
        host.device.feed(start, now_ns)
        assert host.device.active == (0,)
        cut_off = start[: chance.randrange(len(start))] + b"\x81" * chance.randrange(2)
        host.device.feed(chance.randbytes(chance.randrange(20)) + cut_off + stop, now_ns)
        assert host.device.active == ()
        host.device.take(now_ns)
        host.device.pulses_until(now_ns)


@pytest.mark.parametrize("period_ms", [0.5, 7.75, 28.5, 33.25, 1000.0])
def test_its_schedule_is_exact_to_the_nanosecond(new_host, period_ms):
    host = new_host().mid_level()
    points = host.point(20, 10) + host.point(20, -10)
    trains = host.update({0: host.train(period_ms, points, quarters=True)})
    begin_ns = 123_456_789
    for k in range(5):
        host.send(32, trains, begin_ns + k * S)
    times = host.times_ns(begin_ns + 20 * S)
    assert times == [begin_ns + round(k * period_ms * MS) for k in range(len(times))]
    assert len(times) == -(-6 * S // round(period_ms * MS))
