"""How a segment lies and moves: the benchmark itself."""

from __future__ import annotations

import json

import numpy as np
import pytest

from myoloop.experiments.benchmarks import parts_motion
from myoloop.experiments.benchmarks.findings import LEFT_OUT
from myoloop.experiments.benchmarks.recordings import folder


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    """A little of it, without recordings; what it said."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MYOLOOP_DATA", str(tmp_path_factory.mktemp("empty")))
        said: list[str] = []
        return *parts_motion.measure(2, 2, 40, said.append), said


def test_recordings_are_looked_for_where_the_variable_says(tmp_path, monkeypatch):
    monkeypatch.setenv("MYOLOOP_DATA", str(tmp_path))
    assert folder("some") is None
    (tmp_path / "some").mkdir()
    assert folder("some") == tmp_path / "some"


def test_without_recordings_it_says_so_and_measures_the_rest(simulated):
    findings, curves, said = simulated
    assert said[0].startswith(LEFT_OUT)
    assert "inclination" in said[0]
    assert "inclination" not in curves
    assert [finding.what for finding in findings if "tremor of" in finding.what]
    assert all(np.isfinite(finding.value) for finding in findings)
    assert not [finding for finding in findings if finding.reached is False]


def test_curves_are_plain_and_can_be_drawn(simulated):
    from matplotlib.figure import Figure

    curves = json.loads(json.dumps(simulated[1], allow_nan=False))
    figure = Figure()
    parts_motion.draw(curves, figure)
    assert len(figure.axes) == 2
    assert all(axis.get_xlabel() and axis.get_ylabel() for axis in figure.axes)


def test_it_is_the_same_again(simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("MYOLOOP_DATA", str(tmp_path))
    findings, curves = parts_motion.measure(2, 2, 40, lambda line: None)
    assert (findings, curves) == simulated[:2]


@pytest.mark.realdata
def test_on_the_recordings_inclination_is_within_a_degree(data_dir, monkeypatch):
    monkeypatch.setenv("MYOLOOP_DATA", str(data_dir))
    findings, curves = parts_motion.measure(2, 1, 40, lambda line: None)
    first = findings[0]
    assert (first.target, first.sense, first.unit, first.n) == (1.0, "at most", "deg", 21)
    assert first.reached
    assert first.value < first.baseline_value
    from matplotlib.figure import Figure

    figure = Figure()
    parts_motion.draw(json.loads(json.dumps(curves, allow_nan=False)), figure)
    assert len(figure.axes) == 3
