"""The trigger box's driver: trains at the current that is set by hand, renewed by the gate's writes alone."""

import binascii
import inspect
import itertools
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import Driver, DriverError
from myoloop.stimulators.emulators.ttl_trigger import TtlTriggerDevice, TtlTriggerSettings
from myoloop.stimulators.transport import MemoryTransport
from myoloop.stimulators.ttl_trigger import TtlTriggerDriver
from myoloop.stimulators.ttl_trigger_settings import TtlTriggerDriverSettings

MS = 1_000_000
CHANNELS = {"left": 0, "right": 2}


def settings_with(**options):
    given = {"channels": CHANNELS, "port": "/dev/ttyACM0", "set_current_ma": 10.0, "set_phase_us": 200.0,
             "set_waveform": "symmetric_biphasic"}  # fmt: skip
    return TtlTriggerDriverSettings(**{**given, **options})


def setting(current_ma=10.0, *, channel="left", phase_us=200.0, rate_hz=50.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


def line(body):
    return body.encode() + b"*%04X\n" % binascii.crc_hqx(body.encode(), 0xFFFF)


def on_its_clock(transport, clock, **options):
    """A driver that waits for a virtual box by letting its time go on."""
    pause = lambda for_s: clock.advance(round(for_s * 1e9))  # noqa: E731
    return TtlTriggerDriver(settings_with(**options), transport, clock=clock, pause=pause)


class Bench:
    """Driver and box on one virtual clock; the gate's cycle of 10 ms."""

    def __init__(self, start_ns=12_345_678, **options):
        self.clock = VirtualClock()
        self.device = TtlTriggerDevice(TtlTriggerSettings(**options), start_ns=self.clock.now_ns() - start_ns)
        self.driver = on_its_clock(MemoryTransport(self.device, self.clock), self.clock)
        self.driver.open()

    def run(self, ms, *wanted, write=True):
        told, faults, reports = [], [], []
        for cycle in range(ms // 10):
            now_ns = self.clock.now_ns()
            report, pulses = self.driver.poll(now_ns)
            told += [(t_ns, train) for train in pulses for t_ns in train.t_ns]
            faults += report.faults
            reports.append(report)
            if write and cycle % 5 == 0:
                self.driver.write(self.driver.encode(wanted), now_ns)
            self.clock.advance(10 * MS)
        return reports, told, faults

    def pulses(self):
        return self.device.pulses_until(self.clock.now_ns())


@pytest.fixture
def bench():
    return Bench()


def test_it_meets_the_contract():
    assert isinstance(TtlTriggerDriver(settings_with()), Driver)


def test_open_stops_the_box_and_tells_what_it_is():
    bench = Bench()
    bench.run(50, setting())
    again = on_its_clock(MemoryTransport(bench.device, bench.clock), bench.clock)
    assert "set to 10 mA by hand" in again.open()
    assert bench.device.active == ()


@pytest.mark.parametrize(
    ("answer", "what"),
    [((9, 4, 6667, 250, 250), "protocol version"), ((1, 2, 6667, 250, 250), "outputs"),
     ((1, 4, 20000, 250, 250), "largest rate"), ((1, 4, 6667, 120, 250), "longest train"),
     ((1, 4, 6667, 900, 250), "longest train"), ((1, 4, 6667, 250, 1000), "watchdog"),
     ((1, 4), "not of this protocol")],
)  # fmt: skip
def test_a_box_that_is_not_what_the_rig_says_is_refused(answer, what):
    class Box:
        answers = b""

        def feed(self, data, now_ns):
            if b"I," not in data:
                return
            asked = data.split(b"I,")[1].split(b"*")[0].decode()
            fields = ",".join(map(str, (1, *answer, 40, 100, *[0] * 8)))
            self.answers = line(f"i,{asked},{fields}") if what != "not of this protocol" else line(f"i,{asked},1")

        def take(self, now_ns):
            return self.answers

    clock = VirtualClock()
    driver = on_its_clock(MemoryTransport(Box(), clock), clock)
    with pytest.raises(DriverError, match=what):
        driver.open()


def test_a_silent_port_is_no_box():
    bench = Bench()
    bench.device.faults.vanished = True
    driver = on_its_clock(MemoryTransport(bench.device, bench.clock), bench.clock)
    asked_ns = bench.clock.now_ns()
    with pytest.raises(DriverError, match="no trigger box has answered within 5 s"):
        driver.open()
    assert bench.clock.now_ns() - asked_ns == 5000 * MS


def test_a_box_that_takes_its_time_to_start_is_asked_until_it_answers():
    class Starting(MemoryTransport):
        asked = 0

        def send(self, data):
            self.asked += 1
            if clock.now_ns() - began_ns >= 1300 * MS:
                super().send(data)

    clock = VirtualClock()
    began_ns = clock.now_ns()
    line = Starting(TtlTriggerDevice(TtlTriggerSettings(), start_ns=began_ns), clock)
    assert on_its_clock(line, clock).open().startswith("TTL trigger box")
    # Each 250 ms, and once more when it hears.
    assert (line.asked, clock.now_ns() - began_ns) == (7, 1500 * MS)


wanted = st.builds(
    setting,
    st.sampled_from([0.0, 10.0]),
    channel=st.sampled_from(sorted(CHANNELS)),
    rate_hz=st.integers(10_000, 1_000_000).map(lambda period_us: 1e6 / period_us),
)


@settings(deadline=None)
@given(st.lists(wanted, max_size=2, unique_by=lambda one: one.channel))
def test_decoding_gives_back_what_was_encoded(asked):
    driver = TtlTriggerDriver(settings_with())
    decoded = {output.output: output for output in driver.decode(driver.encode(asked))}
    for one in asked:
        got = decoded.pop(CHANNELS[one.channel], None)
        if got is None:
            assert one.current_ma == 0
            continue
        assert (got.current_ma, got.phase_us, got.net_charge_wire) == (10.0, 200.0, 0)
        assert got.rate_hz == pytest.approx(one.rate_hz, rel=1e-12)
    assert not decoded


def test_a_line_is_as_the_protocol_says():
    driver = TtlTriggerDriver(settings_with())
    assert driver.encode([setting(rate_hz=40.0)]) == line("T,1,150,25000,0,0,0")


def test_capabilities_say_that_there_is_one_current_and_whole_us():
    can = TtlTriggerDriver(settings_with()).capabilities
    assert (can.current_step_ma, can.current_max_ma, can.period_step_us) == (10.0, 10.0, 1.0)
    assert (can.phase_min_us, can.phase_max_us, can.lease_ms) == (200.0, 200.0, 150)


def test_encode_and_decode_share_no_function_or_table():
    decode = inspect.getsource(TtlTriggerDriver.decode)
    for name in ("_line", "crc_hqx", "_PERIOD", "OUTPUTS", "TRAIN"):
        assert name not in decode
    assert "DecodedOutput" not in inspect.getsource(TtlTriggerDriver.encode)


@pytest.mark.parametrize(
    "wrong",
    [setting(channel="middle"), setting(-10.0), setting(5.0), setting(9.999), setting(20.0), setting(math.nan),
     setting(math.inf), setting(phase_us=201.0), setting(phase_us=math.nan), setting(rate_hz=0.0),
     setting(rate_hz=100.1), setting(rate_hz=33.0), setting(rate_hz=math.nan), setting(rate_hz=math.inf)],
)  # fmt: skip
def test_what_is_not_set_by_hand_is_refused(wrong):
    with pytest.raises(DriverError):
        TtlTriggerDriver(settings_with()).encode([wrong])


def test_a_channel_twice_is_refused():
    with pytest.raises(DriverError, match="twice"):
        TtlTriggerDriver(settings_with()).encode([setting(), setting()])


@settings(deadline=None)
@given(st.data())
def test_bytes_that_are_not_one_whole_line_are_refused(data):
    driver = TtlTriggerDriver(settings_with())
    good = driver.encode([setting(), setting(channel="right")])
    kind = data.draw(st.sampled_from(["cut", "longer", "flipped", "twice"]))
    bad = {
        "cut": good[: data.draw(st.integers(0, len(good) - 1))],
        "longer": good + data.draw(st.binary(min_size=1, max_size=20)),
        "twice": good + good,
    }.get(kind)
    if bad is None:
        spoiled = bytearray(good)
        spoiled[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
        bad = bytes(spoiled)
    with pytest.raises(DriverError):
        driver.decode(bad)


@pytest.mark.parametrize(
    "body", ["T,1,251,20000,0,0,0", "T,1,0,20000,0,0,0", "T,1,150,20000,0,0", "T,1,150,020000,0,0,0", "S,1",
             "T,1,150,-1,0,0,0", "T,1,150,20000,0,0,0,0"]
)  # fmt: skip
def test_lines_that_must_never_leave_are_not_decoded(body):
    with pytest.raises(DriverError):
        TtlTriggerDriver(settings_with()).decode(line(body))


def test_bytes_are_written_once_and_in_their_turn(bench):
    first = bench.driver.encode([setting()])
    assert bench.driver.encode([setting()]) == first
    bench.driver.write(first, bench.clock.now_ns())
    with pytest.raises(DriverError, match="the next one"):
        bench.driver.write(first, bench.clock.now_ns())


def test_a_train_goes_on_while_it_is_written_and_ends_when_not(bench):
    bench.run(1000, setting(rate_hz=40.0))
    pulses = bench.pulses()
    assert {b.t_ns - a.t_ns for a, b in itertools.pairwise(pulses)} == {25 * MS}
    assert {(pulse.output, pulse.current_ma) for pulse in pulses} == {(0, 10.0)}
    last_ns = bench.clock.now_ns()
    bench.run(1000, write=False)
    assert all(pulse.t_ns < last_ns + 150 * MS for pulse in bench.pulses())
    assert bench.device.active == ()


@pytest.mark.parametrize("drift_ppm", [0.0, 5000.0, -5000.0])
@pytest.mark.parametrize("delay_ms", [0, 3])
def test_pulse_times_come_back_on_the_hosts_clock(drift_ppm, delay_ms):
    bench = Bench(drift_ppm=drift_ppm)
    bench.device.faults.answer_delay_ns = delay_ms * MS
    told, made = [], []
    for rate_hz in (40.0, 100.0, 20.0, 50.0):
        told += bench.run(700, setting(rate_hz=rate_hz))[1]
    told += bench.run(300)[1]
    made = bench.pulses()
    assert len(told) == len(made)
    for (t_ns, train), pulse in zip(told, made, strict=True):
        assert abs(t_ns - pulse.t_ns) <= train.uncertainty_ns
    steady = [train for _, train in told if train.kind == "acknowledged"]
    assert len(steady) >= 0.9 * len(told)
    assert all(train.uncertainty_ns <= 14 * MS for train in steady)


def test_lost_answers_lose_no_pulse(bench):
    told, made = [], 0
    for cycle in range(12):
        bench.device.faults.drop_answers = cycle % 3 == 1
        told += bench.run(100, setting(rate_hz=100.0))[1]
        made += len(bench.pulses())
    bench.device.faults.drop_answers = False
    told += bench.run(200)[1]
    made += len(bench.pulses())
    assert len(told) == made


def test_the_device_confirms_in_the_gates_own_numbers(bench):
    asked = (setting(rate_hz=1e6 / 30001), setting(channel="right", rate_hz=20.0))
    report = bench.run(100, *asked)[0][-1]
    assert report.acknowledged == asked
    assert (report.ack_of, report.oldest_unacknowledged_ns) == (report.sent, None)
    report = bench.run(100)[0][-1]
    assert report.acknowledged == ()


def test_stop_works_with_half_a_line_on_the_way(bench):
    bench.run(200, setting(), setting(channel="right"))
    bench.device.feed(bench.driver.encode([setting(rate_hz=100.0)])[:-3], bench.clock.now_ns())
    bench.driver.stop(bench.clock.now_ns())
    assert bench.device.active == ()
    bench.pulses()
    report = bench.run(300, write=False)[0][-1]
    assert bench.pulses() == []
    assert (report.acknowledged, report.oldest_unacknowledged_ns) == ((), None)


def test_a_stuck_box_is_told_by_its_own_answer(bench):
    bench.run(100, setting())
    bench.device.faults.stuck_on = True
    bench.driver.stop(bench.clock.now_ns())
    assert bench.driver.poll(bench.clock.now_ns())[0].acknowledged == (setting(),)


@pytest.mark.parametrize("fault", ["drop_answers", "corrupt_answers"])
def test_a_box_that_is_not_understood_leaves_the_order_unconfirmed(bench, fault):
    setattr(bench.device.faults, fault, True)
    t_ns = bench.clock.now_ns()
    report = bench.run(100, setting())[0][-1]
    assert (report.oldest_unacknowledged_ns, report.acknowledged) == (t_ns, ())


@pytest.mark.parametrize(
    "fault", [{"duplicate_answers": True}, {"garbage_before_answers": b"\x00si*Ht"}, {"split_answers_ns": 7 * MS}]
)
def test_answers_are_understood_however_they_come(bench, fault):
    for name, value in fault.items():
        setattr(bench.device.faults, name, value)
    reports, _, faults = bench.run(300, setting())
    assert faults == []
    assert reports[-1].acknowledged == (setting(),)


def test_an_answer_with_a_wrong_number_confirms_nothing(bench):
    bench.device.faults.wrong_number_answers = True
    report = bench.run(10, setting())[0][-1]
    report, _ = bench.driver.poll(bench.clock.now_ns())
    assert report.ack_of < report.sent


@pytest.mark.parametrize(("code", "text"), [(1, "did not understand"), (2, "out of range"), (7, "code 7")])
def test_each_refusal_is_a_fault(bench, code, text):
    bench.device.faults.refuse_next = code
    _, _, faults = bench.run(100, setting())
    assert len(faults) == 1
    assert text in faults[0]


def test_a_spoiled_line_is_a_fault_and_all_low(bench):
    bench.run(100, setting())
    bench.device.feed(b"T,9,250,100\n", bench.clock.now_ns())
    assert bench.device.active == ()
    assert bench.run(20, write=False)[2] == ["the trigger box refused a line it did not understand"]


@pytest.mark.parametrize("deaf", [False, True])
def test_a_box_that_restarts_says_so(bench, deaf):
    bench.run(300, setting())
    bench.device.faults.drop_answers = deaf
    bench.device.restart(bench.clock.now_ns())
    bench.device.faults.drop_answers = False
    _, _, faults = bench.run(100, setting())
    assert faults == ["the trigger box restarted"]


@pytest.mark.parametrize(
    "body", ["t,1", "x,1,2,3", "q,99999999999", "t,one,2", "t," + ",".join(["9" * 5000] * 13), "i,1,2,3"]
)
def test_lines_of_nothing_that_was_asked_change_nothing(bench, body):
    bench.run(100, setting())
    bench.driver._received += b"t*\n" + line(body)
    report, _ = bench.driver.poll(bench.clock.now_ns())
    assert (report.acknowledged, report.faults) == ((setting(),), ())


def test_a_count_that_cannot_be_is_a_fault(bench):
    bench.run(100, setting())
    bench.device._outputs[0].made += 5000
    faults = bench.run(100, setting())[2]
    assert len(faults) == 1
    assert "triggers at once" in faults[0]


def test_microseconds_that_wrap_change_nothing():
    bench = Bench(start_ns=(2**32 * 1000) - 500 * MS)
    told = bench.run(1000, setting())[1]
    made = bench.pulses()
    assert len(told) >= len(made) - 3
    for (t_ns, train), pulse in zip(told, made, strict=False):
        assert abs(t_ns - pulse.t_ns) <= train.uncertainty_ns


class Stutter:
    """A port that takes nothing for a moment, and then does again."""

    def __init__(self, link):
        self.link, self.full = link, True

    def send(self, data):
        if self.full:
            raise BlockingIOError("full")
        self.link.send(data)

    def receive(self):
        return self.link.receive()

    def close(self):
        pass


def test_a_port_that_was_lost_for_a_moment_is_stopped_all_the_same(bench):
    bench.run(300, setting())
    bench.driver._transport = Stutter(bench.driver._transport)
    with pytest.raises(DriverError, match="full"):
        bench.driver.write(bench.driver.encode([setting()]), bench.clock.now_ns())
    bench.driver._transport.full = False
    t_ns = bench.clock.now_ns()
    bench.driver.stop(t_ns)
    bench.run(1000, write=False)
    assert all(pulse.t_ns < t_ns + 250 * MS for pulse in bench.pulses())
    assert bench.device.active == ()
    with pytest.raises(DriverError, match="not open"):
        bench.driver.write(bench.driver.encode([]), bench.clock.now_ns())


class Gone:
    def send(self, data):
        raise BrokenPipeError("gone")

    def receive(self):
        raise BrokenPipeError("gone")

    def close(self):
        pass


def test_a_lost_port_is_told_once_and_stop_never_raises(bench):
    bench.driver._transport = Gone()
    with pytest.raises(DriverError, match="gone"):
        bench.driver.write(bench.driver.encode([]), bench.clock.now_ns())
    report, _ = bench.driver.poll(bench.clock.now_ns())
    assert (report.connected, report.faults) == (False, ("port lost: gone",))
    with pytest.raises(DriverError, match="not open"):
        bench.driver.write(bench.driver.encode([]), bench.clock.now_ns())
    bench.driver.stop(0)
    bench.driver.close()
    bench.driver.close()
    bench.driver.stop(0)


def test_a_port_that_breaks_at_a_stop_or_a_look_is_lost():
    bench = Bench()
    bench.driver._transport = Gone()
    bench.driver.stop(bench.clock.now_ns())
    assert not bench.driver.poll(bench.clock.now_ns())[0].connected
    bench = Bench()
    bench.driver._transport = Gone()
    assert not bench.driver.poll(bench.clock.now_ns())[0].connected
    with pytest.raises(DriverError, match="gone"):
        TtlTriggerDriver(settings_with(), Gone()).open()


acts = st.sampled_from(["off", "left", "both", "stop", "nothing", "deaf", "late", "well", "garbage"])


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(acts, st.integers(1, 30)), max_size=25), st.floats(-5000, 5000))
def test_whatever_happens_pulses_are_those_allowed_and_all_are_told(script, drift_ppm):
    bench = Bench(drift_ppm=drift_ppm)
    allowed_ns, told, made = 0, 0, 0
    both = (setting(rate_hz=100.0), setting(channel="right", rate_hz=25.0))
    for act, cycles in [*script, ("well", 1), ("off", 30)]:
        faults = bench.device.faults
        if act in ("deaf", "late", "well"):
            faults.drop_answers, faults.answer_delay_ns = act == "deaf", 35 * MS if act == "late" else 0
        if act == "garbage":
            bench.device.feed(b"T,\n", bench.clock.now_ns())
        if act == "stop":
            bench.driver.stop(bench.clock.now_ns())
        asked = {"left": both[:1], "both": both}.get(act, ())
        told += len(bench.run(cycles * 10, *asked, write=act in ("off", "left", "both"))[1])
        if asked:
            allowed_ns = bench.clock.now_ns()
        for pulse in bench.pulses():
            made += 1
            assert pulse.t_ns <= allowed_ns + 151 * MS
            assert pulse.current_ma == 10.0
    assert told == made


@pytest.mark.parametrize(
    "wrong",
    [{"channels": {"a": 4}}, {"channels": {"a": 0, "b": 0}}, {"set_current_ma": 0.0}, {"set_current_ma": math.nan},
     {"set_phase_us": -1.0}, {"set_waveform": "monophasic"}, {"rate_max_hz": 150.0}, {"train_ms": 251},
     {"train_ms": 50}, {"ready_s": math.inf}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(DriverError):
        settings_with(**wrong)
