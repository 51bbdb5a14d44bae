"""Whatever an estimator does, its fields are plain, or not valid with a reason that names it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.controllers.estimators.estimator import Heard, Situation
from myoloop.controllers.estimators.guarded import MEASURES, NUMBERS, WORDS, GuardedEstimator
from myoloop.controllers.parts import Faults
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import Estimate, Measure, MuscleEstimate, MWave
from myoloop.platform.wire import decode, encode

SITUATION = Situation(now_ns=1)
KNOWN = Measure(value=0.25, low=0.125, high=0.5, valid=True, reason="")


class Theirs:
    """An estimator of somebody else's: each method does what the test says."""

    def __init__(self, fields: Any = None) -> None:
        self.given = fields
        self.fails: dict[str, Exception] = {}
        self.saved: Any = {}
        self.restored: Any = None
        self.heard = 0
        self.mask: Any = None

    def _maybe(self, what: str) -> None:
        if what in self.fails:
            raise self.fails[what]

    def hear(self, heard: Heard, situation: Situation) -> None:
        self.heard += 1
        if self.mask is not None:
            heard.spasm = self.mask
        self._maybe("hear")

    def step(self, situation: Situation) -> None:
        self._maybe("step")

    def fields(self, now_ns: int) -> Mapping[str, Sequence[Any]]:
        self._maybe("fields")
        return self.given  # type: ignore[no-any-return]

    def state(self) -> dict[str, Any]:
        self._maybe("state")
        return self.saved  # type: ignore[no-any-return]

    def restore(self, state: Mapping[str, Any]) -> None:
        self._maybe("restore")
        self.restored = state


@pytest.fixture
def guard() -> Callable[..., SimpleNamespace]:
    def made(fields: Any = None, *, ours: bool = False) -> SimpleNamespace:
        theirs, faults = Theirs(fields), Faults()
        return SimpleNamespace(
            theirs=theirs, faults=faults, estimator=GuardedEstimator(theirs, "lab", 2, faults, ours=ours)
        )

    return made


def heard() -> Any:
    return SimpleNamespace(spasm=np.zeros(2, dtype=np.bool_))


def travels(fields: Mapping[str, Sequence[Any]]) -> None:
    """What an estimate makes of the fields goes over the wire and comes out as it was."""
    unknown = Measure()
    rest = dict.fromkeys(("fatigue", "spasm", "effort", "response"), unknown)
    muscles = tuple(
        MuscleEstimate(muscle=f"m{i}", level_uv=None, **{**rest, **{name: row[i] for name, row in fields.items()}})
        for i in range(2)
    )
    estimate = Estimate(step=1, t_ns=1, muscles=muscles)
    assert decode(encode("estimate", estimate, session="s", publisher="c", epoch=1, seq=0))[1].message == estimate


WAVE = {
    "t_ns": 1, "pulses": 3, "channel": "ext", "peak_to_peak_uv": 900.0, "rectified_area_uv_ms": 3.0,
    "first_phase_uv_ms": 1.0, "second_phase_uv_ms": 2.0, "duration_ms": 4.0, "latency_ms": 5.0,
}  # fmt: skip


def test_every_field_of_an_estimate_is_known_here() -> None:
    of_the_message = {field.name: field for field in msgspec.structs.fields(MuscleEstimate)}
    # The controller tells these itself; an estimator that gives one gives something else than its fields.
    by_controller = {"muscle", "level_uv", "activity_uv", "threshold_uv"}
    assert set(of_the_message) - by_controller == MEASURES | set(NUMBERS) | set(WORDS) | {"mwave"}
    assert all(of_the_message[name].default in allowed for name, allowed in WORDS.items())
    for name, (_, missing) in NUMBERS.items():
        assert of_the_message[name].default == missing


@pytest.mark.parametrize(
    "field",
    [
        {"jasa": ["fatigue", "tired"]},
        {"spasm_kind": ["tonic", None]},
        {"mwave": [None, 3.0]},
        {"mwave": [None, MWave(**{**WAVE, "duration_ms": math.nan})]},
    ],
)
def test_a_word_that_is_not_of_the_list_and_an_mwave_that_is_none_are_not_taken(guard: Any, field: Any) -> None:
    made = guard(field)
    fields = made.estimator.fields(1)
    assert fields == {} or all(value in ("", None) for values in fields.values() for value in values)
    assert made.estimator.problem


def test_words_and_mwaves_pass(guard: Any) -> None:
    given_ = {"jasa": ["fatigue", ""], "mwave": [None, MWave(**WAVE)]}
    assert guard(given_).estimator.fields(1) == given_


def test_good_fields_pass_as_they_are(guard: Any) -> None:
    given_ = {"fatigue": [KNOWN, KNOWN], "contractions": (3, 4), "median_frequency_hz": [None, 80.0]}
    made = guard(given_)
    fields = made.estimator.fields(1)
    assert fields == {"fatigue": [KNOWN, KNOWN], "contractions": [3, 4], "median_frequency_hz": [None, 80.0]}
    assert fields["fatigue"][0] is KNOWN
    assert (made.estimator.problem, made.faults.take()) == ("", [])
    assert guard(given_, ours=True).estimator.fields(1) is given_


def test_numpys_numbers_are_plain_ones_then(guard: Any) -> None:
    theirs = Measure(value=np.float64(0.25), low=np.float32(0.125), high=np.int8(1), valid=np.True_, reason="")
    made = guard(
        {"response": [theirs, KNOWN], "mean_frequency_hz": np.array([80.0, 81.5]), "contractions": np.arange(2)}
    )
    fields = made.estimator.fields(1)
    assert fields["response"][0] == Measure(value=0.25, low=0.125, high=1.0, valid=True, reason="")
    assert [type(each) for each in msgspec.structs.astuple(fields["response"][0])] == [float, float, float, bool, str]
    assert [type(each) for row in ("mean_frequency_hz", "contractions") for each in fields[row]] == [
        float,
        float,
        int,
        int,
    ]
    travels(fields)
    assert made.faults.take() == []


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"fatigue": [0.5, 0.5]}, "fatigue is a float, not a Measure"),
        ({"fatigue": [KNOWN]}, "gives 1 values of fatigue for 2 muscles"),
        ({"fatique": [KNOWN, KNOWN]}, "gives 'fatique', which is no field of an estimate"),
        ({"muscle": ["a", "b"]}, "gives 'muscle', which is no field of an estimate"),
        ({"fatigue": [Measure(value=math.nan, valid=True), KNOWN]}, "fatigue holds nan, not a finite number"),
        ({"spasm": [Measure(value=True, valid=True), KNOWN]}, "spasm holds True, not a finite number"),
        ({"effort": [Measure(value=0.5, high=math.inf), KNOWN]}, "effort holds inf, not a finite number"),
        ({"effort": [Measure(value="0.5"), KNOWN]}, "effort holds '0.5', not a finite number"),
        ({"contractions": [1, None]}, "contractions is None, not a whole number"),
        ({"contractions": [1.5, 1]}, "contractions is 1.5, not a whole number"),
        ({"contraction_t_ns": [2**64, 1]}, f"contraction_t_ns is {2**64}, not a whole number"),
        ({"fatigue": None}, "TypeError: object of type 'NoneType' has no len()"),
        (None, "AttributeError: 'NoneType' object has no attribute 'items'"),
    ],
)  # fmt: skip
def test_other_fields_are_not_valid_and_the_reason_names_it(guard: Any, fields: Any, why: str) -> None:
    made = guard({"fatigue": [KNOWN, KNOWN], "contractions": [3, 3]})
    made.estimator.fields(1)
    made.theirs.given = fields
    line = f"estimator 'lab' failed: fields: {why}"
    for _ in range(3):
        found = made.estimator.fields(2)
        assert found == {"fatigue": [Measure(reason=line)] * 2, "contractions": [0, 0]}
        assert not found["fatigue"][0].valid
    travels(found)
    assert made.faults.take() == [line]
    assert made.estimator.problem == line
    # It is asked again, and what it gives then counts.
    made.theirs.given = {"fatigue": [KNOWN, KNOWN]}
    assert made.estimator.fields(3) == {"fatigue": [KNOWN, KNOWN]}
    assert made.estimator.problem == ""


@pytest.mark.parametrize("ours", [False, True])
@pytest.mark.parametrize("where", ["hear", "step"])
def test_one_that_raised_in_taking_something_in_is_not_asked_any_more(guard: Any, where: str, ours: bool) -> None:
    made = guard({"spasm": [KNOWN, KNOWN], "spasm_onset_ns": [None, 5]}, ours=ours)
    made.estimator.fields(1)
    made.theirs.fails[where] = ZeroDivisionError("by nought")
    made.estimator.hear(heard(), SITUATION)
    made.estimator.step(SITUATION)
    made.theirs.fails.clear()
    line = f"estimator 'lab' failed: {where}: ZeroDivisionError: by nought"
    for _ in range(3):
        made.estimator.hear(heard(), SITUATION)
        made.estimator.step(SITUATION)
        assert made.estimator.fields(2) == {"spasm": [Measure(reason=line)] * 2, "spasm_onset_ns": [None, None]}
    assert made.theirs.heard == 1
    assert made.estimator.may_lack("spasm")
    assert not made.estimator.may_lack("effort")
    assert made.faults.take() == [line]


def test_of_one_that_never_gave_a_field_any_may_be_missing(guard: Any) -> None:
    made = guard()
    made.theirs.fails["fields"] = KeyError("x")
    assert made.estimator.fields(1) == {}
    assert made.estimator.may_lack("spasm")
    assert made.estimator.may_lack("fatigue")


@pytest.mark.parametrize("mask", [np.zeros(3, dtype=np.bool_), np.zeros(2), [False, True], 7])
def test_what_it_writes_for_others_is_truth_values_or_is_taken_back(guard: Any, mask: Any) -> None:
    made, hop = guard(), heard()
    before = hop.spasm
    made.theirs.mask = mask
    made.estimator.hear(hop, SITUATION)
    assert hop.spasm is before
    assert made.faults.take() == ["estimator 'lab' failed: hear: heard.spasm is no array of 2 truth values"]
    good, hop = guard(), heard()
    good.theirs.mask = np.array([True, False])
    good.estimator.hear(hop, SITUATION)
    assert hop.spasm is good.theirs.mask
    assert good.faults.take() == []


@settings(deadline=None, max_examples=300)
@given(
    st.dictionaries(
        st.sampled_from([*sorted(MEASURES), *sorted(NUMBERS), "muscle", "level_uv"]),
        st.lists(
            st.builds(
                Measure,
                value=st.none() | st.floats() | st.booleans() | st.text(max_size=3) | st.integers(),
                valid=st.booleans() | st.none(),
                reason=st.text() | st.none(),
            )
            | st.none() | st.integers() | st.floats() | st.text(max_size=3),
            min_size=1, max_size=3,
        ),
        max_size=3,
    )
)  # fmt: skip
def test_whatever_it_gives_the_estimate_travels_and_nothing_valid_is_not_finite(given_: Any) -> None:
    faults = Faults()
    estimator = GuardedEstimator(Theirs(given_), "lab", 2, faults, ours=False)
    fields = estimator.fields(1)
    travels(fields)
    for name in MEASURES & set(fields):
        for measure in fields[name]:
            assert measure.value is None or math.isfinite(measure.value)


def test_restored_it_goes_on_as_it_was(guard: Any) -> None:
    made = guard({"spasm": [KNOWN, KNOWN]})
    made.theirs.saved = {"level": 3}
    made.estimator.fields(1)
    made.theirs.fails["hear"] = ZeroDivisionError()
    made.estimator.hear(heard(), SITUATION)
    again = guard({"spasm": [KNOWN, KNOWN]})
    again.estimator.restore(json.loads(json.dumps(made.estimator.state(), allow_nan=False)))
    assert again.theirs.restored == {"level": 3}
    assert again.estimator.fields(2) == made.estimator.fields(2)
    assert again.estimator.problem == made.estimator.problem


def test_one_that_cannot_say_its_state_begins_anew_and_that_is_told(guard: Any) -> None:
    made = guard()
    made.theirs.saved = {"level": {1}}
    state = json.loads(json.dumps(made.estimator.state(), allow_nan=False))
    assert made.faults.take()[0].startswith("estimator 'lab' failed: state: TypeError")
    again = guard()
    again.estimator.restore(state)
    assert again.theirs.restored is None


def test_a_state_it_does_not_take_back_is_not_its_state(guard: Any) -> None:
    made = guard()
    made.theirs.fails["restore"] = IndexError("level")
    with pytest.raises(StateError, match="estimator 'lab' does not take its state back: IndexError: level"):
        made.estimator.restore(made.estimator.state())
