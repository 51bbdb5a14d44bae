"""The simulated stimulator's driver: bytes that say exactly what was allowed, answers that are believed carefully."""

import binascii
import contextlib
import inspect
import math
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import Driver, DriverError
from myoloop.stimulators.emulators.simulated import DeviceSettings, SimulatedDevice
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings
from myoloop.stimulators.transport import MemoryTransport, SocketTransport

MS = 1_000_000
CHANNELS = {"left": 0, "right": 1}


def setting(current_ma=20.0, *, channel="left", phase_us=250.0, rate_hz=50.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


class Bench:
    """Driver and device on one virtual clock."""

    def __init__(self, **options):
        self.clock = VirtualClock()
        self.device = SimulatedDevice(DeviceSettings(**options), start_ns=self.clock.now_ns() - 12_345_678)
        self.driver = SimulatedDriver(
            SimulatedDriverSettings(channels=CHANNELS), MemoryTransport(self.device, self.clock)
        )

    def command(self, *settings_):
        self.driver.write(self.driver.encode(settings_), self.clock.now_ns())

    def tick(self, ms=10):
        self.clock.advance(ms * MS)
        return self.driver.poll(self.clock.now_ns())


@pytest.fixture
def bench():
    made = Bench()
    made.driver.open()
    return made


def test_it_meets_the_contract():
    assert isinstance(SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS)), Driver)


def test_open_stops_the_device_and_tells_who_it_is():
    bench = Bench()
    bench.device.feed(Bench().driver.encode([setting()]), bench.clock.now_ns())
    assert "SIM-0001" in bench.driver.open()
    assert bench.device.active == ()
    assert bench.driver.poll(bench.clock.now_ns())[0].connected


@pytest.mark.parametrize(
    ("options", "what"),
    [({"outputs": 1}, "outputs"), ({"codes_per_ma": 1}, "steps per mA"), ({"lease_max_ms": 100}, "lease"),
     ({"current_max_ma": 60.0}, "largest current")],
)  # fmt: skip
def test_a_device_that_is_not_what_the_rig_says_is_refused(options, what):
    with pytest.raises(DriverError, match=what):
        Bench(**options).driver.open()


wanted = st.builds(
    setting,
    st.floats(0, 130),
    channel=st.sampled_from(sorted(CHANNELS)),
    phase_us=st.integers(10, 1000).map(float),
    rate_hz=st.integers(1, 2000).map(lambda tenths: tenths / 10),
)


@settings(deadline=None)
@given(st.lists(wanted, max_size=2, unique_by=lambda one: one.channel), st.sampled_from([0.5, 0.1, 0.01, 1.0]))
def test_decoding_gives_back_what_was_encoded_never_above_it(asked, step_ma):
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS, current_step_ma=step_ma))
    decoded = {output.output: output for output in driver.decode(driver.encode(asked))}
    for one in asked:
        output = decoded.pop(CHANNELS[one.channel], None)
        if output is None:
            assert one.current_ma < step_ma
            continue
        assert output.current_ma <= one.current_ma < output.current_ma + step_ma * (1 + 1e-9)
        assert (output.phase_us, output.rate_hz) == (one.phase_us, one.rate_hz)
        assert output.net_charge_wire == 0
    assert not decoded


@pytest.mark.parametrize(("asked_ma", "said_ma"), [(10.0, 10.0), (10.49, 10.0), (10.5, 10.5), (0.4, None)])
def test_current_is_rounded_down(asked_ma, said_ma):
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS))
    decoded = driver.decode(driver.encode([setting(asked_ma)]))
    assert [output.current_ma for output in decoded] == ([] if said_ma is None else [said_ma])


@given(st.integers(0, 1000))
def test_a_microcurrent_step_is_said_exactly(hundredths):
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS, current_step_ma=0.01, phase_max_us=1_000_000))
    decoded = driver.decode(driver.encode([setting(hundredths / 100, phase_us=500_000.0, rate_hz=0.5)]))
    assert [output.current_ma for output in decoded] == ([hundredths / 100] if hundredths else [])


def test_encode_and_decode_share_no_function_or_table():
    encode = inspect.getsource(SimulatedDriver.encode)
    decode = inspect.getsource(SimulatedDriver.decode)
    for name in ("_frame", "_code_down", "_exactly", "crc_hqx", "struct.", "codes_per_ma"):
        assert name not in decode
    assert "DecodedOutput" not in encode


@pytest.mark.parametrize(
    "wrong",
    [
        setting(channel="middle"),
        setting(-1.0),
        setting(131.0),
        setting(math.nan),
        setting(math.inf),
        setting(phase_us=250.5),
        setting(phase_us=5.0),
        setting(phase_us=math.nan),
        setting(rate_hz=33.33),
        setting(rate_hz=0.0),
        setting(rate_hz=201.0),
        setting(rate_hz=math.inf),
    ],
)
def test_what_the_protocol_cannot_say_is_refused(wrong):
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS))
    with pytest.raises(DriverError):
        driver.encode([wrong])


def test_the_steps_it_names_are_those_it_can_say():
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS))
    can = driver.capabilities
    for steps in range(1, 500):
        near = setting(phase_us=20.0 + steps * can.phase_step_us, rate_hz=steps * can.rate_step_hz)
        (output,) = driver.decode(driver.encode([near]))
        assert (output.phase_us, output.rate_hz) == (near.phase_us, pytest.approx(near.rate_hz, rel=1e-12))
    for between in (setting(phase_us=20.0 + can.phase_step_us / 2), setting(rate_hz=35.0 + can.rate_step_hz / 2)):
        with pytest.raises(DriverError, match="cannot be said"):
            driver.encode([between])


def test_a_channel_twice_is_refused():
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS))
    with pytest.raises(DriverError, match="twice"):
        driver.encode([setting(), setting()])


@settings(deadline=None)
@given(st.data())
def test_bytes_that_are_not_one_whole_setting_are_refused(data):
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS))
    good = driver.encode([setting(), setting(channel="right")])
    kind = data.draw(st.sampled_from(["cut", "longer", "flipped", "twice"]))
    if kind == "cut":
        bad = good[: data.draw(st.integers(0, len(good) - 1))]
    elif kind == "longer":
        bad = good + data.draw(st.binary(min_size=1, max_size=20))
    elif kind == "twice":
        bad = good + good
    else:
        bad = bytearray(good)
        bad[data.draw(st.integers(0, len(good) - 1))] ^= data.draw(st.integers(1, 255))
        bad = bytes(bad)
    with pytest.raises(DriverError):
        driver.decode(bad)


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda body: body[:11] + b"\x02" + body[12:], "for 2 outputs"),
        (lambda body: body[:11] + b"\x00" + body[12:], "for 0 outputs"),
        (lambda body: body[:11] + b"\x02" + 2 * body[12:], "output 0 twice"),
    ],
)
def test_whole_frames_that_must_never_leave_are_not_decoded(spoil, what):
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS))
    body = spoil(driver.encode([setting()])[3:-2])
    covered = struct.pack("<H", len(body)) + body
    with pytest.raises(DriverError, match=what):
        driver.decode(b"\xa5" + covered + struct.pack("<H", binascii.crc_hqx(covered, 0xFFFF)))


def test_bytes_are_the_same_until_something_is_written(bench):
    first = bench.driver.encode([setting()])
    assert bench.driver.encode([setting()]) == first
    bench.driver.write(first, bench.clock.now_ns())
    with pytest.raises(DriverError, match="the next one"):
        bench.driver.write(first, bench.clock.now_ns())


def test_the_device_acknowledges_by_channel_name(bench):
    bench.command(setting(20.0), setting(7.5, channel="right"))
    report, _ = bench.tick()
    assert report.acknowledged == (setting(20.0), setting(7.5, channel="right"))
    assert report.ack_of == report.sent
    assert report.oldest_unacknowledged_ns is None


def test_zero_is_acknowledged_as_nothing_active(bench):
    bench.command(setting())
    bench.tick()
    bench.command()
    assert bench.tick()[0].acknowledged == ()


def test_pulse_times_come_back_on_the_hosts_clock(bench):
    told, made = [], []
    for _ in range(50):
        bench.command(setting(rate_hz=40.0))
        _, trains = bench.tick()
        made += bench.device.pulses_until(bench.clock.now_ns())
        told += [(t_ns, train.uncertainty_ns) for train in trains for t_ns in train.t_ns]
    assert len(told) >= 19
    for (t_ns, uncertainty_ns), pulse in zip(told, made, strict=False):
        assert abs(t_ns - pulse.t_ns) <= uncertainty_ns <= 6 * MS


def test_an_answer_that_gets_lost_loses_no_pulse(bench):
    told, made = 0, 0
    for cycle in range(100):
        bench.device.faults.drop_answers = cycle % 3 == 0
        bench.command(setting(rate_hz=100.0))
        report, trains = bench.tick()
        assert report.faults == ()
        made += len(bench.device.pulses_until(bench.clock.now_ns()))
        told += sum(len(train.t_ns) for train in trains)
    bench.device.faults.drop_answers = False
    bench.command()
    told += sum(len(train.t_ns) for train in bench.tick()[1])
    assert told == made


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from(["set", "set", "nothing", "stop", "deaf", "late", "heard"]), min_size=5, max_size=40),
    st.integers(20, 160).map(float),
)
def test_a_stop_in_a_train_loses_no_pulse_whatever_is_lost_around_it(acts, rate_hz):
    bench = Bench()
    bench.driver.open()
    told, made = [], []
    for act in [*acts, "heard", "nothing", "nothing", "nothing", "set"]:
        bench.device.faults.drop_answers = act == "deaf"
        bench.device.faults.answer_delay_ns = 15 * MS if act == "late" else 0
        if act == "stop":
            bench.driver.stop(bench.clock.now_ns())
        elif act != "nothing":
            bench.command(setting(rate_hz=rate_hz))
        report, trains = bench.tick()
        assert report.faults == ()
        told += [t_ns for train in trains for t_ns in train.t_ns]
        made += [pulse.t_ns for pulse in bench.device.pulses_until(bench.clock.now_ns())]
    bench.driver.stop(bench.clock.now_ns())
    told += [t_ns for train in bench.tick()[1] for t_ns in train.t_ns]
    assert len(told) == len(made) > 0


def test_who_opens_anew_is_not_told_of_pulses_from_before(bench):
    bench.command(setting(rate_hz=100.0))
    bench.clock.advance(25 * MS)
    other = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS), MemoryTransport(bench.device, bench.clock))
    other.open()
    other.stop(bench.clock.now_ns())
    report, trains = other.poll(bench.clock.now_ns())
    assert (report.faults, trains) == ((), ())


@pytest.mark.parametrize("fault", ["drop_answers", "corrupt_answers"])
def test_a_device_that_is_not_understood_leaves_the_command_unacknowledged(bench, fault):
    setattr(bench.device.faults, fault, True)
    t_ns = bench.clock.now_ns()
    bench.command(setting())
    report, _ = bench.tick()
    assert report.oldest_unacknowledged_ns == t_ns
    assert report.acknowledged == ()


def test_a_late_answer_is_still_understood(bench):
    bench.device.faults.answer_delay_ns = 25 * MS
    bench.command(setting())
    assert bench.tick()[0].acknowledged == ()
    bench.tick()
    assert bench.tick()[0].acknowledged == (setting(),)


def test_stop_works_with_a_command_in_flight(bench):
    bench.device.faults.answer_delay_ns = 100 * MS
    bench.command(setting(rate_hz=100.0))
    bench.clock.advance(25 * MS)
    bench.driver.stop(bench.clock.now_ns())
    bench.clock.advance(500 * MS)
    assert len(bench.device.pulses_until(bench.clock.now_ns())) == 3


def test_a_stuck_device_is_told_by_its_own_acknowledgement(bench):
    bench.device.faults.stuck_on = True
    bench.command(setting())
    bench.driver.stop(bench.clock.now_ns())
    assert bench.tick()[0].acknowledged == (setting(),)


def test_an_open_electrode_a_refusal_and_a_restart_are_faults(bench):
    bench.device.faults.open_electrodes.add(1)
    bench.command(setting(channel="right"))
    bench.tick()
    bench.command(setting(channel="right"))
    assert bench.tick()[0].faults == ("electrode open: right",)
    bench.device.restart(bench.clock.now_ns())
    bench.command()
    assert bench.tick()[0].faults == ("device restarted",)
    bench.device.settings = DeviceSettings(phase_max_us=100)
    bench.command(setting())
    assert bench.tick()[0].faults == ("refused: a value out of range",)


class Pair(SocketTransport):
    def __init__(self, link):
        self._socket, self._unsent = link, b""


def test_a_port_that_is_gone_is_a_fault_and_stop_never_raises():
    here, there = socket.socketpair()
    here.setblocking(False)
    driver = SimulatedDriver(SimulatedDriverSettings(channels=CHANNELS), Pair(here))
    driver._contact.connected = True
    there.close()
    report, _ = driver.poll(0)
    assert not report.connected
    assert "port lost" in report.faults[0]
    with pytest.raises(DriverError, match="not open"):
        driver.write(driver.encode([]), 0)
    driver.stop(0)
    driver.close()
    driver.close()
    driver.stop(0)


@pytest.mark.parametrize("ahead", [1, 1000, 2**31])
def test_an_answer_to_what_was_never_sent_is_a_fault_and_acknowledges_nothing(bench, ahead):
    bench.command(setting())
    bench.tick()
    sent = bench.driver.poll(bench.clock.now_ns())[0].sent
    # Whole, with a good CRC, and claiming that 99 mA flow.
    active = struct.pack("<BHIH", 0, 990, 250, 500)
    body = struct.pack("<BIBQBB", 0x82, sent + ahead, 0, 10**12, 0, 1) + active + struct.pack("<IH", 0, 0)
    covered = struct.pack("<H", len(body)) + body
    bench.driver._received += b"\xa5" + covered + struct.pack("<H", binascii.crc_hqx(covered, 0xFFFF))
    report, _ = bench.tick()
    assert report.faults == (f"an answer to command {sent + ahead}, and only {sent} have been sent",)
    assert (report.ack_of, report.acknowledged) == (sent, (setting(),))
    # What is really sent is acknowledged as ever.
    bench.command(setting(12.0))
    report, _ = bench.tick()
    assert (report.faults, report.ack_of, report.acknowledged) == ((), sent + 1, (setting(12.0),))


def test_what_a_full_port_did_not_take_goes_before_the_stop():
    here, there = socket.socketpair()
    here.setblocking(False)
    transport = Pair(here)
    frame = b"\xa5" * 3_000_000
    with pytest.raises(BlockingIOError, match="no more"):
        transport.send(frame)
    there.setblocking(False)
    received = b""
    stopped = False
    while len(received) < len(frame) + 4:
        received += there.recv(1 << 16)
        with contextlib.suppress(BlockingIOError):
            transport.send(b"" if stopped else b"STOP")
        stopped = True
    assert received == frame + b"STOP"
    here.close()
    there.close()


@pytest.mark.parametrize(
    "wrong",
    [{"current_step_ma": 0.3}, {"current_step_ma": 0.0}, {"channels": {"a": 2}}, {"channels": {"a": 0, "b": 0}},
     {"lease_ms": 0}, {"outputs": 0}, {"outputs": -2}, {"outputs": 65}, {"current_max_ma": -1.0},
     {"current_max_ma": float("nan")}, {"phase_min_us": 0}, {"phase_max_us": 5}, {"rate_max_hz": 0.0}],
)  # fmt: skip
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(DriverError):
        SimulatedDriverSettings(**{"channels": CHANNELS, **wrong})


def test_a_number_of_outputs_that_cannot_be_is_blamed_on_no_channel():
    with pytest.raises(DriverError, match=r"^outputs -2: must be 1 to 64$"):
        SimulatedDriverSettings(channels=CHANNELS, outputs=-2)
