"""The supervisor's states, its rests, and its planning anew."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.reflex import (
    TRANSITIONS,
    FatigueReflex,
    Reflex,
    ReflexSettings,
    ReplanReflex,
    SignalReflex,
    SpasmReflex,
    State,
    Wish,
)
from myoloop.platform.messages import Measure, MuscleEstimate

NONE = Measure()
TICK_NS = 10_000_000


class _Driven:
    def __init__(self, **parts: Any) -> None:
        self.reflex = Reflex(ReflexSettings(**parts), {"ch1": "agonist"})
        self.now_ns = 0
        self.trial = 1
        self.states: list[State] = []

    def tick(
        self, current_ma: float = 20.0, state: str = "hold", *, spasm: float = 0.0, fatigue: float | None = None,
        bad: str = "", phase: int = 1, adapt: bool = True, saturated: bool = False, held: float | None = None,
        limited: bool = False,
    ) -> tuple[float, str]:  # fmt: skip
        self.now_ns += TICK_NS
        estimate = MuscleEstimate(
            muscle="agonist", level_uv=5.0, effort=NONE, response=NONE,
            spasm=Measure(value=spasm, valid=True, reason=""),
            fatigue=NONE if fatigue is None else Measure(value=fatigue, valid=True, reason=""),
        )  # fmt: skip
        left, why = self.reflex.apply(
            Wish(
                self.now_ns, {"ch1": current_ma}, {"agonist": estimate}, bad, phase, adapt, state, (1, self.trial),
                saturated, held, limited,
            )
        )  # fmt: skip
        self.states.append(self.reflex.state_name)
        return left["ch1"], why

    def live(self, seconds: float, **more: Any) -> tuple[float, str]:
        for _ in range(round(seconds * 100)):
            last = self.tick(**more)
        return last

    def trials(self, count: int, **hold: Any) -> None:
        for _ in range(count):
            self.live(0.5, state="ramp_up")
            self.live(3.0, **hold)
            self.live(0.5, state="ramp_down")
            self.live(1.0, state="rest", current_ma=0.0)
            self.trial += 1

    @property
    def course(self) -> list[State]:
        return [state for n, state in enumerate(self.states) if n == 0 or state != self.states[n - 1]]


def test_a_train_goes_through_idle_ramp_hold_ramp_idle() -> None:
    driven = _Driven()
    driven.live(0.1, state="rest", current_ma=0.0)
    driven.trials(1)
    assert driven.course == [State.IDLE, State.RAMP, State.HOLD, State.RAMP, State.IDLE]


def test_a_spasm_stops_then_rests_then_ramps_then_holds() -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.2, resume_s=0.2))
    driven.live(0.1)
    assert driven.tick(spasm=1.0) == (0.0, "spasm of agonist")
    driven.live(1.0)
    assert driven.course == [State.HOLD, State.STOP, State.REST, State.RAMP, State.HOLD]


def test_without_a_rise_there_is_still_no_way_from_zero_to_hold_but_through_ramp() -> None:
    driven = _Driven(spasm=SpasmReflex(hold_off_s=0.0, resume_s=0.0))
    driven.live(0.1)
    driven.tick(spasm=1.0)
    driven.live(0.1)
    driven.tick(bad="emg/sim is silent")
    driven.live(0.1)
    assert driven.course == [State.HOLD, State.STOP, State.RAMP, State.HOLD, State.STOP, State.RAMP, State.HOLD]


def test_a_signal_that_comes_back_lets_the_current_rise_where_that_is_set() -> None:
    driven = _Driven(signal=SignalReflex(resume_s=0.5))
    driven.live(0.1)
    assert driven.tick(bad="emg/sim is silent")[0] == 0.0
    assert driven.tick() == (pytest.approx(0.4), "rising again after a lost signal")
    assert driven.live(0.5) == (20.0, "")


def test_fatigue_reduces_then_work_and_rest_alternate() -> None:
    driven = _Driven(fatigue=FatigueReflex(rest_at=0.5, work_s=5.0, rest_s=3.0, change_per_s=2.0))
    driven.live(4.0, fatigue=0.3)
    assert driven.reflex.state_name is State.REDUCE
    currents = [driven.tick(fatigue=0.6)[0] for _ in range(3000)]
    zero = [current == 0.0 for current in currents]
    runs = "".join("z" if one else "w" for one in zero)
    lengths = [len(found) / 100 for found in re.findall("z+", runs)]
    assert len(lengths) >= 3
    # Half a second of the rest's 3 s is spent on coming down.
    assert lengths[0] == pytest.approx(2.5, abs=0.1)
    assert State.REST in driven.course
    rested = driven.states.index(State.REST)
    after = next(state for state in driven.states[rested:] if state is not State.REST)
    assert after is State.RAMP
    assert "rest for fatigue 0.60" in _until(driven, State.REST)


def _until(driven: _Driven, state: State) -> str:
    for _ in range(3000):
        _, why = driven.tick(fatigue=0.6)
        if driven.reflex.state_name is state:
            return why
    raise AssertionError(f"never {state}")


def test_by_default_it_never_rests_for_fatigue_and_never_plans_anew() -> None:
    driven = _Driven()
    assert driven.live(100.0, fatigue=0.9, saturated=True, held=0.3)[0] > 0.0
    assert driven.reflex.set_point_share == 1.0


REPLAN = {"replan": ReplanReflex(enabled=True, trials=3, factor=0.8, floor=0.5)}


@pytest.mark.parametrize("at_limit", ["saturated", "limited"])
def test_a_target_that_is_not_held_at_the_limit_for_three_trials_is_lowered(at_limit: str) -> None:
    driven = _Driven(**REPLAN)
    driven.trials(2, held=0.8, **{at_limit: True})
    assert driven.reflex.set_point_share == 1.0
    driven.trials(1, held=0.8, **{at_limit: True})
    assert driven.reflex.set_point_share == pytest.approx(0.8)
    assert driven.tick()[1] == "target not held at the current's limit: set point at 80 %"
    assert driven.reflex.state_name is State.REDUCE
    driven.trials(12, held=0.5, **{at_limit: True})
    assert driven.reflex.set_point_share == 0.5


@pytest.mark.parametrize(
    "hold",
    [
        {"held": 0.95, "saturated": True},
        {"held": 0.5},
        {"held": None, "saturated": True},
        {"held": 0.5, "limited": False},
    ],
)
def test_a_target_that_is_held_or_not_at_the_limit_or_not_known_stays(hold: dict[str, Any]) -> None:
    driven = _Driven(**REPLAN)
    driven.trials(8, **hold)
    assert driven.reflex.set_point_share == 1.0


def test_one_trial_that_holds_begins_the_count_again_and_another_phase_is_another_task() -> None:
    driven = _Driven(**REPLAN)
    driven.trials(2, held=0.5, saturated=True)
    driven.trials(1, held=1.0, saturated=True)
    driven.trials(2, held=0.5, saturated=True)
    assert driven.reflex.set_point_share == 1.0
    driven.trials(1, held=0.5, saturated=True)
    assert driven.reflex.set_point_share < 1.0
    driven.tick(phase=2)
    assert driven.reflex.set_point_share == 1.0


def test_a_long_hold_is_judged_in_pieces_and_a_rest_may_go_with_the_new_plan() -> None:
    driven = _Driven(replan=ReplanReflex(enabled=True, trials=2, window_s=5.0, rest_s=2.0))
    driven.live(10.2, held=0.5, saturated=True)
    assert driven.reflex.set_point_share == pytest.approx(0.8)
    left, why = driven.tick(held=0.5, saturated=True)
    assert (left, driven.reflex.state_name) == (0.0, State.REST)
    assert why == "rest, target not held at the current's limit: set point at 80 %"
    assert driven.reflex.let_through == 0.0
    driven.live(3.0)
    assert driven.tick()[0] == 20.0


def test_it_says_how_much_it_let_through() -> None:
    driven = _Driven(fatigue=FatigueReflex(begin=0.0, full=1.0, floor=0.0, change_per_s=100.0))
    driven.live(0.5, fatigue=0.25)
    assert driven.reflex.let_through == pytest.approx(0.75)
    driven.tick(current_ma=0.0, fatigue=0.25)
    assert driven.reflex.let_through == 1.0


odd = st.one_of(st.floats(0, 100), st.sampled_from([math.nan, math.inf, -math.inf, -1.0, 1e308]))
steps = st.lists(
    st.fixed_dictionaries(
        {
            "current_ma": odd,
            "state": st.sampled_from(["idle", "ramp_up", "hold", "ramp_down", "rest"]),
            "spasm": st.sampled_from([0.0, 0.0, 0.0, 1.0, math.nan]),
            "fatigue": st.one_of(st.none(), st.floats(0, 1), st.sampled_from([math.nan, math.inf, 7.0, -1.0])),
            "bad": st.sampled_from(["", "", "lost"]),
            "phase": st.integers(1, 2),
            "adapt": st.booleans(),
            "saturated": st.booleans(),
            "held": st.one_of(st.none(), st.floats(0, 2)),
            "limited": st.booleans(),
        }
    ),
    max_size=60,
)


@settings(deadline=None)
@given(steps, st.integers(0, 60))
def test_whatever_comes_it_only_takes_away_keeps_to_its_table_and_restores_bit_for_bit(data: Any, cut: int) -> None:
    parts = {
        "spasm": SpasmReflex(hold_off_s=0.03, resume_s=0.05, retries_max=3),
        "fatigue": FatigueReflex(rest_at=0.5, work_s=0.05, rest_s=0.05, change_per_s=20.0),
        "signal": SignalReflex(resume_s=0.02),
        "replan": ReplanReflex(enabled=True, trials=1, window_s=0.05, rest_s=0.02),
    }
    one = _Driven(**parts)
    twins: list[_Driven] = []
    before = State.IDLE
    for n, step in enumerate(data):
        if n == cut:
            twin = _Driven(**parts)
            twin.reflex.restore(json.loads(json.dumps(one.reflex.state())))
            twin.now_ns = one.now_ns
            twins.append(twin)
        answer = left, _ = one.tick(**step)
        wish = step["current_ma"]
        assert math.isfinite(left)
        assert 0.0 <= left <= (wish if 0.0 < wish < math.inf else 0.0)
        assert one.reflex.state_name in TRANSITIONS[before]
        assert 0.0 <= one.reflex.set_point_share <= 1.0
        assert 0.0 <= one.reflex.let_through <= 1.0
        before = one.reflex.state_name
        assert all(twin.tick(**step) == answer for twin in twins)


def test_the_documented_table_is_the_one_in_the_code() -> None:
    page = Path(__file__).parents[2] / "docs" / "reflexes.md"
    rows = re.findall(r"^\| `([A-Z]+)` \| ([^|]+) \|[^|]*\|$", page.read_text(), re.MULTILINE)
    told = {State(name): frozenset(State(word) for word in re.findall("[A-Z]+", after)) for name, after in rows}
    assert told == {state: after - {state} for state, after in TRANSITIONS.items()}


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: FatigueReflex(rest_at=0.0), "rest_at is 0"),
        (lambda: FatigueReflex(work_s=0.0), "work_s is 0"),
        (lambda: FatigueReflex(rest_s=math.nan), "rest_s is nan"),
        (lambda: FatigueReflex(change_per_s=-0.5), r"reflex\.fatigue\.change_per_s is -0\.5, allowed is above 0"),
        (lambda: FatigueReflex(change_per_s=math.nan), "change_per_s is nan"),
        (lambda: FatigueReflex(floor=math.nan), "floor is nan, allowed is 0 to 1"),
        (lambda: FatigueReflex(begin=math.nan), "begin nan"),
        (lambda: FatigueReflex(rest_at=math.nan), "rest_at is nan, allowed is above 0 to 1"),
        (lambda: SpasmReflex(hold_off_s=-1.0), r"reflex\.spasm\.hold_off_s is -1, allowed is 0 and more, finite"),
        (lambda: SpasmReflex(hold_off_s=math.nan), "hold_off_s is nan"),
        (lambda: SpasmReflex(resume_s=math.inf), "resume_s is inf"),
        (lambda: SpasmReflex(retries_max=-1), "retries_max is -1"),
        (lambda: SignalReflex(silent_ms=math.inf), r"reflex\.signal\.silent_ms is inf, allowed is above 0, finite"),
        (lambda: SignalReflex(silent_ms=math.nan), "silent_ms is nan"),
        (lambda: SignalReflex(invalid_share_max=1.5), "invalid_share_max is 1.5, allowed is 0 to 1"),
        (lambda: SignalReflex(invalid_share_max=math.nan), "invalid_share_max is nan"),
        (lambda: SignalReflex(resume_s=-1.0), "resume_s is -1"),
        (lambda: ReplanReflex(short=math.nan), "short is nan"),
        (lambda: ReplanReflex(trials=0), "trials is 0"),
        (lambda: ReplanReflex(window_s=0.0), "window_s is 0"),
        (lambda: ReplanReflex(short=1.0), "short is 1"),
        (lambda: ReplanReflex(factor=1.0), "factor is 1"),
        (lambda: ReplanReflex(floor=0.0), "floor is 0"),
        (lambda: ReplanReflex(rest_s=-1.0), "rest_s is -1"),
    ],
)
def test_settings_of_rests_and_plans_that_make_no_sense_are_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("share", [math.nan, math.inf, -math.inf, -1.0, 1.5])
def test_whatever_a_rule_makes_of_its_share_nothing_is_added(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    driven = _Driven()
    monkeypatch.setattr(driven.reflex._duty, "shares", lambda wish, seconds: ({"ch1": share}, "a share"))
    left, _ = driven.tick()
    assert left == (20.0 if share > 1.0 else 0.0)
    assert 0.0 <= driven.reflex.let_through <= 1.0
