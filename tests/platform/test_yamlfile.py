"""YAML that people write: strict reading, and mistakes named with file, line and key."""

from __future__ import annotations

import contextlib
from io import StringIO
from typing import Annotated, Literal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator
from ruamel.yaml import YAML

from myoloop.platform.yamlfile import FileError, at, dotted, load_model, load_yaml, parse_yaml


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class Rest(Strict):
    kind: Literal["rest"]
    seconds: float = Field(gt=0)


class Train(Strict):
    kind: Literal["train"]
    muscle: str
    pulses: int

    @field_validator("pulses")
    @classmethod
    def even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("an odd number of pulses is not balanced")
        return value


class Plan(Strict):
    name: str
    level: Literal["low", "high"] = "low"
    phases: list[Annotated[Rest | Train, Field(discriminator="kind")]]
    pads: dict[str, Rest] = {}


def written(tmp_path, text):
    path = tmp_path / "plan.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(tmp_path, text, model=Plan):
    path = written(tmp_path, text)
    with pytest.raises(FileError) as caught:
        load_model(path, model)
    return [problem.removeprefix(f"{path}:") for problem in caught.value.problems]


GOOD = """\
name: NO          # not false
phases:
  - kind: rest
    seconds: 2.5
  - {kind: train, muscle: 12:30, pulses: 4}
"""


def test_a_good_file_becomes_the_model(tmp_path):
    plan = load_model(written(tmp_path, GOOD), Plan)
    assert plan.name == "NO"
    assert plan.phases[1].muscle == "12:30"
    assert plan.phases[0].seconds == 2.5


def test_every_key_and_item_has_its_line(tmp_path):
    path = written(tmp_path, GOOD)
    data, lines = load_yaml(path)
    assert data["phases"][0] == {"kind": "rest", "seconds": 2.5}
    assert lines[("name",)] == 1
    assert lines[("phases",)] == 2
    assert lines[("phases", 0, "seconds")] == 4
    assert lines[("phases", 1, "pulses")] == 5
    assert at(path, lines, ("phases", 0, "seconds", "deeper")) == f"{path}:4: phases[0].seconds.deeper"


def test_all_mistakes_come_at_once_each_with_line_key_value_and_what_is_allowed(tmp_path):
    text = """\
name: 5
level: middle
phases:
  - kind: rest
    seconds: -1
    secnods: 2
  - {kind: train, pulses: 3}
  - kind: sleep
"""
    assert problems(tmp_path, text) == [
        "1: name: found 5, allowed: text",
        "2: level: found 'middle', allowed: 'low' or 'high'",
        "5: phases[0].seconds: found -1, allowed: more than 0",
        "6: phases[0].secnods: unknown key (did you mean seconds?), allowed: kind, seconds",
        "7: phases[1].muscle: missing, but needed",
        "7: phases[1].pulses: found 3: an odd number of pulses is not balanced",
        "8: phases[2]: found a map of 1, allowed: 'rest', 'train'",
    ]


def test_an_unknown_key_below_a_map_names_the_keys_allowed_there(tmp_path):
    text = "name: a\nphases: []\npads:\n  left: {kind: rest, seconds: 1.0, colour: red}\nzzz: 1\n"
    assert problems(tmp_path, text) == [
        "4: pads.left.colour: unknown key, allowed: kind, seconds",
        "5: zzz: unknown key, allowed: name, level, phases, pads",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty"),
        ("# only a comment\n", "is empty"),
        ("a: 1\nb: [1, 2\n", "not valid YAML"),
        ("a: 1\n\ta: 2\n", ":2: not valid YAML"),
        ("a: 1\nb: 2\na: 3\n", ":3: a: found twice, first on line 1"),
        ("a: 1\n2: 3\n", ":2: found 2 as a key, allowed is text (put it in quotes)"),
        ("a: 1\n[1, 2]: 3\n", ":2: found a list or map as a key"),
        ("a: 1\nb: !!python/name:os.system x\n", ":2: found the tag"),
        ("a: 1\nb: !!binary aGVsbG8=\n", ":2: found the tag"),
        ("a: !!int twelve\n", ":1: found 'twelve'"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("[" * 40 + "]" * 40, "levels"),
        ("[" * 20000, "nested more than 32 deep"),
        ("a: &a [1,1,1,1,1,1,1,1,1,1]\n"
         + "".join(f"{c}: &{c} [{','.join([f'*{b}'] * 10)}]\n" for b, c in ("ab", "bc", "cd", "de", "ef")),
         "found more than"),
        ("a: &a [*a]\n", "levels"),
    ],
)  # fmt: skip
def test_what_is_not_plain_yaml_is_refused_with_its_line(text, said):
    with pytest.raises(FileError, match="<text>") as caught:
        parse_yaml(text)
    assert len(caught.value.problems) == 1
    assert said in caught.value.problems[0]


def test_dates_stay_text_and_numbers_are_numbers():
    data, _ = parse_yaml("a: 2024-01-31\nb: 1e3\nc: 0x10\nd: on\ne: true\nf: ~\ng: '7'\nh: .inf\ni: 40 mA\n")
    assert data == {
        "a": "2024-01-31", "b": 1000.0, "c": 16, "d": "on", "e": True, "f": None, "g": "7",
        "h": float("inf"), "i": "40 mA",
    }  # fmt: skip


def test_a_missing_file_a_folder_and_bytes_are_named(tmp_path):
    with pytest.raises(FileError, match=r"none\.yaml: no such file"):
        load_yaml(tmp_path / "none.yaml")
    with pytest.raises(FileError, match="is a folder, a file is needed"):
        load_yaml(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"a: 1\nb: \xff\xfe\n")
    with pytest.raises(FileError, match=r"binary\.yaml:2: found bytes that are not UTF-8"):
        load_yaml(binary)
    large = tmp_path / "large.yaml"
    large.write_bytes(b"a" * (1 << 21))
    with pytest.raises(FileError, match="found more than 1048576 bytes"):
        load_yaml(large)


def test_a_key_path_reads_as_a_person_writes_it():
    assert dotted(("phases", 0, "steps", 2, "name")) == "phases[0].steps[2].name"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text("abc: -#'\"\n[{é", max_size=12),
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.text("abcNOy -", max_size=6), below, max_size=4),
    max_leaves=12,
)


@given(values)
@example({"": ":-"})
@settings(deadline=None, max_examples=60)
def test_what_a_yaml_writer_wrote_is_read_back(value):
    writer = YAML(typ="safe", pure=True)
    # In flow style ruamel writes {'': :-}, which it does not read itself.
    writer.default_flow_style = False
    text = StringIO()
    writer.dump({"top": value}, text)
    assert parse_yaml(text.getvalue())[0] == {"top": value}


@given(st.text(max_size=60))
@settings(deadline=None, max_examples=200)
def test_any_text_is_either_read_or_refused_as_such(text):
    with contextlib.suppress(FileError):
        parse_yaml(text)


class Bounded(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,30}$")] = "a"
    shape: Annotated[str, Field(pattern="^x+$")] = "x"
    title: Annotated[str, Field(min_length=1, max_length=5)] = "t"
    word: Annotated[str, Field(min_length=3)] = "abc"
    count: Annotated[int, Field(ge=1, le=9)] = 1
    share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    level: Annotated[float, Field(allow_inf_nan=False)] = 1.0
    on: bool = True
    items: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    part: Rest | None = None


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: NO WAY", "name: found 'NO WAY', allowed: a name of 1 to 31 of a-z, 0-9, _ and -"),
        ("shape: yy", "shape: found 'yy', allowed: text that matches ^x+$"),
        ("title: ''", "title: found '', allowed: text that is not empty"),
        ("title: longer", "title: found 'longer', allowed: text of at most 5 letters"),
        ("word: ab", "word: found 'ab', allowed: text of at least 3 letters"),
        ("word: 7", "word: found 7, allowed: text"),
        ("count: 0", "count: found 0, allowed: at least 1"),
        ("count: 10", "count: found 10, allowed: at most 9"),
        ("count: many", "count: found 'many', allowed: a whole number"),
        ("share: 0.0", "share: found 0.0, allowed: more than 0"),
        ("share: 1.0", "share: found 1.0, allowed: less than 1"),
        ("share: half", "share: found 'half', allowed: a number"),
        ("level: .inf", "level: found inf, allowed: a finite number"),
        ("on: maybe", "on: found 'maybe', allowed: true or false"),
        ("items: []", "items: found a list of 0, allowed: at least 1 item"),
        ("items: [1, 2, 3]", "items: found a list of 3, allowed: at most 2 items"),
        ("items: one", "items: found 'one', allowed: a list"),
        ("part: one", "part: found 'one', allowed: a map (key: value)"),
        ("- one", "the file: found a list of 1, allowed: a map (key: value)"),
    ],
)
def test_what_is_allowed_is_said_in_plain_words(tmp_path, text, said):
    assert problems(tmp_path, text, Bounded) == [f"1: {said}"]
