"""Virtual people are set up near the best of the grid, in a quarter of its trials, below tolerance."""

from __future__ import annotations

import pytest

from myoloop.experiments.training.jobs import Jobs
from myoloop.experiments.training.set_up import (
    BUDGET_SHARE,
    HELD_OUT_SEED,
    PADS,
    PEOPLE,
    TUNING_SEED,
    Proof,
    SetUp,
    output_of,
    prove,
    set_up,
)


@pytest.fixture(scope="module")
def one():
    """A person on whom the method was tuned: whether it works at all, not how well."""
    return SetUp(**set_up({"seeds": [TUNING_SEED + 2], "kappa": 3.0})["people"][0])


def test_one_person_is_set_up_well_and_never_above_tolerance(one):
    assert one.trials <= BUDGET_SHARE * one.grid
    assert one.reached >= 0.9
    assert one.over_tolerance == 0
    assert one.worst <= 10.0


def test_random_settings_do_not_reach_as_much(one):
    assert one.reached_at_random < one.reached <= 1.0


def test_no_pad_lies_on_the_best_muscle_of_everybody():
    lies = {pad: {output_of(pad, seed) for seed in range(20)} for pad in PADS}
    assert all(found == {0, 1, 2} for found in lies.values())
    assert {output_of(pad, 5) for pad in PADS} == {0, 1, 2}


def found(**changed) -> SetUp:
    return SetUp(**{
        "seed": 1, "preset": "demo", "grid": 100, "trials": 20, "reached": 0.95, "reached_comfortable": 0.95,
        "reached_at_random": 0.5, "over_tolerance": 0, "worst": 8.0, "chosen": "a", "best": "b", **changed,
    })  # fmt: skip


@pytest.mark.parametrize(
    ("people", "good"),
    [
        ([{}] * 5, True),
        ([{}] * 4 + [{"reached": 0.89}], True),
        ([{}] * 3 + [{"reached": 0.89}] * 2, False),
        ([{}] * 3 + [{"trials": 26}] * 2, False),
        ([{}] * 9 + [{"over_tolerance": 1}], False),
    ],
)
def test_it_fails_where_too_few_are_served_or_anybody_is_hurt(people, good):
    proof = Proof(tuple(found(**changed) for changed in people))
    assert proof.good is good
    assert ("NOT as it must be" in proof.words()) is not good
    assert proof.to_json()["good"] is good


def test_nobody_is_no_proof():
    with pytest.raises(ValueError, match="at least 1"):
        prove(0, Jobs())


@pytest.mark.prove
@pytest.mark.timeout(1800)
def test_held_out_people_are_set_up_as_promised():
    proof = prove(PEOPLE, Jobs(workers=2), first_seed=HELD_OUT_SEED)
    assert proof.good, proof.words()


@pytest.mark.prove
def test_a_person_is_set_up_alike_whoever_is_beside_them():
    both = set_up({"seeds": [TUNING_SEED, TUNING_SEED + 2], "kappa": 3.0})["people"]
    alone = set_up({"seeds": [TUNING_SEED + 2], "kappa": 3.0})["people"]
    assert both[1] == alone[0]
