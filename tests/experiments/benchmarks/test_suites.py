from __future__ import annotations

import json
import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from myoloop.experiments.benchmarks import suites
from myoloop.experiments.benchmarks.findings import Finding
from myoloop.experiments.benchmarks.suites import SUITES, TIMED, Size, SuiteError, bench_suite, load

SMALL = Size(subjects=2, seeds=1, first_seed=5)


def part(value: float) -> Any:
    def measure(subjects: int, seeds: int, first_seed: int, say: Any) -> tuple[list[Finding], dict[str, Any]]:
        finding = Finding(
            part="subject", what="height", value=value, unit="m", target=1.5, baseline="guessed", baseline_value=1.0
        )
        return [finding], {"x": [0.0, 1.0], "y": [subjects, seeds + first_seed]}

    def draw(curves: dict[str, Any], figure: Any) -> None:
        figure.add_subplot().plot(curves["x"], curves["y"])

    return SimpleNamespace(NAME="subject", measure=measure, draw=draw)


@pytest.mark.parametrize(("value", "code", "word"), [(1.8, 0, "reached"), (1.2, 1, "NOT reached")])
def test_a_missed_target_is_said_and_is_the_exit_code(
    value: float, code: int, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suites, "load", lambda name: part(value))
    assert bench_suite("subject", SMALL) == code
    said = capsys.readouterr().out
    assert f"{value} m" in said
    assert f": {word})" in said
    assert "guessed: 1" in said


def test_json_is_one_object_with_every_finding(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(suites, "load", lambda name: part(1.8))
    bench_suite("subject", SMALL, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["suite"] == "subject"
    assert (said["subjects"], said["seeds"], said["first_seed"]) == (2, 1, 5)
    assert said["findings"][0]["value"] == 1.8
    assert said["findings"][0]["reached"] is True
    assert said["reached"] is True


def test_findings_and_figures_go_into_a_folder_the_same_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(suites, "load", lambda name: part(1.8))
    for folder in ("a", "b"):
        bench_suite("subject", SMALL, out=tmp_path / folder)
    assert json.loads((tmp_path / "a" / "subject.json").read_text())["findings"][0]["what"] == "height"
    figure = (tmp_path / "a" / "subject.svg").read_bytes()
    assert figure.startswith(b"<?xml")
    assert figure == (tmp_path / "b" / "subject.svg").read_bytes()


def test_a_part_measured_anew_leaves_the_others_of_its_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def of(name: str, value: float) -> Any:
        finding = Finding(part=name, what="height", value=value, target=1.5)
        return SimpleNamespace(NAME=name, measure=lambda *given: ([finding], {}), draw=None)

    for value, parts in ((1.0, ("motion", "step")), (2.0, ("step",))):
        monkeypatch.setattr(suites, "load", lambda name, value=value: of(name, value))
        monkeypatch.setattr(suites, "TIMED", frozenset({"motion", "step"}))
        bench_suite("estimators", SMALL, parts=parts, out=tmp_path)
    found = json.loads((tmp_path / "estimators.json").read_text())
    assert [(each["part"], each["value"]) for each in found["findings"]] == [("motion", 1.0), ("step", 2.0)]
    assert found["reached"] is False


def test_a_part_of_another_suite_is_refused_by_name() -> None:
    with pytest.raises(SuiteError, match="found part 'spasm', allowed for subject: subject"):
        bench_suite("subject", SMALL, parts=("spasm",))


@pytest.mark.parametrize("wrong", [{"subjects": 1}, {"seeds": 0}, {"first_seed": -1}])
def test_a_size_without_an_interval_is_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(SuiteError, match="at least 2, 1 and 0"):
        Size(**wrong)


#: Parts that take long even on two people, and have small tests of their own.
LONG = frozenset({"policies", "subject", "evoked", "fatigue", "spasm", "step", "training"})


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.prove) if name in LONG else name
        for names in SUITES.values()
        for name in names
    ],
)
def test_every_part_finds_something_finite_and_draws_it(name: str) -> None:
    from matplotlib.figure import Figure

    module = load(name)
    assert name == module.NAME
    findings, curves = module.measure(2, 1, 7, lambda line: None)
    assert findings
    for finding in findings:
        assert finding.part == name
        assert math.isfinite(finding.value), finding.what
        assert finding.low is None or finding.low <= finding.value <= (finding.high or math.inf), finding.what
    assert json.loads(json.dumps(curves, allow_nan=False)) == curves
    figure = Figure()
    module.draw(curves, figure)
    # Panels above one another share the label below, panels beside one another on one scale the label at the left.
    labelled = {(axes.get_position().y0, axes.get_ylim()) for axes in figure.axes if axes.get_ylabel()}
    assert all((axes.get_position().y0, axes.get_ylim()) in labelled for axes in figure.axes)
    assert any(axes.get_xlabel() for axes in figure.axes)


@pytest.mark.prove
def test_a_part_says_the_same_of_the_same_people() -> None:
    for name in ("motion",):
        assert name not in TIMED
        first, again = (load(name).measure(2, 1, 7, lambda line: None) for _ in range(2))
        assert first == again
