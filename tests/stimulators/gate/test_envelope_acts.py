"""Rule 6: one immutable envelope, hashed, never wider than the class or the device; and the acts of calibration."""

from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError, asdict, fields, replace
from pathlib import Path

import pytest

from myoloop.stimulators.gate import (
    ChannelLimits,
    DeviceLimits,
    Envelope,
    EnvelopeError,
    GateSettings,
    check_envelope,
    parse_envelope,
)
from myoloop.stimulators.gate import ceilings as constants
from myoloop.stimulators.gate.ceilings import CEILINGS

GOLDEN = json.loads((Path(__file__).parents[2] / "data" / "default_envelope.json").read_text())
DEVICE = DeviceLimits(4, 200.0, 0.01, (1.0, 2_000_000.0), (0.01, 2000.0))
#: Just wider than a limit.
WIDER, NARROWER = 1.0 + 1e-9, 1.0 - 1e-9


def widest(name, device=DEVICE):
    """The widest envelope of a class, made from its ceiling."""
    top = CEILINGS[name]
    charge_mc = top.charge_per_phase_uc * top.rate_hz[1] * 3600.0 * 1e-3
    return Envelope(
        session="ses-01",
        subject="P001",
        waveform_class=name,
        channels=(ChannelLimits("left", 0, 6.0, top.current_ma), ChannelLimits("right", 3, 6.0, top.current_ma)),
        phase_us=top.phase_us,
        rate_hz=top.rate_hz,
        charge_per_phase_uc=top.charge_per_phase_uc,
        rms_ma=top.rms_ma,
        rms_density_ma_cm2=top.rms_density_ma_cm2,
        power_density_w_cm2=top.power_density_w_cm2,
        channels_max=top.channels_max,
        on_s_max=top.on_s_max,
        duty_max=top.duty_max,
        session_on_s_max=3600.0,
        session_charge_mc_max=charge_mc,
        day_charge_mc_max=4 * charge_mc,
        course_charge_mc_max=400 * charge_mc,
        step_ma=top.step_ma,
        new_ground_ma_per_s=top.new_ground_ma_per_s,
        known_ground_ramp_s_min=top.known_ground_ramp_s_min,
        current_ma_calibrating=top.current_ma,
        required_vitals=("vital/emg",),
        sensor_age_ms=200.0,
        ramp_down_s=3.0,
    )


class TestCeilingsAgreeWithTheProposal:
    @pytest.mark.parametrize("name", list(GOLDEN["ceiling"]))
    def test_per_class(self, name):
        proposed, ours = GOLDEN["ceiling"][name], CEILINGS[name]
        assert ours.current_ma == proposed["current_mA"]
        assert list(ours.phase_us) == proposed["phase_us"]
        assert list(ours.rate_hz) == proposed["rate_hz"]
        assert ours.charge_per_phase_uc == proposed["charge_per_phase_uC"]
        assert ours.rms_ma == proposed["rms_mA_per_channel"]
        assert ours.rms_density_ma_cm2 == proposed["rms_density_mA_cm2"]
        assert ours.power_density_w_cm2 == proposed["power_density_W_cm2"]
        assert ours.channels_max == proposed["channels_max"]
        assert ours.on_s_max == proposed["on_s_max"]
        assert ours.duty_max == proposed["duty_max"]
        assert ours.session_s_max == proposed["session_min_max"] * 60
        assert proposed["pad_area_cm2_min"] == constants.PAD_AREA_MIN_CM2

    def test_there_are_no_other_classes(self):
        assert set(CEILINGS) == set(GOLDEN["ceiling"]) == set(GOLDEN["default"])

    def test_in_common(self):
        common = GOLDEN["common"]
        assert common["lease_ms_max"] == constants.LEASE_MAX_MS
        assert common["request_age_ms_max"] * 1_000_000 == constants.REQUEST_AGE_MAX_NS
        assert common["peer_dead_ms"] * 1_000_000 == constants.PEER_DEAD_NS
        assert common["device_ack_timeout_ms"] * 1_000_000 == constants.ACK_TIMEOUT_NS
        assert common["contact_fraction_assumed"] == constants.CONTACT_FRACTION
        assert common["sensor_age_ms"] <= constants.SENSOR_AGE_MAX_MS
        assert common["restart_after_latch"].startswith("cause gone, 3 s healthy, 10 s lockout")
        assert (constants.HEALTHY_NS, constants.LOCKOUT_NS) == (3_000_000_000, 10_000_000_000)

    @pytest.mark.parametrize("name", list(GOLDEN["default"]))
    def test_a_default_lies_within_its_ceiling(self, name):
        default, top = GOLDEN["default"][name], CEILINGS[name]
        assert default["current_mA"] <= default["current_mA_calibrating"] <= top.current_ma
        assert default["charge_per_phase_uC"] <= top.charge_per_phase_uc
        assert default["rms_mA_per_channel"] <= top.rms_ma
        assert default["rms_density_mA_cm2"] <= top.rms_density_ma_cm2
        assert default["step_mA"] <= top.step_ma
        assert default["new_ground_mA_per_s"] <= top.new_ground_ma_per_s
        assert default["known_ground_ramp_s_min"] >= top.known_ground_ramp_s_min
        for key, bounds in (("phase_us", top.phase_us), ("rate_hz", top.rate_hz)):
            assert bounds[0] <= default[key][0] <= default[key][1] <= bounds[1]

    def test_what_the_design_adds(self):
        assert constants.PHASE_STALE_NS == 300_000_000
        assert constants.REQUEST_FUTURE_MAX_NS == 5_000_000
        assert (constants.CYCLE_MAX_NS, constants.SUSPEND_MAX_NS) == (100_000_000, 50_000_000)
        assert constants.CALIBRATION_STEP_NS == 300_000_000
        assert (constants.STOP_REPEATS, constants.REFRESH_NS) == (3, 50_000_000)
        assert (constants.LOAD_OHM, constants.TETANIC_ABOVE_HZ) == (500.0, 12.0)
        assert (constants.PAUSE_RAMP_MAX_S, constants.SENSOR_AGE_MAX_MS) == (3.0, 200.0)
        steps = [(top.step_ma, top.new_ground_ma_per_s, top.known_ground_ramp_s_min) for top in CEILINGS.values()]
        assert steps == [(5.0, 20.0, 0.1), (5.0, 20.0, 0.1), (0.05, 0.5, 0.1)]


#: Every field that a ceiling bounds from above, with the factor to its very limit.
AT_MOST = [
    "charge_per_phase_uc", "rms_ma", "rms_density_ma_cm2", "power_density_w_cm2", "duty_max", "session_on_s_max",
    "session_charge_mc_max", "day_charge_mc_max", "course_charge_mc_max", "step_ma", "new_ground_ma_per_s",
    "current_ma_calibrating", "sensor_age_ms", "ramp_down_s",
]  # fmt: skip


@pytest.mark.parametrize("name", list(CEILINGS))
class TestNotWiderThanTheClass:
    def test_as_wide_is_allowed(self, name):
        check_envelope(widest(name), DEVICE)

    @pytest.mark.parametrize("field", AT_MOST)
    def test_wider_is_not(self, name, field):
        most = getattr(widest(name), field)
        with pytest.raises(EnvelopeError) as caught:
            check_envelope(replace(widest(name), **{field: most * WIDER}), DEVICE)
        assert str(caught.value).startswith(f"envelope.{field}: found ")
        assert f"allowed is above 0 and at most {most:g}" in str(caught.value)

    @pytest.mark.parametrize("field", [*AT_MOST, "channels_max", "on_s_max"])
    @pytest.mark.parametrize("value", [0, -1])
    def test_zero_and_less_is_not_a_limit(self, name, field, value):
        with pytest.raises(EnvelopeError, match=rf"envelope.{field}: found {value}"):
            check_envelope(replace(widest(name), **{field: value}), DEVICE)

    def test_a_ramp_may_be_slower_only(self, name):
        least = CEILINGS[name].known_ground_ramp_s_min
        check_envelope(replace(widest(name), known_ground_ramp_s_min=10 * least), DEVICE)
        with pytest.raises(EnvelopeError, match=r"known_ground_ramp_s_min: found .*, allowed is at least 0.1"):
            check_envelope(replace(widest(name), known_ground_ramp_s_min=least * NARROWER), DEVICE)

    def test_channels_at_once(self, name):
        with pytest.raises(EnvelopeError, match="channels_max"):
            check_envelope(replace(widest(name), channels_max=CEILINGS[name].channels_max + 1), DEVICE)

    @pytest.mark.parametrize(("field", "end"), [("phase_us", 0), ("phase_us", 1), ("rate_hz", 0), ("rate_hz", 1)])
    def test_ranges(self, name, field, end):
        bounds = list(getattr(widest(name), field))
        bounds[end] *= NARROWER if end == 0 else WIDER
        with pytest.raises(EnvelopeError, match=f"envelope.{field}: found .*, allowed is within"):
            check_envelope(replace(widest(name), **{field: tuple(bounds)}), DEVICE)

    @pytest.mark.parametrize("field", ["phase_us", "rate_hz"])
    def test_a_range_may_be_one_value_but_not_upside_down(self, name, field):
        low, high = getattr(widest(name), field)
        check_envelope(replace(widest(name), **{field: (low, low)}), DEVICE)
        with pytest.raises(EnvelopeError, match=field):
            check_envelope(replace(widest(name), **{field: (high, low)}), DEVICE)

    def test_channel_current(self, name):
        top = CEILINGS[name].current_ma
        for current_ma, right in ((top, True), (top * WIDER, False), (0.0, True), (-1e-9, False)):
            envelope = replace(widest(name), channels=(ChannelLimits("left", 0, 6.0, current_ma),))
            if right:
                check_envelope(envelope, DEVICE)
            else:
                with pytest.raises(EnvelopeError, match=r"envelope.channels\[left\].current_max_ma: found"):
                    check_envelope(envelope, DEVICE)

    def test_pad(self, name):
        check_envelope(replace(widest(name), channels=(ChannelLimits("left", 0, 6.0, 1.0),)), DEVICE)
        for area_cm2 in (6.0 * NARROWER, 0.0, -1.0, float("nan")):
            with pytest.raises(EnvelopeError, match=r"channels\[left\].pad_area_cm2: found .*, allowed is at least 6"):
                check_envelope(replace(widest(name), channels=(ChannelLimits("left", 0, area_cm2, 1.0),)), DEVICE)


class TestNotWiderThanTheDevice:
    def test_current(self):
        device = replace(DEVICE, current_max_ma=80.0)
        envelope = replace(widest("nmes"), channels=(ChannelLimits("left", 0, 6.0, 80.0),), current_ma_calibrating=80.0)
        check_envelope(envelope, device)
        with pytest.raises(EnvelopeError, match=r"current_max_ma: found 80.0001, .* at most 80"):
            check_envelope(replace(envelope, channels=(ChannelLimits("left", 0, 6.0, 80.0001),)), device)
        with pytest.raises(EnvelopeError, match=r"current_ma_calibrating: found 80.0001, .* at most 80"):
            check_envelope(replace(envelope, current_ma_calibrating=80.0001), device)

    @pytest.mark.parametrize(
        ("field", "bounds"),
        [
            ("phase_us", (60.0, 500.0)),
            ("phase_us", (50.0, 450.0)),
            ("rate_hz", (2.0, 120.0)),
            ("rate_hz", (1.0, 100.0)),
        ],
    )
    def test_ranges(self, field, bounds):
        with pytest.raises(EnvelopeError, match=rf"{field}: .* allowed is within {bounds[0]:g} to {bounds[1]:g}"):
            check_envelope(widest("nmes"), replace(DEVICE, **{field: bounds}))
        check_envelope(replace(widest("nmes"), **{field: bounds}), replace(DEVICE, **{field: bounds}))

    @pytest.mark.parametrize(("output", "right"), [(-1, False), (0, True), (3, True), (4, False)])
    def test_outputs(self, output, right):
        envelope = replace(widest("nmes"), channels=(ChannelLimits("left", output, 6.0, 1.0),))
        if right:
            check_envelope(envelope, DEVICE)
        else:
            with pytest.raises(EnvelopeError, match=rf"output: found {output}, the device has 0 to 3"):
                check_envelope(envelope, DEVICE)


class TestADeviceWithoutNumbers:
    """What is no number limits nothing when compared."""

    @pytest.mark.parametrize("field", ["current_max_ma", "current_step_ma"])
    @pytest.mark.parametrize("value", [float("nan"), float("inf"), 0.0, -1.0, None, "1", True])
    def test_is_none(self, field, value):
        with pytest.raises(EnvelopeError, match=f"device.{field}: found"):
            replace(DEVICE, **{field: value})

    @pytest.mark.parametrize("field", ["phase_us", "rate_hz"])
    @pytest.mark.parametrize("value", [(float("nan"), 1.0), (1.0, float("inf")), (2.0, 1.0), (1.0,), 1.0])
    def test_has_ranges(self, field, value):
        with pytest.raises(EnvelopeError, match=f"device.{field}: found"):
            replace(DEVICE, **{field: value})


class TestAnEnvelopeMustMakeSense:
    @pytest.mark.parametrize(
        ("changes", "why"),
        [
            ({"waveform_class": "dc"}, r"waveform_class: found 'dc', allowed are \['microcurrent', 'nmes', 'tens'\]"),
            ({"channels": ()}, "envelope.channels: none given"),
            ({"required_vitals": ()}, "required_vitals: none given; no current flows unwatched"),
            ({"on_s_max": None}, "on_s_max: found none, allowed is at most 20"),
            ({"on_s_max": 20.0 * WIDER}, "on_s_max: found 20, allowed is above 0 and at most 20"),
        ],
    )
    def test_nmes(self, changes, why):
        with pytest.raises(EnvelopeError, match=why):
            check_envelope(replace(widest("nmes"), **changes), DEVICE)

    @pytest.mark.parametrize(
        "channels",
        [
            (ChannelLimits("left", 0, 6.0, 1.0), ChannelLimits("left", 1, 6.0, 1.0)),
            (ChannelLimits("left", 0, 6.0, 1.0), ChannelLimits("right", 0, 6.0, 1.0)),
        ],
    )
    def test_no_channel_stands_twice(self, channels):
        with pytest.raises(EnvelopeError, match="its name or output stands twice"):
            check_envelope(replace(widest("nmes"), channels=channels), DEVICE)

    @pytest.mark.parametrize("name", ["tens", "microcurrent"])
    def test_a_continuous_class_may_have_an_on_time_limit_and_needs_one_for_a_duty(self, name):
        check_envelope(replace(widest(name), on_s_max=3600.0, duty_max=0.5), DEVICE)
        check_envelope(replace(widest(name), on_s_max=3600.0), DEVICE)
        with pytest.raises(EnvelopeError, match="on_s_max"):
            check_envelope(replace(widest(name), on_s_max=3600.0 * WIDER), DEVICE)
        with pytest.raises(EnvelopeError, match=r"on_s_max: found none, a duty_max of 0.5 needs one"):
            check_envelope(replace(widest(name), duty_max=0.5), DEVICE)


NUMBERS = [*AT_MOST, "known_ground_ramp_s_min", "on_s_max"]


class TestParsing:
    def values(self, **changes):
        return {**asdict(widest("nmes")), **changes}

    def test_gives_the_envelope_back_also_from_json(self):
        envelope = widest("nmes")
        assert parse_envelope(asdict(envelope)) == envelope
        assert parse_envelope(json.loads(json.dumps(asdict(envelope)))) == envelope
        assert parse_envelope(asdict(widest("tens"))) == widest("tens")

    def test_makes_numbers_out_of_whole_numbers(self):
        envelope = parse_envelope(self.values(rms_ma=25, phase_us=[50, 500], on_s_max=20))
        assert envelope == widest("nmes")
        assert isinstance(envelope.rms_ma, float)
        assert envelope.sha256 == widest("nmes").sha256

    @pytest.mark.parametrize("name", [field.name for field in fields(Envelope)])
    def test_every_field_must_be_given(self, name):
        values = self.values()
        del values[name]
        with pytest.raises(EnvelopeError, match=f"^envelope.{name}: missing$"):
            parse_envelope(values)

    @pytest.mark.parametrize("name", [field.name for field in fields(ChannelLimits)])
    def test_every_field_of_a_channel_must_be_given(self, name):
        values = self.values()
        del values["channels"][1][name]
        with pytest.raises(EnvelopeError, match=rf"^envelope.channels\[1\].{name}: missing$"):
            parse_envelope(values)

    def test_an_unknown_key_is_named(self):
        with pytest.raises(EnvelopeError, match=r"^envelope.boost: unknown key$"):
            parse_envelope(self.values(boost=1))
        with pytest.raises(EnvelopeError, match=r"^envelope.7: unknown key$"):
            parse_envelope({**self.values(), 7: 1})
        channel = {**asdict(ChannelLimits("left", 0, 6.0, 1.0)), "gain": 2}
        with pytest.raises(EnvelopeError, match=r"^envelope.channels\[0\].gain: unknown key$"):
            parse_envelope(self.values(channels=[channel]))

    @pytest.mark.parametrize("name", NUMBERS)
    @pytest.mark.parametrize(
        "value", [float("nan"), float("inf"), -float("inf"), "1", True, False, [1.0], {}, 10**400, None]
    )
    def test_a_number_is_finite(self, name, value):
        if name == "on_s_max" and value is None:
            return
        with pytest.raises(EnvelopeError, match=f"^envelope.{name}: found .*, allowed is a finite number$"):
            parse_envelope(self.values(**{name: value}))

    @pytest.mark.parametrize("name", ["pad_area_cm2", "current_max_ma"])
    @pytest.mark.parametrize("value", [float("nan"), True, None])
    def test_a_channels_number_is_finite(self, name, value):
        channel = {**asdict(ChannelLimits("left", 0, 6.0, 1.0)), name: value}
        with pytest.raises(
            EnvelopeError, match=rf"^envelope.channels\[0\].{name}: found .*, allowed is a finite number$"
        ):
            parse_envelope(self.values(channels=[channel]))

    @pytest.mark.parametrize("value", [1.0, True, None, "1", 2**31, -(2**31), 10**400])
    def test_a_whole_number_is_whole(self, value):
        with pytest.raises(EnvelopeError, match=r"^envelope.channels_max: found .*, allowed is a whole number$"):
            parse_envelope(self.values(channels_max=value))
        channel = {**asdict(ChannelLimits("left", 0, 6.0, 1.0)), "output": value}
        with pytest.raises(
            EnvelopeError, match=r"^envelope.channels\[0\].output: found .*, allowed is a whole number$"
        ):
            parse_envelope(self.values(channels=[channel]))

    def test_a_whole_number_that_is_too_large_is_whole_all_the_same(self):
        with pytest.raises(EnvelopeError, match=r"channels_max: found 1e\+06, allowed is above 0 and at most 8"):
            check_envelope(parse_envelope(self.values(channels_max=1_000_000)), DEVICE)

    @pytest.mark.parametrize("name", ["session", "subject", "waveform_class"])
    @pytest.mark.parametrize("value", ["", None, 1, b"x"])
    def test_a_name_is_a_name(self, name, value):
        with pytest.raises(EnvelopeError, match=f"^envelope.{name}: found .*, allowed is a name$"):
            parse_envelope(self.values(**{name: value}))

    @pytest.mark.parametrize("value", ["", None, 1])
    def test_a_channels_name_is_a_name(self, value):
        channel = {**asdict(ChannelLimits("left", 0, 6.0, 1.0)), "channel": value}
        with pytest.raises(EnvelopeError, match=r"^envelope.channels\[0\].channel: found .*, allowed is a name$"):
            parse_envelope(self.values(channels=[channel]))

    @pytest.mark.parametrize("value", [None, 1, "left", {"left": 1}])
    def test_channels_are_a_list(self, value):
        with pytest.raises(EnvelopeError, match=r"^envelope.channels: found .*, allowed is a list$"):
            parse_envelope(self.values(channels=value))

    @pytest.mark.parametrize("value", [None, 1, "left", ["left"]])
    def test_a_channel_is_a_mapping(self, value):
        with pytest.raises(EnvelopeError, match=r"^envelope.channels\[0\]: found .*, allowed is a mapping$"):
            parse_envelope(self.values(channels=[value]))

    @pytest.mark.parametrize("name", ["phase_us", "rate_hz"])
    @pytest.mark.parametrize("value", [None, 1.0, "ab", [1.0], [1.0, 2.0, 3.0]])
    def test_a_range_is_two_numbers(self, name, value):
        with pytest.raises(EnvelopeError, match=rf"^envelope.{name}: found .*, allowed is \[least, most\]$"):
            parse_envelope(self.values(**{name: value}))

    @pytest.mark.parametrize("name", ["phase_us", "rate_hz"])
    def test_a_range_has_numbers_in_order(self, name):
        with pytest.raises(EnvelopeError, match=f"^envelope.{name}: found .*, allowed is a finite number$"):
            parse_envelope(self.values(**{name: [1.0, float("nan")]}))
        with pytest.raises(EnvelopeError, match=f"^envelope.{name}: found .*, the least is more than the most$"):
            parse_envelope(self.values(**{name: [300.0, 200.0]}))
        assert getattr(parse_envelope(self.values(**{name: [60, 60]})), name) == (60.0, 60.0)

    @pytest.mark.parametrize("value", [None, "vital/emg", [""], [1], ["vital/emg", None]])
    def test_topics_are_a_list_of_names(self, value):
        with pytest.raises(EnvelopeError, match=r"^envelope.required_vitals: found .*, allowed is a list of topics$"):
            parse_envelope(self.values(required_vitals=value))


class TestImmutableAndHashed:
    def test_nobody_changes_it(self):
        with pytest.raises(FrozenInstanceError):
            widest("nmes").rms_ma = 1000.0  # type: ignore[misc]

    def test_the_hash_is_of_its_canonical_json(self):
        envelope = widest("nmes")
        text = json.dumps(asdict(envelope), sort_keys=True, separators=(",", ":"))
        assert envelope.to_json() == text
        assert envelope.sha256 == hashlib.sha256(text.encode()).hexdigest()

    @pytest.mark.parametrize("name", [field.name for field in fields(Envelope)])
    def test_every_field_is_in_the_hash(self, name):
        other = replace(widest("nmes"), **{name: getattr(widest("tens"), name)})
        if getattr(other, name) != getattr(widest("nmes"), name):
            assert other.sha256 != widest("nmes").sha256

    def test_numbers_that_are_none_have_no_hash(self):
        with pytest.raises(ValueError, match="not JSON compliant"):
            _ = replace(widest("nmes"), rms_ma=float("nan")).sha256


class TestSettingIt:
    def test_answers_with_its_hash(self, bench):
        bench.step()
        reply = bench.set_envelope()
        assert (reply.ok, reply.values) == (True, {"envelope_sha256": bench.envelope.sha256})

    @pytest.mark.parametrize(
        ("way", "name"),
        [
            ("to_calibrating", "CALIBRATING"),
            ("to_armed", "ARMED"),
            ("to_stimulating", "STIMULATING"),
            ("to_fault", "FAULT"),
            ("to_stopped", "STOPPED"),
        ],
    )
    def test_is_done_in_connected_and_ready_only(self, bench, way, name):
        getattr(bench, way)()
        before = bench.state.envelope
        reply = bench.set_envelope(rms_ma=9.0)
        assert (reply.ok, reply.reason) == (False, f"an envelope is set in CONNECTED or READY, not in {name}")
        assert bench.state.envelope == before

    def test_is_not_done_while_a_pause_still_ramps(self, bench):
        bench.to_stimulating(10.0)
        bench.do("pause")
        assert bench.set_envelope().reason == "an envelope is not set while current flows"
        bench.hold(None, 600)
        assert bench.set_envelope().ok

    def test_in_ready_leads_back_to_connected_and_forgets_the_known_ground(self, bench, wish):
        bench.to_stimulating(5.0)
        bench.do("pause")
        bench.hold(None, 500)
        assert bench.set_envelope().ok
        assert (bench.name, bench.state.ground) == ("CONNECTED", {})

    def test_does_not_give_dose_or_on_time_back(self, bench):
        bench.to_stimulating(5.0)
        bench.do("pause")
        bench.hold(None, 600)
        dose, ontime = bench.state.dose, bench.state.ontime
        bench.set_envelope(channels=(ChannelLimits("calf", 0, 25.0, 40.0),))
        assert bench.state.dose == dose
        assert 0 < ontime[0].used_ns - bench.state.ontime[0].used_ns < 10_000_000

    @pytest.mark.parametrize(("field", "value"), [("session", "ses-02"), ("subject", "P002")])
    def test_names_this_session_and_person(self, bench, field, value):
        bench.step()
        wanted = getattr(bench.envelope, field)
        reply = bench.set_envelope(**{field: value})
        assert (reply.ok, reply.reason) == (False, f"envelope.{field}: found {value!r}, this is {wanted!r}")
        assert bench.state.envelope is None

    def test_refuses_what_is_too_wide_or_no_envelope(self, bench):
        bench.step()
        assert bench.set_envelope(rms_ma=25.1).reason == (
            "envelope.rms_ma: found 25.1, allowed is above 0 and at most 25"
        )
        assert bench.do("set_envelope", "director").reason == "envelope.channels: missing"
        assert bench.state.envelope is None

    def test_refuses_what_is_too_wide_for_the_device(self, new_gate):
        bench = new_gate(device=DeviceLimits(4, 30.0, 0.5, (20.0, 1000.0), (0.5, 200.0)))
        bench.step()
        assert "current_max_ma: found 40" in bench.set_envelope().reason

    def test_a_refused_one_leaves_the_one_before(self, bench):
        bench.to_ready()
        before = bench.state
        assert not bench.set_envelope(rms_ma=25.1).ok
        assert (bench.state.name, bench.state.envelope) == ("READY", before.envelope)


class TestCalibrating:
    def step_to(self, bench, current_ma, channel="left"):
        return bench.do("step", channel=channel, current_ma=current_ma)

    def test_starts_at_zero(self, bench, wish):
        bench.to_calibrating()
        bench.hold(wish(10.0), 1000)
        assert bench.ma() == 0.0
        assert bench.verdict.rule == "calibration step"
        assert bench.verdict.reasons == ("left: 0 of 10 mA, calibration step",)

    def test_one_step_an_act(self, bench, wish):
        bench.to_calibrating()
        reply = self.step_to(bench, 1.0)
        assert (reply.ok, reply.values) == (True, {"current_ma": 1.0})
        bench.hold(wish(10.0), 2000)
        assert bench.ma() == 1.0, "however long it waits"
        reply = self.step_to(bench, 2.5)
        assert (reply.ok, reply.reason) == (False, "step.current_ma: found 2.5, at most 2 now")
        assert self.step_to(bench, 2.0).ok

    def test_steps_are_300_ms_apart(self, bench):
        bench.to_calibrating()
        step = bench.act("step", channel="left", current_ma=1.0)
        assert bench.step(acts=[step, replace(step, arguments={"channel": "left", "current_ma": 2.0})]).replies[0].ok
        assert bench.verdict.replies[1].reason == "steps are at least 300 ms apart"
        bench.hold(None, 290)
        up = [bench.act("step", channel="left", current_ma=2.0)]
        assert not bench.step(acts=up, after_ms=9.999999).replies[0].ok
        assert bench.step(acts=up, after_ms=0.000001).replies[0].ok

    def test_down_is_free_and_counts_as_a_step(self, bench, wish):
        bench.to_calibrating()
        for ma in (1.0, 2.0, 3.0):
            assert self.step_to(bench, ma).ok
            bench.hold(wish(ma), 400)
        assert self.step_to(bench, 0.5).ok
        assert self.step_to(bench, 0.5).ok, "as is staying"
        assert bench.state.arming.level_ma == 0.5
        assert not self.step_to(bench, 1.5).ok
        bench.hold(wish(3.0), 400)
        assert bench.ma() == 0.5
        assert self.step_to(bench, 1.5).ok
        assert self.step_to(bench, -4.0).ok
        assert bench.state.arming.level_ma == 0.0

    def test_a_sum_of_steps_may_be_off_by_a_rounding_error(self, new_gate, envelope):
        bench = new_gate(replace(envelope, step_ma=0.1)).to_calibrating()
        level_ma = 0.0
        for _ in range(30):
            level_ma += 0.1
            assert self.step_to(bench, level_ma).ok
            bench.hold(None, 300)
        assert not self.step_to(bench, level_ma + 0.1001).ok

    def test_is_a_step_and_a_rounding_error_at_most(self, bench):
        bench.to_calibrating()
        assert not self.step_to(bench, 1.0 + 1.1e-9).ok
        assert self.step_to(bench, 1.0 * (1.0 + 1e-9)).ok

    def test_ends_at_the_calibration_cap(self, new_gate, envelope, wish):
        bench = new_gate(replace(envelope, current_ma_calibrating=2.5)).to_calibrating()
        for ma in (1.0, 2.0):
            assert self.step_to(bench, ma).ok
            bench.hold(wish(ma), 400)
        reply = self.step_to(bench, 3.0)
        assert (reply.ok, reply.reason) == (False, "step.current_ma: found 3, calibration ends at 2.5")
        assert self.step_to(bench, 2.5).ok

    def test_may_go_beyond_the_channels_own_limit(self, new_gate, envelope, wish):
        """The threshold above it is what calibration looks for."""
        low = replace(envelope, channels=(ChannelLimits("left", 0, 25.0, 1.0), ChannelLimits("right", 1, 25.0, 1.0)))
        bench = new_gate(low).to_calibrating()
        for ma in (1.0, 2.0):
            self.step_to(bench, ma)
            bench.hold(wish(ma), 400)
        assert bench.ma() == 2.0
        bench.do("pause")
        bench.hold(None, 600)
        assert bench.arm().ok
        bench.step(wish(0.0))
        bench.hold(wish(2.0), 500)
        assert bench.ma() == 1.0, "and not outside of it"

    @pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "1", True, 10**400, [1.0]])
    def test_asks_for_a_number(self, bench, value):
        bench.to_calibrating()
        reply = self.step_to(bench, value)
        assert (reply.ok, reply.reason) == (False, f"step.current_ma: found {value!r}, allowed is a finite number")
        assert bench.state.arming.level_ma == 0.0

    def test_is_of_one_channel(self, bench, wish):
        bench.to_calibrating()
        reply = self.step_to(bench, 1.0, "right")
        assert (reply.ok, reply.reason) == (False, "step.channel: found 'right', not the one armed")
        assert bench.do("step", current_ma=1.0).reason == "step.channel: found None, not the one armed"
        verdict = bench.step(wish({"left": 1.0, "right": 1.0}))
        assert (verdict.rule, verdict.reasons) == ("calibration", ("calibration: only left is being calibrated",))
        self.step_to(bench, 1.0)
        assert bench.step(wish({"left": 1.0, "right": 0.0})).allowed

    def test_is_only_when_armed_for_it(self, bench):
        bench.to_armed()
        reply = self.step_to(bench, 1.0)
        assert (reply.ok, reply.reason) == (False, "a step is an act of calibration, this is ARMED")

    def test_starts_at_zero_again_when_armed_again(self, bench, wish):
        bench.to_calibrating()
        self.step_to(bench, 1.0)
        bench.hold(wish(1.0), 400)
        bench.do("pause")
        bench.hold(None, 600)
        bench.arm("calibration", channel="left")
        assert bench.state.arming.level_ma == 0.0
        bench.step(wish(0.0))
        bench.hold(wish(1.0), 100)
        assert bench.ma() == 0.0

    def test_obeys_the_rise_as_well(self, new_gate, envelope, wish):
        """Steps of an operator who taps ahead of what the person has had."""
        bench = new_gate().to_calibrating()
        for ma in (1.0, 2.0, 3.0):
            self.step_to(bench, ma)
            bench.hold(None, 300)
        bench.step(wish(3.0))
        assert bench.ma() == 1.0
        assert bench.verdict.rule == "rise onto new ground"


def test_settings_start_without_a_prior_dose():
    settings = GateSettings("ses", "P", "SIM", (), DEVICE)
    assert settings.prior.day_charge_mc == 0.0
