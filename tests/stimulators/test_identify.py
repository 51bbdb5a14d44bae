"""Every driver's question of identity, at every emulator: the right one answers, and none of them gives a pulse."""

import threading
import time
from contextlib import contextmanager

import pytest

from myoloop.stimulators.emulators.lines import PtyLine
from myoloop.stimulators.emulators.registry import emulator_kind
from myoloop.stimulators.emulators.running import RunningEmulator
from myoloop.stimulators.ports import found_identifiers, look

#: Emulator, driver that knows it, what its identity names.
KNOWN = [
    ("p24", "sciencemode34", "P24"),
    ("rehamove3", "sciencemode34", "RehaMove3"),
    ("rehastim2", "sciencemode2", "RehaStim2"),
    ("openemsstim", "openemsstim", "openEMSstim"),
    ("ttl", "ttl_trigger", "trigger box"),
]


@contextmanager
def plugged_in(name):
    """(its port, the running emulator) on a pseudo terminal, for as long as that lasts."""
    kind, line, done = emulator_kind(name), PtyLine(), threading.Event()
    running = RunningEmulator(
        kind.make(time.monotonic_ns()), line, time.monotonic_ns(), resets_on_open=kind.resets_on_open
    )
    line.listen()

    def run():
        while not done.is_set():
            running.turn(time.monotonic_ns())
            time.sleep(0.0005)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield line.port, running
    finally:
        done.set()
        thread.join()
        line.close()


def test_every_driver_of_a_serial_device_can_ask():
    assert {driver for _, driver, _ in KNOWN} == set(found_identifiers())


def asked_by(identifiers, name):
    """What came of it, after seeing that the device neither gave a pulse nor is about to."""
    with plugged_in(name) as (port, running):
        (found,) = look(only=[port], identifiers=identifiers)
    assert running.outputs == {}
    assert running.device.active == ()
    return found


@pytest.mark.parametrize(("name", "driver", "named"), KNOWN, ids=[row[0] for row in KNOWN])
def test_a_device_is_known_by_its_own_driver_and_gives_no_pulse(name, driver, named):
    found = asked_by({driver: found_identifiers()[driver]}, name)
    assert named in found.answers[driver], found


@pytest.mark.prove
@pytest.mark.parametrize(("name", "driver", "named"), KNOWN, ids=[row[0] for row in KNOWN])
def test_asked_in_every_protocol_in_turn_a_device_is_known_by_its_own_driver_only(name, driver, named):
    found = asked_by(found_identifiers(), name)
    assert list(found.answers) == [driver], found
    assert named in found.answers[driver]


def test_the_question_of_another_driver_is_neither_answered_nor_obeyed():
    found = asked_by({"sciencemode34": found_identifiers()["sciencemode34"]}, "rehastim2")
    assert found.answers == {}


@pytest.mark.prove
@pytest.mark.parametrize("name", [*(row[0] for row in KNOWN), "simulated"])
def test_questions_of_all_other_drivers_are_neither_answered_nor_obeyed(name):
    own = {emulator: driver for emulator, driver, _ in KNOWN}.get(name)
    others = {driver: ask for driver, ask in found_identifiers().items() if driver != own}
    found = asked_by(others, name)
    assert found.answers == {}
    assert found.asked == tuple(others)
