"""Adverse events summed up, with the exact interval of their rate."""

from __future__ import annotations

import json

import pytest

from myoloop.experiments.outcomes.adverse_summary import poisson_per_100, summarise_adverse


def event(**more: object) -> dict[str, object]:
    return {"grade": "mild", "ctcae": 1, "serious": "no", "related": "possible", "device_related": "no",
            "resolved": "yes", **more}  # fmt: skip


def test_events_are_counted_by_grade_relation_and_device():
    found = summarise_adverse(
        [event(), event(grade="severe", ctcae=3, serious="yes", device_related="unsure", resolved="no"),
         event(related="unlikely", serious="yes")], sessions=60,
    )  # fmt: skip
    assert (found.events, found.related, found.serious, found.serious_device, found.open) == (3, 2, 2, 1, 1)
    assert found.by_grade == {"mild": 2, "severe": 1}
    assert found.by_ctcae == {1: 2, 3: 1}
    assert json.loads(json.dumps(found.as_data()))["per_100_sessions"]["value"] == 5.0


def test_the_interval_is_the_exact_one_of_a_poisson_count():
    # Garwood's limits of a count of 5: 1.623 and 11.668; of 0: 0 and 3.689 (two-sided, 95 %).
    assert poisson_per_100(5, 100) == pytest.approx((5.0, 1.623, 11.668), abs=1e-3)
    assert poisson_per_100(0, 100) == pytest.approx((0.0, 0.0, 3.689), abs=1e-3)


def test_without_a_session_there_is_no_rate():
    assert summarise_adverse([], 0).per_100_sessions is None
    with pytest.raises(ValueError, match="found -1"):
        summarise_adverse([], -1)
