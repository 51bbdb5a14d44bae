"""The analysis file: what is not right is told with its line, before anything is computed."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.cohorts.registered import load_registered
from myoloop.platform.yamlfile import FileError

GOOD = """\
analysis: {id: mine, version: 1.0.0, registered: 2026-03-01, where: osf.io/abcde}
sessions: 6
arms: {test: active, reference: sham}
primary: {outcome: mvc_force, scale: log, contrast: arms}
missing_data: available
"""


def written(tmp_path: Path, *changes: tuple[str, str]) -> Path:
    text = GOOD
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / "analysis.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_file_without_a_mistake_is_read_with_its_hash(tmp_path: Path) -> None:
    found, sha256 = load_registered(written(tmp_path))
    assert found.primary.outcome == "mvc_force"
    assert found.use == ("complete",)
    assert len(sha256) == 64


@pytest.mark.parametrize(
    ("old", "new", "line", "told"),
    [
        ("mvc_force", "grip", 4, "grip"),
        ("scale: log", "scale: cubic", 4, "cubic"),
        ("missing_data: available", "missing_data: guess", 5, "guess"),
        ("missing_data: available", "colour: red", 5, "colour"),
        ("sessions: 6", "sessions: 1", 2, "sessions"),
        ("registered: 2026-03-01", "registered: 2026-13-01", 1, "2026-13-01"),
        ("reference: sham", "reference: active", 3, "two arms"),
        ("reference: sham", "reference: sham, others: [active]", 3, "arms that are not compared"),
        ("missing_data: available", "doubtful: maybe", 5, "maybe"),
        ("missing_data: available", "labels: mine", 5, "mine"),
    ],
)
def test_every_mistake_names_file_line_and_what_was_found(
    tmp_path: Path, old: str, new: str, line: int, told: str
) -> None:
    with pytest.raises(FileError) as refused:
        load_registered(written(tmp_path, (old, new)))
    assert f"analysis.yaml:{line}:" in str(refused.value)
    assert told in str(refused.value)


def test_a_contrast_of_arms_needs_arms(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="arms: missing"):
        load_registered(written(tmp_path, ("arms: {test: active, reference: sham}\n", "")))


def test_a_baseline_comes_before_the_last_session(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="baseline"):
        load_registered(written(tmp_path, ("sessions: 6", "sessions: 6\nbaseline: 6")))
