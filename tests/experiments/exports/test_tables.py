"""Parquet, CSV and MATLAB: the same samples and tables, NaN where samples were lost."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from scipy.io import loadmat

from myoloop.experiments.exports.exporting import Wanted, export
from myoloop.platform.errors import UserError
from myoloop.platform.recording.layout import RecordingError
from myoloop.platform.recording.reader import Recording

STEM = "sub-P017_ses-03_att-2"


@pytest.fixture(scope="module")
def out(known_attempt, study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tables")
    for to in ("parquet", "csv", "matlab"):
        export(known_attempt, folder / to, Wanted(to=to))
    export(study / "sub-P001" / "ses-01" / "att-1", folder / "person", Wanted(to="csv"))
    return folder


@pytest.fixture(scope="module")
def recorded(known_attempt):
    return Recording.open(known_attempt).samples("emg/amp").physical()


def test_samples_read_back_equal_with_nan_where_they_were_lost(out, recorded):
    parquet = pd.read_parquet(out / "parquet" / STEM / "samples_emg-amp.parquet")
    csv = pd.read_csv(out / "csv" / STEM / "samples_emg-amp.csv")
    for frame in (parquet, csv):
        samples = frame[["m1", "m2", "trigger"]].to_numpy(np.float32)
        assert np.isnan(samples[3200:3210]).all()
        assert np.array_equal(np.delete(samples, slice(3200, 3210), axis=0), recorded)
        assert frame["sample"].tolist() == list(range(4000))
        assert frame["t_s"][1] - frame["t_s"][0] == pytest.approx(0.001)
    assert parquet["invalid"][502:506].tolist() == ["m1"] * 4
    assert set(parquet["invalid"].drop(range(502, 506))) == {""}


def test_matlab_has_structs_with_units(out, recorded):
    content = loadmat(out / "matlab" / f"{STEM}.mat", simplify_cells=True)
    emg = content["streams"]["emg_amp"]
    assert (emg["rate_hz"], list(emg["channels"]), list(emg["units"])) == (
        1000,
        ["m1", "m2", "trigger"],
        ["V", "V", "1"],
    )
    assert np.array_equal(np.delete(emg["data"], slice(3200, 3210), axis=0), recorded)
    assert np.isnan(emg["data"][3200:3210]).all()
    assert np.argwhere(emg["valid"][:3200] == 0).tolist() == [[row, 0] for row in range(502, 506)]
    assert content["tables"]["pulses"]["current_ma"].tolist() == [10.0] * 20
    assert content["about"]["simulated_in_words"].startswith("SIMULATED")
    assert len(content["about"]["input_sha256"]) == 64


def test_tables_say_the_same_in_each_format(out):
    names = {path.stem for path in (out / "parquet" / STEM).iterdir()}
    assert names >= {
        "phases",
        "trials",
        "trains",
        "pulses",
        "events",
        "gaps",
        "estimates",
        "requests",
        "reports",
        "truth",
    }
    assert {path.stem for path in (out / "csv" / STEM).iterdir()} == names | {"about"}
    trains = pd.read_csv(out / "csv" / STEM / "trains.csv").to_dict("records")
    assert [(each["channel"], each["pulses"], each["current_ma"], round(each["rate_hz"], 6)) for each in trains] == [
        ("c1", 20, 10.0, 20.0)
    ]
    assert len(pd.read_parquet(out / "parquet" / STEM / "pulses.parquet")) == 20


def test_each_file_says_where_its_numbers_come_from(out):
    about = json.loads((out / "csv" / STEM / "about.json").read_text("utf-8"))
    metadata = pq.read_schema(out / "parquet" / STEM / "pulses.parquet").metadata
    for key in ("generator_version", "input_sha256", "simulated", "protocol"):
        assert metadata[f"myoloop.{key}".encode()].decode() == about[key]
    assert about["simulated"] == "true"
    assert about["files"]["samples_emg-amp.csv"]["units"]["m1"] == "V"
    schema = pq.read_schema(out / "parquet" / STEM / "samples_emg-amp.parquet")
    assert schema.field("m1").metadata[b"unit"] == b"V"


def test_words_of_a_session_are_told_without_names_and_dates(out, person):
    folder = out / "person" / "sub-P001_ses-01_att-1"
    marks = pd.read_csv(folder / "events.csv", keep_default_na=False).query("kind == 'mark'")
    assert marks[["who", "why"]].to_numpy().tolist() == [["person", "[name] says it hurts"]]
    forms = pd.read_csv(folder / "forms.csv").set_index("question")["answer"]
    assert forms["change"] == "Baclofen since [date], says [name]"
    for path in folder.iterdir():
        held = path.read_bytes().lower()
        assert [word for word in person.SECRET if word.encode() in held] == [], path.name


def test_stretches_of_a_clock_that_jumped_are_files_of_their_own(out):
    folder = out / "person" / "sub-P001_ses-01_att-1"
    one, two = (pd.read_csv(folder / f"samples_emg-box_seg-{number}.csv") for number in (1, 2))
    assert (len(one), len(two)) == (2400, 1600)
    assert not one["vastus"].isna().any()
    assert np.flatnonzero(two["vastus"].isna()).tolist() == list(range(800, 840))
    assert two["t_s"][0] - one["t_s"].iloc[-1] == pytest.approx(3.0005)


def test_nothing_is_overwritten(out, known_attempt, tmp_path):
    for to in ("parquet", "csv", "matlab"):
        with pytest.raises(RecordingError, match="is already there"):
            export(known_attempt, out / to, Wanted(to=to))
    (tmp_path / "file").touch()
    with pytest.raises(RecordingError, match="is a file"):
        export(known_attempt, tmp_path / "file", Wanted(to="csv"))
    with pytest.raises(UserError, match="found 'xls', allowed are bids, parquet"):
        export(known_attempt, tmp_path / "out", Wanted(to="xls"))
