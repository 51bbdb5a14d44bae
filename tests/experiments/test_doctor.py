"""What this machine can do: above all, whether the study that is named can be written."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments import doctor
from myoloop.experiments.doctor import examine


def finding(name, study):
    return next(each for each in examine(study) if each.name == name)


def test_a_study_that_can_be_made_is_good_and_is_not_made(tmp_path):
    study = tmp_path / "new" / "study"
    assert finding("study", study).verdict == "ok"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "study"])
def test_a_file_is_no_place_for_a_study(tmp_path, below):
    (tmp_path / "notes").touch()
    found = finding("study", tmp_path / "notes" / below)
    assert (found.verdict, found.found) == ("broken", f"{tmp_path / 'notes'} is a file, a folder is needed")
    assert "--out" in found.fix


def test_a_folder_that_cannot_be_written_is_told(tmp_path, monkeypatch):
    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(doctor.tempfile, "TemporaryFile", refused)
    found = finding("study", tmp_path)
    assert (found.verdict, found.found) == ("broken", f"{tmp_path} cannot be written: permission denied")


def test_what_can_be_chosen_by_name_is_told(tmp_path):
    found = finding("parts", tmp_path).found
    assert all(name in found for name in ("brainflow", "lsl", "playback", "simulated", "session"))


def test_something_broken_is_a_failed_check(tmp_path):
    (tmp_path / "notes").touch()
    done = CliRunner().invoke(app, ["doctor", "--out", str(tmp_path / "notes"), "--json"])
    assert done.exit_code == 1
    assert json.loads(done.stdout)["study"]["verdict"] == "broken"
