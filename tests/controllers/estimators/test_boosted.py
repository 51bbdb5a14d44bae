"""Boosted trees as plain arrays: what they give, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from myoloop.controllers.estimators.boosted import Boosted, read_model

INPUTS = ("rise", "spread")
#: Left of rise 1 (scaled: 0.5) it is -2, right of it 3, or 5 where the spread is above 4.
PLAIN: dict[str, Any] = {
    "inputs": INPUTS, "mean": [0.0, 0.0], "scale": [2.0, 1.0], "base": 10.0,
    "feature": [[0, -1, 1, -1, -1]], "threshold": [[0.5, 0.0, 4.0, 0.0, 0.0]],
    "left": [[1, -1, 3, -1, -1]], "right": [[2, -1, 4, -1, -1]], "value": [[0.0, -2.0, 0.0, 3.0, 5.0]],
}  # fmt: skip


def _boosted(**changed: Any) -> Boosted:
    return Boosted(read_model({**PLAIN, **changed}, INPUTS))


@pytest.mark.parametrize(
    ("rise", "spread", "score"), [(0.0, 0.0, 8.0), (1.0, 9.0, 8.0), (1.1, 4.0, 13.0), (1.1, 4.1, 15.0)]
)
def test_an_input_is_led_to_its_leaf(rise, spread, score):
    assert _boosted().score(np.array([[rise, spread]])).tolist() == [score]


def test_trees_of_different_size_are_added_up():
    both = {
        name: [*PLAIN[name], leaf]
        for name, leaf in (("feature", [-1]), ("threshold", [0.0]), ("left", [-1]), ("right", [-1]), ("value", [0.25]))
    }
    assert _boosted(**both).score(np.array([[0.0, 0.0], [9.0, 9.0]])).tolist() == [8.25, 15.25]


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_a_probability_is_one_whatever_goes_in(rows):
    for calibration in ({}, {"rises_at": [8.0, 15.0], "rises_to": [0.01, 0.9]}):
        chance = _boosted(**calibration).probability(np.array(rows))
        assert ((chance >= 0.0) & (chance <= 1.0)).all()


def test_a_calibration_is_a_polyline_that_ends_level():
    model = _boosted(rises_at=[9.0, 13.0, 14.0], rises_to=[0.1, 0.3, 0.8])
    assert model.probability(np.array([[0.0, 0.0], [1.1, 0.0], [1.1, 9.0]])).tolist() == [0.1, 0.3, 0.8]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"inputs": ("rise", "other")}, "model.inputs: found other"),
        ({"scale": [2.0, 0.0]}, "model.scale: found a value that is not above 0"),
        ({"mean": [0.0]}, "1 means and 2 scales for 2 inputs"),
        ({"value": [[0.0, float("inf"), 0.0, 3.0, 5.0]]}, "not finite"),
        ({"base": float("nan")}, "not finite"),
        ({"feature": [[2, -1, 1, -1, -1]]}, "tree 0: node 0 asks for input 2"),
        ({"left": [[0, -1, 3, -1, -1]]}, "tree 0: node 0 leads to 0 and 2, not to later nodes"),
        ({"right": [[9, -1, 4, -1, -1]]}, "tree 0: node 0 leads to 1 and 9"),
        ({"threshold": [[0.5]]}, "tree 0: its arrays have different lengths"),
        ({"feature": []}, "0 trees"),
        ({"rises_at": [1.0, 0.0], "rises_to": [0.0, 1.0]}, "rise"),
        ({"rises_at": [0.0, 1.0], "rises_to": [0.0, 1.5]}, "no probability"),
        ({"more": 1}, "model: Object contains unknown field `more`"),
        ({"base": "0"}, "model: Expected `float`"),
    ],
)
def test_what_is_no_model_is_refused_in_one_line(changed, said):
    with pytest.raises(ValueError, match=said) as caught:
        _boosted(**changed)
    assert "\n" not in str(caught.value)


def test_no_model_at_all_says_where_one_comes_from():
    with pytest.raises(ValueError, match="train-estimators"):
        read_model({}, INPUTS)
