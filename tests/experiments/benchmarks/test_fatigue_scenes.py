"""The scenes of voluntary fatigue have the spectrum, the noise and the truth that they say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from myoloop.controllers.signals.batch import WindowFeatures
from myoloop.experiments.benchmarks import contraction_scenes as scenes
from myoloop.experiments.benchmarks import parts_fatigue, parts_features, real_contractions
from myoloop.experiments.benchmarks.recordings import folder

DATA = Path(__file__).parents[2] / "data"


def test_a_scene_has_its_contractions_its_noise_and_its_slowing() -> None:
    scene, counts = scenes.make(7, 0.25, np.random.default_rng(1))
    again = scenes.make(7, 0.25, np.random.default_rng(1))[1]
    np.testing.assert_array_equal(counts, again)
    assert len(counts) == round(scenes.LENGTH_S * scenes.RATE_HZ)
    assert scene.velocity[0] == 1.0
    assert scene.velocity[-1] == 0.75
    lines_hz = np.arange(10.0, 500.0, 0.25)
    means, medians = scenes.true_frequencies_hz(scene, np.ones_like(lines_hz), lines_hz)
    assert (medians < means).all()
    # Of 10 to 500 Hz: ln 0.8192 over ln 0.8 is 0.894 (features_golden).
    assert np.log(means[-1] / means[0]) / np.log(0.75) == pytest.approx(0.894, abs=0.02)
    rest = counts[: round(2.5 * scenes.RATE_HZ)]
    plain = WindowFeatures(scenes.RATE_HZ, 500, 250)
    features = WindowFeatures(scenes.RATE_HZ, 500, 250, noise=plain.rest(rest[:, None].astype(np.float64)))
    levels = []
    for k in np.flatnonzero(~scene.spoilt):
        at = round((scene.begin_s[k] + scenes.RAMP_S) * scenes.RATE_HZ)
        hold = counts[at : at + round(scenes.HOLD_S * scenes.RATE_HZ)].astype(np.float64)
        levels.append(hold.std())
        told = float(features.record(hold[:, None])["mean_frequency_hz"].mean())
        assert told == pytest.approx(means[k], rel=0.12)
    share = (450 - 20) / 1000
    assert 20 * np.log10(levels[0] / (rest.std() * np.sqrt(share))) == pytest.approx(scenes.SNR_DB, abs=1.5)
    assert np.log(levels[-1] / levels[0]) == pytest.approx(scene.log_gain, abs=0.2)


def test_the_relative_slope_is_that_of_the_straight_line() -> None:
    t_s = np.array([10.0, 40.0, 70.0, 130.0])
    assert scenes.straight_slope_pct_per_min(t_s, 100.0 - 0.1 * (t_s - 10.0)) == pytest.approx(-6.0)


@pytest.mark.prove
def test_the_fatigue_part_finds_what_is_there_and_draws_it() -> None:
    from matplotlib.figure import Figure

    findings, curves = parts_fatigue.measure(2, 1, 300, lambda line: None)
    told = {finding.what: finding for finding in findings}
    (rmse,) = (finding for what, finding in told.items() if what.startswith("slope of the mean frequency"))
    assert rmse.value < 1.0 < rmse.baseline_value
    assert told["found: 25 % of conduction velocity lost in 138 s"].value == 100.0
    parts_fatigue.draw(json.loads(json.dumps(curves)), Figure())


def test_the_part_without_recordings_leaves_them_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MYOLOOP_DATA", str(tmp_path))
    assert folder("emg_fatigue_plux") is None
    assert parts_fatigue._real() == ([], {})
    (tmp_path / "emg_fatigue_plux").mkdir()
    assert folder("emg_fatigue_plux") == tmp_path / "emg_fatigue_plux"


@pytest.mark.realdata
def test_the_real_record_gives_the_golden_values_within_two_percent(data_dir: Path) -> None:
    golden = json.loads((DATA / "real_fatigue_golden.json").read_text())
    t_s, found = real_contractions.features(real_contractions.counts(data_dir / "emg_fatigue_plux"))
    # What stands in the module is what stands in the file.
    assert [item["t"] for item in golden["per_contraction"]] == t_s.tolist()
    assert golden["first"]["mnf"] == real_contractions.MNF_HZ[0]
    assert golden["last"]["mnf"] == real_contractions.MNF_HZ[1]
    assert golden["mnf"]["kendall_tau"] == real_contractions.KENDALL_TAU_MNF
    assert golden["mnf"]["rel_slope_pct_per_min"] == real_contractions.MNF_PCT_PER_MIN
    for name, slope in real_contractions.SLOPE_PER_S.items():
        assert slope == golden.get(name, golden["ln_FInsm5"]).get("theilsen", golden["ln_FInsm5"]["theilsen_per_s"])
    for name in ("mnf", "mdf", "rms", "zc"):
        each = [item[name] for item in golden["per_contraction"]]
        np.testing.assert_allclose(found[name], each, rtol=0.02)
    findings, curves = parts_fatigue._real()
    targets = [finding for finding in findings if finding.target is not None]
    assert len(targets) == 3
    assert all(finding.reached for finding in targets)
    assert len(curves["t_s"]) == 30


def test_the_exact_values_of_features_are_met() -> None:
    assert parts_features._golden() < 1e-9


def test_without_libemg_the_comparison_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(parts_features.INTERPRETER, raising=False)
    monkeypatch.setattr(parts_features.importlib.util, "find_spec", lambda name: None)
    assert parts_features._libemg(np.zeros((10, 2))) is None


def test_a_python_without_libemg_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "python"
    fake.write_text("#!/bin/sh\necho 'ModuleNotFoundError: libemg' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv(parts_features.INTERPRETER, str(fake))
    with pytest.raises(RuntimeError, match="cannot run LibEMG: ModuleNotFoundError"):
        parts_features._libemg(np.zeros((10, 2)))
