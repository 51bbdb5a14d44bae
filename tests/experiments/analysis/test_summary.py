"""A session in one dict: the contract of `demo --json`."""

from __future__ import annotations

import dataclasses
import json

import msgspec
import pytest
from mcap.opcode import Opcode

from myoloop.experiments.analysis.session import load
from myoloop.experiments.analysis.summary import summarise
from myoloop.platform.recording.scan import Scan

#: What issue 2 promises; `session` and `report` are the command line's to add.
PROMISED = {
    "samples", "gaps", "requests", "delivered_pulses", "spasms_true", "spasms_detected", "spasm_f1",
    "fatigue_true_end", "fatigue_estimated_end", "gate_limited", "stops",
}  # fmt: skip


@pytest.fixture(scope="module")
def summary(known_attempt):
    return summarise(load(known_attempt))


def test_it_has_what_was_promised_and_is_json(summary):
    assert set(summary) >= PROMISED
    assert json.loads(json.dumps(summary)) == summary


def test_it_counts(summary):
    assert summary["samples"] == 3990
    assert summary["gaps"] == 2
    assert summary["requests"] == 400
    assert summary["delivered_pulses"] == 20
    assert summary["gate_limited"] == 20
    assert summary["stops"] == 1
    assert (summary["trials"], summary["trials_done"]) == (1, 1)


def test_it_scores_spasms_onset_by_onset(summary):
    # Of three detections one is the true one and one is too near the end: 2 / (2 + 1 false + 0 missed).
    assert (summary["spasms_true"], summary["spasms_detected"]) == (1, 2)
    assert summary["spasm_f1"] == 0.6667


def test_it_compares_fatigue_at_the_end(summary):
    assert summary["fatigue_muscle"] == "biceps"
    assert summary["fatigue_true_end"] == pytest.approx(0.3)
    assert summary["fatigue_estimated_end"] == 0.25


def test_it_says_how_the_session_ended(summary):
    assert (summary["outcome"], summary["reason"], summary["complete"]) == ("stopped", "stop (operator)", True)
    assert summary["simulated"] is True
    assert summary["duration_s"] == pytest.approx(4.003)


def test_it_tells_latencies_and_cycles(summary):
    assert summary["latency_ms"]["request_to_report"] == {
        "n": 400, "p50_ms": 3.0, "p99_ms": 3.0, "p999_ms": 3.0, "worst_ms": 3.0,
    }  # fmt: skip
    assert summary["cycle_ms"]["controller"]["p50_ms"] == 1.0


def test_what_is_not_known_is_none(known, tmp_path):
    file = known.write(tmp_path / "att-1", end=False) / "session.mcap"
    with file.open("rb") as stream:
        records = Scan(stream, file.stat().st_size).records()
        first = next(record.offset for record in records if record.opcode == Opcode.CHANNEL)
    file.write_bytes(file.read_bytes()[:first])
    summary = summarise(load(file))
    assert summary["spasm_f1"] is None
    assert summary["spasms_true"] is None
    assert summary["fatigue_true_end"] is None
    assert summary["fatigue_estimated_end"] is None
    assert summary["latency_ms"]["emg_to_request"] == {
        "n": 0, "p50_ms": None, "p99_ms": None, "p999_ms": None, "worst_ms": None,
    }  # fmt: skip


def test_a_train_that_carried_no_current_is_not_done(known_attempt):
    session = load(known_attempt)
    trial = msgspec.structs.replace(session.trials[0], outcome="assisted", values={"charge_mc": 0.0})
    told = summarise(dataclasses.replace(session, trials=(trial,)))
    assert (told["trials"], told["trials_done"]) == (1, 0)


def test_a_record_that_names_no_protocol_has_no_outcomes_and_says_so(summary):
    assert summary["outcomes"] == summary["outcomes_entered"] == []
    assert summary["outcomes_are"] == "effects planted in the virtual subject"
    assert "does not say which protocol was played" in summary["outcomes_missing"]
