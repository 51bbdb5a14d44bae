"""The emulated RehaStim2: its modes, its watchdog, its errors, and a ledger of exactly what it gave."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.ledger import Pulse
from myoloop.stimulators.emulators.registry import emulator_kind
from myoloop.stimulators.emulators.sciencemode2 import RehaStim2Device
from myoloop.stimulators.sciencemode2.frames import Packet, Parser, frame

MS = 1_000_000
GOLDEN = json.loads((Path(__file__).parents[2] / "data/golden/sm2_rehastim2.json").read_text())["vectors"]
#: Outputs 0 and 1, 8 ms within a group, a round every 25 ms.
INIT = bytes((0, 3, 0, 13, 0, 48, 0))


def pulse_bytes(width_us=250, current_ma=20, kind=0):
    return bytes((kind, width_us >> 8, width_us & 0xFF, current_ma))


BOTH = pulse_bytes() + pulse_bytes(current_ma=10)


class Desk:
    """Somebody who types packets."""

    def __init__(self, **options):
        self.now_ns = 1_000_000_000
        self.device = RehaStim2Device(start_ns=self.now_ns, **options)
        self.parser = Parser()
        self.number = 100

    def wait(self, ms):
        """Let time pass in steps of 1 ms; return the packets that came, each with its time in ms."""
        heard = []
        for _ in range(round(ms)):
            self.now_ns += MS
            heard += [(self.now_ns // MS - 1000, packet) for packet in self.parser.take(self.device.take(self.now_ns))]
        return heard

    def say(self, command, data=b"", number=None):
        self.number = (self.number + 1) % 256 if number is None else number
        self.device.feed(frame(Packet(self.number, command, data)), self.now_ns)

    def ask(self, command, data=b""):
        """Say it and give the answer's data; signed as results are."""
        self.say(command, data)
        (answer,) = [packet for _, packet in self.wait(20) if packet.number == self.number]
        assert answer.command == command + 1
        return [byte - 256 if byte > 127 else byte for byte in answer.data]

    def greet(self):
        (init,) = [packet for _, packet in self.wait(1)]
        assert init == Packet(0, 1, b"\x01")
        self.say(2, b"\x00", number=init.number)
        return self

    def pulses(self):
        return self.device.pulses_until(self.now_ns)


@pytest.fixture
def desk():
    return Desk().greet()


@pytest.fixture
def started(desk):
    assert desk.ask(30, INIT) == [0]
    assert desk.ask(32, BOTH) == [0]
    return desk


def test_it_meets_the_contract_and_is_registered():
    assert isinstance(RehaStim2Device(), Emulator)
    assert isinstance(emulator_kind("rehastim2").make(5), RehaStim2Device)


def test_it_announces_itself_every_500_ms_until_it_is_acknowledged():
    desk = Desk()
    assert [(at, packet.number) for at, packet in desk.wait(1600)] == [(1, 0), (500, 1), (1000, 2), (1500, 3)]
    desk.say(2, b"\x00", number=3)
    assert desk.wait(1000) == []


@pytest.mark.parametrize(("number", "data"), [(0, b"\xfb"), (1, b"\x00"), (0, b"")])
def test_a_refused_version_or_another_number_does_not_begin_a_session(number, data):
    desk = Desk()
    desk.wait(1)
    desk.say(2, data, number=number)
    assert [packet.command for _, packet in desk.wait(600)] == [1]
    assert desk.ask(30, INIT) == [-3]


def test_without_a_packet_for_1200_ms_it_forgets_everything_and_announces_itself(started):
    begun_ns = started.pulses()[0].t_ns
    started.say(4)
    fed_ns = started.now_ns
    announced_ms, init = started.wait(2000)[0]
    assert (announced_ms, init.command) == (fed_ns // MS - 1000 + 1200, 1)
    last_ns = started.pulses()[-1].t_ns
    assert fed_ns + 1200 * MS - 25 * MS <= last_ns < fed_ns + 1200 * MS
    assert (last_ns - begun_ns) % (25 * MS) == 1_500_000
    assert started.device.mode == 0


def test_a_watchdog_every_400_ms_keeps_it_going_without_an_answer(started):
    for _ in range(10):
        started.say(4)
        assert started.wait(400) == []
    assert started.device.active == (0, 1)


def test_outputs_pulse_one_after_another_in_slots_of_a_round(started):
    started.wait(80)
    pulses = started.pulses()
    begun_ns = pulses[0].t_ns
    assert pulses[:6] == [
        Pulse(begun_ns + period * 25 * MS + output * 1_500_000, output, current_ma, 250.0)
        for period in range(3)
        for output, current_ma in ((0, 20.0), (1, 10.0))
    ]


def test_a_new_start_holds_from_the_next_round_on_and_does_not_shift_it(started):
    begun_ns = started.pulses()[0].t_ns
    started.now_ns = begun_ns + 26 * MS
    started.pulses()
    started.say(32, pulse_bytes(300, 7) + pulse_bytes(100, 0))
    started.wait(60)
    assert started.pulses() == [
        Pulse(begun_ns + 26_500_000, 1, 10.0, 250.0),
        Pulse(begun_ns + 50 * MS, 0, 7.0, 300.0),
        Pulse(begun_ns + 75 * MS, 0, 7.0, 300.0),
    ]
    assert started.device.active == (0,)


def test_a_stop_in_a_round_ends_it_there(started):
    begun_ns = started.pulses()[0].t_ns
    started.now_ns = begun_ns + 25 * MS + 1 * MS
    assert started.ask(34) == [0]
    assert started.pulses() == [Pulse(begun_ns + 25 * MS, 0, 20.0, 250.0)]
    assert (started.device.mode, started.device.active) == (0, ())
    assert started.ask(34) == [0]


def test_it_tells_its_mode(desk):
    assert desk.ask(10) == [0, 0]
    desk.ask(30, INIT)
    assert desk.ask(10) == [0, 1]
    desk.ask(32, BOTH)
    assert desk.ask(10) == [0, 2]
    assert desk.ask(10, b"\x00") == [-2, 2]


def test_what_is_not_for_this_mode_is_refused(desk):
    assert desk.ask(32, BOTH) == [-3]
    desk.ask(30, INIT)
    assert desk.ask(30, INIT) == [-3]
    assert desk.ask(36, b"\x00" + pulse_bytes()[1:]) == [-3]
    desk.ask(32, BOTH)
    assert desk.ask(30, INIT) == [-3]


def test_a_second_command_before_the_answer_is_refused_and_not_obeyed(desk):
    desk.ask(30, INIT)
    desk.say(32, BOTH)
    for _ in range(2):
        desk.wait(5)
        desk.say(34)
    answers = [(packet.command, packet.data[0]) for _, packet in desk.wait(30)]
    assert answers == [(33, 0), (35, 248), (35, 248)]
    assert desk.device.mode == 2
    assert desk.ask(34) == [0]


def test_an_answer_takes_what_the_device_is_given_for_it():
    desk = Desk(answer_ns=100 * MS).greet()
    desk.say(10)
    assert [at for at, _ in desk.wait(200)] == [101]
    with pytest.raises(ValueError, match="at most 100 ms"):
        RehaStim2Device(answer_ns=101 * MS)


@pytest.mark.parametrize(
    ("init", "result"),
    [
        (bytes((0, 3, 0, 13, 0, 48)), -1),
        (bytes((0, 0, 0, 13, 0, 48, 0)), -2),
        (bytes((8, 3, 0, 13, 0, 48, 0)), -2),
        (bytes((1, 3, 4, 13, 0, 48, 0)), -2),
        (bytes((0, 3, 0, 12, 0, 48, 0)), -2),
        (bytes((0, 3, 0, 13, 0, 13, 0)), -2),
        (bytes((0, 3, 0, 13, 8, 1, 0)), -2),
        (bytes((0, 3, 0, 13, 0, 48, 2)), -2),
        (bytes((0, 255, 0, 21, 0, 21, 0)), -2),
        (bytes((0, 255, 0, 21, 0, 22, 0)), 0),
        (bytes((0, 255, 0, 13, 0, 0, 0)), -2),
        (bytes((0, 3, 0, 13, 0, 14, 0)), 0),
        (bytes((2, 22, 4, 17, 8, 0, 0)), 0),
        (bytes((0, 1, 0, 13, 0, 0, 0)), 0),
    ],
)
def test_the_intervals_of_a_list_are_checked(desk, init, result):
    assert desk.ask(30, init) == [result]
    assert desk.device.mode == (1 if result == 0 else 0)


@pytest.mark.parametrize(
    ("start", "result"),
    [
        (pulse_bytes(), -1),
        (pulse_bytes(501) + pulse_bytes(), -2),
        (pulse_bytes(current_ma=131) + pulse_bytes(), -2),
        (pulse_bytes(kind=3) + pulse_bytes(), -2),
        (pulse_bytes(kind=2) + pulse_bytes(kind=1), 0),
        (pulse_bytes(0) + pulse_bytes(500, 130), 0),
    ],
)
def test_the_pulses_of_a_list_are_checked(desk, start, result):
    desk.ask(30, INIT)
    assert desk.ask(32, start) == [result]


def test_a_group_must_fit_its_interval_and_its_slots(desk):
    desk.ask(30, bytes((0, 3, 0, 21, 0, 44, 0)))
    assert desk.ask(32, pulse_bytes(kind=2) + pulse_bytes()) == [-2]
    desk.ask(34)
    desk.ask(30, bytes((0, 255, 0, 13, 0, 98, 0)))
    assert desk.ask(32, pulse_bytes(kind=1) * 8) == [-2]
    assert desk.ask(32, pulse_bytes() * 8) == [0]


def test_doublets_slow_channels_and_lists_without_fixed_slots(desk):
    desk.ask(30, bytes((1, 3, 2, 13, 0, 48, 1)))
    desk.ask(32, pulse_bytes(200, kind=1) + pulse_bytes(100))
    desk.wait(45)
    pulses = desk.pulses()
    begun_ns = pulses[0].t_ns
    assert [((pulse.t_ns - begun_ns) // 1000, pulse.output) for pulse in pulses] == [
        (0, 0), (501, 1), (8000, 0), (25000, 0), (33000, 0), (50000, 0), (50501, 1), (58000, 0),
    ]  # fmt: skip


def test_one_shot_gives_one_round_for_each_start(desk):
    desk.ask(30, bytes((0, 1, 0, 13, 0, 0, 0)))
    for _ in range(2):
        desk.ask(32, pulse_bytes())
        desk.wait(100)
        assert len(desk.pulses()) == 1


def test_short_pulses_act_as_20_us(desk):
    desk.ask(30, bytes((0, 1, 0, 13, 0, 48, 0)))
    desk.ask(32, pulse_bytes(5))
    assert desk.pulses()[0].phase_us == 20.0


def test_a_single_pulse_in_start_mode(desk):
    assert desk.ask(36, b"\x05\x00\xdd\x37") == [0]
    (pulse,) = desk.pulses()
    assert pulse[1:4] == (5, 55.0, 221.0)
    assert desk.ask(36, b"\x08\x00\xdd\x37") == [-2]
    assert desk.ask(36, b"\x05\x00\xdd") == [-1]
    assert desk.ask(34, b"\x00") == [-1]


def test_training_commands_are_unknown_and_there_is_no_motomed(desk):
    assert desk.ask(12) == [0, -1]
    for command in (50, 77, 95):
        desk.say(command, b"\x01")
        assert [packet[1:] for _, packet in desk.wait(20)] == [(3, bytes((command,)))]
    assert desk.device.unknown == [50, 77, 95]


def test_the_quick_stop_button_ends_it_at_once_and_keeps_it_off(started):
    started.pulses()
    started.device.faults.quick_stop = True
    (said,) = [packet for _, packet in started.wait(500)]
    assert said[1:] == (38, b"\xff")
    assert started.pulses() == []
    assert started.ask(30, INIT) == [0]
    started.say(32, BOTH)
    assert [packet[1:] for _, packet in started.wait(20)] == [(38, b"\xff"), (33, b"\xfd")]
    started.device.faults.quick_stop = False
    assert started.wait(100) == []
    started.ask(30, INIT)
    assert started.ask(32, BOTH) == [0]
    started.ask(34)
    started.device.faults.quick_stop = True
    assert len(started.wait(1)) == 1
    started.pulses()
    started.say(36, b"\x05\x00\xdd\x37")
    assert [packet[1:] for _, packet in started.wait(20)] == [(38, b"\xff"), (37, b"\xfd")]
    assert started.pulses() == []


@pytest.mark.parametrize(
    ("fault", "value", "error"),
    [("open_electrodes", {1}, b"\xfe"), ("load_ohm", {1: 15_500.0}, b"\xfe"), ("module_broken", True, b"\xfd")],
)
def test_a_pulse_that_cannot_be_given_is_an_error_and_the_end(started, fault, value, error):
    started.wait(30)
    started.pulses()
    setattr(started.device.faults, fault, value)
    assert [packet[1:] for _, packet in started.wait(200)] == [(38, error)]
    assert [pulse.output for pulse in started.pulses()] in ([0], [])
    assert started.device.mode == 0


@pytest.mark.parametrize("command", [10, 30, 32, 34, 36])
def test_each_result_can_be_answered_once_or_always(started, command):
    started.device.faults.results[command] = -6
    started.device.faults.results_left = 1
    fields = {32: BOTH}.get(command, b"")
    assert started.ask(command, fields)[0] == -6
    assert started.device.mode == 2
    assert started.ask(command, fields)[0] != -6
    started.device.faults.results_left = None
    assert started.ask(command, fields)[0] == started.ask(command, fields)[0] == -6


def test_stuck_on_it_answers_a_stop_and_goes_on_until_its_watchdog(started):
    started.device.faults.stuck_on = True
    assert started.ask(34) == [0]
    assert started.ask(10) == [0, 2]
    started.wait(1000)
    assert started.device.active == (0, 1)
    assert [packet.command for _, packet in started.wait(200)] == [1]
    assert started.device.active == ()


def test_a_restart_by_itself_or_by_its_plug_ends_everything(started):
    started.device.faults.reset_at_ns = started.now_ns + 33 * MS
    assert [packet[:2] for _, packet in started.wait(100)] == [(0, 1)]
    assert max(pulse.t_ns for pulse in started.pulses()) < started.now_ns - 67 * MS
    assert started.device.faults.reset_at_ns is None
    started.say(2, b"\x00", number=0)
    assert started.ask(30, INIT) == [0]
    started.device.restart(started.now_ns)
    assert started.device.mode == 0
    assert [packet[:2] for _, packet in started.wait(1)] == [(0, 1)]


def test_a_vanished_device_hears_and_says_nothing_but_goes_on(started):
    started.device.faults.vanished = True
    started.say(34)
    assert started.wait(1000) == []
    assert started.device.active == (0, 1)
    started.wait(300)
    assert started.device.active == ()


def test_an_answer_with_another_number(started):
    started.device.faults.wrong_number_answers = True
    started.say(10)
    assert [packet.number for _, packet in started.wait(20)] == [started.number + 1]


def test_malformed_packets_are_told_and_not_obeyed(started):
    started.device.feed(bytes.fromhex("f08148815700040f"), started.now_ns)
    assert started.device.malformed == ("checksum 1d, it should be 1c",)
    assert started.wait(20) == []


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(0, 255), st.binary(max_size=8)), max_size=60))
def test_whatever_it_is_told_no_pulse_is_beyond_what_it_can_give(said):
    desk = Desk().greet()
    for wait_ms, command, data in said:
        desk.say(30 + command % 8 if command < 128 else command, data)
        if command > 200:
            desk.say(30, INIT)
            desk.wait(20)
            desk.say(32, BOTH)
        desk.wait(wait_ms)
    pulses = desk.pulses()
    assert all(pulse.current_ma <= 130 and 20 <= pulse.phase_us <= 500 for pulse in pulses)
    assert [pulse.t_ns for pulse in pulses] == sorted(pulse.t_ns for pulse in pulses)


def test_every_golden_command_of_the_host_is_understood():
    for vector in GOLDEN:
        if vector["direction"] == "pc->dev":
            desk = Desk().greet()
            desk.device.feed(bytes.fromhex(vector["hex_spec"]), desk.now_ns)
            desk.wait(20)
            assert desk.device.unknown == []
            assert desk.device.malformed == ()
