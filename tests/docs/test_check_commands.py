"""The check of the pages' commands: what it runs, what it leaves out, and that it fails where a page is wrong."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "check_commands.py"


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_check_commands", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(tmp_path: Path) -> Path:
    return tmp_path / "page.md"


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `myoloop` that writes down how it was called, and ends with the number it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "myoloop").write_text('#!/bin/sh\necho "$@" >> called\ncat called\nexit "${2:-0}"\n')
    (folder / "myoloop").chmod(0o755)
    (folder / "python").touch()
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", os.environ["PATH"])


def test_commands_are_found_in_order_with_their_lines(check: ModuleType, page: Path) -> None:
    page.write_text("# A\n\n```console\n$ myoloop a\nsays\n$ myoloop b \\\n    --c\n```\n\n```python\nmyoloop\n```\n")
    found = list(check.commands_of(page))
    assert [(command.line, command.text) for command in found] == [(4, "myoloop a"), (6, "myoloop b --c")]
    assert not any(command.not_run for command in found)


def test_a_marked_block_is_left_out_with_its_reason(check: ModuleType, page: Path) -> None:
    page.write_text("<!-- not-run: needs a device -->\n\n```console\n$ myoloop run\n```\n")
    (command,) = check.commands_of(page)
    assert command.not_run == "needs a device"


def test_a_mark_holds_for_one_block_only(check: ModuleType, page: Path) -> None:
    page.write_text("<!-- not-run: x -->\n```console\n$ myoloop a\n```\n```console\n$ myoloop b\n```\n")
    assert [bool(command.not_run) for command in check.commands_of(page)] == [True, False]


def test_other_peoples_commands_are_listed_not_run(check: ModuleType, page: Path) -> None:
    page.write_text("```console\n$ make demo\n```\n")
    (command,) = check.commands_of(page)
    assert command.not_run == "not a myoloop command"


@pytest.mark.usefixtures("stand_in")
def test_small_commands_on_files_are_run_between_ours(check: ModuleType, page: Path) -> None:
    page.write_text("```console\n$ mkdir cut\n$ echo first > cut/called\n$ myoloop 0 && grep first cut/called\n```\n")
    assert [command.not_run for command in check.commands_of(page)] == ["", "", ""]
    assert check.main([str(page)]) == 0


@pytest.mark.parametrize(
    "text",
    [
        "```console\n$ myoloop a\n",
        "```console\n$ myoloop a \\\n```\n",
        "<!-- not-run: x -->\ntext\n",
        "<!-- not-run: x -->\n",
        "<!-- exits: two -->\n```console\n$ myoloop a\n```\n",
        "<!-- not-run: x -->\n```python\n1\n```\n",
    ],
    ids=["block", "continuation", "text after mark", "mark at end", "exit code", "mark on other block"],
)
def test_a_page_that_cannot_be_read_is_refused(check: ModuleType, page: Path, text: str) -> None:
    page.write_text(text)
    with pytest.raises(check.BadPage, match=r"page\.md:\d+: "):
        list(check.commands_of(page))


@pytest.mark.usefixtures("stand_in")
def test_a_pages_commands_share_a_folder(check: ModuleType, page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page.write_text("```console\n$ myoloop first\n$ myoloop second | grep first\n```\n")
    assert check.main([str(page)]) == 0
    assert "2 commands good, 0 failed, 0 not run" in capsys.readouterr().out


@pytest.mark.usefixtures("stand_in")
def test_a_command_that_ends_otherwise_fails_the_check(
    check: ModuleType, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page.write_text("```console\n$ myoloop bad 3\n```\n<!-- exits: 2 -->\n```console\n$ myoloop wrong 2\n```\n")
    assert check.main([str(page)]) == 1
    said = capsys.readouterr().out
    assert "FAILED   page.md:2  myoloop bad 3  exit 3, not 0" in said
    assert "1 commands good, 1 failed, 0 not run" in said


@pytest.mark.usefixtures("stand_in")
def test_a_page_may_say_that_either_of_two_ends_is_good(check: ModuleType, page: Path) -> None:
    page.write_text("<!-- exits: 0 3 -->\n```console\n$ myoloop bad 3\n$ myoloop good 0\n```\n")
    assert check.main([str(page)]) == 0


@pytest.mark.usefixtures("stand_in")
def test_a_command_that_hangs_fails_the_check(
    check: ModuleType, page: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page.write_text("```console\n$ myoloop a; exec sleep 60\n```\n")
    assert check.main(["--timeout", "0.5", str(page)]) == 1
    assert "exit none within 0.5 s, not 0" in capsys.readouterr().out


def test_a_missing_page_fails_the_check(check: ModuleType, tmp_path: Path) -> None:
    assert check.main([str(tmp_path / "absent.md")]) == 1


def test_the_examples_are_there_as_in_a_clone(check: ModuleType, page: Path) -> None:
    page.write_text("```console\n$ cp examples/playback/rig.yaml mine.yaml\n```\n")
    assert check.main([str(page)]) == 0


@pytest.mark.usefixtures("stand_in")
def test_a_file_is_told_piece_by_piece_and_read_by_the_commands_after_it(check: ModuleType, page: Path) -> None:
    page.write_text(
        "<!-- file: a.yaml -->\n```yaml\none: 1\n```\n"
        "```console\n$ myoloop 0 && cat a.yaml > first\n```\n"
        "<!-- file: a.yaml -->\n\n```yaml\ntwo:\n  - 2\n```\n"
        '```console\n$ myoloop 0 && test "$(cat first)" = "one: 1" && grep -c . a.yaml | grep 3\n```\n'
    )
    assert check.main([str(page)]) == 0


def test_a_script_that_the_page_tells_is_run_and_no_other(check: ModuleType, page: Path) -> None:
    page.write_text(
        "<!-- file: a.py -->\n```python\nprint(1)\n```\n```console\n$ python a.py\n$ python b.py\n$ python -m a\n```\n"
    )
    piece, ours, other, module = check.steps_of(page)
    assert (piece.file, piece.text) == ("a.py", "print(1)\n")
    assert (ours.not_run, bool(other.not_run), bool(module.not_run)) == ("", True, True)


@pytest.mark.parametrize("name", ["../a.yaml", "/etc/a", "a/b.yaml", ".hidden", "a b"])
def test_a_piece_goes_into_no_other_folder(check: ModuleType, page: Path, name: str) -> None:
    page.write_text(f"<!-- file: {name} -->\n```yaml\none: 1\n```\n")
    with pytest.raises(check.BadPage, match="is not the name of a file"):
        list(check.steps_of(page))


@pytest.mark.parametrize("block", ["```yaml\none: 1\n```\n", "```python\none\n```\n"])
def test_a_mark_of_a_command_is_none_of_a_piece(check: ModuleType, page: Path, block: str) -> None:
    page.write_text(f"<!-- exits: 2 -->\n{block}")
    with pytest.raises(check.BadPage, match="not for a block of this kind"):
        list(check.steps_of(page))
