from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy import stats

from myoloop.experiments.benchmarks.findings import Finding, all_reached, mean_over_subjects


def found(**more: object) -> Finding:
    return Finding(**{"part": "spasm", "what": "F1", "value": 0.9, **more})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "sense", "reached"),
    [(0.95, "at least", True), (0.949, "at least", False), (0.95, "at most", True), (0.951, "at most", False)],
)
def test_a_target_is_reached_on_its_own_side(value: float, sense: str, reached: bool) -> None:
    assert found(value=value, target=0.95, sense=sense).reached is reached


@pytest.mark.parametrize("sense", ["at least", "at most"])
def test_what_is_not_a_number_reaches_nothing(sense: str) -> None:
    assert found(value=math.nan, target=0.95, sense=sense).reached is False


def test_a_finding_of_numpys_numbers_is_json() -> None:
    told = json.dumps(found(value=np.float64(0.96), target=0.95).as_dict())
    assert json.loads(told)["reached"] is True


def test_without_a_target_nothing_is_reached_or_missed() -> None:
    assert found().reached is None
    assert all_reached([found(), found(target=0.5)])
    assert not all_reached([found(), found(target=0.95)])


def test_the_interval_is_that_of_the_means_of_subjects_not_of_every_seed() -> None:
    rng = np.random.default_rng(3)
    table = rng.standard_normal((20, 1)) + 0.1 * rng.standard_normal((20, 5))
    mean, low, high = mean_over_subjects(table)
    means = table.mean(axis=1)
    expected = stats.t.interval(0.95, 19, loc=means.mean(), scale=stats.sem(means))
    assert mean == pytest.approx(table.mean())
    assert (low, high) == pytest.approx(expected)


def test_one_subject_has_no_interval() -> None:
    with pytest.raises(ValueError, match="at least two"):
        mean_over_subjects([[1.0, 2.0, 3.0]])
