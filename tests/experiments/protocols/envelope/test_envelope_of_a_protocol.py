"""From protocol and thresholds to the gate's envelope: defaults as agreed, nothing ever wider."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.experiments.protocols.envelope import DEFAULTS, make_envelope, narrow
from myoloop.experiments.protocols.plan import Plan, make_plan, personal_envelope
from myoloop.experiments.protocols.rigsummary import InputChannel, OutputChannel, RigSummary
from myoloop.experiments.protocols.schema import load_protocol, presets
from myoloop.experiments.sessions.thresholds import Thresholds
from myoloop.stimulators.driver import Capabilities
from myoloop.stimulators.gate.envelope import DeviceLimits, check_envelope, parse_envelope

GOLDEN = json.loads((Path(__file__).parents[3] / "data" / "default_envelope.json").read_text())
DEVICE = Capabilities(
    outputs=4, current_max_ma=130.0, current_step_ma=1.0, phase_min_us=20.0, phase_max_us=500.0, phase_step_us=1.0,
    rate_min_hz=1.0, rate_max_hz=120.0, lease_ms=200.0, times_itself=False,
)  # fmt: skip
LIMITS = DeviceLimits(4, 130.0, 1.0, (20.0, 500.0), (1.0, 120.0))
MICROCURRENT_LIMITS = DeviceLimits(4, 1.0, 0.01, (20.0, 1_000_000.0), (0.1, 1000.0))


def rig_for(protocol, *, pad_cm2=None, rig_class="SIM"):
    inputs = [InputChannel(name, "emg", 2000.0, f"amp-{name}") for name in protocol.devices.emg.channels]
    inputs.append(InputChannel("imu", "imu", 100.0, "imu"))
    outputs = [
        OutputChannel(name, number, pad_cm2 or protocol.sites[channel.site].pad_area_cm2)
        for number, (name, channel) in enumerate(protocol.stimulation.items())
    ]
    return RigSummary("r", rig_class, tuple(inputs), tuple(outputs), DEVICE)


@pytest.mark.parametrize("waveform", sorted(DEFAULTS))
def test_defaults_are_those_agreed(waveform):
    ours, agreed = DEFAULTS[waveform], GOLDEN["default"][waveform]
    assert ours.current_calibrating_ma == agreed["current_mA_calibrating"]
    assert list(ours.phase_us) == agreed["phase_us"]
    assert list(ours.rate_hz) == agreed["rate_hz"]
    assert ours.charge_per_phase_uc == agreed["charge_per_phase_uC"]
    assert ours.rms_ma == agreed["rms_mA_per_channel"]
    assert ours.rms_density_ma_cm2 == agreed["rms_density_mA_cm2"]
    assert ours.step_ma == agreed["step_mA"]
    assert ours.new_ground_ma_per_s == agreed["new_ground_mA_per_s"]
    assert ours.known_ground_ramp_s_min == agreed["known_ground_ramp_s_min"]
    assert ours.session_s == agreed["session_min"] * 60
    assert ours.on_s_max == agreed.get("on_s")
    if "on_s" in agreed:
        assert ours.duty_max == pytest.approx(agreed["on_s"] / (agreed["on_s"] + agreed["off_s"]))
    assert ours.sessions_per_day == GOLDEN["ceiling"][waveform]["sessions_per_day_max"]


@pytest.mark.parametrize("name", sorted(presets()))
def test_the_gate_takes_the_envelope_of_every_preset_as_it_travels(name):
    protocol = load_protocol(name)
    envelope = make_envelope(protocol, rig_for(protocol), "s", "p")
    travelled = parse_envelope(json.loads(json.dumps(msgspec.to_builtins(envelope))))
    check_envelope(travelled, MICROCURRENT_LIMITS if protocol.devices.stim.device_class == "uA" else LIMITS)
    assert travelled.sha256 == envelope.sha256


def test_what_a_protocol_says_is_what_is_enforced():
    protocol = load_protocol("crps_motor_reeducation")
    envelope = make_envelope(protocol, rig_for(protocol), "s", "p")
    assert envelope.charge_per_phase_uc == 8.0
    assert envelope.duty_max == 0.4
    assert envelope.new_ground_ma_per_s == 2.0
    assert envelope.ramp_down_s == 2.0
    assert envelope.current_ma_calibrating == 30.0
    assert envelope.session_on_s_max == 480.0
    assert envelope.required_vitals == ("vital/amp-ext", "vital/amp-flex")
    # 8 uC x 80 Hz x 480 s on one channel
    assert envelope.session_charge_mc_max == pytest.approx(307.2)


def test_the_smaller_pad_counts():
    protocol = load_protocol("demo")
    assert make_envelope(protocol, rig_for(protocol, pad_cm2=10.0), "s", "p").channels[0].pad_area_cm2 == 10.0
    assert make_envelope(protocol, rig_for(protocol, pad_cm2=99.0), "s", "p").channels[0].pad_area_cm2 == 25.0


def test_a_rig_that_lacks_something_gives_no_envelope():
    protocol = load_protocol("demo")
    with pytest.raises(ValueError, match="no stimulation channel ext"):
        make_envelope(protocol, RigSummary("r", "SIM", rig_for(protocol).inputs), "s", "p")
    with pytest.raises(ValueError, match="none of the EMG channels ext, flex"):
        make_envelope(protocol, RigSummary("r", "SIM", (), rig_for(protocol).outputs), "s", "p")


@given(tolerance_ma=st.floats(0.5, 130.0), step_ma=st.sampled_from([0.01, 0.1, 0.5, 1.0, 2.0]))
@settings(deadline=None)
def test_thresholds_only_lower_and_in_whole_steps(tolerance_ma, step_ma):
    protocol = load_protocol("demo")
    envelope = make_envelope(protocol, rig_for(protocol), "s", "p")
    cap_ma = 0.9 * tolerance_ma
    (channel,) = narrow(envelope, {"ext": cap_ma}, step_ma).channels
    assert channel.current_max_ma <= min(cap_ma, 40.0)
    assert channel.current_max_ma > min(cap_ma, 40.0) - step_ma * (1 + 1e-6)


def test_channels_without_thresholds_keep_the_protocols_limit():
    protocol = load_protocol("lbp_spasm_relief")
    plan = make_plan(protocol, rig_for(protocol), "s", "p")
    found = Thresholds(5.0, None, 20.0, 20.0)
    assert [limits.current_max_ma for limits in personal_envelope(plan, {"left": found}).channels] == [18.0, 45.0]


def test_a_tolerance_that_was_not_met_caps_at_what_was_tried():
    protocol = load_protocol("demo")
    plan = make_plan(protocol, rig_for(protocol), "s", "p")
    found = Thresholds(5.0, 9.0, None, 25.0)
    assert personal_envelope(plan, {"ext": found}).channels[0].current_max_ma == 25.0


@pytest.mark.parametrize("name", sorted(presets()))
def test_a_plan_survives_its_json(name):
    protocol = load_protocol(name)
    plan = make_plan(protocol, rig_for(protocol), "s", "p")
    assert msgspec.json.decode(msgspec.json.encode(plan), type=Plan) == plan


@pytest.mark.parametrize(
    ("name", "rig_class", "says"),
    [
        ("demo", "BENCH", "demo runs on SIM rigs only, r is BENCH"),
        ("playback_fatigue", "HUMAN", "runs on SIM, BENCH rigs only"),
    ],
)
def test_no_plan_for_a_rig_it_must_not_run_on(name, rig_class, says):
    protocol = load_protocol(name)
    with pytest.raises(ValueError, match=says):
        make_plan(protocol, rig_for(protocol, rig_class=rig_class), "s", "p")


def test_given_thresholds_never_reach_a_person():
    protocol = load_protocol("playback_fatigue")
    header = protocol.protocol.model_copy(update={"rigs": ("HUMAN",)})
    protocol = protocol.model_copy(update={"protocol": header})
    with pytest.raises(ValueError, match="instead of measuring them"):
        make_plan(protocol, rig_for(protocol, rig_class="HUMAN"), "s", "p")


def test_of_two_rules_of_a_kind_the_stricter_counts(tmp_path):
    text = presets()["demo"].read_text().replace(
        "  - pain_rise: 2\n", "  - pain_rise: 3\n  - pain_rise: 2\n  - session_max: 9 min\n"
    )  # fmt: skip
    path = tmp_path / "p.yaml"
    path.write_text(text)
    protocol = load_protocol(path)
    stop = make_plan(protocol, rig_for(protocol), "s", "p").stop
    assert (stop.pain_rise, stop.session_max_s) == (2.0, 240.0)


@pytest.mark.parametrize(
    ("phase_us", "rate_hz", "current_max_ma"),
    [((20.0, 500.0), (0.5, 50.0), 130.0), ((250.0, 250.0), (35.0, 35.0), 42.0), ((10.0, 4095.0), (0.1, 100.0), 40.0)],
)
def test_an_envelope_is_no_wider_than_the_device(phase_us, rate_hz, current_max_ma):
    """A RehaStim2 ends at 50 Hz, a unit set by hand has one width and one rate: the gate takes it all the same."""
    protocol = load_protocol("demo")
    device = replace(
        DEVICE, phase_min_us=phase_us[0], phase_max_us=phase_us[1], rate_min_hz=rate_hz[0], rate_max_hz=rate_hz[1],
        current_max_ma=current_max_ma,
    )  # fmt: skip
    envelope = make_envelope(protocol, replace(rig_for(protocol), device=device), "s", "x")
    assert envelope.phase_us == (max(100.0, phase_us[0]), min(400.0, phase_us[1]))
    assert envelope.rate_hz == (max(2.0, rate_hz[0]), min(80.0, rate_hz[1]))
    assert envelope.current_ma_calibrating == min(50.0, current_max_ma)
    check_envelope(envelope, DeviceLimits(4, current_max_ma, 1.0, phase_us, rate_hz))


def test_a_device_with_no_rate_of_the_envelope_is_refused():
    protocol = load_protocol("demo")
    device = replace(DEVICE, rate_min_hz=90.0, rate_max_hz=120.0)
    with pytest.raises(ValueError, match=r"envelope\.rate: found 2 to 80 Hz, the device gives 90 to 120 Hz"):
        make_envelope(protocol, replace(rig_for(protocol), device=device), "s", "x")
