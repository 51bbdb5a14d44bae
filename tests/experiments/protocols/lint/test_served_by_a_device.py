"""What a stimulator cannot give is refused before a session, in one line that names what was asked and the device."""

from dataclasses import replace

import pytest

from myoloop.experiments.protocols.lint import lint
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.emulated_rig import emulated_rig_data
from myoloop.experiments.sessions.run import check
from myoloop.experiments.sessions.setup import summarise
from myoloop.experiments.sessions.survey import survey
from myoloop.platform.rig import Rig
from myoloop.platform.yamlfile import FileError

PROTOCOL = "tests/data/device_train.yaml"
TWO = "tests/data/two_channels.yaml"


@pytest.fixture
def told(request, tmp_path):
    """Lines about a protocol with some words changed, on a rig with an emulated device; settings changed too."""

    def look(device, *changes, protocol=PROTOCOL, level="low", severity="error", can=None, **settings):
        text = (request.config.rootpath / protocol).read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "p.yaml"
        path.write_text(text)
        loaded = load_protocol(str(path))
        data = emulated_rig_data(loaded, device, level=level)
        data["nodes"]["stimulator"]["settings"] |= settings
        summary = summarise(Rig.model_validate(data))
        problems = lint(loaded, replace(summary, device=replace(summary.device, **(can or {}))))
        return [f"{each.place.split(': ')[-1]}: {each.text}" for each in problems if each.severity == severity]

    return look


@pytest.mark.parametrize("device", ["p24", "rehamove3", "rehastim2"])
@pytest.mark.parametrize("level", ["low", "mid"])
def test_what_a_device_can_serve_is_not_spoken_of(told, device, level):
    assert told(device, level=level) == []
    assert told(device, level=level, severity="warning") == told("p24", severity="warning")


@pytest.mark.parametrize(
    ("device", "change", "line"),
    [
        ("rehastim2", ("rate: 40 Hz", "rate: 60 Hz"), "stimulation.ext.rate: found 60 Hz, the device sciencemode2 "
         "gives 1 to 50 Hz"),
        ("rehastim2", ("phase: 250 us", "phase: 250.5 us"), "stimulation.ext.phase: found 250.5 us, allowed is a "
         "whole number of the device sciencemode2's steps of 1 us"),
        ("rehastim2", ("min_step: 1 mA", "min_step: 0.5 mA"), "devices.stim.min_step: found 0.5 mA, allowed is at "
         "least 1 mA: the device sciencemode2's least step"),
        ("openemsstim", ("min_step: 1 mA", "min_step: 1 mA"), "devices.stim.min_step: found 1 mA, allowed is at "
         "least 5 mA: the device openemsstim's least step"),
        ("openemsstim", ("  step: 5 mA", "  step: 2 mA"), "envelope.step: found 2 mA as the most that current "
         "rises by at once, it could never rise: the device openemsstim's least step is 5 mA"),
    ],
)  # fmt: skip
def test_what_a_device_cannot_give_is_refused_in_one_line_that_names_both(told, device, change, line):
    lines = [text for text in told(device, change) if text.startswith(line.split(": ")[0])]
    assert any(text.startswith(line) for text in lines), lines


def test_a_unit_that_is_set_by_hand_serves_its_own_width_and_rate_only(told):
    coarse = ("min_step: 1 mA", "min_step: 5 mA")
    assert told("openemsstim", coarse) == []
    lines = told("openemsstim", coarse, unit_rate_hz=35.0, unit_phase_us=200.0)
    assert lines == [
        "stimulation.ext.phase: found 250 us, the device openemsstim gives 200 to 200 us",
        "stimulation.ext.rate: found 40 Hz, the device openemsstim gives 35 to 35 Hz",
    ]


def test_a_stimulator_set_by_hand_to_more_than_one_rise_can_give_nothing(told):
    """The gate rises by no more than 5 mA at once: what has one current only must have no more than that."""
    changes = [("min_step: 1 mA", "min_step: 15 mA")]
    assert told("ttl", *changes) == [
        "envelope.step: found 5 mA as the most that current rises by at once, it could never rise: the device "
        "ttl_trigger's least step is 15 mA"
    ]


@pytest.mark.parametrize(
    ("device", "level", "given", "step"),
    [
        ("rehamove3", "mid", "34.48 Hz", "0.5 ms"),
        ("p24", "mid", "34.78 Hz", "0.25 ms"),
        ("p24", "low", None, None),
        ("rehastim2", "low", "34.48 Hz", "0.5 ms"),
    ],
)  # fmt: skip
def test_the_rate_that_will_really_be_given_is_told(told, device, level, given, step):
    lines = told(device, ("rate: 40 Hz", "rate: 35 Hz"), level=level, severity="warning")
    named = {"rehastim2": "sciencemode2"}.get(device, f"sciencemode34 ({device})")
    line = f"found 35 Hz, the device {named} gives {given}: its periods are whole numbers of {step}"
    spoken = [text for text in lines if "stimulation.ext.rate" in text]
    assert spoken == ([] if given is None else [f"stimulation.ext.rate: {line}"])


@pytest.mark.parametrize(
    ("device", "level", "rate_hz", "has"),
    [
        ("rehastim2", "low", 35, "34.4828 and 35.0877 Hz: its periods are whole numbers of 0.5 ms"),
        ("p24", "mid", 35, "34.7826 and 35.0877 Hz: its periods are whole numbers of 0.25 ms"),
        ("p24", "low", 60, "59.9988 and 60.0024 Hz: its periods are whole numbers of 0.001 ms"),
    ],
)  # fmt: skip
def test_an_envelope_of_one_rate_that_the_device_cannot_count_is_refused(told, device, level, rate_hz, has):
    """The gate would refuse every request: the rate as it would be given is below the least allowed."""
    changes = [
        ("rate: 40 Hz", f"rate: {rate_hz} Hz"),
        ("  step: 5 mA", f"  step: 5 mA\n  rate: [{rate_hz} Hz, {rate_hz} Hz]"),
    ]
    named = {"rehastim2": "sciencemode2"}.get(device, f"sciencemode34 ({device})")
    assert told(device, *changes, level=level) == [
        f"stimulation.ext.rate: found {rate_hz} Hz, allowed by the envelope is at least {rate_hz} Hz, and the device "
        f"{named} has {has}"
    ]


@pytest.mark.parametrize(("device", "rate_hz"), [("rehastim2", 40), ("p24", 40), ("rehastim2", 31.25)])
def test_an_envelope_of_one_rate_that_the_device_can_count_is_served(told, device, rate_hz):
    changes = [
        ("rate: 40 Hz", f"rate: {rate_hz} Hz"),
        ("  step: 5 mA", f"  step: 5 mA\n  rate: [{rate_hz} Hz, {rate_hz} Hz]"),
    ]
    assert told(device, *changes) == []


def test_a_quicker_rate_that_the_device_does_not_have_is_not_offered(told):
    can = {"rate_max_hz": 35.0, "period_step_us": 500.0}
    changes = [("rate: 40 Hz", "rate: 35 Hz"), ("  step: 5 mA", "  step: 5 mA\n  rate: [35 Hz, 40 Hz]")]
    (line,) = told("p24", *changes, can=can)
    assert line.endswith("has 34.4828 Hz: its periods are whole numbers of 0.5 ms")


def test_a_rate_whose_next_longer_period_is_too_long_is_refused(told):
    can = {"rate_min_hz": 39.9, "period_step_us": 500.0}
    assert told("p24", ("rate: 40 Hz", "rate: 39.95 Hz"), can=can) == [
        "stimulation.ext.rate: found 39.95 Hz, the device sciencemode34 (p24) gives 39.22 Hz, which is below its least "
        "of 39.9 Hz"
    ]


TWO_RATES = ("right: {site: right, phase: 100 us, rate: 90 Hz}", "right: {site: right, phase: 100 us, rate: 40 Hz}")


def test_outputs_of_one_rate_are_not_asked_for_two(told):
    slow = ("left: {site: left, phase: 100 us, rate: 90 Hz}", "left: {site: left, phase: 100 us, rate: 45 Hz}")
    line = "found left at 45 Hz, right at 40 Hz, the device sciencemode2 gives all its outputs one rate"
    lines = told("rehastim2", slow, TWO_RATES, protocol=TWO)
    # The calibration goes channel by channel: only the block has both at once.
    assert [text for text in lines if "one rate" in text] == [f"phases[2].block: {line}"]
    assert not [text for text in told("p24", slow, TWO_RATES, protocol=TWO) if "one rate" in text]
    one = ("  pause_ramp: 2 s", "  pause_ramp: 2 s\n  channels_max: 1")
    assert not [text for text in told("rehastim2", slow, TWO_RATES, one, protocol=TWO) if "one rate" in text]


def test_more_than_the_device_has_time_for_is_refused_by_its_own_encoder(told):
    """Widths that fit each alone and not both together, by the maker's rule of total time."""
    wide = ("phase: 100 us, rate: 90 Hz", "phase: 3000 us, rate: 90 Hz")
    lines = told("p24", wide, protocol=TWO)
    said = [text for text in lines if "phases[2].block: the device sciencemode34 (p24): pulses on all outputs" in text]
    assert len(said) == 1
    assert "allowed is less than 1000" in said[0]


def test_more_channels_than_the_device_has_are_refused(told):
    lines = told("openemsstim", protocol=TWO)
    assert not [text for text in lines if "is output" in text]
    with pytest.raises(FileError, match="channel right: output 9, the board has 0 and 1"):
        _two_on("openemsstim", 9)


def _two_on(device, output):
    protocol = load_protocol(TWO)
    data = emulated_rig_data(protocol, device)
    data["stimulation"]["right"]["output"] = output
    return survey(Rig.model_validate(data))


def test_what_a_maker_forbids_is_refused_in_one_line_that_names_site_and_device():
    protocol = load_protocol("neck_strength")
    simulated = {str(each) for each in lint(protocol) if each.severity == "error"}
    for device, named in (("p24", "sciencemode34 (p24)"), ("rehastim2", "sciencemode2")):
        rig = Rig.model_validate(emulated_rig_data(protocol, device))
        lines = [str(each) for each in lint(protocol, summarise(rig)) if each.severity == "error"]
        own = [text for text in lines if text not in simulated]
        assert own
        assert all(f": {named}: the maker's instructions rule out the neck as a whole" in text for text in own), own
        with pytest.raises(FileError, match="neck"):
            check(protocol, rig)


def analog_rig(rig_class, said):
    protocol = load_protocol(PROTOCOL)
    data = emulated_rig_data(protocol, "p24")
    data["rig"]["class"] = rig_class
    data["nodes"]["stimulator"] |= {
        "driver": "analog",
        "settings": {
            "port": "Dev1", "rig_class": said, "volts_per_ma": 0.5, "source_current_max_ma": 15.0, "zero_code": 0,
        },
    }  # fmt: skip
    return Rig.model_validate(data)


@pytest.mark.parametrize(("rig_class", "said"), [("BENCH", "SIM"), ("SIM", "BENCH")])
def test_a_driver_is_told_the_rig_s_own_class(rig_class, said):
    with pytest.raises(FileError, match=f"rig_class: found '{said}', driver 'analog' is on a rig that is {rig_class}"):
        survey(analog_rig(rig_class, said))
    assert survey(analog_rig(rig_class, rig_class)).device is not None


SET_UP = "tests/data/set_up.yaml"


def test_each_rate_that_an_optimisation_tries_is_told_as_it_will_be_given(told):
    lines = told("p24", protocol=SET_UP, severity="warning", can={"period_step_us": 4000.0})
    assert [line for line in lines if "optimise.rates" in line] == [
        "phases[2].optimise.rates[1]: found 35 Hz, the device sciencemode34 (p24) gives 31.25 Hz: its periods are "
        "whole numbers of 4 ms",
    ]


def test_two_rates_of_an_optimisation_that_are_given_as_one_are_refused(told):
    lines = told("p24", protocol=SET_UP, can={"period_step_us": 20_000.0})
    assert "phases[2].optimise.rates[1]: found 35 Hz, the device sciencemode34 (p24) gives it as 25 Hz: 25 Hz" in lines
    assert told("p24", protocol=SET_UP) == []
