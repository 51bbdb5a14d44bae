"""What such protocols promise and a session did not measure is said, and never implied."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.tracks import EventRow
from myoloop.experiments.outcomes.attempt import Measured
from myoloop.experiments.outcomes.view import Value
from myoloop.experiments.protocols.schema import Protocol, load_protocol, presets
from myoloop.experiments.reports.beside import read_beside
from myoloop.experiments.reports.unmeasured import PROMISED, unmeasured
from myoloop.platform.messages import Trial

HERE, ELSEWHERE = "Not measured in this session", "Entered elsewhere, not in this record"


def told(measured: Measured = Measured(None), **more: Any) -> dict[str, str]:  # noqa: B008 - frozen
    given: dict[str, Any] = {"samples": {}, "events": (), "trials": (), **more}
    return dict(unmeasured(SimpleNamespace(**given), measured))  # type: ignore[arg-type]


def missing(measured: Measured = Measured(None), **more: Any) -> set[str]:  # noqa: B008 - frozen
    return set(told(measured, **more).get(HERE, "").partition(". Nothing")[0].split(", "))


def trial(kind: str, **values: Any) -> Trial:
    return Trial(t_ns=0, kind=kind, name="", block=1, trial=1, outcome="done", begin_ns=0, values=values)


def stream(samples: int = 1) -> Any:
    return SimpleNamespace(t_s=[0.0] * samples)


def test_a_session_that_holds_nothing_measured_nothing() -> None:
    assert missing() == {each.what for each in PROMISED}
    assert "Nothing on this page says whether any of it has changed." in told()[HERE]


@pytest.mark.parametrize(
    ("what", "held"),
    [
        ("pain", {"events": (EventRow(0.0, "form", "", "", {"form": "nrs_now", "current": 3}),)}),
        ("pain at light touch", {"events": (EventRow(0.0, "form", "", "", {"form": "allodynia_map.ext"}),)}),
        ("well-being", {"events": (EventRow(0.0, "form", "", "", {"form": "pgic", "change": 4}),)}),
        ("threshold of feeling", {"trials": (trial("threshold", sensory_ma=5.0),)}),
        ("strength", {"trials": (trial("mvc"),), "samples": {"force/cell": stream()}}),
    ],
)
def test_what_was_measured_is_not_said_to_be_missing(what: str, held: dict[str, Any]) -> None:
    assert missing() - missing(**held) == {what}


@pytest.mark.parametrize(
    "held",
    [
        {"trials": (trial("mvc"),), "samples": {"emg/amp": stream()}},
        {"trials": (trial("mvc"),), "samples": {"force/cell": stream(0)}},
        {"trials": (trial("block"),), "samples": {"force/cell": stream()}},
        {"trials": (trial("threshold", sensory_ma=None),)},
        {"events": (EventRow(0.0, "form", "", "", {"form": "skin.ext"}),)},
    ],
    ids=["EMG is no strength", "a cell without samples", "no contraction", "no threshold", "another form"],
)
def test_what_does_not_measure_it_does_not_count(held: dict[str, Any]) -> None:
    assert missing(**held) == missing()


def test_an_outcome_without_a_value_has_not_been_measured() -> None:
    with_value = Measured(None, {"active_rom": Value(30.0)})
    without = Measured(None, {"active_rom": Value(None, why="no IMU was recorded")})
    assert missing() - missing(with_value) == {"range of motion"}
    assert missing(without) == missing()


def test_what_somebody_enters_elsewhere_is_named_with_who_enters_it(tmp_path: Any) -> None:
    text = presets()["quad_immobilised"].read_text(encoding="utf-8")
    path = tmp_path / "p.yaml"
    more = '{entered: thigh circumference, by: clinician}, {entered: "skin temperature, left and right", by: operator}'
    assert "{entered: thigh circumference, by: clinician}" in text
    path.write_text(text.replace("{entered: thigh circumference, by: clinician}", more), encoding="utf-8")
    lines = told(Measured(load_protocol(path)))
    assert "swelling: thigh circumference (by the clinician)" in lines[ELSEWHERE]
    assert "muscle size: thigh circumference (by the clinician)" in lines[ELSEWHERE]
    assert "skin temperature: skin temperature, left and right (by the operator)" in lines[ELSEWHERE]
    assert not {"swelling", "muscle size", "skin temperature"} & missing(Measured(load_protocol(path)))
    assert "blood flow" in missing(Measured(load_protocol(path)))


@pytest.mark.parametrize("name", presets())
def test_no_preset_measures_blood_flow_or_inflammation(name: str) -> None:
    protocol: Protocol = load_protocol(name)
    assert missing(Measured(protocol)) >= {"blood flow", "oxygen in the tissue", "inflammation", "endorphins"}


def test_the_report_of_a_visit_says_it(visit_attempt: Any) -> None:
    session = load(visit_attempt)
    lines = dict(unmeasured(session, read_beside(session).measured))
    said = set(re.split(", ", lines[HERE].partition(". Nothing")[0]))
    # The visit asks for pain and change, finds thresholds and pulls, but has no force cell.
    assert said >= {"blood flow", "skin temperature", "swelling", "strength"}
    assert not said & {"pain", "well-being", "threshold of feeling"}
