"""Rule 5: current flows on the gate's own evidence only, each piece of it young enough."""

from __future__ import annotations

from dataclasses import replace

import pytest

from myoloop.stimulators.gate import VitalSign
from myoloop.stimulators.gate.evidence import stale_input

MS = 1_000_000


@pytest.mark.parametrize(("sensor_age_ms", "age_ms", "flows"), [
    (100.0, 100.0, True),
    (100.0, 100.000001, False),
    (30.0, 30.0, True),
    (30.0, 30.000001, False),
    (100.0, -100.0, True),
    (100.0, -100.000001, False),
])  # fmt: skip
def test_a_good_block_may_be_as_old_as_the_envelope_says(new_gate, envelope, wish, sensor_age_ms, age_ms, flows):
    bench = new_gate(replace(envelope, sensor_age_ms=sensor_age_ms)).to_stimulating()
    bench.frozen["vital/emg"] = bench.now_ns + 10 * MS - round(age_ms * MS)
    assert bool(bench.step(wish(5.0)).allowed) == flows


@pytest.mark.parametrize(
    ("age_ms", "flows"), [(300.0, True), (300.000001, False), (-300.0, True), (-300.000001, False)]
)
def test_a_phase_may_be_300_ms_old(bench, wish, age_ms, flows):
    bench.to_stimulating()
    bench.frozen["phase"] = bench.now_ns + 10 * MS - round(age_ms * MS)
    assert bool(bench.step(wish(5.0)).allowed) == flows


def test_every_stream_that_the_envelope_requires_counts(new_gate, envelope, wish):
    topics = ("vital/emg", "vital/imu", "vital/force")
    bench = new_gate(replace(envelope, required_vitals=topics)).to_stimulating()
    for topic in topics:
        bench.missing = {topic}
        verdict = bench.step(wish(5.0))
        assert (verdict.rule, verdict.reasons) == ("stale samples", (f"{topic}: no good block yet",))
        bench.missing = set()
    assert bench.step(wish(5.0)).rule != "stale samples"


def test_a_stream_never_heard_of_counts_as_stale(new_gate, envelope, wish):
    bench = new_gate()
    heard = replace(bench.evidence(), vitals={"vital/imu": VitalSign(bench.now_ns, True)})
    assert stale_input(heard, envelope, bench.now_ns) == ("stale samples", "vital/emg: no good block yet")


def test_a_stream_not_required_does_not_count(bench, wish):
    bench.to_stimulating()
    bench.missing = {"vital/imu"}
    assert bench.step(wish(5.0)).allowed


def test_a_stream_that_is_not_at_its_rate_is_stale(bench, wish):
    bench.to_stimulating()
    bench.at_rate = False
    verdict = bench.step(wish(5.0))
    assert (verdict.rule, verdict.reasons) == ("stale samples", ("vital/emg: not at its rate",))


def test_no_phase_yet_is_stale(bench, wish):
    bench.to_stimulating()
    bench.missing = {"phase"}
    verdict = bench.step(wish(5.0))
    assert (verdict.rule, verdict.reasons) == ("stale phase", ("no phase heard yet",))


def test_nothing_asked_is_nothing_limited(bench, wish):
    bench.to_armed()
    bench.missing = {"vital/emg"}
    assert bench.step(wish(0.0)).rule == ""
