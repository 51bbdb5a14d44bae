"""Rules 7 and 9: the least of all limits, swept from 0 to 150 % and densely around each; rounding down."""

from __future__ import annotations

import json
from dataclasses import replace
from math import floor, inf, nan, nextafter, sqrt
from pathlib import Path

import pytest

from myoloop.stimulators.gate import ChannelLimits, DeviceLimits, Setting
from myoloop.stimulators.gate.ceilings import CEILINGS
from myoloop.stimulators.gate.limits import current_cap, out_of_range, rms_factor, round_down

DATA = Path(__file__).parents[2] / "data"
ROWS = json.loads((DATA / "safety_math.json").read_text())["rows"]
#: Those that the class allows at all.
WITHIN = [row for row in ROWS if row["phases"] == 2 and row["charge_per_phase_uC"] <= 50]
DEVICE = DeviceLimits(4, 100.0, 0.5, (20.0, 1000.0), (0.5, 200.0))
#: A device that limits nothing here.
WIDE = DeviceLimits(8, 1000.0, 0.01, (1.0, 2_000_000.0), (0.01, 2000.0))


class TestArithmetic:
    """Against the reference values; one row of a single phase has half the square."""

    @pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['i_mA']}mA")
    def test_charge_and_rms(self, row):
        setting = Setting("left", row["i_mA"], row["phase_us"], row["f_Hz"])
        assert setting.charge_uc == pytest.approx(row["charge_per_phase_uC"], rel=1e-6)
        rms_ma = row["i_mA"] * rms_factor(row["phase_us"], row["f_Hz"]) * sqrt(row["phases"] / 2)
        assert rms_ma == pytest.approx(row["irms_mA"], abs=6e-7)

    @pytest.mark.parametrize("row", WITHIN, ids=lambda row: f"{row['i_mA']}mA")
    @pytest.mark.parametrize(
        ("limit", "key", "rule"),
        [
            ("charge_per_phase_uc", "charge_per_phase_uC", "charge per phase"),
            ("rms_ma", "irms_mA", "r.m.s. current"),
            ("rms_density_ma_cm2", "irms_density_mA_cm2", "current density"),
            ("power_density_w_cm2", "power_density_W_cm2", "power density"),
        ],
    )
    def test_a_limit_at_the_reference_value_gives_the_references_current(self, envelope, row, limit, key, rule):
        """Over half of a pad twice as large, as only half is assumed to stick."""
        open_envelope = replace(
            envelope,
            charge_per_phase_uc=50.0,
            rms_ma=25.0,
            rms_density_ma_cm2=2.0,
            power_density_w_cm2=0.1,
        )
        narrow = replace(open_envelope, **{limit: row[key]})
        channel = ChannelLimits("left", 0, 2 * row["area_cm2"], 130.0)
        cap_ma, found = current_cap(channel, narrow, WIDE, row["phase_us"], row["f_Hz"], False)
        assert cap_ma == pytest.approx(row["i_mA"], rel=2e-3)
        assert found == rule


#: Each limit alone: what is changed, the setting's width and rate, the current it comes to, the rule's name.
ALONE = [
    ("current", {"channel_ma": 20.0}, 200.0, 30.0, 20.0),
    ("device current", {"device_ma": 25.0, "channel_ma": 40.0}, 200.0, 30.0, 25.0),
    ("charge per phase", {"charge_per_phase_uc": 6.0}, 300.0, 30.0, 20.0),
    ("r.m.s. current", {"rms_ma": 2.0}, 250.0, 50.0, 2.0 / sqrt(2 * 250e-6 * 50)),
    ("current density", {"rms_density_ma_cm2": 0.2}, 250.0, 50.0, 0.2 * 12.5 / sqrt(2 * 250e-6 * 50)),
    ("power density", {"power_density_w_cm2": 1e-4}, 250.0, 50.0, sqrt(1e-4 * 12.5 / 500 / (2 * 250e-6 * 50)) * 1e3),
]  # fmt: skip


def limited(envelope, changes):
    changes = dict(changes)
    device = replace(DEVICE, current_max_ma=changes.pop("device_ma", 100.0))
    channel_ma = changes.pop("channel_ma", 100.0)
    channels = (ChannelLimits("left", 0, 25.0, channel_ma),)
    wide = replace(envelope, channels=channels, charge_per_phase_uc=50.0, rms_ma=25.0, rms_density_ma_cm2=2.0)
    return replace(wide, **changes), device


@pytest.mark.parametrize(("rule", "changes", "phase_us", "rate_hz", "most_ma"), ALONE, ids=[row[0] for row in ALONE])
class TestEachLimitAlone:
    def test_gives_its_current_and_its_name(self, envelope, rule, changes, phase_us, rate_hz, most_ma):
        narrow, device = limited(envelope, changes)
        cap_ma, found = current_cap(narrow.channels[0], narrow, device, phase_us, rate_hz, False)
        assert cap_ma == pytest.approx(most_ma, rel=1e-12)
        assert found == rule

    def test_swept_from_0_to_150_percent(self, new_gate, envelope, wish, rule, changes, phase_us, rate_hz, most_ma):
        """Through the whole gate, on ground that is known up to the limit; dense around it."""
        narrow, device = limited(envelope, changes)
        if rule == "device current":
            # An envelope wider than the device is not taken; one just as wide has the participant's limit named.
            narrow, rule = replace(narrow, channels=(ChannelLimits("left", 0, 25.0, 25.0),)), "current"
            narrow = replace(narrow, current_ma_calibrating=25.0)
        narrow = replace(narrow, on_s_max=20.0, duty_max=0.5, session_charge_mc_max=20000.0, day_charge_mc_max=20000.0)
        bench = new_gate(narrow, device=device)
        bench.to_armed()
        floor_ma = floor(most_ma / 0.5) * 0.5
        bench.rise(floor_ma, phase_us=phase_us, rate_hz=rate_hz)
        around = [most_ma, nextafter(most_ma, inf), nextafter(most_ma, 0.0), floor_ma, nextafter(floor_ma, 0.0)]
        around += [most_ma * (1 + offset / 1000) for offset in range(-20, 21)]
        for asked_ma in [most_ma * percent / 100 for percent in range(0, 151, 2)] + around:
            bench.hold(wish(asked_ma, phase_us=phase_us, rate_hz=rate_hz), 30)
            asked_steps_ma = floor(asked_ma / 0.5) * 0.5
            assert bench.ma() == min(asked_steps_ma, floor_ma)
            assert bench.ma() <= min(asked_ma, most_ma)
            if asked_ma > most_ma * (1 + 1e-12):
                assert bench.verdict.rule == rule
                assert bench.verdict.reasons == (f"left: {bench.ma():g} of {asked_ma:g} mA, {rule}",)
            elif asked_ma < most_ma * (1 - 1e-12):
                assert bench.verdict.rule == ""
                assert bench.verdict.reasons == ()


@pytest.mark.parametrize("name", list(CEILINGS))
@pytest.mark.parametrize(
    ("field", "rule"),
    [
        ("charge_per_phase_uc", "charge per phase"),
        ("rms_ma", "r.m.s. current"),
        ("rms_density_ma_cm2", "current density"),
        ("power_density_w_cm2", "power density"),
        ("current_ma", "current ceiling"),
    ],
)
def test_the_class_ceiling_holds_whatever_an_envelope_says(envelope, name, field, rule):
    """An envelope that was never checked must not lift it either."""
    top = CEILINGS[name]
    fields = ("charge_per_phase_uc", "rms_ma", "rms_density_ma_cm2", "power_density_w_cm2")
    huge = replace(
        envelope,
        waveform_class=name,
        channels=(ChannelLimits("left", 0, 20.0, 1e9),),
        current_ma_calibrating=1e9,
        **dict.fromkeys(fields, 1e9),
    )
    device = replace(WIDE, current_max_ma=1e9)
    for phase_us in (100.0, 250.0, 300.0, 500_000.0):
        for rate_hz in (1.0, 30.0, 100.0):
            for calibrating in (False, True):
                cap_ma, _ = current_cap(huge.channels[0], huge, device, phase_us, rate_hz, calibrating)
                rms_ma = cap_ma * sqrt(2 * phase_us * 1e-6 * rate_hz)
                found = {
                    "charge_per_phase_uc": cap_ma * phase_us / 1000,
                    "rms_ma": rms_ma,
                    "rms_density_ma_cm2": rms_ma / 10.0,
                    "power_density_w_cm2": 500 * (rms_ma / 1000) ** 2 / 10.0,
                    "current_ma": cap_ma,
                }
                assert found[field] <= getattr(top, field) * (1 + 1e-12)


def test_the_ceiling_of_current_is_named(envelope):
    huge = replace(envelope, channels=(ChannelLimits("left", 0, 100.0, 1e9),), charge_per_phase_uc=1e9, rms_ma=1e9)
    assert current_cap(huge.channels[0], huge, WIDE, 100.0, 2.0, False) == (130.0, "current ceiling")


def test_calibration_has_its_own_cap_and_all_others(envelope):
    channel = envelope.channels[0]
    assert current_cap(channel, envelope, DEVICE, 100.0, 10.0, False) == (40.0, "current")
    assert current_cap(channel, envelope, DEVICE, 100.0, 10.0, True) == (60.0, "current")
    assert current_cap(channel, envelope, DEVICE, 400.0, 10.0, True) == (30.0, "charge per phase")


class TestWidthAndRateRefuse:
    """They are not pulled into range: that could be more than was asked for."""

    @pytest.mark.parametrize(
        ("phase_us", "rate_hz", "why"),
        [
            (99.999, 40.0, "left: 99.999 us is not within 100 to 400"),
            (400.001, 40.0, "left: 400.001 us is not within 100 to 400"),
            (300.0, 1.999, "left: 1.999 Hz is not within 2 to 80"),
            (300.0, 80.001, "left: 80.001 Hz is not within 2 to 80"),
            (0.0, 40.0, "left: 0 us is not within 100 to 400"),
            (-300.0, 40.0, "left: -300 us is not within 100 to 400"),
            (300.0, 0.0, "left: 0 Hz is not within 2 to 80"),
            (300.0, -40.0, "left: -40 Hz is not within 2 to 80"),
        ],
    )
    def test_out_of_range(self, bench, wish, phase_us, rate_hz, why):
        bench.to_stimulating()
        verdict = bench.step(wish(5.0, phase_us=phase_us, rate_hz=rate_hz))
        assert not verdict.allowed
        assert (verdict.rule, verdict.reasons) == ("range", (f"range: {why}",))

    @pytest.mark.parametrize(("phase_us", "rate_hz"), [(100.0, 2.0), (400.0, 2.0), (100.0, 80.0), (400.0, 80.0)])
    def test_the_ends_are_in_range(self, bench, wish, phase_us, rate_hz):
        bench.to_stimulating(2.0)
        assert bench.step(wish(2.0, phase_us=phase_us, rate_hz=rate_hz)).allowed

    def test_on_one_channel_takes_all_to_zero(self, bench, wish):
        bench.to_stimulating()
        settings = [Setting("left", 5.0, 300.0, 40.0), Setting("right", 1.0, 401.0, 40.0)]
        assert not bench.step(wish(settings=settings)).allowed

    def test_do_not_matter_on_a_channel_at_zero(self, bench, wish):
        bench.to_stimulating()
        settings = [Setting("left", 5.0, 300.0, 40.0), Setting("right", 0.0, 0.0, 0.0)]
        assert bench.step(wish(settings=settings)).allowed

    @pytest.mark.parametrize(
        ("name", "value", "rates"),
        [("phase_us", (250.0, 300.0), (40.0,)), ("rate_hz", (39.0, 41.0), (40.0,))],
    )
    def test_the_device_narrows_the_range(self, envelope, name, value, rates):
        device = replace(DEVICE, **{name: value})
        assert out_of_range(Setting("left", 1.0, 275.0, 40.0), envelope, device) == ""
        for end in (value[0] * 0.99, value[1] * 1.01):
            setting = replace(Setting("left", 1.0, 275.0, 40.0), **{name: end})
            assert "is not within" in out_of_range(setting, envelope, device)

    def test_the_class_narrows_the_range(self, envelope):
        wide = replace(envelope, phase_us=(1.0, 5000.0), rate_hz=(0.1, 900.0))
        device = replace(DEVICE, phase_us=(1.0, 5000.0), rate_hz=(0.1, 900.0))
        for phase_us, rate_hz, right in (
            (50.0, 1.0, True),
            (500.0, 120.0, True),
            (49.9, 10.0, False),
            (500.1, 10.0, False),
            (100.0, 0.99, False),
            (100.0, 120.1, False),
        ):
            assert (out_of_range(Setting("left", 1.0, phase_us, rate_hz), wide, device) == "") == right

    def test_two_phases_must_fit_between_two_pulses(self, envelope):
        slow = replace(envelope, waveform_class="microcurrent", phase_us=(100.0, 1e6), rate_hz=(0.3, 1000.0))
        assert out_of_range(Setting("left", 0.1, 5000.0, 100.0), slow, WIDE) == ""
        why = out_of_range(Setting("left", 0.1, 5000.1, 100.0), slow, WIDE)
        assert why == "left: two phases of 5000.1 us do not fit 100 Hz"


class TestChannels:
    def test_at_once_are_counted(self, new_gate, envelope, wish):
        bench = new_gate(replace(envelope, channels_max=1)).to_armed()
        verdict = bench.step(wish({"left": 1.0, "right": 1.0}))
        assert (verdict.rule, verdict.reasons) == ("channels at once", ("channels at once: 2, at most 1",))
        assert not verdict.allowed
        assert not bench.step(wish({"left": 1.0, "right": 1e-300})).allowed
        assert bench.step(wish({"left": 1.0, "right": 0.0})).allowed

    def test_are_limited_each_by_its_own(self, bench, wish):
        bench.to_armed()
        for _ in range(900):
            bench.step(wish({"left": 50.0, "right": 50.0}, phase_us=100.0, rate_hz=10.0))
        assert (bench.ma("left"), bench.ma("right")) == (40.0, 30.0)
        assert bench.verdict.rule == "current"
        assert len(bench.verdict.reasons) == 2

    def test_the_first_rule_that_limits_is_named(self, bench, wish):
        bench.to_stimulating(5.0)
        verdict = bench.step(wish({"left": 5.0, "right": 9.0}))
        assert verdict.rule == "rise onto new ground"
        assert verdict.reasons == ("right: 1 of 9 mA, rise onto new ground",)


class TestRounding:
    @pytest.mark.parametrize("step_ma", [0.5, 1.0, 0.1, 0.01, 0.05, 0.25, 0.3, 0.7, 2.0, 1.5, 0.002, 5.0])
    def test_is_down_and_to_the_nearest_step_below(self, step_ma):
        for steps in range(200):
            on_it_ma = round(steps * step_ma, 6)
            for asked_ma in (on_it_ma, nextafter(on_it_ma, inf), on_it_ma + 0.4 * step_ma, on_it_ma + 0.999 * step_ma):
                rounded_ma = round_down(asked_ma, step_ma)
                assert rounded_ma <= asked_ma
                assert asked_ma - rounded_ma < step_ma * (1 + 1e-9)
            if steps:
                assert round_down(nextafter(on_it_ma, 0.0) * (1 - 1e-12), step_ma) < on_it_ma

    @pytest.mark.parametrize("codes_per_ma", [1, 2, 4, 5, 10, 20, 100, 500])
    def test_gives_the_number_that_the_devices_code_stands_for(self, codes_per_ma):
        """Else the driver, rounding down in its turn, would lose a step and the acknowledgement disagree."""
        for code in range(300):
            assert round_down(code / codes_per_ma, 1 / codes_per_ma) == code / codes_per_ma
            assert round_down((code + 0.5) / codes_per_ma, 1 / codes_per_ma) == code / codes_per_ma

    @pytest.mark.parametrize("step_ma", [0.5, 0.3, 3.0])
    def test_is_zero_below_the_first_step(self, step_ma):
        assert round_down(step_ma * 0.999999, step_ma) == 0.0
        assert round_down(0.0, step_ma) == 0.0
        assert round_down(-1.0, step_ma) == 0.0
        assert round_down(-100.0, step_ma) == 0.0

    def test_of_a_step_that_is_almost_a_part_of_a_milliampere_keeps_to_the_step(self):
        assert round_down(1000.0, 0.4999) == pytest.approx(2000 * 0.4999)
        assert round_down(10.0, 0.3) == pytest.approx(9.9)

    def test_a_request_is_allowed_in_the_devices_steps(self, bench, wish):
        bench.to_stimulating(5.0)
        bench.step(wish(4.99))
        assert bench.ma() == 4.5
        assert bench.verdict.rule == "", "no rule but the device's"

    def test_less_than_a_step_is_zero_and_not_on(self, bench, wish):
        bench.to_stimulating(5.0)
        assert bench.step(wish(0.49)).allowed == ()
        assert bench.name == "ARMED"


class TestNumbersThatAreNone:
    """Rule 10."""

    @pytest.mark.parametrize("value", [nan, inf, -inf, -1e-300, -5.0, None, "5", True, 10**400])
    @pytest.mark.parametrize("field", ["current_ma", "phase_us", "rate_hz"])
    def test_are_refused_wherever_they_stand(self, bench, wish, field, value):
        bench.to_stimulating()
        setting = replace(Setting("left", 5.0, 300.0, 40.0), **{field: value})
        verdict = bench.step(wish(settings=[setting]))
        assert not verdict.allowed
        assert verdict.rule == "range"
        if field == "current_ma":
            negative = value in (-1e-300, -5.0)
            why = f"left: {value:g} mA is negative" if negative else "left: not a finite number"
            assert verdict.reasons == (f"range: {why}",)
        assert verdict.requested == (setting,)

    @pytest.mark.parametrize("value", [nan, inf, -1.0])
    def test_on_another_channel_take_all_to_zero(self, bench, wish, value):
        bench.to_stimulating()
        assert not bench.step(wish({"left": 5.0, "right": value})).allowed

    @pytest.mark.parametrize("field", ["phase_us", "rate_hz"])
    def test_count_on_a_channel_at_zero_too(self, bench, wish, field):
        bench.to_stimulating()
        setting = replace(Setting("right", 0.0, 300.0, 40.0), **{field: nan})
        assert not bench.step(wish(settings=[Setting("left", 5.0, 300.0, 40.0), setting])).allowed

    def test_minus_zero_is_zero(self, bench, wish):
        bench.to_stimulating()
        verdict = bench.step(wish(-0.0))
        assert (verdict.allowed, verdict.rule) == ((), "")

    @pytest.mark.parametrize("ma", [0.0, 5.0])
    def test_an_unknown_channel_takes_all_to_zero(self, bench, wish, ma):
        bench.to_stimulating()
        verdict = bench.step(wish({"left": 5.0, "heart": ma}))
        assert not verdict.allowed
        assert verdict.reasons == ("range: heart is not in the envelope",)

    @pytest.mark.parametrize("ma", [0.0, 5.0])
    def test_a_channel_that_stands_twice_takes_all_to_zero(self, bench, wish, ma):
        bench.to_stimulating()
        settings = [Setting("left", 5.0, 300.0, 40.0), Setting("left", ma, 300.0, 40.0)]
        verdict = bench.step(wish(settings=settings))
        assert not verdict.allowed
        assert verdict.reasons == ("range: a channel stands twice",)


def test_a_lease_for_a_channel_that_the_envelope_lacks_gives_nothing(bench, wish):
    """No history leads here; if one did, nothing would flow on it."""
    bench.to_stimulating()
    lease = replace(bench.state.lease, settings=(Setting("heart", 5.0, 300.0, 40.0),))
    bench.state = replace(bench.state, lease=lease)
    assert bench.step().allowed == ()
    bench.state = replace(bench.state, lease=lease, envelope=None)
    assert bench.step().allowed == ()
