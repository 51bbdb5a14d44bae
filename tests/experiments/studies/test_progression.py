"""Values that move: one step a session and path, within bounds, on results that are there."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.protocols.study import Progression
from myoloop.experiments.studies.chained import ChainedLog, read_chained
from myoloop.experiments.studies.progression import (
    Change,
    ProgressionError,
    ProgressionRule,
    Result,
    change_line,
    flare_line,
    flare_share,
    newest_result,
    personal_values,
    progress,
    read_progression,
    result_line,
    rule_of,
)

NOW = datetime(2026, 11, 2, 10, 0, tzinfo=UTC)
PATH = "phases[3].block.await.threshold"

UP = ProgressionRule(
    name="harder",
    when="block_end",
    measure="success_share",
    comparison="at_least",
    value=0.8,
    in_a_row=2,
    path=PATH,
    by=0.1,
    least=0.2,
    most=1.0,
)
DOWN = replace(UP, name="easier", comparison="below", value=0.5, in_a_row=1, by=-0.1)


def blocks(*found: float | None, session: int = 1) -> list[Result]:
    return [Result(session, "block_end", {"success_share": value}) for value in found]


def step(results, present=0.5, changes=(), rules=(UP, DOWN)) -> list[tuple[float, float]]:
    return [(each.old, each.new) for each in progress(rules, results, {PATH: present}, changes)]


def test_enough_results_in_a_row_move_one_step_up_and_say_why() -> None:
    (change,) = progress([UP, DOWN], blocks(0.85, 0.9), {PATH: 0.5}, [])
    assert (change.old, change.new, change.path, change.rule, change.seen) == (0.5, 0.6, PATH, "harder", 2)
    assert change.why == "harder: success_share 0.85, 0.9 (at least 0.8, 2 in a row)"


@pytest.mark.parametrize(
    "found",
    [(), (0.9,), (0.9, 0.7), (0.9, 0.7, 0.9), (0.9, None), (None, 0.9), (0.9, math.nan), (0.9, math.inf * 0)],
)
def test_too_few_or_missing_results_move_nothing(found) -> None:
    assert step(blocks(*found), rules=[UP]) == []


def test_the_regression_rule_moves_a_step_down() -> None:
    assert step(blocks(0.9, 0.4)) == [(0.5, 0.4)]


@pytest.mark.parametrize(
    ("comparison", "found", "moves"),
    [
        ("at_least", 3.0, True),
        ("at_least", 2.9, False),
        ("above", 3.0, False),
        ("above", 3.1, True),
        ("at_most", 3.0, True),
        ("at_most", 3.1, False),
        ("below", 3.0, False),
        ("below", 2.9, True),
    ],
)
def test_each_comparison_at_its_edge(comparison, found, moves) -> None:
    rule = replace(UP, comparison=comparison, value=3.0, in_a_row=1)
    assert bool(step(blocks(found), rules=[rule])) is moves


@pytest.mark.parametrize(
    ("rule", "present", "new"),
    [(UP, 0.95, 1.0), (UP, 1.0, None), (UP, 1.2, None), (UP, 0.0, 0.1), (DOWN, 0.25, 0.2), (DOWN, 0.2, None)],
)
def test_a_step_is_cut_at_its_bound_and_never_more_than_a_step(rule, present, new) -> None:
    rule = replace(rule, in_a_row=1)
    found = blocks(0.9) if rule.by > 0 else blocks(0.1)
    assert step(found, present, rules=[rule]) == ([] if new is None else [(present, new)])


def test_one_step_a_session_and_path_then_only_on_results_since() -> None:
    first = Change(1, "harder", PATH, 0.5, 0.6, "", 2)
    assert step(blocks(0.9, 0.9, 0.9, 0.9), 0.6, [first]) == []
    # In the next session: what was seen before the step is used up.
    assert step(blocks(0.9, 0.9) + blocks(0.9, session=2), 0.6, [first]) == []
    assert step(blocks(0.9, 0.9) + blocks(0.9, 0.9, session=2), 0.6, [first]) == [(0.6, 0.7)]


def test_a_rule_is_asked_at_its_own_end_only() -> None:
    results = [*blocks(0.9, 0.9), Result(1, "session_end", {"success_share": 0.9})]
    assert step(results, rules=[UP]) == []
    at_end = replace(UP, when="session_end", in_a_row=1)
    assert step(results, rules=[at_end]) == [(0.5, 0.6)]


def test_where_one_rule_says_up_and_one_down_it_is_down() -> None:
    pain = replace(DOWN, name="pain", measure="nrs", comparison="above", value=5.0)
    results = [Result(1, "block_end", {"success_share": 0.9, "nrs": 7.0})] * 2
    assert step(results, rules=[UP, pain]) == [(0.5, 0.4)]
    # Also where down is at its bound already.
    assert step(results, present=0.2, rules=[UP, pain]) == []


def test_a_flare_moves_nothing_up_and_halves_the_next_dose_once() -> None:
    flared = [*blocks(0.9), Result(1, "block_end", {"success_share": 0.9}, flare=True)]
    assert step(flared) == []
    assert step([*flared, Result(1, "block_end", {"success_share": 0.1})]) == [(0.5, 0.4)]
    assert flare_share(0.5, flared, session=2) == 0.5
    assert flare_share(0.5, [*flared, *blocks(0.9, session=2)], session=3) == 1.0
    # Another attempt at the session in which it was told has the same share.
    assert flare_share(0.5, flared, session=1) == 0.5
    assert flare_share(0.5, [], session=1) == 1.0


def _in_a_row(*measured: float) -> list[Result]:
    return [Result(number, "session_end", {"m": value}) for number, value in enumerate(measured, 1)]


def test_a_flare_of_a_session_without_a_result_breaks_no_row() -> None:
    rule = ProgressionRule(
        name="up", when="session_end", measure="m", comparison="at_least", value=0.8, in_a_row=3, path="p", by=1.0,
        least=0.0, most=9.0,
    )  # fmt: skip
    told = [result_line(each, NOW) for each in _in_a_row(0.9, 0.9)]
    # Session 3 was cut short, and a flare was told in it; session 4 is whole.
    told.append(flare_line(3, NOW, "the person", "told in a form"))
    told.append(result_line(Result(4, "session_end", {"m": 0.9}), NOW))
    results, changes = read_progression(told)
    assert [(each.session, each.flare) for each in results] == [(1, False), (2, False), (3, True), (4, False)]
    assert [(each.old, each.new) for each in progress([rule], results, {"p": 1.0}, changes)] == [(1.0, 2.0)]
    # A result in which the measure was not had breaks it all the same.
    missing = [*told[:2], result_line(Result(3, "session_end", {"m": None}), NOW), told[-1]]
    assert progress([rule], read_progression(missing)[0], {"p": 1.0}, ()) == ()


def test_a_flare_told_later_of_an_earlier_session_without_a_result_leaves_the_newest_one_the_newest() -> None:
    results, _ = read_progression([
        *(result_line(each, NOW) for each in _in_a_row(0.9, 0.9)), flare_line(1, NOW, "A", "hot"),
        flare_line(7, NOW, "A", "hot"),
    ])  # fmt: skip
    newest = newest_result(results)
    assert newest is not None
    assert newest.session == 2
    assert newest_result(results[3:]) is None
    assert flare_share(0.5, results, session=8) == 0.5


@pytest.mark.parametrize("share", [0.0, -0.5, 1.5, math.nan])
def test_a_flare_rule_that_is_no_share_is_refused(share) -> None:
    with pytest.raises(ProgressionError, match="allowed is a share above 0"):
        flare_share(share, [], 1)


def test_a_rule_for_a_value_that_is_not_there_is_refused() -> None:
    with pytest.raises(ProgressionError, match=r"no number at phases\[3\]"):
        progress([UP], [], {}, [])


@pytest.mark.parametrize(
    "wrong",
    [{"by": 0.0}, {"by": math.nan}, {"least": 2.0}, {"in_a_row": 0}, {"comparison": "equals"}, {"most": math.inf}],
)
def test_rules_that_cannot_be_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="harder"):
        replace(UP, **wrong)


# -- the record --------------------------------------------------------------------------------------------------


def test_the_record_gives_back_results_changes_and_what_holds_today(tmp_path) -> None:
    log = ChainedLog(tmp_path / "progression.jsonl")
    results = [*blocks(0.9, None), *blocks(0.9, session=2)]
    changes = [Change(1, "harder", PATH, 0.5, 0.6, "why", 2), Change(2, "harder", PATH, 0.6, 0.7, "why", 3)]
    for line in (
        *(result_line(each, NOW) for each in results[:2]),
        change_line(changes[0], NOW),
        result_line(results[2], NOW),
        change_line(changes[1], NOW),
    ):
        log.append(line)
    rows = read_chained(log.path)
    assert read_progression(rows) == (tuple(results), tuple(changes))
    assert personal_values(rows) == {PATH: 0.7}
    assert personal_values([]) == {}


def test_a_step_of_a_session_that_was_another_persons_is_not_taken_over(tmp_path) -> None:
    log = ChainedLog(tmp_path / "progression.jsonl")
    came = {"reassigned_from": {"person": "P017", "n": 3}}
    log.append({**result_line(blocks(0.9)[0], NOW), **came})
    log.append({**change_line(Change(1, "harder", PATH, 0.8, 0.9, "why", 1), NOW), **came})
    rows = read_chained(log.path)
    assert personal_values(rows) == {}
    assert len(read_progression(rows)[0]) == 1


@pytest.mark.parametrize("comparison", ["at_least", "below"])
def test_a_rule_is_what_the_protocol_says(comparison) -> None:
    section = {
        "name": "harder",
        "when": "block_end",
        "measure": "success_share",
        comparison: 0.8,
        "in_a_row": 2,
        "path": PATH,
        "by": 0.1,
        "least": 0.2,
        "most": 1.0,
    }
    assert rule_of(Progression.model_validate(section)) == replace(UP, comparison=comparison)


def test_a_flare_told_later_belongs_to_its_session(tmp_path) -> None:
    log = ChainedLog(tmp_path / "progression.jsonl")
    log.append(result_line(blocks(0.9)[0], NOW))
    log.append(flare_line(1, NOW, "B. Lang", "NRS +3 for two hours"))
    log.append(flare_line(2, NOW, "B. Lang", "new allodynia"))
    results, _ = read_progression(read_chained(log.path))
    assert [(each.session, each.flare) for each in results] == [(1, True), (2, True)]
    assert flare_share(0.5, results, session=3) == 0.5
    with pytest.raises(ProgressionError, match="needs who"):
        flare_line(1, NOW, "", "worse")


def test_a_measure_that_is_no_number_is_kept_as_missing(tmp_path) -> None:
    row = ChainedLog(tmp_path / "p.jsonl").append(result_line(Result(1, "block_end", {"x": math.nan}), NOW))
    assert row["measures"] == {"x": None}


@pytest.mark.parametrize(
    "line",
    [
        {"kind": "result", "session": 1, "measures": {}, "flare": False, "when": "noon"},
        {"kind": "change", "path": PATH},
        {"kind": "result", "session": 1, "measures": 3, "when": "x"},
    ],
)
def test_a_record_that_cannot_be_understood_gives_no_values(line) -> None:
    with pytest.raises(ProgressionError, match="entry 4: not a"):
        personal_values([{"n": 4, **line}])


# -- whatever comes out of sessions ------------------------------------------------------------------------------

values = st.one_of(st.none(), st.floats(0, 1), st.just(math.nan))
rules = st.lists(
    st.builds(
        ProgressionRule,
        name=st.sampled_from(["a", "b", "c"]),
        when=st.sampled_from(["block_end", "session_end"]),
        measure=st.sampled_from(["m", "n"]),
        comparison=st.sampled_from(["at_least", "below", "at_most", "above"]),
        value=st.floats(0, 1),
        in_a_row=st.integers(1, 3),
        path=st.sampled_from(["p", "q"]),
        by=st.sampled_from([-1.0, -0.1, 0.1, 1.0]),
        least=st.just(1.0),
        most=st.just(4.0),
    ),
    max_size=5,
)


@settings(deadline=None, max_examples=150)
@given(
    rules=rules,
    start=st.floats(1, 4),
    told=st.lists(
        st.tuples(st.booleans(), st.sampled_from(["block_end", "session_end"]), values, values, st.booleans()),
        max_size=25,
    ),
)
def test_values_stay_in_bounds_and_move_at_most_a_step_a_session(rules, start, told) -> None:
    present = {"p": start, "q": start}
    changes: list[Change] = []
    results: list[Result] = []
    session = 1
    for new_session, when, m, n, flare in told:
        session += new_session
        results.append(Result(session, when, {"m": m, "n": n}, flare))
        for change in progress(rules, results, present, changes):
            largest = max(abs(rule.by) for rule in rules if rule.path == change.path)
            assert abs(change.new - change.old) <= largest + 1e-9
            assert change.old == present[change.path] != change.new
            assert 1.0 <= change.new <= 4.0
            assert not (flare and change.new > change.old)
            present[change.path] = change.new
            changes.append(change)
    steps = [(each.session, each.path) for each in changes]
    assert len(steps) == len(set(steps))
