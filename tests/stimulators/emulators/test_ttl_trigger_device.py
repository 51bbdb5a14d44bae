"""The trigger box by its edges, and its sketch, compiled for this host, beside the emulator."""

import binascii
import itertools
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.emulators.ttl_trigger import PERIOD_MIN_US, PULSES_MAX, TtlTriggerDevice

MS = 1_000_000
ROOT = Path(__file__).parents[3]
SKETCH = ROOT / "examples/firmware/ttl_trigger/ttl_trigger.ino"
BENCH = ROOT / "tests/data/firmware"


def line(body):
    return body.encode() + b"*%04X\n" % binascii.crc_hqx(body.encode(), 0xFFFF)


@pytest.fixture
def device():
    made = TtlTriggerDevice(start_ns=0)
    assert made.take(0) == line("H,1")
    return made


def times_ms(device, until_ms):
    return [pulse.t_ns / MS for pulse in device.pulses_until(until_ms * MS)]


def test_it_meets_the_contract(device):
    assert isinstance(device, Emulator)


def test_a_train_begins_at_once_and_ends_by_itself(device):
    device.feed(line("T,1,100,25000,0,0,0"), 10 * MS)
    assert device.active == (0,)
    assert device.pulses_until(10 * MS) == [Pulse(10 * MS, 0, 10.0, 200.0)]
    assert times_ms(device, 1000) == [35, 60, 85]
    assert device.active == ()


def test_a_train_that_is_renewed_goes_on_at_its_period(device):
    for t_ms in range(10, 400, 50):
        device.feed(line(f"T,{t_ms},120,20000,0,33000,0"), t_ms * MS)
    pulses = device.pulses_until(400 * MS)
    for output, period_ms in ((0, 20), (2, 33)):
        own = [pulse.t_ns // MS for pulse in pulses if pulse.output == output]
        assert {b - a for a, b in itertools.pairwise(own)} == {period_ms}


def test_off_and_on_again_does_not_beat_the_period(device):
    for t_ms in range(0, 60, 10):
        device.feed(line(f"T,1,120,{0 if t_ms % 20 else 50000},0,0,0"), t_ms * MS)
    assert times_ms(device, 59) == [0, 50]


def test_a_line_gives_no_more_than_its_count(device):
    device.feed(line("T,1,250,6667,0,0,0"), 0)
    assert len(device.pulses_until(1000 * MS)) == 38 <= PULSES_MAX


@pytest.mark.parametrize("stop", [line("S,2"), b"nonsense\n", line("T,2,120,0,0,0,0"), line("X,1"), b"x" * 90 + b"\n"])
def test_stop_zero_and_whatever_is_not_understood_are_low_at_once(device, stop):
    device.feed(line("T,1,250,10000,0,0,0"), 0)
    device.feed(stop, 45 * MS)
    assert device.active == ()
    assert times_ms(device, 400) == [0, 10, 20, 30, 40]


@pytest.mark.parametrize(
    "fields", ["0,20000,0,0,0", "251,20000,0,0,0", f"100,{PERIOD_MIN_US - 1},0,0,0", "100,1000001,0,0,0"]
)
def test_a_value_out_of_range_is_refused_and_all_low(device, fields):
    device.feed(line("T,1,250,10000,0,0,0"), 0)
    device.take(0)
    device.feed(line(f"T,7,{fields}"), 5 * MS)
    assert device.active == ()
    assert device.take(5 * MS).startswith(b"e,7,5000,2,1,5000,0,0")


def test_answers_tell_how_many_there_were_and_when(device):
    device.feed(line("T,1,100,20000,0,0,0"), 10 * MS)
    device.feed(line("S,2"), 55 * MS)
    assert device.take(60 * MS) == line("t,1,10000,20000,0,0,0,1,0,0,0,0,0,0,0") + line(
        "s,2,55000,0,0,0,0,3,5000,0,0,0,0,0,0"
    )


def test_faults_are_in_the_ledger(device):
    device.faults.open_electrodes.add(0)
    device.feed(line("T,1,100,20000,0,0,0"), 0)
    assert device.pulses_until(500 * MS) == []
    device.faults.open_electrodes.clear()
    device.faults.stuck_on = True
    device.feed(line("T,1,100,20000,0,0,0"), 1000 * MS)
    device.feed(line("S,2"), 1010 * MS)
    assert times_ms(device, 2000) == [1000, 1020, 1040, 1060, 1080]
    device.faults.stuck_on = False
    device.faults.reset_at_ns = 3050 * MS
    device.feed(line("T,1,250,20000,0,0,0"), 3000 * MS)
    assert times_ms(device, 4000) == [3000, 3020, 3040]


fragments = st.one_of(
    st.binary(max_size=80),
    st.text("ITS0123456789,*ABCDEF\n", max_size=60).map(str.encode),
    st.sampled_from(
        [b"T,1,100,20000,0,0,0*0000\n", line("S,1"), line("I,2"), line("T,1,100"), line("T,1,99999999999")]
    ),
)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(fragments, st.integers(0, 400)), max_size=20))
def test_arbitrary_bytes_never_raise_and_give_no_pulse(parts):
    device, t_ms = TtlTriggerDevice(start_ns=0), 0
    for data, wait_ms in parts:
        device.feed(data, t_ms * MS)
        t_ms += wait_ms
        device.take(t_ms * MS)
    assert device.pulses_until((t_ms + 1000) * MS) == []


commands = st.one_of(
    st.tuples(
        st.just("T"), st.integers(0, 260), st.lists(st.sampled_from([0, 6667, 10_000, 33_333, 500_000]), min_size=4,
                                                   max_size=4),
    ).map(lambda t: line(f"T,5,{t[1]},{','.join(map(str, t[2]))}")),
    st.sampled_from([line("S,9"), line("I,4"), b"\n", b"T,1\n", line("S,9")[:4], line("T,4294967296,1,0,0,0,0")]),
)  # fmt: skip
scripts = st.lists(st.tuples(st.integers(0, 300), commands), max_size=12)


@settings(deadline=None, max_examples=100)
@given(scripts)
def test_no_output_is_ever_quicker_than_the_firmware_allows(script):
    device, t_ms = TtlTriggerDevice(start_ns=0), 0
    for wait_ms, data in script:
        t_ms += wait_ms
        device.feed(data, t_ms * MS)
    pulses = device.pulses_until((t_ms + 1000) * MS)
    for output in range(4):
        own = [pulse.t_ns for pulse in pulses if pulse.output == output]
        assert all(b - a >= PERIOD_MIN_US * 1000 for a, b in itertools.pairwise(own))
    assert all(pulse.t_ns < (t_ms + 250) * MS for pulse in pulses)


@pytest.fixture(scope="module")
def sketch(tmp_path_factory):
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("no C++ compiler here")
    made = tmp_path_factory.mktemp("sketch")
    program = made / "sketch"
    subprocess.run(
        [compiler, "-Wall", "-Wextra", "-Werror", "-O1", f"-I{BENCH}", "-x", "c++", "-include", str(SKETCH),
         str(BENCH / "bench.cpp"), "-o", str(program)], check=True,
    )  # fmt: skip
    return program


def test_the_sketch_gives_a_train_over_the_wrap_of_its_clock(sketch):
    rows = [f"{t_ms * 1000} {line(f'T,{t_ms},120,20000,0,0,25000').hex()}" for t_ms in range(800, 1200, 50)]
    rows += [f"1210000 {line('S,9').hex()}", "2000000 -"]
    said = subprocess.run([sketch], input="\n".join(rows), capture_output=True, text=True, check=True).stdout
    for output, period_us, count in ((0, 20_000, 21), (3, 25_000, 17)):
        times = [int(t_us) for t_us in re.findall(rf"^E (\d+) {output}$", said, re.MULTILINE)]
        assert len(times) == count
        assert {b - a for a, b in itertools.pairwise(times)} <= {period_us, period_us + 10}


@settings(deadline=None, max_examples=30)
@given(scripts)
def test_the_sketch_does_what_the_emulator_does(sketch, script):
    """Its loop runs every 10 us here, and its clock wraps within the first 0.97 s."""
    device, t_ms, rows = TtlTriggerDevice(start_ns=0), 1, []
    for wait_ms, data in script:
        t_ms += wait_ms
        device.feed(data, t_ms * MS)
        rows.append(f"{t_ms * 1000} {data.hex()}")
    t_ms += 600
    rows.append(f"{t_ms * 1000} -")
    said = subprocess.run([sketch], input="\n".join(rows), capture_output=True, text=True, check=True).stdout
    edges = sorted((int(t_us), int(output)) for t_us, output in re.findall(r"^E (\d+) (\d+)$", said, re.MULTILINE))
    pulses = [(pulse.t_ns // 1000, pulse.output) for pulse in device.pulses_until(t_ms * MS)]
    late_us = 10 * (1 + len(pulses))
    for output in range(4):
        own = [t_us for t_us, number in edges if number == output]
        emulated = [t_us for t_us, number in pulses if number == output]
        # An edge at the very end of a train may fall on either side of it.
        assert abs(len(own) - len(emulated)) <= len(script)
        if len(own) == len(emulated):
            assert all(0 <= a - b <= late_us for a, b in zip(own, emulated, strict=True))
    kinds = [row[0] for row in re.findall(r"^A \d+ (.*)$", said, re.MULTILINE)]
    assert kinds == [row[0] for row in device.take(t_ms * MS).decode().splitlines()]


def test_pulses_since_then_are_told_when_they_are_asked_for(device):
    """A body lives in blocks: a command may be heard after the end of the block whose pulses are asked for."""
    device.feed(line("T,1,200,25000,0,0,0"), 10 * MS)
    device.feed(line("T,2,200,25000,0,0,0"), 100 * MS)
    assert times_ms(device, 40) == [10, 35]
    assert times_ms(device, 100) == [60, 85]
