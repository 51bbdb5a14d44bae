"""Rigs whose stimulator is an emulator: what the device is set to, what breaks on it, and what is refused."""

import io
import socket

import pytest
from ruamel.yaml import YAML

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.emulated_rig import DRIVERS, EmulatedRigError, emulated_rig_data
from myoloop.experiments.sessions.survey import survey
from myoloop.experiments.sessions.virtual_body import VirtualBodyError, emulates, virtual_body
from myoloop.experiments.subjects.node import make_body
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.subjects.server import BodyServer
from myoloop.platform.clock import VirtualClock
from myoloop.platform.messages import ChannelSetting
from myoloop.platform.rig import Rig, load_rig
from myoloop.stimulators.emulators.registry import EMULATORS
from myoloop.stimulators.registry import make_driver
from myoloop.stimulators.transport import MemoryTransport

MS = 1_000_000
PROTOCOL = "tests/data/device_train.yaml"


@pytest.fixture
def protocol(request):
    return load_protocol(request.config.rootpath / PROTOCOL)


def rig_of(protocol, device, **more):
    return Rig.model_validate(emulated_rig_data(protocol, device, **more))


@pytest.mark.parametrize(("device", "level"), [*((each, "low") for each in DRIVERS), ("p24", "mid")])
def test_a_rig_for_every_device_can_serve_the_protocol(protocol, device, level):
    rig = rig_of(protocol, device, level=level)
    known = survey(rig)
    assert emulates(rig)
    assert known.device is not None
    assert known.device.current_max_ma >= 15.0
    assert virtual_body(rig, SubjectParameters(), 1).emulator == device


def test_every_emulator_of_a_device_has_a_driver_here():
    assert set(DRIVERS) == set(EMULATORS) - {"simulated"}


@pytest.mark.parametrize(
    ("device", "by_hand"),
    [
        ("ttl", {"set_current_ma": 15.0, "set_phase_us": 250.0}),
        ("openemsstim", {"unit_current_ma_at_full": 15.0, "unit_rate_hz": 40.0, "unit_phase_us": 250.0}),
        ("p24", {}),
    ],
)
def test_what_the_driver_says_was_set_by_hand_is_set_on_the_emulated_unit(protocol, device, by_hand):
    settings = virtual_body(rig_of(protocol, device), SubjectParameters(), 1)
    assert settings.by_hand == by_hand
    made = make_body(settings, 0).device
    assert all(getattr(made.settings, key) == value for key, value in by_hand.items())


def test_a_device_and_a_level_that_there_are_not_are_refused(protocol):
    with pytest.raises(EmulatedRigError, match="device 'p25': allowed are p24, "):
        emulated_rig_data(protocol, "p25")
    with pytest.raises(EmulatedRigError, match="level 'high': allowed are low, mid"):
        emulated_rig_data(protocol, "p24", level="high")


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("faults", ["electrodes-gone"], "faults: fault 'electrodes-gone': there is none of that kind"),
        ("emulator", "p25", "emulator: emulator 'p25': there is none; there are p24, "),
    ],
)
def test_a_fault_and_an_emulator_that_there_are_not_are_refused_with_their_place(protocol, tmp_path, key, value, says):
    data = emulated_rig_data(protocol, "p24")
    data["nodes"]["body"]["settings"][key] = value
    text = io.StringIO()
    YAML().dump(data, text)
    (tmp_path / "rig.yaml").write_text(text.getvalue())
    with pytest.raises(VirtualBodyError, match=says) as refused:
        virtual_body(load_rig(tmp_path / "rig.yaml"), SubjectParameters(), 1)
    assert str(refused.value).startswith(f"{tmp_path}/rig.yaml:")


def test_a_fault_breaks_when_its_time_after_the_first_pulse_has_come(protocol):
    rig = rig_of(protocol, "p24", faults=("open-electrodes=0@0.5",))
    clock = VirtualClock(1_000 * MS)
    body = make_body(virtual_body(rig, SubjectParameters(), 1), clock.now_ns())
    stimulator = next(node for node in rig.nodes.values() if node.role == "stimulator")
    driver = make_driver("sciencemode34", stimulator.settings, {"ext": 0})
    driver._given_transport = MemoryTransport(body, clock)  # the port is the body's
    driver._sleep = lambda seconds: clock.advance(round(seconds * 1e9))
    driver.open()
    broken_ns = first_ns = None
    train = driver.encode([ChannelSetting(channel="ext", current_ma=15.0, phase_us=250.0, rate_hz=40.0)])
    for turn in range(1500):
        clock.advance(MS)
        now_ns = clock.now_ns()
        if turn >= 300 and turn % 20 == 0:
            driver.write(train, now_ns)
        driver.pulse(now_ns)
        driver.poll(now_ns)
        pulses = body.step_to(now_ns).pulses
        if pulses and first_ns is None:
            first_ns = pulses[0].t_ns
            assert not body.device.faults.open_electrodes
        if body.device.faults.open_electrodes and broken_ns is None:
            broken_ns = now_ns
    assert first_ns is not None
    assert broken_ns is not None
    assert 500 * MS <= broken_ns - first_ns <= 515 * MS


class Stalls:
    """A clock that shows that the process stood still since the turn began."""

    def __init__(self, late_ns):
        self.turn_ns, self.late_ns = 0, late_ns

    def now_ns(self):
        return self.turn_ns + self.late_ns


def test_nothing_is_heard_before_it_was_said_however_late_it_is_read(protocol, tmp_path):
    """A pulse of the P24 is given when its command is heard; a turn that stood still hears it at its end."""
    rig = rig_of(protocol, "p24")
    start_ns = 1_000 * MS
    body = make_body(virtual_body(rig, SubjectParameters(), 1), start_ns)
    clock = Stalls(0)
    heard = []
    body.feed = lambda data, now_ns: heard.append((data, now_ns))
    server = BodyServer(body, f"unix:{tmp_path}/s", f"unix:{tmp_path}/d", tmp_path / "ledger.jsonl", clock=clock)
    server.open()
    host = socket.socket(socket.AF_UNIX)
    host.connect(f"{tmp_path}/d")
    try:
        for turn in range(4):
            clock.turn_ns = start_ns + turn * 3 * MS
            clock.late_ns = 7 * MS if turn == 3 else 0
            if turn == 3:
                host.sendall(b"x")
            server.serve(clock.turn_ns)
    finally:
        host.close()
        server.close()
    assert heard == [(b"x", start_ns + 3 * 3 * MS + 7 * MS)]
