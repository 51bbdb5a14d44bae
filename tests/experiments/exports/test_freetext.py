"""What is found in free text, what becomes of it, and what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from myoloop.experiments.exports.forms import cleaned
from myoloop.experiments.exports.freetext import NO_NAMES, FreeText, read_names
from myoloop.platform.errors import UserError

WHERE = "sub-P001 ses-01, form medication, change"


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("since 2026-11-21", "since [date]"),
        ("since 21.11.2026 or 11/21/26", "since [date] or [date]"),
        ("on 3 May 2026, again 4th of June", "on [date], again [date]"),
        ("Nov 21 and November 2026", "[date] and [date]"),
        ("mail a.b@c.org", "mail [e-mail address]"),
        ("call +49 30 1234567", "call [telephone number]"),
        ("told Meyer, not meyerhof", "told [name], not meyerhof"),
        ("Anna-Lena Meyer's", "[name]-[name] [name]'s"),
        ("ab, born in 1980, at 1980.5 of 19801 pulses", "[name], born in [name], at [name].5 of 19801 pulses"),
    ],
)
def test_what_must_not_leave_is_found(said, left):
    text = FreeText(["Anna-Lena Meyer", "AB 1980"])
    assert text.scanned(said, WHERE) == left
    assert len(text.told) == 1
    assert text.told[0].startswith(f"{WHERE}: ")


@pytest.mark.parametrize(
    "said",
    ["12.5 mA at 35 Hz", "pain 3 of 10, worse in the morning", "he may go on", "rate 1/2, 10-20 times", "v1.2.3"],
)
def test_what_is_harmless_is_left_alone(said):
    text = FreeText(["Anna Meyer", "script (operator)"])
    assert text.scanned(said, WHERE) == said
    assert text.told == []


@given(st.text(max_size=80), st.from_regex(r"[A-Z][a-z]{6,10}", fullmatch=True))
def test_no_known_name_is_left_as_a_word(said, name):
    assume(name.lower() not in NO_NAMES)
    left = FreeText([name]).scanned(f"{said} {name} {said}", WHERE)
    assert f" {name} " not in left


def test_it_may_refuse_instead():
    text = FreeText(["Meyer"], "refuse")
    with pytest.raises(UserError, match=r"change: 1 date, 1 name in free text; correct it there") as refused:
        text.scanned("Meyer, 2026-11-21", WHERE)
    assert "Meyer" not in str(refused.value)


def test_answers_keep_their_codes_and_lose_their_names():
    text = FreeText()
    answers = {"lot": "12345678", "material": "gel", "uses": 3, "expires_on": "2026-12-01", "pads_sound": "yes"}
    told = cleaned("pads", answers, None, text, WHERE)
    assert told == {"lot": "12345678", "material": "gel", "uses": 3, "expires_on_days": None, "pads_sound": "yes"}
    told = cleaned("a_form_of_the_labs_own", {"note": "seen 2026-01-01", "by": "X", "site": "ext"}, None, text, WHERE)
    assert told == {"note": "seen [date]", "site": "ext"}


def test_names_are_read_from_a_file(tmp_path):
    (tmp_path / "names.txt").write_text("Anna Meyer\n\nJo\n", encoding="utf-8")
    assert read_names(tmp_path / "names.txt") == ("Anna Meyer", "Jo")
    with pytest.raises(UserError, match="cannot be read"):
        read_names(tmp_path / "none.txt")
    (tmp_path / "names.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match="no text in UTF-8"):
        read_names(tmp_path / "names.txt")
