"""Rule 2: what ends current, and how fast. Rule 3's lapse and rule 5's staleness are timed here too."""

from __future__ import annotations

from dataclasses import replace

import pytest

from myoloop.stimulators import gate

MS = 1_000_000


def judged_bytes(bench, more_ma=0.0):
    """What the gate says of bytes for what it has allowed, or for more than that."""
    allowed = bench.verdict.allowed
    decoded = [gate.WireOutput(0, s.current_ma + more_ma, s.phase_us, s.rate_hz, 0) for s in allowed]
    state = bench.state
    return gate.disagreement(allowed, decoded, state.envelope, bench.settings.device, state.calibrating)


def lasting_current_ms(bench, wish, ma=5.0):
    """How long current goes on with a controller that keeps asking, in cycles of 10 ms."""
    for cycle in range(100):
        if not bench.step(wish(ma)).allowed:
            return cycle * 10
    raise AssertionError("current never ended")


@pytest.mark.parametrize("peer", ["controller", "emg", "recorder", "director", "supervisor"])
class TestDeadPeer:
    def test_is_a_fault_after_150_ms_of_silence(self, bench, wish, peer):
        bench.to_stimulating()
        bench.frozen[peer] = bench.now_ns
        for _ in range(15):
            assert bench.step(wish(5.0)).allowed
        verdict = bench.step(wish(5.0), after_ms=0.000001)
        assert not verdict.allowed
        assert verdict.stop
        assert bench.name == "FAULT"
        assert bench.state.latch.cause == f"dead peer: {peer}: silent for 150 ms"

    def test_is_a_fault_at_once_if_it_says_that_it_has_ended(self, bench, wish, peer):
        bench.to_stimulating()
        bench.ended = {peer}
        assert not bench.step(wish(5.0)).allowed
        assert bench.state.latch.cause == f"dead peer: {peer}: has ended"

    def test_is_a_fault_if_never_heard(self, bench, wish, peer):
        bench.to_stimulating()
        bench.missing = {peer}
        assert not bench.step(wish(5.0)).allowed
        assert bench.state.latch.cause == f"dead peer: {peer}: never heard"

    def test_is_a_fault_if_its_stamps_are_from_the_future(self, bench, wish, peer):
        bench.to_stimulating()
        bench.frozen[peer] = bench.now_ns + 10 * MS + 150 * MS
        assert bench.step(wish(5.0)).allowed
        bench.frozen[peer] = bench.now_ns + 10 * MS + 150 * MS + 1
        assert not bench.step(wish(5.0)).allowed
        assert bench.name == "FAULT"

    def test_ends_a_pause_ramp_without_a_ramp(self, bench, wish, peer):
        bench.to_stimulating(10.0)
        bench.do("pause")
        assert bench.verdict.allowed
        bench.missing = {peer}
        assert not bench.step().allowed
        assert bench.name == "FAULT"

    def test_keeps_from_arming(self, bench, peer):
        bench.to_ready()
        bench.missing = {peer}
        reply = bench.arm()
        assert not reply.ok
        assert reply.reason == f"{peer}: never heard"
        assert bench.name == "READY"


def test_who_is_not_watched_may_die(new_gate, wish):
    bench = new_gate(watched=("controller",)).to_stimulating()
    bench.missing = {"console", "recorder"}
    assert bench.step(wish(5.0)).allowed


@pytest.mark.parametrize(
    ("wrong", "cause"),
    [
        ({"connected": False}, "device lost"),
        ({"device_faults": ("lead open", "hot")}, "device: lead open; hot"),
        ({"device_faults": ("",)}, "device: "),
        ({"node_faults": ("ledger: full", "bytes")}, "node: ledger: full; bytes"),
        ({"node_faults": ("",)}, "node: "),
        ({"slept_ns": 50 * MS + 1}, "clock: the host slept for 50 ms"),
        ({"slept_ns": -50 * MS - 1}, "clock: the host slept for -50 ms"),
    ],
)
@pytest.mark.parametrize("name", ["calibrating", "armed", "stimulating", "ramp"])
def test_a_fault_is_zero_in_the_same_step_and_latches(bench, wish, wrong, cause, name):
    if name == "ramp":
        bench.to_stimulating(10.0).do("pause")
    else:
        getattr(bench, f"to_{name}")()
    for attribute, value in wrong.items():
        setattr(bench, attribute, value)
    verdict = bench.step(wish(5.0))
    assert (bench.name, bench.state.latch.cause) == ("FAULT", cause)
    assert verdict.stop
    assert not verdict.allowed
    assert not verdict.write


def test_a_gain_of_50_ms_of_boot_time_is_no_sleep_yet(bench, wish):
    bench.to_stimulating()
    for slept_ns in (50 * MS, -50 * MS):
        bench.slept_ns = slept_ns
        assert bench.step(wish(5.0)).allowed


def test_no_acknowledgement_for_more_than_250_ms_is_a_fault(bench, wish):
    bench.to_stimulating()
    bench.unacknowledged_ns = bench.now_ns
    for _ in range(25):
        assert bench.step(wish(5.0)).allowed
    assert not bench.step(wish(5.0), after_ms=0.000001).allowed
    assert bench.state.latch.cause == "device: no acknowledgement for 250 ms"


def test_two_cycles_further_apart_than_100_ms_are_a_fault(bench, wish):
    bench.to_stimulating()
    assert bench.step(wish(5.0), after_ms=100.0).allowed
    assert not bench.step(wish(5.0), after_ms=100.000001).allowed
    assert bench.state.latch.cause == "clock: 100 ms between two cycles"


def test_time_that_goes_back_is_a_fault(bench, wish):
    bench.to_stimulating()
    assert bench.step(wish(5.0), after_ms=0.0).allowed
    assert not bench.step(wish(5.0), after_ms=-1.5).allowed
    assert bench.state.latch.cause == "clock: went back by 1.5 ms"


class TestBeforeAnythingCanFlow:
    """A fault latches from CONNECTED upwards; what only concerns arming waits for the arming."""

    def test_a_faulty_device_latches_in_connected(self, bench):
        """It may be giving current that nobody asked for: stop bytes are due."""
        bench.to_connected()
        bench.device_faults = ("current without a command",)
        assert bench.step().stop
        assert bench.name == "FAULT"

    @pytest.mark.parametrize("wrong", [{"node_faults": ("ledger",)}, {"slept_ns": 10**9}])
    def test_what_is_wrong_with_the_host_latches_in_ready_only(self, new_gate, wrong):
        for way, name in (("to_connected", "CONNECTED"), ("to_ready", "FAULT")):
            bench = getattr(new_gate(), way)()
            for attribute, value in wrong.items():
                setattr(bench, attribute, value)
            assert bench.step().stop == (name == "FAULT")
            assert bench.name == name

    def test_a_clock_jump_latches_in_ready_only(self, new_gate):
        for way, name in (("to_connected", "CONNECTED"), ("to_ready", "FAULT")):
            bench = getattr(new_gate(), way)()
            bench.step(after_ms=500.0)
            assert bench.name == name

    def test_dead_peers_do_not_latch(self, bench):
        bench.to_ready()
        bench.missing = {"controller"}
        bench.step()
        assert bench.name == "READY"

    @pytest.mark.parametrize("way", ["to_connected", "to_ready"])
    def test_a_lost_device_is_disconnected_without_a_latch(self, bench, way):
        getattr(bench, way)()
        bench.connected = False
        bench.node_faults = ("ledger",)
        bench.step()
        assert bench.name == "DISCONNECTED"
        bench.connected, bench.node_faults = True, ()
        bench.step()
        assert bench.name == "CONNECTED"


class TestWithin50Milliseconds:
    def test_of_a_lapsed_lease(self, bench, wish):
        bench.to_stimulating()
        bench.step(wish(5.0, age_ms=0.0, lease_ms=120))
        held = bench.hold(None, 110)
        assert all(verdict.allowed for verdict in held)
        verdict = bench.step()
        assert not verdict.allowed
        assert (verdict.rule, verdict.reasons) == ("lease", ("lapsed 0 ms ago",))
        assert verdict.write, "the device is told at once"
        assert bench.name == "ARMED"

    def test_of_stale_samples(self, bench, wish):
        bench.to_stimulating()
        bench.frozen["vital/emg"] = bench.now_ns
        assert lasting_current_ms(bench, wish) == 100
        assert bench.verdict.rule == "stale samples"
        assert bench.verdict.reasons == ("vital/emg: last good block 110 ms ago",)
        assert bench.name == "ARMED", "no latch: current comes back when samples do"
        bench.healthy()
        bench.hold(wish(5.0), 200)
        assert bench.ma() == 5.0

    def test_of_a_stale_phase(self, bench, wish):
        bench.to_stimulating()
        bench.frozen["phase"] = bench.now_ns
        assert lasting_current_ms(bench, wish) == 300
        assert bench.verdict.rule == "stale phase"
        assert bench.verdict.reasons == ("phase is 310 ms old",)

    def test_of_a_protocol_that_does_not_run(self, bench, wish):
        bench.to_stimulating()
        bench.phase_running = False
        assert lasting_current_ms(bench, wish) == 0
        assert (bench.verdict.rule, bench.verdict.reasons) == ("phase", ("the protocol does not run",))


class TestPause:
    """A planned end ramps."""

    def test_goes_down_the_envelopes_ramp_and_ends_in_ready(self, bench, wish):
        bench.to_stimulating(10.0)
        assert bench.do("pause", "director").ok
        assert (bench.name, bench.ma()) == ("READY", 10.0)
        down = []
        while bench.verdict.allowed:
            assert (bench.verdict.rule, bench.verdict.reasons) == ("pause", ("paused: ramping down",))
            down.append(bench.ma())
            bench.step()
        # 10 mA in 0.5 s, in cycles of 10 ms and steps of 0.5 mA, rounded down
        assert len(down) == 48
        for cycle, ma in enumerate(down):
            straight = 10.0 * (1.0 - cycle / 50.0)
            assert straight - 0.5 - 1e-9 <= ma <= straight + 1e-9
        assert bench.state.ramp is None
        assert bench.state.arming is None

    def test_at_once_is_without_a_ramp(self, bench, wish):
        bench.to_stimulating(10.0)
        assert bench.do("pause", "director", at_once=True).ok
        assert (bench.name, bench.ma(), bench.state.ramp, bench.state.arming) == ("READY", 0.0, None, None)

    @pytest.mark.parametrize("said", [True, 1, "yes", None])
    def test_at_once_cuts_a_ramp_short_whatever_is_said_but_no(self, bench, wish, said):
        bench.to_stimulating(10.0)
        bench.do("pause", "director", at_once=False)
        assert bench.ma() > 0.0
        assert bench.do("pause", "director", at_once=said).ok
        assert bench.ma() == 0.0

    def test_is_a_ramp_whatever_is_still_asked(self, new_gate, wish):
        quiet, asked = new_gate().to_stimulating(10.0), new_gate().to_stimulating(10.0)
        quiet.do("pause")
        asked.do("pause")
        for _ in range(60):
            assert quiet.step().allowed == asked.step(wish(3.0)).allowed

    def test_keeps_width_and_rate(self, bench, wish):
        bench.to_stimulating(10.0, phase_us=200.0, rate_hz=35.0)
        bench.do("pause")
        (setting,) = bench.step().allowed
        assert (setting.channel, setting.phase_us, setting.rate_hz) == ("left", 200.0, 35.0)

    def test_lets_nothing_rise_or_come_back(self, bench, wish):
        bench.to_stimulating(10.0)
        arm_id = bench.arm_id
        bench.do("pause")
        before = bench.ma()
        for _ in range(60):
            verdict = bench.step(wish(20.0, arm_id=arm_id))
            assert bench.ma() <= before
            before = bench.ma()
            assert verdict.requested, "what was asked is still said"
        assert before == 0.0

    def test_is_not_held_up_by_a_protocol_that_does_not_run(self, bench):
        bench.to_stimulating(10.0)
        bench.do("pause")
        bench.phase_running = False
        assert bench.step().allowed

    @pytest.mark.parametrize("stale", ["vital/emg", "phase"])
    def test_ends_at_once_when_evidence_is_stale(self, bench, stale):
        bench.to_stimulating(10.0)
        bench.do("pause")
        bench.missing = {stale}
        assert not bench.step().allowed
        bench.healthy()
        assert not bench.step().allowed, "and does not come back"

    def test_at_zero_current_needs_no_ramp(self, bench):
        bench.to_armed()
        assert bench.do("pause").ok
        assert (bench.name, bench.state.ramp) == ("READY", None)
        assert bench.arm().ok

    def test_ends_the_lease_so_that_nothing_is_asked_for_any_more(self, bench):
        bench.to_stimulating(5.0)
        bench.do("pause")
        assert bench.verdict.requested == ()
        bench.hold(None, 1000)
        assert (bench.verdict.requested, bench.verdict.rule) == ((), "")

    def test_with_nothing_to_pause_is_no_mistake(self, bench):
        bench.to_ready()
        reply = bench.do("pause")
        assert (reply.ok, reply.reason) == (True, "nothing to pause in READY")

    def test_of_calibration_ramps_too(self, bench, wish):
        bench.to_calibrating()
        bench.do("step", channel="left", current_ma=1.0)
        bench.hold(wish(1.0), 50)
        assert bench.ma() == 1.0
        bench.do("pause")
        assert (bench.name, bench.ma()) == ("READY", 1.0)
        assert bench.state.arming is None
        bench.hold(None, 500)
        assert bench.ma() == 0.0

    def test_of_calibration_above_the_channels_own_limit_ramps_within_the_calibrations_ceiling(
        self, new_gate, envelope, wish
    ):
        channels = (gate.ChannelLimits("left", 0, 25.0, 10.0),)
        bench = new_gate(replace(envelope, channels=channels, new_ground_ma_per_s=20.0)).to_calibrating()
        for level_ma in range(1, 19):
            assert bench.do("step", channel="left", current_ma=float(level_ma)).ok
            bench.hold(wish(0.0), 100)
            bench.hold(wish(float(level_ma)), 250)
        assert bench.ma() == 18.0
        bench.do("pause")
        allowed = []
        while bench.state.ramp is not None:
            assert "at most" in judged_bytes(bench, more_ma=0.5)
            assert judged_bytes(bench) == ""
            allowed.append(bench.ma())
            bench.step(wish(18.0))
        assert allowed == sorted(allowed, reverse=True)
        assert (allowed[0], allowed[-1], len(allowed)) == (18.0, 0.5, 49)
        assert (bench.name, bench.ma(), bench.state.calibrating) == ("READY", 0.0, False)

    def test_of_a_train_is_not_judged_as_a_calibration(self, bench):
        bench.to_stimulating(10.0).do("pause")
        assert bench.state.ramp is not None
        assert not bench.state.calibrating

    def test_nothing_is_armed_before_the_ramp_is_over(self, bench):
        bench.to_stimulating(10.0)
        bench.do("pause")
        reply = bench.arm()
        assert not reply.ok
        assert reply.reason == "arming is from READY at zero current, this is READY"
        bench.hold(None, 500)
        assert bench.arm().ok

    def test_a_resume_needs_a_new_arming_and_a_zero_request(self, bench, wish):
        bench.to_stimulating(5.0)
        old = bench.arm_id
        bench.do("pause")
        bench.hold(None, 500)
        assert bench.step(wish(5.0, arm_id=old)).rule == "not armed"
        bench.arm()
        assert bench.step(wish(5.0, arm_id=old)).rule == "arm id"
        assert bench.step(wish(5.0)).rule == "first request"
        bench.step(wish(0.0))
        bench.hold(wish(5.0), 200)
        assert bench.ma() == 5.0, "ground stays known over a pause"
