"""The way to nidaqmx, beside a fake of as much of it as is used."""

import sys
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import pytest

from myoloop.stimulators.analog import AnalogDriver
from myoloop.stimulators.analog_source import AnalogSettings
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.ni_output import NiOutput


class Error(Exception):
    pass


class Task:
    """Writes down what is done to it."""

    made: ClassVar[list] = []
    refuses = ""

    def __init__(self):
        self.log, self.complete = [], True
        self.ao_channels = SimpleNamespace(
            add_ao_voltage_chan=lambda names, min_val, max_val: self._do("ao", names, min_val, max_val)
        )
        self.do_channels = SimpleNamespace(add_do_chan=lambda line: self._do("do", line))
        self.timing = SimpleNamespace(
            cfg_samp_clk_timing=lambda rate, sample_mode, samps_per_chan: self._do("timing", rate, sample_mode,
                                                                                   samps_per_chan)
        )  # fmt: skip
        self.out_stream = SimpleNamespace(task=self, regen_mode=None)
        Task.made.append(self)

    def start(self):
        self._do("start")

    def stop(self):
        self._do("stop")

    def control(self, mode):
        self._do("control", mode)

    def write(self, value, auto_start):
        self._do("write", value, auto_start)

    def close(self):
        self._do("close")

    def is_task_done(self):
        self._do("done?")
        return self.complete

    def _do(self, *what):
        self.log.append(what)
        if what[0] == Task.refuses:
            raise Error(f"{what[0]} failed\nTask Name: x")


class Writer:
    takes = None

    def __init__(self, stream, auto_start):
        self.stream, self.auto_start = stream, auto_start

    def write_int16(self, samples, timeout):
        assert timeout <= 0.005
        self.stream.task._do("samples", samples.tolist(), self.auto_start)
        return samples.shape[1] if Writer.takes is None else Writer.takes


@pytest.fixture
def ni(monkeypatch):
    Task.made, Task.refuses, Writer.takes = [], "", None
    module = ModuleType("nidaqmx")
    parts = {
        "constants": SimpleNamespace(
            AcquisitionType=SimpleNamespace(FINITE="finite"),
            RegenerationMode=SimpleNamespace(DONT_ALLOW_REGENERATION="never"),
            TaskMode=SimpleNamespace(TASK_UNRESERVE="unreserve"),
        ),
        "errors": SimpleNamespace(Error=Error),
        "stream_writers": SimpleNamespace(AnalogUnscaledWriter=Writer),
        "system": SimpleNamespace(Device=lambda name: SimpleNamespace(product_type="USB-6343", serial_num=0xABC)),
    }
    module.Task = Task
    monkeypatch.setitem(sys.modules, "nidaqmx", module)
    for name, part in parts.items():
        setattr(module, name, part)
        monkeypatch.setitem(sys.modules, f"nidaqmx.{name}", part)
    return module


def made(**options):
    return NiOutput("Dev1", (0, 2), **{"range_v": 10.0, "idle_code": 3, "heartbeat_line": "port0/line1", **options})


def test_without_nidaqmx_there_is_one_clear_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "nidaqmx", None)
    driver = AnalogDriver(AnalogSettings({"left": 0}, "Dev1", "BENCH", 1.0, 5.0, 0))
    with pytest.raises(DriverError, match=r"needs nidaqmx: pip install 'myoloop\[ni\]'"):
        driver.open()


def test_without_the_device_or_its_driver_the_reason_is_told_and_all_is_released(ni):
    Task.refuses = "do"
    with pytest.raises(DriverError, match=r"^NI device Dev1: do failed$"):
        made()
    assert all(task.log[-1] == ("close",) for task in Task.made)


def test_it_is_known_by_type_and_number(ni):
    assert made().identity == "USB-6343 Dev1, serial number ABC"


def test_a_buffer_is_played_once_and_finite_and_its_lack_is_an_error(ni):
    output = made()
    train = Task.made[0]
    assert train.log == [("ao", "Dev1/ao0,Dev1/ao2", -10.0, 10.0)]
    output.play([[5, -5, 0], [0, 0, 0]], 100_000)
    assert train.log[1:] == [
        ("stop",), ("timing", 100_000, "finite", 3), ("samples", [[5, -5, 0], [0, 0, 0]], False), ("start",),
    ]  # fmt: skip
    assert train.out_stream.regen_mode == "never"
    assert output.done()
    train.complete = False
    assert not output.done()


def test_timing_is_set_anew_only_where_the_length_changes(ni):
    output = made()
    for length in (3, 3, 4):
        output.play([[0] * length, [0] * length], 1000)
    assert [each[3] for each in Task.made[0].log if each[0] == "timing"] == [3, 4]


def test_zero_cuts_off_and_sets_rest_even_where_the_train_cannot_be_stopped(ni):
    output = made()
    output.zero()
    train, rest = Task.made[0], Task.made[1]
    assert train.log[1:] == [("stop",), ("control", "unreserve")]
    assert rest.log[1:] == [("samples", [[3], [3]], True), ("stop",), ("control", "unreserve")]
    Task.refuses = "stop"
    with pytest.raises(OSError, match=r"^stop failed$"):
        output.zero()
    assert rest.log[-1] == ("samples", [[3], [3]], True)


def test_the_relays_line_is_written(ni):
    made().heartbeat(True)
    assert Task.made[2].log == [("do", "Dev1/port0/line1"), ("write", True, True)]
    made(heartbeat_line="").heartbeat(True)
    assert len(Task.made) == 5


@pytest.mark.parametrize(
    ("refusal", "call"),
    [("start", lambda o: o.play([[0, 0], [0, 0]], 1000)), ("samples", lambda o: o.zero()),
     ("write", lambda o: o.heartbeat(True))],
)  # fmt: skip
def test_what_the_device_refuses_is_one_line(ni, refusal, call):
    output = made()
    Task.refuses = refusal
    with pytest.raises(OSError, match=f"^{refusal} failed$"):
        call(output)


def test_an_underrun_is_told(ni):
    output = made()
    output.play([[0, 0], [0, 0]], 1000)
    Task.refuses = "done?"
    with pytest.raises(OSError, match="failed"):
        output.done()


def test_a_buffer_that_is_not_taken_whole_is_not_started(ni):
    output = made()
    Writer.takes = 1
    with pytest.raises(OSError, match="took 1 of 2 samples"):
        output.play([[0, 0], [0, 0]], 1000)
    assert ("start",) not in Task.made[0].log


def test_closing_twice_releases_once(ni):
    output = made()
    output.close()
    output.close()
    assert [task.log.count(("close",)) for task in Task.made] == [1, 1, 1]


def test_the_driver_plays_through_it(ni):
    driver = AnalogDriver(AnalogSettings({"left": 0, "right": 2}, "Dev1", "HUMAN", 1.0, 5.0, 0, "port0/line1", 4))
    assert "relay at port0/line1" in driver.open()
    driver.close()
    driver.close()
