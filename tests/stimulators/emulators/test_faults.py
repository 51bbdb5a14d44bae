"""What the faults of a line do to a device's answers."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.emulators.faults import AnswerQueue, LineFaults

MS = 1_000_000


def queue(**faults):
    return AnswerQueue(LineFaults(**faults))


def all_of(line, until_ms=1000):
    """(time in ms, bytes) of everything that leaves, asked for each ms."""
    left = [(t_ms, line.take(t_ms * MS)) for t_ms in range(until_ms)]
    return [(t_ms, data) for t_ms, data in left if data]


def test_a_good_line_gives_answers_when_they_are_due_in_order_of_time():
    line = queue()
    line.add(b"late", 40 * MS)
    line.add(b"soon", 2 * MS)
    line.add(b"too", 2 * MS)
    assert all_of(line) == [(2, b"soontoo"), (40, b"late")]


def test_nothing_leaves_before_it_is_due():
    line = queue()
    line.add(b"answer", 5 * MS)
    assert line.take(5 * MS - 1) == b""
    assert line.take(5 * MS) == b"answer"


def test_dropped_answers_do_not_leave():
    line = queue(drop_answers=True)
    line.add(b"answer", 0)
    assert all_of(line) == []


def test_a_fault_acts_on_as_many_answers_as_it_is_told():
    line = queue(drop_answers=True, answers_left=2)
    for answer in (b"a", b"b", b"c", b"d"):
        line.add(answer, 0)
    assert all_of(line) == [(0, b"cd")]
    assert line.faults.answers_left == 0


def test_duplicated_answers_leave_twice():
    line = queue(duplicate_answers=True)
    line.add(b"one", 3 * MS)
    assert all_of(line) == [(3, b"oneone")]


@given(st.binary(min_size=1, max_size=40))
@settings(deadline=None)
def test_corrupted_answers_have_exactly_one_bit_wrong(answer):
    line = queue(corrupt_answers=True)
    line.add(answer, 0)
    left = line.take(0)
    assert len(left) == len(answer)
    assert sum((a ^ b).bit_count() for a, b in zip(left, answer, strict=True)) == 1


def test_a_wrong_number_is_made_by_the_device_where_answers_have_numbers():
    line = queue(wrong_number_answers=True)
    line.add(b"number 5", 0, lambda: b"number 6")
    line.add(b"no number", 0)
    assert line.take(0) == b"number 6no number"


def test_of_each_two_answers_the_second_leaves_first():
    line = queue(reorder_answers=True)
    for at, answer in enumerate((b"1", b"2", b"3", b"4")):
        line.add(answer, at * MS)
    assert all_of(line) == [(1, b"21"), (3, b"43")]


def test_late_answers_leave_that_much_later():
    line = queue(answer_delay_ns=300 * MS)
    line.add(b"answer", 10 * MS)
    assert all_of(line) == [(310, b"answer")]


def test_garbage_leaves_right_before_an_answer():
    line = queue(garbage_before_answers=b"\xf0\x00")
    line.add(b"answer", 0)
    assert line.take(0) == b"\xf0\x00answer"


def test_halves_of_an_answer_let_no_other_between_them():
    line = queue(split_answers_ns=20 * MS)
    line.add(b"abcd", 10 * MS)
    line.add(b"xy", 15 * MS)
    assert all_of(line) == [(10, b"ab"), (30, b"cdx"), (35, b"y")]


def test_a_vanished_line_forgets_what_was_under_way():
    line = queue()
    line.add(b"answer", 10 * MS)
    line.faults.vanished = True
    line.add(b"more", 10 * MS)
    assert line.take(20 * MS) == b""
    line.faults.vanished = False
    assert line.take(30 * MS) == b""


@given(
    st.lists(st.tuples(st.binary(min_size=1, max_size=9), st.integers(0, 50)), max_size=20),
    st.sampled_from([{}, {"split_answers_ns": 3 * MS}, {"answer_delay_ns": 7 * MS}]),
)
@settings(deadline=None)
def test_a_line_that_loses_nothing_gives_every_byte_once(answers, faults):
    line = queue(**faults)
    for answer, due_ms in answers:
        line.add(answer, due_ms * MS)
    left = b"".join(data for _, data in all_of(line, 1000))
    assert sorted(left) == sorted(b"".join(answer for answer, _ in answers))


@pytest.mark.parametrize("faults", [{}, {"duplicate_answers": True}, {"reorder_answers": True}])
def test_power_loss_forgets_all_answers(faults):
    line = queue(**faults)
    line.add(b"old", 0)
    line.clear()
    line.add(b"new", 0)
    line.add(b"newer", 0)
    assert b"old" not in (left := line.take(MS))
    assert b"newer" in left
