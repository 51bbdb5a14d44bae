"""The second reading of bytes for the device: apart from the first, and only symmetric pulses pass."""

import ast
import inspect
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.driver import DecodedOutput, DriverError
from myoloop.stimulators.sciencemode import commands, decoder
from myoloop.stimulators.sciencemode.commands import Point, Train
from myoloop.stimulators.sciencemode.frames import Frame, encode

GOLDEN = Path(__file__).resolve().parents[2] / "data" / "golden"
PACKAGE = {v["name"]: v for v in json.loads((GOLDEN / "sm4_commands_science_mode_4.json").read_text())["vectors"]}
PULSE = (Point(200, 20), Point(200, -20))


def pulse(points=PULSE, *, number=0, channel=1, connector=0, execute=True):
    return commands.ll_channel_config(number, channel, connector, points, execute=execute)


def update(points=PULSE, *, output=0, code=40, quarter_ms=False, ramp=0, number=0):
    return commands.ml_update(number, {output: Train(tuple(points), code, quarter_ms, ramp)})


def read(data, *, outputs=8, gap_us=0, quarter_ms=True):
    return decoder.update(data, outputs=outputs, gap_us=gap_us, quarter_ms=quarter_ms).outputs


def test_it_shares_nothing_with_what_encodes():
    source = inspect.getsource(decoder)
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"__future__", "typing", "myoloop.stimulators.driver"}


def test_vendor_bytes_are_read():
    data = bytes.fromhex(PACKAGE["ll_cfg_biphasic_300us_12p5mA_ch2_green"]["hex"])
    assert decoder.one_pulse(data, outputs=8, gap_us=100) == (7, 6, 12.5, 300.0, 0)
    data = bytes.fromhex(PACKAGE["ll_cfg_max_130mA_4095us"]["hex"])
    assert decoder.one_pulse(data, outputs=8, gap_us=0) == (10, 7, 130.0, 4095.0, 0)
    data = bytes.fromhex(PACKAGE["ml_update_all_off"]["hex"])
    assert decoder.update(data, outputs=8, gap_us=0, quarter_ms=True) == (13, ())


def test_vendor_bytes_with_a_ramp_or_unbalanced_are_refused():
    for name in ("ml_update_single_ch5_40Hz", "ml_update_vendor_example"):
        with pytest.raises(DriverError, match="ramp"):
            read(bytes.fromhex(PACKAGE[name]["hex"]), gap_us=100)
    for name in ("ll_cfg_16_points", "ll_cfg_stuffing_heavy"):
        with pytest.raises(DriverError, match="not balanced"):
            decoder.one_pulse(bytes.fromhex(PACKAGE[name]["hex"]), outputs=8, gap_us=0)
    with pytest.raises(DriverError, match="not to be given"):
        decoder.one_pulse(bytes.fromhex(PACKAGE["ll_cfg_no_execute"]["hex"]), outputs=8, gap_us=0)


SHAPES = {
    "negative first": (Point(200, -20), Point(200, 20)),
    "one phase of no current": (Point(200, 0),),
    "one phase": (Point(200, 20),),
    "no current": (Point(200, 0), Point(200, 0)),
    "no width": (Point(0, 20), Point(0, -20)),
    "more charge back": (Point(200, 20), Point(201, -20)),
    "balanced, not symmetric": (Point(200, 20), Point(100, -40)),
    "two pulses": PULSE * 2,
    "gap that is not to be": (Point(200, 20), Point(100, 0), Point(200, -20)),
    "three phases": (Point(100, 20), Point(200, -20), Point(100, 20)),
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_other_shapes_are_refused(shape):
    with pytest.raises(DriverError, match=r"symmetric|balanced"):
        decoder.one_pulse(pulse(shape), outputs=8, gap_us=0)
    with pytest.raises(DriverError, match=r"symmetric|balanced"):
        read(update(shape))


def test_the_gap_must_be_the_one_that_was_set():
    gapped = (Point(200, 20), Point(100, 0), Point(200, -20))
    assert decoder.one_pulse(pulse(gapped), outputs=8, gap_us=100).current_ma == 10.0
    for gap_us in (0, 99, 101):
        with pytest.raises(DriverError, match="symmetric"):
            decoder.one_pulse(pulse(gapped), outputs=8, gap_us=gap_us)
    with pytest.raises(DriverError, match="symmetric"):
        decoder.one_pulse(pulse(), outputs=8, gap_us=100)


def framed(command, payload):
    return encode(Frame(0, command, payload))


def word(us, half_ma, low=0):
    return (us << 20 | (half_ma + 300) << 10 | low).to_bytes(4, "big")


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (framed(32, b""), "not of an update"),
        (framed(34, b"\x00"), "not of an update"),
        (framed(32, b"\x01\x10"), "ends too early"),
        (framed(32, b"\x01\x10\x00\x50" + word(200, 20)), "2 points in 4 bytes"),
        (update() [:-1] + b"\x00", "not one frame"),
        (framed(32, b"\x00\x00"), "1 bytes too many"),
        (framed(32, b"\x01\x10\x00\x00" + word(200, 20) + word(200, -20)), "period code 0"),
        (framed(32, b"\x01\x10\x00\x01" + word(200, 20) + word(200, -20)), "period code 1"),
        (framed(32, b"\x01\x10\x00\x50" + word(200, 20, 0x20) + word(200, -20)), "reserved"),
        (framed(32, b"\x01\x10\x00\x50" + word(200, 261) + word(200, -261)), "130"),
        (update(ramp=1), "ramp"),
        (update(ramp=8), "ramp"),
    ],
)  # fmt: skip
def test_updates_that_are_not_whole_or_say_more_are_refused(data, why):
    with pytest.raises(DriverError, match=why):
        read(data)


def test_what_a_rehamove3_does_not_have_is_refused():
    with pytest.raises(DriverError, match="does not have"):
        read(update(output=4), outputs=4, quarter_ms=False)
    with pytest.raises(DriverError, match="period code"):
        read(update(quarter_ms=True), outputs=4, quarter_ms=False)
    with pytest.raises(DriverError, match="the device has 4"):
        decoder.one_pulse(pulse(connector=1), outputs=4, gap_us=0)


@pytest.mark.parametrize(
    ("data", "why"),
    [(framed(4, b"\x00"), "not of a pulse"), (framed(2, b""), "not of a pulse"),
     (framed(2, b"\x81" + word(200, 20)), "2 points"), (framed(2, b"\x81" + word(200, 20) * 3), "2 points"),
     (pulse(execute=False), "not to be given")],
)  # fmt: skip
def test_pulses_that_are_not_whole_are_refused(data, why):
    with pytest.raises(DriverError, match=why):
        decoder.one_pulse(data, outputs=8, gap_us=0)


def crc(data):
    return decoder._crc(data).to_bytes(2, "big")


def raw(stuffed):
    """A frame with these bytes on the wire and a right checksum."""
    head = (len(stuffed) + 10).to_bytes(2, "big") + crc(stuffed)
    return b"\xf0" + b"".join(bytes((0x81, byte ^ 0x55)) for byte in head) + stuffed + b"\x0f"


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not one frame"),
        (bytes(12), "not one frame"),
        (b"\xf0" + bytes(1300) + b"\x0f", "not one frame"),
        (raw(b"\x00\x20\x00") + b"\x0f", "another length"),
        (raw(b"\x00\x20\xf0"), "inside"),
        (raw(b"\x00\x20\x0f"), "inside"),
        (raw(b"\x00\x20\x81\x55"), "wrong stuffing"),
        (raw(b"\x00\x20\x81"), "wrong stuffing"),
        (raw(b"\x81\xa5"), "without a command"),
    ],
)
def test_what_is_not_exactly_one_frame_is_refused(data, why):
    with pytest.raises(DriverError, match=why):
        read(data)


def table(*entries, head=b"MT", count=None):
    body = b"".join(
        period_us.to_bytes(4, "big") + len(packet).to_bytes(2, "big") + packet for period_us, packet in entries
    )
    body = head + bytes((len(entries) if count is None else count,)) + body
    return body + crc(body)


def read_table(data):
    return decoder.train_table(data, outputs=8, gap_us=0)


def test_the_table_of_a_train_is_read():
    assert read_table(table()) == ()
    assert read_table(table((20_000, pulse()), (28_571, pulse(connector=1)))) == (
        (DecodedOutput(1, 10.0, 200.0, 50.0, 0), 20_000),
        (DecodedOutput(5, 10.0, 200.0, 1e6 / 28_571, 0), 28_571),
    )


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not the table"),
        (table(head=b"MX"), "not the table"),
        (table(count=1), "too early"),
        (table((20_000, pulse()), count=2), "too early"),
        (table((20_000, pulse()), count=0), "too many"),
        (table((0, pulse())), "wrong length or period"),
        (table((20_000, pulse()), (20_000, pulse())), "twice"),
        (table((20_000, pulse(number=1))), "has a number"),
        (table((20_000, update())), "not of a pulse"),
        (b"MT\x01" + b"\0\0\x4e\x20\x00\x40" + crc(b"MT\x01" + b"\0\0\x4e\x20\x00\x40"), "wrong length"),
    ],
)
def test_other_tables_are_refused(data, why):
    with pytest.raises(DriverError, match=why):
        read_table(data)


@settings(deadline=None)
@given(st.sampled_from(["update", "pulse", "table"]), st.data())
def test_no_spoiled_byte_passes(what, data):
    good = {"update": update(), "pulse": pulse(), "table": table((20_000, pulse()))}[what]
    kind = data.draw(st.sampled_from(["cut", "longer", "flipped", "twice"]))
    if kind == "cut":
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    elif kind == "longer":
        bad = good + data.draw(st.binary(min_size=1, max_size=20))
    elif kind == "twice":
        bad = good * 2
    else:
        at = data.draw(st.integers(0, len(good) - 1))
        bad = good[:at] + bytes((good[at] ^ data.draw(st.integers(1, 255)),)) + good[at + 1 :]
    reading = {"update": read, "pulse": lambda b: decoder.one_pulse(b, outputs=8, gap_us=0), "table": read_table}
    with pytest.raises(DriverError):
        reading[what](bad)


# Soundness: what passes is within the device's range and is said by exactly one sequence of bytes.

codes = st.one_of(st.sampled_from([0, 1, 20, 260, 261, 300, -1, -20, -260, -300]), st.integers(-300, 723))
words = st.one_of(
    st.tuples(st.sampled_from([0, 1, 10, 200, 4095]), codes).map(lambda one: word(*one)),
    st.binary(min_size=4, max_size=4),
)
symmetric = st.tuples(st.integers(1, 4095), st.integers(1, 300)).map(
    lambda one: word(one[0], one[1]) + word(one[0], -one[1])
)
shapes = st.one_of(symmetric, st.lists(words, min_size=1, max_size=4).map(b"".join))


@settings(deadline=None)
@given(st.one_of(st.sampled_from([0x81, 0xA1, 0xF1]), st.integers(0, 255)), shapes)
def test_no_pulse_passes_that_is_not_symmetric_and_within_130_ma(head, shape):
    data = framed(2, bytes((head,)) + shape)
    try:
        number, output, current_ma, phase_us, net = decoder.one_pulse(data, outputs=8, gap_us=0)
    except DriverError:
        return
    assert 0 < current_ma <= 130
    assert 0 < phase_us <= 4095
    assert net == 0
    half_ma = round(current_ma * 2)
    points = (Point(round(phase_us), half_ma), Point(round(phase_us), -half_ma))
    assert commands.ll_channel_config(number, output % 4, output // 4, points) == data


@settings(deadline=None)
@given(st.integers(0, 255), st.lists(st.tuples(st.integers(0, 65535), shapes), max_size=3), st.booleans())
def test_no_update_passes_that_is_not_said_in_just_these_bytes(mask, trains, ramped):
    fields = b"".join(
        bytes(((len(shape) // 4 - 1) << 4 | ramped,)) + period.to_bytes(2, "big") + shape for period, shape in trains
    )
    if len(trains) < 3:
        mask = (0, 4, 17)[len(trains)]
    data = framed(32, bytes((mask,)) + fields)
    try:
        number, outputs = decoder.update(data, outputs=8, gap_us=0, quarter_ms=True)
    except DriverError:
        return
    assert not ramped or not outputs
    assert all(0 < one.current_ma <= 130 and one.net_charge_wire == 0 for one in outputs)
    again = {}
    for (period, _), one in zip(trains, outputs, strict=True):
        half_ma = round(one.current_ma * 2)
        again[one.output] = Train(
            (Point(round(one.phase_us), half_ma), Point(round(one.phase_us), -half_ma)), period >> 1, bool(period & 1)
        )
        assert one.rate_hz == pytest.approx(1000 / ((period >> 1) * (0.25 if period & 1 else 0.5)), rel=1e-12)
    assert commands.ml_update(number, again) == data
