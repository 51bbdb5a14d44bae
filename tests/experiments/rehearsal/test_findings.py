"""What a rehearsal finds on the emulated devices: figures where all is well, the reason where it is not."""

from dataclasses import replace

import numpy as np
import pytest

from myoloop.experiments.rehearsal.findings import find
from myoloop.experiments.rehearsal.problems import END_MAX_MS
from myoloop.experiments.rehearsal.words import say_findings

MS = 1_000_000
DEVICES = [("p24", "low"), ("p24", "mid"), ("rehamove3", "low"), ("rehastim2", "")]
ENDED = ("stopped", "rehearsed")


def found(station, sync=True):
    return find(station.heard(sync), step_ma=station.step_ma, ended=ENDED)


@pytest.mark.parametrize(("device", "level"), DEVICES)
def test_a_device_that_is_well_passes_with_figures(station, device, level):
    rig = station(device, level)
    rig.rehearse(5.0, 10.0)
    findings = found(rig)
    assert findings.problems == ()
    assert findings.passed
    assert {row.allowed_ma for row in findings.rows} == {5.0, 10.0}
    for row in findings.rows:
        assert row.allowed_ma == row.asked_ma == row.acknowledged_ma
        assert row.delivered_ma in (None, (row.allowed_ma, row.allowed_ma))
    latency = findings.by_sync.first_pulse
    assert latency.count == 8
    # The request is 2 ms old when the gate takes it; a RehaStim2 gives the first pulse a period after its start.
    assert 0 < latency.median_ms <= latency.p95_ms <= latency.p99_ms == latency.max_ms < 150
    assert findings.by_sync.jitter.max_ms < 12
    assert findings.stop_ms < 60
    assert 0 < findings.zero_said_ms < 400 < findings.watched_ms
    text = say_findings(findings)
    assert text.endswith("passed")
    assert "request to first pulse: median" in text


def test_the_latency_is_from_the_requests_own_stamp_to_the_pulse(station):
    rig = station("p24")
    rig.rehearse(5.0, starts=3)
    heard = rig.heard()
    shortest_ms = min(
        (pulse.t_ns - t_ns) / MS for t_ns in rig.requests.values() for pulse in rig.given if pulse.t_ns >= t_ns
    )
    before = found(rig).by_sync.first_pulse
    # Everything the amplifier saw 3 ms later is 3 ms more of latency.
    late = replace(heard, sync=replace(heard.sync, t_ns=heard.sync.t_ns + 3 * MS))
    after = find(late, step_ma=0.5, ended=ENDED).by_sync.first_pulse
    assert after.median_ms == pytest.approx(before.median_ms + 3.0)
    assert before.median_ms >= shortest_ms - 0.5


def test_without_a_sync_channel_the_stimulators_own_word_is_taken_and_said_so(station):
    rig = station("p24")
    rig.rehearse(5.0)
    findings = found(rig, sync=False)
    assert findings.problems == ()
    assert findings.by_sync is None
    assert findings.by_stream.by == "acknowledged"
    assert findings.by_stream.first_pulse.count == 7
    assert findings.by_stream.uncertainty_ms > 0
    assert "by the device's receipt of each pulse" in say_findings(findings)


def test_jitter_of_a_device_that_times_itself_is_not_made_up(station):
    rig = station("p24", "mid")
    rig.rehearse(5.0)
    findings = found(rig, sync=False)
    assert findings.by_stream.by == "predicted"
    assert findings.by_stream.jitter is None
    assert "jitter: not measured" in say_findings(findings)


def test_what_the_stream_says_of_its_own_uncertainty_is_held_against_the_sync_channel(station):
    rig = station("p24")
    rig.rehearse(5.0)
    offset = found(rig).sync_offset
    assert offset.within == 1.0
    for said in (heard := rig.heard()).pulses.values():
        said.uncertainty_ns[:] = 0
        said.t_ns[:] += 5 * MS
    worse = find(heard, step_ma=0.5, ended=ENDED).sync_offset
    assert worse.within == 0.0
    assert worse.median_ms == pytest.approx(offset.median_ms - 5.0, abs=0.01)


def test_a_doubled_load_is_told_by_its_error_where_the_current_needs_more_than_the_voltage(station):
    rig = station("p24")
    rig.device.faults.load_factor = 2.0
    rig.rehearse(70.0, 80.0, starts=0)
    problems = found(rig).problems
    assert any("28" in problem and "ext" in problem for problem in problems), problems
    assert not any("70 mA" in problem and "acknowledged" in problem for problem in problems)


@pytest.mark.parametrize(("device", "level", "says"), [("p24", "low", "10"), ("p24", "mid", "electrode"),
                                                       ("rehastim2", "", "electrode")])  # fmt: skip
def test_an_electrode_that_is_not_on_the_load_is_told(station, device, level, says):
    rig = station(device, level)
    rig.device.faults.open_electrodes = {0}
    rig.rehearse(20.0, starts=0)
    problems = found(rig).problems
    assert any(problem.startswith("the device says") and says in problem for problem in problems), problems


@pytest.mark.parametrize(("device", "level"), DEVICES)
def test_a_device_that_answers_late_is_told_before_the_gate_takes_it_for_faulty(station, device, level):
    rig = station(device, level)
    rig.arm()
    rig.device.faults.answer_delay_ns = 170 * MS
    rig.train(5.0)
    rig.stop()
    findings = found(rig)
    assert findings.answer_max_ms > 150
    assert any("answers late" in problem for problem in findings.problems), findings.problems


def test_pulses_that_nobody_told_of_are_found_by_the_sync_channel(station):
    rig = station("p24")
    rig.rehearse(5.0, starts=2)
    heard = rig.heard()
    spare = heard.sync.t_ns[40] + 13 * MS
    more = replace(heard, sync=replace(heard.sync, t_ns=np.sort(np.append(heard.sync.t_ns, spare))))
    fewer = replace(heard, sync=replace(heard.sync, t_ns=np.delete(heard.sync.t_ns, 5)))
    for changed in (more, fewer):
        (problem,) = find(changed, step_ma=0.5, ended=ENDED).problems
        assert "the stimulator told of" in problem


def test_a_trigger_that_is_not_wired_to_the_amplifier_is_told(station):
    rig = station("p24")
    rig.rehearse(5.0, starts=2)
    heard = rig.heard()
    silent = replace(heard, sync=replace(heard.sync, t_ns=heard.sync.t_ns[:0]))
    findings = find(silent, step_ma=0.5, ended=ENDED)
    assert findings.problems == (
        "emg/amp: its sync channel has seen no pulse at all: is the stimulator's trigger wired to it?",
    )
    assert findings.by_sync is None
    assert findings.by_stream is not None


def test_a_pulse_long_after_zero_or_stop_is_told(station):
    rig = station("p24")
    rig.rehearse(5.0, starts=2)
    heard = rig.heard()
    late_ns = heard.stop_ns + round((END_MAX_MS + 50) * MS)
    late = replace(heard, sync=replace(heard.sync, t_ns=np.append(heard.sync.t_ns, late_ns)))
    findings = find(late, step_ma=0.5, ended=ENDED)
    assert findings.stop_ms == pytest.approx(END_MAX_MS + 50)
    assert any("after stop was pressed, allowed is 250 ms" in problem for problem in findings.problems)
    assert any("after zero was asked for (by sync)" in problem for problem in findings.problems)


def test_pulses_of_another_current_than_allowed_are_told(station):
    rig = station("p24")
    rig.rehearse(5.0, starts=2)
    heard = rig.heard()
    for said in heard.pulses.values():
        said.current_ma[:] += 0.5
    assert "ext at 5 mA: pulses of 5.5 to 5.5 mA were delivered" in find(heard, step_ma=0.5, ended=ENDED).problems


def test_a_session_that_ended_otherwise_has_not_passed(station):
    rig = station("p24")
    rig.rehearse(5.0, starts=0)
    heard = replace(rig.heard(), outcome="fault", reason="amplifier has died")
    assert find(heard, step_ma=0.5, ended=ENDED).problems == (
        "the session ended as fault: amplifier has died; it should be stopped",
    )


def test_an_empty_recording_passes_nothing(station):
    rig = station("p24")
    rig.step()
    rig.reports, rig.devices = rig.reports[:1], []
    findings = found(rig)
    assert not findings.passed
    assert "the device has not said who it is" in findings.problems
    assert "no current was allowed on any channel" in findings.problems
    assert say_findings(findings).endswith("failed")


def test_a_train_that_the_gate_cuts_is_told_and_is_no_figure(station):
    rig = station("p24")
    rig.arm()
    rig.train(5.0)
    for _ in range(30):
        rig.step(5.0)
    # The controller falls silent: its lease lapses, then it goes on.
    for _ in range(14):
        rig.step()
    for _ in range(30):
        rig.step(5.0)
    rig.stop()
    problems = found(rig).problems
    assert any("the gate cut a train of 5 mA short" in problem for problem in problems), problems


def test_a_train_that_a_fault_ended_is_told_and_not_held_against_its_level(station):
    rig = station("p24")
    rig.arm()
    rig.train(5.0)
    for _ in range(12):
        rig.step(2.0)
    rig.device.faults.drop_answers = True
    for _ in range(40):
        rig.step(4.0)
    problems = found(rig).problems
    assert any("the gate cut a train of 2 mA short" in each or "of 4 mA short" in each for each in problems), problems
    assert not any("the device acknowledged" in each for each in problems), problems
