"""The driver at a device on a pseudo terminal and a socket, in real time."""

import socket
import threading
import time
from contextlib import contextmanager

import pytest

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.emulators.lines import PtyLine, SocketLine
from myoloop.stimulators.emulators.running import RunningEmulator
from myoloop.stimulators.emulators.sciencemode34 import ScienceMode34Device
from myoloop.stimulators.sciencemode.driver import ScienceMode34Driver
from myoloop.stimulators.sciencemode.settings import ScienceMode34Settings

LEFT = ChannelSetting(channel="left", current_ma=20.0, phase_us=250.0, rate_hz=50.0)
RIGHT = ChannelSetting(channel="right", current_ma=10.0, phase_us=300.0, rate_hz=25.0)


def socket_line():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return SocketLine(f"tcp:127.0.0.1:{free.getsockname()[1]}")


@contextmanager
def plugged_in(profile, line):
    """(its port, its ledger, the device) for as long as that lasts."""
    done, ledger = threading.Event(), []
    device = ScienceMode34Device(profile, start_ns=time.monotonic_ns())
    running = RunningEmulator(device, line, time.monotonic_ns(), on_pulses=ledger.extend)
    line.listen()

    def run():
        while not done.is_set():
            running.turn(time.monotonic_ns())
            time.sleep(0.0005)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield line.port, ledger, device
    finally:
        done.set()
        thread.join()
        line.close()


def go_on(driver, seconds, until, wish=None):
    """As the node does it, so long and until a report is as it shall be; pulses told, faults, that report."""
    told, faults, report = [], [], None
    end_ns = time.monotonic_ns() + round(seconds * 1e9)
    written_ns = polled_ns = 0
    while (now_ns := time.monotonic_ns()) < end_ns or report is None or not until(report):
        assert now_ns < end_ns + 10_000_000_000, report
        if wish is not None and now_ns - written_ns >= 50_000_000:
            written_ns = now_ns
            driver.write(driver.encode(wish), now_ns)
        if driver.due_ns is not None and driver.due_ns <= now_ns:
            driver.pulse(now_ns)
        if now_ns - polled_ns >= 10_000_000:
            polled_ns = now_ns
            report, trains = driver.poll(now_ns)
            told += [(t_ns, train) for train in trains for t_ns in train.t_ns]
            faults += report.faults
        time.sleep(0.0005)
    return told, faults, report


@pytest.mark.parametrize(
    ("device", "level", "make_line"),
    [("p24", "low", PtyLine), ("rehamove3", "mid", PtyLine), ("p24", "mid", socket_line)],
)
def test_a_train_through_a_port_is_in_the_ledger_and_ends_with_a_stop(device, level, make_line):
    with plugged_in(device, make_line()) as (port, ledger, emulated):
        driver = ScienceMode34Driver(ScienceMode34Settings({"left": 0, "right": 1}, port, device, 60.0, level))
        try:
            assert "EMU" in driver.open()
            told, faults, report = go_on(driver, 0.4, lambda said: said.acknowledged == (LEFT, RIGHT), (LEFT, RIGHT))
            assert report.ack_of
            driver.stop(time.monotonic_ns())
            stopped_ns = time.monotonic_ns()
            more, after, report = go_on(
                driver, 0.1, lambda said: said.acknowledged == () and said.oldest_unacknowledged_ns is None
            )
            assert faults + after == []
            assert report.connected
        finally:
            driver.close()
        told = sorted(told + more, key=lambda one: one[0])
        assert emulated.active == ()
        assert max(pulse.t_ns for pulse in ledger) < stopped_ns + 50_000_000
        for output, wish in enumerate((LEFT, RIGHT)):
            mine = [(t_ns, train) for t_ns, train in told if train.channel == wish.channel]
            theirs = [pulse for pulse in ledger if pulse.output == output]
            assert abs(len(mine) - len(theirs)) <= (0 if level == "low" else 1)
            assert len(theirs) >= 3
            assert {(one.current_ma, one.phase_us) for one in theirs} == {(wish.current_ma, wish.phase_us)}
            # The emulator's times are those of its turns.
            for (t_ns, train), pulse in zip(mine, theirs, strict=False):
                assert abs(t_ns - pulse.t_ns) <= train.uncertainty_ns + 20_000_000


def test_a_port_that_goes_away_is_lost_and_one_that_is_not_there_is_said():
    with plugged_in("p24", PtyLine()) as (port, _, emulated):
        driver = ScienceMode34Driver(ScienceMode34Settings({"left": 0}, port, "p24", 60.0))
        driver.open()
        emulated.faults.vanished = True
        _, faults, report = go_on(driver, 0.05, lambda said: not said.connected)
        driver.close()
    assert not report.connected
    assert [fault.partition(":")[0] for fault in faults] == ["port lost"]
    with pytest.raises(DriverError, match="port"):
        ScienceMode34Driver(ScienceMode34Settings({"left": 0}, "/dev/no-such-port", "p24", 60.0)).open()


def test_a_receipt_that_is_read_late_bounds_the_pulse_by_when_it_was_read():
    """A turn that stood still between its clock and the port has an old `now_ns`; the pulse may be younger."""
    with plugged_in("p24", PtyLine()) as (port, ledger, _):
        driver = ScienceMode34Driver(ScienceMode34Settings({"left": 0, "right": 1}, port, "p24", 60.0, "low"))
        try:
            driver.open()
            stale_ns = time.monotonic_ns()
            driver.write(driver.encode([LEFT]), stale_ns)
            driver.pulse(stale_ns)
            told = []
            while not told:
                assert time.monotonic_ns() - stale_ns < 5_000_000_000
                told += driver.poll(stale_ns)[1]
            pulse = told[0]
            assert pulse.kind == "acknowledged"
            assert abs(pulse.t_ns[0] - ledger[0].t_ns) <= pulse.uncertainty_ns
        finally:
            driver.close()
