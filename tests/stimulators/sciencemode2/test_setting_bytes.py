"""A setting as bytes and back: exactly what was allowed, never above it, and nothing else is believed."""

import inspect
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.sciencemode2 import commands, decoder, encoder
from myoloop.stimulators.sciencemode2.decoder import decode_setting
from myoloop.stimulators.sciencemode2.encoder import encode_setting
from myoloop.stimulators.sciencemode2.frames import Packet, Parser, crc8, frame

OUTPUTS = {f"channel {output}": output for output in range(8)}
periods_us = st.integers(40, 2000).map(lambda steps: steps * 500)


def setting(current_ma=20.0, *, channel="channel 0", phase_us=250.0, rate_hz=40.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


@st.composite
def wanted(draw):
    rate_hz = 1e6 / draw(periods_us)
    return [
        setting(draw(st.floats(0, 130)), channel=channel, phase_us=float(draw(st.integers(20, 500))), rate_hz=rate_hz)
        for channel in draw(st.lists(st.sampled_from(sorted(OUTPUTS)), unique=True))
    ]


@settings(deadline=None)
@given(wanted(), st.integers(0, 255))
def test_decoding_gives_back_what_was_encoded_never_above_it(asked, number):
    decoded = {output.output: output for output in decode_setting(encode_setting(asked, OUTPUTS, number))}
    for one in asked:
        output = decoded.pop(OUTPUTS[one.channel], None)
        if output is None:
            assert one.current_ma < 1
            continue
        assert output.current_ma <= one.current_ma < output.current_ma + 1
        assert (output.phase_us, output.rate_hz) == (one.phase_us, pytest.approx(one.rate_hz, rel=1e-12))
        assert output.net_charge_wire == 0
    assert not decoded


@pytest.mark.parametrize(("asked_ma", "said_ma"), [(10.0, 10.0), (10.99, 10.0), (1.0, 1.0), (0.99, None), (130.0, 130)])
def test_current_is_rounded_down(asked_ma, said_ma):
    decoded = decode_setting(encode_setting([setting(asked_ma)], OUTPUTS, 0))
    assert [output.current_ma for output in decoded] == ([] if said_ma is None else [said_ma])


def test_each_period_of_half_milliseconds_can_be_said():
    for steps in range(40, 2001):
        (output,) = decode_setting(encode_setting([setting(rate_hz=1e6 / (steps * 500))], OUTPUTS, 0))
        assert output.rate_hz == 1e6 / (steps * 500)


def test_the_rate_is_said_with_every_setting_and_zero_is_a_stop_alone():
    number = 254
    packets = Parser().take(encode_setting([setting(), setting(channel="channel 3")], OUTPUTS, number))
    assert [(packet.number, packet.command) for packet in packets] == [(254, 34), (255, 30), (0, 32)]
    assert packets[1].data == bytes((0, 0b1001, 0, 13, 0, 48, 0))
    assert packets[2].data == bytes((0, 0, 250, 20, 0, 0, 250, 20))
    assert encode_setting([setting(0.5)], OUTPUTS, 9) == encode_setting([], OUTPUTS, 9) == frame(Packet(9, 34))


def test_eight_slots_fit_between_the_pulses_of_a_group():
    eight = [setting(channel=channel) for channel in OUTPUTS]
    init = Parser().take(encode_setting(eight, OUTPUTS, 0))[1]
    assert init.data[3] * 0.5 + 1.5 == 12.0


def test_encoder_and_decoder_share_nothing():
    imported = [line for line in inspect.getsource(decoder).splitlines() if "import " in line]
    assert imported == [
        "from __future__ import annotations",
        "from myoloop.stimulators.driver import DecodedOutput, DriverError",
    ]
    for module in (encoder, commands):
        assert "decoder" not in inspect.getsource(module)


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (setting(channel="channel 9"), "unknown"),
        (setting(-1.0), "current_ma"),
        (setting(130.5), "current_ma"),
        (setting(math.nan), "current_ma"),
        (setting(math.inf), "current_ma"),
        (setting(phase_us=250.5), "the step is 1"),
        (setting(phase_us=19.0), "20 to 500"),
        (setting(phase_us=501.0), "20 to 500"),
        (setting(phase_us=math.nan), "phase_us"),
        (setting(rate_hz=30.0), "multiple of 0.5 ms"),
        (setting(rate_hz=40.0001), "multiple of 0.5 ms"),
        (setting(rate_hz=0.9), "1 to 50"),
        (setting(rate_hz=50.1), "1 to 50"),
        (setting(rate_hz=math.nan), "rate_hz"),
        (setting(rate_hz=math.inf), "rate_hz"),
    ],
)
def test_what_the_protocol_cannot_say_is_refused(wrong, why):
    with pytest.raises(DriverError, match=why):
        encode_setting([wrong], OUTPUTS, 0)


def test_a_channel_twice_and_two_rates_are_refused():
    with pytest.raises(DriverError, match="twice"):
        encode_setting([setting(), setting()], OUTPUTS, 0)
    with pytest.raises(
        DriverError, match=r"channel 0 40 Hz, channel 1 25 Hz: all outputs of a RehaStim2 have one rate"
    ):
        encode_setting([setting(), setting(channel="channel 1", rate_hz=25.0)], OUTPUTS, 0)


def test_the_rate_of_a_channel_without_current_does_not_matter():
    both = [setting(), setting(0.0, channel="channel 1", rate_hz=25.0)]
    assert encode_setting(both, OUTPUTS, 0) == encode_setting([setting()], OUTPUTS, 0)


INIT = bytes((0, 0b11, 0, 13, 0, 48, 0))
START = bytes((0, 0, 250, 20, 0, 0, 250, 20))


def three(init=INIT, start=START, numbers=(5, 6, 7), commands_=(34, 30, 32), stop=b""):
    data = zip(numbers, commands_, (stop, init, start), strict=True)
    return b"".join(frame(Packet(number, command, fields)) for number, command, fields in data)


def test_the_model_of_what_follows_is_right():
    assert [output.output for output in decode_setting(three())] == [0, 1]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "neither"),
        (frame(Packet(5, 32, START)), "neither"),
        (frame(Packet(5, 36, b"\x00\x00\xfa\x14")), "neither"),
        (three(commands_=(34, 32, 30)), "neither"),
        (three(stop=b"\x00"), "neither"),
        (three() + frame(Packet(8, 32, START)), "neither"),
        (three(numbers=(5, 7, 8)), "follow"),
        (three(init=INIT + b"\x00"), "init with 8 bytes"),
        (three(init=b"\x01" + INIT[1:]), "slower channels"),
        (three(init=INIT[:2] + b"\x01" + INIT[3:]), "slower channels"),
        (three(init=INIT[:6] + b"\x01"), "without fixed slots"),
        (three(init=b"\x00\x00" + INIT[2:], start=b""), "no output"),
        (three(init=INIT[:3] + b"\x0c" + INIT[4:]), "do not fit"),
        (three(init=INIT[:3] + b"\xff" + INIT[4:]), "do not fit"),
        (three(init=b"\x00\xff\x00\x0d\x00\x30\x00", start=START * 4), "do not fit"),
        (three(init=INIT[:4] + b"\x00\x00\x00"), "do not fit"),
        (three(init=INIT[:4] + b"\x00\x25\x00"), "period of 19500 us"),
        (three(init=INIT[:4] + b"\x07\xcf\x00"), "period of 1000500 us"),
        (three(start=START[:4]), "4 bytes for 2 outputs"),
        (three(start=b"\x01" + START[1:]), "no pulse"),
        (three(start=START[:3] + b"\x00" + START[4:]), "no pulse"),
        (three(start=START[:3] + b"\x83" + START[4:]), "no pulse"),
        (three(start=b"\x00\x00\x13" + START[3:]), "no pulse"),
        (three(start=b"\x00\x01\xf5" + START[3:]), "no pulse"),
        (b"\x00" + three(), "not whole packets"),
        (three()[:-1], "another length"),
        (three()[:7], "not whole packets"),
        (bytes.fromhex("f08149815600040f"), "another length"),
        (bytes.fromhex("f08148815700040f"), "checksum"),
    ],
)
def test_bytes_that_are_not_one_whole_setting_are_refused(data, why):
    with pytest.raises(DriverError, match=why):
        decode_setting(data)


def body(content):
    return bytes((0xF0, 0x81, crc8(content) ^ 0x55, 0x81, len(content) ^ 0x55)) + content + b"\x0f"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"\x05\x81\x77", "escape"),
        (b"\x05\x22\x81", "escape"),
        (b"\x05\xf0", "within"),
        (b"\x81\xa5", "without number"),
    ],
)
def test_a_body_that_the_encoder_never_writes_is_refused(content, why):
    with pytest.raises(DriverError, match=why):
        decode_setting(body(content))


@settings(deadline=None)
@given(wanted(), st.integers(0, 255), st.data())
def test_no_flipped_cut_or_lengthened_bytes_pass_for_another_setting(asked, number, data):
    good = encode_setting(asked, OUTPUTS, number)
    kind = data.draw(st.sampled_from(["cut", "longer", "flipped", "twice"]))
    if kind == "cut":
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    elif kind == "longer":
        bad = good + data.draw(st.binary(min_size=1, max_size=20))
    elif kind == "twice":
        bad = good + good
    else:
        at = data.draw(st.integers(0, len(good) - 1))
        bad = bytes((*good[:at], good[at] ^ 1 << data.draw(st.integers(0, 7)), *good[at + 1 :]))
    try:
        decoded = decode_setting(bad)
    except DriverError:
        return
    # A setting cut behind its stop is a stop.
    assert decoded == ()
    assert bad == good[: len(bad)]
