"""users.md 4b: electrode detaches, partial lift, EMG lead off or railed, wrong electrode site."""

from __future__ import annotations

from pathlib import Path

import pytest

from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.replay import replay

TABLE = Path(__file__).parent / "table.yaml"
#: A pulse period, and 100 ms.
PERIOD_MS = 1e3 / 35
OFF_MS = PERIOD_MS + 100.0


def test_an_electrode_that_detaches_ends_the_current_and_latches(strike):
    played = strike("kind: electrode_detaches, channel: ext")
    assert played.ms_to_zero() <= OFF_MS
    assert played.end.outcome == "fault"
    assert "electrode open: ext" in played.end.reason
    (latched,) = played.told("fault", "electrode open")
    assert latched.t_ns - played.struck_ns <= 110e6
    assert all(report.latched for report in played.reports_after(200))
    assert any("electrode open: ext" in fault for report in played.device() for fault in report.faults)


def test_a_lead_of_the_emg_that_falls_off_ends_the_train_and_names_the_channel(strike):
    played = strike("kind: emg_lead_off, channel: ext")
    assert played.ms_to_zero() <= 250
    after = played.reports_after(300)
    assert after
    assert not any(report.allowed for report in after)
    whys = {request.reason for request in played.messages("request") if request.t_ns > played.struck_ns + 300e6}
    assert any("ext" in why for why in whys), whys
    assert played.told("paused", "more than 50 % invalid samples of ext")
    began_ms, paused_ms = played.began_pausing_ms()
    assert paused_ms - began_ms == pytest.approx(1000, abs=30)
    # As with every pause: a script that says nothing of it does not go on.
    assert (played.end.outcome, "paused" in played.end.reason) == ("aborted", True)


def test_a_railed_channel_ends_the_train_and_is_flagged(strike):
    played = strike("kind: emg_railed, channel: ext")
    assert played.ms_to_zero() <= 250
    assert not any(report.allowed for report in played.reports_after(300))
    railed = [vital for vital in played.vitals() if "rail" in vital.flags[0]]
    assert railed
    assert railed[-1].valid_share[0] == 0.0
    assert all("rail" not in vital.flags[1] for vital in played.vitals())
    assert played.told("paused", "invalid samples of ext")
    assert played.began_pausing_ms()[1] <= 1300


def test_a_pause_for_a_lead_marks_the_trial_as_cut_and_replays_the_same(strike):
    played = strike("kind: emg_lead_off, channel: ext")
    (trial,) = played.messages("trial")
    assert trial.outcome == "paused"
    assert replay(played.end.folder, BUILDERS).equal


def test_an_edge_of_an_emg_electrode_that_lifts_shows_as_contact_lost(strike):
    played = strike("kind: partial_lift, channel: ext")
    contact = [each.values for each in played.messages("truth/contact") if each.t_ns > played.struck_ns + 50e6]
    assert contact
    assert contact[-1]["ext"] < 0.3 < contact[-1]["flex"]
    # The simulated stimulator measures no impedance: no cap can fall. What is asked for stays within the envelope.
    assert all(s.current_ma <= 12.0 for report in played.reports_after() for s in report.allowed)


def test_swapped_leads_are_on_record_and_the_envelope_holds(strike):
    played = strike("kind: swapped_leads, channel: ext, other: flex")
    (told,) = played.told("injected", "swapped_leads")
    assert (told.values["channel"], told.values["other"]) == ("ext", "flex")
    assert all(s.current_ma <= 12.0 for report in played.reports_after() for s in report.allowed)


@pytest.mark.parametrize("fault", ["kind: emg_lead_off, channel: nose", "kind: electrode_detaches, channel: flex"])
def test_a_fault_on_what_the_rig_does_not_have_is_refused_before_anything_begins(strike, fault, tmp_path):
    with pytest.raises(ValueError, match=r"script: acts\[0\]\.do\.fault: found channel"):
        strike(fault)
    assert not list(tmp_path.glob("study/sub-*/ses-*"))
