"""The command line: each mistake is one clear line and exit code 2, never a traceback."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from myoloop.cli import app

DATA = Path(__file__).parent / "data"


@dataclass
class Done:
    returncode: int
    stdout: str
    stderr: str


def myoloop(*arguments: str, cwd: Path) -> Done:
    """Run the command line in this process: an exception that is no exit is a traceback."""
    before = Path.cwd()
    os.chdir(cwd)
    try:
        result = CliRunner().invoke(app, list(arguments))
    finally:
        os.chdir(before)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Done(result.exit_code, result.stdout, result.stderr)


def refused(done: Done, *words: str) -> None:
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    line = next((line for line in done.stderr.splitlines() if all(word in line for word in words)), None)
    assert line is not None, done.stderr


@pytest.fixture
def protocol(tmp_path):
    """A protocol with one change."""

    def changed(old: str = "", new: str = "") -> str:
        text = (DATA / "drill.yaml").read_text(encoding="utf-8")
        assert old in text
        path = tmp_path / "p.yaml"
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path.name

    return changed


@pytest.fixture
def rig(tmp_path):
    """A SIM rig for the drill, with one change."""

    def changed(old: str = "", new: str = "") -> str:
        made = myoloop("new", "rig", "r", "--protocol", str(DATA / "drill.yaml"), cwd=tmp_path)
        assert made.returncode == 0, made.stderr
        path = tmp_path / "r.yaml"
        text = path.read_text(encoding="utf-8")
        assert old in text, text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")
        return path.name

    return changed


def run(protocol: str, *more: str, cwd: Path) -> Done:
    return myoloop("run", protocol, "--subject", "SIM1", "--speed", "max", "--out", "study", *more, cwd=cwd)


def test_a_missing_file(tmp_path):
    refused(run("nowhere.yaml", cwd=tmp_path), "nowhere.yaml", "no such file")
    refused(myoloop("verify", "nowhere", cwd=tmp_path), "nowhere")
    refused(myoloop("listen", "nowhere.yaml", cwd=tmp_path), "nowhere.yaml")


def test_an_unknown_key(tmp_path, protocol):
    refused(run(protocol("    rest: 13 s", "    rset: 13 s"), cwd=tmp_path), "p.yaml:", "rset", "unknown key")


def test_a_value_without_a_unit(tmp_path, protocol):
    refused(run(protocol("current_max: 20 mA", "current_max: 20"), cwd=tmp_path), "p.yaml:", "current_max", "20", "mA")


def test_forty_microampere_on_a_device_whose_least_step_is_a_milliampere(tmp_path, protocol, rig):
    name = protocol("min_step: 1 mA", "min_step: 40 uA")
    wired = rig("outputs: 2", "outputs: 2\n      current_step_ma: 1.0")
    refused(run(name, "--rig", wired, cwd=tmp_path), "p.yaml:", "min_step", "0.04 mA", "at least 1 mA")


def test_a_channel_the_rig_does_not_have(tmp_path, protocol, rig):
    name = protocol("channels: [ext]}", "channels: [ext, flex]}")
    refused(run(name, "--rig", rig(), cwd=tmp_path), "flex")


def test_a_path_that_is_a_file(tmp_path, protocol):
    (tmp_path / "study").write_text("not a folder", encoding="utf-8")
    refused(run(protocol(), cwd=tmp_path), "study", "file")
    refused(myoloop("report", "p.yaml", cwd=tmp_path), "p.yaml")


def test_a_port_in_use(tmp_path, protocol, rig):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        name = rig("\nstimulation:\n", f"\nstop: {{port: {port}}}\nstimulation:\n")
        refused(run(protocol(), "--rig", name, cwd=tmp_path), str(port), "in use")


def test_a_protocol_the_rig_cannot_serve(tmp_path, protocol, rig):
    name = rig("class: SIM", "class: BENCH")
    refused(run(protocol(), "--rig", name, cwd=tmp_path), "SIM", "BENCH")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "demo", "--subject", "Jane Doe"], ["Jane Doe", "pseudonym"]),
        (["run", "demo", "--subject", "S1", "--fault", "explode@3s"], ["explode", "kill:NODE"]),
        (["run", "nonsense", "--subject", "S1"], ["nonsense", "no such preset"]),
        (["new", "protocol", "Bad Name"], ["Bad Name"]),
        (["new", "rig", "r", "--board", "NO_SUCH_BOARD"], ["NO_SUCH_BOARD"]),
        (["top"], ["no rig runs"]),
        (["stop"], ["no rig runs"]),
        (["lint", "nowhere.yaml"], ["nowhere.yaml"]),
    ],
)
def test_other_bad_input(tmp_path, monkeypatch, arguments, words):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    done = myoloop(*arguments, cwd=tmp_path)
    assert done.returncode == 2, (done.stdout, done.stderr)
    said = done.stderr + done.stdout
    assert "Traceback" not in said
    assert all(word in said for word in words), said


def test_help_is_quick_and_every_verb_has_an_example(tmp_path):
    top = myoloop("--help", cwd=tmp_path)
    assert top.returncode == 0
    verbs = ["demo", "doctor", "run", "listen", "lint", "show", "replay", "verify", "recover", "info", "export"]
    for verb in [*verbs, "report", "top", "node", "bench", "protocols", "stop"]:
        said = myoloop(verb, "--help", cwd=tmp_path).stdout
        assert f"Example: myoloop {verb}" in " ".join(said.split()), said


def test_the_command_line_imports_nothing_heavy():
    heavy = ("numpy", "scipy", "zmq", "pydantic", "matplotlib", "mne")
    code = f"import sys, myoloop.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_session_end_to_end(tmp_path, protocol):
    done = run(protocol("hold: 12 s", "hold: 2 s"), "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    folder = result["session"]
    assert Path(tmp_path, result["report"]).is_file()
    assert result["outcome"] == "complete"
    for verb in (["replay", folder, "--check"], ["verify", folder], ["info", folder, "--json"], ["show", "p.yaml"]):
        again = myoloop(*verb, cwd=tmp_path)
        assert again.returncode == 0, (verb, again.stdout, again.stderr)
    other = tmp_path / "other.yaml"
    other.write_text("controller: {policy: manual}\n", encoding="utf-8")
    instead = myoloop("replay", folder, "--controller", "other.yaml", "--json", cwd=tmp_path)
    assert instead.returncode == 0, instead.stderr
    assert json.loads(instead.stdout)["differing"] > 0
    exported = myoloop("export", folder, "session_raw.fif", "--to", "fif", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    refused(myoloop("export", folder, "session_raw.fif", cwd=tmp_path), "session_raw.fif")
    flipped = bytearray((tmp_path / folder / "session.mcap").read_bytes())
    flipped[len(flipped) // 2] ^= 1
    (tmp_path / folder / "session.mcap").write_bytes(flipped)
    assert myoloop("verify", folder, cwd=tmp_path).returncode == 1
