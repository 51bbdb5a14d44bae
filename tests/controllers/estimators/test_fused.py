"""One fatigue from all that is known of it."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.estimators.fused import FusedFatigue, combined
from myoloop.platform.messages import Measure

S = 1_000_000_000
SHARE = st.floats(0.0, 1.0)
SPREAD = st.floats(0.01, 0.3)


def term(value: float, sd: float = 0.05) -> Measure:
    return Measure(value=value, low=value - 1.96 * sd, high=value + 1.96 * sd, valid=True, reason="")


def none(reason: str) -> Measure:
    return Measure(reason=reason)


def fused(index: FusedFatigue, at_s: float, **terms: Measure) -> Measure:
    known = {f"fatigue_{name}": [measure] for name, measure in terms.items()}
    return index.step(round(at_s * S), known)[0]


@given(SHARE, SPREAD, SHARE, SPREAD)
@settings(deadline=None)
def test_it_lies_between_its_terms_nearer_to_the_surer_and_is_wide_where_they_disagree(
    a: float, sa: float, b: float, sb: float
) -> None:
    value, sd = combined([a, b], [sa**2, sb**2])
    assert min(a, b) - 1e-9 <= value <= max(a, b) + 1e-9
    if abs(sa - sb) > 1e-6:
        assert (abs(value - a) <= abs(value - b) + 1e-9) == (sa < sb) or abs(a - b) < 1e-9
    agreeing = 1 / math.sqrt(sa**-2 + sb**-2)
    assert sd >= agreeing - 1e-12
    if abs(a - b) > 2 * math.hypot(sa, sb):
        assert sd > 1.9 * agreeing


@given(SHARE, SHARE, SHARE, SPREAD)
@settings(deadline=None)
def test_it_is_told_from_0_to_1_with_its_interval_about_it(a: float, b: float, c: float, sd: float) -> None:
    told = fused(FusedFatigue(1), 1.0, emg=term(a, sd), mwave=term(b, sd), mechanical=term(c, sd))
    assert told.valid
    assert 0.0 <= told.low <= told.value <= told.high <= 1.0


def test_what_emg_cannot_see_is_allowed_for() -> None:
    both = fused(FusedFatigue(1), 1.0, emg=term(0.3), mechanical=term(0.6))
    assert both.value > 0.5
    by_emg, by_force = fused(FusedFatigue(1), 1.0, emg=term(0.5)), fused(FusedFatigue(1), 1.0, mechanical=term(0.5))
    assert by_emg.high - by_emg.low > 2 * (by_force.high - by_force.low)


def test_without_any_term_it_says_why() -> None:
    index = FusedFatigue(1)
    few = "not enough evidence: 2 of 4 steady contractions"
    told = fused(index, 1.0, emg=none(few), mechanical=none("no IMU and no force cell"))
    assert (told.valid, told.reason) == (False, f"{few}; no IMU and no force cell")
    assert fused(FusedFatigue(1), 1.0).reason == "not estimated"


def test_the_interval_grows_until_something_new_is_heard() -> None:
    index, evidence = FusedFatigue(1), term(0.4)
    widths = []
    for at_s in (1.0, 20.0, 60.0):
        told = fused(index, at_s, mechanical=evidence)
        assert told.value == pytest.approx(0.4)
        widths.append(told.high - told.low)
    assert widths[0] < widths[1] < widths[2]
    fresh = fused(index, 61.0, mechanical=term(0.41))
    assert fresh.high - fresh.low == pytest.approx(widths[0], rel=0.05)


def test_a_rest_lowers_what_may_be_and_not_what_is_told() -> None:
    index, evidence = FusedFatigue(1), term(0.6, 0.02)
    before = fused(index, 1.0, mechanical=evidence)
    rested = fused(index, 81.0, mechanical=evidence)
    assert rested.value == before.value
    # Ding's muscle would have recovered to 0.6 exp(-80 / 127) = 0.32 by now.
    assert rested.low < 0.6 * math.exp(-80 / 127) < before.low
    assert rested.high - rested.value < before.low - rested.low
    assert fused(index, 90.0, mechanical=term(0.33, 0.02)).value == pytest.approx(0.33, abs=0.01)


def test_a_term_that_is_lost_does_not_make_it_jump() -> None:
    index = FusedFatigue(1)
    fused(index, 1.0, emg=term(0.1), mechanical=term(0.6, 0.04))
    before = fused(index, 10.0, emg=term(0.11), mechanical=term(0.61, 0.04))
    lost = fused(index, 11.0, emg=term(0.11), mechanical=none("no steady train for 90 s"))
    assert lost.value == pytest.approx(before.value, abs=0.02)
    later = before
    for n in range(60):
        later = fused(index, 20.0 + 10.0 * n, emg=term(0.1 + 0.001 * (n % 2)), mechanical=none("no steady train"))
    assert later.value < 0.35
    gone = fused(index, 700.0, emg=none("no steady contraction for 90 s"), mechanical=none("no steady train"))
    assert gone.reason == "no steady contraction for 90 s; no steady train"


def test_between_news_it_is_told_anew_once_a_second_and_not_more_often() -> None:
    index, evidence = FusedFatigue(1), [term(0.4)]
    known = {"fatigue_mechanical": evidence}
    first = index.step(S, known)
    assert index.step(S + S // 2, known) is first
    assert index.step(S + S // 2, {"fatigue_mechanical": [term(0.4)]}) is first
    assert index.step(2 * S, known)[0].low < first[0].low


@pytest.mark.parametrize("at", [0, 3, 17])
def test_saved_and_restored_anywhere_it_goes_on_bit_for_bit(at: int) -> None:
    def evidence(n: int) -> dict[str, list[Any]]:
        rough = [term(0.02 * (n // 5), 0.05), none("no channel")]
        return {"fatigue_emg": rough, "fatigue_mechanical": [term(0.03 * (n // 3), 0.04), none("no channel")]}

    one, other = FusedFatigue(2), FusedFatigue(2)
    for n in range(at):
        one.step(n * S // 3, evidence(n))
    other.restore(json.loads(json.dumps(one.state(), allow_nan=False)))
    for n in range(at, at + 20):
        assert other.step(n * S // 3, evidence(n)) == one.step(n * S // 3, evidence(n))
    assert other.state() == one.state()
