"""Virtual and recorded responses are measured alike; where nothing was recorded the table says so."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from myoloop.experiments.training.sim_to_real import (
    MEASURES,
    NOBODY,
    Train,
    compare_responses,
    interval,
    measure,
    read_open_loop,
    say_gap,
    virtual_forces,
)

TIMES = np.arange(0, 60, 0.01)
TRAINS = tuple(Train(at, at + 0.5, at + 2.5, 10.0) for at in (5.0, 25.0, 45.0))


def force(lost_per_min: float, rise_s: float) -> np.ndarray:
    """Each train 20 N times what is left of it, reached linearly, above an offset of 3 N."""
    total = np.full(len(TIMES), 3.0)
    for train in TRAINS:
        left = 1 - lost_per_min * train.begin_s / 60
        shape = np.clip((TIMES - train.onset_s) / rise_s, 0, 1) * (train.end_s >= TIMES)
        total += 20 * left * shape
    return total


def test_the_measures_of_a_known_force_are_known() -> None:
    found = measure(TIMES, force(0.3, 0.5), TRAINS)
    assert found["response_per_current"] == pytest.approx(2 * (1 - 0.3 * 25.5 / 60), rel=1e-6)
    assert found["rise"] == pytest.approx(0.4, abs=0.02)
    assert found["fatigue_slope"] == pytest.approx(-100 * 0.3 / (1 - 0.3 * 25.5 / 60), rel=1e-6)


def test_two_trains_have_no_slope_and_none_has_nothing() -> None:
    two = measure(TIMES, force(0.3, 0.5), TRAINS[:2])
    assert math.isnan(two["fatigue_slope"])
    assert not math.isnan(two["rise"])
    assert all(math.isnan(value) for value in measure(TIMES, force(0.3, 0.5), ()).values())
    assert math.isnan(measure(TIMES, np.zeros(len(TIMES)), TRAINS)["rise"])


def test_an_interval_needs_two_people() -> None:
    assert interval([]) == {"mean": None, "low": None, "high": None, "n": 0}
    assert interval([2.0]) == {"mean": 2.0, "low": None, "high": None, "n": 1}
    # t of two degrees of freedom: 4.303
    found = interval([1.0, 2.0, 3.0])
    assert (found["mean"], found["n"]) == (2.0, 3)
    assert found["high"] == pytest.approx(2 + 4.302653 / math.sqrt(3), rel=1e-6)


def test_without_anything_recorded_it_says_so() -> None:
    table = compare_responses([])
    assert table["people"] == {"note": NOBODY, "sessions": [], "rows": []}
    assert "how far the model is from people is not known" in say_gap(table)


def test_a_simulated_session_is_never_told_of_as_a_person(recorded_study: Path) -> None:
    table = compare_responses([recorded_study], people=4)
    assert table["people"]["note"] == NOBODY
    assert table["full_tier"]["sessions"] == ["sub-P003/ses-01/att-1"]
    assert [row["measure"] for row in table["full_tier"]["rows"]] == list(MEASURES)
    assert all(row["recorded"]["low"] is None and row["subjects"] == 1 for row in table["full_tier"]["rows"])
    assert "one person, no interval" in say_gap(table)
    not_used = {row["session"]: row["reason"] for row in table["not_used"]}
    assert set(not_used) == {f"sub-{person}/ses-01/att-1" for person in ("P001", "P002", "P004")}
    assert not_used["sub-P001/ses-01/att-1"] == "policy adaptive_gain: not open loop"


def test_virtual_people_get_the_recorded_pulses_and_answer_like_the_full_tier(recorded_study: Path) -> None:
    recorded = read_open_loop(recorded_study / "sub-P003" / "ses-01" / "att-1")
    t_s, forces = virtual_forces(recorded, 3, seed=0)
    assert len(recorded.trains) == 3
    assert forces.shape == (len(t_s), 3)
    before = t_s < recorded.trains[0].onset_s
    # At rest there is a little tone.
    assert forces[~before].max() > 5 * forces[before].max()
    theirs, own = measure(t_s, forces[:, 0], recorded.trains), measure(recorded.t_s, recorded.force_n, recorded.trains)
    assert theirs["rise"] == pytest.approx(own["rise"], abs=0.15)
    again = virtual_forces(recorded, 3, seed=0)[1]
    np.testing.assert_array_equal(again, forces)
