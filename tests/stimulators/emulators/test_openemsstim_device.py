"""The openEMSstim board by the pulses that get through it, and by the traps of its firmware."""

import itertools
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.emulators.openemsstim import (
    BYTE_NS,
    OpenEmsStimDevice,
    OpenEmsStimSettings,
    share_of,
    wiper,
)

MS = 1_000_000
BOOTED_NS = 2000 * MS
GOLDEN = json.loads((Path(__file__).parents[2] / "data/golden/openemsstim_ascii.json").read_text())


def wv(text):
    return f"WV,0018,{text.encode().hex().upper()}.\n".encode()


@pytest.fixture
def device():
    made = OpenEmsStimDevice(start_ns=0)
    made.take(BOOTED_NS + 100 * MS)
    return made


def told(device, data, *, at_ms=2200, until_ms=3000):
    device.feed(data, at_ms * MS)
    return device.pulses_until(until_ms * MS)


def test_it_meets_the_contract(device):
    assert isinstance(device, Emulator)


def test_it_says_when_it_is_ready_and_hears_nothing_before():
    device = OpenEmsStimDevice(start_ns=0)
    device.feed(wv("C0I100T1000G"), 1000 * MS)
    assert device.take(1999 * MS) == b""
    assert device.take(2100 * MS) == b"SETUP DONE (LED 13 WILL BE ON)\r\n"
    assert device.pulses_until(4000 * MS) == []


@pytest.mark.parametrize("row", GOLDEN["wiper"], ids=lambda row: f"I{row['intensity_field']}")
def test_the_wiper_is_where_the_firmware_puts_it(row):
    assert wiper(row["intensity_field"]) == row["wiper"]


def test_no_intensity_is_no_zero():
    assert share_of(wiper(0)) == 54 / 213
    assert share_of(wiper(100)) == 1
    assert share_of(255) == 0


@pytest.mark.parametrize("vector", [v for v in GOLDEN["vectors"] if "channel0" in v], ids=lambda v: v["name"])
@pytest.mark.parametrize("plain", [False, True])
def test_golden_commands_open_the_gate_for_their_time(vector, plain):
    device = OpenEmsStimDevice(OpenEmsStimSettings(plain_text=plain), start_ns=0)
    data = bytes.fromhex(vector["bytes_hex"]) if plain else vector["wv_hex_framed"].encode() + b"\n"
    pulses = told(device, data, until_ms=9000)
    on_ms = min(vector["on_time_ms"], 5000)
    assert len(pulses) == pytest.approx(on_ms / 20, abs=1)
    current_ma = 15.0 * share_of(wiper(vector["intensity_pct"]))
    assert {(p.output, p.current_ma, p.phase_us) for p in pulses} <= {(vector["channel0"], current_ma, 250.0)}


def test_pulses_are_the_units_own_in_time(device):
    pulses = told(device, wv("C1I100T100G"))
    assert all(pulse.t_ns % (20 * MS) == 0 for pulse in pulses)
    assert pulses[0] == Pulse(pulses[0].t_ns, 1, 15.0, 250.0)
    assert 2200 * MS < pulses[0].t_ns < 2320 * MS


def test_the_gate_closes_when_its_time_is_over_to_the_nanosecond(device):
    data = wv("C0I100T100G")
    device.feed(data, 2200 * MS)
    device.pulses_until(2280 * MS)
    assert device.active == (0,)
    end_ns = device._outputs[0].end_ns
    device.pulses_until(end_ns - 1)
    assert device.active == (0,)
    device.pulses_until(end_ns)
    assert device.active == ()


def test_what_is_told_again_in_time_goes_on(device):
    for t_ms in range(2200, 3200, 120):
        device.feed(wv("C0I100T300G"), t_ms * MS)
    pulses = device.pulses_until(3160 * MS)
    assert {b.t_ns - a.t_ns for a, b in itertools.pairwise(pulses)} == {20 * MS}


@pytest.mark.parametrize("stop", [wv("C0T0G") + wv("C1T0G"), wv("C9G"), b"Connection End\n"])
def test_each_way_to_stop_works(device, stop):
    for output in (0, 1):
        device.feed(wv(f"C{output}I100T5000G"), (2200 + 120 * output) * MS)
    assert len({pulse.output for pulse in device.pulses_until(2600 * MS)}) == 2
    device.feed(stop, 2600 * MS)
    device.pulses_until(2800 * MS)
    assert device.active == ()
    assert device.pulses_until(5000 * MS) == []


def test_the_newest_firmware_lets_plain_text_go(device):
    assert told(device, b"C0I100T1000G\n") == []
    said = device.take(4000 * MS)
    assert b"Command NON HEX:C0I100T1000G" in said
    assert b"SINGLE-CHAR Command Unknown" in said


def test_letters_in_the_hex_digits_are_misread(device):
    option = next(v for v in GOLDEN["vectors"] if v["name"] == "option_max_intensity")
    told(device, option["wv_hex_framed"].encode() + b"\n")
    assert b"Converted HEX command: OMA" not in device.take(4000 * MS)


def test_a_command_is_echoed_as_the_driver_needs_it(device):
    device.feed(wv("C9G"), 2200 * MS)
    said = device.take(2500 * MS)
    assert b"\tUSB: received command: WV,0018,433947.\r\n" in said
    assert b"\tEMS_CMD: Converted HEX command: C9G\r\n" in said


def test_an_output_that_is_none_is_undefined_with_anything_else_in_it(device):
    assert told(device, wv("C9I50T100G")) == []
    assert device.undefined == 1


def test_shutting_one_off_delays_the_other():
    device = OpenEmsStimDevice(start_ns=0)
    device.feed(wv("C0I100T410G"), 2200 * MS)
    device.feed(wv("C1I100T300G"), 2300 * MS)
    device.pulses_until(2500 * MS)
    ends = [output.end_ns for output in device._outputs]
    assert 0 < ends[0] - ends[1] < 50 * MS
    device.pulses_until(ends[0] + 1)
    assert device.active == (0,)
    device.pulses_until(ends[1] + 50 * MS)
    assert device.active == ()


def test_what_does_not_fit_the_buffer_is_lost(device):
    device.feed(b"Connection End\n", 2200 * MS)
    device.feed(b"x" * 70 + b"\n" + wv("C0I100T5000G"), 2210 * MS)
    assert device.pulses_until(4000 * MS) == []


def test_a_line_without_an_end_counts_after_50_ms(device):
    device.feed(wv("C0I100T1000G").strip(), 2200 * MS)
    read_ns = 2200 * MS + 33 * BYTE_NS + 50 * MS
    device.pulses_until(read_ns - 2 * BYTE_NS)
    assert device.active == ()
    device.pulses_until(read_ns + 120 * MS)
    assert device.active == (0,)


def test_faults_are_in_the_ledger_not_in_what_is_said(device):
    device.faults.open_electrodes.add(0)
    assert told(device, wv("C0I100T100G")) == []
    device.faults.open_electrodes.clear()
    device.faults.stuck_on = True
    device.feed(wv("C0I100T100G"), 3000 * MS)
    assert device.pulses_until(4000 * MS) == []
    device.faults.stuck_on = False
    device.feed(wv("C0I100T100G"), 4000 * MS)
    device.pulses_until(4120 * MS)
    device.faults.stuck_on = True
    assert len(device.pulses_until(8000 * MS)) > 190
    device.faults.stuck_on = False
    device.faults.reset_at_ns = 8100 * MS
    assert {p.t_ns < 8100 * MS for p in device.pulses_until(9000 * MS)} == {True}


def test_a_restart_opens_the_relays(device):
    device.feed(wv("C0I100T5000G"), 2200 * MS)
    device.pulses_until(2400 * MS)
    device.restart(2400 * MS)
    assert device.active == ()
    assert device.pulses_until(9000 * MS) == []


fragments = st.one_of(
    st.binary(max_size=80),
    st.text("CITG0123456789WV,.\n12qaws", max_size=40).map(str.encode),
    st.sampled_from([b"WV,", b"WV,0018,", b"Connection End\n", b".\n", b"C9999999999999999G", b"T-5"]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(st.tuples(fragments, st.integers(0, 300)), max_size=20), st.booleans())
def test_arbitrary_bytes_never_raise_and_give_no_pulse_without_a_command(parts, plain):
    device, t_ms = OpenEmsStimDevice(OpenEmsStimSettings(plain_text=plain), start_ns=0), 2100
    fed = b""
    for data, wait_ms in parts:
        device.feed(data, t_ms * MS)
        fed += data
        t_ms += wait_ms
        device.take(t_ms * MS)
    pulses = device.pulses_until((t_ms + 6000) * MS)
    assert [p.t_ns for p in pulses] == sorted(p.t_ns for p in pulses)
    commands = (b"C" in fed and b"T" in fed and b"G" in fed) or b"WV," in fed
    if not commands and not any(character in fed for character in b"qw"):
        assert pulses == []


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 1), st.integers(1, 100), st.integers(1, 300), st.lists(st.integers(1, 60), max_size=40))
def test_nobody_asking_changes_nothing(output, percent, on_time_ms, asked_ms):
    def run(asks):
        device = OpenEmsStimDevice(start_ns=0)
        device.feed(wv(f"C{output}I{percent}T{on_time_ms}G"), 2200 * MS)
        pulses, t_ms = [], 2200
        for wait_ms in asks:
            t_ms += wait_ms
            pulses += device.pulses_until(t_ms * MS)
            device.take(t_ms * MS)
        return pulses + device.pulses_until(6000 * MS)

    assert run(asked_ms) == run([])


def test_pulses_since_then_are_told_when_they_are_asked_for(device):
    """A body lives in blocks: a command may be heard after the end of the block whose pulses are asked for."""
    device.feed(wv("C0I100T1000G"), 2200 * MS)
    device.feed(wv("C0I100T1000G"), 2500 * MS)
    early, late = device.pulses_until(2400 * MS), device.pulses_until(2500 * MS)
    assert early
    assert max(pulse.t_ns for pulse in early) <= 2400 * MS
    assert [pulse.t_ns // MS for pulse in late] == [2420, 2440, 2460, 2480, 2500]
