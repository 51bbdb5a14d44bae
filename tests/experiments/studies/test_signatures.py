"""A protocol counts as signed when a clinician signed its hash and every value that no trial stands behind."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from myoloop.experiments.studies.audit import read_audit
from myoloop.experiments.studies.signatures import sign, signed
from myoloop.platform.errors import UserError

SHA = "ab" * 32
DAY = date(2026, 11, 21)
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
PARAMETERS = [
    ("envelope.max_current", "40 mA", "maker"),
    ("envelope.max_rate", "50 Hz", "trial"),
    ("envelope.max_slew", "5 mA/s", "unverified"),
]
WHO = {"name": "C. Roth", "role": "physician", "day": DAY, "wall": NOON}


def test_what_was_signed_counts(tmp_path):
    path = sign(tmp_path, SHA, PARAMETERS, **WHO)
    assert path == tmp_path / "signatures" / f"{SHA}.json"
    assert signed(tmp_path, SHA, PARAMETERS) == []


def test_only_what_no_trial_stands_behind_is_signed(tmp_path):
    content = json.loads(sign(tmp_path, SHA, PARAMETERS, **WHO).read_text())
    assert [row["path"] for row in content["signatures"][0]["parameters"]] == [
        "envelope.max_current",
        "envelope.max_slew",
    ]


def test_without_a_signature_there_is_one_problem_that_says_what_to_do(tmp_path):
    assert ["myoloop sign" in problem for problem in signed(tmp_path, SHA, PARAMETERS)] == [True]


@pytest.mark.parametrize(
    "now", [("envelope.max_current", "80 mA", "maker"), ("envelope.max_charge", "20 uC", "review")]
)
def test_another_value_or_a_new_parameter_is_not_signed(tmp_path, now):
    sign(tmp_path, SHA, PARAMETERS, **WHO)
    problems = signed(tmp_path, SHA, [*PARAMETERS, now])
    assert len(problems) == 1
    assert f"{now[0]}: {now[1]}" in problems[0]


def test_another_protocol_is_not_signed(tmp_path):
    sign(tmp_path, SHA, PARAMETERS, **WHO)
    assert signed(tmp_path, "cd" * 32, PARAMETERS)


def test_even_a_protocol_of_proven_values_needs_a_signature(tmp_path):
    assert signed(tmp_path, SHA, PARAMETERS[1:2])
    sign(tmp_path, SHA, PARAMETERS[1:2], **WHO)
    assert signed(tmp_path, SHA, PARAMETERS[1:2]) == []


def test_a_second_signature_is_added_and_both_stand_in_the_audit(tmp_path):
    sign(tmp_path, SHA, PARAMETERS[:1], **WHO)
    assert len(signed(tmp_path, SHA, PARAMETERS)) == 1
    path = sign(tmp_path, SHA, PARAMETERS, **{**WHO, "name": "D. Ekman"})
    assert [each["name"] for each in json.loads(path.read_text())["signatures"]] == ["C. Roth", "D. Ekman"]
    assert signed(tmp_path, SHA, PARAMETERS) == []
    assert [row["who"] for row in read_audit(tmp_path).acts] == ["C. Roth", "D. Ekman"]


@pytest.mark.parametrize(("old", "new"), [("40 mA", "80 mA"), ("C. Roth", "E. Mand"), ("physician", "clinician")])
def test_a_signature_altered_by_hand_does_not_count(tmp_path, old, new):
    path = sign(tmp_path, SHA, PARAMETERS, **WHO)
    path.write_text(path.read_text().replace(old, new))
    assert ["audit" in problem for problem in signed(tmp_path, SHA, PARAMETERS)] == [True]


def test_a_damaged_audit_or_file_does_not_count(tmp_path):
    path = sign(tmp_path, SHA, PARAMETERS, **WHO)
    audit = tmp_path / "audit.jsonl"
    whole = audit.read_text()
    audit.write_text(whole.replace("C. Roth", "X. Roth"))
    assert "edited" in signed(tmp_path, SHA, PARAMETERS)[0]
    audit.write_text(whole)
    for content in ("{", "[]", "{}", json.dumps({"protocol_sha256": SHA, "signatures": [{"role": "physician"}]})):
        path.write_text(content)
        assert len(signed(tmp_path, SHA, PARAMETERS)) == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "  "}, "--name: empty"),
        ({"role": "operator"}, "--role: found 'operator', allowed to sign: clinician"),
        ({"day": date(2026, 11, 23)}, "2026-11-23, which is in the future"),
    ],
)
def test_who_may_not_sign_is_told_and_nothing_is_written(tmp_path, change, message):
    with pytest.raises(UserError, match=message):
        sign(tmp_path, SHA, PARAMETERS, **{**WHO, **change})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sha", ["../../x", "AB" * 32, ""])
def test_a_hash_that_is_none_is_no_path(tmp_path, sha):
    with pytest.raises(UserError, match="64 hexadecimal"):
        sign(tmp_path, sha, PARAMETERS, **WHO)
