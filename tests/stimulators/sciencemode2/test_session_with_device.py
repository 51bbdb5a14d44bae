"""A whole session with an emulated RehaStim2: what it gives is what was asked, and every way out ends it."""

import contextlib
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.clock import MonotonicClock, VirtualClock
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import Driver, DriverError
from myoloop.stimulators.emulators.sciencemode2 import RehaStim2Device
from myoloop.stimulators.hearing import disagreement
from myoloop.stimulators.registry import make_driver
from myoloop.stimulators.sciencemode2 import RehaStim2Driver, RehaStim2Settings, identify
from myoloop.stimulators.sciencemode2 import driver as driver_module
from myoloop.stimulators.sciencemode2.frames import Packet, Parser, frame
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
CHANNELS = {"left": 0, "right": 4}


def setting(current_ma=20.0, *, channel="left", phase_us=250.0, rate_hz=40.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


class Line(MemoryTransport):
    """A port that can be lost, and remembers what went over it."""

    def __init__(self, device, clock):
        super().__init__(device, clock)
        self.sent = []
        self.gone = self.closed = False
        self.lose_next = 0
        self.injected = b""
        self._clock_seen = clock

    def send(self, data):
        if self.gone:
            raise OSError("no such device")
        if data and self.lose_next:
            self.lose_next -= 1
        elif data:
            self.sent.append((self._clock_seen.now_ns(), data))
            super().send(data)

    def receive(self):
        if self.gone:
            raise OSError("no such device")
        injected, self.injected = self.injected, b""
        return injected + super().receive()

    def close(self):
        self.closed = True


class Bench:
    """Driver and device on one virtual clock, with the gate's rhythm."""

    def __init__(self, channels=CHANNELS, **options):
        self.clock = VirtualClock()
        self.device = RehaStim2Device(start_ns=self.clock.now_ns() - 12_345_678, **options)
        self.line = Line(self.device, self.clock)
        self.driver = RehaStim2Driver(
            RehaStim2Settings(channels=channels), self.line, clock=self.clock, pause=self.pause
        )
        self.pulses, self.told, self.faults, self.reports = [], [], [], []
        self.orders = {}

    def pause(self, for_s):
        self.clock.advance(round(for_s * 1e9))

    def tick(self, *wanted, write=True, ms=10):
        """One turn of the node: poll, then write."""
        self.clock.advance(ms * MS)
        now_ns = self.clock.now_ns()
        report, told = self.driver.poll(now_ns)
        self.pulses += self.device.pulses_until(now_ns)
        self.told += told
        self.faults += report.faults
        self.reports.append(report)
        # As the gate hears it: what is said to be an order's acknowledgement is what was ordered.
        assert disagreement(self.orders.get(report.ack_of, report.acknowledged), report.acknowledged) == ""
        if write:
            data = self.driver.encode(wanted)
            assert [(out.output, out.current_ma, out.phase_us, out.rate_hz) for out in self.driver.decode(data)] == [
                (CHANNELS[one.channel], one.current_ma, one.phase_us, one.rate_hz) for one in wanted if one.current_ma
            ]
            self.written = self.driver.write(data, now_ns)
            self.orders[self.written] = wanted
        return report

    def run(self, ms, *wanted, write=True):
        for _ in range(ms // 10):
            self.tick(*wanted, write=write)
        return self.reports[-1]


@pytest.fixture
def bench():
    made = Bench()
    made.driver.open()
    return made


def commands_sent(bench, since=0):
    return [packet.command for _, data in bench.line.sent[since:] for packet in Parser().take(data)]


def told_times(bench):
    return sorted((t_ns, train.uncertainty_ns) for train in bench.told for t_ns in train.t_ns)


def test_it_meets_the_contract_and_is_registered():
    assert isinstance(make_driver("sciencemode2", {"port": "/dev/ttyUSB7"}, CHANNELS), Driver)


def test_what_the_device_can_do_is_what_its_maker_says():
    can = RehaStim2Driver(RehaStim2Settings(channels=CHANNELS)).capabilities
    assert (can.outputs, can.current_max_ma, can.current_step_ma) == (8, 130.0, 1.0)
    assert (can.phase_min_us, can.phase_max_us, can.phase_step_us) == (20.0, 500.0, 1.0)
    assert (can.rate_min_hz, can.rate_max_hz, can.period_step_us, can.one_rate) == (1.0, 50.0, 500.0, True)
    assert (can.lease_ms, can.times_itself) == (1200.0, True)


@pytest.mark.parametrize("wrong", [{"left": 8}, {"left": -1}, {"left": 1, "right": 1}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(DriverError):
        RehaStim2Settings(channels=wrong)


# -- opening


def test_open_takes_the_device_into_a_session_and_hears_that_it_is_at_rest():
    bench = Bench()
    assert bench.driver.open() == "RehaStim2, ScienceMode 2, protocol version 1"
    sent = commands_sent(bench)
    assert sent[:7] == [34, 34, 34, 2, 34, 34, 34]
    assert (set(sent[7:-1]) <= {34}, sent[-1]) == (True, 10)
    report = bench.tick(write=False)
    assert (report.connected, report.acknowledged, report.faults) == (True, (), ())
    assert report.identity.startswith("RehaStim2")


def test_open_stops_a_device_that_another_host_has_left_stimulating(bench):
    bench.run(200, setting())
    other = RehaStim2Driver(RehaStim2Settings(channels=CHANNELS), bench.line, clock=bench.clock, pause=bench.pause)
    bench.device.pulses_until(bench.clock.now_ns())
    other.open()
    assert bench.device.active == ()
    assert len(bench.device.pulses_until(bench.clock.now_ns())) <= 1


@pytest.mark.parametrize(
    ("options", "fault", "why"),
    [
        ({}, {"vanished": True}, "no RehaStim2 announced itself within 2.5 s"),
        ({"version": 2}, {}, "it speaks version 2 of its protocol, needed is 1"),
        ({}, {"results": {34: -2}}, r"refused StopChannelListMode: a parameter it does not take \(-2\)"),
        ({}, {"results": {10: -1}}, r"refused GetStimulationMode: transfer error"),
        ({}, {"results": {34: -8}}, "has not confirmed that it is stopped"),
    ],
)
def test_a_device_that_is_not_there_or_not_what_it_should_be_is_refused(options, fault, why):
    bench = Bench(**options)
    for name, value in fault.items():
        setattr(bench.device.faults, name, value)
    with pytest.raises(DriverError, match=why):
        bench.driver.open()
    with pytest.raises(DriverError, match="not open"):
        bench.driver.write(bench.driver.encode([]), bench.clock.now_ns())


def test_a_port_that_fails_while_it_is_opened_is_one_line():
    bench = Bench()
    bench.line.gone = True
    with pytest.raises(DriverError, match="RehaStim2: no such device"):
        bench.driver.open()


def test_a_long_wait_between_open_and_the_first_write_is_no_fault(bench):
    assert bench.run(5000, write=False).faults == ()
    bench.run(1000)
    assert bench.faults == []
    assert bench.run(200, setting()).acknowledged == (setting(),)


# -- stimulating


def test_what_is_written_is_given_and_acknowledged(bench):
    both = (setting(), setting(7.0, channel="right", phase_us=300.0))
    report = bench.run(1000, *both)
    assert report.acknowledged == both
    assert report.ack_of == bench.written - 1
    assert report.oldest_unacknowledged_ns is None
    assert {pulse[1:4] for pulse in bench.pulses} == {(0, 20.0, 250.0), (4, 7.0, 300.0)}
    assert bench.device.malformed == ()
    assert bench.faults == []


def test_the_predicted_pulses_are_those_of_the_device_within_what_is_said(bench):
    wanted = (setting(rate_hz=40.0), setting(5.0, channel="right", rate_hz=40.0))
    bench.run(2000, *wanted)
    bench.run(100)
    told = told_times(bench)
    assert len(told) == len(bench.pulses) >= 150
    for (t_ns, uncertainty_ns), pulse in zip(told, bench.pulses, strict=True):
        assert abs(t_ns - pulse.t_ns) <= uncertainty_ns <= 12 * MS
    assert {train.kind for train in bench.told} == {"predicted"}
    assert {(train.channel, train.current_ma, train.phase_us) for train in bench.told} == {
        ("left", 20.0, 250.0),
        ("right", 5.0, 250.0),
    }


def test_another_current_is_one_packet_and_no_gap(bench):
    bench.run(500, setting())
    before = len(bench.line.sent)
    bench.run(250, setting(21.0))
    assert commands_sent(bench, before).count(32) == 1
    assert {30, 34}.isdisjoint(commands_sent(bench, before))
    gaps = [b.t_ns - a.t_ns for a, b in pairwise(bench.pulses)]
    assert set(gaps) == {25 * MS}
    assert bench.pulses[-1].current_ma == 21.0


def test_a_ramp_faster_than_the_answers_leaves_out_what_is_superseded(bench):
    for step in range(100):
        bench.tick(setting(1.0 + step))
    report = bench.run(50, setting(100.0))
    assert report.acknowledged == (setting(100.0),)
    assert bench.faults == []
    currents = [pulse.current_ma for pulse in bench.pulses]
    assert currents == sorted(currents)
    assert all(report.oldest_unacknowledged_ns is None or report.t_ns - report.oldest_unacknowledged_ns <= 30 * MS
               for report in bench.reports)  # fmt: skip


@pytest.mark.parametrize(
    "wanted", [(setting(rate_hz=25.0),), (setting(), setting(5.0, channel="right")), (setting(channel="right"),)]
)
def test_another_rate_or_set_of_channels_is_stop_init_and_start_with_a_short_gap(bench, wanted):
    bench.run(500, setting())
    before, given = len(bench.line.sent), len(bench.pulses)
    report = bench.run(500, *wanted)
    assert [c for c in commands_sent(bench, before) if c not in (4, 10)] == [34, 30, 32]
    assert report.acknowledged == wanted
    assert 25 * MS <= bench.pulses[given].t_ns - bench.pulses[given - 1].t_ns <= 140 * MS
    assert bench.faults == []


def test_in_rests_it_is_fed_every_400_ms_by_writing_alone(bench):
    bench.run(100)
    before = len(bench.line.sent)
    bench.run(3000)
    fed = [t_ns for t_ns, data in bench.line.sent[before:] if Parser().take(data)[0].command == 4]
    assert {b - a for a, b in pairwise(fed)} == {400 * MS}
    assert bench.faults == []
    before = len(bench.line.sent)
    bench.run(1000, write=False)
    assert bench.line.sent[before:] == []


def test_a_zero_stops_the_list_and_is_acknowledged(bench):
    bench.run(300, setting())
    report = bench.run(100)
    assert (report.acknowledged, report.ack_of) == ((), bench.written - 1)
    assert bench.device.mode == 0
    assert bench.device.active == ()


def test_bytes_of_another_moment_are_refused(bench):
    old = bench.driver.encode([setting()])
    bench.run(50, setting())
    with pytest.raises(DriverError, match="not the bytes of the next setting"):
        bench.driver.write(old, bench.clock.now_ns())
    with pytest.raises(DriverError):
        bench.driver.write(bench.driver.encode([setting()])[:-1], bench.clock.now_ns())


def test_bytes_are_the_same_until_something_is_sent(bench):
    bench.run(50, setting())
    assert bench.driver.encode([setting(9.0)]) == bench.driver.encode([setting(9.0)])


def test_an_order_that_is_not_given_again_is_not_carried_out_late(bench):
    bench.run(200, setting(rate_hz=2.0))
    bench.tick(setting(rate_hz=1.0))
    bench.run(2500, write=False)
    assert len(bench.pulses) == 1


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 60),
            st.sampled_from([0.0, 5.0, 20.0]),
            st.sampled_from([0.0, 8.0]),
            st.sampled_from([1.0, 4.0, 10.0, 25.0, 40.0, 50.0]),
        ),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 100),
)
def test_whatever_is_asked_no_pulse_is_stronger_than_asked_or_sooner_than_a_period(asked, answer_ms):
    bench = Bench(answer_ns=answer_ms * MS)
    bench.driver.open()
    for turns, left_ma, right_ma, rate_hz in asked:
        for _ in range(turns):
            bench.tick(setting(left_ma, rate_hz=rate_hz), setting(right_ma, channel="right", rate_hz=rate_hz))
    bench.run(400)
    bench.run(300)
    assert bench.faults == []
    assert {pulse.current_ma for pulse in bench.pulses} <= {5.0, 20.0, 8.0}
    shortest_ns = min(1e9 / rate_hz for *_, rate_hz in asked)
    for output in (0, 4):
        times = [pulse.t_ns for pulse in bench.pulses if pulse.output == output]
        assert all(b - a >= shortest_ns for a, b in pairwise(times))
    assert abs(len(told_times(bench)) - len(bench.pulses)) <= 2 * 2 * len(asked)


# -- stopping


def test_a_stop_goes_out_three_times_at_once(bench):
    bench.run(300, setting())
    before = len(bench.line.sent)
    bench.driver.stop(bench.clock.now_ns())
    assert commands_sent(bench, before) == [34, 34, 34]
    assert bench.device.active == ()
    report = bench.run(50, write=False)
    assert (report.acknowledged, report.oldest_unacknowledged_ns, bench.faults) == ((), None, [])
    assert commands_sent(bench, before)[3:] == [10]


@pytest.mark.parametrize("answer_ms", [15, 60, 100])
def test_a_stop_that_is_refused_for_a_command_in_flight_is_said_until_it_is_obeyed(answer_ms):
    bench = Bench(answer_ns=answer_ms * MS)
    bench.driver.open()
    bench.run(1000, setting())
    bench.tick(setting(30.0))
    stopped_ns = bench.clock.now_ns()
    before = len(bench.line.sent)
    bench.driver.stop(stopped_ns)
    assert bench.device.mode == 2
    report = bench.run(500, write=False)
    assert bench.device.mode == 0
    assert report.acknowledged == ()
    assert commands_sent(bench, before)[:3] == [34, 34, 34]
    assert max(pulse.t_ns for pulse in bench.pulses) <= stopped_ns + (answer_ms + 20) * MS
    assert bench.faults == []


def test_a_stop_empties_what_waits(bench):
    bench.run(300, setting())
    bench.tick(setting(rate_hz=20.0))
    bench.driver.stop(bench.clock.now_ns())
    given = len(bench.pulses)
    bench.run(1000, write=False)
    assert len(bench.pulses) <= given + 1
    assert bench.device.mode == 0


def test_an_acknowledged_stop_is_no_order_that_the_gate_gave(bench):
    bench.run(300, setting())
    number = bench.written
    bench.driver.stop(bench.clock.now_ns())
    report = bench.run(50, write=False)
    assert report.ack_of > number
    assert bench.run(100).ack_of == bench.written - 1


def gate_stops(bench, ms):
    """Stop as the gate does: in three cycles, then every 50 ms while the device says that it gives current."""
    for turn in range(ms // 10):
        report = bench.tick(write=False)
        if turn < 3 or (turn % 5 == 0 and report.acknowledged):
            bench.driver.stop(bench.clock.now_ns())
    return report


def test_a_device_that_goes_on_is_told_of_and_left_to_its_watchdog_in_silence(bench):
    bench.run(300, setting())
    bench.device.faults.stuck_on = True
    stopped_ns = bench.clock.now_ns()
    gate_stops(bench, 100)
    assert any("goes on stimulating though it was stopped: take the leads off" in fault for fault in bench.faults)
    assert bench.reports[-1].acknowledged == (setting(),)
    report = gate_stops(bench, 2500)
    assert report.acknowledged == ()
    last_ns = max(pulse.t_ns for pulse in bench.pulses)
    assert stopped_ns + 1000 * MS < last_ns <= stopped_ns + (200 + 1200) * MS
    assert len(told_times(bench)) == pytest.approx(len(bench.pulses), abs=2)


def test_while_it_is_left_to_its_watchdog_writing_sends_nothing_either(bench):
    bench.run(300, setting())
    bench.device.faults.stuck_on = True
    bench.driver.stop(bench.clock.now_ns())
    bench.run(100, write=False)
    before, silent_ns = len(bench.line.sent), bench.line.sent[-1][0]
    bench.run(1000)
    assert bench.line.sent[before:] == []
    bench.run(1000)
    assert bench.device.active == ()
    assert bench.pulses[-1].t_ns < silent_ns + 1200 * MS


def test_a_stop_that_is_refused_for_ever_is_left_to_the_watchdog_too(bench):
    bench.run(300, setting())
    bench.device.faults.results[34] = -8
    stopped_ns = bench.clock.now_ns()
    gate_stops(bench, 1500)
    assert bench.pulses[-1].t_ns <= stopped_ns + (250 + 1200) * MS
    assert bench.device.active == ()


def test_a_stop_whose_answers_are_lost_is_not_said_for_ever(bench):
    bench.run(300, setting())
    bench.device.faults.drop_answers = True
    stopped_ns = bench.clock.now_ns()
    gate_stops(bench, 1000)
    assert bench.line.sent[-1][0] <= stopped_ns + 250 * MS
    assert bench.reports[-1].oldest_unacknowledged_ns == pytest.approx(stopped_ns, abs=20 * MS)
    before = len(bench.line.sent)
    gate_stops(bench, 700)
    assert commands_sent(bench, before)[:3] == [34, 34, 34]


@pytest.mark.parametrize("result", [-1, -3])
def test_a_stop_that_is_answered_otherwise_is_said_again_or_settled_by_the_mode(bench, result):
    bench.run(300, setting())
    bench.device.faults.results[34] = result
    bench.device.faults.results_left = 3
    bench.driver.stop(bench.clock.now_ns())
    report = bench.run(300, write=False)
    assert report.acknowledged == ()
    assert bench.device.mode == 0


def test_a_stop_at_rest_that_the_device_refuses_is_settled_by_its_mode(bench):
    bench.run(100)
    bench.device.faults.results[34] = -3
    bench.driver.stop(bench.clock.now_ns())
    report = bench.run(100, write=False)
    assert report.oldest_unacknowledged_ns is None
    assert bench.faults == []


# -- the device, on its own


def test_without_writes_its_watchdog_ends_it_and_nothing_is_sent_after_the_gap(bench):
    bench.run(500, setting())
    bench.run(3000, write=False)
    (fault,) = bench.faults
    assert "has stopped by its own watchdog: it heard nothing for 12" in fault
    assert bench.reports[-1].acknowledged == ()
    before = len(bench.line.sent)
    with pytest.raises(DriverError, match="zero comes before current"):
        bench.tick(setting())
    assert bench.line.sent[before:] == []
    assert len(told_times(bench)) == pytest.approx(len(bench.pulses), abs=1)
    bench.run(1000)
    assert bench.run(200, setting()).acknowledged == (setting(),)
    assert len(bench.faults) == 1


def test_current_is_refused_when_the_watchdog_must_have_acted_though_nothing_was_heard_yet(bench):
    bench.run(500, setting())
    bench.clock.advance(1300 * MS)
    with pytest.raises(DriverError, match="zero comes before current"):
        bench.driver.write(bench.driver.encode([setting()]), bench.clock.now_ns())
    before = len(bench.line.sent)
    bench.driver.write(bench.driver.encode([]), bench.clock.now_ns())
    assert commands_sent(bench, before) == [34]


def test_an_init_that_is_not_fresh_is_not_acknowledged_but_the_next_one(bench):
    bench.run(2000, write=False)
    while bench.device._beacon_ns - bench.clock.now_ns() > 100 * MS:
        bench.tick(write=False)
    before = len(bench.line.sent)
    bench.run(90)
    assert bench.line.sent[before:] == []
    bench.run(50)
    assert commands_sent(bench, before) == [2]


def test_an_order_behind_a_stop_waits_until_the_stop_is_confirmed(bench):
    bench.run(300, setting())
    before = len(bench.line.sent)
    bench.driver.stop(bench.clock.now_ns())
    bench.driver.write(bench.driver.encode([setting(5.0)]), bench.clock.now_ns())
    assert commands_sent(bench, before) == [34, 34, 34]
    bench.run(200, setting(5.0))
    assert commands_sent(bench, before)[3:5] == [30, 32]
    assert bench.faults == []


def test_a_stop_while_it_announces_itself_is_still_written(bench):
    bench.run(3000, write=False)
    before = len(bench.line.sent)
    bench.driver.stop(bench.clock.now_ns())
    assert commands_sent(bench, before) == [34, 34, 34]
    assert bench.tick(write=False).oldest_unacknowledged_ns is None


@pytest.mark.parametrize(
    ("fault", "value", "told"),
    [
        ("quick_stop", True, "quick-stop button pressed, or its plug is out (wired: left, right)"),
        ("open_electrodes", {4}, "electrode fault (wired: left, right)"),
        ("module_broken", True, "stimulation module fault (wired: left, right)"),
    ],
)
def test_each_stimulation_error_is_told_and_ends_what_was_given(bench, fault, value, told):
    both = (setting(), setting(5.0, channel="right"))
    bench.run(500, *both)
    setattr(bench.device.faults, fault, value)
    report = bench.run(100, write=False)
    assert bench.faults == [f"RehaStim2: {told}"]
    assert report.acknowledged == ()
    assert report.ack_of != bench.written
    bench.pulses.clear()
    bench.run(1000, write=False)
    assert bench.pulses == []


def test_an_error_is_told_in_the_same_words_whatever_is_on(bench):
    """What is on is an arm's own; the quick stop can be pressed in every arm."""
    bench.run(500)
    bench.device.faults.quick_stop = True
    bench.run(100, write=False)
    assert bench.faults == ["RehaStim2: quick-stop button pressed, or its plug is out (wired: left, right)"]


def test_an_error_with_the_first_pulse_comes_before_the_answer_and_wins(bench):
    bench.run(100)
    bench.device.faults.open_electrodes.add(0)
    bench.tick(setting())
    report = bench.run(100, write=False)
    assert report.acknowledged == ()
    bench.tick(setting())
    bench.run(30, setting())
    report = bench.run(100, write=False)
    assert report.acknowledged == ()
    assert set(bench.faults) == {"RehaStim2: electrode fault (wired: left, right)"}
    assert (bench.pulses, bench.device.mode) == ([], 0)


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        (32, -1, "refused StartChannelListMode: transfer error (-1)"),
        (32, -2, "refused StartChannelListMode: a parameter it does not take (-2)"),
        (30, -3, "refused InitChannelListMode: not in this mode (-3)"),
        (30, -4, "refused InitChannelListMode: no training device (-4)"),
        (30, -6, "refused InitChannelListMode: trainer error (-6)"),
        (10, -7, "refused GetStimulationMode: training device busy (-7)"),
        (32, -8, "refused StartChannelListMode: busy with another command (-8)"),
        (32, -99, "refused StartChannelListMode: unknown result (-99)"),
    ],
)
def test_each_result_is_a_fault_in_words(bench, command, code, told):
    bench.run(20)
    bench.device.faults.results[command] = code
    bench.tick(setting())
    bench.run(700, setting(), write=True) if command == 10 else bench.run(60, write=False)
    assert f"RehaStim2 {told}" in bench.faults


def test_a_stop_of_the_list_that_is_refused_is_a_fault(bench):
    bench.run(300, setting())
    bench.device.faults.results[34] = -2
    bench.tick()
    bench.run(60, write=False)
    assert bench.faults == ["RehaStim2 refused StopChannelListMode: a parameter it does not take (-2)"]
    assert bench.reports[-1].acknowledged == (setting(),)


def test_a_restart_by_itself_is_a_fault_and_zero_begins_anew(bench):
    bench.run(500, setting())
    bench.device.faults.reset_at_ns = bench.clock.now_ns() + 5 * MS
    bench.run(50, write=False)
    assert bench.faults == ["RehaStim2 has restarted by itself"]
    assert bench.reports[-1].acknowledged == ()
    with pytest.raises(DriverError, match="zero comes before current"):
        bench.driver.write(bench.driver.encode([setting()]), bench.clock.now_ns())
    bench.run(1000)
    assert bench.run(200, setting()).acknowledged == (setting(),)
    assert len(bench.faults) == 1


def test_a_device_that_has_stopped_or_started_something_by_itself_is_told_by_its_mode(bench):
    bench.run(500, setting())
    bench.device._halt()
    bench.run(500, setting())
    assert bench.faults[0] == "RehaStim2 is in mode start, it should be in mode started"
    assert bench.reports[-1].acknowledged == (setting(),)


def test_a_mode_that_there_is_not_is_a_fault(bench):
    bench.run(100)
    bench.device._mode = 7
    bench.run(500)
    assert bench.faults == ["RehaStim2 is in a mode that there is not"]


@pytest.mark.parametrize(("data", "told"), [(b"\x20", 32), (b"", None)])
def test_a_command_that_the_device_does_not_know_is_a_fault(bench, data, told):
    bench.run(100, setting())
    bench.line.injected = frame(Packet(9, 3, data))
    bench.tick(setting())
    assert bench.faults == [f"RehaStim2 does not know command {told}"]


def test_a_stimulation_error_that_is_not_in_the_makers_text_is_told_by_its_number(bench):
    bench.run(100, setting())
    bench.line.injected = frame(Packet(9, 38, b"\xf7"))
    bench.tick(write=False)
    assert bench.faults == ["RehaStim2: stimulation error -9 (wired: left, right)"]


def test_packets_that_are_no_answer_change_nothing(bench):
    bench.run(500, setting())
    for command in (11, 31, 33, 35, 60, 255):
        bench.line.injected += frame(Packet(200, command, b"\x00\x00"))
    assert bench.run(300, setting()).acknowledged == (setting(),)
    assert bench.faults == []


def test_an_init_without_a_version_is_not_accepted():
    bench = Bench()
    bench.device.faults.vanished = True
    bench.line.injected = frame(Packet(0, 1))
    with pytest.raises(DriverError, match="speaks version None"):
        bench.driver.open()


def test_before_it_is_opened_it_says_that_it_is_not_connected():
    report, pulses = Bench().driver.poll(5)
    assert (report.connected, report.acknowledged, pulses) == (False, (), ())


# -- the line


@pytest.mark.parametrize(
    "fault",
    [
        {"answer_delay_ns": 100 * MS},
        {"duplicate_answers": True},
        {"garbage_before_answers": bytes.fromhex("f0810f8155f0")},
        {"split_answers_ns": 7 * MS},
    ],
)
def test_late_doubled_split_answers_and_garbage_are_taken_as_they_are(bench, fault):
    for name, value in fault.items():
        setattr(bench.device.faults, name, value)
    assert bench.run(1000, setting()).acknowledged == (setting(),)
    bench.run(1000, setting(rate_hz=20.0))
    bench.run(500)
    assert bench.faults == []
    assert bench.reports[-1].acknowledged == ()


@pytest.mark.parametrize(
    "fault",
    [
        {"drop_answers": True},
        {"corrupt_answers": True},
        {"wrong_number_answers": True},
        {"answer_delay_ns": 300 * MS},
        {"vanished": True},
    ],
)
def test_an_answer_that_does_not_come_is_a_fault(bench, fault):
    bench.run(500, setting())
    for name, value in fault.items():
        setattr(bench.device.faults, name, value)
    bench.tick(setting(25.0))
    asked_ns = bench.clock.now_ns()
    bench.run(150, write=False)
    assert bench.faults == []
    bench.run(20, write=False)
    assert bench.faults == ["RehaStim2 has not answered StartChannelListMode within 150 ms"]
    assert bench.reports[-1].oldest_unacknowledged_ns == asked_ns
    assert bench.reports[-1].acknowledged == (setting(),)


def test_pulses_of_a_start_that_was_never_answered_are_told(bench):
    bench.run(100)
    bench.tick(setting())
    bench.device.faults.drop_answers = True
    bench.run(20, setting())
    bench.run(250, write=False)
    bench.device.faults.drop_answers = False
    bench.driver.stop(bench.clock.now_ns())
    bench.run(300, write=False)
    assert len(bench.pulses) > 5
    assert len(told_times(bench)) == pytest.approx(len(bench.pulses), abs=4)


def test_a_device_that_has_fallen_silent_is_told_even_in_a_rest(bench):
    bench.run(500)
    bench.device.faults.vanished = True
    bench.run(600)
    assert bench.faults == ["RehaStim2 has not answered GetStimulationMode within 150 ms"]
    bench.run(3000, write=False)
    assert bench.faults[-1] == "RehaStim2 has fallen silent: it neither answers nor announces itself"


def test_one_that_announced_itself_and_then_vanished_is_told_too(bench):
    bench.run(3000, write=False)
    assert bench.faults == []
    bench.device.faults.vanished = True
    bench.run(1100, write=False)
    assert "fallen silent" in bench.faults[-1]


def test_an_acknowledgement_of_init_that_gets_lost_is_given_again(bench):
    bench.run(2980, write=False)
    lost = bench.line.lose_next = 1
    bench.run(1500)
    assert bench.line.lose_next == lost - 1
    assert bench.faults == []
    assert bench.run(200, setting()).acknowledged == (setting(),)


def test_a_port_that_is_lost_is_a_fault_and_is_never_opened_again_by_itself(bench):
    bench.run(500, setting())
    bench.line.gone = True
    report = bench.run(10, write=False)
    assert not report.connected
    assert report.faults == ("port lost: no such device",)
    for _ in range(2):
        with pytest.raises(DriverError, match="must be opened anew"):
            bench.driver.write(bench.driver.encode([setting()]), bench.clock.now_ns())
        bench.driver.stop(bench.clock.now_ns())
        bench.line.gone = False
        before = len(bench.line.sent)
        report = bench.run(1500, write=False)
        assert (report.connected, report.faults, bench.line.sent[before:]) == (False, (), [])
    assert bench.device.active == ()
    assert len(told_times(bench)) == pytest.approx(len(bench.pulses), abs=1)
    assert bench.driver.open().startswith("RehaStim2")
    assert bench.run(100).connected
    assert bench.run(300, setting()).acknowledged == (setting(),)


def test_opened_anew_the_driver_lets_go_of_the_lost_port_and_stops_the_device_on_the_new_one(monkeypatch):
    clock = VirtualClock()
    device = RehaStim2Device(start_ns=clock.now_ns())
    lines = [Line(device, clock), Line(device, clock)]
    opened = iter(lines)
    monkeypatch.setattr(driver_module, "_open_port", lambda port: next(opened))
    driver = RehaStim2Driver(
        RehaStim2Settings(channels=CHANNELS, port="/dev/x"),
        clock=clock,
        pause=lambda for_s: clock.advance(round(for_s * 1e9)),
    )
    driver.open()
    lines[0].gone = True
    assert driver.poll(clock.now_ns())[0].faults == ("port lost: no such device",)
    assert driver.open().startswith("RehaStim2")
    assert [line.closed for line in lines] == [True, False]
    assert Parser().take(lines[1].sent[0][1])[0].command == 34
    assert driver.poll(clock.now_ns())[0].connected


def test_a_lost_port_that_is_opened_anew_tells_of_the_loss_and_gives_nothing_that_was_asked_before(bench):
    bench.run(300, setting())
    data = bench.driver.encode([setting()])
    bench.line.gone = True
    with pytest.raises(DriverError, match="no such device"):
        bench.driver.write(data, bench.clock.now_ns())
    bench.line.gone = False
    bench.driver.open()
    opened_ns = bench.clock.now_ns()
    report = bench.run(10, write=False)
    assert (report.connected, report.faults) == (True, ("port lost: no such device",))
    bench.run(500, write=False)
    assert [pulse for pulse in bench.pulses if pulse.t_ns >= opened_ns] == []
    assert bench.device.active == ()
    with pytest.raises(DriverError, match="already open"):
        bench.driver.open()


@pytest.mark.parametrize("act", ["write", "stop", "poll"])
def test_a_port_lost_in_a_call_is_told_and_only_writing_raises(bench, act):
    bench.run(100)
    data = bench.driver.encode([setting()])
    bench.line.gone = True
    if act == "write":
        with pytest.raises(DriverError, match="no such device"):
            bench.driver.write(data, bench.clock.now_ns())
    elif act == "stop":
        bench.driver.stop(bench.clock.now_ns())
    assert bench.driver.poll(bench.clock.now_ns())[0].faults == ("port lost: no such device",)
    bench.driver.close()
    bench.driver.close()
    bench.driver.stop(bench.clock.now_ns())


def test_close_stops_the_device(bench):
    bench.run(300, setting())
    bench.driver.close()
    assert bench.device.active == ()
    assert bench.line.closed


@settings(deadline=None, max_examples=20)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["write", "write", "zero", "nothing", "stop"]),
            st.sampled_from(["drop_answers", "corrupt_answers", "duplicate_answers", "wrong_number_answers",
                             "reorder_answers", "stuck_on", "quick_stop", "vanished", ""]),
            st.integers(1, 60),
        ),
        min_size=3, max_size=15,
    )
)  # fmt: skip
def test_whatever_breaks_nothing_raises_and_a_stop_ends_it_within_the_devices_own_bound(acts):
    bench = Bench()
    bench.driver.open()
    for act, fault, turns in acts:
        if fault:
            setattr(bench.device.faults, fault, not getattr(bench.device.faults, fault))
        for _ in range(turns):
            with contextlib.suppress(DriverError):
                bench.tick(*([setting()] if act == "write" else []), write=act in ("write", "zero"))
            if act == "stop":
                bench.driver.stop(bench.clock.now_ns())
    assert {pulse.current_ma for pulse in bench.pulses} <= {20.0}
    stopped_ns = bench.clock.now_ns()
    gate_stops(bench, 3000)
    assert all(pulse.t_ns <= stopped_ns + 1450 * MS for pulse in bench.pulses)
    assert bench.device.active == ()


# -- who is there


def test_identify_listens_and_sends_nothing(monkeypatch):
    clock = MonotonicClock()
    line = Line(RehaStim2Device(start_ns=clock.now_ns()), clock)
    monkeypatch.setattr(driver_module, "_open_port", lambda port: line)
    line.injected = frame(Packet(3, 11, b"\x00\x00"))
    assert identify("/dev/ttyUSB0") == "RehaStim2, ScienceMode 2, protocol version 1"
    assert line.sent == []
    assert line.closed


def test_identify_says_where_nobody_announces_itself(monkeypatch):
    clock = MonotonicClock()
    line = Line(RehaStim2Device(start_ns=clock.now_ns()), clock)
    monkeypatch.setattr(driver_module, "_open_port", lambda port: line)
    monkeypatch.setattr(driver_module, "_ANNOUNCED_S", 0.02)
    line._device.faults.vanished = True
    with pytest.raises(DriverError, match="port /dev/ttyUSB0: no RehaStim2 announced itself"):
        identify("/dev/ttyUSB0")
    line.gone = True
    with pytest.raises(DriverError, match="port /dev/ttyUSB0: no such device"):
        identify("/dev/ttyUSB0")


def test_the_port_is_opened_as_the_maker_says(monkeypatch):
    opened = []
    monkeypatch.setattr(driver_module, "SerialTransport", lambda *args, **named: opened.append((args, named)))
    driver_module._open_port("/dev/ttyUSB0")
    assert opened == [(("/dev/ttyUSB0",), {"baud_rate": 460_800, "parity": "E", "stop_bits": 1})]


def test_a_port_that_is_not_there_is_one_line():
    with pytest.raises(DriverError, match="there is none"):
        RehaStim2Driver(RehaStim2Settings(channels=CHANNELS, port="/dev/ttyUSB_none")).open()
