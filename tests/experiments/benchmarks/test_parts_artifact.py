"""What the artifact's benchmark tells, small, and on the real recordings where they are."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from myoloop.controllers.signals.artifact import ArtifactSettings
from myoloop.experiments.benchmarks import parts_artifact
from myoloop.experiments.benchmarks.artifact_baselines import blank, comb, mean_template
from myoloop.experiments.benchmarks.artifact_scenes import RAIL_UV, RATE_HZ, draw_scene, listen
from myoloop.experiments.benchmarks.parts_artifact import correlation, harmonic_power, levels, wave_snr_db


def test_a_scene_is_the_same_for_the_same_seeds_and_people_stay_who_they_are() -> None:
    one, again, other = draw_scene(3, 7, 1, 4.0), draw_scene(3, 7, 1, 4.0), draw_scene(3, 7, 2, 4.0)
    assert np.array_equal(one.seen, again.seen)
    assert not np.array_equal(one.seen, other.seen)
    size = [np.ptp(each.mwave, axis=0) for each in (one, other)]
    assert np.allclose(size[0], size[1], rtol=0.15)
    assert np.abs(one.seen).max() <= RAIL_UV
    period = np.diff(one.pulse_rows)
    assert np.ptp(one.planned_rows % 1.0) > 0.01  # no whole number of rows
    assert 0.01 < period.std() < 0.5


def test_the_front_end_takes_ten_decibels_of_artifact_out_of_a_scene() -> None:
    scene = draw_scene(4, 11, 0, 14.0)
    truth = listen(scene.emg, ArtifactSettings(), stimulated=False)
    raw = listen(scene.seen, ArtifactSettings(), stimulated=False)
    learned = slice(round(6 * RATE_HZ), len(truth.samples))
    snr = {}
    for name, heard in (
        ("raw", raw),
        ("trigger", listen(scene.seen, ArtifactSettings(), trigger_rows=scene.pulse_rows)),
        ("host", listen(scene.seen, ArtifactSettings(), told_rows=scene.planned_rows)),
    ):
        good = heard.good if name != "raw" else np.ones_like(heard.good)
        snr[name] = wave_snr_db(truth.samples[learned], heard.samples[learned], good[learned]).mean()
    assert snr["raw"] < -10
    assert snr["trigger"] > 8
    assert snr["host"] > 7


def test_the_simplest_methods_do_what_they_say() -> None:
    rows = np.arange(4000)
    wave = np.zeros((4000, 1))
    pulses = np.arange(100.0, 3900.0, 60.0)
    for pulse in pulses.astype(int):
        wave[pulse : pulse + 30, 0] += np.hanning(30) * 100
    filled, good = blank(wave, pulses, RATE_HZ)
    assert np.abs(filled[good]).max() == 0
    assert good[rows < 95].all()
    assert np.abs(comb(wave, 60)[200:3800]).max() == 0
    # Of its mean template no level is kept: the filter behind takes that out.
    assert np.ptp(mean_template(wave, pulses, RATE_HZ)[0][300:3800]) < 1e-9


def test_figures_are_what_their_definitions_say() -> None:
    rng = np.random.default_rng(3)
    clean = rng.standard_normal((8000, 2))
    noisy = clean + 0.1 * rng.standard_normal((8000, 2))
    good = np.ones(clean.shape, dtype=bool)
    assert wave_snr_db(clean, noisy, good) == pytest.approx([20, 20], abs=0.3)
    t = np.arange(9630) / 1926.0
    noise, lines = rng.standard_normal(9630), 3 * sum(np.sin(2 * np.pi * 15.05 * k * t) for k in range(1, 20))
    with_lines, without = harmonic_power(noise + lines, 1926.0, 15.05), harmonic_power(noise, 1926.0, 15.05)
    assert 10 * np.log10(with_lines[0] / without[0]) > 20
    assert 10 * np.log10(with_lines[1] / without[1]) == pytest.approx(0, abs=0.3)
    envelope = np.repeat([1.0, 2.0, 1.5, 3.0], 2000)[:, None]
    got = levels(clean * envelope, good, RATE_HZ)
    assert correlation(got, levels(np.ones((8000, 2)) * envelope, good, RATE_HZ)).min() > 0.98
    good[:500] = False
    assert np.isnan(levels(clean, good, RATE_HZ)[0]).all()


def test_a_small_run_tells_every_figure_and_draws_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from matplotlib.figure import Figure

    monkeypatch.setenv("MYOLOOP_DATA", str(tmp_path))
    monkeypatch.setattr(parts_artifact, "SECONDS", 13.0)
    said: list[str] = []
    findings, curves = parts_artifact.measure(2, 1, 20, said.append)
    assert "left out" in said[-1]
    assert all(finding.part == "artifact" and np.isfinite(finding.value) for finding in findings)
    parts_artifact.draw(json.loads(json.dumps(curves)), Figure())


@pytest.mark.realdata
def test_on_the_real_recordings_the_targets_are_reached(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MYOLOOP_DATA", str(data_dir))
    monkeypatch.setattr(parts_artifact, "_scenes", lambda *_: ([], {}))
    findings, curves = parts_artifact.measure(2, 1, 20, lambda _: None)
    missed = [f"{each.what}: {each.value:.3g} {each.unit}" for each in findings if each.reached is False]
    assert not missed
    assert set(curves) == {"pair", "record"}
