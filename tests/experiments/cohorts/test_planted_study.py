"""A planted study, from its folder to its tables: faults are listed, nothing spoiled is used, people can leave."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.cohorts import gathering, planting, spoiling
from myoloop.experiments.cohorts.cohort import Cohort, make_cohort, tables
from myoloop.experiments.cohorts.gathering import Choice, CohortError, gather
from myoloop.experiments.cohorts.opening import ACT, open_arms
from myoloop.experiments.cohorts.planting import Cohort as Size
from myoloop.experiments.cohorts.planting import Made, plant
from myoloop.experiments.cohorts.playing import TRAINS, Played
from myoloop.experiments.cohorts.proving import not_listed, recovered
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.studies.audit import read_audit
from myoloop.experiments.studies.chained import read_chained
from myoloop.experiments.studies.people import Actor
from myoloop.experiments.studies.withdrawal import withdraw
from myoloop.experiments.training.jobs import Jobs
from myoloop.platform.errors import UserError
from myoloop.platform.sealed import read_key

WHO = {"who": "A. Berg", "role": "statistician", "why": "final analysis"}


def test_it_is_a_study_like_any_other(planted: Made) -> None:
    assert planted.sessions == 8
    names = {path.name for path in planted.study.iterdir()}
    assert {"study.yaml", "participants.tsv", "allocation.sealed", "allocation", "sub-P001", "sub-P004"} <= names
    assert not read_audit(planted.study).problems
    # What was planted is nowhere in the study, and the key is not.
    assert not list(planted.study.rglob("truth.json"))
    assert planted.key.parent == planted.study.parent


def test_every_fault_is_listed_and_none_is_used(planted: Made) -> None:
    cohort = make_cohort(planted.study, planted.analysis, read_key(planted.key))
    assert not_listed(planted.truth, cohort) == []
    told = {row.excluded.split(":")[0].split(",")[0] for row in cohort.gathered.rows if not row.used}
    assert told == {"refused", "cut", "wrong_unit"}
    assert [row.session for row in cohort.gathered.rows if row.used] == [1, 1, 1, 1]


def test_a_fault_that_were_used_would_be_found(planted: Made) -> None:
    cohort = make_cohort(planted.study, planted.analysis, read_key(planted.key))
    truth = json.loads(planted.truth.read_text())
    truth["faults"].append({"person": "P001", "session": 1, "fault": spoiling.BIT_FLIP})
    other = planted.truth.with_name("other.json")
    other.write_text(json.dumps(truth))
    assert not_listed(other, cohort) == ["P001 session 1: bit flip: used"]


def test_an_outcome_that_the_analysis_names_is_computed_though_the_protocol_does_not(planted: Made) -> None:
    without, found = (gather(planted.study, Choice(also=also, doubtful=True)) for also in ((), ("mvc_emg",)))
    assert all("mvc_emg" not in row.outcomes for row in without.rows)
    assert [row.outcomes["mvc_emg"].value is not None for row in found.rows if row.used] == [True] * 4


def test_twice_gives_the_same_tables(planted: Made) -> None:
    first = tables(make_cohort(planted.study, planted.analysis, read_key(planted.key)))
    shutil.rmtree(planted.study / "derivatives")
    assert tables(make_cohort(planted.study, planted.analysis, read_key(planted.key))) == first


def test_who_opens_the_arms_says_so_and_stands_in_the_audit(planted: Made, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(planted.study, study)
    with pytest.raises(CohortError, match="--who, --role, --why: missing"):
        open_arms(study, planted.analysis, planted.key, blinded=False, out=tmp_path / "open")
    with pytest.raises(UserError, match="--out: missing"):
        open_arms(study, planted.analysis, planted.key, blinded=False, **WHO)
    assert not [row for row in read_chained(study / "audit.jsonl") if row["act"] == ACT]
    cohort, folder = open_arms(study, planted.analysis, planted.key, blinded=False, out=tmp_path / "open", **WHO)
    assert folder == tmp_path / "open"
    assert cohort.people.arms == ("active", "sham")
    (row,) = [row for row in read_chained(study / "audit.jsonl") if row["act"] == ACT]
    assert (row["who"], row["why"]) == ("A. Berg", "final analysis")


def test_without_somebody_who_withdraws_everything_is_made_anew(planted: Made, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(planted.study, study)
    before = make_cohort(study, planted.analysis, read_key(planted.key))
    assert list(study.rglob("derivatives/**/sub-P002"))
    withdraw(study, "P002", Actor("A. Berg", "pi", datetime(2026, 4, 1, tzinfo=UTC), "consent withdrawn"))
    assert not list(study.rglob("sub-P002*"))
    after = make_cohort(study, planted.analysis, read_key(planted.key))
    assert "P002" in {row.person for row in before.gathered.rows}
    assert "P002" not in {row.person for row in after.gathered.rows}
    told = tables(after)
    assert [name for name, text in told.items() if "P002" in text] == []
    assert "withdrawn 1,withdrawn" in told["people.csv"]
    assert "1 withdrawn, all data removed: withdrawn 1" in told["flow.csv"]
    assert before.input_sha256 != after.input_sha256


def test_simulated_sessions_and_peoples_are_never_one_cohort(planted: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    index = gathering.index_study(planted.study)
    first, *others = index.rows
    assert first.facts.population == "simulated"
    person = replace(first, facts=msgspec.structs.replace(first.facts, population="person"))
    mixed = replace(index, rows=(person, *others))
    monkeypatch.setattr(gathering, "index_study", lambda study, jobs: mixed)
    with pytest.raises(CohortError, match=r"1 sessions of people and \d+ simulated ones; they are never analysed"):
        gather(planted.study, Choice())


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"people": 5}, "--people: found 5"),
        ({"people": 2}, "--people: found 2"),
        ({"sessions": 7}, "--sessions: found 7"),
        ({"rest_s": 1.0}, "--rest: found 1 s"),
    ],
)
def test_what_cannot_be_planted_is_refused(wanted: dict[str, int], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Size(**wanted)  # type: ignore[arg-type]


def test_the_true_loss_is_of_the_force_that_the_body_had_itself() -> None:
    # Median of 100, 90, 80 and of 60, 45, 40.
    assert Played(Path(), (100.0, 80.0, 90.0, 70.0, 60.0, 45.0, 40.0)).evoked_loss == pytest.approx(0.5)
    assert Played(Path(), (100.0,) * 5).evoked_loss is None
    # Without current there is no force.
    assert Played(Path(), (0.0,) * 7).evoked_loss is None


def test_a_length_that_is_asked_for_is_that_of_the_block_with_trains_alike(tmp_path: Path) -> None:
    planting._write_protocol(tmp_path / "protocol.yaml", Size(people=4, trials=9), "0" * 64)
    blocks = [each.block for each in load_protocol(tmp_path / "protocol.yaml").phases if each.block is not None]
    assert [(each.name, each.trials) for each in blocks] == [("first rise", 1), (TRAINS, 9)]


def test_nothing_is_planted_over_anything(planted: Made) -> None:
    with pytest.raises(UserError, match="is there already"):
        plant(planted.study.parent, Size(people=4, sessions=2, short=True))


def test_a_folder_without_sessions_is_no_cohort(tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="holds no session"):
        make_cohort(tmp_path)
    with pytest.raises(CohortError, match="no such folder"):
        open_arms(tmp_path / "nothing", None, None, blinded=True)


def said(*arguments: str, code: int = 0) -> tuple[str, str]:
    result = CliRunner().invoke(app, list(arguments))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    return result.stdout, result.stderr


def test_a_blinded_cohort_answers_machines_and_leaves_a_report_in_the_study(planted: Made, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(planted.study, study)
    found = json.loads(said("cohort", str(study), "--analysis", str(planted.analysis), "--blinded", "--json")[0])
    assert found["report"] == str(study / "derivatives/cohort/report.html")
    assert Path(found["report"]).is_file()
    assert (found["arms"], found["simulated"], found["recordings"], found["used"]) == ("pooled", True, 8, 4)
    assert len(found["exclusions"]) == 4
    assert found["estimates"][0]["why"] == "arms are withheld"
    assert not (study / "audit.jsonl").exists() or "cohort_unblind" not in (study / "audit.jsonl").read_text()


def test_other_recordings_are_told_beside_the_registered_ones(planted: Made, tmp_path: Path) -> None:
    study = tmp_path / "study"
    shutil.copytree(planted.study, study)
    told = json.loads(
        said("cohort", str(study), "--analysis", str(planted.analysis), "--blinded", "--use", "complete,incomplete",
             "--json")[0]
    )  # fmt: skip
    assert [each["part"] for each in told["estimates"] if each["what"].endswith("used: complete, incomplete")] == [
        "sensitivity"
    ]
    assert told["used"] == 4


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("cohort", "{study}", "--use", "all"), "--use: found all"),
        (("plant", "{out}", "--people", "7"), "--people: found 7"),
        (("cohort", "{out}/nothing"), "no such folder"),
        (("cohort", "{study}", "--analysis", "{out}/none.yaml"), "none.yaml"),
        (("cohort", "{study}", "--key", "{key}"), "--who, --role, --why: missing"),
        (("cohort", "{study}", "--key", "{key}", "--who", "A", "--role", "pi", "--why", "x"), "--out: missing"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(
    planted: Made, tmp_path: Path, arguments: tuple[str, ...], told: str
) -> None:
    given = {"out": tmp_path, "study": planted.study, "key": planted.key}
    _, error = said(*(each.format(**given) for each in arguments), code=2)
    assert told in error
    assert len(error.strip().splitlines()) == 1


# -- twenty people in two arms: ten minutes on two free cores, and 1.4 GB ---------------------------------------------

WHOLE = Jobs(workers=2)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Made, Cohort]:
    """The whole planted study, and its analysis."""
    made = plant(tmp_path_factory.mktemp("whole") / "out", Size(people=20, sessions=6, seed=1), WHOLE)
    return made, make_cohort(made.study, made.analysis, read_key(made.key), jobs=WHOLE)


def is_recovered(whole: tuple[Made, Cohort], what: str) -> None:
    made, cohort = whole
    (found,) = (each for each in recovered(made.truth, cohort) if each.what == what)
    assert found.within, found
    assert found.low is not None
    assert found.high is not None
    # An interval that holds everything would hold that as well.
    assert found.low * found.high > 0, found


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_a_gain_of_strength_that_was_planted_is_recovered(whole: tuple[Made, Cohort]) -> None:
    is_recovered(whole, "strength")


@pytest.mark.prove
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", ["spasms", "fatigue", "asymmetry", "dose-response"])
def test_each_other_effect_that_was_planted_is_recovered(whole: tuple[Made, Cohort], what: str) -> None:
    is_recovered(whole, what)


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_the_loss_of_force_that_is_measured_is_the_one_that_the_body_had(whole: tuple[Made, Cohort]) -> None:
    made, cohort = whole
    people, used = json.loads(made.truth.read_text())["people"], cohort.gathered.used()
    # Without current nothing is lost, and nothing is told of it.
    told = [
        (each["evoked_loss"], used[name, int(session)].outcomes["evoked_fatigue"].value)
        for name, who in people.items()
        for session, each in who["sessions"].items()
        if each["evoked_loss"] is not None and (name, int(session)) in used
    ]
    assert len(told) > 40
    true, measured = np.array(told, dtype=float).T
    # Half a newton of noise in some fifty to hundred: a loss is known to a hundredth.
    assert np.sqrt(np.mean((measured - true) ** 2)) < 0.01
    assert abs(np.mean(measured - true)) < 0.005


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_every_fault_among_twenty_people_is_listed_and_none_used(whole: tuple[Made, Cohort]) -> None:
    made, cohort = whole
    assert not_listed(made.truth, cohort) == []
    assert sorted(each["fault"] for each in json.loads(made.truth.read_text())["faults"]) == [
        "bit flip", "clock jump", "cut", "garbage", "interrupted", "interrupted", "missed", "missed", "wrong unit",
    ]  # fmt: skip


@pytest.mark.prove
@pytest.mark.timeout(3600)
def test_twice_gives_the_same_and_without_somebody_all_is_made_anew(whole: tuple[Made, Cohort]) -> None:
    made, cohort = whole
    shutil.rmtree(made.study / "derivatives")
    assert tables(make_cohort(made.study, made.analysis, read_key(made.key), jobs=WHOLE)) == tables(cohort)
    withdraw(made.study, "P001", Actor("A. Berg", "pi", datetime(2026, 4, 1, tzinfo=UTC), "consent withdrawn"))
    without = make_cohort(made.study, made.analysis, read_key(made.key), jobs=WHOLE)
    before, after = (each.result.lines[0].estimate for each in (cohort, without))
    assert before is not None
    assert after is not None
    assert (after.people, after.value != before.value) == (before.people - 1, True)
