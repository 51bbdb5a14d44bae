"""What `new` writes can be used as it stands."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.protocols.lint import lint_file
from myoloop.experiments.protocols.rigfile import new_rig_file
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.protocols.templates import NewFileError, new_controller, new_protocol
from myoloop.experiments.sessions.setup import summarise
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.platform.rig import load_rig


def test_a_new_protocol_lints_clean(tmp_path):
    path = new_protocol("my_wrist", tmp_path)
    assert path == tmp_path / "my_wrist.yaml"
    assert [str(problem) for problem in lint_file(path)] == []
    assert load_protocol(path).protocol.id == "my_wrist"
    assert "HUMAN" not in load_protocol(path).protocol.rigs


def test_a_new_protocol_is_served_by_a_simulated_rig(tmp_path):
    path = new_protocol("my_wrist", tmp_path)
    rig = summarise(simulated_rig(load_protocol(path)))
    assert [str(problem) for problem in lint_file(path, rig)] == []


def test_a_new_protocol_and_a_new_rig_fit_one_another(tmp_path):
    protocol = new_protocol("mine", tmp_path)
    # As the command line has it, where nothing else is said.
    done = CliRunner().invoke(app, ["new", "rig", "simrig", "--out", str(tmp_path)])
    assert done.exit_code == 0, done.stderr
    done = CliRunner().invoke(app, ["lint", str(protocol), "--rig", str(tmp_path / "simrig.yaml")])
    assert (done.exit_code, done.stdout) == (0, f"{protocol}: no mistake found\n")


@pytest.mark.parametrize("board", ["CYTON_BOARD", "SYNTHETIC_BOARD", "FREEEEG32_BOARD", "UNICORN_BOARD"])
def test_a_new_boards_rig_has_the_muscles_of_a_new_protocol(tmp_path, board):
    protocol = new_protocol("mine", tmp_path)
    # Boards are slower than the protocol asks for, and that is all that keeps them from serving it.
    protocol.write_text(protocol.read_text().replace("min_rate: 1000 Hz", "min_rate: 100 Hz"))
    rig = new_rig_file("bench", tmp_path, board=board, protocol="demo")
    found = lint_file(protocol, summarise(load_rig(rig)))
    assert [str(problem) for problem in found if problem.severity == "error"] == []


def test_a_new_controller_is_a_package_with_an_entry_point(tmp_path):
    root = new_controller("gentle_assist", tmp_path)
    assert sorted(path.name for path in root.iterdir()) == [
        "README.md",
        "myoloop_gentle_assist.py",
        "pyproject.toml",
        "test_myoloop_gentle_assist.py",
    ]
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["myoloop.policies"] == {
        "gentle_assist": "myoloop_gentle_assist:GentleAssist"
    }
    assert project["project"]["name"] == "myoloop-gentle-assist"


def test_a_new_controllers_own_test_passes(tmp_path):
    root = new_controller("gentle_assist", tmp_path)
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"],
        cwd=root,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "7 passed" in ran.stdout


def test_a_new_controller_can_be_chosen_by_a_protocol(tmp_path, monkeypatch):
    # What installing does, without the installer: the folder on the path, the entry point in its metadata.
    root = new_controller("gentle_assist", tmp_path)
    metadata = root / "myoloop_gentle_assist-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: myoloop-gentle-assist\nVersion: 0.1.0\n")
    (metadata / "entry_points.txt").write_text(
        "[myoloop.policies]\ngentle_assist = myoloop_gentle_assist:GentleAssist\n"
    )
    monkeypatch.syspath_prepend(str(root))
    path = new_protocol("my_wrist", tmp_path)
    text = path.read_text().replace("policy: emg_trigger", "policy: gentle_assist")
    path.write_text(text.replace("{muscle: ext, sustain: 0.2 s}", "{muscle: ext, least: 0.5, follow: 1 s}"))
    assert [str(problem) for problem in lint_file(path)] == []
    path.write_text(path.read_text().replace("least: 0.5", "least: 7"))
    (problem,) = lint_file(path)
    assert "least is 7" in problem.text


@pytest.mark.parametrize(
    "name", ["", "a", "Assist", "9lives", "two words", "a-b", "../up", "class", "x" * 40, "a_", "ä_b"]
)
@pytest.mark.parametrize("new", [new_protocol, new_controller])
def test_bad_names_write_nothing(tmp_path, new, name):
    with pytest.raises(NewFileError, match="allowed is a name"):
        new(name, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_taken_are_refused(tmp_path):
    with pytest.raises(NewFileError, match="demo is a preset"):
        new_protocol("demo", tmp_path)
    with pytest.raises(NewFileError, match="open_loop is a policy of myoloop's own"):
        new_controller("open_loop", tmp_path)


def test_what_exists_is_not_touched(tmp_path):
    path = new_protocol("mine", tmp_path)
    path.write_text("edited")
    with pytest.raises(NewFileError, match=r"mine\.yaml: exists already"):
        new_protocol("mine", tmp_path)
    assert path.read_text() == "edited"
    (tmp_path / "assist").mkdir()
    with pytest.raises(NewFileError, match="assist: exists already"):
        new_controller("assist", tmp_path)
    assert list((tmp_path / "assist").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NewFileError, match="file") as caught:
        new_controller("assist", tmp_path / "file")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("device", "driver"), [("p24:mid", "sciencemode34"), ("rehastim2", "sciencemode2")])
def test_a_rig_with_an_emulated_stimulator(tmp_path, device, driver):
    path = new_rig_file("bench", tmp_path, device=device, protocol="emgtrig_wrist_stroke")
    rig = load_rig(path)
    assert rig.nodes["stimulator"].driver == driver
    assert rig.nodes["stimulator"].settings.get("level") == ("mid" if device == "p24:mid" else None)
    assert rig.nodes["body"].settings["emulator"] == device.split(":")[0]


def test_a_board_has_no_emulated_stimulator(tmp_path):
    with pytest.raises(NewFileError, match="allowed is one of them"):
        new_rig_file("bench", tmp_path, board="CYTON_BOARD", device="p24", protocol="demo")
