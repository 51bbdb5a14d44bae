"""A sham only takes away: never more than is asked for, on any channel, at any time."""

from __future__ import annotations

from math import inf, nan

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.sham import TRAIN_OVER_NS, Treatment, give, share

MS, S = 1_000_000, 1_000_000_000
LENGTHS = st.floats(0.0, 60.0)
TREATMENTS = st.one_of(
    st.just(Treatment()),
    st.just(Treatment("zero_current")),
    st.builds(Treatment, st.just("transient"), LENGTHS, LENGTHS),
)
CURRENTS = st.one_of(st.just(0.0), st.floats(0.0, 130.0))
ASKED = st.dictionaries(st.sampled_from(["left", "right", "neck"]), CURRENTS)
CYCLES = st.lists(st.tuples(ASKED, st.integers(0, 30 * S)), max_size=40)
TRANSIENT = Treatment("transient", on_s=45.0, fade_s=15.0)


def played(treatment: Treatment, cycles) -> list[tuple[dict[str, float], dict[str, float]]]:
    trains, now_ns, out = {}, 0, []
    for asked, after_ns in cycles:
        now_ns += after_ns
        trains, given_ma = give(treatment, trains, asked, now_ns)
        out.append((asked, given_ma))
    return out


@settings(deadline=None)
@given(TREATMENTS, CYCLES)
def test_never_more_than_is_asked_for_on_any_channel_at_any_time(treatment: Treatment, cycles) -> None:
    for asked, given_ma in played(treatment, cycles):
        assert given_ma.keys() == asked.keys()
        assert all(0.0 <= given_ma[channel] <= asked[channel] for channel in asked)


@settings(deadline=None)
@given(CYCLES)
def test_active_is_what_is_asked_for(cycles) -> None:
    assert all(asked == given_ma for asked, given_ma in played(Treatment(), cycles))


@settings(deadline=None)
@given(CYCLES)
def test_zero_current_is_zero_always(cycles) -> None:
    assert not any(any(given_ma.values()) for _, given_ma in played(Treatment("zero_current"), cycles))


@settings(deadline=None)
@given(LENGTHS, LENGTHS, st.integers(1, 1000))
def test_of_a_steady_train_a_transient_only_falls_and_ends_at_zero(on_s: float, fade_s: float, step_ms: int) -> None:
    treatment = Treatment("transient", on_s, fade_s)
    step_ns = min(step_ms * MS, TRAIN_OVER_NS)
    count = int((on_s + fade_s) * S / step_ns) + 3
    train = [20.0 * share(treatment, number * step_ns * 1e-9) for number in range(min(count, 2000))]
    assert train == sorted(train, reverse=True)
    assert train[0] == 20.0
    assert share(treatment, on_s + fade_s + 1e-9) <= 1e-6 or fade_s < 1e-9
    assert share(treatment, on_s + fade_s + 1.0) == 0.0


@pytest.mark.parametrize(
    ("since_s", "part"), [(0.0, 1.0), (45.0, 1.0), (48.0, 0.8), (52.5, 0.5), (60.0, 0.0), (1000.0, 0.0)]
)
def test_a_transient_is_on_then_goes_down_in_a_straight_line(since_s: float, part: float) -> None:
    assert share(TRANSIENT, since_s) == pytest.approx(part)


def test_each_train_of_each_channel_has_a_beginning_of_its_own() -> None:
    treatment = Treatment("transient", on_s=1.0, fade_s=0.0)
    trains, _ = give(treatment, {}, {"left": 10.0}, 0)
    for now_ns in range(100 * MS, 2 * S, 100 * MS):
        trains, given_ma = give(treatment, trains, {"left": 10.0}, now_ns)
    assert given_ma == {"left": 0.0}
    trains, given_ma = give(treatment, trains, {"left": 10.0, "right": 8.0}, 2 * S)
    assert given_ma == {"left": 0.0, "right": 8.0}
    trains, given_ma = give(treatment, trains, {"left": 10.0}, 3 * S)
    assert given_ma == {"left": 10.0}


def test_a_request_that_drops_out_for_a_moment_begins_no_new_train() -> None:
    treatment = Treatment("transient", on_s=0.1, fade_s=0.0)
    trains, _ = give(treatment, {}, {"left": 10.0}, 0)
    for now_ns in range(0, 10 * S, TRAIN_OVER_NS):
        trains, _ = give(treatment, trains, {"left": 0.0}, now_ns + 10 * MS)
        trains, given_ma = give(treatment, trains, {"left": 10.0}, now_ns + TRAIN_OVER_NS)
        assert given_ma == {"left": 0.0}


def test_what_is_no_current_gives_none() -> None:
    _, given_ma = give(TRANSIENT, {}, {"left": nan, "right": -3.0}, 0)
    assert given_ma == {"left": 0.0, "right": 0.0}


@pytest.mark.parametrize("wrong", [{"on_s": -1.0}, {"fade_s": nan}, {"on_s": inf}, {"kind": "placebo"}])
def test_a_treatment_that_cannot_be_is_refused(wrong) -> None:
    with pytest.raises(ValueError, match="allowed"):
        Treatment(**{"kind": "transient", **wrong})
