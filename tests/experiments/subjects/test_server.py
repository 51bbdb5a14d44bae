"""The body on real sockets: a source and a driver attach to it like to hardware."""

import json
import shutil
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest

from myoloop.acquisition.simulated import SimulatedSource, SimulatedSourceSettings
from myoloop.acquisition.source import Ended, SourceError
from myoloop.experiments.subjects.body import VirtualBody
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw
from myoloop.experiments.subjects.server import BodyServer
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform import endpoint
from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.emulators.simulated import SimulatedDevice
from myoloop.stimulators.serial_port import SerialTransport
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings
from myoloop.stimulators.transport import SocketTransport

MS = 1_000_000
TWENTY = [ChannelSetting(channel="stim", current_ma=20.0, phase_us=250.0, rate_hz=50.0)]


class Served:
    """A server whose clock the test moves; clients that wait for it are waited for by serving."""

    def __init__(self, folder: Path, addresses=None, force_cell=False):
        self.folder = folder
        self.source_address, self.device_address = addresses or (f"unix:{folder}/source", f"unix:{folder}/device")
        self.now_ns = 1_000_000_000
        sites = [MuscleSite("quad", ("emg",), ((0, "stim"),))]
        subject = VirtualSubject(draw(1), 1, muscles=sites, force_cell=force_cell, start_ns=self.now_ns)
        body = VirtualBody(subject, SimulatedDevice(start_ns=self.now_ns), source="body", start_ns=self.now_ns)
        self.server = BodyServer(body, self.source_address, self.device_address, folder / "ledger.jsonl")
        self.server.open()

    def go(self, ms, each_ms=5):
        for _ in range(ms // each_ms):
            self.now_ns += each_ms * MS
            self.server.serve(self.now_ns)

    def source(self):
        source = SimulatedSource(SimulatedSourceSettings(address=self.source_address))
        self._with_serving(source.open)
        assert source.read(0.0) == []  # from here on samples count
        return source

    def driver(self):
        driver = SimulatedDriver(SimulatedDriverSettings(channels={"stim": 0}, address=self.device_address))
        self._with_serving(driver.open)
        return driver

    def _with_serving(self, work):
        import threading

        errors = []

        def run():
            try:
                work()
            except Exception as error:
                errors.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while thread.is_alive():
            self.server.serve(self.now_ns)
            thread.join(0.001)
        if errors:
            raise errors[0]

    def ledger(self):
        return [json.loads(line) for line in (self.folder / "ledger.jsonl").read_text().splitlines()]


@pytest.fixture
def served():
    folder = Path(tempfile.mkdtemp(prefix="myo"))
    made = Served(folder)
    yield made
    made.server.close()
    shutil.rmtree(folder)


def test_samples_arrive_whole_and_in_order(served):
    source = served.source()
    served.go(200)
    readings = source.read(1.0)
    emg = [block for block in readings if block.topic == "emg/body"]
    assert [block.first_sample for block in emg] == [20 * k for k in range(20)]
    assert [block.t_ns for block in emg] == [1_000_000_000 + 10 * MS * (k + 1) for k in range(20)]
    source.close()


def test_a_force_cell_is_a_third_stream():
    folder = Path(tempfile.mkdtemp(prefix="myo"))
    served = Served(folder, force_cell=True)
    try:
        source = served.source()
        served.go(200)
        force = [block for block in source.read(1.0) if block.topic == "force/body"]
        assert [block.first_sample for block in force] == list(range(20))
        assert all(block.array.shape == (1, 1) and block.array.dtype == "<f4" for block in force)
        source.close()
    finally:
        served.server.close()
        shutil.rmtree(folder)


def test_the_driver_opens_commands_stops_and_the_ledger_has_it(served):
    driver = served.driver()
    for _ in range(10):
        driver.write(driver.encode(TWENTY), served.now_ns)
        served.go(10)
        report, _ = driver.poll(served.now_ns)
    assert report.acknowledged == tuple(TWENTY)
    driver.stop(served.now_ns)
    stopped_ns = served.now_ns
    served.go(300)
    assert driver.poll(served.now_ns)[0].acknowledged == ()
    rows = served.ledger()
    assert len(rows) >= 5
    assert rows[-1]["t_ns"] <= stopped_ns + 5 * MS
    assert rows[0] == {"t_ns": rows[0]["t_ns"], "output": 0, "current_ma": 20.0, "width_us": 250.0}
    driver.close()


def test_a_driver_that_falls_silent_is_ended_by_the_devices_lease(served):
    driver = served.driver()
    driver.write(driver.encode(TWENTY), served.now_ns)
    written_ns = served.now_ns
    served.go(600)
    assert served.ledger()[-1]["t_ns"] < written_ns + 205 * MS
    driver.close()


def test_one_at_a_time_and_the_next_may_come_when_the_first_has_gone(served):
    first = served.source()
    with pytest.raises(SourceError):
        served.source()
    served.go(50)
    assert len(first.read(1.0)) >= 8
    first.close()
    served.go(50)
    second = served.source()
    served.go(50)
    assert second.read(1.0)[0].first_sample == 0
    second.close()


def test_a_new_driver_finds_the_device_stopped(served):
    driver = served.driver()
    driver.write(driver.encode(TWENTY), served.now_ns)
    served.go(20)
    driver._transport.close()
    served.go(10)
    again = served.driver()
    assert served.server.body.device.active == ()
    again.close()


def test_a_reader_that_is_frozen_gets_gaps_that_show_never_cut_frames(served):
    source = served.source()
    served.server._source._link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    served.go(20_000, each_ms=20)
    assert served.server.dropped_blocks > 0
    emg = []
    for _ in range(100):
        emg += [block for block in source.read(0.05) if block.topic == "emg/body"]
        served.go(10)
    firsts = np.array([block.first_sample for block in emg])
    steps = np.diff(firsts)
    assert steps.min() == 20
    assert (steps > 20).sum() >= 1
    assert np.all(steps % 20 == 0)
    source.close()


def test_a_vanished_device_hangs_up(served):
    driver = served.driver()
    served.server.body.device.faults.vanished = True
    served.go(20)
    report, _ = driver.poll(served.now_ns)
    assert not report.connected
    with pytest.raises(DriverError):
        driver.write(driver.encode(TWENTY), served.now_ns)
    driver.close()


def test_a_device_that_has_vanished_cannot_be_found_until_it_is_back(served):
    served.server.body.device.faults.vanished = True
    served.go(10)
    with pytest.raises(DriverError, match="cannot connect"):
        served.driver()
    served.server.body.device.faults.vanished = False
    served.go(10)
    served.driver().close()


def test_the_device_may_be_on_a_pseudo_terminal(short_folder):
    link = short_folder / "stimulator"
    served = Served(short_folder, (f"unix:{short_folder}/source", f"pty:{link}"))
    port = SerialTransport(str(link), baud_rate=115_200)
    driver = SimulatedDriver(SimulatedDriverSettings(channels={"stim": 0}), port)
    served._with_serving(driver.open)
    driver.write(driver.encode(TWENTY), served.now_ns)
    served.go(100)
    report, pulses = driver.poll(served.now_ns)
    assert report.connected
    assert [each.current_ma for each in pulses] == [20.0]
    served.server.body.device.faults.vanished = True
    served.go(5)
    assert not driver.poll(served.now_ns)[0].connected
    assert not link.is_symlink()
    driver.close()
    served.server.close()


def test_the_end_is_said_and_the_sockets_are_removed(served):
    source = served.source()
    served.server.close()
    assert source.read(1.0) == [Ended("the virtual subject has left")]
    assert list(served.folder.glob("source*")) == list(served.folder.glob("device*")) == []
    served.server.close()
    source.close()


def test_an_address_in_use_is_refused_and_leaves_nothing_open(served):
    with pytest.raises(endpoint.EndpointError, match="in use"):
        Served(served.folder)


def test_it_serves_over_tcp_as_well(tmp_path):
    ports = []
    probes = [socket.socket() for _ in range(2)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
        ports.append(probe.getsockname()[1])
    for probe in probes:
        probe.close()
    made = Served(tmp_path, tuple(f"tcp:127.0.0.1:{port}" for port in ports))
    driver, source = made.driver(), made.source()
    made.go(50)
    assert source.read(1.0)
    driver.write(driver.encode(TWENTY), made.now_ns)
    for _ in range(100):
        made.go(10)
        if driver.poll(made.now_ns)[0].ack_of == driver._sent:
            break
    assert driver.poll(made.now_ns)[0].ack_of == driver._sent
    driver.close()
    source.close()
    made.server.close()


def test_nobody_at_the_address_is_said(tmp_path):
    with pytest.raises(endpoint.EndpointError):
        SocketTransport(f"unix:{tmp_path}/none")
    with pytest.raises(DriverError, match="cannot connect"):
        SimulatedDriver(SimulatedDriverSettings(channels={"stim": 0}, address=f"unix:{tmp_path}/none")).open()
