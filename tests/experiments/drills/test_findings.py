"""A drill is judged by the device's own ledger: when the last pulse fell, and whether any was over the envelope."""

from __future__ import annotations

import pytest

from myoloop.experiments.drills.devices import DEVICES
from myoloop.experiments.drills.faults import Drill
from myoloop.experiments.drills.findings import Finding, LedgerPulse, judge, table

STRUCK_NS = 10_000_000_000
WATCHED_NS = STRUCK_NS + 1_200_000_000
PERIOD_NS = 28_571_429
SIMULATED = DEVICES["simulated"]
ENVELOPE = {
    "channels": [{"channel": "ext", "current_max_ma": 20.0, "output": 0}],
    "phase_us": [100.0, 400.0],
    "rate_hz": [2.0, 80.0],
    "charge_per_phase_uc": 8.0,
}


def train(until_ms: float, **changes) -> list[LedgerPulse]:
    count = int((1_000 + until_ms) * 1e6) // PERIOD_NS
    begin_ns = STRUCK_NS - 1_000_000_000
    values = {"output": 0, "current_ma": 14.0, "width_us": 250.0, **changes}
    return [LedgerPulse(t_ns=begin_ns + number * PERIOD_NS, **values) for number in range(count + 1)]


def judged(pulses, expects="zero", told="lease") -> Finding:
    drill = Drill("some-fault", "process", "something fails", "kill", "controller", expects=expects)
    return judge(SIMULATED, drill, pulses, ENVELOPE, told, STRUCK_NS, WATCHED_NS)


def test_time_runs_from_the_fault_to_the_last_pulse():
    found = judged(train(300.0))
    assert 300.0 - 29.0 <= found.last_pulse_ms <= 300.0
    assert (found.passed, found.goes_on, found.limit_ms) == (True, False, 450.0)


def test_the_devices_own_bound_comes_on_top_and_no_more():
    assert judged(train(449.0)).passed
    late = judged(train(480.0))
    assert not late.passed
    assert "allowed is 450" in late.wrong[0]


def test_no_pulse_after_the_fault_is_the_best_there_is():
    assert judged(train(0.0)[:-2]).last_pulse_ms == 0.0


def test_a_train_that_ends_for_no_reason_told_fails():
    assert judged(train(100.0), told="").wrong == ("no reason is told",)


def test_a_fault_that_must_stop_nothing_fails_where_it_stops_something():
    assert judged(train(1_200.0), "goes on", "").passed
    assert "must not" in judged(train(300.0), "goes on").wrong[0]


def test_where_both_are_right_a_train_may_go_on_or_end_in_time_but_not_late():
    assert judged(train(1_200.0), "either").passed
    assert judged(train(100.0), "either").passed
    assert not judged(train(700.0), "either").passed


def test_what_software_cannot_end_must_be_told():
    assert judged(train(1_200.0), "told", "the device goes on").passed
    assert not judged(train(1_200.0), "told", "").passed


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"current_ma": 20.5}, "20.5 mA"),
        ({"width_us": 401.0}, "401 us"),
        ({"width_us": 400.0, "current_ma": 20.0 + 1e-9}, "allowed is 20"),
        ({"output": 1}, "allowed is 0"),
    ],
)
def test_one_pulse_over_the_envelope_fails_any_drill(changes, what):
    pulses = train(100.0)
    bad = LedgerPulse(**{"t_ns": pulses[3].t_ns, "output": 0, "current_ma": 14.0, "width_us": 250.0, **changes})
    for expects in ("zero", "either", "told"):
        found = judged([*pulses[:3], bad, *pulses[4:]], expects)
        assert not found.passed
        assert what in found.wrong[0]


def test_charge_and_rate_count_too():
    assert "uC" in judged(train(100.0, current_ma=20.0, width_us=401.0)).wrong[1]
    pulses = train(100.0)
    twice = pulses[5].__class__(t_ns=pulses[5].t_ns + 1_000_000, output=0, current_ma=14.0, width_us=250.0)
    assert "1.0 ms apart" in judged([*pulses[:6], twice, *pulses[6:]]).wrong[0]


def test_a_session_that_never_came_to_its_fault_has_failed():
    drill = Drill("some-fault", "process", "something fails", "kill", "controller")
    found = Finding.broken(SIMULATED, drill, "did not come up")
    assert (found.passed, found.last_pulse_ms, found.wrong) == (False, None, ("did not come up",))


def test_a_fault_in_which_no_current_flowed_shows_nothing():
    found = judged(train(-200.0))
    assert (found.passed, found.wrong) == (False, ("no current flowed when it failed",))
    assert found.last_pulse_ms is None


def test_the_table_names_bound_failures_and_count():
    text = table([judged(train(100.0)), judged(train(600.0))])
    assert "simulated: 200 ms of the limit are its lease of 200 ms" in text
    assert "simulated some-fault: current flowed for" in text
    assert text.endswith("1 of 2 passed")
