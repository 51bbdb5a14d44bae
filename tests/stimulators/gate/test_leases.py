"""Rule 3: a request is good for a short while from its own stamp; the device is kept alive by healthy cycles only."""

from __future__ import annotations

import pytest

MS = 1_000_000


@pytest.mark.parametrize(("lease_ms", "taken"), [(-1, False), (0, False), (1, True), (120, True), (121, False)])
def test_a_lease_is_1_to_120_ms(bench, wish, lease_ms, taken):
    bench.to_stimulating()
    verdict = bench.step(wish(5.0, lease_ms=lease_ms, age_ms=0.0))
    assert bool(verdict.allowed) == taken
    if not taken:
        assert verdict.rule == "lease"
        assert verdict.reasons == (f"lease: {lease_ms} ms, allowed is 1 to 120",)


def test_a_lease_of_no_number_is_refused(bench, wish):
    bench.to_stimulating()
    assert not bench.step(wish(5.0, lease_ms=float("nan"))).allowed


@pytest.mark.parametrize(("age_ms", "taken"), [(0.0, True), (50.0, True), (50.000001, False), (60.0, False)])
def test_a_request_is_at_most_50_ms_old_on_arrival(bench, wish, age_ms, taken):
    bench.to_stimulating()
    bench.hold(None, 70)
    verdict = bench.step(wish(5.0, age_ms=age_ms))
    assert bool(verdict.allowed) == taken
    if not taken:
        assert verdict.rule == "request age"
        assert verdict.reasons == (f"request age: {age_ms:.0f} ms on arrival, at most 50",)


@pytest.mark.parametrize(("ahead_ms", "taken"), [(5.0, True), (5.000001, False), (1000.0, False)])
def test_a_request_from_the_future_is_refused(bench, wish, ahead_ms, taken):
    bench.to_stimulating()
    verdict = bench.step(wish(5.0, age_ms=-ahead_ms))
    assert bool(verdict.allowed) == taken
    if not taken:
        assert verdict.reasons == (f"request age: from {ahead_ms:.0f} ms in the future",)


def test_a_lease_runs_from_the_requests_own_stamp(bench, wish):
    bench.to_stimulating().hold(None, 50)
    bench.step(wish(5.0, age_ms=40.0, lease_ms=50))
    assert bench.ma() == 5.0
    assert bench.step(after_ms=9.999999).allowed
    assert not bench.step(after_ms=0.000001).allowed


class TestOlderRequests:
    def test_do_not_overtake_newer_ones(self, bench, wish):
        bench.to_stimulating()
        bench.step(wish(5.0, age_ms=0.0))
        verdict = bench.step(wish(5.0, age_ms=10.000001))
        assert not verdict.allowed
        assert verdict.reasons == ("request age: older than the one before it",)

    def test_of_the_same_stamp_are_the_same_request(self, bench, wish):
        bench.to_stimulating()
        bench.step(wish(5.0, age_ms=0.0))
        assert bench.step(wish(5.0, age_ms=10.0)).allowed

    def test_do_not_come_back_after_a_refusal(self, bench, wish):
        """A late copy, refused, must not open the door to its next copy."""
        bench.to_stimulating()
        late = wish(5.0, age_ms=0.0)(bench.now_ns + 10 * MS, bench.arm_id)
        bench.step(late)
        bench.step(wish(0.0, age_ms=0.0))
        for _ in range(4):
            assert not bench.step(late).allowed

    def test_do_not_pass_by_a_newer_one_that_was_refused(self, bench, wish):
        bench.to_stimulating()
        older = wish(5.0, age_ms=0.0)(bench.now_ns + 10 * MS, bench.arm_id)
        assert bench.step(wish(5.0, age_ms=-1.0, phase_us=5000.0)).rule == "range"
        assert bench.step(older).reasons == ("request age: older than the one before it",)

    def test_are_not_told_by_a_stamp_from_the_far_future(self, bench, wish):
        bench.to_stimulating()
        assert not bench.step(wish(5.0, age_ms=-60_000.0)).allowed
        assert bench.step(wish(5.0)).allowed

    def test_are_not_told_by_somebody_elses(self, bench, wish):
        bench.to_stimulating()
        bench.step(wish(5.0, age_ms=-4.0, arm_id="guess"))
        assert bench.step(wish(5.0, age_ms=8.0)).allowed

    def test_before_the_arming_are_not_told(self, bench, wish):
        bench.to_ready()
        bench.step(wish(5.0, age_ms=-4.0))
        bench.arm()
        assert bench.step(wish(0.0, age_ms=30.0)).rule == ""
        assert bench.state.arming.zero_seen


def test_a_refused_request_ends_the_lease_before_it(bench, wish):
    bench.to_stimulating()
    assert not bench.step(wish(5.0, phase_us=5000.0)).allowed
    assert not bench.step().allowed
    assert bench.state.lease is None


def test_the_newest_request_replaces_the_one_before(bench, wish):
    bench.to_stimulating(10.0)
    bench.step(wish(3.0))
    assert bench.ma() == 3.0
    bench.step(wish({"right": 1.0}))
    assert (bench.ma("left"), bench.ma("right")) == (0.0, 1.0)


def test_what_was_asked_is_said_as_it_was_asked(bench, wish):
    bench.to_stimulating(10.0)
    verdict = bench.step(wish({"left": 30.0, "right": 0.0}))
    assert [(setting.channel, setting.current_ma) for setting in verdict.requested] == [("left", 30.0)]
    assert [(s.channel, s.current_ma) for s in bench.step().requested] == [("left", 30.0)]
    assert [s.current_ma for s in bench.step(wish(-3.0)).requested] == [-3.0]
    assert bench.step().requested == ()


class TestKeepAlive:
    def writes(self, bench, request, ms):
        return [verdict.write for verdict in bench.hold(request, ms)]

    def test_a_change_is_written_at_once(self, bench, wish):
        bench.to_stimulating(10.0)
        assert bench.step(wish(9.0)).write
        assert not bench.step(wish(9.0)).write
        assert bench.step(wish(9.0, phase_us=290.0)).write
        assert bench.step(wish(9.0, phase_us=290.0, rate_hz=39.0)).write
        assert bench.step(wish(0.0)).write

    def test_current_is_written_again_every_50_ms_while_its_lease_lives(self, bench, wish):
        bench.to_stimulating(10.0)
        bench.step(wish(9.0))
        assert self.writes(bench, wish(9.0), 150) == [False, False, False, False, True] * 3

    def test_zero_is_written_again_while_the_device_acknowledges_zero(self, bench, wish):
        bench.to_stimulating(10.0)
        bench.step(wish(0.0))
        assert self.writes(bench, wish(0.0), 100) == [False, False, False, False, True] * 2
        assert self.writes(bench, None, 300).count(True) == 6, "with no lease at all, too"

    def test_a_zero_that_is_not_acknowledged_is_not_kept_alive(self, bench, wish):
        """The device's own lease must end what it does not let go of."""
        bench.to_stimulating(10.0)
        bench.acknowledged_zero = False
        assert bench.step(wish(0.0)).write
        assert not any(self.writes(bench, wish(0.0), 300))
        bench.acknowledged_zero = True
        assert bench.step(wish(0.0)).write

    def test_current_is_kept_alive_though_zero_is_not_acknowledged(self, bench, wish):
        bench.to_stimulating(10.0)
        bench.acknowledged_zero = False
        assert any(self.writes(bench, wish(10.0), 60))

    @pytest.mark.parametrize("way", ["to_connected", "to_ready", "to_armed", "to_calibrating"])
    def test_a_device_at_zero_is_kept_alive_in_every_healthy_state(self, bench, way):
        getattr(bench, way)()
        assert self.writes(bench, None, 100).count(True) == 2

    def test_a_device_that_is_not_there_is_sent_nothing(self, bench):
        bench.connected = False
        assert not any(self.writes(bench, None, 200))
        bench.connected = True
        assert bench.step().write, "and at once when it is"

    def test_nothing_is_written_twice_at_the_same_time(self, bench):
        bench.to_connected()
        while not bench.verdict.write:
            bench.step()
        assert not bench.step(after_ms=0.0).write

    def test_time_that_went_back_does_not_silence_it(self, bench):
        bench.to_connected()
        bench.step(after_ms=-10_000.0)
        assert bench.verdict.write
