"""The device's end of a cable: hosts that come, talk, go; cables that are pulled."""

import os
import socket
import time

import pytest

from myoloop.platform.endpoint import EndpointError
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.emulators.lines import PtyLine, SocketLine, make_line
from myoloop.stimulators.port_holders import holders
from myoloop.stimulators.serial_port import SerialTransport


def attach(line):
    return SerialTransport(line.port, baud_rate=3_000_000, stop_bits=2, rts_cts=True)


def until(what, within_s=2.0):
    """Ask until there is an answer; a socket of the system needs its moment."""
    end = time.monotonic() + within_s
    while not (found := what()) and time.monotonic() < end:
        pass
    return found


@pytest.fixture(params=["pty", "pty with a link", "tcp"])
def line(request, tmp_path):
    if request.param == "tcp":
        with socket.create_server(("127.0.0.1", 0)) as free:
            made = SocketLine(f"tcp:127.0.0.1:{free.getsockname()[1]}")
    else:
        made = PtyLine(None if request.param == "pty" else tmp_path / "stimulator")
    made.listen()
    yield made
    made.close()


@pytest.fixture
def host(line):
    transport = attach(line)
    assert until(line.accept)
    yield transport
    transport.close()


def test_bytes_of_every_value_pass_both_ways(line, host):
    every = bytes(range(256))
    host.send(every)
    assert until(line.receive) == every
    line.send(every)
    assert until(host.receive) == every


def test_a_host_is_told_once_when_it_comes(line, host):
    assert line.attached
    assert not line.accept()


def test_before_a_host_comes_nothing_waits_for_it(line):
    assert not line.attached
    line.send(b"beacon")
    assert line.receive() == b""
    host = attach(line)
    assert until(line.accept)
    line.send(b"hello")
    assert until(host.receive) == b"hello"
    host.close()


def test_what_a_host_said_before_it_left_is_heard_and_another_may_come(line, host):
    host.send(b"stop")
    host.close()
    assert until(line.receive) == b"stop"
    assert until(lambda: line.receive() == b"" and not line.attached)
    assert not line.accept()
    again = attach(line)
    assert until(line.accept)
    again.send(b"hello")
    assert until(line.receive) == b"hello"
    again.close()


def test_a_host_sees_its_port_go_and_finds_it_again(line, host):
    line.vanish()
    line.vanish()
    assert (line.port, line.attached, line.receive()) == ("", False, b"")

    def gone():
        try:
            host.receive()
        except OSError:
            return True
        return False

    assert until(gone)
    line.listen()
    line.listen()
    again = attach(line)
    assert until(line.accept)
    line.send(b"back")
    assert until(again.receive) == b"back"
    again.close()


def test_a_host_that_is_dropped_may_come_again(line, host):
    line.drop()
    assert not line.attached
    again = attach(line)
    assert until(line.accept)
    again.close()


def test_a_host_that_reads_nothing_holds_up_nobody(line, host):
    begun = time.monotonic()
    for _ in range(300):
        line.send(bytes(1000))
    assert time.monotonic() - begun < 2


@pytest.mark.parametrize("line", ["pty"], indirect=True)
def test_what_a_host_does_not_read_is_lost_beyond_a_bound(line, host):
    for _ in range(300):
        line.send(bytes(1000))
    assert 0 < line.backlog <= 65536


def test_a_closed_line_may_be_closed_again(line):
    line.close()
    line.close()
    assert not line.accept()
    line.send(b"x")


# Pseudo terminals


def test_a_link_leads_to_the_terminal_and_is_removed_with_it(tmp_path):
    link = tmp_path / "stimulator"
    line = PtyLine(link)
    line.listen()
    assert line.port == str(link)
    assert str(link.readlink()).startswith("/dev/pts/")
    line.close()
    assert not link.is_symlink()


def test_a_link_that_a_dead_emulator_left_is_taken_over(tmp_path):
    link = tmp_path / "stimulator"
    link.symlink_to("/dev/pts/99999")
    line = PtyLine(link)
    line.listen()
    assert os.path.realpath(link) != "/dev/pts/99999"
    line.close()


@pytest.mark.parametrize("make", [lambda link: link.write_text("notes"), lambda link: link.symlink_to("/etc/passwd")])
def test_what_is_no_link_to_a_terminal_is_not_replaced(tmp_path, make):
    link = tmp_path / "stimulator"
    make(link)
    line = PtyLine(link)
    with pytest.raises(EndpointError, match="something else is there"):
        line.listen()
    assert line.port == ""
    assert link.exists()


def test_a_link_in_no_folder_is_said(tmp_path):
    with pytest.raises(EndpointError, match="cannot be made: no such file or directory"):
        PtyLine(tmp_path / "nowhere" / "stimulator").listen()


def test_the_emulator_does_not_hold_the_port_it_offers():
    line = PtyLine()
    line.listen()
    assert holders(line.port) == []
    first = attach(line)
    with pytest.raises(DriverError, match="is taken by process"):
        attach(line)
    first.close()
    line.close()


# Sockets


@pytest.mark.parametrize("line", ["tcp"], indirect=True)
def test_a_second_host_is_turned_away(line, host):
    second = attach(line)
    assert not until(line.accept, within_s=0.1)
    host.send(b"first")
    assert until(line.receive) == b"first"
    second.close()


@pytest.mark.parametrize(
    ("address", "kind"),
    [("pty", PtyLine), ("pty:/tmp/x", PtyLine), ("tcp:127.0.0.1:5000", SocketLine), ("unix:/tmp/x", SocketLine)],
)
def test_an_address_says_which_line_it_is(address, kind):
    assert type(make_line(address)) is kind


def test_an_address_that_is_none_is_refused():
    with pytest.raises(EndpointError, match="neither unix:PATH nor tcp:HOST:PORT"):
        make_line("COM3").listen()
