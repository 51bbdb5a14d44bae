"""The benchmark of the spasm detector: what it counts, and that its figures come out."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest

from myoloop.experiments.benchmarks import parts_spasm
from myoloop.experiments.benchmarks.spasm_runs import RATE_HZ, run_controller, run_fixed_threshold
from myoloop.experiments.subjects.scenes import SCENE_KINDS, pulse_times_s, spasm_scenes


def _noise(seconds: float, columns: int, *bursts: tuple[int, float, float]) -> np.ndarray:
    """White noise of RMS 1 with bursts (column, begin, end) of RMS 8."""
    emg = np.random.default_rng(1).standard_normal((round(seconds * RATE_HZ), columns))
    for column, begin_s, end_s in bursts:
        emg[round(begin_s * RATE_HZ) : round(end_s * RATE_HZ), column] *= 8.0
    return emg


@pytest.mark.parametrize("run", [run_controller, run_fixed_threshold], ids=["controller", "fixed threshold"])
def test_each_column_is_a_muscle_of_its_own(run: object) -> None:
    told = run(_noise(30.0, 3, (0, 15.0, 16.0), (0, 20.0, 21.5), (2, 18.0, 18.2)))  # type: ignore[operator]
    loud = [[burst for burst in bursts if burst.end_s - burst.at_s > 0.1 or run is run_controller] for bursts in told]
    assert [len(bursts) for bursts in loud] == [2, 0, 1]
    assert [burst.at_s for burst in loud[0]] == [pytest.approx(15.04, abs=0.04), pytest.approx(20.04, abs=0.04)]
    assert loud[0][1].end_s == pytest.approx(21.6, abs=0.3)


def test_the_controller_hears_pulses_on_the_trigger_line_and_tells_the_kind() -> None:
    emg, events = spasm_scenes([3], 40.0, 20.0, RATE_HZ, True)
    (told,) = run_controller(emg, pulse_times_s(40.0))
    assert len(told) == len(events[0])
    for burst, event in zip(told, events[0], strict=True):
        assert -0.1 <= burst.at_s - event.onset_s <= 0.5
        assert burst.kind == event.kind


def test_macro_f1_counts_what_was_not_told_as_wrong() -> None:
    right = Counter({(kind, kind): 5 for kind in SCENE_KINDS})
    assert parts_spasm.macro_f1(right) == 1.0
    assert parts_spasm.macro_f1(right + Counter({("tonic", ""): 5})) == pytest.approx((3 + 2 / 3) / 4)
    assert parts_spasm.macro_f1(right + Counter({("tonic", "unit"): 5})) == pytest.approx((2 + 2 / 3 + 2 / 3) / 4)


@pytest.mark.prove
def test_its_findings_and_figure_come_out_and_are_the_same_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib.figure import Figure

    monkeypatch.setattr(parts_spasm, "SNR_DB", (20.0, 10.0))
    monkeypatch.setattr(parts_spasm, "SECONDS", 45.0)
    monkeypatch.setattr(parts_spasm, "_STEP_COLUMNS", 2)
    said: list[str] = []
    findings, curves = parts_spasm.measure(2, 2, 400, said.append)
    assert len(said) == 5
    assert {finding.part for finding in findings} == {"spasm"}
    assert len({finding.what for finding in findings}) == len(findings)
    assert all(np.isfinite(finding.value) for finding in findings)
    by_name = {finding.what: finding for finding in findings}
    best = by_name["F1 of onsets, 20 dB, no stimulation"]
    assert best.value >= 0.95
    assert best.baseline_value is not None
    assert best.baseline_value < best.value
    assert by_name["longest told after rest rose by 10 dB for good"].value <= 30.0
    json.dumps(curves)
    parts_spasm.draw(json.loads(json.dumps(curves)), Figure(figsize=(7.2, 4.2), layout="constrained"))
    again = parts_spasm._score(2, 2, 400, 20.0, False)
    assert parts_spasm.mean_over_subjects(again.f1)[0] == best.value


@pytest.mark.prove
@pytest.mark.parametrize(
    ("snr_db", "stimulated", "least"), [(10.0, False, 0.95), (10.0, True, 0.93), (6.0, True, 0.75)]
)
def test_onsets_are_found_one_by_one(snr_db: float, stimulated: bool, least: float) -> None:
    score = parts_spasm._score(10, 2, 450, snr_db, stimulated)
    assert parts_spasm.mean_over_subjects(score.f1)[0] >= least
    assert score.longest_s < 30.0
