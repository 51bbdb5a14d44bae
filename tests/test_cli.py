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
import typer
from typer.testing import CliRunner

from myoloop.cli import app

ROOT = Path(__file__).resolve().parents[1]
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
        (["new", "controller", "class"], ["class", "keyword of Python"]),
        (["run", "demo", "--subject", "S1", "--fault", "kill@3"], ["kill:NODE@20s, freeze:NODE@20s or stop@20s"]),
        (["node", "bench", "controller"], ["no rig called 'bench' runs"]),
        (["node", "bench", "controller", "--runtime", "nowhere"], ["nowhere", "no runtime folder"]),
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


def every_verb() -> list[tuple[str, ...]]:
    """Each verb as it is typed."""
    commands = typer.main.get_command(app).commands
    verbs = [(name,) for name, command in commands.items() if not hasattr(command, "commands")]
    return [*verbs, *(("new", name) for name in commands["new"].commands)]


@pytest.mark.parametrize("verb", [(), ("new",), *every_verb()], ids=" ".join)
def test_every_help_has_an_example_and_the_exit_codes(tmp_path, verb):
    done = myoloop(*verb, "--help", cwd=tmp_path)
    assert done.returncode == 0
    said = " ".join(done.stdout.split())
    example = " ".join(("Example: myoloop", *verb))
    assert f"{example} " in said
    assert "Exit codes: 0 good, 1 the check failed, 2 bad input, 3 fault or stop." in said


@pytest.mark.parametrize("verb", every_verb(), ids=" ".join)
def test_every_verb_answers_machines(tmp_path, verb):
    assert "--json" in myoloop(*verb, "--help", cwd=tmp_path).stdout


def test_the_page_of_commands_names_every_verb_and_option():
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    for verb in every_verb():
        named = "bench loop" if verb == ("bench",) else " ".join(verb)
        assert f"`{named}" in page, verb
        command = typer.main.get_command(app)
        for name in verb:
            command = command.commands[name]
        for option in {option for each in command.params for option in each.opts if option.startswith("--")}:
            assert option in page, (verb, option)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["demo", "--seed", "-1"], "myoloop demo: --seed: found '-1', allowed is a whole number, at least 0"),
        (["demo", "--seed", "one"], "myoloop demo: --seed: found 'one', allowed is a whole number, at least 0"),
        (["demo", "--speed", "fast"], "myoloop demo: --speed: found 'fast', allowed are real and max"),
        (["listen", "r", "--for", "nan"], "myoloop listen: --for: found 'nan', allowed is a number of seconds"),
        (["replay", "s", "--speed", "0"], "--speed: found '0', allowed are max, real or how many times as fast"),
        (["verify", "a", "b"], "myoloop verify: Got unexpected extra argument"),
        (["report", "a", "--jsn"], "myoloop report: No such option: --jsn"),
        (["run", "demo"], "myoloop run: Missing option '--subject'"),
        (["nonsense"], "myoloop: No such command 'nonsense'"),
    ],
)
def test_a_wrong_call_is_one_line_that_names_what_was_found(tmp_path, arguments, line):
    done = myoloop(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith(line)


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("myoloop.cli", ("numpy", "scipy", "zmq", "pydantic", "matplotlib", "mne")),
        ("myoloop.experiments.protocols.lint", ("scipy", "matplotlib", "mne", "sklearn", "statsmodels", "pandas")),
    ],
)
def test_what_begins_every_command_imports_nothing_heavy(module, heavy):
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_session_end_to_end(tmp_path, protocol):
    short = protocol("hold: 12 s", "hold: 2 s")
    path = tmp_path / short
    path.write_text(path.read_text(encoding="utf-8").replace("trials: 2", "trials: 1"), encoding="utf-8")
    done = run(short, "--json", cwd=tmp_path)
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
    paced = myoloop("replay", folder, "--check", "--speed", "100", "--json", cwd=tmp_path)
    assert (paced.returncode, json.loads(paced.stdout)["equal"]) == (0, True)
    exported = myoloop("export", folder, "session_raw.fif", "--to", "fif", cwd=tmp_path)
    assert exported.returncode == 0, exported.stderr
    refused(myoloop("export", folder, "session_raw.fif", cwd=tmp_path), "session_raw.fif")
    refused(myoloop("export", folder, "session.txt", cwd=tmp_path), "session.txt", "_raw.fif")
    assert not Path(tmp_path, "session.txt").exists()
    refused(myoloop("report", folder, "--kind", "cohort", cwd=tmp_path), "cohort", "session")
    assert myoloop("report", folder, "--kind", "session", cwd=tmp_path).returncode == 0
    file = tmp_path / folder / "session.mcap"
    whole = file.read_bytes()
    said = myoloop("info", folder, cwd=tmp_path).stdout
    assert f"{folder}/session.mcap: good\n" in said
    file.write_bytes(whole[: len(whole) * 2 // 3])
    cut = myoloop("info", folder, cwd=tmp_path)
    assert cut.returncode == 0
    assert "session.mcap: INCOMPLETE\n" in cut.stdout
    flipped = bytearray(whole)
    flipped[len(flipped) // 2] ^= 1
    file.write_bytes(flipped)
    assert myoloop("verify", folder, cwd=tmp_path).returncode == 1
    damaged = myoloop("info", folder, "--json", cwd=tmp_path)
    assert (damaged.returncode, json.loads(damaged.stdout)["status"]) == (1, "damaged")
    refused(myoloop("recover", folder, cwd=tmp_path), "is damaged, not merely cut", "--vouched-only keeps the")
    assert myoloop("recover", folder, "--vouched-only", cwd=tmp_path).returncode == 0
    assert myoloop("verify", folder, cwd=tmp_path).returncode == 0


def test_lint_tells_mistakes_as_its_answer_and_what_cannot_be_read_as_an_error(tmp_path, protocol):
    done = myoloop("lint", "nowhere.yaml", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("nowhere.yaml: no such file")
    done = myoloop("lint", protocol("    rest: 13 s", "    rset: 13 s"), cwd=tmp_path)
    assert (done.returncode, done.stderr) == (2, "")
    assert "unknown key" in done.stdout


@pytest.mark.parametrize("verb", ["info", "report", "replay", "export"])
def test_an_empty_file_is_no_recording(tmp_path, verb):
    (tmp_path / "empty.yaml").touch()
    more = ["out"] if verb == "export" else []
    refused(myoloop(verb, "empty.yaml", *more, cwd=tmp_path), "empty.yaml", "is empty")
    assert [path.name for path in tmp_path.iterdir()] == ["empty.yaml"]


def test_a_report_that_a_package_announces_is_made_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "lab_report.py").write_text(
        "from dataclasses import dataclass\n"
        "from pathlib import Path\n"
        "@dataclass(frozen=True)\n"
        "class Nothing:\n"
        "    pass\n"
        "class Trigger:\n"
        "    Settings = Nothing\n"
        "    def __init__(self, settings): pass\n"
        "    def write(self, path, out=None):\n"
        "        (out or Path('trigger.html')).write_text(f'on {path}')\n"
        "        return out or Path('trigger.html')\n",
        encoding="utf-8",
    )
    info = tmp_path / "lab_report-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lab_report\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[myoloop.reports]\ntrigger = lab_report:Trigger\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    done = myoloop("report", "att-1", "--kind", "trigger", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {"report": "trigger.html"}
    assert (tmp_path / "trigger.html").read_text(encoding="utf-8") == "on att-1"
    refused(myoloop("report", "att-1", "--kind", "nothing", cwd=tmp_path), "nothing", "session", "trigger")


@pytest.mark.parametrize("more", [[], ["--board", "SYNTHETIC_BOARD"]], ids=["simulated", "board"])
def test_a_rig_is_written_where_a_protocol_would_be(tmp_path, more):
    for kind, extra in (("protocol", []), ("rig", more)):
        made = myoloop("new", kind, f"my_{kind}", *extra, "--out", "no/folder", cwd=tmp_path)
        assert (made.returncode, made.stdout) == (0, f"no/folder/my_{kind}.yaml\n"), made.stderr
        assert (tmp_path / "no" / "folder" / f"my_{kind}.yaml").is_file()
    (tmp_path / "notes").touch()
    for kind, extra in (("protocol", []), ("rig", more)):
        refused(myoloop("new", kind, "mine", *extra, "--out", "notes", cwd=tmp_path), "notes")


def test_what_is_written_new_is_told_to_machines(tmp_path):
    for kind, written in (("protocol", "mine.yaml"), ("rig", "bench.yaml"), ("controller", "gentle")):
        made = myoloop("new", kind, written.removesuffix(".yaml"), "--json", cwd=tmp_path)
        assert json.loads(made.stdout) == {"written": written}
        assert (tmp_path / written).exists()
