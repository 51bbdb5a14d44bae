"""Wiring and wishes: only what the device can do, said exactly, current never rounded up."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import Driver, DriverError, PulseByPulse
from myoloop.stimulators.registry import make_driver
from myoloop.stimulators.sciencemode.driver import ScienceMode34Driver
from myoloop.stimulators.sciencemode.settings import ScienceMode34Settings

GIVEN = {"channels": {"left": 0, "right": 1}, "port": "", "device": "p24", "current_max_ma": 60.0}
KINDS = [("p24", "low"), ("p24", "mid"), ("rehamove3", "low"), ("rehamove3", "mid")]


def setting(current_ma=20.0, *, channel="left", phase_us=250.0, rate_hz=50.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


def driver(device="p24", level="low", **more):
    return ScienceMode34Driver(ScienceMode34Settings(**{**GIVEN, "device": device, "level": level, **more}))


@pytest.mark.parametrize("kind", KINDS)
def test_it_meets_the_contract(kind):
    assert isinstance(driver(*kind), Driver)
    assert isinstance(driver(*kind), PulseByPulse)
    assert driver(*kind).capabilities.times_itself == (kind[1] == "mid")


def test_it_is_made_by_name():
    rig = {"port": "/dev/ttyACM0", "device": "rehamove3", "current_max_ma": 30, "level": "mid"}
    made = make_driver("sciencemode34", rig, {"left": 3})
    assert made.capabilities.outputs == 4
    for missing in ("device", "current_max_ma", "port"):
        with pytest.raises(DriverError, match=missing):
            make_driver("sciencemode34", {k: v for k, v in rig.items() if k != missing}, {"left": 3})


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ({"device": "p25"}, "allowed are p24, rehamove3"),
        ({"level": "high"}, "allowed are low, mid"),
        ({"channels": {}}, "none is named"),
        ({"channels": {"a": 8}}, "a P24 has 0 to 7"),
        ({"channels": {"a": -1}}, "a P24 has 0 to 7"),
        ({"channels": {"a": 4}, "device": "rehamove3"}, "a RehaMove3 has 0 to 3"),
        ({"channels": {"a": 1, "b": 1}}, "two channels on one output"),
        ({"current_max_ma": 130.5}, "allowed is 0.5 to 130"),
        ({"current_max_ma": 0.0}, "allowed is 0.5 to 130"),
        ({"current_max_ma": math.nan}, "allowed is 0.5 to 130"),
        ({"load_ohm": 0.0}, "greater than 0"),
        ({"load_ohm": math.inf}, "greater than 0"),
        ({"load_ohm": 3000.0}, "needs 180 V, the device has 150"),
        ({"interphase_us": 9}, "allowed is 0, or 10 to 1000"),
        ({"interphase_us": 1001}, "allowed is 0, or 10 to 1000"),
        ({"interphase_us": -1}, "allowed is 0, or 10 to 1000"),
    ],
)
def test_wiring_that_cannot_be_is_refused(wrong, why):
    with pytest.raises(DriverError, match=why):
        ScienceMode34Settings(**{**GIVEN, **wrong})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (setting(channel="middle"), "unknown or twice; there are left, right"),
        (setting(-0.5), "allowed is 0 to 60"),
        (setting(60.5), "allowed is 0 to 60"),
        (setting(math.nan), "allowed is 0 to 60"),
        (setting(math.inf), "allowed is 0 to 60"),
        (setting(phase_us=250.5), "whole numbers"),
        (setting(phase_us=math.nan), "whole numbers"),
        (setting(phase_us=math.inf), "whole numbers"),
        (setting(phase_us=9.0), "allowed is 10 to 4095"),
        (setting(phase_us=4096.0), "allowed is 10 to 4095"),
        (setting(rate_hz=0.0), "Hz, allowed is"),
        (setting(rate_hz=math.nan), "Hz, allowed is"),
        (setting(rate_hz=math.inf), "Hz, allowed is"),
        (setting(rate_hz=2001.0), "Hz, allowed is"),
        (setting(rate_hz=33.3), "whole multiples"),
    ],
)
def test_what_cannot_be_said_is_refused(kind, wrong, why):
    with pytest.raises(DriverError, match=why):
        driver(*kind).encode([wrong])


def test_a_channel_twice_is_refused():
    with pytest.raises(DriverError, match="twice"):
        driver().encode([setting(), setting()])


@pytest.mark.parametrize("level", ["low", "mid"])
def test_more_than_the_device_can_give_at_once_is_refused(level):
    wired = driver("p24", level, channels={f"c{i}": i for i in range(8)})
    wanted = [setting(10.0, channel=f"c{i}", phase_us=1170.0, rate_hz=50.0) for i in range(8)]
    assert len(wired.decode(wired.encode(wanted[:7]))) == 7
    with pytest.raises(DriverError, match="of each second"):
        wired.encode([setting(10.0, channel=f"c{i}", phase_us=1220.0, rate_hz=50.0) for i in range(8)])


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_decoding_gives_back_what_was_encoded_never_above_it(kind, data):
    gap_us = data.draw(st.sampled_from([0, 10, 100]))
    wired = driver(*kind, interphase_us=gap_us)
    can = wired.capabilities
    step_us = round(can.period_step_us)
    periods = st.integers(math.ceil(1e6 / can.rate_max_hz / step_us), int(1e6 / can.rate_min_hz) // step_us)
    one = st.builds(
        lambda ma, us, steps: setting(ma, phase_us=float(us), rate_hz=1e6 / (steps * step_us)),
        st.floats(0, 60), st.integers(10, 900), periods.filter(lambda steps: steps * step_us >= 5000),
    )  # fmt: skip
    asked = data.draw(st.lists(one, max_size=1))
    decoded = {output.output: output for output in wired.decode(wired.encode(asked))}
    for wish in asked:
        output = decoded.pop(0, None)
        if output is None:
            assert wish.current_ma < 0.5
            continue
        assert output.current_ma <= wish.current_ma < output.current_ma + 0.5
        assert output.phase_us == wish.phase_us
        assert output.rate_hz == pytest.approx(wish.rate_hz, rel=1e-12)
        assert output.net_charge_wire == 0
    assert not decoded


def test_magnitudes_round_down_where_science_mode_4_rounds_half_to_even():
    # It makes 1.0 mA of 0.75; the vendor's library makes -1.0 of -0.75.
    (output,) = driver().decode(driver().encode([setting(0.75)]))
    assert output.current_ma == 0.5


def test_35_hz_on_a_p24_and_a_rehamove3():
    # 28.5 ms; 33.25 ms only where quarters of a millisecond can be said.
    for kind in KINDS:
        wired = driver(*kind)
        (output,) = wired.decode(wired.encode([setting(rate_hz=1e6 / 28_500)]))
        assert output.rate_hz == pytest.approx(35.0877, rel=1e-5)
    assert driver("p24", "mid").encode([setting(rate_hz=1e6 / 33_250)])
    with pytest.raises(DriverError, match="multiples of 500 us"):
        driver("rehamove3", "mid").encode([setting(rate_hz=1e6 / 33_250)])


def test_the_steps_named_are_those_that_can_be_said():
    for kind, step_us in zip(KINDS, (1.0, 250.0, 1.0, 500.0), strict=True):
        assert driver(*kind).capabilities.period_step_us == step_us


def test_the_same_wish_is_the_same_bytes():
    for kind in KINDS:
        wired = driver(*kind)
        assert wired.encode([setting()]) == wired.encode([setting()])


def test_an_output_is_called_by_its_channel_or_its_number():
    wiring = ScienceMode34Settings(**{**GIVEN, "level": "low"})
    assert [wiring.name_of(output) for output in (0, 1, 5)] == ["left", "right", "output 5"]
