"""A strongest contraction is believed by others of its own muscle, not by those of a weaker one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from myoloop.experiments.outcomes.compute import mvc_emg
from myoloop.experiments.outcomes.mechanical import of_strongest
from myoloop.platform.messages import Trial


def view(*peaks: tuple[str, float]) -> Any:
    rows = [
        Trial(
            t_ns=0, kind="mvc", name="MVC", block=1, trial=number, outcome="done", begin_ns=0, end_ns=1,
            values={"muscle": muscle, "peak_uv": peak_uv},
        )
        for number, (muscle, peak_uv) in enumerate(peaks, 1)
    ]  # fmt: skip
    return SimpleNamespace(trials=lambda kind: rows)


def test_a_weaker_muscle_beside_it_casts_no_doubt() -> None:
    found = mvc_emg(view(("left", 300.0), ("right", 150.0), ("left", 310.0), ("right", 151.0), ("left", 305.0)))
    assert (found.value, found.n, found.valid) == (310.0, 3, True)


def test_a_muscle_with_one_contraction_is_not_believed_by_those_of_another() -> None:
    found = mvc_emg(view(("left", 400.0), ("right", 390.0), ("right", 391.0), ("right", 392.0)))
    assert (found.value, found.valid) == (400.0, False)
    assert "1 whole contractions, needed are 3" in found.doubt


@pytest.mark.parametrize("told", [[], [("left", 1.0)]])
def test_few_are_themselves(told: list[tuple[str, float]]) -> None:
    assert of_strongest(told) == [value for _, value in told]
