"""`myoloop rehearse`: what it would do, whom it refuses, and whole sessions on emulated devices behind a port."""

from __future__ import annotations

import io
import json

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.rehearsal.kept import rehearsals_in
from myoloop.experiments.sessions.emulated_rig import emulated_rig_data
from myoloop.platform.recording.verify import verify

#: What a machine that has too much to do brings about; everything else would be the rehearsal's own mistake.
BUSY = (
    "ext: the gate cut a train", "the session ended as aborted", "the device answers late",
    "the session ended as fault: stimulator FAULT: dead peer",
)  # fmt: skip


@pytest.fixture
def rig(request, tmp_path):
    """Write a rig whose device is emulated."""

    def write(device="p24", rig_class="SIM", faults=(), current_max_ma=None, **more):
        protocol = load_protocol(request.config.rootpath / "tests/data/device_train.yaml")
        data = emulated_rig_data(protocol, device, faults=faults, **more)
        data["rig"]["class"] = rig_class
        if rig_class == "HUMAN":
            del data["nodes"]["body"]
        if current_max_ma is not None:
            data["nodes"]["stimulator"]["settings"]["current_max_ma"] = current_max_ma
        text = io.StringIO()
        YAML().dump(data, text)
        (tmp_path / "rig.yaml").write_text(text.getvalue())
        return str(tmp_path / "rig.yaml")

    return write


def told(*arguments):
    result = CliRunner().invoke(app, ["rehearse", *arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.stdout, result.stderr


def test_a_dry_run_says_the_steps_and_opens_nothing(rig, tmp_path):
    code, text, _ = told(rig(), "--dry-run", "--seconds", "11", "--out", str(tmp_path / "study"))
    assert code == 0
    assert "mA, then 10 starts at" in text
    code, text, _ = told(rig(), "--dry-run", "--json")
    assert code == 0
    assert json.loads(text)["steps"][0]["channel"] == "ext"
    assert not (tmp_path / "study").exists()


def test_a_human_rig_is_refused_in_one_line_that_says_how_to_go_about_it(rig, tmp_path):
    file = rig(rig_class="HUMAN")
    code, _, said = told(file, "--out", str(tmp_path / "study"))
    assert code == 2
    assert said.startswith(f"{file}:")
    assert "found HUMAN; a rehearsal is on a dummy load" in said
    assert said.count("\n") == 1
    assert not (tmp_path / "study").exists()


def test_a_protocol_is_not_shown_here_and_one_for_people_alone_is_refused(rig):
    code, _, said = told(rig(), "--dry-run", "--protocol", "wrist")
    assert (code, "a protocol of one's own is shown by myoloop show" in said) == (2, True)


def check(rig_file, tmp_path, *more):
    """A whole rehearsal; its data, after what must hold of any."""
    code, text, said = told(rig_file, "--seconds", "3", "--out", str(tmp_path / "study"), "--json", *more)
    assert code in (0, 1), said
    data = json.loads(text)
    assert code == (0 if data["passed"] else 1)
    assert data["passed"] == (not data["findings"]["problems"])
    (kept,) = rehearsals_in(tmp_path / "study")
    assert kept.passed == data["passed"]
    assert kept.simulated
    assert verify(data["session"]).status == "good"
    return data


def figures(data):
    findings = data["findings"]
    wrong = [problem for problem in findings["problems"] if not problem.startswith(BUSY)]
    assert wrong == []
    assert findings["rows"]
    assert all(row["pulses"] == pytest.approx(row["synced"], abs=2 * row["trains"]) for row in findings["rows"])
    latency = findings["by_sync"]["first_pulse"]
    assert 0 < latency["median_ms"] <= latency["p95_ms"] <= latency["max_ms"]
    return findings


@pytest.mark.prove
@pytest.mark.processes
@pytest.mark.timeout(150)
def test_a_p24_is_rehearsed_through_a_pseudo_terminal(rig, tmp_path):
    findings = figures(check(rig(current_max_ma=4.0), tmp_path))
    assert findings["device"].startswith("P24 ")
    assert findings["by_stream"]["by"] == "acknowledged"


@pytest.mark.prove
@pytest.mark.processes
@pytest.mark.timeout(300)
@pytest.mark.parametrize(("device", "more"), [("p24", {"level": "mid", "current_max_ma": 4.0}), ("rehastim2", {})])
def test_a_device_that_times_itself_is_rehearsed_through_a_pseudo_terminal(rig, tmp_path, device, more):
    findings = figures(check(rig(device, **more), tmp_path))
    assert findings["by_stream"]["by"] == "predicted"


@pytest.mark.prove
@pytest.mark.processes
@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("fault", "current_max_ma", "says"),
    [
        ("open-electrodes=0", 16.0, "electrode"),
        ("load-factor=2", 80.0, "28"),
        ("answer-delay=200ms@1", 4.0, "answers late"),
    ],
)
def test_what_is_wrong_with_load_leads_or_line_is_told(rig, tmp_path, fault, current_max_ma, says):
    data = check(rig(faults=(fault,), current_max_ma=current_max_ma), tmp_path)
    assert not data["passed"]
    assert any(says in problem for problem in data["findings"]["problems"]), data["findings"]["problems"]
