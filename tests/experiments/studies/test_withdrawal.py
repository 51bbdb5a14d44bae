"""Everything of a person is removed wherever it stands, and a search of every file proves it."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from myoloop.experiments.studies.audit import read_audit
from myoloop.experiments.studies.chained import ChainedLog
from myoloop.experiments.studies.participants import Participant, participants, refuse_withdrawn, register
from myoloop.experiments.studies.people import Actor, reassign
from myoloop.experiments.studies.pseudonym_search import Words, search
from myoloop.experiments.studies.withdrawal import say_withdrawn, withdraw
from myoloop.experiments.training.jobs import write_result
from myoloop.platform.errors import UserError
from myoloop.stimulators.dose_ledger import Ledger
from myoloop.stimulators.gate.dose import DoseTotals

BOSS = Actor("A. Berg", "pi", datetime(2026, 11, 21, 12, tzinfo=UTC), "consent withdrawn")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """P017 and P018 with a session each."""
    study = tmp_path / "study"
    for person in ("P017", "P018"):
        attempt = study / f"sub-{person}" / "ses-01" / "att-1"
        attempt.mkdir(parents=True)
        (attempt / "session.mcap").write_bytes(f"{person} 1".encode())
        register(study, person, date(2026, 10, 1))
    ChainedLog(study / "sub-P017" / "record" / "skin.jsonl").append({"session": 1, "skin": "fine"})
    return study


def grep(study: Path, word: str = "P017") -> dict[str, int]:
    """A plain search by name and bytes, which knows nothing of ours."""
    found = {}
    for path in study.rglob("*"):
        name = path.relative_to(study).as_posix()
        hits = name.count(word) + (path.read_bytes().count(word.encode()) if path.is_file() else 0)
        if hits:
            found[name] = hits
    return found


def dataset(folder: Path, *people: str) -> str:
    """What a frozen dataset has that matters here."""
    folder.mkdir(parents=True)
    sha256 = hashlib.sha256(" ".join(people).encode()).hexdigest()
    (folder / "dataset.json").write_text(json.dumps({"format": "myoloop-dataset-1", "sha256": sha256}))
    rows = "".join(f"{person}\ttrain\n" for person in people)
    (folder / "people.tsv").write_text(f"person\thalf\n{rows}")
    return sha256


def test_after_it_the_pseudonym_stands_in_the_audit_alone(study: Path) -> None:
    done = withdraw(study, "P017", BOSS)
    assert grep(study) == {"audit.jsonl": 2}
    assert (done.mentions, done.chained) == ((), {"audit.jsonl": 2})
    assert [(row["act"], row["what"]) for row in read_audit(study).acts] == [
        ("withdraw", "sub-P017"),
        ("withdraw_proved", "sub-P017"),
    ]
    assert read_audit(study).problems == []
    assert "P017 stands in audit.jsonl (2 times; a chained log, kept)" in say_withdrawn(done, "P017")


def test_the_proof_names_every_file_by_its_hash_and_nobody(study: Path) -> None:
    derived = study / "derivatives" / "sub-P017_report.html"
    derived.parent.mkdir()
    derived.write_text("report")
    (study / "derivatives" / "sub-P0171_report.html").write_text("another's")
    hashes = {
        path.relative_to(study).as_posix().replace("P017", "*"): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in [derived, *(study / "sub-P017").rglob("*")]
        if path.is_file()
    }
    done = withdraw(study, "P017", BOSS)
    assert not (study / "sub-P017").exists()
    assert not derived.exists()
    assert (study / "derivatives" / "sub-P0171_report.html").exists()
    assert (study / "sub-P018" / "ses-01" / "att-1" / "session.mcap").exists()
    assert done.proof is not None
    proof = json.loads(done.proof.read_text())
    assert {row["path"]: row["sha256"] for row in proof["removed"]} == hashes
    row = read_audit(study).acts[0]
    assert row["new"]["files"] == len(hashes)
    assert row["new"]["sha256"] == hashlib.sha256(done.proof.read_bytes()).hexdigest()


def test_the_pseudonym_is_not_used_again(study: Path) -> None:
    withdraw(study, "P017", BOSS)
    assert participants(study)["P017"] == Participant("P017", "withdrawn", None)
    with pytest.raises(UserError, match="has withdrawn"):
        refuse_withdrawn(study, "P017")
    with pytest.raises(UserError, match="has withdrawn"):
        register(study, "P017", date(2026, 11, 21))
    register(study, "P019", date(2026, 11, 21))
    assert set(grep(study)) == {"audit.jsonl"}


def test_tables_and_reports_of_everybody_go_and_have_to_be_made_again(study: Path) -> None:
    tables = study / "derivatives" / "tables"
    tables.mkdir(parents=True)
    table = pa.table({"person": pa.array(["P018", "P017"]).dictionary_encode(), "x": [1, 2]})
    parquet.write_table(table, tables / "trains.parquet", compression="zstd")
    parquet.write_table(pa.table({"person": ["P018"]}), tables / "other.parquet")
    np.savez_compressed(study / "derivatives" / "kept.npz", people=np.array(["P017", "P018"]))
    (study / "derivatives" / "result.npz").write_bytes(write_result({"path": "sub-P017/ses-01", "x": np.zeros(3)}))
    (study / "derivatives" / "cohort.html").write_text("<p>P017, P018</p>")
    done = withdraw(study, "P017", BOSS)
    assert sorted(done.derived) == [
        "derivatives/cohort.html",
        "derivatives/kept.npz",
        "derivatives/result.npz",
        "derivatives/tables/trains.parquet",
    ]
    assert (tables / "other.parquet").exists()
    assert done.mentions == ()


def test_of_an_export_goes_whatever_names_the_person(study: Path) -> None:
    export = study / "exports" / "bids"
    (export / "sub-P017" / "emg").mkdir(parents=True)
    (export / "sub-P017" / "emg" / "sub-P017_emg.bdf").write_bytes(b"x")
    (export / "dataset_description.json").write_text("{}")
    (export / "participants.tsv").write_text("participant_id\nsub-P017\nsub-P018\n")
    done = withdraw(study, "P017", BOSS)
    assert done.derived == ("exports/bids/participants.tsv",)
    assert [path.name for path in export.iterdir()] == ["dataset_description.json"]


def test_a_dataset_goes_whole_and_who_learned_from_it_is_told(study: Path, tmp_path: Path) -> None:
    sha256 = dataset(study / "data" / "with", "P017", "P018")
    dataset(study / "data" / "without", "P018")
    card = study / "models" / "aa" / "artefact" / "card.json"
    card.parent.mkdir(parents=True)
    card.write_text(json.dumps({"dataset_sha256": sha256}))
    elsewhere = tmp_path / "elsewhere"
    dataset(elsewhere / "more", "P017")
    dry = withdraw(study, "P017", BOSS, also=(elsewhere,), dry_run=True)
    done = withdraw(study, "P017", BOSS, also=(elsewhere,))
    assert [(each.path, each.sha256, each.learned) for each in done.datasets] == [
        ("data/with", sha256, ("models/aa/artefact/card.json",)),
        ((elsewhere / "more").as_posix(), done.datasets[1].sha256, ()),
    ]
    assert (dry.datasets, dry.files) == (done.datasets, done.files)
    assert not (study / "data" / "with").exists()
    assert (study / "data" / "without").exists()
    assert card.exists()
    assert "learned from that dataset; train and evaluate again" in say_withdrawn(done, "P017")
    assert grep(elsewhere) == {}


def test_other_files_that_name_the_person_are_told_and_kept(study: Path) -> None:
    (study / "notes.csv").write_text("P017,3\nP0171,4\n")
    (study / "other.csv").write_text("P0171,4\n")
    assert withdraw(study, "P017", BOSS).mentions == ("notes.csv",)


def test_the_name_in_other_letters_is_told_and_kept(study: Path) -> None:
    (study / "export").mkdir()
    (study / "export" / "sub-p017_emg.csv").write_text("1\n")
    (study / "notes.csv").write_text("p017,3\n")
    (study / "other.csv").write_text("p0171,4\n")
    (study / "old.txt").write_text("p017", encoding="utf-16")
    kept = ("export/sub-p017_emg.csv", "notes.csv", "old.txt")
    planned = withdraw(study, "P017", BOSS, dry_run=True)
    assert (planned.mentions, planned.alike) == ((), kept)
    done = withdraw(study, "P017", BOSS)
    assert (done.mentions, done.alike) == ((), kept)
    assert all((study / path).is_file() for path in kept)
    assert "notes.csv: names P017 in other letters; look at it" in say_withdrawn(done, "P017")
    assert read_audit(study).acts[-1]["new"]["in_other_letters"] == 3


def test_a_recording_reassigned_before_still_names_who_has_withdrawn(study: Path) -> None:
    done = reassign(study / "sub-P017" / "ses-01", "P018", BOSS)
    found = withdraw(study, "P017", BOSS)
    assert found.mentions == (f"{done.new.relative_to(study)}/att-1/session.mcap",)
    assert f"{done.new.relative_to(study)}/att-1/audit.jsonl" in found.chained


def test_of_a_session_that_was_given_to_the_person_only_its_number_is_left(study: Path) -> None:
    reassign(study / "sub-P018" / "ses-01", "P017", BOSS)
    assert withdraw(study, "P017", BOSS).mentions == ()
    left = json.loads((study / "sub-P018" / "ses-01" / "reassigned.json").read_text())
    assert left["person"] is None


def test_a_link_is_removed_and_not_what_it_points_at(study: Path, tmp_path: Path) -> None:
    outside = tmp_path / "precious"
    outside.mkdir()
    (outside / "file").write_text("x")
    (study / "sub-P017" / "link").symlink_to(outside)
    withdraw(study, "P017", BOSS)
    assert (outside / "file").exists()
    assert not (study / "sub-P017").exists()


def test_a_withdrawal_that_was_cut_short_is_gone_on_with(study: Path) -> None:
    withdraw(study, "P017", BOSS)
    left = study / "sub-P017" / "ses-01"
    left.mkdir(parents=True)
    (left / "left.txt").write_text("x")
    again = withdraw(study, "P017", BOSS)
    assert again.proof is not None
    assert again.proof.name == "2.json"
    assert [path for path, _, _ in again.files] == ["sub-P017/ses-01/left.txt"]
    assert not (study / "sub-P017").exists()


def test_a_dry_run_of_it_removes_nothing(study: Path) -> None:
    before = grep(study)
    done = withdraw(study, "P017", BOSS, dry_run=True)
    assert (done.proof, len(done.files), done.mentions) == (None, 2, ())
    assert grep(study) == before
    assert "would remove sub-P017/ses-01/att-1/session.mcap" in say_withdrawn(done, "P017")


def test_while_a_session_runs_nothing_is_removed(study: Path) -> None:
    ledger = Ledger.open(study / "sub-P017" / "dose.jsonl", "P017", "ses-09")
    try:
        with pytest.raises(UserError, match="is running"):
            withdraw(study, "P017", BOSS)
    finally:
        ledger.close(DoseTotals(), 0)
    assert (study / "sub-P017").exists()


def test_one_who_is_not_there_is_told(study: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing of P099 is in it"):
        withdraw(study, "P099", BOSS)
    for arguments in ((tmp_path / "none", ()), (study, (tmp_path / "none",))):
        with pytest.raises(UserError, match="no such folder"):
            withdraw(arguments[0], "P017", BOSS, also=arguments[1])


def test_an_audit_that_was_edited_tells_nobody_who_has_withdrawn(study: Path) -> None:
    withdraw(study, "P017", BOSS)
    audit = study / "audit.jsonl"
    audit.write_text(audit.read_text().replace("sub-P017", "sub-P999"))
    with pytest.raises(UserError, match=r"audit\.jsonl"):
        participants(study)


# -- the search ------------------------------------------------------------------------------------------------------


def found_in(folder: Path) -> Any:
    return search(folder, Words(["P017"]))


def test_a_pseudonym_is_found_inside_what_is_compressed(tmp_path: Path) -> None:
    import gzip
    import zipfile

    import h5py
    from scipy.io import savemat

    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"of P017"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("inner/c.csv", "P018\nP017\n" * 50)
    savemat(tmp_path / "d.mat", {"person": "P017"}, do_compression=True)
    with h5py.File(tmp_path / "e.h5", "w") as file:
        file.create_dataset("x", data=np.zeros(3)).attrs["subject"] = "P017"
    nested = pa.table({"rows": [[{"person": "P017"}], []], "x": [1.0, 2.0]})
    parquet.write_table(nested, tmp_path / "f.parquet", compression="zstd")
    (tmp_path / "g.txt").write_text("P017", encoding="utf-16")
    found = found_in(tmp_path)
    assert set(found.hits) == {"a.txt.gz", "b.zip", "d.mat", "e.h5", "f.parquet", "g.txt"}
    assert found.opened == {"archives": 2, "MATLAB": 1, "HDF5": 1, "tables": 1}
    assert found.not_searched == {}


def test_a_recording_is_searched_message_by_message_and_its_samples_are_not(known: Any, tmp_path: Path) -> None:
    from myoloop.platform.recording.compact import compact

    folder = known.write(tmp_path / "att-1", metadata={**known.METADATA, "subject": "P018"})
    assert found_in(tmp_path).hits == {"att-1/session.mcap": 1}, "its envelope names P017"
    compact(folder)
    assert found_in(tmp_path).hits == {"att-1/session.mcap": 1}, "also once it is compressed"
    assert found_in(tmp_path).opened == {"recordings": 1}


def test_only_a_word_of_its_own_counts_also_across_blocks(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"P0171 XP017 P017x sub-P017_emg (P017) P017")
    assert found_in(tmp_path).hits == {"a": 3}
    for shift in (0, 1, 3, 4, 5, 255, 256, 257):
        (tmp_path / "a").write_bytes(b"." * ((1 << 20) - shift) + b"P017" + b"." * 1000 + b"XP017 P0171")
        assert found_in(tmp_path).hits == {"a": 1}, shift


def test_what_cannot_be_looked_into_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    (tmp_path / "allocation.sealed").write_bytes(b"\0")
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04torn")
    (tmp_path / "P017.pdf").write_bytes(b"%PDF")
    found = found_in(tmp_path)
    assert set(found.not_searched) == {"a.png", "allocation.sealed", "b.zip", "P017.pdf"}
    assert found.hits == {"P017.pdf": 1}, "names are searched all the same"
    assert found.in_words() == "searched 4 files; 4 by name only"
