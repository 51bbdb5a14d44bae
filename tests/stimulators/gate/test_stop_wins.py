"""Rule 1: a stop is obeyed in its own step, in every state, before and above everything else, and latches."""

from __future__ import annotations

import pytest

STATES = ["disconnected", "connected", "ready", "calibrating", "armed", "stimulating", "fault", "stopped"]


def in_state(bench, name):
    if name == "disconnected":
        bench.connected = False
        bench.step()
        return bench
    return getattr(bench, f"to_{name}")()


@pytest.mark.parametrize("name", STATES)
def test_stop_is_obeyed_in_its_own_step_from_every_state(bench, wish, name):
    in_state(bench, name)
    verdict = bench.step(wish(20.0), stops=["pedal"])
    assert bench.name == "STOPPED"
    assert verdict.stop
    assert not verdict.allowed
    assert not verdict.write
    assert bench.state.latch.cause == "stop: pedal"
    assert (bench.state.arming, bench.state.lease, bench.state.ramp) == (None, None, None)


def test_stop_leaves_no_lease_behind(bench):
    bench.to_stimulating()
    bench.step(stops=["pedal"])
    assert bench.state.lease is None


def test_all_who_stopped_are_named(bench):
    bench.to_stimulating()
    bench.step(stops=["pedal", "console"])
    assert bench.state.latch.cause == "stop: pedal; console"


@pytest.mark.parametrize("why", [[""], ["", ""]])
def test_a_stop_without_a_word_is_a_stop(bench, why):
    bench.to_stimulating()
    assert not bench.step(stops=why).allowed
    assert bench.name == "STOPPED"


def test_stop_comes_before_acts_and_request_of_the_same_step(bench, wish):
    bench.to_ready()
    arm = bench.act("arm", mode="normal", session="ses-01", envelope_sha256=bench.envelope.sha256)
    verdict = bench.step(wish(0.0, arm_id=arm.nonce), acts=[arm], stops=["pedal"])
    assert not verdict.replies[0].ok
    assert bench.name == "STOPPED"
    assert verdict.rule == "latched"
    assert verdict.reasons == ("latched: stop: pedal",)


def test_stop_ends_a_pause_ramp_at_once(bench, wish):
    bench.to_stimulating(10.0)
    bench.do("pause")
    assert bench.verdict.allowed
    assert not bench.step(stops=["pedal"]).allowed
    assert not bench.step().allowed


@pytest.mark.parametrize(
    "wrong",
    [
        {"now_ns": -5_000_000_000},
        {"connected": False},
        {"device_faults": ("lead open",)},
        {"node_faults": ("ledger",)},
        {"slept_ns": 10**12},
        {"missing": {"controller", "phase", "vital/emg"}},
    ],
)
def test_stop_is_obeyed_whatever_else_is_wrong(bench, wish, wrong):
    bench.to_stimulating()
    for name, value in wrong.items():
        setattr(bench, name, value)
    assert bench.step(wish(5.0), stops=["pedal"]).stop
    assert bench.name == "STOPPED"


def test_stop_bytes_go_out_in_three_cycles_in_a_row(bench):
    bench.to_stimulating()
    assert [bench.step(stops=stops).stop for stops in (["pedal"], [], [], [], [])] == [True, True, True, False, False]


def test_stop_bytes_go_on_while_the_device_says_that_it_gives_current(bench):
    """Three lost writes must not be the end of it."""
    bench.to_stimulating()
    bench.acknowledged_zero = False
    bench.step(stops=["pedal"])
    sent = [bench.step().stop for _ in range(22)]
    # Twice more at once, then every 50 ms.
    assert sent == [True, True] + [False, False, False, False, True] * 4
    bench.connected = False
    assert not any(bench.step().stop for _ in range(10)), "nobody to send it to"
    bench.connected, bench.acknowledged_zero = True, True
    assert not any(bench.step().stop for _ in range(10)), "heard"


def test_nothing_but_stop_bytes_is_sent_while_latched(bench):
    bench.to_stimulating()
    bench.step(stops=["pedal"])
    assert not any(bench.step().write for _ in range(30))


def test_a_second_stop_starts_the_lockout_again(bench):
    bench.to_stopped().wait(9.0)
    bench.step(stops=["pedal"])
    bench.wait(9.0)
    assert not bench.do("acknowledge").ok
    bench.wait(1.0)
    assert bench.do("acknowledge").ok


def test_a_stop_in_fault_is_a_stop(bench):
    bench.to_fault()
    bench.step(stops=["console"])
    assert (bench.name, bench.state.latch.cause) == ("STOPPED", "stop: console")


def test_stop_forgets_the_known_ground(bench):
    bench.to_stimulating(10.0)
    assert bench.state.ground
    bench.step(stops=["pedal"])
    assert not bench.state.ground
    bench.step()
    assert not bench.state.ground


def test_what_flowed_until_the_stop_is_in_the_dose(bench):
    bench.to_stimulating(10.0)
    before = bench.state.dose
    bench.step(stops=["pedal"])
    assert bench.state.dose.on_s == pytest.approx(before.on_s + 0.01)
    booked = bench.state.dose
    bench.step()
    assert bench.state.dose == booked
