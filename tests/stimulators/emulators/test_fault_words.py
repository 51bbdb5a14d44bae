"""Faults in words: which there are, how their values are read, when they strike."""

from dataclasses import dataclass, field

import pytest

from myoloop.stimulators.emulators.emulator import Emulator
from myoloop.stimulators.emulators.fault_words import RESTART, fault_kinds, read_fault
from myoloop.stimulators.emulators.faults import LineFaults
from myoloop.stimulators.emulators.registry import EMULATORS, EmulatorError, emulator_kind

S = 1_000_000_000


@dataclass(slots=True)
class Faults(LineFaults):
    """One of each type of value that emulators use."""

    stuck_on: bool = False
    open_electrodes: set[int] = field(default_factory=set)
    load_ohm: dict[int, float] = field(default_factory=lambda: {0: 1000.0, 1: 1000.0})
    load_factor: float = 1.0
    results: list[int] = field(default_factory=list)
    reset_at_ns: int | None = None
    open_from_ns: dict[int, int] = field(default_factory=dict)
    mask: int = 0
    says: str = ""


class Device:
    def __init__(self):
        self.faults, self.active, self.restarts = Faults(), (), []

    def feed(self, data, now_ns): ...

    def take(self, now_ns):
        return b""

    def pulses_until(self, now_ns):
        return []

    def restart(self, now_ns):
        self.restarts.append(now_ns)


@pytest.fixture
def device():
    return Device()


def test_the_device_of_these_tests_is_an_emulator(device):
    assert isinstance(device, Emulator)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("stuck-on", "stuck_on", True),
        ("stuck_on", "stuck_on", True),
        ("stuck-on=on", "stuck_on", True),
        ("stuck-on=off", "stuck_on", False),
        ("answer-delay=300ms", "answer_delay_ns", 300_000_000),
        ("answer-delay-ns=1500", "answer_delay_ns", 1500),
        ("split-answers=1.5s", "split_answers_ns", 1_500_000_000),
        ("answer-delay=20us", "answer_delay_ns", 20_000),
        ("garbage-before-answers=f00f", "garbage_before_answers", b"\xf0\x0f"),
        ("answers-left=3", "answers_left", 3),
        ("answers-left=none", "answers_left", None),
        ("open-electrodes=0,2", "open_electrodes", {0, 2}),
        ("open-electrodes=", "open_electrodes", set()),
        ("results=10,28", "results", [10, 28]),
        ("load-ohm=0:2000", "load_ohm", {0: 2000.0, 1: 1000.0}),
        ("load-ohm=0:2000,1:inf", "load_ohm", {0: 2000.0, 1: float("inf")}),
        ("load-factor=2", "load_factor", 2.0),
        ("mask=5", "mask", 5),
        ("says=error", "says", "error"),
        ("reset-at=2s", "reset_at_ns", 102 * S),
        ("reset-at=none", "reset_at_ns", None),
        ("open-from=1:500ms", "open_from_ns", {1: 100 * S + S // 2}),
    ],
)
def test_a_value_is_read_as_the_faults_type_says(device, text, name, value):
    read_fault(text, device.faults).set(device, 100 * S)
    assert getattr(device.faults, name) == value


def test_a_fault_strikes_when_it_is_told(device):
    assert read_fault("drop-answers@2.5", device.faults).after_s == 2.5
    assert read_fault("answer-delay=300ms@5", device.faults).after_s == 5
    assert read_fault("drop-answers", device.faults).after_s == 0


def test_reading_a_fault_breaks_nothing(device):
    read_fault("load-ohm=0:5", device.faults)
    assert device.faults == Faults()


def test_a_restart_is_asked_for_like_a_fault(device):
    read_fault("restart@1", device.faults).set(device, 7)
    assert device.restarts == [7]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("explode", "there is none of that kind; there are answer-delay, answers-left, corrupt-answers"),
        ("", "there is none of that kind"),
        ("drop-answers@soon", "found 'soon' behind @, allowed is a number of seconds, at least 0"),
        ("drop-answers@-1", "at least 0"),
        ("drop-answers@inf", "at least 0"),
        ("drop-answers@nan", "at least 0"),
        ("drop-answers=maybe", "found 'maybe', allowed is on or off"),
        ("answer-delay", "needs a value, answer-delay=VALUE"),
        ("answer-delay=-1ms", "allowed is a time such as 300ms"),
        ("answer-delay=inf", "allowed is a time such as 300ms"),
        ("answer-delay=3minutes", "allowed is a time such as 300ms"),
        ("answers-left=x", "allowed is a whole number or none"),
        ("garbage-before-answers=xyz", "allowed is hexadecimal digits"),
        ("load-ohm=2000", "NUMBER:VALUE"),
        ("load-ohm=0:nan", "NUMBER:VALUE"),
        ("load-factor=nan", "allowed is a number"),
        ("open-electrodes=all", "allowed is a whole number, or several with commas"),
        ("restart=now", "a restart has no value"),
    ],
)
def test_what_is_no_fault_is_said_in_one_line(device, text, said):
    with pytest.raises(EmulatorError) as raised:
        read_fault(text, device.faults)
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", EMULATORS)
def test_every_emulator_has_the_lines_faults_and_all_of_its_own_can_be_asked_for(name):
    device = emulator_kind(name).make(S)
    assert isinstance(device.faults, LineFaults)
    assert {"drop-answers", "vanished", "stuck-on", RESTART} <= set(fault_kinds(device.faults))


def test_an_emulator_that_there_is_not_names_those_there_are():
    with pytest.raises(EmulatorError, match=r"emulator 'tens': there is none; there are p24, rehamove3, rehastim2"):
        emulator_kind("tens")
