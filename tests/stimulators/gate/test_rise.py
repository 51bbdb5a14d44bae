"""Rule 8: how current may rise, on what this person has had and beyond it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest

from myoloop.stimulators.gate import ChannelLimits, DeviceLimits, Setting
from myoloop.stimulators.gate.rise import Ground, Trial, as_strong_ma, known_ma, learn, rise_cap

MS = 1_000_000
MICRO_DEVICE = DeviceLimits(2, 1.0, 0.01, (100.0, 1e6), (0.1, 1000.0))


def microcurrent(envelope):
    return replace(
        envelope, waveform_class="microcurrent", channels=(ChannelLimits("left", 0, 25.0, 0.6),),
        phase_us=(100.0, 1e6), rate_hz=(0.3, 100.0), charge_per_phase_uc=500.0, rms_ma=0.6,
        rms_density_ma_cm2=0.1, power_density_w_cm2=0.01, channels_max=1, on_s_max=None, duty_max=1.0,
        step_ma=0.01, new_ground_ma_per_s=0.1, known_ground_ramp_s_min=1.0, current_ma_calibrating=1.0,
    )  # fmt: skip


def levels(bench, request, ms, channel="left", every_ms=10.0):
    """Current after each cycle."""
    found = []
    for _ in range(round(ms / every_ms)):
        bench.step(request, after_ms=every_ms)
        found.append(bench.ma(channel))
    return found


class TestNewGround:
    def test_is_taken_one_step_at_a_time(self, bench, wish):
        """1 mA steps at 5 mA/s: one every 200 ms."""
        bench.to_armed()
        found = levels(bench, wish(30.0), 1200)
        assert found == [1.0] * 20 + [2.0] * 20 + [3.0] * 20 + [4.0] * 20 + [5.0] * 20 + [6.0] * 20
        assert bench.verdict.rule == "rise onto new ground"
        assert bench.verdict.reasons == ("left: 6 of 30 mA, rise onto new ground",)

    def test_is_not_taken_faster_by_more_cycles(self, bench, wish):
        bench.to_armed()
        bench.step(wish(30.0))
        for _ in range(500):
            bench.step(wish(30.0), after_ms=0.0)
        assert bench.ma() == 1.0
        assert levels(bench, wish(30.0), 200, every_ms=1.0)[-2:] == [1.0, 2.0]

    def test_counts_from_what_flowed_and_not_from_what_was_asked(self, bench, wish):
        bench.to_armed()
        levels(bench, wish(0.5), 1000)
        assert levels(bench, wish(30.0), 210) == [1.5] * 20 + [2.5]

    def test_is_not_learned_by_blinking(self, bench, wish):
        """A controller that asks for one cycle in twenty gives no pulse that could be felt."""
        bench.to_armed()
        highest = 0.0
        for _ in range(100):
            highest = max(highest, *levels(bench, wish(30.0), 10))
            levels(bench, wish(0.0), 190)
        assert highest == 1.0
        assert bench.state.ground["left"].had == ()

    def test_is_not_learned_before_a_pulse(self, bench, wish):
        """At 2 Hz a pulse comes every 500 ms, later than 5 mA/s would allow the next step."""
        bench.to_armed()
        found = levels(bench, wish(30.0, rate_hz=2.0), 1600)
        assert found == [1.0] * 50 + [2.0] * 50 + [3.0] * 50 + [4.0] * 10

    def test_once_interrupted_begins_again(self, bench, wish):
        bench.to_armed()
        levels(bench, wish(30.0), 190)
        bench.step(wish(0.0))
        assert levels(bench, wish(30.0), 210) == [1.0] * 20 + [2.0]

    def test_is_learned_at_the_least_that_flowed(self, bench, wish):
        bench.to_armed()
        levels(bench, wish(1.0), 150)
        levels(bench, wish(0.5), 100)
        assert bench.state.ground["left"].had == ((0.5, 300.0),)

    def test_of_one_channel_is_none_of_another(self, bench, wish):
        bench.to_stimulating(10.0)
        assert levels(bench, wish({"right": 30.0}), 50, "right") == [1.0] * 5

    def test_ends_at_the_limit(self, bench, wish):
        bench.to_stimulating(40.0, rate_hz=12.0)
        assert levels(bench, wish(60.0, rate_hz=12.0), 1000)[-1] == 40.0

    def test_in_steps_of_ten_microampere_gets_where_it_should(self, new_gate, envelope, wish):
        """Sums of 0.01 must not stick at a rounding error."""
        bench = new_gate(microcurrent(envelope), device=MICRO_DEVICE).to_armed()
        asks = {"phase_us": 5000.0, "rate_hz": 10.0}
        found = sorted(set(levels(bench, wish(0.6, **asks), 7000, every_ms=50.0)))
        assert found == [step / 100 for step in range(1, 61)]
        bench.step(wish(0.01, **asks))
        assert bench.ma() == 0.01
        bench.step(wish(0.0))
        found = levels(bench, wish(0.6, **asks), 1200, every_ms=10.0)
        assert found[-1] == 0.6, "and the ramp of known ground gets there, a part of a step a cycle"
        assert all(after - before <= 0.02 for before, after in pairwise(found))
        bench.do("pause")
        down = [bench.ma(), *levels(bench, None, 600)]
        assert min(ma for ma in down if ma > 0) == 0.01, "and a pause's ramp goes down to the last step"
        assert down[-1] == 0.0


class TestKnownGround:
    def test_is_taken_on_the_trains_ramp(self, bench, wish):
        """10 mA known and 0.1 s of ramp: 1 mA a cycle."""
        bench.to_stimulating(10.0)
        bench.step(wish(0.0))
        assert levels(bench, wish(10.0), 120) == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 10, 10]

    def test_names_its_rule(self, bench, wish):
        bench.to_stimulating(10.0)
        bench.step(wish(0.0))
        verdict = bench.step(wish(10.0))
        assert (verdict.rule, verdict.reasons) == (
            "rise on known ground",
            ("left: 1 of 10 mA, rise on known ground",),
        )

    def test_is_taken_slowly_however_coarse_the_device(self, new_gate, envelope, wish):
        """8 mA over 1 s are 0.08 mA a cycle: parts of the device's step must add up."""
        bench = new_gate(replace(envelope, known_ground_ramp_s_min=1.0)).to_stimulating(8.0)
        bench.step(wish(0.0))
        found = levels(bench, wish(8.0), 1100)
        assert found[-1] == 8.0
        for cycle, ma in enumerate(found[:100], start=1):
            assert 0.08 * cycle - 0.5 - 1e-9 <= ma <= 0.08 * cycle + 1e-9

    def test_is_taken_no_faster_by_more_cycles(self, new_gate, envelope, wish):
        bench = new_gate(replace(envelope, known_ground_ramp_s_min=1.0)).to_stimulating(8.0)
        bench.step(wish(0.0))
        assert levels(bench, wish(8.0), 500, every_ms=1.0)[-1] in (3.5, 4.0)
        for _ in range(100):
            bench.step(wish(8.0), after_ms=0.0)
        assert bench.ma() in (3.5, 4.0)

    def test_is_taken_from_zero_after_every_break(self, bench, wish):
        bench.to_stimulating(10.0)
        bench.frozen["phase"] = 0
        bench.step(wish(10.0))
        bench.healthy()
        assert levels(bench, wish(10.0), 20) == [1.0, 2.0]

    def test_leads_to_new_ground_at_its_end(self, bench, wish):
        bench.to_stimulating(10.0)
        bench.step(wish(0.0))
        assert levels(bench, wish(30.0), 110)[8:] == [9.0, 11.0, 11.0]

    @pytest.mark.parametrize("ma", [0.0, 0.5, 3.0, 9.5])
    def test_falling_is_free(self, bench, wish, ma):
        bench.to_stimulating(10.0)
        bench.step(wish(ma))
        assert bench.ma() == ma

    def test_is_forgotten_by_a_latch_and_by_a_new_envelope_only(self, bench, wish):
        bench.to_stimulating(10.0)
        bench.do("pause")
        bench.hold(None, 500)
        bench.arm()
        bench.step(wish(0.0))
        assert levels(bench, wish(10.0), 100)[-1] == 10.0
        bench.do("pause")
        bench.hold(None, 500)
        bench.set_envelope()
        bench.confirm()
        bench.arm()
        bench.step(wish(0.0))
        assert levels(bench, wish(10.0), 100)[-1] == 1.0


class TestWidth:
    """Neither more current nor more charge than was had, in one and the same setting."""

    def test_twice_the_width_is_half_the_known_current(self, bench, wish):
        bench.to_stimulating(10.0, phase_us=150.0)
        bench.step(wish(0.0))
        assert levels(bench, wish(10.0, phase_us=300.0), 100)[-1] in (5.0, 6.0)

    def test_half_the_width_is_no_more_current(self, bench, wish):
        bench.to_stimulating(10.0, phase_us=300.0)
        bench.step(wish(0.0))
        assert levels(bench, wish(20.0, phase_us=150.0), 100)[-1] in (10.0, 11.0)

    def test_a_jump_in_width_at_the_same_current_is_a_rise(self, bench, wish):
        bench.to_stimulating(10.0, phase_us=150.0)
        bench.step(wish(10.0, phase_us=300.0))
        assert bench.ma() <= 6.0

    def test_current_of_one_setting_and_charge_of_another_are_no_third(self, bench, wish):
        """20 mA at 100 us and 8 mA at 400 us were had; 10.7 mA at 300 us has no more of either, and never was."""
        bench.to_stimulating(20.0, phase_us=100.0)
        bench.rise(8.0, phase_us=400.0)
        for _ in range(3):
            levels(bench, wish(0.0), 10)
            assert max(levels(bench, wish(20.0, phase_us=300.0), 150)) <= 9.0

    def test_what_was_had_at_another_width_is_not_forgotten(self, bench, wish):
        bench.to_stimulating(20.0, phase_us=100.0)
        bench.rise(8.0, phase_us=400.0)
        bench.step(wish(0.0))
        assert levels(bench, wish(20.0, phase_us=100.0), 120)[-1] == 20.0
        bench.step(wish(0.0))
        assert levels(bench, wish(8.0, phase_us=400.0), 120)[-1] == 8.0

    def test_a_trial_at_changing_widths_teaches_the_least_of_them(self, bench, wish):
        bench.to_armed()
        levels(bench, wish(1.0, phase_us=400.0), 100)
        levels(bench, wish(1.0, phase_us=200.0), 110)
        assert bench.state.ground["left"].had == ((1.0, 200.0),)

    def test_the_ramp_goes_on_from_what_is_as_strong(self, bench, wish):
        """From 10 mA at 150 us to 300 us: 5 mA there, and on at 300 us."""
        bench.to_stimulating(10.0, phase_us=300.0)
        bench.step(wish(2.0, phase_us=150.0))
        bench.step(wish(10.0, phase_us=300.0))
        assert bench.ma() == 2.0, "1 mA as strong as 2 mA at half the width, and 1 mA of ramp"


class TestArithmetic:
    @pytest.mark.parametrize(
        ("current_ma", "phase_us", "at_us", "strong_ma"),
        [(10.0, 300.0, 300.0, 10.0), (10.0, 300.0, 150.0, 10.0), (10.0, 150.0, 300.0, 5.0)],
    )
    def test_as_strong(self, current_ma, phase_us, at_us, strong_ma):
        assert as_strong_ma(current_ma, phase_us, at_us) == strong_ma

    def test_known_is_the_most_of_what_was_had(self):
        ground = Ground(((20.0, 100.0), (8.0, 400.0)))
        assert known_ma(Ground(), 300.0) == 0.0
        assert [known_ma(ground, us) for us in (50.0, 100.0, 200.0, 250.0, 400.0, 800.0)] == [20, 20, 10, 8, 8, 4]

    def test_a_setting_that_another_covers_is_dropped(self, envelope):
        ground = Ground(((5.0, 100.0), (4.0, 400.0), (2.0, 800.0)), Trial(6.0, 350.0, 10**12, 10.0))
        assert learn(ground, 6.0, 350.0, 40.0, envelope, 0).had == ((6.0, 350.0),)
        learned = learn(Ground(((5.0, 100.0), (2.0, 800.0)), None), 9.0, 300.0, 40.0, envelope, 10**10)
        assert learned == Ground(((9.0, 300.0),))
        assert learn(Ground(((8.0, 200.0),)), 8.0, 300.0, 40.0, envelope, 10**10) == Ground(((8.0, 300.0),))
        kept = learn(Ground(((5.0, 100.0), (2.0, 800.0))), 4.0, 300.0, 40.0, envelope, 10**10)
        assert kept == Ground(((5.0, 100.0), (2.0, 800.0), (4.0, 300.0)))

    def test_nothing_is_learned_on_known_ground(self, envelope):
        ground = Ground(((10.0, 300.0),), Trial(11.0, 300.0, 100 * MS, 4.0))
        assert learn(ground, 10.0, 300.0, 40.0, envelope, 10**10) == Ground(((10.0, 300.0),))
        assert learn(Ground(ground.had), 10.0, 300.0, 40.0, envelope, MS) == Ground(ground.had), "nor tried"

    @pytest.mark.parametrize(("served_ms", "rate_hz", "learned"), [
        (199.999999, 40.0, False),
        (200.0, 40.0, True),
        (200.0, 4.999, False),
        (200.0, 5.0, True),
        (10_000.0, 0.099, False),
    ])  # fmt: skip
    def test_learning_takes_its_time_and_a_pulse(self, envelope, served_ms, rate_hz, learned):
        ground = learn(Ground(), 1.0, 300.0, rate_hz, envelope, round(served_ms * MS))
        assert bool(ground.had) == learned
        assert (ground.trial is None) == learned

    def test_a_trial_adds_up(self, envelope):
        ground = learn(Ground(), 1.0, 300.0, 40.0, envelope, 50 * MS)
        assert ground.trial == Trial(1.0, 300.0, 50 * MS, 2.0)
        ground = learn(ground, 0.9, 310.0, 20.0, envelope, 50 * MS)
        assert ground.trial == Trial(0.9, 300.0, 100 * MS, 3.0)

    def test_rise_cap(self, envelope):
        ground = Ground(((10.0, 300.0),))
        assert rise_cap(ground, 0.0, 300.0, envelope, 10 * MS) == (pytest.approx(1.0), "rise on known ground")
        assert rise_cap(ground, 8.9, 300.0, envelope, 10 * MS) == (pytest.approx(9.9), "rise on known ground")
        assert rise_cap(ground, 9.0, 300.0, envelope, 10 * MS) == (pytest.approx(11.0), "rise onto new ground")
        assert rise_cap(ground, 0.0, 600.0, envelope, 10 * MS) == (pytest.approx(0.5), "rise on known ground")
        assert rise_cap(Ground(), 0.0, 300.0, envelope, 0) == (pytest.approx(1.0), "rise onto new ground")


def test_what_flows_under_a_stale_name_is_not_learned(bench, wish):
    """Only channels that flow learn; the others' trials are broken off."""
    bench.to_armed()
    levels(bench, wish({"left": 1.0, "right": 1.0}), 100)
    assert bench.state.ground["left"].trial is not None
    levels(bench, wish({"right": 1.0}), 20)
    assert bench.state.ground["left"] == Ground()
    assert bench.state.ground["right"].trial is not None
    assert list(bench.verdict.allowed) == [Setting("right", 1.0, 300.0, 40.0)]
