"""users.md 4b: stream stops silently, time stamps jump, laptop sleep, disk full or slow."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.replay import replay
from myoloop.platform.recording.verify import verify

TABLE = Path(__file__).parent / "table.yaml"
IN_TRAIN = "when: {phase: train, trial: 1, state: hold, after: 2 s}"


@pytest.mark.parametrize("kind", ["stream_stops", "repeated_block"])
def test_without_new_samples_current_ends_within_a_quarter_second(strike, kind):
    played = strike(f"kind: {kind}")
    assert played.ms_to_zero() <= 250
    after = played.reports_after(300)
    assert not any(report.allowed for report in after)
    assert any(report.rule == "stale samples" for report in after if report.requested) or not any(
        report.requested for report in after
    )
    began_ms, paused_ms = played.began_pausing_ms()
    assert began_ms <= 250
    assert paused_ms - began_ms == pytest.approx(1000, abs=30)
    assert verify(played.end.folder).status == "good"


def test_a_buffer_that_comes_again_and_again_is_flagged(strike):
    flags = strike("kind: repeated_block").vitals()[-1].flags
    assert all("repeated" in each for each in flags[:2])


def test_what_did_not_come_while_a_stream_stood_still_is_marked_as_a_gap(strike):
    played = strike("kind: stream_stops, for: 0.4 s")
    assert played.ms_to_zero() <= 250
    assert any("gap" in flag for vital in played.vitals() for flag in vital.flags)
    assert played.told("injected", "over")
    # Half a second is bridged: current rises again by itself.
    assert not played.told("paused")
    assert played.end.outcome == "complete"


def test_a_stream_that_comes_back_in_a_pause_is_gone_on_with_forward_only(play, tmp_path):
    path = tmp_path / "two.yaml"
    path.write_text(TABLE.read_text().replace("trials: 1", "trials: 2"))
    cut = f"{{{IN_TRAIN}, do: {{fault: {{kind: stream_stops, for: 2 s}}}}}}"
    on = "{when: {waiting: resume, after: 3 s}, do: {resume: the amplifier is plugged in again}}"
    played = play(f"acts: [{cut}, {on}]", path)
    assert played.end.outcome == "complete"
    first, second = played.messages("trial")
    assert (first.trial, first.outcome, second.trial, second.outcome) == (1, "paused", 2, "done")
    assert replay(played.end.folder, BUILDERS).equal


def test_time_stamps_that_jump_end_the_train_and_stay_as_they_came(strike):
    played = strike("kind: time_jump, by: 1 s")
    assert played.ms_to_zero() <= 250
    assert not any(report.allowed for report in played.reports_after(300))
    assert played.told("paused", "last good block -1000 ms ago")
    assert played.began_pausing_ms()[1] <= 1600
    stamps = [each.received.message.t_ns for each in played.recording.messages({"emg/amplifier"})]
    steps_s = [(b - a) * 1e-9 for a, b in pairwise(stamps)]
    assert max(steps_s) == pytest.approx(1.01, abs=0.001)


def test_a_host_that_slept_latches_at_once(strike):
    played = strike("kind: clock_gap, by: 2 s")
    assert played.ms_to_zero() <= 100
    assert played.end.outcome == "fault"
    assert "the host slept for 2000 ms" in played.end.reason


@pytest.mark.parametrize("fault", ["kind: disk_full", "kind: disk_slow, for: 1 s"])
def test_a_recorder_that_cannot_write_ends_the_session(strike, fault):
    played = strike(fault)
    assert played.ms_to_zero() <= 250
    assert played.end.outcome == "fault"
    assert "recorder" in played.end.reason
