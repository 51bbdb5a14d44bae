"""users.md 4b: USB unplug, power loss, two programs on one device, controller NaN, exception, overrun."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.continuing import standing
from myoloop.platform.recording.reader import Recording

TABLE = Path(__file__).parent / "table.yaml"


def test_a_stimulator_whose_cable_is_out_ends_by_its_own_lease_and_stays_latched(strike):
    played = strike("kind: usb_unplug, for: 1 s")
    # The device's own lease, 200 ms at most.
    assert played.ms_to_zero() <= 250
    assert played.end.outcome == "fault"
    assert "no acknowledgement" in played.end.reason
    assert played.told("fault", "no acknowledgement")


def test_a_power_cut_leaves_a_session_that_can_be_read_and_waits_to_be_settled(tmp_path):
    script = tmp_path / "cut.yaml"
    script.write_text("acts: [{when: {phase: train, state: hold}, do: {fault: {kind: power_loss}}}]\n")
    command = [sys.executable, "-m", "myoloop", "run", str(TABLE), "--subject", "SIM1", "--speed", "max"]
    done = subprocess.run(
        [*command, "--script", str(script), "--out", str(tmp_path / "study")],
        stdin=subprocess.DEVNULL, capture_output=True, timeout=120, check=False, env=dict(os.environ),
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL, done.stderr
    folder = tmp_path / "study" / "sub-SIM1" / "ses-01" / "att-1"
    assert standing(folder).state == "cut"
    recording = Recording.open(folder)
    assert not recording.complete
    assert recording.counts["pulse"] > 0


def test_a_second_program_is_refused_with_the_name_of_the_holder(strike):
    played = strike("kind: second_program")
    (told,) = played.told("injected", "second_program")
    assert "held by another session of this person" in told.why
    assert played.end.outcome == "complete"


@pytest.mark.parametrize(("kind", "said"), [("controller_nan", "nan mA"), ("controller_exception", "RuntimeError")])
def test_a_controller_that_goes_wrong_asks_for_nothing_and_says_so(strike, kind, said):
    played = strike(f"kind: {kind}, for: 1 s")
    assert played.ms_to_zero() <= 100
    (fault,) = [event for event in played.told("fault") if event.who == "controller"]
    assert said in fault.why
    # It is asked again in every step: once it is well, the train goes on from the ground it has.
    assert any(report.allowed for report in played.reports_after(1100))


def test_a_controller_that_is_late_for_one_lease_has_its_current_end(strike):
    # A lease is 100 ms at most, a peer that is silent for 150 ms is dead: between the two.
    played = strike("kind: controller_late, for: 0.13 s")
    begin_ns = played.struck_ns
    zero = [report.t_ns for report in played.reports_after() if not report.allowed and not report.latched]
    assert zero[0] - begin_ns <= 120e6
    assert any(report.allowed for report in played.reports_after(500))
    assert replay(played.end.folder, BUILDERS).equal


def test_a_controller_that_stays_away_ends_the_session(strike):
    played = strike("kind: controller_late, for: 2 s")
    assert played.ms_to_zero() <= 250
    assert played.end.outcome == "fault"
    assert "controller" in played.end.reason
