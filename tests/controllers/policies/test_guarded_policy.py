"""Whatever a policy does ends in plain numbers that travel, or in zero and a reason that names it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.parts import CAUSES_MAX, LINE_MAX, Faults
from myoloop.controllers.policies.guarded import GuardedPolicy
from myoloop.controllers.policies.policy import Decision, PolicyInput
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import ChannelSetting, Event, StimRequest
from myoloop.platform.wire import decode, encode


class Theirs:
    """A policy of somebody else's: each method does what the test says."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.fails: dict[str, Exception] = {}
        self.saved: Any = {}
        self.restored: Any = None

    def _maybe(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]

    def decide(self, given: PolicyInput) -> Decision:
        self._maybe("decide")
        return self.answer  # type: ignore[no-any-return]

    def reset(self) -> None:
        self._maybe("reset")

    def state(self) -> dict[str, Any]:
        self._maybe("state")
        return self.saved  # type: ignore[no-any-return]

    def restore(self, state: Mapping[str, Any]) -> None:
        self._maybe("restore")
        self.restored = state


class Mute(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


@pytest.fixture
def guard() -> Callable[[Any], SimpleNamespace]:
    def made(answer: Any = None) -> SimpleNamespace:
        theirs, faults = Theirs(answer), Faults()
        return SimpleNamespace(
            theirs=theirs, faults=faults, policy=GuardedPolicy(theirs, "lab", ("ch1", "ch2"), faults)
        )

    return made


def travels(decision: Decision, told: list[str]) -> None:
    """It goes over the wire and comes out as it was."""
    channels = tuple(
        ChannelSetting(channel=name, current_ma=ma, phase_us=250.0, rate_hz=35.0)
        for name, ma in decision.current_ma.items()
    )
    request = StimRequest(step=1, t_ns=1, arm_id="a", lease_ms=100, channels=channels, reason=decision.reason)
    events = [Event(t_ns=1, kind="fault", who="controller", why=why) for why in told]
    for topic, message in (("request", request), *(("event", event) for event in events)):
        frames = encode(topic, message, session="s", publisher="controller", epoch=1, seq=0)
        assert decode(frames)[1].message == message


GIVEN: Any = None  # No test's policy looks at what it is given.


@pytest.mark.parametrize(
    ("value", "ma"),
    [
        (12.5, 12.5), (12, 12.0), (np.float64(12.5), 12.5), (np.float32(12.5), 12.5), (np.int16(12), 12.0),
        (Fraction(25, 2), 12.5), (0, 0.0),
    ],
)  # fmt: skip
def test_every_kind_of_real_number_is_a_plain_one_then(guard: Any, value: Any, ma: float) -> None:
    made = guard(Decision({"ch1": value}, "fine", trigger=np.bool_(True)))
    decision = made.policy.decide(GIVEN)
    assert decision == Decision({"ch1": ma, "ch2": 0.0}, "fine", trigger=True)
    assert [type(each) for each in decision.current_ma.values()] == [float, float]
    assert type(decision.trigger) is bool
    travels(decision, made.faults.take())


def test_a_threshold_that_is_no_number_is_not_told(guard: Any) -> None:
    made = guard(Decision({"ch1": 1.0}, threshold_uv={"a": np.float32(12.5), "b": math.nan, "c": "30"}))
    assert made.policy.decide(GIVEN).threshold_uv == {"a": 12.5}


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Decision({"ch1": True}), "policy refused: ch1 at True mA"),
        (Decision({"ch1": np.True_}), "policy refused: ch1 at np.True_ mA"),
        (Decision({"ch1": "10"}), "policy refused: ch1 at '10' mA"),
        (Decision({"ch1": None}), "policy refused: ch1 at None mA"),
        (Decision({"ch1": 1 + 2j}), "policy refused: ch1 at (1+2j) mA"),
        (Decision({"ch1": np.array([1.0])}), "policy refused: ch1 at array([1.]) mA"),
        (Decision({"ch1": np.float32("nan")}), "policy refused: ch1 at nan mA"),
        (Decision({"ch1": -math.inf}), "policy refused: ch1 at -inf mA"),
        (Decision({"ch1": -1e-300}), "policy refused: ch1 at -1e-300 mA"),
        (Decision({"ch1": 10**400}), "policy failed: OverflowError"),
        (Decision({"ch3": 1.0}), "policy refused: no channel is called 'ch3'"),
        (Decision([1.0]), "policy failed: AttributeError"),
        (Decision({"ch1": 1.0}, trigger=np.array([1, 2])), "policy failed: ValueError"),
        (Decision({"ch1": object()}), "policy refused: ch1 at <object object at 0x> mA"),
        ({"ch1": 1.0}, "policy failed: AttributeError"),
    ],
)  # fmt: skip
def test_what_is_no_current_is_zero_and_told(guard: Any, answer: Any, why: str) -> None:
    made = guard(answer)
    decision = made.policy.decide(GIVEN)
    assert dict(decision.current_ma) == {"ch1": 0.0, "ch2": 0.0}
    assert decision.reason.startswith(why)
    assert not decision.trigger
    told = made.faults.take()
    assert [line.startswith(why.replace("policy", "policy 'lab'")) for line in told] == [True]
    travels(decision, told)


@pytest.mark.parametrize(
    ("reason", "line"),
    [(3, "3"), (None, "None"), ("x" * 2_000_000, "x" * LINE_MAX), ("a\nb", "a b"), ("\ud800", "?"), ("µs", "µs")],
)
def test_its_reason_is_a_line_that_travels(guard: Any, reason: Any, line: str) -> None:
    made = guard(Decision({"ch1": 1.0}, reason))
    decision = made.policy.decide(GIVEN)
    assert (decision.reason, decision.current_ma["ch1"]) == (line, 1.0)
    travels(decision, made.faults.take())


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.builds(
            Decision,
            st.dictionaries(
                st.sampled_from(["ch1", "ch2", "ch3"]) | st.none(),
                st.floats() | st.integers() | st.booleans() | st.text(max_size=5) | st.binary() | st.complex_numbers(),
            )
            | st.none(),
            st.text() | st.integers() | st.floats(),
            st.booleans() | st.none() | st.text(max_size=2),
        ),
        st.sampled_from(
            [ZeroDivisionError("by nought"), Mute(), KeyError("x"), RecursionError(), AssertionError("\ud800")]
        ),
        st.none(),
    )
)
def test_whatever_it_answers_current_is_plain_and_what_is_told_travels(answer: Any) -> None:
    theirs, faults = Theirs(answer), Faults()
    if isinstance(answer, Exception):
        theirs.fails["decide"] = answer
    decision = GuardedPolicy(theirs, "lab", ("ch1", "ch2"), faults).decide(GIVEN)
    assert list(decision.current_ma) == ["ch1", "ch2"]
    for value in decision.current_ma.values():
        assert type(value) is float
        assert 0.0 <= value < math.inf
    travels(decision, faults.take())


def test_a_cause_is_told_once_and_never_more_than_some(guard: Any) -> None:
    made = guard(Decision({"ch1": math.nan}))
    for n in range(100):
        made.theirs.fails = {"decide": ValueError(str(n))} if n % 2 else {}
        made.policy.decide(GIVEN)
    assert made.faults.take() == ["policy 'lab' refused: ch1 at nan mA", "policy 'lab' failed: ValueError: 1"]
    for n in range(100):
        made.theirs.fails = {"decide": type(f"Error{n}", (Exception,), {})()}
        made.policy.decide(GIVEN)
    assert len(made.faults.take()) == CAUSES_MAX - 2


def test_one_that_cannot_be_reset_is_not_asked_until_it_can(guard: Any) -> None:
    made = guard(Decision({"ch1": 5.0}))
    made.theirs.fails["reset"] = RuntimeError("integrator stuck")
    assert not made.policy.reset()
    for _ in range(3):
        decision = made.policy.decide(GIVEN)
        assert decision.current_ma["ch1"] == 0.0
        assert decision.reason == "policy failed: reset: RuntimeError: integrator stuck"
    assert made.faults.take() == ["policy 'lab' failed: reset: RuntimeError: integrator stuck"]
    again = guard(Decision({"ch1": 5.0}))
    again.policy.restore(json.loads(json.dumps(made.policy.state())))
    assert again.policy.decide(GIVEN) == made.policy.decide(GIVEN)
    made.theirs.fails.clear()
    assert made.policy.reset()
    assert made.policy.decide(GIVEN).current_ma["ch1"] == 5.0


@pytest.mark.parametrize(
    ("saved", "why"),
    [
        (ZeroDivisionError("by nought"), "ZeroDivisionError: by nought"),
        ({"weights": np.zeros(2)}, "TypeError"),
        ({"gain": math.nan}, "ValueError"),
        ({"weights": [0.123456789] * 100_000}, "1300013 bytes of JSON, at most 500000"),
    ],
)
def test_one_that_cannot_say_its_state_begins_anew_and_that_is_told(guard: Any, saved: Any, why: str) -> None:
    made = guard(Decision({"ch1": 5.0}))
    made.theirs.saved = saved
    if isinstance(saved, Exception):
        made.theirs.fails["state"] = saved
    state = json.loads(json.dumps(made.policy.state(), allow_nan=False))
    (told,) = made.faults.take()
    assert told.startswith(f"policy 'lab' failed: state: {why}")
    again = guard(Decision({"ch1": 5.0}))
    again.policy.restore(state)
    assert again.theirs.restored is None
    assert again.policy.decide(GIVEN).current_ma["ch1"] == 5.0


def test_a_state_it_does_not_take_back_is_not_its_state(guard: Any) -> None:
    made = guard()
    made.theirs.saved = {"level": 3}
    state = made.policy.state()
    made.policy.restore(state)
    assert made.theirs.restored == {"level": 3}
    made.theirs.fails["restore"] = IndexError("level")
    with pytest.raises(StateError, match="policy 'lab' does not take its state back: IndexError: level"):
        made.policy.restore(state)


class Listening:
    """Writes down what it hears."""

    def __init__(self) -> None:
        self.heard: list[Any] = []

    def decided(self, given: PolicyInput, decision: Decision) -> None:
        self.heard.append((given, decision))

    def reset(self) -> None:
        self.heard.append("reset")


def test_a_listener_hears_what_was_given_and_what_came_of_it_and_changes_nothing(guard: Any) -> None:
    made, listener = guard(Decision({"ch1": 12}, "fine")), Listening()
    made.policy.overhear(listener)
    decision = made.policy.decide(GIVEN)
    assert made.policy.reset()
    made.theirs.fails["decide"] = ValueError("no")
    failed = made.policy.decide(GIVEN)
    assert listener.heard == [(GIVEN, decision), "reset", (GIVEN, failed)]
    assert decision.current_ma == {"ch1": 12.0, "ch2": 0.0}
    assert failed.current_ma == {"ch1": 0.0, "ch2": 0.0}
    assert made.policy.inner is made.theirs
