"""Real recordings, imported and handed on: under stimulation artifacts, and of a counter of 12 bits."""

from __future__ import annotations

import mne_bids
import numpy as np
import pytest

from myoloop.experiments.exports.bdf import quantise
from myoloop.experiments.exports.exporting import Wanted, export
from myoloop.experiments.imports.write import import_file
from myoloop.platform.recording.reader import Recording

pytestmark = pytest.mark.realdata

CYCLING = "fes_emg_artifact/fes_handcycling_16ch_2000Hz.npz"


def read(root, task):
    place = mne_bids.BIDSPath(
        root=root, subject="R1", session="01", task=task, acquisition="att1", datatype="emg", suffix="emg",
        extension=".bdf",
    )  # fmt: skip
    return mne_bids.read_raw_bids(place, verbose="error")


@pytest.fixture(scope="module")
def cycling(data_dir, tmp_path_factory):
    """Sixteen muscles, five of them stimulated at 33 Hz; the export, and the volts as they were recorded."""
    folder = tmp_path_factory.mktemp("real")
    channels = "".join(f"  - {{from: 'emg_V[{n}]', name: m{n}, kind: emg, unit: V}}\n" for n in range(16))
    (folder / "map.yaml").write_text(f"rate: 2000 Hz\nmains: 50 Hz\nstimulated: true\nchannels:\n{channels}")
    import_file(data_dir / CYCLING, folder / "map.yaml", study=folder / "study", subject="R1")
    export(folder / "study", folder / "set", Wanted(to="bids"))
    with np.load(data_dir / CYCLING) as file:
        return folder, file["emg_V"].astype(np.float64)


def test_the_validator_finds_no_error_in_a_real_recording(cycling, validated):
    folder, _ = cycling
    assert validated(folder / "set") == []


def test_it_reads_back_within_half_a_step_and_edf_would_not_do(cycling):
    folder, volts = cycling
    raw = read(folder / "set", "import")
    assert set(raw.get_channel_types()) == {"emg"}
    half = np.abs(volts).max(axis=1, keepdims=True) / (2**23 - 1) / 2 * 1.00001
    assert (np.abs(raw.get_data() - volts) <= half).all()
    assert half.max() < 1e-9, "below a nanovolt under artifacts of millivolts"
    coarse = max(quantise(muscle * 1e6, "edf")[1].step for muscle in volts)
    assert coarse > 0.1, "uV: EDF's step, next to which quiet EMG is a staircase"


@pytest.mark.prove
def test_counts_of_a_fatiguing_contraction_come_back(data_dir, root, tmp_path, validated):
    import_file(
        data_dir / "emg_fatigue_plux" / "emg_fatigue.h5", root / "examples" / "mappings" / "opensignals_hdf5.yaml",
        study=tmp_path / "study", subject="R1",
    )  # fmt: skip
    (attempt,) = (tmp_path / "study").glob("sub-*/ses-*/att-*")
    export(attempt, tmp_path / "set", Wanted(to="bids"))
    assert validated(tmp_path / "set") == []
    recording = Recording.open(attempt)
    (topic,) = recording.descriptors
    record = recording.samples(topic)
    volts = read(tmp_path / "set", "import").get_data()[0][: len(record.counts)]
    scale, offset = record.descriptor.scale[0], record.descriptor.offset[0]
    assert np.array_equal(np.round((volts - offset) / scale), record.counts[:, 0])
