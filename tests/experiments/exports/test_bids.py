"""A BIDS data set: what the validator says of it, and that what stands in it is what was recorded."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import mne_bids
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.exports import bids_recording
from myoloop.experiments.exports.about import read_about
from myoloop.experiments.exports.exporting import Wanted, export
from myoloop.platform.errors import UserError
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording

PERSON = "sub-P001_ses-01_task-quadimmobilised_acq-att1"
VIRTUAL = "sub-P017_ses-03_task-tiny_acq-att2"


@pytest.fixture(scope="module")
def exported(study, tmp_path_factory):
    root = tmp_path_factory.mktemp("bids") / "set"
    return root, export(study, root, Wanted(to="bids", also_excluded=True))


@pytest.fixture(scope="module")
def dataset(exported) -> Path:
    return exported[0]


def table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, sep="\t", na_values="n/a", keep_default_na=False)


def sidecar(path: Path) -> dict:
    return json.loads(path.read_text("utf-8"))


def read(dataset: Path, **entities):
    place = mne_bids.BIDSPath(root=dataset, datatype="emg", suffix="emg", extension=".bdf", **entities)
    return mne_bids.read_raw_bids(place, verbose="error")


def half_a_step(values: np.ndarray) -> float:
    """Of BDF; the end of the range is rounded up to seven digits."""
    return np.abs(values).max() / (2**23 - 1) / 2 * 1.00001


def test_the_validator_finds_no_error(dataset, validated):
    assert validated(dataset) == []


def test_a_bad_file_does_not_stop_the_rest_and_is_told(exported):
    root, done = exported
    assert list(done.problems) == ["sub-P002/ses-01/att-1"]
    assert "not exported" in (root / "README").read_text("utf-8")
    assert table(root / "participants.tsv")["participant_id"].tolist() == ["sub-P001", "sub-P017"]


def test_emg_reads_back_within_half_a_step(dataset, known_attempt):
    raw = read(dataset, subject="P017", session="03", task="tiny", acquisition="att2")
    assert raw.get_channel_types() == ["emg", "emg", "stim"]
    source = Recording.open(known_attempt).samples("emg/amp").physical().astype(np.float64)
    samples = raw.get_data().T
    assert not samples[3200:3210].any()
    assert {"BAD_gap", "BAD_invalid", "stimulation", "phase"} <= set(raw.annotations.description)
    for column in range(2):
        error = np.abs(np.delete(samples[:, column], slice(3200, 3210)) - source[:, column])
        assert error.max() <= half_a_step(source[:, column])


def test_counts_of_24_bits_come_back_under_an_artifact(dataset, person):
    runs = [
        read(dataset, subject="P001", session="01", task="quadimmobilised", acquisition="att1", run=n) for n in (1, 2)
    ]
    first = runs[0].get_data().T
    assert np.array_equal(np.round(first / person.EMG.scale[0]), person.counts[: len(first)])


def test_every_electrode_that_a_channel_names_is_in_the_table(dataset):
    folder = dataset / "sub-P001" / "ses-01" / "emg"
    electrodes = pd.read_csv(folder / f"{PERSON}_run-1_electrodes.tsv", sep="\t", keep_default_na=False)
    channels = table(folder / f"{PERSON}_run-1_channels.tsv")
    assert electrodes.name.tolist() == channels.signal_electrode.tolist() == ["vastus", "hamstrings"]
    assert set(electrodes.drop(columns="name").to_numpy().ravel()) == {"n/a"}, "nobody measured where they are"


def test_a_clock_that_jumped_gives_runs_that_are_not_joined(dataset):
    emg = dataset / "sub-P001/ses-01/emg"
    one, two = (sidecar(emg / f"{PERSON}_run-{n}_emg.json") for n in (1, 2))
    assert (one["RecordingDuration"], two["RecordingDuration"]) == (1.2, 0.8)
    assert one["ClockSegment"] == "1 of 2: begin"
    assert two["ClockSegment"] == "2 of 2: clock"
    assert two["ClockStepSeconds"] == pytest.approx(3.0, abs=0.03)
    gaps = table(emg / f"{PERSON}_run-2_events.tsv").query("trial_type == 'BAD_gap'")
    assert gaps[["onset", "duration"]].to_numpy().tolist() == [[0.4, 0.02]], "the lost block, and nothing else"
    assert "BAD_gap" not in table(emg / f"{PERSON}_run-1_events.tsv")["trial_type"].tolist()


def test_the_required_fields_say_what_is_known(dataset):
    known = sidecar(dataset / f"sub-P017/ses-03/emg/{VIRTUAL}_emg.json")
    assert (known["EMGReference"], known["EMGPlacementScheme"]) == ("Bipolar", "Other")
    assert (known["SamplingFrequency"], known["PowerLineFrequency"]) == (1000.0, 50.0)
    assert known["RecordingType"] == "continuous"
    theirs = sidecar(dataset / f"sub-P001/ses-01/emg/{PERSON}_run-1_emg.json")
    assert theirs["EMGReference"] == "Not said by the recording"
    assert (theirs["ManufacturersModelName"], theirs["PowerLineFrequency"]) == ("Box 8, serial 12", 60.0)
    text = "".join(path.read_text("utf-8") for path in dataset.rglob("*.json"))
    assert not re.search(r"biosemi|todo|fixme", text, re.IGNORECASE)


def test_what_the_lab_says_stands_in_it(known_attempt, tmp_path):
    about = tmp_path / "about.yaml"
    about.write_text(
        "name: Knees\nauthors: [A. Berg]\nlicense: CC0\nemg_reference: patella\nemg_placement: SENIAM\n"
        "manufacturer: Boxes Ltd\nreadme: Of the pilot.\n"
    )
    export(known_attempt, tmp_path / "set", Wanted(to="bids", about=read_about(about)))
    said = sidecar(tmp_path / f"set/sub-P017/ses-03/emg/{VIRTUAL}_emg.json")
    assert (said["EMGReference"], said["EMGPlacementSchemeDescription"]) == ("patella", "SENIAM")
    assert said["Manufacturer"] == "Boxes Ltd"
    whole = sidecar(tmp_path / "set/dataset_description.json")
    assert (whole["Name"], whole["Authors"], whole["License"]) == ("Knees (SIMULATED)", ["A. Berg"], "CC0")
    assert "Of the pilot." in (tmp_path / "set/README").read_text("utf-8")
    about.write_text("nmae: Knees\n")
    with pytest.raises(UserError, match=r"about\.yaml.*nmae"):
        read_about(about)


def test_a_train_has_its_parameters_in_columns(dataset):
    events = table(dataset / f"sub-P017/ses-03/emg/{VIRTUAL}_events.tsv")
    (train,) = events.query("trial_type == 'stimulation'").to_dict("records")
    assert (train["name"], train["current_ma"], train["pulse_width_us"]) == ("c1", 10.0, 250.0)
    assert (train["rate_hz"], train["pulses"], train["known_by"]) == (20.0, 20, "ledger")
    assert (train["onset"], train["duration"]) == (pytest.approx(1.015), pytest.approx(0.95))
    described = sidecar(dataset / "task-tiny_events.json")
    assert set(events.columns) == set(described), "every column is described"
    assert set(events["trial_type"]) <= set(described["trial_type"]["Levels"])


def test_movement_reads_back_equal(dataset, known):
    folder = dataset / "sub-P017/ses-03/motion"
    stem = "sub-P017_ses-03_task-tiny_tracksys-amp_acq-att2"
    values = np.loadtxt(folder / f"{stem}_motion.tsv", delimiter="\t", dtype=np.float32)
    assert np.array_equal(values, known.imu)
    channels = table(folder / f"{stem}_channels.tsv")
    assert channels[["name", "component", "type", "units"]].to_numpy().tolist()[0] == ["acc_x", "x", "ACCEL", "m/s^2"]


def test_lost_movement_has_no_value():
    laid = bids_recording.Laid(np.zeros((1, 4), np.float32), np.array([0, 3]), ((1, 2, "lost"),))
    assert np.isnan(bids_recording.with_holes(laid)[:, 0]).tolist() == [False, True, True, False]
    assert bids_recording._numbers(bids_recording.with_holes(laid)) == "0\nn/a\nn/a\n0\n"


def test_force_stands_beside_the_emg(dataset):
    folder = dataset / "sub-P001/ses-01/emg"
    name = f"{PERSON}_run-1_recording-forcecell_physio"
    with gzip.open(folder / f"{name}.tsv.gz", "rt") as file:
        values = np.loadtxt(file, dtype=np.float32)
    assert np.array_equal(values, np.repeat(0.1 * np.arange(60), 10).astype(np.float32))
    said = sidecar(folder / f"{name}.json")
    assert (said["SamplingFrequency"], said["Columns"], said["pull"]) == (500.0, ["pull"], {"Units": "N"})


def test_forms_are_told_without_names_and_dates(dataset, person):
    clearance = table(dataset / "phenotype/clearance.tsv").iloc[0]
    assert clearance["participant_id"] == "sub-P001"
    assert clearance["ses-01_att-1_clearance_given_on_days"] == -1
    assert clearance["ses-02_att-1_clearance_given_on_days"] == -4
    assert clearance["ses-01_att-1_clearance_restrictions"] == "call [name] on [date], or [telephone number]"
    assert not [name for name in clearance.index if name.endswith(("_by", "_who"))]
    described = sidecar(dataset / "phenotype/nrs.json")
    assert described["ses-01_att-1_nrs_current"]["Description"] == "How strong is your pain now?"
    assert table(dataset / "phenotype/nrs.tsv")["ses-02_att-1_nrs_worst_24h"].tolist() == [6]
    for path in (path for path in dataset.rglob("*") if path.is_file()):
        held = path.read_bytes().lower()
        assert [word for word in person.SECRET if word.encode() in held] == [], path


def test_what_was_left_out_is_told_but_not_what_it_was(exported):
    _, done = exported
    assert (
        "sub-P001 ses-01, form clearance, restrictions: 1 date, 1 telephone number, 1 name left out of free text"
        in (done.left_out)
    )
    assert not any("rita" in line.lower() for line in done.left_out)


def test_free_text_with_a_name_may_be_refused(study, tmp_path):
    with pytest.raises(RecordingError, match="no session was exported") as refused:
        export(study / "sub-P001", tmp_path / "set", Wanted(to="bids", text="refuse", also_excluded=True))
    assert "form clearance, restrictions" in str(refused.value)
    assert not list(tmp_path.rglob("*.bdf"))


def test_simulated_and_human_are_told_apart(dataset):
    people = table(dataset / "participants.tsv").set_index("participant_id")
    assert people["simulated"].to_dict() == {"sub-P001": "no", "sub-P017": "yes"}
    assert people["species"]["sub-P001"] == "homo sapiens"
    assert "arm" not in people.columns
    assert sidecar(dataset / "dataset_description.json")["Simulated"].startswith("SIMULATED")
    assert sidecar(dataset / f"sub-P017/ses-03/emg/{VIRTUAL}_emg.json")["Simulated"].startswith("SIMULATED")
    assert sidecar(dataset / f"sub-P001/ses-01/emg/{PERSON}_run-1_emg.json")["Simulated"] == "no"


def test_sessions_have_days_and_hashes_but_no_dates(dataset, study):
    import hashlib

    sessions = table(dataset / "sub-P001/sub-P001_sessions.tsv")
    assert sessions["day"].tolist() == [0, 3]
    file = study / "sub-P001/ses-02/att-1/session.mcap"
    assert sessions["input_sha256"].tolist()[1] == hashlib.sha256(file.read_bytes()).hexdigest()


def test_the_same_again_gives_the_same_bytes(dataset, study, tmp_path):
    export(study, tmp_path / "set", Wanted(to="bids", also_excluded=True))
    files = [path.relative_to(dataset) for path in sorted(dataset.rglob("*")) if path.is_file()]
    assert [path for path in files if (tmp_path / "set" / path).read_bytes() != (dataset / path).read_bytes()] == []


def test_nothing_is_overwritten(known_attempt, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "mine.txt").touch()
    with pytest.raises(RecordingError, match="is not empty"):
        export(known_attempt, tmp_path / "set", Wanted(to="bids"))
    assert [path.name for path in (tmp_path / "set").iterdir()] == ["mine.txt"]


def test_a_session_that_cannot_be_written_leaves_nothing_behind(known_attempt, tmp_path, monkeypatch):
    monkeypatch.setattr(bids_recording, "write_events", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left")))
    with pytest.raises(RecordingError, match="No space left"):
        export(known_attempt, tmp_path / "set", Wanted(to="bids"))
    assert not list((tmp_path / "set").rglob("*_emg.*"))


@pytest.mark.prove
@pytest.mark.timeout(600)
def test_the_demonstration_passes_and_reads_back(tmp_path, validated):
    done = CliRunner().invoke(
        app, ["demo", "--speed", "max", "--seed", "1", "--out", str(tmp_path / "study"), "--json"]
    )
    assert done.exit_code == 0, done.output
    export(tmp_path / "study", tmp_path / "set", Wanted(to="bids"))
    assert validated(tmp_path / "set") == []
    recording = Recording.open(json.loads(done.stdout)["session"])
    emg = recording.samples("emg/amplifier").physical().astype(np.float64)
    raw = read(tmp_path / "set", subject="SIM1", session="01", task="demo", acquisition="att1")
    samples = raw.get_data().T[: len(emg)]
    muscles = [column for column, kind in enumerate(raw.get_channel_types()) if kind == "emg"]
    assert len(muscles) == 2
    for column in muscles:
        assert np.abs(samples[:, column] - emg[:, column]).max() <= half_a_step(emg[:, column])
    (motion,) = (tmp_path / "set").rglob("*_motion.tsv")
    values = np.loadtxt(motion, delimiter="\t", dtype=np.float32)
    assert np.array_equal(values, recording.samples("imu/amplifier").physical())
