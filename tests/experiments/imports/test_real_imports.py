"""Real recordings of other programs through the mapping files that ship."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from myoloop.experiments.analysis.session import load
from myoloop.experiments.imports.observe import observe
from myoloop.experiments.imports.write import import_file
from myoloop.experiments.objects import other_controller
from myoloop.experiments.protocols.schema import PRESETS
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify

pytestmark = [pytest.mark.realdata, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def imported(data_dir, root, tmp_path_factory):
    """Import a recording by a shipped mapping; (what it came to, the recording)."""
    study = tmp_path_factory.mktemp("study")

    def run(place: str, mapping: str):
        done = import_file(data_dir / place, root / "examples" / "mappings" / mapping, study=study, subject="R1")
        assert verify(done.folder).status == "good"
        return done, Recording.open(done.folder)

    return run


def rows(path: Path, skip: int = 0) -> np.ndarray:
    lines = path.read_text(encoding="utf-8").splitlines()[skip:]
    return np.array([[float(cell) for cell in line.split()] for line in lines if line.strip() and line[0] not in "#t"])


def test_opensignals_hdf5_count_by_count(imported, data_dir):
    done, recording = imported("emg_fatigue_plux/emg_fatigue.h5", "opensignals_hdf5.yaml")
    with h5py.File(data_dir / "emg_fatigue_plux" / "emg_fatigue.h5") as file:
        (device,) = file.values()
        counts = device["raw/channel_2"][:].reshape(-1)
    record = recording.samples("emg/imported")
    assert np.array_equal(record.counts[:, 0], counts)
    assert record.descriptor.scale[0] == pytest.approx(3e-3 / 4096)
    assert record.descriptor.rate_hz == 1000.0
    assert done.duration_s == pytest.approx((len(counts) - 1) / 1000)
    assert load(done.folder).simulated is False


def test_opensignals_text_count_by_count(imported, data_dir):
    _, recording = imported("emg_acc_plux_gestures/2_1.txt", "opensignals_gestures.yaml")
    record = recording.samples("emg/imported")
    table = rows(data_dir / "emg_acc_plux_gestures" / "2_1.txt")
    assert np.array_equal(record.counts, table[:, 2:4])
    assert record.descriptor.channels == ("flexor_digitorum", "adductor_pollicis")
    assert record.counts.dtype.kind == "i"


def test_counts_of_biosppy(imported, data_dir):
    _, recording = imported("biosppy_emg/emg_1.txt", "biosppy_emg.yaml")
    record = recording.samples("emg/imported")
    assert np.array_equal(record.counts, rows(data_dir / "biosppy_emg" / "emg_1.txt"))
    assert record.descriptor.units == ("1",), "nothing says how many volts a count is"


def test_a_table_under_lines_of_words(imported, data_dir):
    _, recording = imported("uci_emg/uci_lower_limb/5Npie.txt", "uci_lower_limb.yaml")
    table = rows(data_dir / "uci_emg" / "uci_lower_limb" / "5Npie.txt", 7)
    assert np.array_equal(recording.samples("emg/imported").counts, table[:, :4])
    knee = recording.samples("imu/imported")
    assert np.array_equal(knee.counts[:, 0], table[:, 4])
    assert knee.descriptor.units == ("rad",)


def test_rows_that_are_missing_are_counted_and_gestures_are_marks(imported, data_dir):
    done, recording = imported("uci_emg/uci_gestures/1_raw_data_11-08_21.03.16.txt", "uci_gestures.yaml")
    table = rows(data_dir / "uci_emg" / "uci_gestures" / "1_raw_data_11-08_21.03.16.txt")
    record = recording.samples("emg/imported")
    assert np.array_equal(record.counts, table[:, 1:9])
    assert record.descriptor.rate_hz == 1000.0
    missing = int(table[-1, 0] - table[0, 0]) + 1 - len(table)
    assert done.streams["emg/imported"]["missing"] == missing
    assert sum(gap.missing for gap in record.gaps) == missing
    assert done.marks == 1 + np.count_nonzero(np.diff(table[:, 9]))


def test_a_needle_recording_whose_counts_were_written_as_text(data_dir, tmp_path):
    counts = np.fromfile(data_dir / "physionet_emgdb" / "emg_healthy.dat", "<i2")
    (tmp_path / "emg.csv").write_text("\n".join(map(str, counts.tolist())), encoding="utf-8")
    mapping = "rate: 4 kHz\nmains: 60 Hz\nchannels: [{from: 1, name: tibialis, unit: mV, scale: 1e-4}]"
    (tmp_path / "map.yaml").write_text(mapping, encoding="utf-8")
    done = import_file(tmp_path / "emg.csv", tmp_path / "map.yaml", study=tmp_path / "study", subject="R1")
    record = Recording.open(done.folder).samples("emg/imported")
    assert np.array_equal(record.counts[:, 0], counts)
    assert record.descriptor.scale == (pytest.approx(1e-7),)


@pytest.mark.parametrize(
    ("seconds", "contractions"), [(30, 5), pytest.param(126, 20, marks=pytest.mark.prove)], ids=["begin", "whole"]
)
def test_a_controller_finds_the_fatiguing_contractions(data_dir, tmp_path, seconds, contractions):
    with h5py.File(data_dir / "emg_fatigue_plux" / "emg_fatigue.h5") as file:
        (device,) = file.values()
        counts = device["raw/channel_2"][: seconds * 1000].reshape(-1)
    (tmp_path / "emg.csv").write_text("\n".join(map(str, counts.tolist())), encoding="utf-8")
    channel = "{from: 1, name: biceps, unit: mV, scale: 0.000732421875, offset: -1.5, rails: [0, 4095]}"
    (tmp_path / "map.yaml").write_text(f"rate: 1 kHz\nchannels: [{channel}]", encoding="utf-8")
    done = import_file(tmp_path / "emg.csv", tmp_path / "map.yaml", study=tmp_path / "study", subject="R1")
    protocol = PRESETS / "playback_fatigue.yaml"
    found, text = observe(done.folder, protocol, other_controller(protocol))
    assert found["steps"] == pytest.approx(seconds * 100, abs=2), "ten milliseconds each"
    assert len(found["triggers_s"]) >= contractions, "one about every four seconds"
    assert found["valid_share"]["biceps"]["fatigue"] > 0.2
    assert found["channels"]["biceps"]["most_share"] == pytest.approx(1.0)
    assert "Nobody was stimulated" in text
