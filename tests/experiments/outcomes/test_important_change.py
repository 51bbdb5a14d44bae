"""Which change matters: one table, each row with its source, and no change told between two scales."""

from __future__ import annotations

import pytest

from myoloop.experiments.outcomes.important_change import IMPORTANT_CHANGES, NotComparable, Point, judge, rows_of
from myoloop.experiments.outcomes.registry import OUTCOMES


def reached(measure: str, before: float, after: float) -> dict[str, bool | None]:
    return {
        f"{each.row.amount:g} {each.row.of}": each.reached
        for each in judge(Point(measure, before), Point(measure, after))
    }


def test_every_row_is_of_an_outcome_and_has_a_source():
    for row in IMPORTANT_CHANGES:
        assert row.measure in OUTCOMES
        assert row.source
        assert row.amount > 0


def test_a_fall_of_pain_from_six_to_four_is_moderate_not_substantial():
    # 2 points, a third: beyond 30 %, below 50 %.
    assert reached("nrs_current", 6.0, 4.0) == {
        "10 percent": True, "30 percent": True, "50 percent": False, "2 unit": True, "1.5 unit": True, "4 unit": False,
    }  # fmt: skip


def test_a_change_that_just_reaches_it_counts():
    assert reached("odi", 40.0, 30.0) == {"10 unit": True, "30 percent": False}
    assert reached("css16", 12.0, 7.1)["4.9 unit"] is True


def test_a_percentage_of_nothing_cannot_be_told():
    assert reached("nrs_current", 0.0, 2.0)["30 percent"] is None


def test_a_change_has_its_direction():
    assert {each.direction for each in judge(Point("odi", 40.0), Point("odi", 20.0), "less")} == {"better"}
    assert {each.direction for each in judge(Point("ppt", 300.0), Point("ppt", 200.0), "more")} == {"worse"}
    assert {each.direction for each in judge(Point("odi", 40.0), Point("odi", 40.0), "less")} == {"none"}


@pytest.mark.parametrize(
    ("before", "after", "whole"),
    [("1", "1+", False), ("1+", "2", False), ("1+", "3", True), ("0", "1+", True), ("1", "2", True), ("2", "2", False),
     ("4", "1+", True), ("1+", "1+", False)],
)  # fmt: skip
def test_to_and_from_one_plus_is_less_than_a_grade(before, after, whole):
    (found,) = judge(Point("ashworth", None, before), Point("ashworth", None, after))
    assert found.reached is whole


@pytest.mark.parametrize(
    ("before", "after", "says"),
    [
        (Point("css17", 12.0), Point("css16", 8.0), "css17 before and css16 after are two scales"),
        (Point("odi", 30.0, version="2.0"), Point("odi", 20.0, version="2.1a"), "version 2.0 before and 2.1a after"),
        (Point("odi", None), Point("odi", 20.0), "odi: no value before"),
    ],
)
def test_between_two_scales_or_versions_no_change_is_told(before, after, says):
    with pytest.raises(NotComparable, match=says):
        judge(before, after)


def test_where_no_important_change_is_known_none_is_made_up():
    assert rows_of("css17") == ()
    assert rows_of("psfs_frequency") == ()
    assert judge(Point("psfs_frequency", 3.0), Point("psfs_frequency", 1.0)) == ()
