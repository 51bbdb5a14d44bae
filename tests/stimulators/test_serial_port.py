"""A serial port as a way to a device: who has it, what it takes, what happens when it goes."""

import os
import socket
import subprocess
import sys
import termios
import time
import tty

import pytest

from myoloop.stimulators import serial_port
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.port_holders import Holder, holders, say_holders
from myoloop.stimulators.serial_port import SerialTransport, quicken, with_notes

#: What the P24 wants.
FAST = {"baud_rate": 3_000_000, "stop_bits": 2, "rts_cts": True}


@pytest.fixture
def pty():
    """(the device's end, path of the port), the port held by nobody."""
    master, slave = os.openpty()
    tty.setraw(slave)
    path = os.ttyname(slave)
    os.close(slave)
    os.set_blocking(master, False)
    with os.fdopen(master, "r+b", buffering=0) as device:
        yield device, path


@pytest.fixture
def port(pty):
    transport = SerialTransport(pty[1], **FAST)
    yield transport
    transport.close()


def received(transport, length, within_s=2.0):
    """What comes until there is `length` of it."""
    end, data = time.monotonic() + within_s, b""
    while len(data) < length and time.monotonic() < end:
        data += transport.receive()
    return data


def test_bytes_of_every_value_pass_both_ways(pty, port):
    every = bytes(range(256))
    port.send(every)
    got = b""
    while len(got) < 256:
        got += pty[0].read(256) or b""
    assert got == every
    pty[0].write(every)
    assert received(port, 256) == every


def test_where_nothing_has_come_nothing_is_given_at_once(port):
    begun = time.monotonic()
    assert [port.receive() for _ in range(100)] == [b""] * 100
    assert time.monotonic() - begun < 0.5


def test_line_settings_of_each_device_are_accepted(pty):
    for settings in (
        FAST,
        {"baud_rate": 460_800, "parity": "E"},
        {"baud_rate": 115_200, "stop_bits": 2, "rts_cts": True},
        {"baud_rate": 19_200},
        {"baud_rate": 9_600},
    ):
        SerialTransport(pty[1], **settings).close()


def test_a_pseudo_terminal_with_parity_opens_again(pty):
    for _ in range(3):
        SerialTransport(pty[1], baud_rate=460_800, parity="E").close()


def test_what_is_wrong_with_a_port_stands_with_who_the_device_is(port):
    assert with_notes("P24 1234", port) == "P24 1234"
    port.notes = ("answers come up to 16 ms late",)
    assert with_notes("P24 1234", port) == "P24 1234; answers come up to 16 ms late"


def test_a_port_that_is_gone_is_an_os_error_on_both_ways(pty, port):
    pty[0].close()
    with pytest.raises(OSError):
        port.receive()
    with pytest.raises(OSError):
        port.send(b"x")


def test_what_came_before_the_port_went_is_given_first(pty, port):
    pty[0].write(b"last words")
    assert received(port, 10) == b"last words"
    pty[0].close()
    with pytest.raises(OSError):
        port.receive()


def test_a_port_that_takes_nothing_raises_at_once_and_sends_nothing_later(pty, port):
    slave = os.open(pty[1], os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        termios.tcflow(slave, termios.TCOOFF)
        begun = time.monotonic()
        with pytest.raises(OSError, match="took 0 of 7 bytes"):
            port.send(b"current")
        assert time.monotonic() - begun < 0.5
        termios.tcflow(slave, termios.TCOON)
    finally:
        os.close(slave)
    port.send(b"stop")
    assert pty[0].read(100) == b"stop"


def test_a_write_that_does_not_fit_whole_is_an_error(port):
    with pytest.raises(OSError, match=r"took \d+ of 1000000 bytes"):
        port.send(bytes(1_000_000))


@pytest.mark.parametrize("call", [lambda port: port.send(b"next"), lambda port: port.receive()])
def test_bytes_that_should_have_left_long_ago_are_thrown_away(port, monkeypatch, call):
    port.send(b"current")
    flushed = []
    monkeypatch.setattr(serial_port, "unsent_bytes", lambda fd: 7)
    monkeypatch.setattr(serial_port.termios, "tcflush", lambda fd, what: flushed.append(what))
    monkeypatch.setattr(serial_port, "_LATE_S", -1e9)
    with pytest.raises(OSError, match="7 bytes had not left"):
        call(port)
    assert flushed == [termios.TCOFLUSH]
    monkeypatch.setattr(serial_port, "unsent_bytes", lambda fd: 0)


def test_a_port_that_goes_while_bytes_are_thrown_away_is_an_os_error(port, monkeypatch):
    def gone(fd, what):
        raise termios.error(5, "Input/output error")

    monkeypatch.setattr(serial_port.termios, "tcflush", gone)
    with pytest.raises(OSError, match=r"took \d+ of 1000000 bytes"):
        port.send(bytes(1_000_000))
    monkeypatch.undo()


def test_bytes_may_need_their_time_on_the_wire(port, monkeypatch):
    port.send(b"current")
    monkeypatch.setattr(serial_port, "unsent_bytes", lambda fd: 7)
    monkeypatch.setattr(serial_port, "_LATE_S", 1e9)
    port.send(b"next")
    monkeypatch.setattr(serial_port, "unsent_bytes", lambda fd: 0)


def test_closing_a_port_that_takes_nothing_ends_soon(pty, monkeypatch):
    port = SerialTransport(pty[1], **FAST)
    monkeypatch.setattr(serial_port, "unsent_bytes", lambda fd: 7)
    begun = time.monotonic()
    port.close()
    port.close()
    assert time.monotonic() - begun < 2
    with pytest.raises(OSError, match="closed"):
        port.send(b"x")


def test_a_port_that_this_process_has_is_refused(pty, port):
    with pytest.raises(DriverError, match=rf"{pty[1]} is taken by process {os.getpid()} .*, which is this one"):
        SerialTransport(pty[1], **FAST)


def test_the_process_that_has_the_port_is_named(pty):
    code = "import os,sys; os.open(sys.argv[1], os.O_RDWR | os.O_NOCTTY); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", code, pty[1]], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(DriverError, match=rf"is taken by process {other.pid} \(.*python.*\)$"):
            SerialTransport(pty[1], **FAST)
        other.stdin.close()


def test_a_holder_that_cannot_be_seen_is_said_to_be_there(pty, port, monkeypatch):
    monkeypatch.setattr(serial_port, "holders", lambda path: [])
    with pytest.raises(DriverError, match="is taken by a process that cannot be seen from here"):
        SerialTransport(pty[1], **FAST)


def test_a_port_is_free_again_when_it_was_closed(pty):
    SerialTransport(pty[1], **FAST).close()
    assert holders(pty[1]) == []
    SerialTransport(pty[1], **FAST).close()


def test_a_link_to_a_port_has_the_same_holder(pty, port, tmp_path):
    link = tmp_path / "stimulator"
    link.symlink_to(pty[1])
    assert [each.pid for each in holders(str(link))] == [os.getpid()]


def test_holders_are_named_in_words():
    assert say_holders([Holder(999_999_999, "minicom -D /dev/ttyUSB0"), Holder(999_999_998, "x")]) == (
        "process 999999999 (minicom -D /dev/ttyUSB0), process 999999998 (x)"
    )


@pytest.mark.parametrize(
    ("port", "said"),
    [
        ("/dev/no_such_port", "there is none; `myoloop devices` lists"),
        ("loop://", "allowed is a device path"),
        ("ttyACM0", "allowed is a device path"),
        ("socket://localhost:99999", "port socket://localhost:99999: "),
        ("socket://127.0.0.1:1", "cannot connect"),
    ],
)
def test_what_is_no_port_is_said_in_one_line(port, said):
    with pytest.raises(DriverError, match=said) as raised:
        SerialTransport(port, **FAST)
    assert "\n" not in str(raised.value)


def test_a_file_is_no_port(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DriverError, match="cannot be opened as a serial port"):
        SerialTransport(str(tmp_path / "file"), **FAST)


@pytest.mark.parametrize("settings", [{"parity": "X"}, {"stop_bits": 3}, {"baud_rate": 0}])
def test_line_settings_that_are_none_are_refused(pty, settings):
    with pytest.raises(DriverError, match="not set"):
        SerialTransport(pty[1], **{"baud_rate": 9600, **settings})


# Latency timer


@pytest.fixture
def ftdi(tmp_path):
    """The timer of an adapter, in a folder that stands for sysfs."""
    folder = tmp_path / "ttyUSB0" / "device"
    folder.mkdir(parents=True)
    (folder / "latency_timer").write_text("16\n")
    return folder / "latency_timer"


def test_the_latency_timer_of_an_adapter_is_set_to_1_ms(ftdi, tmp_path):
    assert quicken("/dev/ttyUSB0", tmp_path) == ""
    assert ftdi.read_text() == "1\n"


def test_a_latency_timer_that_cannot_be_set_is_said(ftdi, tmp_path, monkeypatch):
    def refuse(self, text):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(ftdi), "write_text", refuse)
    assert quicken("/dev/ttyUSB0", tmp_path).startswith("port /dev/ttyUSB0: answers come up to 16 ms late")


def test_a_port_without_a_latency_timer_needs_none(tmp_path, port):
    assert quicken("/dev/ttyACM0", tmp_path) == ""
    assert port.notes == ()


# Sockets


@pytest.fixture
def emulator():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def test_a_socket_carries_bytes_both_ways_and_says_when_it_is_gone(emulator):
    port = SerialTransport(f"socket://127.0.0.1:{emulator.getsockname()[1]}", baud_rate=9600)
    device, _ = emulator.accept()
    assert port.receive() == b""
    port.send(b"question")
    assert device.recv(100) == b"question"
    device.sendall(b"answer")
    assert received(port, 6) == b"answer"
    device.close()
    with pytest.raises(OSError):
        received(port, 1)
    port.close()
    port.close()


def test_a_socket_that_takes_no_more_is_hung_up(emulator):
    port = SerialTransport(f"socket://127.0.0.1:{emulator.getsockname()[1]}", baud_rate=9600)
    device, _ = emulator.accept()
    with device, pytest.raises(OSError, match="hung up"):
        port.send(bytes(100_000_000))
    with pytest.raises(OSError):
        port.send(b"stop")
