"""The verb: lists without running, names what it does not know, and ends with 1 where a drill failed."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.experiments.drills import drills
from myoloop.experiments.drills.devices import DEVICES
from myoloop.experiments.drills.drills import Found, keep_found
from myoloop.experiments.drills.faults import drill_of
from myoloop.experiments.drills.findings import Finding


@pytest.fixture
def call():
    def run(*arguments, code=0):
        result = CliRunner().invoke(app, ["drill", *arguments])
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def ran(monkeypatch):
    """Drills that are not run, and fail or pass as told."""
    fails = set()

    def run_drill(device, drill, folder):
        made = Finding.broken(device, drill, "told to fail")
        if drill.name in fails:
            return made
        import msgspec

        return msgspec.structs.replace(made, wrong=(), passed=True, last_pulse_ms=80.0, told="told")

    monkeypatch.setattr(drills, "run_drill", run_drill)
    return fails


def test_a_list_and_a_dry_run_start_nothing(call):
    listed = json.loads(call("--list", "--device", "simulated", "--json").stdout)["drills"]
    assert {"kill-controller", "stop-pain", "device-vanished"} <= {row["fault"] for row in listed}
    dry = call("--dry-run", "--device", "p24-mid", "--fault", "kill-recorder").stdout.split()
    assert dry[:2] == ["p24-mid", "kill-recorder"]


@pytest.mark.parametrize(("option", "value"), [("--device", "p25"), ("--fault", "kill-all")])
def test_what_there_is_not_is_one_line(call, option, value):
    said = call(option, value, code=2).stderr
    assert value in said
    assert said.count("\n") == 1


def test_all_passed_is_0_and_one_failed_is_1(call, ran):
    chosen = ("--device", "simulated", "--fault", "kill-recorder", "--fault", "kill-director")
    assert "2 of 2 passed" in call(*chosen).stdout
    ran.add("kill-recorder")
    assert "simulated kill-recorder: told to fail" in call(*chosen, code=1).stdout


def test_with_json_there_is_one_object(call, ran):
    found = json.loads(call("--device", "simulated", "--fault", "kill-recorder", "--json").stdout)
    assert (found["drills"][0]["fault"], found["drills"][0]["passed"]) == ("kill-recorder", True)


def test_a_file_keeps_what_other_drills_found_and_replaces_the_same(tmp_path):
    path = tmp_path / "drills.json"
    device = DEVICES["simulated"]
    first, second = (Finding.broken(device, drill_of(device, f"kill-{part}"), "x") for part in ("recorder", "director"))
    again = Finding.broken(device, drill_of(device, "kill-recorder"), "y")
    for finding in (first, second, again):
        found = keep_found(path, Found(drills=(finding,)))
    assert [each.wrong for each in found.drills] == [("y",), ("x",)]
    assert not found.passed
