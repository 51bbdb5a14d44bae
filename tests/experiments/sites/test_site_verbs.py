"""`myoloop sites`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from typer.testing import CliRunner, Result

from myoloop.cli import app
from myoloop.experiments.sites.draw import picture
from myoloop.experiments.sites.library import LIBRARY, load_site, sites


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sites", *arguments])


def test_all_sites_are_listed_with_their_use() -> None:
    lines = run().stdout.splitlines()
    assert [line.split()[0] for line in lines] == list(sites())
    assert "forbidden" in next(line for line in lines if line.startswith("carotid_sinus"))
    assert json.loads(run("--json").stdout)["abdomen"]["use"] == "caution"


def test_one_site_in_words_and_as_data() -> None:
    done = run("lib/wrist_extensors_left")
    assert done.exit_code == 0
    assert "Wrist extensors, left: allowed" in done.stdout
    found = json.loads(run("upper_trapezius_right", "--json").stdout)
    assert (found["name"], found["side"]) == ("upper_trapezius", "right")
    assert "HASOMED" in found["makers"][0]


def test_its_picture(tmp_path: Path) -> None:
    out = tmp_path / "x.svg"
    assert run("quadriceps_right", "--picture", str(out), "--dry-run").exit_code == 0
    assert not out.exists()
    assert run("quadriceps_right", "--picture", str(out)).exit_code == 0
    assert out.read_text(encoding="utf-8") == picture(load_site("quadriceps_right"))


def test_the_file_itself_is_where_ones_own_begins(tmp_path: Path) -> None:
    text = run("wrist_extensors", "--file").stdout
    assert text == (LIBRARY / "wrist_extensors.yaml").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(text.replace("name: wrist_extensors\n", "name: mine\n"), encoding="utf-8")
    assert run("mine_left", "--own", str(tmp_path)).exit_code == 0


def test_what_is_wrong_is_one_line(tmp_path: Path, own: Callable[..., Path]) -> None:
    for arguments, words in (
        (("wrist",), "not known"),
        (("head_left",), "lies in the midline"),
        (("--own", str(tmp_path / "nowhere")), "is no folder"),
        (("quadriceps", "--picture", "x.png"), "ending in .svg"),
        (("--picture", "x.svg"), "needs the name of a site"),
        (("mine", "--own", str(own(("least: 9 cm2", "least: 9")))), "no unit"),
    ):
        done = run(*arguments)
        assert done.exit_code == 2, arguments
        assert words in done.stderr
        assert len(done.stderr.splitlines()) == 1
