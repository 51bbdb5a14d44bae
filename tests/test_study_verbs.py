"""The verbs about a study, as they are called: answers, exit codes, one line for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.studies.chained import ChainedLog

DRILL = Path(__file__).parent / "data" / "drill.yaml"
WHO = ["--who", "A. Berg", "--role", "pi"]


def call(*arguments, code=0):
    done = CliRunner().invoke(app, [str(each) for each in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, (done.stdout, done.stderr)
    return done


def answer(*arguments, code=0):
    return json.loads(call(*arguments, "--json", code=code).stdout)


@pytest.fixture
def study(tmp_path):
    return tmp_path / "study"


@pytest.fixture
def key(tmp_path):
    return tmp_path / "study.key"


@pytest.fixture
def allocated(tmp_path, study, key):
    """A study with a list, and P017 in it."""
    (tmp_path / "list.csv").write_text("number,arm\n1,verum\n2,scheinarm\n")
    found = answer("allocate", "import", tmp_path / "list.csv", "--study", study, "--key", key, *WHO)
    call("allocate", "take", "P017", "--study", study)
    return found["list_sha256"]


@pytest.fixture
def protocol(tmp_path, allocated):
    """A protocol with arms that names the list."""
    path = tmp_path / "trial.yaml"
    path.write_text(
        DRILL.read_text()
        + f"""
arms:
  verum: {{treatment: active}}
  scheinarm: {{treatment: sham}}
sham: {{type: zero_current, check: {{during: true, after: true}}}}
allocation:
  method: permuted_blocks
  list: "{allocated}"
  emergency_unblinding: {{roles: [pi]}}
"""
    )
    return path


def test_a_list_is_sealed_and_its_numbers_are_taken(study, allocated):
    found = answer("allocate", "status", "--study", study)
    assert found["list_sha256"] == allocated
    assert found["strata"] == {"all": {"shared": {"entries": 2, "left": 1}}}
    assert answer("allocate", "take", "P017", "--study", study)["number"] == 1
    assert "P018: number 2" in call("allocate", "take", "P018", "--study", study).stdout
    assert "no entry is left" in call("allocate", "take", "P019", "--study", study, code=2).stderr


def test_no_answer_of_a_verb_but_unblind_holds_an_arm(study, allocated):
    for arguments in (("allocate", "status", "--study", study), ("allocate", "take", "P017", "--study", study)):
        assert "verum" not in call(*arguments).stdout
    assert "verum" not in call("audit", study).stdout


def test_a_dry_run_of_an_import_writes_nothing(tmp_path, study, key):
    (tmp_path / "list.csv").write_text("number,arm\n1,verum\n2,scheinarm\n")
    arguments = ("allocate", "import", tmp_path / "list.csv", "--study", study, "--key", key, *WHO, "--dry-run")
    assert answer(*arguments) == {"list_sha256": None, "counts": {"all": 2}}
    assert not study.exists()
    assert not key.exists()


def test_every_mistake_of_a_list_is_a_line(tmp_path, study, key):
    (tmp_path / "list.csv").write_text("number,arm\n1,verum\nx,verum\n2,?\n")
    done = call("allocate", "import", tmp_path / "list.csv", "--study", study, "--key", key, *WHO, code=2)
    assert [line.split(":")[1] for line in done.stderr.splitlines()] == ["3", "4"]


def test_stations_get_slices(tmp_path, study, key):
    (tmp_path / "list.csv").write_text("number,arm\n" + "".join(f"{n},verum\n" for n in range(1, 7)))
    call("allocate", "import", tmp_path / "list.csv", "--study", study, "--key", key, *WHO, "--stations", "A,B,C")
    assert answer("allocate", "take", "P1", "--study", study, "--station", "C")["number"] == 5
    assert "they have a slice" in call("allocate", "take", "P2", "--study", study, code=2).stderr


def test_an_arm_is_opened_in_two_steps(study, key, protocol):
    unblind = ("unblind", study, "P017", *WHO, "--why", "seizure", "--protocol", protocol)
    code = answer(*unblind)["confirm"]
    assert answer(*unblind, "--confirm", code, "--key", key) == {"person": "P017", "arm": "verum"}
    assert "verum" not in call("audit", study).stdout


def test_the_protocol_of_the_newest_session_says_who_may(study, protocol):
    kept = study / "sub-P017" / "ses-02" / "att-1"
    kept.mkdir(parents=True)
    (kept / "protocol.yaml").write_text(protocol.read_text().replace("roles: [pi]", "roles: [physician]"))
    done = call("unblind", study, "P017", *WHO, "--why", "seizure", "--protocol", protocol, code=2)
    assert "--role: found 'pi', allowed to unblind: physician" in done.stderr


def test_a_protocol_of_another_list_says_nothing_of_this_one(study, protocol, allocated):
    protocol.write_text(protocol.read_text().replace(allocated, "0" * 64))
    done = call("unblind", study, "P017", *WHO, "--why", "seizure", "--protocol", protocol, code=2)
    assert "is not the list that the study has" in done.stderr


def test_without_a_protocol_or_a_key_nothing_is_opened(study, protocol):
    done = call("unblind", study, "P017", *WHO, "--why", "seizure", code=2)
    assert "--protocol says whose role may unblind" in done.stderr
    arguments = ("unblind", study, "P017", *WHO, "--why", "seizure", "--protocol", protocol, "--confirm", "1")
    assert "--key: " in call(*arguments, code=2).stderr


def test_a_protocol_is_signed_with_its_unproven_values(study):
    arguments = ("sign", DRILL, "--study", study, "--name", "C. Roth", "--role", "physician")
    planned = answer(*arguments, "--dry-run")
    assert planned["written"] is None
    assert not study.exists()
    done = answer(*arguments)
    assert Path(done["written"]).is_file()
    assert done["parameters"] == planned["parameters"]
    assert all(row["grade"] != "trial" for row in done["parameters"])
    assert any(row["path"].startswith("envelope.") for row in done["parameters"])


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--role", "operator", "allowed to sign"),
        ("--date", "soon", "allowed is a date such as"),
        ("--date", "2999-01-01", "is in the future"),
    ],
)
def test_who_may_not_sign_is_told(study, option, value, message):
    given = {"--name": "C. Roth", "--role": "physician", option: value}
    rest = [text for pair in given.items() for text in pair]
    assert message in call("sign", DRILL, "--study", study, *rest, code=2).stderr


def test_an_audit_that_was_edited_is_exit_code_1(study, allocated):
    assert "allocate_import" in call("audit", study).stdout
    path = study / "audit.jsonl"
    path.write_text(path.read_text().replace("A. Berg", "B. Berg"))
    assert answer("audit", study, code=1)["problems"]


def test_a_session_is_reassigned_and_a_person_withdrawn(study):
    (study / "sub-P017" / "ses-01" / "att-1").mkdir(parents=True)
    ChainedLog(study / "sub-P017" / "record" / "skin.jsonl").append({"session": 1})
    arguments = ("reassign", study / "sub-P017" / "ses-01", "--to", "P018", *WHO, "--why", "wrong code")
    assert "would move" in call(*arguments, "--dry-run").stdout
    assert answer(*arguments)["record_entries"] == 1
    withdrawn = ("withdraw", "P018", "--study", study, *WHO, "--why", "consent withdrawn")
    assert "would remove sub-P018/" in call(*withdrawn, "--dry-run").stdout
    assert answer(*withdrawn)["mentions"] == []
    assert not (study / "sub-P018").exists()


def test_a_withdrawal_says_where_the_pseudonym_stands_and_clears_other_folders_too(study, tmp_path):
    (study / "sub-P018" / "ses-01" / "att-1").mkdir(parents=True)
    elsewhere = tmp_path / "export"
    elsewhere.mkdir()
    (elsewhere / "dataset_description.json").write_text("{}")
    (elsewhere / "participants.tsv").write_text("participant_id\nsub-P018\n")
    done = call("withdraw", "P018", "--study", study, "--also", elsewhere, *WHO, "--why", "consent withdrawn")
    assert "P018 stands in audit.jsonl (2 times; a chained log, kept)" in done.stdout
    assert not (elsewhere / "participants.tsv").exists()


def test_exit_code_1_says_that_a_file_still_names_who_has_withdrawn(study):
    (study / "sub-P018" / "ses-01" / "att-1").mkdir(parents=True)
    (study / "cohort.csv").write_text("P018,3\n")
    done = call("withdraw", "P018", "--study", study, *WHO, "--why", "consent withdrawn", code=1)
    assert "cohort.csv: still names P018" in done.stdout


@pytest.fixture
def passphrase(tmp_path):
    path = tmp_path / "passphrase"
    path.write_text("correct horse battery\n")
    return ["--passphrase-file", path]


def test_who_somebody_is_is_checked(tmp_path, passphrase):
    key = tmp_path / "identity.key"
    call("keyfile", "create", key, *passphrase)
    person = ("P017", "--initials", "AB", "--birth-year", 1980, *passphrase)
    call("keyfile", "add", key, *person)
    assert answer("keyfile", "check", key, *person) == {"person": "P017", "matches": True}
    other = ("P017", "--initials", "AC", "--birth-year", 1980, *passphrase)
    assert answer("keyfile", "check", key, *other, code=1) == {"person": "P017", "matches": False}
    call("keyfile", "remove", key, "P017", *passphrase)
    assert "P017 is not in it" in call("keyfile", "check", key, *person, code=2).stderr


def test_nothing_is_asked_where_there_is_no_terminal(tmp_path):
    done = call("keyfile", "create", tmp_path / "identity.key", code=2)
    assert "--passphrase-file: needed where there is no terminal" in done.stderr


@pytest.mark.parametrize(
    "verb",
    [
        ("audit",),
        ("sign",),
        ("unblind",),
        ("reassign",),
        ("withdraw",),
        *(("allocate", each) for each in ("import", "take", "status")),
        *(("keyfile", each) for each in ("create", "add", "remove", "check")),
    ],
)
def test_every_verb_has_an_example(verb):
    assert "Example: myoloop " + " ".join(verb) in call(*verb, "--help").stdout
