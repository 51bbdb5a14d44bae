"""The second identifier in one line of another program: so it stands in no list of processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.studies.identity import SecondCheck, from_line, make_identity
from myoloop.platform.errors import UserError

KEY = Path("identity.key")


def test_it_says_who_is_there_and_what_opens_the_key_file():
    read = from_line(KEY, '{"second": "ab 1980", "passphrase": "correct horse"}\n')
    assert read == SecondCheck(KEY, "correct horse", make_identity("AB", 1980))
    assert "correct horse" not in repr(read)


def test_what_opens_the_key_file_may_come_from_elsewhere():
    assert from_line(KEY, '{"second": "AB 1980"}', "open sesame").passphrase == "open sesame"


@pytest.mark.parametrize(
    "line",
    [
        "", "AB 1980\n", "[]", "{}", '{"passphrase": "horse battery"}', '{"second": "AB 1980"}',
        '{"second": 1980, "passphrase": "horse battery"}', '{"second": "AB 1980", "passphrase": "horse", "arm": "A"}',
        '{"second": "AB nineteen", "passphrase": "horse battery"}',
    ],
)  # fmt: skip
def test_what_is_no_such_line_is_refused_without_repeating_it(line):
    with pytest.raises(UserError, match="allowed") as caught:
        from_line(KEY, line)
    assert not any(word in str(caught.value) for word in ("horse", "nineteen"))
