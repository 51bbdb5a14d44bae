"""Who somebody is, is checked against an encrypted file that no study folder may hold."""

from __future__ import annotations

import json

import pytest

from myoloop.experiments.studies.identity import (
    Cost,
    Identity,
    add_identity,
    check_identity,
    create_key_file,
    make_identity,
    remove_identity,
)
from myoloop.experiments.studies.secret_files import study_above
from myoloop.platform.errors import UserError

PASSPHRASE = "correct horse battery"
CHEAP = Cost(n=1 << 4)
ANNA = Identity("AB", 1980)


@pytest.fixture
def key(tmp_path):
    path = tmp_path / "keys" / "identity.key"
    path.parent.mkdir()
    create_key_file(path, PASSPHRASE, tmp_path / "study", CHEAP)
    add_identity(path, PASSPHRASE, "P017", ANNA)
    return path


def test_initials_and_year_of_birth_are_checked(key):
    assert check_identity(key, PASSPHRASE, "P017", ANNA)
    assert not check_identity(key, PASSPHRASE, "P017", Identity("AC", 1980))
    assert not check_identity(key, PASSPHRASE, "P017", Identity("AB", 1981))


def test_one_who_is_not_in_the_file_cannot_be_checked(key):
    with pytest.raises(UserError, match="P018 is not in it; who this is cannot be checked"):
        check_identity(key, PASSPHRASE, "P018", ANNA)


@pytest.mark.parametrize("typed", ["ab", "A.B.", " a b "])
def test_how_initials_are_typed_does_not_matter(typed):
    assert make_identity(typed, 1980) == ANNA


@pytest.mark.parametrize(("initials", "year"), [("", 1980), ("A1", 1980), ("ABCDEFG", 1980), ("AB", 80)])
def test_what_is_no_identity_is_told_without_repeating_it(initials, year):
    with pytest.raises(UserError, match="allowed") as told:
        make_identity(initials, year)
    assert "1980" not in str(told.value)


def test_the_file_shows_nothing_and_only_its_owner_may_read_it(key):
    content = key.read_text()
    assert "P017" not in content
    assert "1980" not in content
    assert key.stat().st_mode & 0o777 == 0o600


def test_without_the_passphrase_it_does_not_open(key):
    with pytest.raises(UserError, match="the passphrase is wrong, or the file was altered"):
        check_identity(key, "correct horse batterz", "P017", ANNA)


@pytest.mark.parametrize("name", ["salt", "nonce", "n", "sealed", "format"])
def test_an_altered_file_does_not_open(key, name):
    row = json.loads(key.read_text())
    row[name] = row[name] * 2 if name == "n" else row[name][:-6] + "AAAAA="
    key.write_text(json.dumps(row))
    with pytest.raises(UserError, match=r"identity\.key"):
        check_identity(key, PASSPHRASE, "P017", ANNA)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"sealed": 3}'])
def test_what_is_no_key_file_is_told(key, content):
    key.write_text(content)
    with pytest.raises(UserError, match="not a key file"):
        check_identity(key, PASSPHRASE, "P017", ANNA)


def test_a_file_that_asks_for_all_the_memory_is_refused(key):
    row = json.loads(key.read_text())
    key.write_text(json.dumps({**row, "n": 1 << 40}))
    with pytest.raises(UserError, match="not a key file"):
        check_identity(key, PASSPHRASE, "P017", ANNA)


def test_a_file_that_others_may_read_is_refused(key):
    key.chmod(0o640)
    with pytest.raises(UserError, match="others may read it"):
        check_identity(key, PASSPHRASE, "P017", ANNA)


@pytest.mark.parametrize("mark", ["study.yaml", "participants.tsv", "allocation.sealed", "audit.jsonl"])
def test_a_key_file_in_a_study_folder_is_refused(tmp_path, key, mark):
    study = tmp_path / "other"
    (study / "deep").mkdir(parents=True)
    (study / mark).touch()
    with pytest.raises(UserError, match="may not stand in a study folder"):
        create_key_file(study / "deep" / "identity.key", PASSPHRASE, cost=CHEAP)
    moved = key.rename(study / "deep" / "identity.key")
    with pytest.raises(UserError, match="may not stand in a study folder"):
        check_identity(moved, PASSPHRASE, "P017", ANNA)


def test_a_study_is_known_by_its_sessions_too_and_by_its_name(tmp_path):
    (tmp_path / "s" / "sub-P017" / "ses-01").mkdir(parents=True)
    assert study_above(tmp_path / "s" / "keys" / "x.key") == (tmp_path / "s").resolve()
    with pytest.raises(UserError, match="may not stand in a study folder"):
        create_key_file(tmp_path / "planned" / "x.key", PASSPHRASE, tmp_path / "planned", CHEAP)


def test_nobody_is_overwritten(key):
    with pytest.raises(UserError, match="P017 is in it already"):
        add_identity(key, PASSPHRASE, "P017", Identity("XY", 1990))
    with pytest.raises(UserError, match="is already there"):
        create_key_file(key, PASSPHRASE, cost=CHEAP)
    assert check_identity(key, PASSPHRASE, "P017", ANNA)


def test_one_who_has_withdrawn_is_removed(key):
    remove_identity(key, PASSPHRASE, "P017")
    with pytest.raises(UserError, match="P017 is not in it"):
        check_identity(key, PASSPHRASE, "P017", ANNA)
    with pytest.raises(UserError, match="P017 is not in it"):
        remove_identity(key, PASSPHRASE, "P017")


def test_a_short_passphrase_is_refused(tmp_path):
    with pytest.raises(UserError, match="5 characters, allowed are 10 or more"):
        create_key_file(tmp_path / "x.key", "short", cost=CHEAP)
    assert not (tmp_path / "x.key").exists()
