"""Every session is a row, every fault is told with its reason, and one bad file stops nothing."""

from __future__ import annotations

import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from myoloop.experiments.index import reading
from myoloop.experiments.index import study as indexing
from myoloop.experiments.index.cache import kept_path
from myoloop.experiments.index.study import Index, Row, index_study
from myoloop.experiments.index.words import say_index
from myoloop.experiments.studies.audit import audit_of, record_act
from myoloop.experiments.training.jobs import Jobs
from myoloop.index_verbs import index_verbs
from myoloop.platform.errors import UserError
from myoloop.platform.recording.folder import place_of
from myoloop.platform.recording.recover import recover


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, made: Any) -> Path:
    """A study of people with one fault of each kind."""
    study = tmp_path_factory.mktemp("index") / "study"
    made.record(study, "P001")
    made.record(study, "P002", seed=2, outcome="stopped")
    made.record(study, "P003", seed=3, outcome="")
    recover(made.record(study, "P004", seed=4, outcome=""))
    made.flip(made.record(study, "P005", seed=5), 0.5)
    made.record(study, "P006", seed=6, jump_s=10.0)
    made.record(study, "P007", seed=7, descriptors=(made.emg(unit="uV"), made.imu()))
    made.record(study, "P008", seed=8, descriptors=(made.emg(scale=1e-3), made.imu()))
    made.record(study, "P009", seed=9, descriptors=(made.emg(), made.imu(scale=1 / 9.81)))
    made.record(study, "P010", seed=10, lost=tuple(range(100, 110)))
    made.record(study, "P011", seed=11, slower=0.08)
    made.record(study, "P012", seed=12, metadata=made.VIRTUAL)
    made.record(study, "P013", seed=13, metadata={**made.PERSON, "simulated": "true", "origin.emg": "simulated"})
    (study / "sub-P014" / "ses-01" / "att-1").mkdir(parents=True)
    (study / "sub-P014" / "ses-01" / "att-1" / "log.jsonl").write_text("{}\n")
    shutil.copytree(study / "sub-P001", study / "sub-P015")
    whole = made.record(study, "P016", seed=16) / "session.mcap"
    whole.write_bytes(whole.read_bytes()[:100])
    cut = made.record(study, "P017", seed=17) / "session.mcap"
    cut.write_bytes(cut.read_bytes()[: round(0.3 * cut.stat().st_size)])
    return study


@pytest.fixture(scope="module")
def index(planted: Path) -> Index:
    return index_study(planted)


def row(index: Index, person: str) -> Row:
    return next(each for each in index.rows if each.person == person)


def codes(index: Index, person: str) -> list[str]:
    return [each.code for each in row(index, person).exclusions]


def test_every_attempt_is_a_row_with_its_status(index: Index) -> None:
    told = {each.person: each.facts.status for each in index.rows}
    assert told == {
        **dict.fromkeys((f"P{n:03}" for n in range(1, 18)), "complete"),
        "P002": "interrupted",
        "P003": "incomplete",
        "P004": "recovered",
        "P005": "refused",
        "P014": "refused",
        "P016": "refused",
        "P017": "incomplete",
    }


def test_a_good_one_is_graded_a_and_measured(index: Index, made: Any, tmp_path: Path) -> None:
    (good,) = index_study(made.record(tmp_path / "study", "P001").parents[2]).rows
    assert (good.grade, good.reasons, good.exclusions) == ("A", (), ())
    heard, felt = good.facts.streams
    assert (heard.topic, heard.samples, heard.lost_samples, heard.gaps) == ("emg/amp", 8000, 0, 0)
    assert heard.measured_hz == pytest.approx(2000.0, abs=1e-3)
    assert heard.jitter_p99_ms == pytest.approx(0.0, abs=1e-3)
    assert [(each.begin_s, each.end_s) for each in heard.segments] == [(0.0, 3.9995)]
    assert felt.measured_hz == pytest.approx(100.0, abs=1e-3)
    assert good.facts.verified == "good"


@pytest.mark.parametrize(
    ("person", "grade", "reason"),
    [
        ("P002", "C", "did not end as planned: stopped"),
        ("P003", "C", "has no end; nothing vouches for its last"),
        ("P004", "C", "was cut or damaged, and recovered"),
        ("P005", "X", "damaged: byte"),
        ("P014", "X", "no session.mcap in it"),
        ("P016", "X", "stops before it says which session it is"),
        ("P010", "C", "emg/amp: 2.50 % lost in 1 gaps"),
        ("P017", "X", "session: lost 7"),
    ],
)
def test_what_kept_it_from_a_better_grade_is_told(index: Index, person: str, grade: str, reason: str) -> None:
    found = row(index, person)
    assert found.grade == grade
    assert found.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    ("person", "code", "what", "words"),
    [
        ("P006", "clock_jump", "emg/amp", "its clock jumped by +10.000 s after 2.000 s: 2 segments"),
        ("P007", "wrong_unit", "emg/amp", "biceps in 'uV', triceps in 'uV'; allowed are V, 1"),
        ("P008", "wrong_unit", "emg/amp", "biceps varies by 0.00"),
        ("P009", "wrong_unit", "imu/amp", "m/s^2 in the median"),
        ("P011", "wrong_rate", "emg/amp", "comes at 1851.9 Hz, said to be 2000 Hz (-7.4 %)"),
        ("P012", "mixed", "session", "simulated, in a study with sessions of people"),
        ("P013", "origin", "session", "neither wholly of a person nor wholly simulated: "),
        ("P017", "cut", "session", " % of the records that its manifest.json names: "),
        ("P001", "duplicate", "session", "holds the same recording as sub-P015/ses-01/att-1"),
        ("P015", "wrong_person", "session", "was recorded as P001, and no audit says"),
    ],
)
def test_each_planted_fault_excludes_its_session_and_says_why(
    index: Index, person: str, code: str, what: str, words: str
) -> None:
    found = [each for each in row(index, person).exclusions if (each.code, each.what) == (code, what)]
    assert len(found) >= 1, row(index, person).exclusions
    assert words in found[0].reason
    assert not row(index, person).usable


def test_a_clock_that_jumped_leaves_segments_that_are_told_and_not_joined(index: Index, planted: Path) -> None:
    heard = row(index, "P006").facts.streams[0]
    assert [(each.begin_s, each.end_s, each.samples, each.cause) for each in heard.segments] == [
        (0.0, 1.9995, 4000, "begin"),
        (12.0, 13.9995, 4000, "clock"),
    ]
    assert heard.segments[1].step_s == pytest.approx(10.0)
    assert heard.measured_hz == pytest.approx(2000.0, abs=0.01), "the jump is in no rate"
    assert "emg/amp: segment 2 of 2: 12.000 to 13.999 s, 4000 samples" in say_index(index)


def test_people_and_virtual_people_in_one_study_are_told(index: Index) -> None:
    assert index.problems == (
        "12 sessions of people and 1 simulated ones in one study: the simulated ones are excluded",
    )


def test_what_was_salvaged_stream_by_stream_says_what_was_lost(made: Any, tmp_path: Path) -> None:
    folder = made.record(tmp_path / "study", "P001")
    made.flip(folder, 0.5)
    recover(folder, each_stream=True)
    (found,) = index_study(tmp_path / "study").rows
    assert (found.facts.status, found.grade) == ("recovered", "C")
    told = "\n".join(found.reasons)
    assert "of them not vouched for; " in told
    assert "file: 1 damaged stretches" in told
    assert sum(each.lost_samples for each in found.facts.streams) > 0


def test_whatever_a_session_raises_is_its_own_row(
    planted: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    shutil.copytree(planted, study, ignore=shutil.ignore_patterns("derivatives", "sub-P01*"))
    real = reading.read_facts

    def breaks(attempt: Path) -> Any:
        if "P003" in str(attempt):
            raise MemoryError
        return real(attempt)

    monkeypatch.setattr(indexing, "read_facts", breaks)
    found = index_study(study)
    assert row(found, "P003").facts.reason == "MemoryError: MemoryError"
    assert len(found.rows) == 9
    monkeypatch.undo()
    assert row(index_study(study), "P003").facts.status == "incomplete", "what only that run could not do is not kept"


# -- the cache -------------------------------------------------------------------------------------------------------


def checked(index: Index) -> set[str]:
    return {each.checked for each in index.rows}


@pytest.fixture
def small(made: Any, tmp_path: Path) -> Path:
    study = tmp_path / "study"
    for n in (1, 2):
        made.record(study, f"P00{n}", seed=n, blocks=50)
    return study


def test_what_has_not_changed_is_not_read_again(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = index_study(small)
    assert checked(first) == {"read"}
    monkeypatch.setattr(indexing, "read_facts", None)
    for again, how in (
        (index_study(small), "hashed"),  # written just now: a clock of files may be too coarse to tell
        (index_study(small, settled_ns=0), "unchanged"),
        (index_study(small, rehash=True), "hashed"),
    ):
        assert checked(again) == {how}
        assert [each.facts for each in again.rows] == [each.facts for each in first.rows]


def test_an_edit_that_hides_its_size_and_time_is_seen(small: Path) -> None:
    index_study(small)
    path = small / "sub-P001" / "ses-01" / "att-1" / "session.mcap"
    before = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    found = index_study(small, settled_ns=0)
    assert row(found, "P001").facts.status == "refused"
    assert row(found, "P002").checked == "unchanged"


def test_an_edited_copy_or_manifest_is_seen_too(small: Path) -> None:
    index_study(small)
    manifest = small / "sub-P001" / "ses-01" / "att-1" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("complete", "stopped"))
    assert "was edited since it was written" in row(index_study(small, settled_ns=0), "P001").facts.reason


def test_facts_that_were_edited_or_torn_are_not_believed(small: Path) -> None:
    index_study(small)
    place = place_of(small / "sub-P001" / "ses-01" / "att-1")
    assert place is not None
    path = kept_path(place)
    whole = path.read_text()
    for content in (whole.replace('"status":"complete"', '"status":"recovered"'), whole[:-20], "[" * 100_000):
        path.write_text(content)
        found = row(index_study(small, settled_ns=0), "P001")
        assert (found.checked, found.facts.status) == ("read", "complete")


def test_a_study_that_may_not_be_written_is_indexed_all_the_same(small: Path) -> None:
    (small / "derivatives").write_text("a file where the folder would be")
    assert {each.grade for each in index_study(small).rows} == {"A"}


# -- who may use what ------------------------------------------------------------------------------------------------


def test_a_session_that_was_given_to_another_by_an_audit_is_theirs(made: Any, tmp_path: Path) -> None:
    study = tmp_path / "study"
    made.record(study, "P001")
    (study / "sub-P001").rename(study / "sub-P002")
    assert codes(index_study(study), "P002") == ["wrong_person"]
    change = ({"person": "P001", "session": 1}, {"person": "P002", "session": 1})
    now = datetime(2026, 11, 21, tzinfo=UTC)
    record_act(audit_of(study), now, "A. Berg", "pi", "reassign", "sub-P001/ses-01", *change, "typed wrongly")
    assert codes(index_study(study), "P002") == []


def test_who_has_withdrawn_is_excluded_and_an_unreadable_list_excludes_all(made: Any, tmp_path: Path) -> None:
    study = tmp_path / "study"
    made.record(study, "P001", blocks=50)
    (study / "participants.tsv").write_text("participant_id\tstatus\tenrolled_on\nsub-P001\twithdrawn\tn/a\n")
    assert codes(index_study(study), "P001") == ["withdrawn"]
    (study / "participants.tsv").write_text("participant_id\tstatus\tenrolled_on\nsub-P001\tgone\tn/a\n")
    found = index_study(study)
    assert codes(found, "P001") == ["participants"]
    assert "status: found 'gone'" in found.problems[0]


def test_a_blinded_session_shows_nothing_that_tells_its_arm(made: Any, tmp_path: Path) -> None:
    study = tmp_path / "study"
    blinded = {**made.PERSON, "blinded": "true", "arm": "sham"}
    made.record(study, "P001", metadata=blinded, invalid=b"\xff" * 5)
    made.record(study, "P002", seed=2, invalid=b"\xff" * 5)
    found = index_study(study)
    assert row(found, "P001").facts.streams[0].invalid_percent is None
    assert row(found, "P002").facts.streams[0].invalid_percent == 100.0
    assert "verdict_to_pulse" not in row(found, "P001").facts.latency_ms
    assert "verdict_to_pulse" in row(found, "P002").facts.latency_ms
    for text in (json.dumps(found.as_data()), say_index(found), *(p.read_text() for p in study.rglob("ses-*.json"))):
        assert "sham" not in text


def test_latencies_are_those_of_the_session_report(known: Any, tmp_path: Path) -> None:
    from myoloop.experiments.analysis.latency import percentiles
    from myoloop.experiments.analysis.session import load

    folder = known.write(tmp_path / "study" / "sub-P017" / "ses-01" / "att-1")
    (found,) = index_study(tmp_path / "study").rows
    wanted = load(folder).latencies_ms
    assert found.facts.latency_ms["emg_to_request"] == percentiles(wanted["emg_to_request"])
    assert found.facts.latency_ms["request_to_report"] == percentiles(wanted["request_to_report"])
    assert found.facts.latency_ms["emg_to_request"]["n"]


def test_what_ran_under_a_virtual_clock_has_no_latency(made: Any, tmp_path: Path) -> None:
    made.record(tmp_path / "study", "P001", cycle_ms=0.0)
    made.record(tmp_path / "study", "P002", seed=2, cycle_ms=0.5)
    found = index_study(tmp_path / "study")
    assert [each.facts.virtual_clock for each in found.rows] == [True, False]
    assert row(found, "P001").facts.latency_ms == {}
    assert set(row(found, "P002").facts.latency_ms) == {"emg_to_request", "request_to_report", "verdict_to_pulse"}
    assert "virtual clock" in say_index(found)


# -- the verb --------------------------------------------------------------------------------------------------------


def test_the_verb_lists_them_all_and_is_strict_where_it_is_told(planted: Path) -> None:
    told = CliRunner().invoke(index_verbs, [str(planted)])
    assert told.exit_code == 0
    assert "sub-P005/ses-01/att-1" in told.stdout
    assert "grades: A: ended as planned" in told.stdout
    answer = json.loads(CliRunner().invoke(index_verbs, [str(planted), "--json"]).stdout)
    assert len(answer["sessions"]) == 17
    assert answer["counts"]["refused"] == 3
    assert answer["grade_rule"].startswith("A: ")
    assert CliRunner().invoke(index_verbs, [str(planted), "--strict"]).exit_code == 1


def test_a_study_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such folder"):
        index_study(tmp_path / "none")


@pytest.mark.prove
def test_a_thousand_sessions_are_indexed_within_a_minute_once_they_were_read(made: Any, tmp_path: Path) -> None:
    import time

    study = tmp_path / "study"
    one = made.record(study, "P000", blocks=20)
    for n in range(1, 1000):
        shutil.copytree(one, study / f"sub-P{n:03}" / "ses-01" / "att-1")
    index_study(study, Jobs(workers=2))
    for settled_ns, how in ((0, "unchanged"), (10**18, "hashed")):
        began = time.monotonic()
        found = index_study(study, settled_ns=settled_ns)
        assert checked(found) == {how}
        assert len(found.rows) == 1000
        assert time.monotonic() - began < 60.0
