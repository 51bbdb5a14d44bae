"""Fatigue of force under stimulation, told from movement and force: the benchmark itself."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from myoloop.experiments.benchmarks import parts_evoked
from myoloop.experiments.benchmarks.intermittent import CYCLE_S, Scene
from myoloop.experiments.subjects.population import typical


@pytest.fixture(scope="module")
def measured():
    """Two minutes of two people instead of ten of twenty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts_evoked, "SECONDS", 120.0)
        yield parts_evoked.measure(2, 1, 40, lambda line: None)


def _scene(*, by_force: bool = True, **changes: float) -> Scene:
    person = replace(typical("chronic_sci"), joint_fixed=float(by_force), **changes)
    return Scene([person], [np.random.default_rng(1)], by_force=by_force)


def test_it_stimulates_five_seconds_on_and_five_off_and_the_muscle_tires():
    moments = list(_scene().run(60.0))
    force = np.concatenate([moment.situations[0].force[0][1][:, 0] for moment in moments])
    cycles = force.reshape(-1, round(CYCLE_S * 100))
    assert abs(cycles[:, 100:500].mean()) < 2.0
    assert cycles[:, 700:900].mean() > 20.0
    fatigue = [moment.fatigue[0] for moment in moments]
    assert fatigue[0] == 0.0
    assert 0.2 < fatigue[-1] < 0.8
    states = [moment.situations[0].phase.trial_state for moment in moments[:100]]
    assert [states.count(name) for name in ("rest", "ramp_up", "hold", "ramp_down")] == [50, 5, 40, 5]


def test_what_emg_can_show_at_best_is_less_by_the_share_that_is_lost_behind_the_membrane():
    shown = {}
    for ec_share in (0.0, 0.6):
        *_, last = _scene(ec_share=ec_share, cv_slowing=0.5, cv_fall_s=0.5).run(60.0)
        shown[ec_share] = last.shown[0] / last.fatigue[0]
    assert shown[0.0] == pytest.approx(1.0, abs=0.1)
    assert shown[0.6] == pytest.approx(0.4, abs=0.1)


def test_the_targets_of_the_issue_are_findings_with_the_simplest_method_beside_them(measured):
    findings, _ = measured
    with_target = {finding.what: finding for finding in findings if finding.target is not None}
    assert [(finding.target, finding.sense) for finding in with_target.values()] == [
        (0.08, "at most"), (0.95, "at least"), (0.05, "at most"), (0.95, "at least"),
    ]  # fmt: skip
    for finding in with_target.values():
        assert finding.baseline_value is not None
    assert all(np.isfinite(finding.value) for finding in findings)
    assert len({finding.what for finding in findings}) == len(findings)
    error = next(finding for what, finding in with_target.items() if "RMS error" in what)
    assert error.value < error.baseline_value


def test_curves_are_plain_and_can_be_drawn(measured):
    from matplotlib.figure import Figure

    curves = json.loads(json.dumps(measured[1], allow_nan=False))
    figure = Figure()
    parts_evoked.draw(curves, figure)
    assert len(figure.axes) == 3
    assert all(axis.get_xlabel() for axis in figure.axes)


def test_it_is_the_same_again(measured, monkeypatch):
    monkeypatch.setattr(parts_evoked, "SECONDS", 120.0)
    findings, curves = parts_evoked.measure(2, 1, 40, lambda line: None)
    assert findings == measured[0]
    assert curves == measured[1]
