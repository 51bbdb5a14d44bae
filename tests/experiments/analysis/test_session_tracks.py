"""A recorded session as arrays: the numbers of a session that is known through and through."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from myoloop.experiments.analysis.gather import Gathered, gather, settings_of
from myoloop.experiments.analysis.gating import gate_tracks
from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.tracks import Interval
from myoloop.platform import wire
from myoloop.platform.messages import Command, Samples
from myoloop.platform.recording.layout import DamagedRecording, RecordingError
from myoloop.platform.recording.seek import SeekableRecording
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.platform.steps import Received
from myoloop.stimulators.gate import parse_envelope


@pytest.fixture(scope="module")
def session(known_attempt):
    return load(known_attempt)


def test_time_begins_with_the_first_phase_message(session):
    assert session.phases[0].begin_s == 0.0
    assert session.zero_ns == 5_000_000_000


def test_without_a_phase_time_begins_with_the_first_sample(known, tmp_path):
    folder = tmp_path / "att-1"
    folder.mkdir()
    with RecordingWriter(folder, session="s", descriptors=[known.EMG], metadata=known.METADATA, live=False) as writer:
        for block in range(3):
            message = Samples(first_sample=10 * block, t_ns=1_009_000_000 + 10_000_000 * block)
            array = known.counts[10 * block : 10 * block + 10]
            frames = wire.encode("emg/amp", message, session="s", publisher="a", epoch=1, seq=block, array=array)
            writer.write(frames, message.t_ns, block)
        writer.end("complete", "", 2_000_000_000)
    listened = load(folder)
    np.testing.assert_allclose(listened.samples["emg/amp"].t_s, np.arange(30) * 1e-3, atol=1e-9)
    assert [site.muscle for site in listened.sites] == ["m1", "m2"], "no controller: the channels themselves"
    assert listened.phases == ()
    assert listened.currents == {}
    assert not listened.truth.ledger


def test_every_sample_has_the_time_of_its_block(session):
    track = session.samples["emg/amp"]
    expected = np.delete(np.arange(4000), slice(3200, 3210)) * 1e-3
    np.testing.assert_allclose(track.t_s, expected, atol=1e-9)
    assert track.record.invalid.sum() == 4


def test_samples_come_out_in_physical_units(session, known):
    recorded = np.delete(known.counts, slice(3200, 3210), axis=0)
    np.testing.assert_array_equal(
        session.samples["emg/amp"].channel("m2"), (recorded[:, 1] * 2e-6 + 1e-4).astype(np.float32)
    )


def test_a_lost_block_and_an_unheard_message_are_gaps(session):
    lost, unheard = session.gaps
    assert (lost.topic, lost.missing, lost.kind) == ("emg/amp", 10, "lost")
    assert (lost.begin_s, lost.end_s) == (pytest.approx(3.199), pytest.approx(3.21))
    assert (unheard.topic, unheard.missing, unheard.kind, unheard.who) == ("phase", 2, "message", "controller")


def test_phases_follow_one_another(session):
    told = [(p.name, p.kind, p.begin_s, p.end_s) for p in session.phases]
    assert told == [("before", "rest", 0.0, 0.5), ("work", "block", 0.5, 3.0), ("after", "rest", 3.0, 4.0)]


def test_states_of_a_trial_begin_when_the_director_says(session):
    told = [(s.state, s.begin_s, s.end_s) for s in session.trial_spans]
    assert told == [("cue", 0.5, 1.0), ("hold", 1.0, 2.0), ("rest", 2.0, 3.0)]


def test_muscles_are_where_the_controller_heard_them(session):
    assert [(s.muscle, s.channel, s.stimulated_by) for s in session.sites] == [
        ("biceps", "m1", ("c1",)), ("triceps", "m2", ()),
    ]  # fmt: skip
    assert session.stimulated_muscle == "biceps"


def test_a_detected_spasm_lasts_from_its_named_onset_to_its_denial(session):
    first, second = session.muscles["biceps"].spasms
    assert first == (pytest.approx(2.52), pytest.approx(2.83))
    assert second == (pytest.approx(3.5), pytest.approx(3.61))
    (last,) = session.muscles["triceps"].spasms
    assert last == Interval(pytest.approx(3.9), None), "never denied"
    assert last.until(session.end_s) == session.end_s


def test_a_true_spasm_is_one_though_it_is_told_of_twice(session):
    assert session.truth.spasms == {"biceps": (Interval(pytest.approx(2.5), pytest.approx(2.8)),)}


def test_what_was_never_valid_stays_told_apart(session):
    fatigue = session.muscles["biceps"].fatigue
    assert fatigue.last_valid == 0.25, "the invalid 0.9 after it does not count"
    assert fatigue.valid.sum() == 190
    assert fatigue.reasons == {"not enough evidence": 200, "signal lost": 10}
    assert session.muscles["triceps"].fatigue.last_valid is None


def test_currents_are_asked_allowed_acknowledged_and_capped(session):
    track = session.currents["c1"]
    assert track.asked_ma.max() == pytest.approx(12.4)
    assert track.allowed_ma[100] == 10.0
    assert track.allowed_ma[120] == track.acknowledged_ma[120] == 12.0
    assert np.isnan(track.cap_ma[:20]).all(), "no envelope yet"
    assert track.cap_ma[20:] == pytest.approx(20.0)


def test_the_cap_is_the_least_of_all_limits(known, tmp_path):
    """A charge limit of 12 uC at 250 us is 48 mA; at 1 uC it is 4 mA, below the 20 mA of the channel."""
    got = gather(SeekableRecording.open(known.write(tmp_path / "att-1")))
    tight = {**got.envelopes[0], "charge_per_phase_uc": 1.0}
    got.envelopes.append(tight)
    sha256 = parse_envelope(tight).sha256
    got.reports[:] = [msgspec.structs.replace(report, envelope_sha256=sha256) for report in got.reports]
    currents, _, _ = gate_tracks(got, settings_of(got))
    assert currents["c1"].cap_ma == pytest.approx(4.0)


def test_limited_and_rounded_are_told_apart(session):
    gate = session.gate
    assert (gate.reports, gate.limited, gate.rounded) == (400, 20, 80)
    assert gate.rules == {
        "device step": (80, ""), "rise onto new ground": (20, "c1: 10 of 12.4 mA, rise onto new ground"),
    }  # fmt: skip


def test_a_latch_counts_once(session):
    assert session.gate.latches == ((pytest.approx(3.813), "stop (operator)"),)


def test_pulses_are_counted_from_the_ledger_where_there_is_one(session):
    assert session.delivered_basis == "ledger"
    track = session.delivered()["c1"]
    assert len(track) == 20
    assert track.charge_uc == pytest.approx(2.5)
    assert track.trains() == (Interval(pytest.approx(1.015), pytest.approx(1.965)),)


def test_each_leg_of_the_loop_has_its_latency(session):
    legs = session.latencies_ms
    assert len(legs["emg_to_request"]) == 399, "one step had no block"
    assert legs["emg_to_request"] == pytest.approx(1.0)
    assert len(legs["request_to_report"]) == 400
    assert legs["request_to_report"] == pytest.approx(3.0)
    assert legs["verdict_to_pulse"] == pytest.approx([2.0])


def test_nodes_tell_of_their_cycles(session):
    beat = session.beats["controller"]
    assert len(beat.t_s) == 100
    assert beat.worst_ms.max() == 9.0
    assert not session.lockstep


def test_wall_time_is_unknown_under_a_virtual_clock(known, tmp_path):
    assert load(known.write(tmp_path / "a")).wall_start.year == 2023
    virtual = known.write(tmp_path / "b", metadata={**known.METADATA, "wall_start_ns": "0"})
    assert load(virtual).wall_start is None


def test_a_cut_file_is_read_as_far_as_it_goes(known, tmp_path):
    file = known.write(tmp_path / "att-1", end=False) / "session.mcap"
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2 + 7])
    cut = load(file)
    assert not cut.complete
    assert cut.outcome == ""
    assert 1.0 < cut.end_s < 3.0
    assert len(cut.samples["emg/amp"].t_s) > 1000
    assert cut.truth.spasms == {} or cut.truth.spasms["biceps"][0].begin_s == pytest.approx(2.5)


def test_a_file_cut_within_its_first_records_is_no_session(known, tmp_path):
    file = known.write(tmp_path / "att-1", end=False) / "session.mcap"
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(RecordingError, match="stops before it says which session it is"):
        load(file)


def test_commands_that_were_recorded_in_another_order_are_not_missing():
    def command(number):
        message = Command(t_ns=0, id=str(number), kind="begin", target="node")
        return Received("command", "supervisor", 1, number, message)

    got = Gathered()
    for number in (2, 0, 1, 5, 3):
        got.take(command(number), 0)
    assert got.missing == {"command": 1}


def test_a_damaged_file_is_refused(known, tmp_path):
    file = known.write(tmp_path / "att-1") / "session.mcap"
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(DamagedRecording):
        load(file)


def test_a_folder_without_a_recording_is_refused(tmp_path):
    with pytest.raises(RecordingError, match="a folder without"):
        load(tmp_path)


def test_a_session_of_the_real_loop_is_read_whole(lockstep_attempt):
    played = load(lockstep_attempt)
    assert played.outcome == "complete"
    assert played.lockstep
    assert played.wall_start is None
    assert [p.name for p in played.phases] == ["baseline", "trains"]
    track = played.currents["ext"]
    assert track.asked_ma.max() == pytest.approx(14.0)
    assert (track.allowed_ma <= np.fmin(track.asked_ma, track.cap_ma) + 1e-9).all()
    assert len(played.delivered()["ext"].trains()) == 2
    assert len(played.trials) == 2
    assert played.stimulated_muscle == "ext"
    assert all(len(values) for values in played.latencies_ms.values())
