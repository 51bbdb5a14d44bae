"""Pain: a baseline that treatment lowers in those who respond, flares, and what the person says of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.subjects.pain import NON_RESPONDERS, Pain, PainParameters
from myoloop.experiments.subjects.perception import Thresholds

S = 1_000_000_000
THRESHOLDS = Thresholds(1.0, 2.0, 8.0)


def pain(seed=1, **parameters):
    return Pain(PainParameters(**parameters), np.random.default_rng(seed))


def live(made, seconds, charge_uc=0.0, begin_s=0):
    """The pain of every second."""
    course = []
    for second in range(begin_s, begin_s + seconds):
        if charge_uc:
            made.feel(charge_uc, THRESHOLDS)
        made.step((second + 1) * S)
        course.append(made.exact)
    return np.array(course)


def test_by_default_nothing_hurts_but_too_much_current():
    made = pain()
    assert live(made, 600, 5.0).max() == 0.0
    hurts = live(made, 10, 12.0, begin_s=600)
    # A half above tolerance: half of the rise per second.
    assert hurts[-1] == pytest.approx(10 * 0.1, rel=0.01)
    assert live(made, 600, begin_s=610)[-1] == pytest.approx(hurts[-1] * np.exp(-1), rel=1e-6)


def test_twice_the_tolerance_is_as_bad_as_it_gets():
    assert live(pain(), 20, 100.0)[-1] == pytest.approx(live(pain(), 20, 16.0)[-1])


def test_treatment_takes_its_share_of_the_baseline():
    course = live(pain(pain_baseline=6.0, pain_relief=0.5, pain_relief_s=600.0), 3000, 5.0)
    assert course[599] == pytest.approx(6.0 * (1 - 0.5 * (1 - np.exp(-1))), rel=1e-6)
    assert course[-1] == pytest.approx(3.0, rel=0.02)
    assert (np.diff(course) <= 0).all()


def test_relief_is_lost_again_within_an_hour_or_two():
    made = pain(pain_baseline=6.0, pain_relief=0.5, pain_relief_s=600.0)
    treated = live(made, 3000, 5.0)[-1]
    later = live(made, 3600, begin_s=3000)[-1]
    assert 6.0 - later == pytest.approx((6.0 - treated) * np.exp(-1), rel=1e-6)


@pytest.mark.parametrize("charge_uc", [0.0, 0.9])
def test_what_is_not_felt_relieves_nothing(charge_uc):
    assert live(pain(pain_baseline=5.0), 1200, charge_uc)[-1] == 5.0


def test_who_does_not_respond_is_not_relieved():
    assert live(pain(pain_baseline=5.0, pain_responds=0.0), 3000, 5.0)[-1] == 5.0


def test_the_share_of_non_responders_is_as_stated():
    declared = PainParameters.__dataclass_fields__["pain_responds"].metadata["varies"]
    rng = np.random.default_rng(4)
    drawn = np.array([declared.draw(rng) for _ in range(4000)])
    assert set(drawn) == {0.0, 1.0}
    # Four standard deviations of a share of 4000.
    assert 1.0 - drawn.mean() == pytest.approx(NON_RESPONDERS, abs=4 * np.sqrt(0.24 / 4000))


def test_flares_come_at_their_rate_with_their_size_and_die_away():
    rises = []
    for seed in range(6):
        course = live(pain(seed, pain_flares_per_h=30.0, pain_flare=1.0, pain_flare_s=20.0), 7200)
        jumps = np.diff(course, prepend=0.0)
        rises += jumps[jumps > 0.2].tolist()
    assert len(rises) == pytest.approx(6 * 60, rel=0.2)
    assert np.median(rises) == pytest.approx(1.0, abs=0.15)


def test_what_is_done_does_not_shift_what_comes_by_itself():
    calm, hurt = (pain(3, pain_flares_per_h=20.0) for _ in range(2))
    first, second = live(calm, 1800), live(hurt, 1800, 5.0)
    assert np.array_equal(first, second)
    assert first.max() > 1.0


def test_the_person_says_a_whole_number_near_it():
    made = pain(pain_baseline=5.5, pain_report_spread=0.5)
    said = [made.score(second * S) for second in range(400)]
    assert all(isinstance(one, int) for one in said)
    assert np.mean(said) == pytest.approx(5.5, abs=0.15)
    assert len(set(said)) > 2
    assert pain(pain_baseline=4.0, pain_report_spread=0.0).score(S) == 4


def test_to_be_asked_moves_no_pain():
    asked, left = (pain(3, pain_baseline=3.0, pain_flares_per_h=20.0) for _ in range(2))
    for second in range(600):
        asked.score(second * S)
    left.step(599 * S)
    assert asked.truth() == left.truth()


@settings(deadline=None, max_examples=40)
@given(
    baseline=st.floats(0.0, 10.0),
    relief=st.floats(0.0, 1.0),
    flares=st.floats(0.0, 60.0),
    flare=st.floats(0.0, 10.0),
    excess=st.floats(0.0, 10.0),
    report=st.floats(0.0, 3.0),
    charge_uc=st.floats(0.0, 200.0),
    seed=st.integers(0, 1000),
)
def test_pain_is_always_0_to_10(seed, baseline, relief, flares, flare, excess, report, charge_uc):
    made = pain(
        seed, pain_baseline=baseline, pain_relief=relief, pain_flares_per_h=flares, pain_flare=flare,
        pain_excess_per_s=excess, pain_report_spread=report, pain_relief_s=60.0,
    )  # fmt: skip
    course = live(made, 300, charge_uc)
    assert ((course >= 0.0) & (course <= 10.0)).all()
    assert made.truth()["pain"] == course[-1]
    assert 0 <= made.score(301 * S) <= 10


def test_responding_is_yes_or_no():
    with pytest.raises(ValueError, match=r"pain_responds: found 0\.5"):
        PainParameters(pain_responds=0.5)
