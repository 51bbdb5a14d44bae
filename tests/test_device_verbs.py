"""`myoloop emulate` and `myoloop devices`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from myoloop.cli import app
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.emulators.emulate import emulate
from myoloop.stimulators.serial_port import SerialTransport
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings


def told(*arguments: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == code, (result.exit_code, result.stdout, result.stderr)
    return result.stdout if code < 2 else result.stderr


class Emulated:
    """An emulator in a process of its own."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "myoloop", "emulate", *arguments], stdout=subprocess.PIPE, text=True
        )
        self.first = self.process.stdout.readline().strip()

    def end(self, by: int = signal.SIGINT) -> list[str]:
        """The lines it still says."""
        self.process.send_signal(by)
        rest, _ = self.process.communicate(timeout=20)
        assert self.process.returncode == 0
        return rest.splitlines()


@pytest.fixture
def emulated():
    started = []

    def start(*arguments: str) -> Emulated:
        started.append(Emulated(*arguments))
        return started[-1]

    yield start
    for each in started:
        if each.process.poll() is None:
            each.process.kill()
        each.process.communicate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def pulses(driver: SimulatedDriver, count: int) -> list[int]:
    """Stimulate until so many pulses were told."""
    times: list[int] = []
    end = time.monotonic() + 10
    while len(times) < count and time.monotonic() < end:
        now_ns = time.monotonic_ns()
        setting = ChannelSetting(channel="a", current_ma=10.0, phase_us=250.0, rate_hz=50.0)
        driver.write(driver.encode([setting]), now_ns)
        time.sleep(0.01)
        report, told_pulses = driver.poll(time.monotonic_ns())
        assert report.connected, report.faults
        times += [t_ns for each in told_pulses for t_ns in each.t_ns]
    driver.stop(time.monotonic_ns())
    return times


def test_a_driver_drives_an_emulator_over_tcp_and_the_ledger_has_every_pulse(emulated, tmp_path):
    port, ledger = free_port(), tmp_path / "ledger.jsonl"
    device = emulated("simulated", "--tcp", str(port), "--ledger", str(ledger), "--verbose")
    assert device.first == f"tcp:127.0.0.1:{port}"
    driver = SimulatedDriver(SimulatedDriverSettings(channels={"a": 1}, address=device.first))
    driver.open()
    times = pulses(driver, 5)
    driver.close()
    lines = device.end()
    rows = [json.loads(line) for line in ledger.read_text().splitlines()]
    assert {(row["output"], row["current_ma"], row["width_us"]) for row in rows} == {(1, 10.0, 250.0)}
    assert len(rows) >= len(times) >= 5
    assert all(abs(row["t_ns"] - t_ns) < 20_000_000 for row, t_ns in zip(rows, times, strict=False))
    assert [line for line in lines if "  output 1  10 mA  250 us" in line] == lines[: len(rows)]
    assert lines[-2].startswith(f"output 1: {len(rows)} pulses, at most 10 mA")


def test_over_a_terminal_a_driver_reads_and_a_signal_to_terminate_ends_it_with_its_summary(emulated, tmp_path):
    link = tmp_path / "stimulator"
    device = emulated("simulated", "--link", str(link), "--json", "--fault", "restart@3600")
    assert json.loads(device.first) == {"emulator": "simulated", "address": str(link)}
    driver = SimulatedDriver(SimulatedDriverSettings(channels={"a": 0}), SerialTransport(str(link), baud_rate=115_200))
    assert driver.open().startswith("simulated stimulator SIM-0001")
    driver.close()
    (summary,) = device.end(signal.SIGTERM)
    assert json.loads(summary)["outputs"] == {}
    assert not os.path.lexists(link)


def test_a_port_that_vanishes_is_seen_by_the_driver(emulated):
    device = emulated("simulated", "--pty", "--fault", "vanished@2")
    driver = SimulatedDriver(
        SimulatedDriverSettings(channels={"a": 0}), SerialTransport(device.first, baud_rate=115_200)
    )
    driver.open()
    end = time.monotonic() + 10
    while (report := driver.poll(time.monotonic_ns())[0]).connected and time.monotonic() < end:
        time.sleep(0.01)
    assert report.faults[0].startswith("port lost: ")
    driver.close()
    device.end()


class PlaceTaker:
    """A clock who takes the place of a terminal that has gone, a while after the emulator began."""

    def __init__(self) -> None:
        self.begin_ns, self.taken = time.monotonic_ns(), ()

    def now_ns(self) -> int:
        now_ns = time.monotonic_ns()
        if not self.taken and now_ns - self.begin_ns > 150_000_000:
            self.taken = os.openpty()
        return now_ns


def test_a_port_that_comes_back_under_another_name_is_said_again():
    clock, said = PlaceTaker(), []
    faults = ("vanished@0.1", "vanished=off@0.2")
    emulate("simulated", "pty", lambda *here: said.append(here), faults=faults, length_s=0.3, clock=clock)
    assert [setting for _, setting in said] == ["address", "address"]
    assert said[0] != said[1]
    for fd in clock.taken:
        os.close(fd)


def test_it_ends_after_its_time():
    lines = told("emulate", "simulated", "--pty", "--seconds", "0.1").splitlines()
    assert lines[0].startswith("/dev/pts/")
    assert lines[1] == "no pulse was delivered"
    assert lines[2].startswith("longest turn ")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["tens"], "emulator 'tens': there is none; there are p24"),
        (["simulated", "--fault", "explode"], "there is none of that kind; there are answer-delay"),
        (["simulated", "--fault", "drop-answers@never"], "allowed is a number of seconds"),
        (["simulated", "--pty", "--tcp", "5000"], "only one of --pty and --tcp"),
        (["simulated", "--link", "x", "--tcp", "5000"], "a TCP port has no link"),
        (["simulated", "--tcp", "0"], "found 0, allowed is 1 to 65535"),
        (["simulated", "--seconds", "0"], "allowed is a number of seconds"),
        (["simulated", "--link", "/nowhere/x"], "link /nowhere/x: cannot be made"),
        (["simulated", "--ledger", "/nowhere/x"], "/nowhere/x: no such file"),
    ],
)
def test_what_cannot_be_emulated_is_said_in_one_line(arguments, said):
    assert said in (line := told("emulate", *arguments, code=2))
    assert "Traceback" not in line


def test_a_tcp_port_that_is_taken_is_said(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        assert "in use" in told("emulate", "simulated", "--tcp", str(other.getsockname()[1]), code=2)


# devices


def test_devices_answers_machines_and_people():
    assert isinstance(json.loads(told("devices", "--json"))["ports"], list)
    assert told("devices").strip()


def test_a_port_that_is_none_is_said_by_who_was_to_ask(tmp_path):
    (row,) = json.loads(told("devices", "--json", "--port", str(tmp_path / "none")))["ports"]
    assert row["answers"] == {}
    assert row["note"]
