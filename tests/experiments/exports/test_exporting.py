"""One session or a study: which are meant, which are left out, what the verb answers."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime

import edfio
import mne
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.exports.exporting import FORMATS, Wanted, export, sessions_in
from myoloop.experiments.exports.opened import cut, open_session
from myoloop.experiments.studies.chained import ChainedLog
from myoloop.experiments.studies.diary import entry_line
from myoloop.platform.errors import UserError
from myoloop.platform.recording.layout import RecordingError


def test_sessions_of_a_study_are_found_in_order(study, known_attempt):
    one, found = sessions_in(study)
    assert not one
    assert [path.parent.relative_to(study).as_posix() for path in found] == [
        "sub-P001/ses-01/att-1", "sub-P001/ses-02/att-1", "sub-P002/ses-01/att-1", "sub-P017/ses-03/att-2",
    ]  # fmt: skip
    assert sessions_in(known_attempt) == (True, [known_attempt / "session.mcap"])


def test_what_the_index_excludes_is_left_out_and_told(study, tmp_path):
    mine = shutil.copytree(study, tmp_path / "knee")
    with pytest.raises(RecordingError, match="no session was exported") as refused:
        export(mine, tmp_path / "out", Wanted(to="bdf"))
    told = str(refused.value)
    assert "sub-P001/ses-01/att-1: emg/box: clock_jump" in told
    assert "sub-P017/ses-03/att-2: session: mixed" in told, "simulated sessions and those of people are not mixed"
    shutil.rmtree(mine / "sub-P001")
    done = export(mine, tmp_path / "out", Wanted(to="bdf"))
    assert [path.name for path in done.written] == [f"sub-P017_ses-03_att-2_{s}-amp.bdf" for s in ("emg", "imu")]
    assert list(done.problems) == ["sub-P002/ses-01/att-1"]


def test_the_verb_tells_in_one_object_and_ends_with_1_where_a_session_is_bad(study, tmp_path):
    result = CliRunner().invoke(
        app, ["export", str(study), str(tmp_path / "out"), "--to", "csv", "--also-excluded", "--json"]
    )
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert list(told["problems"]) == ["sub-P002/ses-01/att-1"]
    assert len({path.rsplit("/", 2)[-2] for path in told["written"]}) == 3
    assert told["left_out"]


def test_a_stream_is_cut_where_its_clock_jumped_and_nothing_is_lost(study, person):
    opened = open_session(study / "sub-P001" / "ses-01" / "att-1")
    (track,) = opened.session.emg()
    one, two = cut(track)
    assert len(one.track.record.counts) + len(two.track.record.counts) == len(track.record.counts)
    assert (one.name, two.name) == ("emg-box_seg-1", "emg-box_seg-2")
    assert not one.track.record.gaps
    assert [(gap.row, gap.missing) for gap in two.track.record.gaps] == [(800, 40)]
    assert two.track.record.row[0] == 0
    assert opened.provenance["simulated"] == "false"


def test_what_was_written_between_sessions_goes_along_with_the_person(person, tmp_path):
    attempt = person.write(tmp_path / "knee" / "sub-P001" / "ses-01" / "att-1")
    written = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
    for who, form, values in (
        (
            "sub-P001",
            "concomitant_care",
            {"care_changed": "yes", "kinds": ["physio"], "detail": "Ana since 2026-11-20"},
        ),
        ("sub-P009", "doms", {"soreness": 3}),
    ):
        log = ChainedLog(tmp_path / "knee" / who / "record" / "diary.jsonl")
        log.append(entry_line(at=written, form=form, prompt=None, who="Ana Rossi", values=values))
    done = export(attempt, tmp_path / "set", Wanted(to="bids", names=("Ana",)))
    care = pd.read_csv(tmp_path / "set/phenotype/concomitant_care.tsv", sep="\t").iloc[0].to_dict()
    assert care == {
        "participant_id": "sub-P001",
        "between_concomitant_care_care_changed": "yes",
        "between_concomitant_care_kinds": "physio",
        "between_concomitant_care_detail": "[name] since [date]",
    }
    assert "sub-P001, diary, form concomitant_care, detail: 1 date, 1 name left out of free text" in done.left_out
    assert not (tmp_path / "set/phenotype/doms.tsv").exists(), "of somebody else, who is not in this data set"
    damaged = tmp_path / "knee" / "sub-P001" / "record" / "diary.jsonl"
    damaged.write_text(damaged.read_text("utf-8").replace("physio", "magnet"), encoding="utf-8")
    with pytest.raises(UserError, match=r"diary\.jsonl"):
        export(attempt, tmp_path / "again", Wanted(to="bids"))
    assert not (tmp_path / "again").exists(), "found before anything is written"
    done = export(tmp_path / "knee", tmp_path / "all", Wanted(to="bids", also_excluded=True, names=("Ana",)))
    assert list(done.problems) == ["sub-P001/record/diary.jsonl"]
    assert (tmp_path / "all/sub-P001").is_dir(), "of a study, it does not keep the sessions"


@pytest.mark.parametrize("to", ["parquet", "csv", "bdf", "matlab", "fif"])
def test_what_cannot_be_written_whole_is_not_left_in_part(to, known_attempt, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    for place in ("parquet.pq.write_table", "csvfiles.csv.write_csv", "bdf.write_piece"):
        monkeypatch.setattr(f"myoloop.experiments.exports.{place}", full)
    monkeypatch.setattr("scipy.io.savemat", full)
    monkeypatch.setattr("mne.io.RawArray.save", full)
    with pytest.raises(RecordingError, match="cannot be written: No space left"):
        export(known_attempt, tmp_path / "out", Wanted(to=to))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_session_that_was_given_to_somebody_else_is_theirs(known, tmp_path):
    attempt = known.write(tmp_path / "knee" / "sub-P018" / "ses-01" / "att-1")
    export(attempt, tmp_path / "set", Wanted(to="bids"))
    assert not [path for path in (tmp_path / "set").rglob("*.*") if b"P017" in path.read_bytes()]
    (file, _) = export(attempt, tmp_path / "bdf", Wanted(to="bdf")).written
    assert edfio.read_bdf(file).patient.code == "P018"


@pytest.fixture(scope="module")
def holed(person, tmp_path_factory):
    """A study: one session in which samples are no number, one in which all are."""
    root = tmp_path_factory.mktemp("holed") / "knee"
    person.write(root / "sub-P001" / "ses-01" / "att-1", holes=True)
    person.write(root / "sub-P002" / "ses-01" / "att-1")
    return root


@pytest.mark.parametrize("to", FORMATS)
def test_a_sample_that_is_no_number_keeps_nothing_from_being_exported(to, holed, tmp_path):
    done = export(holed, tmp_path / "out", Wanted(to=to, also_excluded=True))
    assert not done.problems
    assert {part for path in done.written for part in ("P001", "P002") if part in str(path)} == {"P001", "P002"}
    mine = [path for path in done.written if "P001" in str(path)]
    if to in ("bdf", "edf"):
        read = edfio.read_bdf if to == "bdf" else edfio.read_edf
        found = read(next(path for path in mine if "emg-box_seg-1" in path.name))
        marked = [(round(each.onset * 2000), each.text) for each in found.annotations if "BAD_invalid" in each.text]
        assert marked == [(500, "BAD_invalid vastus"), (700, "BAD_invalid hamstrings")]
        vastus, hamstrings = (signal.data for signal in found.signals)
        assert np.abs([vastus[500], vastus[501], hamstrings[700]]).max() < 1e-6
        assert abs(vastus[502]) > 1.0
    elif to == "fif":
        raw = mne.io.read_raw_fif(next(path for path in mine if "emg-box_seg-1" in path.name), verbose="ERROR")
        assert np.isfinite(raw.get_data()).all()
        bad = [each for each in raw.annotations if each["description"] == "BAD_invalid"]
        marks = [(each["ch_names"], each["duration"]) for each in bad]
        assert marks == [
            (("vastus",), pytest.approx(2 / 2000, rel=1e-3)), (("hamstrings",), pytest.approx(1 / 2000, rel=1e-3)),
        ]  # fmt: skip
    elif to == "bids":
        file = next(path for path in mine if "run-1_events" in path.name and "emg" in path.parts)
        events = pd.read_csv(file, sep="\t")
        assert events[events.trial_type == "BAD_invalid"].channel.tolist() == ["vastus", "hamstrings"]
        force = pd.read_csv(next(path for path in mine if path.name.endswith("physio.tsv.gz")), header=None)
        assert force.isna().sum().item() == 1
    elif to == "parquet":
        table = pd.read_parquet(next(path for path in mine if path.name == "samples_emg-box_seg-1.parquet"))
        assert table.invalid[[500, 501, 502, 700]].tolist() == ["vastus", "vastus", "", "hamstrings"]


@pytest.mark.parametrize("to", FORMATS)
def test_a_fault_in_one_session_does_not_stop_the_rest_of_the_study(to, holed, tmp_path, monkeypatch):
    whole = open_session

    def opened(path, key=None):
        if "P001" in str(path):
            raise ValueError("nobody\nforesaw this")
        return whole(path, key)

    monkeypatch.setattr("myoloop.experiments.exports.exporting.open_session", opened)
    done = export(holed, tmp_path / "out", Wanted(to=to, also_excluded=True))
    assert done.problems == {"sub-P001/ses-01/att-1": "ValueError: nobody foresaw this"}
    assert done.written
    if to == "bdf":
        result = CliRunner().invoke(app, ["export", str(holed), str(tmp_path / "b"), "--to", to, "--also-excluded"])
        assert result.exit_code == 1
        assert "sub-P001/ses-01/att-1: not exported: ValueError: nobody foresaw this" in result.stdout
