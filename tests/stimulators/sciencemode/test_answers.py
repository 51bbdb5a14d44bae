"""Answers of P24 and RehaMove3: all that the vendor's library can say, and nothing that is cut short."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.sciencemode import answers
from myoloop.stimulators.sciencemode.answers import (
    Answer,
    AnswerError,
    Battery,
    CurrentData,
    DeviceId,
    GeneralError,
    PulseDone,
    StimStatus,
    UnknownCommand,
    Version,
    read,
)
from myoloop.stimulators.sciencemode.frames import Frame, Receiver, encode

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"
ACKS = json.loads((GOLDEN / "sm4_acks_vendor_c_library.json").read_text())["vectors"]


def frame_of(vector):
    data = bytes.fromhex(vector["hex"])
    (frame,) = Receiver().feed(data)
    assert encode(frame) == data
    assert (frame.number, frame.command) == (vector["packet_number"], vector["command"])
    assert frame.payload.hex() == vector["payload_hex"]
    return frame


def by_name(name):
    return read(frame_of(next(v for v in ACKS if v["name"] == name)))


@pytest.mark.parametrize("vector", ACKS, ids=lambda v: v["name"])
def test_every_answer_of_the_vendors_library_is_framed_and_read(vector):
    answer = read(frame_of(vector))
    assert (answer.number, answer.command) == (vector["packet_number"], vector["command"])
    match = re.fullmatch(r"ack_cmd(\d+)_result(\d+)", vector["name"])
    if match:
        assert (answer.command, answer.result) == (int(match[1]), int(match[2]))
    kinds = {66: GeneralError, 67: UnknownCommand, 3: PulseDone, 37: CurrentData, 51: Version, 63: StimStatus}
    assert isinstance(answer, kinds.get(answer.command, Answer))


def test_versions():
    assert by_name("get_extended_version_ack") == Version(
        2, 69, 0, (4, 2, 1), (4, 0, 0), 0xDEADBEEF, "git", True
    )  # fmt: skip
    # science_mode_4 cannot read this one.
    assert by_name("get_version_main_ack") == Version(2, 51, 0, (2, 1, 16), (3, 2, 4))
    assert read(Frame(0, 69, bytes((0, *range(10), 9, 0)))).hash_kind == "kind 9"


def test_state_of_the_stimulation():
    for level in (0, 1, 2, 3):
        for high_voltage in (1, 6):
            name = f"get_stim_status_ack_st{level}_hv{high_voltage}"
            if any(vector["name"] == name for vector in ACKS):
                status = by_name(name)
                assert (status.level, status.high_voltage) == (level, high_voltage)
                assert status.stopped == (level == 0 and high_voltage == 1)
    assert str(by_name("get_stim_status_ack_st3_hv6")) == "mid level running, high voltage 150 V"
    assert str(StimStatus(0, 63, 0, 9, 9)) == "level 9, high voltage 9"


def test_receipts_of_pulses():
    assert by_name("ll_channel_config_ack_electrode_error") == PulseDone(8, 3, 10, 3)
    measured = by_name("ll_channel_config_ack_measurement")
    assert (measured.result, measured.output, measured.measurement, measured.sampling_us) == (0, 0, 1, 10)
    assert (len(measured.samples), measured.samples[:5]) == (128, (0, 10, 20, 30, 40))
    # ScienceMode 3, and the P24's printed table, have one byte less; the connector is in the upper half.
    assert read(Frame(1, 3, b"\x00\x12")) == PulseDone(1, 3, 0, 6)


def test_states_of_the_outputs():
    # science_mode_4 cannot read the first two.
    two = by_name("ml_get_current_data_ack_sel2")
    assert (two.running, two.active, two.states) == (True, None, (0, 0, 10, 0))
    three = by_name("ml_get_current_data_ack_sel3")
    assert (three.running, three.active, three.states) == (True, None, (0, 0, 10, 0) * 2)
    four = read(Frame(4, 37, bytes((0, 4, 0b10000001, 0x10, 0x02, 0x00, 0x3F))))
    assert (four.running, four.active) == (True, (True, *(False,) * 6, True))
    # The low half of each byte is the even output; a state we do not know is a protocol error.
    assert four.states == (0, 10, 16, 0, 0, 0, 3, 28)
    idle = read(Frame(4, 37, bytes((0, 4, 0, 0, 0, 0, 0))))
    assert (idle.running, set(idle.states)) == (False, {0})


def test_number_and_battery():
    assert read(Frame(1, 53, b"\x00P24-000123")) == DeviceId(1, 53, 0, "P24-000123")
    assert read(Frame(1, 53, b"\x00P24-1\0\0\0\0\0")).serial == "P24-1"
    assert read(Frame(1, 55, b"\x00\x50\x0f\xa0")) == Battery(1, 55, 0, 80, 4000)


@pytest.mark.parametrize("command", [37, 51, 53, 55, 63, 69])
def test_a_refusal_may_leave_out_the_rest(command):
    assert read(Frame(7, command, b"\x07")) == Answer(7, command, 7)


@pytest.mark.parametrize(
    "bad",
    [
        Frame(0, 1),
        Frame(0, 3, b"\x00"),
        Frame(0, 3, b"\x00\x00\x01\x00\x0a"),
        Frame(0, 37, b"\x00\x04\x00"),
        Frame(0, 37, b"\x00\x09" + bytes(20)),
        Frame(0, 51, bytes(6)),
        Frame(0, 53, bytes(10)),
        Frame(0, 55, bytes(3)),
        Frame(0, 63, bytes(2)),
        Frame(0, 69, bytes(12)),
        Frame(0, 99, bytes(3)),
        Frame(0, 52, bytes(3)),
    ],
)
def test_what_is_cut_short_or_unknown_is_refused(bad):
    with pytest.raises(AnswerError):
        read(bad)


@settings(deadline=None)
@given(st.integers(0, 63), st.integers(0, 1023), st.binary(max_size=300))
def test_whatever_comes_is_an_answer_or_refused(number, command, payload):
    try:
        answer = read(Frame(number, command, payload))
    except AnswerError:
        return
    assert (answer.number, answer.command, answer.result) == (number, command, payload[0])


def test_every_result_has_a_text_with_its_number():
    for result in range(1, 29):
        assert answers.result_text(result).endswith(f"(result {result})")
        assert "unknown result" not in answers.result_text(result)
    assert answers.result_text(200) == "unknown result (result 200)"
