"""The driver of P24 and RehaMove3: who it talks to, stopping, and what it says when something is wrong."""

import pytest

from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.emulators.sciencemode34 import ScienceMode34Device
from myoloop.stimulators.sciencemode import driver as driver_module
from myoloop.stimulators.sciencemode import identity
from myoloop.stimulators.sciencemode.driver import ScienceMode34Driver, identify
from myoloop.stimulators.sciencemode.frames import Frame, Receiver, encode
from myoloop.stimulators.sciencemode.settings import ScienceMode34Settings

MS = 1_000_000
KINDS = [("p24", "low"), ("p24", "mid"), ("rehamove3", "low"), ("rehamove3", "mid")]
FORBIDDEN = range(100, 1024)  # measuring unit, firmware update, service


def setting(current_ma=20.0, *, channel="left", phase_us=250.0, rate_hz=50.0):
    return ChannelSetting(channel=channel, current_ma=current_ma, phase_us=phase_us, rate_hz=rate_hz)


def sent(line, since=0):
    return Receiver().feed(b"".join(line.sent[since:]))


class Scripted:
    """A device that gives prepared answers to commands: payloads by command, or nothing."""

    def __init__(self, **payloads):
        self.payloads = {0: b"\0", 4: b"\0", 30: b"\0", 32: b"\0", 34: b"\0",
                         52: b"\0P24-000123", 62: b"\0\0\1", 68: bytes((0, 4, 2, 1, 4, 0, 0, 0, 0, 0, 0, 0, 0)),
                         50: bytes((0, 2, 1, 0, 3, 2, 4)), 54: b"\0\x50\x0f\xa0"}  # fmt: skip
        self.payloads |= {int(name[1:]): payload for name, payload in payloads.items()}
        self.sent, self.answers, self.closed = [], b"", False

    def send(self, data):
        self.sent.append(data)
        for frame in Receiver().feed(data):
            payload = self.payloads.get(frame.command)
            if payload is not None:
                self.answers += encode(Frame(frame.number, frame.command + 1, payload))

    def receive(self):
        answers, self.answers = self.answers, b""
        return answers

    def close(self):
        self.closed = True


def scripted(device="p24", level="low", **payloads):
    settings = ScienceMode34Settings({"left": 0}, "", device, 60.0, level)
    line = Scripted(**payloads)
    return ScienceMode34Driver(settings, line, sleep=lambda seconds: None), line


@pytest.mark.parametrize("kind", KINDS)
def test_open_stops_the_device_asks_who_it_is_and_begins(make_bench, kind):
    bench = make_bench(*kind)
    report = bench.poll()
    assert report.connected
    assert report.identity.startswith({"p24": "P24 EMU", "rehamove3": "RehaMove3 EMU"}[kind[0]])
    commands = [frame.command for frame in sent(bench.line)]
    assert commands[:3] == [32, 34, 4]
    assert commands[-1] == {"low": 0, "mid": 30}[kind[1]]
    assert not set(commands) & set(FORBIDDEN)
    with pytest.raises(DriverError, match="already open"):
        bench.driver.open()


def test_a_device_left_running_is_stopped_before_it_is_asked(make_bench):
    before = make_bench("p24", "mid")
    before.run(50, setting())
    again = ScienceMode34Driver(
        before.settings, before.line, sleep=lambda seconds: before.clock.advance(round(seconds * 1e9))
    )
    again.open()
    assert before.device.active == ()


def test_the_battery_of_a_rehamove3_is_told():
    driver, _ = scripted("rehamove3")
    assert driver.open() == "RehaMove3 P24-000123, firmware 2.1.0, ScienceMode 3.2.4, battery 80 %"
    driver, _ = scripted("rehamove3", _54=b"\x11")
    assert driver.open() == "RehaMove3 P24-000123, firmware 2.1.0, ScienceMode 3.2.4"


@pytest.mark.parametrize(
    ("device", "payloads", "why"),
    [
        ("p24", {"_52": None}, "no answer to GET_DEVICE_ID within 1 s"),
        ("p24", {"_52": b"\7"}, r"does not say its number: .* \(result 7\)"),
        ("p24", {"_32": b"\2"}, r"P24: not stopped: a value the device does not take \(result 2\)"),
        ("p24", {"_68": b"\7"}, "the rig says P24, which tells its version; this one says not initialised"),
        ("p24", {"_68": bytes((0, 3, 0, 0, 3, 2, 4, 0, 0, 0, 0, 0, 0))}, "speaks ScienceMode 3.2.4, a P24 speaks 4"),
        ("rehamove3", {"_50": bytes((0, 4, 0, 0, 4, 0, 0))}, "speaks ScienceMode 4.0.0, a RehaMove3 speaks 3"),
        (
            "p24",
            {"_62": b"\0\3\6"},
            "stopped, but the device says mid level running, high voltage 150 V: pull the leads",
        ),
        ("p24", {"_62": b"\0\0\6"}, "stopped, but the device says no level, high voltage 150 V: pull the leads"),
        ("p24", {"_62": b"\7"}, "pull the leads"),
        ("p24", {"_0": b"\x08"}, r"cannot begin low level: high-voltage error \(result 8\)"),
    ],
)
def test_a_device_that_is_not_what_the_rig_says_is_refused_and_let_go(device, payloads, why):
    driver, line = scripted(device, **payloads)
    with pytest.raises(DriverError, match=why):
        driver.open()
    assert line.closed
    assert sent(line)[-1].command == 4
    with pytest.raises(DriverError, match="not open"):
        driver.write(driver.encode([]), 0)


def test_another_profile_does_not_know_the_question(make_bench):
    for device, other in (("p24", "rehamove3"), ("rehamove3", "p24")):
        bench = make_bench(device)
        settings = ScienceMode34Settings({"left": 0}, "", other, 60.0)
        wrong = ScienceMode34Driver(settings, bench.line, sleep=lambda s, b=bench: b.clock.advance(round(s * 1e9)))
        with pytest.raises(DriverError, match="the rig says"):
            wrong.open()


def test_a_port_that_is_gone_while_it_is_opened():
    driver, line = scripted()
    line.receive = lambda: (_ for _ in ()).throw(OSError("unplugged"))
    with pytest.raises(DriverError, match="P24: unplugged"):
        driver.open()
    assert line.closed


def test_without_a_transport_the_port_is_opened(monkeypatch):
    line = Scripted()
    opened = {}

    def serial(port, **options):
        opened.update(options, port=port)
        return line

    monkeypatch.setattr(identity, "SerialTransport", serial)
    driver = ScienceMode34Driver(ScienceMode34Settings({"left": 0}, "/dev/ttyACM7", "p24", 60.0))
    assert "P24-000123" in driver.open()
    assert opened == {"port": "/dev/ttyACM7", "baud_rate": 3_000_000, "stop_bits": 2, "rts_cts": True}
    driver.close()
    assert line.closed


# Stopping


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_ends_a_train_at_once_and_is_confirmed_by_the_device(make_bench, kind):
    bench = make_bench(*kind)
    bench.run(210, setting(), setting(channel="right"))
    before = len(bench.line.sent)
    bench.made.clear()
    stopped_ns = bench.now_ns
    bench.driver.stop(stopped_ns)
    commands = [frame.command for frame in sent(bench.line, before)]
    assert commands == ([4] * 3 if kind[1] == "low" else [32, 34, 34, 34])
    assert bench.poll().acknowledged == (setting(), setting(channel="right"))
    bench.run(300, write=False)
    assert all(pulse.t_ns <= stopped_ns for pulse in bench.made)
    assert bench.device.active == ()
    assert bench.faults == []
    report = bench.reports[-1]
    assert (report.acknowledged, report.ack_of, report.oldest_unacknowledged_ns) == ((), report.ack_of, None)
    assert sent(bench.line)[-1].command == 62


@pytest.mark.parametrize("kind", KINDS)
def test_three_stops_in_a_row_as_the_gate_gives_them_are_no_fault(make_bench, kind):
    bench = make_bench(*kind)
    bench.run(210, setting(), setting(channel="right"))
    for _ in range(3):
        bench.driver.stop(bench.now_ns)
        bench.run(10, write=False)
    stopped_ns = bench.now_ns - 30 * MS
    bench.run(400, write=False)
    assert bench.faults == []
    waited = [r.t_ns - r.oldest_unacknowledged_ns for r in bench.reports if r.oldest_unacknowledged_ns is not None]
    assert max(waited) <= 250 * MS
    assert stopped_ns < bench.reports[-1].t_ns
    assert bench.reports[-1].acknowledged == ()


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_after_a_stop_begins_the_level_anew_once_the_device_has_stopped(make_bench, kind):
    bench = make_bench(*kind)
    bench.run(100, setting())
    bench.driver.stop(bench.now_ns)
    before = len(bench.line.sent)
    held_ns = bench.now_ns
    bench.write()
    bench.write(setting(11.0))
    number = bench.write(setting(12.0))
    assert len(bench.line.sent) == before
    assert bench.poll().oldest_unacknowledged_ns == held_ns
    bench.made.clear()
    bench.run(300, setting(12.0))
    commands = [frame.command for frame in sent(bench.line, before)]
    begin = {"low": 0, "mid": 30}[kind[1]]
    assert commands[:2] == [62, begin]
    assert commands.count(begin) == 1
    # Only the newest was carried out.
    assert {pulse.current_ma for pulse in bench.made} <= {12.0, 20.0}
    report = bench.reports[-1]
    assert report.acknowledged == (setting(12.0),)
    assert report.ack_of >= number
    assert bench.faults == []


@pytest.mark.parametrize("kind", KINDS)
def test_an_order_that_was_held_too_long_is_not_carried_out(make_bench, kind):
    bench = make_bench(*kind)
    bench.driver.stop(bench.now_ns)
    bench.write(setting())
    report = bench.run(500, write=False)
    assert bench.made == []
    assert bench.device.active == ()
    assert (report.acknowledged, report.oldest_unacknowledged_ns, report.faults) == ((), None, ())


@pytest.mark.parametrize("kind", KINDS)
def test_closed_while_current_may_flow_and_opened_anew_it_knows_of_no_current(make_bench, kind):
    bench = make_bench(*kind)
    bench.run(100, setting())
    bench.driver.close()
    bench.driver.open()
    report = bench.poll()
    assert (report.acknowledged, report.faults) == ((), ())
    assert bench.run(100, setting()).acknowledged == (setting(),)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stop_while_the_level_is_begun_leaves_it_stopped(make_bench, kind):
    bench = make_bench(*kind)
    bench.driver.stop(bench.now_ns)
    bench.run(300, write=False)
    bench.write(setting())
    bench.run(10, write=False)
    bench.driver.stop(bench.now_ns)
    bench.run(500, write=False)
    assert bench.made == []
    assert bench.driver.due_ns is None
    assert bench.device.active == ()
    assert bench.faults == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_device_that_goes_on_after_a_stop_is_said_until_it_does_stop(make_bench, kind):
    bench = make_bench(*kind)
    bench.run(200, setting())
    bench.device.faults.stuck_on = True
    bench.driver.stop(bench.now_ns)
    report = bench.run(300, write=False)
    (fault,) = report.faults
    assert fault.startswith("stopped, but the device says ")
    assert fault.endswith(": pull the leads")
    # It counts as current, and nothing more is given.
    assert report.acknowledged == (setting(),)
    with pytest.raises(DriverError, match="pull the leads"):
        bench.write(setting())
    bench.device.faults.stuck_on = False
    bench.driver.stop(bench.now_ns)
    report = bench.run(300, write=False)
    assert (report.faults, report.acknowledged) == ((), ())


@pytest.mark.parametrize("device", ["p24", "rehamove3"])
def test_stops_that_are_not_obeyed_do_not_keep_the_device_from_its_own_end(make_bench, device):
    bench = make_bench(device, "mid")
    bench.run(200, setting())
    bench.device.faults.stuck_on = True
    first_ns = bench.now_ns
    bench.made.clear()
    for _ in range(60):
        bench.driver.stop(bench.now_ns)
        bench.run(50, write=False)
    # It went on, up to 2 s after the one zero update.
    assert 1.9e9 < bench.made[-1].t_ns - first_ns < 2.05e9


def test_a_check_that_is_refused_counts_as_not_stopped(make_bench):
    bench = make_bench()
    bench.device.faults.results_once[62] = 21
    bench.driver.stop(bench.now_ns)
    report = bench.run(300, write=False)
    assert report.faults == ("stopped, but the device says busy (result 21): pull the leads",)


@pytest.mark.parametrize("level", ["low", "mid"])
def test_a_stop_that_is_refused_is_said(make_bench, level):
    bench = make_bench("p24", level)
    bench.device.faults.results_once[{"low": 4, "mid": 34}[level]] = 8
    bench.driver.stop(bench.now_ns)
    bench.run(300, write=False)
    assert bench.faults == ["stop: high-voltage error (result 8)"]


def test_whether_it_has_stopped_is_asked_though_the_stop_is_not_answered(make_bench):
    bench = make_bench()
    bench.run(100, setting())
    bench.device.faults.drop_answers = True
    bench.driver.stop(bench.now_ns)
    bench.run(140, write=False)
    assert sent(bench.line)[-1].command == 4
    report = bench.run(20, write=False)
    assert sent(bench.line)[-1].command == 62
    assert report.acknowledged == (setting(),)
    bench.device.faults.drop_answers = False
    bench.driver.stop(bench.now_ns)
    assert bench.run(300, write=False).acknowledged == ()


def test_one_lost_answer_to_a_stop_is_no_fault_where_the_device_says_that_it_has_stopped(make_bench):
    bench = make_bench()
    bench.run(100, setting())
    bench.device.faults.drop_answers = True
    bench.device.faults.answers_left = 1
    bench.driver.stop(bench.now_ns)
    report = bench.run(300, write=False)
    assert (report.acknowledged, report.oldest_unacknowledged_ns, bench.faults) == ((), None, [])


@pytest.mark.parametrize("level", ["low", "mid"])
def test_a_stop_empties_what_was_held(level):
    driver, line = scripted("p24", level)
    driver.open()
    driver.stop(MS)
    driver.write(driver.encode([setting()]), 2 * MS)
    driver.stop(3 * MS)
    before = len(line.sent)
    for t_ms in range(4, 10):
        report, _ = driver.poll(t_ms * MS)
    assert [frame.command for frame in sent(line, before)] == [62]
    assert report.oldest_unacknowledged_ns is None


@pytest.mark.parametrize("level", ["low", "mid"])
@pytest.mark.parametrize("each_ms", [50, 60, 90])
def test_a_stop_that_the_gate_says_again_and_again_is_seen_through(make_bench, level, each_ms):
    bench = make_bench(level=level)
    bench.run(300, setting())
    for t_ms in range(0, 400, 10):
        # As the gate does: three cycles in a row, then again until the device says zero.
        if t_ms < 30 or (t_ms % each_ms == 0 and bench.reports[-1].acknowledged):
            bench.driver.stop(bench.now_ns)
        bench.run(10, write=False)
    assert bench.reports[-1].acknowledged == ()
    assert bench.reports[-1].oldest_unacknowledged_ns is None
    bench.run(200, write=False)
    assert bench.faults == []
    assert bench.run(500, setting()).acknowledged == (setting(),)


def test_a_stop_always_finds_a_number():
    driver, line = scripted("p24", "mid")
    driver.open()
    line.payloads = {}
    for written_ns in range(64):
        driver.write(driver.encode([setting()]), written_ns)
    with pytest.raises(DriverError, match="64 commands are unanswered"):
        driver.encode([setting()])
    for again in range(100):
        before = len(line.sent)
        driver.stop(again * 200 * MS)
        assert [frame.command for frame in sent(line, before)] == [34] * 3 if again else [32, 34, 34, 34]
        driver.poll(again * 200 * MS + 160 * MS)


def test_stop_and_poll_before_opening_and_after_closing_do_nothing():
    driver, line = scripted()
    driver.stop(0)
    driver.pulse(0)
    report, pulses = driver.poll(0)
    assert (report.connected, pulses, driver.due_ns) == (False, (), None)
    driver.open()
    driver.close()
    assert [frame.command for frame in sent(line)][-3:] == [4, 4, 4]
    count = len(line.sent)
    driver.close()
    driver.stop(0)
    assert len(line.sent) == count
    assert not driver.poll(0)[0].connected


def test_a_level_that_cannot_be_begun_after_a_stop_is_said_and_the_order_dropped(make_bench):
    bench = make_bench("p24", "mid")
    bench.driver.stop(bench.now_ns)
    bench.run(300, write=False)
    bench.device.faults.results_once[30] = 8
    bench.write(setting())
    report = bench.run(50, write=False)
    assert bench.faults == ["cannot begin mid level: high-voltage error (result 8)"]
    assert report.oldest_unacknowledged_ns is None
    bench.run(200, setting())
    assert bench.device.active == (0,)


# What is wrong


@pytest.mark.parametrize("kind", KINDS)
def test_a_lost_port_is_said_once_and_nothing_is_sent_again(make_bench, kind):
    bench = make_bench(*kind)
    bench.run(100, setting())
    bench.line.pulled = True
    report = bench.poll()
    assert (report.connected, report.faults) == (False, ("port lost: the cable is out",))
    assert bench.poll().faults == ()
    with pytest.raises(DriverError, match="not open"):
        bench.write(setting())
    bench.driver.stop(bench.now_ns)
    assert bench.driver.due_ns is None
    bench.line.pulled = False
    before = len(bench.line.sent)
    bench.run(100, write=False)
    assert len(bench.line.sent) == before
    assert not bench.poll().connected
    bench.line.pulled = True
    bench.driver.close()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("polled", [True, False])
def test_a_lost_port_that_is_opened_anew_is_stopped_asked_who_it_is_and_told_nothing_again(make_bench, kind, polled):
    bench = make_bench(*kind)
    bench.run(100, setting())
    bench.line.pulled = True
    if kind[1] == "mid":
        with pytest.raises(DriverError, match="the cable is out"):
            bench.write(setting())
    else:
        bench.write(setting())
        bench.clock.advance(30 * MS)
        bench.driver.pulse(bench.now_ns)
    if polled:
        assert bench.poll().faults == ("port lost: the cable is out",)
    bench.line.pulled = False
    before = len(bench.line.sent)
    assert bench.driver.open() == bench.reports[0].identity
    report = bench.poll()
    # Who has not been asked in between hears now why: the gate goes to FAULT.
    assert report.faults == (() if polled else ("port lost: the cable is out",))
    assert (report.connected, report.acknowledged, report.oldest_unacknowledged_ns) == (True, (), None)
    commands = [frame.command for frame in sent(bench.line, before)]
    assert commands[:4] == [32, 34, 4, 52]
    assert commands[-1] == {"low": 0, "mid": 30}[kind[1]]
    assert bench.driver.due_ns is None
    made = len(bench.made)
    bench.run(500, write=False)
    assert len(bench.made) == made
    assert bench.device.active == ()
    assert bench.run(100, setting()).acknowledged == (setting(),)
    with pytest.raises(DriverError, match="already open"):
        bench.driver.open()


def test_opened_anew_the_driver_lets_go_of_the_lost_port(make_bench, monkeypatch):
    bench = make_bench()
    lines = [bench.line, type(bench.line)(bench.device, bench.clock)]
    opened = iter(lines)
    monkeypatch.setattr(driver_module, "open_port", lambda port: next(opened))
    driver = ScienceMode34Driver(bench.settings, sleep=lambda s: bench.clock.advance(round(s * 1e9)))
    driver.open()
    lines[0].pulled = True
    assert driver.poll(bench.now_ns)[0].faults == ("port lost: the cable is out",)
    driver.open()
    assert [line.closed for line in lines] == [True, False]
    assert driver.poll(bench.now_ns)[0].connected


def test_pulses_in_flight_when_a_port_is_lost_are_told_as_sent_once(make_bench):
    bench = make_bench()
    bench.device.faults.drop_answers = True
    bench.write(setting())
    bench.driver.pulse(bench.now_ns)
    sent_ns = bench.now_ns
    bench.line.pulled = True
    bench.poll()
    bench.line.pulled = bench.device.faults.drop_answers = False
    bench.driver.open()
    bench.run(1000, write=False)
    assert [(t_ns, train.kind) for t_ns, train in bench.told] == [(sent_ns, "sent")]


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_that_takes_no_order_is_lost(make_bench, kind):
    bench = make_bench(*kind)
    data = bench.driver.encode([])
    bench.line.pulled = True
    with pytest.raises(DriverError, match=r"(P24|RehaMove3): the cable is out"):
        bench.driver.write(data, bench.now_ns)
    assert bench.poll().faults == ("port lost: the cable is out",)


def test_a_port_that_takes_no_pulse_no_stop_or_no_question_is_lost(make_bench):
    bench = make_bench()
    bench.write(setting())
    bench.line.send = lambda data: (_ for _ in ()).throw(OSError("full"))
    bench.driver.pulse(bench.now_ns)
    assert bench.poll().faults == ("port lost: full",)
    assert bench.told == []
    bench = make_bench()
    bench.write(setting())
    bench.line.pulled = True
    bench.driver.pulse(bench.now_ns)
    assert bench.poll().faults == ("port lost: the cable is out",)
    bench = make_bench()
    bench.line.send = lambda data: (_ for _ in ()).throw(OSError("full"))
    bench.driver.stop(bench.now_ns)
    assert bench.poll().faults == ("port lost: full",)
    bench = make_bench()
    bench.driver.stop(bench.now_ns)
    bench.clock.advance(200 * MS)
    bench.line.send = lambda data: (_ for _ in ()).throw(OSError("full"))
    assert bench.poll().faults == ("port lost: full",)


def test_errors_that_belong_to_no_command_are_said(make_bench):
    bench = make_bench()
    bench.device.faults.general_errors += [8]
    bench.run(10, write=False)
    assert bench.faults == ["general error: high-voltage error (result 8)"]
    bench.line.receive = lambda: (
        encode(Frame(60, 5, b"\x0b")) + encode(Frame(61, 5, b"\0")) + encode(Frame(1, 99, b"\0"))
    )
    assert bench.poll().faults == (
        "an answer to no command of ours: a command the device does not know (result 11)",
        "not understood: answer 99 is not known",
    )


def test_a_command_the_device_does_not_know_is_answered_by_that(make_bench):
    bench = make_bench("p24", "mid")
    bench.device.faults.drop_answers = True
    bench.write(setting())
    (update,) = sent(bench.line, len(bench.line.sent) - 1)
    bench.line.receive = lambda: encode(Frame(update.number, 67, b"\x0b"))
    assert bench.poll().faults == ("left, right: update refused: a command the device does not know (result 11)",)


def test_an_order_that_was_held_until_its_number_was_taken_is_not_written(make_bench):
    bench = make_bench("p24", "mid")
    bench.driver.stop(bench.now_ns)
    bench.run(300, write=False)
    data = bench.driver.encode([setting()])
    bench.driver.write(data, bench.now_ns)
    begin = next(iter(bench.driver._link.pending.values()))
    number = Receiver().feed(data)[0].number
    bench.driver._link.pending = {begin.number + 1: begin, number: begin}
    bench.line.receive = lambda: encode(Frame(begin.number + 1, 31, b"\0"))
    (fault,) = bench.poll().faults
    assert "encode again" in fault
    assert bench.device.active == ()


def test_an_answer_to_another_command_is_no_acknowledgement(make_bench):
    bench = make_bench("p24", "mid")
    bench.device.faults.drop_answers = True
    t_ns = bench.now_ns
    bench.write(setting())
    (update,) = sent(bench.line, len(bench.line.sent) - 1)
    bench.line.receive = lambda: encode(Frame(update.number, 35, b"\0"))
    report = bench.poll()
    assert (report.acknowledged, report.oldest_unacknowledged_ns) == ((), t_ns)


def test_a_silent_device_leaves_no_number(make_bench):
    bench = make_bench("p24", "mid")
    bench.device.faults.drop_answers = True
    for _ in range(64):
        bench.write(setting())
    with pytest.raises(DriverError, match="64 commands are unanswered"):
        bench.driver.encode([setting()])
    bench.driver.stop(bench.now_ns)
    assert bench.device.active == ()


# Who is there


def identified(monkeypatch, line):
    monkeypatch.setattr(identity, "SerialTransport", lambda port, **options: line)
    clock = VirtualClock()
    monkeypatch.setattr(identity.time, "sleep", lambda seconds: clock.advance(round(seconds * 1e9)))
    try:
        return identify("/dev/ttyACM0")
    finally:
        assert line.closed
        assert {frame.command for frame in sent(line)} <= {50, 52, 62, 68}


def test_identify_asks_and_changes_nothing(monkeypatch):
    said = identified(monkeypatch, Scripted())
    assert said == "P24 P24-000123, firmware 4.2.1, ScienceMode 4.0.0; no level, high voltage off"
    said = identified(monkeypatch, Scripted(_68=b"\x0b", _62=b"\7"))
    assert said == "RehaMove3 P24-000123, firmware 2.1.0, ScienceMode 3.2.4; no status"
    said = identified(monkeypatch, Scripted(_68=b"\x0b", _50=b"\x0b"))
    assert said == "ScienceMode device P24-000123 of another kind (a measuring unit?)"


def test_identify_says_that_nothing_answers_or_the_port_is_gone(monkeypatch):
    with pytest.raises(DriverError, match=r"no answer to GET_DEVICE_ID within 0\.4 s"):
        identified(monkeypatch, Scripted(_52=None))
    line = Scripted()
    line.send = lambda data: (_ for _ in ()).throw(OSError("unplugged"))
    with pytest.raises(DriverError, match="port /dev/ttyACM0: unplugged"):
        identified(monkeypatch, line)


@pytest.mark.parametrize("device", ["p24", "rehamove3"])
def test_identify_leaves_a_device_that_stimulates_alone(monkeypatch, make_bench, device):
    bench = make_bench(device, "mid")
    bench.run(50, setting())
    monkeypatch.setattr(identity, "SerialTransport", lambda port, **options: bench.line)
    monkeypatch.setattr(identity.time, "sleep", lambda seconds: bench.clock.advance(round(seconds * 1e9)))
    assert identify("/dev/ttyACM0").endswith("; mid level running, high voltage 150 V")
    assert bench.device.active == (0,)
    assert isinstance(bench.device, ScienceMode34Device)
