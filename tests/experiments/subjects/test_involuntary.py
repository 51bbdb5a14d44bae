"""Spasms come at random times, one at a time, and last as long as they say."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.subjects.involuntary import InvoluntaryParameters, SpasmGenerator

BLOCK_NS = 10_000_000
#: A person with every kind of spasm.
EVERY_KIND = {
    "spasm_tonic_share": 0.3, "spasm_burst_weight": 0.0, "spasm_unit_weight": 0.5, "spasm_clonus_weight": 1.0,
    "spasm_myoclonus_weight": 0.5, "spasm_ebb_s": 2.0,
}  # fmt: skip


def generator(seed=1, muscles=2, **parameters):
    return SpasmGenerator(InvoluntaryParameters(**parameters), muscles, np.random.default_rng(seed), 0)


def live(minutes, in_effort=False, seed=1, muscles=2, given=None, **parameters):
    made = generator(seed, muscles, **parameters)
    began, ended = [], []
    for t_ns in range(0, round(minutes * 60e9), BLOCK_NS):
        first, last = made.step(t_ns, t_ns + BLOCK_NS, in_effort, **(given or {}))
        began += [first] if first else []
        ended += [last] if last else []
    return began, ended


def test_each_spasm_ends_before_the_next_and_after_a_plausible_time():
    began, ended = live(20)
    assert len(began) >= 20
    assert ended == began[: len(ended)]
    assert len(began) - len(ended) <= 1
    for spasm in began:
        assert 0.4e9 <= spasm.end_ns - spasm.onset_ns <= 2.0e9
    for a, b in itertools.pairwise(began):
        assert b.onset_ns - a.end_ns >= 2.4e9
    assert {spasm.kind for spasm in began} == {"tonic", "burst"}
    assert {spasm.muscle for spasm in began} == {0, 1}


def test_the_rate_is_what_was_asked_for_save_the_pauses():
    began, _ = live(40, spasm_rate_per_min=6.0)
    # Mean interval: 10 s of waiting, 1.2 s of spasm, 2.5 s of pause.
    assert len(began) / 40 == pytest.approx(60 / 13.7, rel=0.15)


def test_none_comes_before_the_first_may_and_none_at_a_rate_of_zero():
    assert live(5, first_spasm_s=60.0)[0][0].onset_ns >= 60e9
    assert live(5, spasm_rate_per_min=0.0)[0] == []


def test_fewer_come_in_an_effort():
    assert len(live(20, in_effort=True, spasm_in_effort=0.2)[0]) < 0.5 * len(live(20)[0])


def test_kinds_come_in_the_shares_the_person_has():
    began, _ = live(60, spasm_rate_per_min=30.0, **EVERY_KIND)
    kinds = [spasm.kind for spasm in began]
    shares = InvoluntaryParameters(**EVERY_KIND).spasm_kinds()
    assert sum(shares.values()) == pytest.approx(1.0)
    for kind, share in shares.items():
        spread = np.sqrt(share * (1 - share) / len(kinds))
        assert abs(kinds.count(kind) / len(kinds) - share) <= 4 * spread


def test_without_a_weight_of_another_kind_all_are_tonic():
    assert InvoluntaryParameters(spasm_burst_weight=0.0).spasm_kinds() == {"tonic": 1.0}


@pytest.mark.parametrize(
    ("parameters", "given"),
    [
        ({"spasm_stretch_gain_s": 2.0}, {"stretch_rad_s": 2.0}),
        ({"spasm_step_gain_per_ma": 1.0}, {"step_ma": 0.2}),
        ({"spasm_fatigue_gain": 5.0}, {"fatigue": 0.8}),
    ],
)
def test_stretch_steps_of_current_and_fatigue_bring_more(parameters, given):
    calm, _ = live(20, spasm_rate_per_min=2.0, **parameters)
    provoked, _ = live(20, spasm_rate_per_min=2.0, given=given, **parameters)
    assert len(provoked) > 1.5 * len(calm)


def test_the_muscle_that_is_stretched_is_the_one_that_answers():
    began, _ = live(20, spasm_stretch_gain_s=10.0, given={"stretch_rad_s": [-5.0, 5.0]})
    assert [spasm.muscle for spasm in began].count(1) > 0.9 * len(began)


def test_shortening_a_muscle_calms_and_provokes_nothing():
    assert live(10, spasm_stretch_gain_s=10.0, given={"stretch_rad_s": -5.0}) == live(10)


def test_a_step_of_current_is_forgotten():
    made = generator(spasm_step_gain_per_ma=1.0)
    made.step(0, BLOCK_NS, False, step_ma=20.0)
    for t_ns in range(BLOCK_NS, 500 * BLOCK_NS, BLOCK_NS):
        made.step(t_ns, t_ns + BLOCK_NS, False)
    assert made._stepped_ma < 1e-3


def test_a_tonic_spasm_may_be_followed_at_once_by_clonus():
    began, ended = live(15, spasm_chained=1.0, **EVERY_KIND)
    gaps_s = [(b.onset_ns - a.end_ns) * 1e-9 for a, b in itertools.pairwise(began)]
    after_tonic = [b.kind for a, b in itertools.pairwise(began) if a.kind == "tonic"]
    assert sum(gap < 1.3 for gap in gaps_s) > 0.4 * len(gaps_s)
    assert min(gaps_s) >= 0.5 - 0.01
    assert after_tonic
    assert set(after_tonic) == {"clonus"}
    assert ended == began[: len(ended)]


def test_other_muscles_join_where_they_do():
    began, _ = live(10, muscles=3, spasm_joined=1.0)
    assert all(sorted(spasm.muscles) == [0, 1, 2] for spasm in began)
    alone, _ = live(10, muscles=3)
    assert all(len(spasm.muscles) == 1 for spasm in alone)


def test_what_is_done_to_the_person_does_not_shift_what_is_drawn_later():
    made, other = generator(), generator()
    for t_ns in range(0, 3000 * BLOCK_NS, BLOCK_NS):
        made.step(t_ns, t_ns + BLOCK_NS, False)
        other.step(t_ns, t_ns + BLOCK_NS, True, stretch_rad_s=[1.0, 2.0], step_ma=1.0, fatigue=0.5)
    assert made._rng.bit_generator.state == other._rng.bit_generator.state


def test_activation_is_told_for_every_millisecond_and_meets_between_blocks():
    made = generator(spasm_rate_per_min=30.0, **EVERY_KIND)
    last, heard = 0.0, 0
    for t_ns in range(0, 6000 * BLOCK_NS, BLOCK_NS):
        made.step(t_ns, t_ns + BLOCK_NS, False)
        drive = made.activation(t_ns, 10)
        now = drive.sum(axis=0) if drive is not None else np.zeros(11)
        if drive is not None:
            heard += 1
            assert drive.shape == (2, 11)
        assert now[0] == pytest.approx(last, abs=1e-9)
        last = now[-1]
    assert heard > 500


def test_every_discharge_of_a_unit_is_told_once():
    made = generator(spasm_rate_per_min=30.0, spasm_tonic_share=0.0, spasm_burst_weight=0.0, spasm_unit_weight=1.0)
    began, told = [], []
    for t_ns in range(0, 6000 * BLOCK_NS, BLOCK_NS):
        first, _ = made.step(t_ns, t_ns + BLOCK_NS, False)
        began += [first] if first else []
        told += made.discharges(t_ns, t_ns + BLOCK_NS)
    over = [spasm for spasm in began if spasm.end_ns <= 6000 * BLOCK_NS]
    asked = [(spasm.muscle, t_ns, size) for spasm in over for t_ns, size in spasm.discharges]
    assert len(over) >= 5
    assert told[: len(asked)] == asked


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32),
    blocks=st.lists(
        st.tuples(st.booleans(), st.floats(-20, 20), st.floats(0, 100), st.floats(0, 1), st.integers(1, 50)),
        min_size=1,
        max_size=200,
    ),
)
def test_whatever_is_done_activation_stays_in_its_range_and_spasms_apart(seed, blocks):
    made = generator(
        seed, spasm_rate_per_min=30.0, first_spasm_s=0.0, spasm_stretch_gain_s=20.0, spasm_chained=0.5,
        spasm_joined=0.5, **EVERY_KIND,
    )  # fmt: skip
    t_ns, began = 0, []
    for in_effort, stretch, step, fatigue, steps in blocks:
        to_ns = t_ns + steps * 1_000_000
        first, last = made.step(t_ns, to_ns, in_effort, stretch_rad_s=stretch, step_ma=step, fatigue=fatigue)
        drive = made.activation(t_ns, steps)
        assert drive is None or (np.isfinite(drive).all() and drive.min() >= 0 and drive.max() <= 1.25)
        began += [first] if first else []
        assert last is None or last.end_ns <= to_ns
        t_ns = to_ns
    for a, b in itertools.pairwise(began):
        assert b.onset_ns >= a.end_ns


def test_a_range_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"spasm_shortest_s 3: must not exceed spasm_longest_s 2"):
        InvoluntaryParameters(spasm_shortest_s=3.0)
