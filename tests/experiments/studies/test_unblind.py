"""An arm is opened in an emergency: asked for, confirmed, by one who may; the audit says who, never which arm."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from myoloop.experiments.studies.allocation import AllocationError, Row, import_list, take
from myoloop.experiments.studies.audit import read_audit
from myoloop.experiments.studies.unblind import ask_to_unblind, unblind, unblinded
from myoloop.platform.sealed import SealedError, new_key, read_key

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ROLES = ("pi", "physician")
WHO = {"who": "A. Berg", "role": "pi", "why": "seizure"}
CODE = "123456"


@pytest.fixture
def study(tmp_path):
    study = tmp_path / "study"
    import_list(study, [Row("all", 1, "verum"), Row("all", 2, "scheinarm")], tmp_path / "study.key")
    for person in ("P017", "P018"):
        take(study, person, "all")
    return study


@pytest.fixture
def key(study, tmp_path):
    return read_key(tmp_path / "study.key")


def ask(study, person="P017", **change):
    ask_to_unblind(study, person, **{**WHO, "wall": NOW, "code": CODE, "roles": ROLES, **change})


def confirm(study, key, person="P017", **change):
    later = NOW + timedelta(minutes=1)
    return unblind(study, person, **{**WHO, "wall": later, "code": CODE, "key": key, "roles": ROLES, **change})


def test_two_steps_open_one_arm(study, key):
    ask(study)
    assert confirm(study, key) == "verum"


def test_the_audit_says_who_learned_it_and_not_what(study, key):
    ask(study)
    confirm(study, key)
    acts = read_audit(study).acts
    assert [(row["act"], row["what"], row["who"], row["role"], row["why"]) for row in acts] == [
        ("unblind_asked", "arm of P017", "A. Berg", "pi", "seizure"),
        ("unblind", "arm of P017", "A. Berg", "pi", "seizure"),
    ]
    assert [row["new"]["known_to"] for row in unblinded(study)] == ["A. Berg"]
    assert b"verum" not in (study / "audit.jsonl").read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"code": "654321"},
        {"who": "B. Lind"},
        {"role": "physician"},
        {"person": "P018"},
        {"wall": NOW + timedelta(minutes=16)},
        {"wall": NOW - timedelta(minutes=1)},
    ],
)
def test_only_who_asked_confirms_with_its_code_and_in_time(study, key, change):
    ask(study)
    with pytest.raises(AllocationError, match="--confirm: not the code of a request"):
        confirm(study, key, **change)
    assert unblinded(study) == []


def test_without_asking_nothing_opens(study, key):
    with pytest.raises(AllocationError, match="--confirm"):
        confirm(study, key)


def test_a_code_holds_once(study, key):
    ask(study)
    confirm(study, key)
    with pytest.raises(AllocationError, match="--confirm"):
        confirm(study, key)


def test_another_key_opens_nothing_and_nobody_counts_as_knowing(study):
    ask(study)
    with pytest.raises(SealedError):
        confirm(study, new_key())
    assert unblinded(study) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"role": "operator"}, "--role: found 'operator', allowed to unblind: pi, physician"),
        ({"roles": ()}, "allowed to unblind: nobody"),
        ({"why": " "}, "--why: empty"),
        ({"person": "P099"}, "P099: has not been allocated"),
    ],
)
def test_who_may_not_is_told_and_no_request_stands(study, change, message):
    with pytest.raises(AllocationError, match=message):
        ask(study, **change)
    assert not (study / "audit.jsonl").exists()
