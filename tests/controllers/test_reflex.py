"""The rules that override any policy."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import spearmanr

from myoloop.controllers.estimators import spasm as spasm_estimator
from myoloop.controllers.estimators.estimator import ON_TOO_LONG
from myoloop.controllers.reflex import FatigueReflex, Reflex, ReflexSettings, SignalReflex, SpasmReflex, Wish
from myoloop.platform.messages import Measure, MuscleEstimate

NONE = Measure()


def _estimate(
    spasm: float | Measure | None = 0.0, fatigue: float | None = None, muscle: str = "agonist"
) -> MuscleEstimate:
    if not isinstance(spasm, Measure):
        spasm = NONE if spasm is None else Measure(value=spasm, valid=True, reason="")
    return MuscleEstimate(
        muscle=muscle, level_uv=5.0, effort=NONE, response=NONE, spasm=spasm,
        fatigue=NONE if fatigue is None else Measure(value=fatigue, valid=True, reason=""),
    )  # fmt: skip


class _Driven:
    def __init__(self, drives: str = "agonist", **parts: Any) -> None:
        self.reflex = Reflex(ReflexSettings(**parts), {"ch1": drives})
        self.now_ns = 0

    def tick(
        self, current_ma: float = 20.0, bad: str = "", phase: int = 1, adapt: bool = True, **estimate: Any
    ) -> tuple[float, str]:
        self.now_ns += 10_000_000
        told = _estimate(**estimate)
        left, why = self.reflex.apply(Wish(self.now_ns, {"ch1": current_ma}, {told.muscle: told}, bad, phase, adapt))
        return left["ch1"], why

    def live(self, seconds: float, **more: Any) -> list[float]:
        return [self.tick(**more)[0] for _ in range(round(seconds * 100))]


def test_a_spasm_is_zero_at_once_then_hold_off_then_a_rise() -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=1.0, resume_s=0.5))
    assert driven.tick() == (20.0, "")
    assert driven.tick(spasm=1.0) == (0.0, "spasm of agonist")
    driven.live(0.3, spasm=1.0)
    assert set(driven.live(0.99)) == {0.0}
    assert driven.tick() == (pytest.approx(0.4), "rising again after a spasm")
    rise = driven.live(0.6)
    assert all(0 <= b - a <= 0.4 + 1e-9 for a, b in pairwise(rise))
    assert rise[-1] == 20.0
    assert driven.tick() == (20.0, "")


def test_what_is_not_valid_is_no_spasm_and_a_muscle_that_is_not_watched_neither() -> None:
    assert _Driven().tick(spasm=None) == (20.0, "")
    watching = _Driven(spasm=SpasmReflex(muscles=("biceps",)))
    assert watching.tick(spasm=1.0)[0] == 20.0
    assert watching.tick(spasm=1.0, muscle="biceps")[0] == 0.0
    assert _Driven(spasm=SpasmReflex(enabled=False)).tick(spasm=1.0) == (20.0, "")


def test_spasms_that_come_again_and_again_end_it_for_the_phase() -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.1, resume_s=0.1, retries_max=2))
    for _ in range(3):
        driven.live(0.5)
        driven.live(0.1, spasm=1.0)
    assert set(driven.live(2.0)) == {0.0}
    assert "2 retries" in driven.tick()[1]
    assert driven.live(0.5, phase=2)[-1] == 20.0


def test_a_spasm_while_nothing_is_asked_for_is_no_retry_and_needs_no_rise() -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.2, retries_max=0))
    driven.live(0.1, current_ma=0.0, spasm=1.0)
    driven.live(0.3, current_ma=0.0)
    assert driven.tick() == (20.0, "")


def test_more_fatigue_is_less_current_and_off_is_off() -> None:
    fatigue = np.linspace(0.0, 1.0, 60)
    on, off = _Driven(), _Driven(fatigue=FatigueReflex(enabled=False))
    with_reflex = [on.live(1.0, fatigue=float(f))[-1] for f in fatigue]
    without = [off.live(0.1, fatigue=float(f))[-1] for f in fatigue]
    assert all(b <= a for a, b in pairwise(with_reflex))
    assert spearmanr(with_reflex, fatigue).statistic <= -0.8
    assert with_reflex[0] == 20.0
    assert with_reflex[-1] == pytest.approx(0.3 * 20.0)
    assert set(without) == {20.0}


def test_fatigue_acts_smoothly_and_what_is_not_known_changes_nothing() -> None:
    driven = _Driven()
    driven.live(0.1, fatigue=0.0)
    falling = driven.live(2.0, fatigue=0.9)
    assert max(abs(b - a) for a, b in pairwise(falling)) <= 20.0 * 0.5 * 0.01 + 1e-9
    low = falling[-1]
    assert set(driven.live(1.0)) == {low}
    assert "last known" in driven.tick()[1]


def test_each_channel_follows_its_own_muscle_and_one_without_the_worst() -> None:
    own = _Driven(drives="antagonist")
    assert own.live(1.0, fatigue=0.9)[-1] == 20.0
    any_muscle = _Driven(drives="")
    assert any_muscle.live(2.0, fatigue=0.9)[-1] < 10.0


def test_in_a_calibration_current_is_not_changed_only_taken_away() -> None:
    driven = _Driven()
    driven.live(2.0, fatigue=0.9)
    assert driven.tick(fatigue=0.9, adapt=False)[0] == 20.0
    assert driven.tick(fatigue=0.9, adapt=False, spasm=1.0)[0] == 0.0


def test_a_bad_signal_is_zero_and_comes_first() -> None:
    driven = _Driven()
    assert driven.tick(bad="emg/sim is silent") == (0.0, "bad signal: emg/sim is silent")
    assert driven.tick(bad="emg/sim is silent", spasm=1.0)[1] == "bad signal: emg/sim is silent"
    assert _Driven(signal=SignalReflex(enabled=False)).tick(bad="x")[0] == 20.0


ticks = st.lists(
    st.tuples(
        st.floats(0, 100), st.sampled_from([None, 0.0, 1.0]), st.one_of(st.none(), st.floats(0, 1)), st.booleans()
    ),
    max_size=80,
)


@settings(deadline=None)
@given(ticks, st.integers(0, 80))
def test_it_never_asks_for_more_than_the_policy_and_restores_bit_for_bit(data: Any, cut: int) -> None:
    one = _Driven()
    rest = []
    for n, (current, spasm, fatigue, bad) in enumerate(data):
        if n == cut:
            other = _Driven()
            other.reflex.restore(json.loads(json.dumps(one.reflex.state())))
            other.now_ns = one.now_ns
            rest.append(other)
        given_ = {"current_ma": current, "spasm": spasm, "fatigue": fatigue, "bad": "x" if bad else ""}
        left, _ = answer = one.tick(**given_)
        assert 0 <= left <= current
        assert all(twin.tick(**given_) == answer for twin in rest)


def test_thresholds_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match=r"begin 0\.9 and full 0\.8"):
        FatigueReflex(begin=0.9, full=0.8)
    with pytest.raises(ValueError, match="floor is 2"):
        FatigueReflex(floor=2.0)


LOST = Measure(reason="too few valid samples in the window")
TOO_LONG = Measure(reason=ON_TOO_LONG)


@pytest.mark.parametrize("unknown", [LOST, TOO_LONG, None], ids=["lost", "too long", "not told"])
def test_a_spasm_that_is_not_known_any_more_has_not_ended(unknown: Measure | None) -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.2, resume_s=0.0, retries_max=1))
    driven.live(0.1)
    assert driven.tick(spasm=1.0)[0] == 0.0
    assert set(driven.live(5.0, spasm=unknown)) == {0.0}
    left, why = driven.tick(spasm=unknown)
    assert (left, why) == (0.0, f"spasm of agonist, not known to be over: {unknown.reason if unknown else NONE.reason}")
    # The hold-off begins where it is seen to be over; it was one spasm, though it was lost from sight.
    driven.tick(spasm=1.0)
    assert set(driven.live(0.19)) == {0.0}
    assert driven.live(0.02)[-1] == 20.0


def test_another_phase_ends_a_spasm_that_is_not_known_any_more_after_its_hold_off() -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.2, resume_s=0.0))
    driven.tick(spasm=1.0)
    assert driven.tick(spasm=LOST)[0] == 0.0
    assert set(driven.live(0.19, spasm=LOST, phase=2)) == {0.0}
    assert driven.live(0.02, spasm=LOST, phase=2)[-1] == 20.0


def test_a_spasm_that_has_been_on_for_too_long_to_be_told_is_zero_with_that_reason_in_any_phase() -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.2))
    for phase in (1, 2):
        left, why = driven.tick(spasm=TOO_LONG, phase=phase)
        assert (left, why) == (0.0, f"spasm of agonist, not known to be over: {ON_TOO_LONG}")
    # The estimator says it in these very words.
    assert spasm_estimator._MEASURES[spasm_estimator.TOO_LONG] == TOO_LONG


@pytest.mark.parametrize("spasm", [1.0, TOO_LONG], ids=["on", "too long"])
def test_a_spasm_that_goes_on_into_another_phase_is_no_new_one_there(spasm: float | Measure) -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.1, resume_s=0.0, retries_max=0))
    driven.live(0.1, current_ma=0.0, spasm=1.0)
    driven.live(0.1, current_ma=0.0, spasm=spasm)
    driven.live(0.1, spasm=spasm, phase=2)
    assert driven.live(0.2, phase=2)[-1] == 20.0


def test_a_spasm_and_a_bad_signal_that_end_together_still_rise_softly() -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.1, resume_s=0.5))
    driven.live(0.1)
    driven.tick(spasm=1.0)
    driven.live(0.1)
    # In the last step of the hold-off, and in that of its end, the signal is bad too.
    assert driven.live(0.02, bad="emg/sim is silent") == [0.0, 0.0]
    assert driven.tick() == (pytest.approx(0.4), "rising again after a spasm")
    # And a spasm that only shows while the signal is bad.
    driven.live(1.0)
    driven.live(0.05, bad="emg/sim is silent", spasm=1.0)
    driven.live(0.3, bad="emg/sim is silent")
    assert driven.tick() == (pytest.approx(0.4), "rising again after a spasm")
    # A rise that a bad signal breaks off begins anew, as softly.
    driven.live(0.2)
    driven.tick(bad="emg/sim is silent")
    assert driven.tick() == (pytest.approx(0.4), "rising again after a spasm")
