"""Commands to P24 and RehaMove3: the vendor's bytes, and only values that the device has."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.sciencemode import commands, decoder
from myoloop.stimulators.sciencemode.commands import Command, Point, Train
from myoloop.stimulators.sciencemode.frames import Frame, Receiver, encode

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"
PACKAGE = json.loads((GOLDEN / "sm4_commands_science_mode_4.json").read_text())["vectors"]
VENDOR = json.loads((GOLDEN / "sm4_commands_vendor_c_library.json").read_text())["vectors"]
EXAMPLES = json.loads((GOLDEN / "sm3_vendor_examples.json").read_text())["vectors"]


def points(pairs):
    return tuple(Point(us, round(2 * ma)) for us, ma in pairs)


def built(name, number, fields):
    """What our encoder makes of a vector's fields."""
    if name.startswith("ll_init"):
        return commands.ll_init(number, **fields)
    if name.startswith("ll_cfg"):
        return commands.ll_channel_config(
            number, fields["channel"], fields["connector"], points(fields["points_us_mA"]), execute=fields["execute"]
        )
    if name.startswith("ml_init"):
        return commands.ml_init(number, **fields)
    if name.startswith("ml_update"):
        trains = {
            output: Train(points(one["points_us_mA"]), one["period_ms"] * 2, ramp=one["ramp"])
            for output, one in enumerate(fields["channels"])
            if one is not None and one.get("active", True)
        }
        return commands.ml_update(number, trains)
    if name.startswith("ml_get_current_data"):
        return commands.ml_get_current_data(number, fields["data_selection"])
    return commands.plain(number, Command[re.sub(r"_n\d+$", "", name).upper()])


@pytest.mark.parametrize("vector", [v for v in PACKAGE if not v["name"].startswith("dl_")], ids=lambda v: v["name"])
def test_every_stimulator_command_is_byte_for_byte_that_of_science_mode_4(vector):
    # It rounds currents half to even and wraps long periods, which its own vectors here do not touch.
    assert built(vector["name"], vector["packet_number"], vector["fields"]).hex() == vector["hex"]


BY_NAME = {v["name"]: v for v in PACKAGE}


@pytest.mark.parametrize("vector", VENDOR, ids=lambda v: v["name"])
def test_every_command_is_byte_for_byte_that_of_the_vendors_library(vector):
    name = vector["name"]
    shared = BY_NAME.get(name)
    pulse = (Point(200, 10), Point(200, -10))
    if shared is not None:
        data = built(name, shared["packet_number"], shared["fields"])
    elif match := re.fullmatch(r"ll_init_mode(\d)_hv(\d)", name):
        data = commands.ll_init(4, measurement=int(match[1]), high_voltage=int(match[2]))
    elif match := re.fullmatch(r"ml_update_period_(\d+)(?:p(\d+))?_acc([01])", name):
        period_ms = float(f"{match[1]}.{match[2] or 0}")
        quarter_ms = match[3] == "1"
        train = Train(pulse, round(period_ms * (4 if quarter_ms else 2)), quarter_ms)
        data = commands.ml_update(16, {0: train})
    elif match := re.fullmatch(r"ml_get_current_data_sel(\d)", name):
        data = commands.ml_get_current_data(2, int(match[1]))
    else:
        data = commands.plain(4, Command[name.upper()])
    assert data.hex() == vector["hex"]
    assert len(data) == vector["length"]


BIPHASIC = (Point(250, 40), Point(100, 0), Point(250, -40))
SM3 = {
    "ll_init_pn0": commands.ll_init(0),
    "ll_channel_config_pn1_red_250us_20mA": commands.ll_channel_config(1, 0, 0, BIPHASIC),
    "ll_stop_pn2": commands.plain(2, Command.LL_STOP),
    "ml_init_pn0": commands.ml_init(0, stop_all_on_error=False),
    "ml_update_pn1_red_blue": commands.ml_update(
        1,
        {
            0: Train((Point(200, 40), Point(100, 0), Point(200, -40)), 40, ramp=3),
            1: Train((Point(100, 20), Point(100, 0), Point(100, -20)), 20, ramp=3),
        },
    ),
    "ml_get_current_data_pn2_sel2": commands.ml_get_current_data(2, 2),
    "ml_stop_pn3": commands.plain(3, Command.ML_STOP),
}


@pytest.mark.parametrize("vector", EXAMPLES, ids=lambda v: v["name"])
def test_the_examples_in_the_rehamove3_document_come_out(vector):
    assert SM3[vector["name"]].hex() == vector["hex"]


@pytest.mark.parametrize("vector", PACKAGE + VENDOR + EXAMPLES, ids=lambda v: v["name"])
def test_every_vector_is_read_as_one_frame_and_framed_again_alike(vector):
    data = bytes.fromhex(vector["hex"])
    (frame,) = Receiver().feed(data)
    assert encode(frame) == data
    if "packet_number" in vector:
        assert (frame.number, frame.command) == (vector["packet_number"], vector["command"])


def test_there_is_no_command_of_the_measuring_unit_of_firmware_update_or_of_service():
    # science_mode_4 has those of the measuring unit (dl_...); a stimulator's driver has no use for them.
    assert all(command < 100 for command in Command)


# Where science_mode_4 does otherwise (reference: stimulators.md, section 0), and why ours does not.


def test_a_period_that_does_not_fit_is_refused_not_wrapped():
    # science_mode_4 says 0 for 16384 ms and 3616 for 20000.
    for period_ms in (16384, 20000):
        with pytest.raises(ValueError, match="period code"):
            commands.ml_update(0, {0: Train((Point(200, 10),), period_ms * 2)})


def test_more_than_130_ma_is_refused():
    # science_mode_4 takes 150, which the wire could say.
    for half_ma in (261, 300, -261, -300):
        with pytest.raises(ValueError, match="half_ma"):
            commands.ll_channel_config(0, 0, 0, (Point(200, half_ma),))


def test_half_milliseconds_can_be_said():
    # science_mode_4 takes whole milliseconds: 28.5 ms (35 Hz) cannot be said.
    (frame,) = Receiver().feed(commands.ml_update(0, {0: Train((Point(200, 10),), 57)}))
    assert int.from_bytes(frame.payload[2:4], "big") == 57 << 1


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: commands.plain(0, Command.ML_UPDATE),
        lambda: commands.plain(64, Command.ML_STOP),
        lambda: commands.ll_init(0, measurement=4),
        lambda: commands.ll_init(0, high_voltage=7),
        lambda: commands.ll_channel_config(0, 4, 0, (Point(1, 1),)),
        lambda: commands.ll_channel_config(0, 0, 2, (Point(1, 1),)),
        lambda: commands.ll_channel_config(0, 0, 0, ()),
        lambda: commands.ll_channel_config(0, 0, 0, (Point(1, 1),) * 17),
        lambda: commands.ll_channel_config(0, 0, 0, (Point(4096, 1),)),
        lambda: commands.ll_channel_config(0, 0, 0, (Point(-1, 1),)),
        lambda: commands.ml_update(0, {8: Train((Point(1, 1),), 10)}),
        lambda: commands.ml_update(0, {-1: Train((Point(1, 1),), 10)}),
        lambda: commands.ml_update(0, {0: Train((Point(1, 1),), 0)}),
        lambda: commands.ml_update(0, {0: Train((), 10)}),
        lambda: commands.ml_update(0, {0: Train((Point(1, 1),), 10, ramp=16)}),
        lambda: commands.ml_get_current_data(0, 1),
        lambda: commands.ml_get_current_data(0, 5),
    ],
)
def test_values_the_device_does_not_have_are_refused(wrong):
    with pytest.raises(ValueError):
        wrong()


# There and back again

numbers = st.integers(0, 63)


@given(numbers, st.sampled_from(sorted(commands.PLAIN)))
def test_plain_commands_go_there_and_back(number, command):
    assert Receiver().feed(commands.plain(number, command)) == [Frame(number, command)]


@given(numbers, st.integers(0, 3), st.integers(0, 6), st.booleans(), st.integers(2, 4))
def test_commands_of_one_byte_go_there_and_back(number, measurement, voltage, stop_all, selection):
    stream = (
        commands.ll_init(number, measurement=measurement, high_voltage=voltage)
        + commands.ml_init(number, stop_all_on_error=stop_all)
        + commands.ml_get_current_data(number, selection)
    )
    begin, begin_mid, ask = Receiver().feed(stream)
    assert (begin.number, begin.command) == (number, 0)
    assert (begin.payload[0] >> 4, begin.payload[0] >> 1 & 7) == (measurement, voltage)
    assert (begin_mid.number, begin_mid.command, begin_mid.payload) == (number, 30, bytes((stop_all,)))
    assert (ask.number, ask.command, ask.payload) == (number, 36, bytes((selection,)))


def shape(half_ma, width_us, gap_us):
    gap = (Point(gap_us, 0),) if gap_us else ()
    return (Point(width_us, half_ma), *gap, Point(width_us, -half_ma))


widths = st.integers(1, 4095)
gaps = st.sampled_from([0, 10, 100, 1000])


@settings(deadline=None)
@given(numbers, st.integers(0, 7), st.integers(1, 260), widths, gaps)
def test_a_pulse_goes_there_and_back(number, output, half_ma, width_us, gap_us):
    data = commands.ll_channel_config(number, output % 4, output // 4, shape(half_ma, width_us, gap_us))
    assert decoder.one_pulse(data, outputs=8, gap_us=gap_us) == (number, output, half_ma / 2, width_us, 0)


trains = st.tuples(st.integers(1, 260), widths, st.integers(1, 32767), st.booleans())


@settings(deadline=None)
@given(numbers, st.dictionaries(st.integers(0, 7), trains), gaps)
def test_an_update_goes_there_and_back(number, wanted, gap_us):
    data = commands.ml_update(
        number,
        {o: Train(shape(half_ma, us, gap_us), code, quarter) for o, (half_ma, us, code, quarter) in wanted.items()},
    )
    said, outputs = decoder.update(data, outputs=8, gap_us=gap_us, quarter_ms=True)
    assert said == number
    assert {one.output: (one.current_ma, one.phase_us, one.net_charge_wire) for one in outputs} == {
        output: (half_ma / 2, us, 0) for output, (half_ma, us, _, _) in wanted.items()
    }
    for one in outputs:
        _, _, code, quarter = wanted[one.output]
        assert one.rate_hz == pytest.approx(1000 / (code * (0.25 if quarter else 0.5)), rel=1e-12)
