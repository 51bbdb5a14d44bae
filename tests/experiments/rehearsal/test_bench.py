"""What is rehearsed on a rig: steps within its device and pads, a protocol without a mistake, nothing on HUMAN rigs."""

from dataclasses import replace

import pytest
from ruamel.yaml import YAML

from myoloop.experiments.protocols.lint import lint_file
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.rehearsal.bench import RehearsalError, bench_of, say_bench
from myoloop.experiments.sessions.acting import check_script
from myoloop.experiments.sessions.emulated_rig import DRIVERS, emulated_rig_data
from myoloop.experiments.sessions.setup import summarise
from myoloop.experiments.sessions.survey import survey
from myoloop.platform.rig import Rig
from myoloop.stimulators.driver import Capabilities

DEVICE = Capabilities(8, 130.0, 0.5, 10.0, 4095.0, 1.0, 0.1, 100.0, None, False)


def rig_of(rootpath, device="p24", protocol="device_train.yaml", **more):
    return Rig.model_validate(emulated_rig_data(load_protocol(rootpath / "tests/data" / protocol), device, **more))


@pytest.fixture
def rig(request):
    return rig_of(request.config.rootpath)


@pytest.mark.parametrize(("device", "level"), [*((each, "low") for each in DRIVERS if each != "ttl"), ("p24", "mid")])
def test_the_protocol_of_every_emulated_rig_has_no_mistake(request, tmp_path, device, level):
    rig = rig_of(request.config.rootpath, device, level=level)
    known = survey(rig)
    bench = bench_of(rig, known.device, 10.0)
    file = tmp_path / "rehearsal.yaml"
    with file.open("w") as out:
        YAML().dump(bench.protocol(), out)
    assert [str(each) for each in lint_file(str(file), summarise(rig, known)) if each.severity == "error"] == []
    check_script(bench.script(), load_protocol(file), rig, "real")
    for one in bench.steps:
        assert list(one.currents_ma) == sorted(one.currents_ma)
        assert one.currents_ma[-1] <= min(known.device.current_max_ma, 100.0)
        for current_ma in one.currents_ma:
            assert current_ma / known.device.current_step_ma == pytest.approx(
                round(current_ma / known.device.current_step_ma)
            )


def test_two_channels_are_stepped_through_one_after_the_other(request):
    rig = rig_of(request.config.rootpath, protocol="two_channels.yaml")
    bench = bench_of(rig, DEVICE, 20.0)
    assert len(bench.steps) == 2
    names = [each["block"]["channels"] for each in bench.protocol()["phases"] if "block" in each]
    assert all(len(channels) == 1 for channels in names)
    assert {channels[0] for channels in names} == set(rig.stimulation)
    assert sum(one.starts for one in bench.steps) == 20
    assert "then a train on" in say_bench(bench)


def test_the_largest_step_is_what_the_device_and_the_pad_bear(rig):
    assert bench_of(rig, DEVICE).steps[0].currents_ma == (25.0, 50.0, 75.0, 100.0)
    assert bench_of(rig, replace(DEVICE, current_max_ma=12.0)).steps[0].currents_ma == (3.0, 6.0, 9.0, 12.0)
    small = rig.model_copy(
        update={"stimulation": {name: at.model_copy(update={"pad": "6 cm2"}) for name, at in rig.stimulation.items()}}
    )
    assert 30.0 < bench_of(small, DEVICE).steps[0].currents_ma[-1] < 40.0


def test_a_device_of_one_current_is_rehearsed_at_that(rig):
    assert bench_of(rig, replace(DEVICE, current_max_ma=4.0, current_step_ma=4.0)).steps[0].currents_ma == (4.0,)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"current_max_ma": 1.0, "current_step_ma": 0.01}, "rehearse microcurrent with a protocol of its own"),
        ({"phase_min_us": 1000.0}, "a rehearsal needs some of 100 to 400 us"),
        ({"rate_max_hz": 1.0}, "2 to 80 Hz"),
        ({"current_step_ma": 15.0}, "the gate lets current rise by at most 5 mA at once"),
        ({"current_step_ma": 4.0, "current_max_ma": 3.0}, "at most 3 mA can be rehearsed on this pad"),
    ],
)
def test_a_device_that_cannot_be_rehearsed_so_is_refused_in_one_line(rig, change, says):
    with pytest.raises(RehearsalError, match=says) as refused:
        bench_of(rig, replace(DEVICE, **change))
    assert "\n" not in str(refused.value)


def test_a_human_rig_is_refused_and_how_to_rehearse_it_is_said(rig):
    human = rig.model_copy(update={"rig": rig.rig.model_copy(update={"rig_class": "HUMAN"})})
    with pytest.raises(RehearsalError, match="dummy load: put all leads on 1 kilo-ohm, copy the rig file, write class"):
        bench_of(human, DEVICE)


def test_a_rig_without_a_channel_is_refused(rig):
    with pytest.raises(RehearsalError, match="has no stimulation"):
        bench_of(rig.model_copy(update={"stimulation": {}}), DEVICE)


def test_its_length_is_about_what_it_says(rig):
    bench = bench_of(rig, replace(DEVICE, current_max_ma=12.0), 10.0)
    assert bench.seconds == pytest.approx(27.5, abs=0.1)
