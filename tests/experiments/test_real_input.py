"""Thirty real fatiguing contractions through the whole loop: what the estimate and the request make of them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr, theilslopes

from myoloop.experiments.exports.fif import export_fif
from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.protocols.schema import PRESETS
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.run import prepare, run_live, run_lockstep
from myoloop.platform.messages import Estimate, StimRequest
from myoloop.platform.recording.reader import Recording

pytestmark = [pytest.mark.realdata, pytest.mark.timeout(400)]

GOLDEN = Path(__file__).parents[1] / "data" / "real_fatigue_golden.json"
RIG = """
rig: {{id: playback, class: SIM}}
nodes:
  body: {{role: subject}}
  biceps: {{role: acquisition, source: playback, settings: {{file: {file}}}}}
  controller: {{role: controller}}
  stimulator: {{role: stimulator, driver: simulated}}
  director: {{role: director}}
  recorder: {{role: recorder}}
emg:
  biceps: {{source: biceps, channel: channel_2}}
stimulation:
  biceps: {{output: 0, pad: 5x5 cm}}
stimulated_person: false
"""


@pytest.fixture(scope="module")
def record(data_dir) -> Path:
    return data_dir / "emg_fatigue_plux" / "emg_fatigue.h5"


@pytest.fixture(scope="module")
def play(record, tmp_path_factory):
    """Play the record through the loop; the attempt's folder."""

    def run(*, reflex: bool = True, live: bool = False) -> Path:
        folder = tmp_path_factory.mktemp("played")
        rig = folder / "rig.yaml"
        rig.write_text(RIG.format(file=record), encoding="utf-8")
        protocol = folder / "p.yaml"
        text = (PRESETS / "playback_fatigue.yaml").read_text(encoding="utf-8")
        off = "reflex: {spasm: {enabled: false}, fatigue: {enabled: false}}"
        changed = text if reflex else text.replace("reflex: {spasm: {enabled: false}}", off)
        assert reflex or changed != text
        protocol.write_text(changed, encoding="utf-8")
        setup = prepare(str(protocol), subject="S1", rig=str(rig), study=folder / "study", seed=1)
        end = run_live(setup) if live else run_lockstep(setup)
        assert (end.outcome, end.reason) == ("complete", "")
        return end.folder

    return run


@pytest.fixture(scope="module")
def played(play) -> Path:
    return play()


def trains(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Peak current of each train that had a fatigue estimate, and that estimate."""
    rows: list[tuple[float, float]] = []
    fatigue = np.nan
    for received, _ in Recording.open(folder).messages({"estimate", "request"}):
        message = received.message
        if isinstance(message, Estimate):
            measure = message.muscles[0].fatigue
            fatigue = measure.value if measure.valid and measure.value is not None else np.nan
        elif isinstance(message, StimRequest):
            rows.append((message.channels[0].current_ma, fatigue))
    current_ma, estimate = np.array(rows).T
    edges = np.flatnonzero(np.diff(np.r_[0, (current_ma > 0).astype(int), 0]))
    peaks = [begin + int(np.argmax(current_ma[begin:end])) for begin, end in zip(edges[::2], edges[1::2], strict=True)]
    known = [peak for peak in peaks if np.isfinite(estimate[peak])]
    return current_ma[known], estimate[known]


def median_frequencies(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    found = {}
    for received, _ in Recording.open(folder).messages({"estimate"}):
        muscle = received.message.muscles[0]
        if muscle.contraction_t_ns is not None:
            found.setdefault(muscle.contraction_t_ns, muscle.median_frequency_hz)
    times = sorted(found)
    return np.array(times) * 1e-9, np.array([found[t] for t in times])


def check(folder: Path, record: Path) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    t_s, median_hz = median_frequencies(folder)
    assert 27 <= len(t_s) <= 33
    slope = theilslopes(median_hz, t_s).slope
    assert slope == pytest.approx(golden["mdf"]["theilsen"], rel=0.10)
    current_ma, fatigue = trains(folder)
    assert len(current_ma) >= 20
    assert spearmanr(current_ma, fatigue).statistic <= -0.8
    replayed = replay(folder, BUILDERS)
    assert replayed.equal, [each.first_difference for each in replayed.objects]
    assert replayed.exact


@pytest.mark.prove
def test_the_median_frequency_falls_as_in_the_record_and_the_request_with_the_estimate(played, record):
    check(played, record)


@pytest.mark.prove
def test_with_the_reflex_off_the_request_does_not_fall(play):
    current_ma, _ = trains(play(reflex=False))
    assert len(current_ma) >= 20
    assert np.ptp(current_ma) == pytest.approx(0.0, abs=1e-9)


@pytest.mark.prove
def test_the_exported_samples_are_those_of_the_record(played, record, tmp_path):
    import h5py
    import mne

    (written,) = [path for path in export_fif(played, tmp_path / "played_raw.fif") if "imu" not in path.name]
    with h5py.File(record) as file:
        raw = np.asarray(next(iter(file.values()))["raw/channel_2"], dtype=np.float64)[:, 0]
    volts = (raw / 2**12 - 0.5) * 3.0 * 1e-3
    exported = mne.io.read_raw_fif(written, preload=True, verbose="error").get_data(picks="emg")[0]
    assert exported.shape == volts.shape
    assert np.array_equal(exported.astype(np.float32), volts.astype(np.float32)) or np.allclose(
        exported, volts, rtol=2e-7, atol=1e-12
    )


@pytest.mark.prove
@pytest.mark.processes
def test_live_in_separate_processes_at_real_time_it_is_the_same(play, record):
    check(play(live=True), record)
