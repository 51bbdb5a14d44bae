"""Nobody is trained on and tested with, by whatever name; the halves hang on seed and pseudonym alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.experiments.training.split import HALVES, LeakError, Person, check_halves, read_halves, split
from myoloop.platform.errors import UserError


def people(source: str, count: int) -> list[Person]:
    return [Person(f"{source}{number}", source, False) for number in range(count)]


@given(st.integers(2, 60), st.integers(2, 60), st.integers(0, 2**31), st.floats(0.01, 0.99))
def test_every_source_is_split_in_the_share_that_was_asked_for(a: int, b: int, seed: int, share: float) -> None:
    halves = split([*people("a", a), *people("b", b)], seed=seed, held_out_share=share)
    assert set(halves) == {person.name for person in [*people("a", a), *people("b", b)]}
    for source, count in (("a", a), ("b", b)):
        held = sum(half == "held_out" for name, half in halves.items() if name.startswith(source))
        assert held == min(max(round(share * count), 1), count - 1)


@given(st.permutations(people("a", 9)), st.integers(0, 1000))
def test_the_order_in_which_people_come_does_not_matter(shuffled: list[Person], seed: int) -> None:
    assert split(shuffled, seed=seed, held_out_share=0.3) == split(people("a", 9), seed=seed, held_out_share=0.3)


def test_another_seed_holds_out_others() -> None:
    first, second = (split(people("a", 40), seed=seed, held_out_share=0.5) for seed in (1, 2))
    assert first != second


def test_a_source_of_one_person_is_trained_on() -> None:
    assert split(people("a", 1), seed=0, held_out_share=0.5) == {"a0": "train"}


def test_halves_that_stand_are_kept_and_the_others_fill_up() -> None:
    before = split(people("a", 10), seed=0, held_out_share=0.3)
    after = split(people("a", 20), seed=5, held_out_share=0.3, given=before)
    assert {name: after[name] for name in before} == before
    assert sum(half == "held_out" for half in after.values()) == 6


def test_one_virtual_person_under_two_pseudonyms_is_refused_by_name() -> None:
    twins = [Person("P001", "s", True, frozenset({"b1", "b2"})), Person("P002", "t", True, frozenset({"b2"}))]
    with pytest.raises(LeakError, match=r"^P001 and P002 are the same virtual person \(b2\)"):
        split(twins, seed=0, held_out_share=0.3)


def test_a_pseudonym_in_other_capitals_is_refused() -> None:
    with pytest.raises(LeakError, match=r"^P001 and p001: the same pseudonym in other capitals"):
        split([Person("P001", "a", False), Person("p001", "b", False)], seed=0, held_out_share=0.3)


def test_a_person_in_both_halves_is_named() -> None:
    with pytest.raises(LeakError, match=r"^P002: is in both halves"):
        check_halves([("P001", "train"), ("P002", "train"), ("P002", "held_out")])


def test_a_table_of_halves_is_read_or_its_mistake_named_with_its_line(tmp_path) -> None:
    file = tmp_path / "people.tsv"
    file.write_text("person\thalf\nP001\ttrain\nP002\theld_out\n")
    assert read_halves(file) == dict(zip(("P001", "P002"), HALVES, strict=True))
    file.write_text("person\thalf\nP001\ttest\n")
    with pytest.raises(UserError, match=r"people.tsv:2: found person 'P001' with half 'test'"):
        read_halves(file)
    file.write_text("person\thalf\nP001\ttrain\nP001\theld_out\n")
    with pytest.raises(LeakError, match=r"people.tsv: P001: is in both halves"):
        read_halves(file)
