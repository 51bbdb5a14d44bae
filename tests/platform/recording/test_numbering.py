from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.recording.numbering import Numbering


def missing(numbers):
    numbering = Numbering()
    for number in numbers:
        numbering.see(number)
    return numbering.missing


def test_numbers_in_order_lack_none():
    assert missing(range(5)) == 0


def test_a_jump_lacks_what_was_jumped_over():
    assert missing([2, 3, 9]) == 2 + 5


def test_what_comes_late_is_not_missing():
    # Commands of a supervisor to nine nodes, as their receivers handed them over.
    assert missing([2, 0, 1, 3, 5, 4, 9, 6, 8, 7]) == 0


def test_a_number_twice_counts_once():
    assert missing([0, 0, 2, 2, 0]) == 1


@given(st.lists(st.integers(0, 30)))
@settings(deadline=None)
def test_missing_is_what_lies_below_the_highest_and_was_not_seen(numbers):
    assert missing(numbers) == len(set(range(max(numbers, default=-1) + 1)) - set(numbers))
