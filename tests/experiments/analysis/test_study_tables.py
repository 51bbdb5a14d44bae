"""The tables of a study: what is in them, what is not, and why."""

from __future__ import annotations

import hashlib
import json
import shutil

import numpy as np
import pyarrow.parquet as parquet
import pytest
from typer.testing import CliRunner

import myoloop
from myoloop.cli import app
from myoloop.experiments.analysis import study_tables
from myoloop.experiments.analysis import tables as session_tables_module
from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.study_tables import analyse, read_provenance
from myoloop.experiments.analysis.tables import KEY, TABLES, SessionKey, session_tables
from myoloop.experiments.outcomes.attempt import measure
from myoloop.platform.errors import UserError

ATTEMPT = "sub-P017/ses-03/att-2"


@pytest.fixture(scope="module")
def study(tmp_path_factory, known, lockstep_attempt):
    """Two sessions that can be used, one that was cut, one that is damaged."""
    folder = tmp_path_factory.mktemp("tables") / "study"
    known.write(folder / ATTEMPT)
    shutil.copytree(lockstep_attempt, folder / "sub-V001" / "ses-01" / "att-1")
    metadata = {**known.METADATA, "subject": "P018", "note": "another session"}
    cut = known.write(folder / "sub-P018" / "ses-01" / "att-1", end=False, metadata=metadata) / "session.mcap"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    damaged = known.write(folder / "sub-P019" / "ses-01" / "att-1", metadata={**metadata, "subject": "P019"})
    content = bytearray((damaged / "session.mcap").read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / "session.mcap").write_bytes(content)
    return folder


@pytest.fixture(scope="module")
def made(study):
    return analyse(study)


@pytest.fixture(scope="module")
def tables(made):
    return {name: parquet.read_table(made.folder / f"{name}.parquet").to_pandas() for name in TABLES}


@pytest.fixture(scope="module")
def of_known(known_attempt):
    session = load(known_attempt)
    return {
        name: table.to_pandas() for name, table in session_tables(session, SessionKey(ATTEMPT, "P017", 3, 2)).items()
    }


def test_every_row_says_whose_it_is_and_what_made_it(tables):
    for name, table in tables.items():
        assert list(table.columns[: len(KEY)]) == [column for column, _ in KEY], name
        assert table[["session", "person", "session_number", "attempt", "code_version"]].notna().all(axis=None), name
        assert set(table.code_version) <= {myoloop.__version__}
        assert table.simulated.all()
    assert set(tables["sessions"].session) == {ATTEMPT, "sub-V001/ses-01/att-1", "sub-P018/ses-01/att-1"}


def test_every_table_says_how_it_was_made(made):
    told = [read_provenance(made.folder / f"{name}.parquet") for name in TABLES]
    for name, each in zip(TABLES, told, strict=True):
        assert (each["table"], each["code_version"], each["input_sha256"]) == (
            name, myoloop.__version__, made.input_sha256,
        )  # fmt: skip
        assert each["parameters"]["train_pause_min_s"] == 0.2
    summary = json.loads((made.folder / "tables.json").read_bytes())
    for name, each in summary["tables"].items():
        content = (made.folder / f"{name}.parquet").read_bytes()
        assert each["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_bad_session_is_listed_and_stops_nothing(made):
    ((session, reason),) = made.left_out
    assert session == "sub-P019/ses-01/att-1"
    assert "damaged" in reason
    assert "left out: sub-P019/ses-01/att-1: damaged" in made.words()


def test_a_cut_session_is_used_and_says_so(tables):
    row = tables["sessions"].set_index("session").loc["sub-P018/ses-01/att-1"]
    assert row.status == "incomplete"
    assert 1.0 < row.duration_s < 3.0


def test_of_two_attempts_at_one_session_the_newest_is_the_last(tmp_path, known):
    for attempt in (1, 2):
        metadata = {**known.METADATA, "note": f"attempt {attempt}"}
        known.write(tmp_path / "study" / f"sub-P017/ses-03/att-{attempt}", metadata=metadata)
    found = analyse(tmp_path / "study")
    for name in TABLES:
        rows = parquet.read_table(found.folder / f"{name}.parquet").to_pandas()
        told = rows.groupby("attempt")["last_attempt"].agg(["min", "max"]).to_dict("index")
        assert told.get(1, {"min": False, "max": False}) == {"min": False, "max": False}, name
        assert told.get(2, {"min": True, "max": True}) == {"min": True, "max": True}, name
    assert "the newest attempt" in found.parameters["last_attempt"]


def test_only_recordings_of_the_statuses_that_are_asked_for_are_used(study, tmp_path):
    found = analyse(study, tmp_path, use=("incomplete",))
    assert found.used == ("sub-P018/ses-01/att-1",)
    assert dict(found.left_out)["sub-V001/ses-01/att-1"] == "complete: the tables use incomplete"
    assert found.parameters["use"] == ["incomplete"]


def test_spasms_that_a_person_corrected_are_asked_for_and_made_anew(study, made, tmp_path, monkeypatch):
    told = []

    def measured(session, *, corrected):
        told.append(corrected)
        return measure(session, corrected=corrected)

    monkeypatch.setattr(session_tables_module, "measure", measured)
    found = analyse(study, made.folder, corrected=True)
    assert told == [True, True, True]
    assert found.parameters["spasm_labels"] == "corrected"
    assert made.parameters["spasm_labels"] == "detected"
    assert found.input_sha256 != made.input_sha256
    # The others have to find what they made.
    assert analyse(study) == made


def test_what_fails_in_one_session_only_leaves_that_one_out(study, tmp_path, monkeypatch):
    def fails(path):
        if "P017" in str(path):
            raise ZeroDivisionError("of all things")
        return load(path)

    monkeypatch.setattr(study_tables, "load", fails)
    found = analyse(study, tmp_path)
    assert dict(found.left_out)[ATTEMPT] == "ZeroDivisionError: of all things"
    assert len(found.used) == 2


def test_twice_gives_the_same_bytes_made_anew_or_kept(study, made, tmp_path):
    def contents(folder):
        return {path.name: path.read_bytes() for path in folder.glob("*.*")}

    first = contents(made.folder)
    analyse(study)
    assert contents(made.folder) == first
    analyse(study, tmp_path / "anew")
    assert contents(tmp_path / "anew") == first
    assert set(first) == {*(f"{name}.parquet" for name in TABLES), "tables.json"}


def test_what_has_not_changed_is_not_read_again(study, made, monkeypatch):
    monkeypatch.setattr(study_tables, "load", None)
    assert analyse(study) == made


def test_without_one_person_the_tables_are_those_of_the_others(study, made, tmp_path):
    shutil.copytree(study, tmp_path / "study")
    shutil.rmtree(tmp_path / "study" / "sub-P017")
    found = analyse(tmp_path / "study")
    assert {session.split("/")[0] for session in found.used} == {"sub-V001", "sub-P018"}
    assert found.input_sha256 != made.input_sha256
    for name in TABLES:
        assert "P017" not in set(parquet.read_table(found.folder / f"{name}.parquet").column("person").to_pylist())
        assert b"P017" not in (found.folder / f"{name}.parquet").read_bytes()


def test_a_study_without_a_session_is_refused(tmp_path):
    (tmp_path / "study").mkdir()
    with pytest.raises(UserError, match="no session that can be used, of 0"):
        analyse(tmp_path / "study")
    with pytest.raises(UserError, match="no such folder"):
        analyse(tmp_path / "nowhere")


def test_a_table_of_another_program_says_nothing_of_itself(tmp_path, made):
    (tmp_path / "other.parquet").write_bytes(b"something else")
    with pytest.raises(UserError, match="cannot be read"):
        read_provenance(tmp_path / "other.parquet")


# -- what the tables say -----------------------------------------------------------------------------------


def test_a_session_in_one_row(of_known):
    (row,) = of_known["sessions"].to_dict("records")
    assert (row["session"], row["person"], row["session_id"]) == (ATTEMPT, "P017", "s1")
    assert (row["outcome"], row["reason"], row["stops"]) == ("stopped", "stop (operator)", 1)
    assert (row["emg_channels"], row["emg_rate_hz"], row["emg_samples"], row["gaps"]) == (2, 1000.0, 3990, 2)
    assert (row["pulses"], row["pulses_known_by"], row["charge_mc"]) == (20, "ledger", pytest.approx(0.05))
    assert row["stimulation_s"] == pytest.approx(0.95)
    assert row["wall_start"].isoformat() == "2023-11-14T22:13:20+00:00"


def test_pulses_stand_in_their_trains_and_trains_in_their_trial(of_known):
    (train,) = of_known["trains"].to_dict("records")
    assert (train["channel"], train["muscle"], train["phase"], train["trial"]) == ("c1", "biceps", "work", 1)
    assert (train["pulses"], train["rate_hz"], train["current_ma"]) == (20, pytest.approx(20.0), 10.0)
    pulses = of_known["pulses"]
    assert pulses.train.eq(1).all()
    assert pulses.charge_uc.sum() == pytest.approx(train["charge_uc"])
    assert pulses.t_s.between(train["begin_s"], train["end_s"]).all()


def test_latencies_of_a_virtual_clock_are_none(tables, of_known):
    rows = tables["sessions"].set_index("session")
    assert np.isnan(rows.loc["sub-V001/ses-01/att-1"].emg_to_request_p99_ms)
    assert of_known["sessions"].emg_to_request_p99_ms[0] == 1.0


def test_events_are_rows(of_known):
    (stop,) = of_known["events"].to_dict("records")
    assert (stop["kind"], stop["why"], json.loads(stop["values"])) == ("stop", "stop <operator>", {"from": "ARMED"})


def test_fatigue_that_was_not_valid_is_missing_with_the_reason(known_attempt, of_known):
    """The estimator told 0.9 at the end, of windows without a signal; it told 0.25 before, of good ones."""
    session = load(known_attempt)
    assert session.muscles["biceps"].fatigue.value[-1] == 0.9
    (row,) = of_known["sessions"].to_dict("records")
    assert (row["fatigue"], row["fatigue_low"], row["fatigue_high"]) == (0.25, 0.1, 0.4)
    assert row["fatigue_at_s"] == pytest.approx(3.9)
    assert row["fatigue_valid_share"] == pytest.approx(190 / 400)


@pytest.mark.parametrize(
    ("end_s", "value", "why_not"),
    [(1.5, np.nan, "not enough evidence"), (3.0, 0.25, ""), (3.95, np.nan, "signal lost")],
)
def test_a_trial_that_ended_in_unfit_windows_has_no_fatigue(known_attempt, end_s, value, why_not):
    import dataclasses

    session = load(known_attempt)
    session = dataclasses.replace(session, trial_times_s=((0.5, 0.9, end_s),))
    (row,) = session_tables(session, SessionKey(ATTEMPT, "P017", 3, 2))["trials"].to_pylist()
    assert (row["muscle"], row["fatigue_why_not"]) == ("biceps", why_not)
    assert row["fatigue"] == (None if np.isnan(value) else value)


def test_no_table_has_a_fatigue_of_a_session_without_a_valid_window(known_attempt):
    import dataclasses

    session = load(known_attempt)
    track = session.muscles["biceps"]
    never = dataclasses.replace(track.fatigue, valid=np.zeros(len(track.t_s), bool), reasons={"artifact": 400})
    session = dataclasses.replace(
        session, muscles={**session.muscles, "biceps": dataclasses.replace(track, fatigue=never)}
    )
    found = session_tables(session, SessionKey(ATTEMPT, "P017", 3, 2))
    (row,) = found["sessions"].to_pylist()
    assert (row["fatigue"], row["fatigue_valid_share"], row["fatigue_why_not"]) == (None, 0.0, "artifact")
    assert found["trials"].column("fatigue").null_count == len(found["trials"])


# -- the verb ----------------------------------------------------------------------------------------------


def test_the_verb_answers_with_what_was_made(study, made, tmp_path):
    said = CliRunner().invoke(app, ["analyse", str(study), "--json"])
    assert said.exit_code == 0, said.output
    told = json.loads(said.stdout)
    assert told["tables"]["sessions"]["rows"] == 3
    assert told["left_out"][0]["session"] == "sub-P019/ses-01/att-1"
    assert CliRunner().invoke(app, ["analyse", str(tmp_path / "nowhere")]).exit_code == 2
    wrong = CliRunner().invoke(app, ["analyse", str(study), "--use", "complete,whole"])
    assert (wrong.exit_code, "--use: found whole" in wrong.output) == (2, True)
