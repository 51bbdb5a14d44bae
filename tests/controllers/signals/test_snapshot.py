"""State through JSON and back."""

from __future__ import annotations

import json
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from myoloop.controllers.signals.snapshot import Restorable, StateError, Table, freeze_array, thaw_array


class _Thing(Restorable):
    _kept: ClassVar[tuple[str, ...]] = ("array", "number", "rows")

    def __init__(self) -> None:
        self.array = np.zeros((2, 3))
        self.number: int | None = None
        self.rows: list[list[float]] = []


arrays = hnp.arrays(st.sampled_from([np.float64, np.int64, np.bool_]), hnp.array_shapes(max_dims=3, min_side=0))


@given(arrays)
def test_arrays_survive_json_to_the_last_bit(array: Any) -> None:
    again = thaw_array(json.loads(json.dumps(freeze_array(array))), "x", array.shape, array.dtype)
    assert again.tobytes() == array.tobytes()


def test_a_saved_state_does_not_change_as_the_object_goes_on() -> None:
    thing = _Thing()
    thing.rows.append([1.0])
    saved = thing.state()
    thing.rows[0][0] = 2.0
    thing.array[0, 0] = 7.0
    other = _Thing()
    other.restore(saved)
    assert other.rows == [[1.0]]
    assert other.array[0, 0] == 0.0


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"number": ...}, "missing or unknown: number"),
        ({"extra": 1}, "missing or unknown: extra"),
        ({"array": [1, 2]}, "not a saved array"),
        ({"array": freeze_array(np.zeros((3, 2)))}, r"this object has float64 \(2, 3\)"),
        ({"array": freeze_array(np.zeros((2, 3), dtype=np.int64))}, "this object has float64"),
        ({"array": {**freeze_array(np.zeros((2, 3))), "base64": "AAAA"}}, "not a saved array"),
        ({"array": {**freeze_array(np.zeros((2, 300))), "shape": [2, 3]}}, "this object has"),
    ],
)
def test_what_is_not_its_state_is_refused(change: dict[str, Any], why: str) -> None:
    state = {**_Thing().state(), **change}
    state = {name: value for name, value in state.items() if value is not ...}
    with pytest.raises(StateError, match=why):
        _Thing().restore(state)


class _Count(Restorable):
    _kept: ClassVar[tuple[str, ...]] = ("count",)

    def __init__(self) -> None:
        self.count = 0


def test_a_table_gives_back_its_parts_and_no_others() -> None:
    table, other = Table(_Count, 8), Table(_Count, 8)
    table.of("a").count = 3
    table.of("b")
    other.of("c")
    other.restore(json.loads(json.dumps(table.state())))
    assert [(name, part.count) for name, part in other] == [("a", 3), ("b", 0)]
    assert "c" not in other
    assert other.get("c") is None
    with pytest.raises(StateError, match="no parts"):
        other.restore(None)  # type: ignore[arg-type]


def test_names_beyond_the_most_a_table_holds_share_one_part() -> None:
    table = Table(_Count, 2)
    first = table.of("a"), table.of("b")
    assert table.of("c") is table.of("d") is table.of("")
    assert (table.of("a"), table.of("b")) == first
