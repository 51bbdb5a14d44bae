"""Every driver's question of identity, at every emulator: the right one answers, and none of them gives a pulse."""

import threading
import time
from contextlib import contextmanager

import pytest

from myoloop.stimulators.emulators.lines import PtyLine
from myoloop.stimulators.emulators.registry import emulator_kind
from myoloop.stimulators.emulators.running import RunningEmulator
from myoloop.stimulators.ports import found_identifiers, look
from myoloop.stimulators.registry import BUILT_IN

#: Emulator, driver that knows it, what its identity names.
KNOWN = [
    ("p24", "sciencemode34", "P24"),
    ("rehamove3", "sciencemode34", "RehaMove3"),
    ("rehastim2", "sciencemode2", "RehaStim2"),
    ("openemsstim", "openemsstim", "openEMSstim"),
    ("ttl", "ttl_trigger", "TTL"),
]
THERE = [row for row in KNOWN if row[1] in BUILT_IN]


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


def test_there_are_questions_to_ask():
    assert THERE
    assert {driver for _, driver, _ in THERE} <= set(found_identifiers())


@pytest.mark.parametrize(("name", "driver", "named"), THERE, ids=[row[0] for row in THERE])
def test_asked_in_every_protocol_a_device_is_known_by_its_own_driver_and_gives_no_pulse(name, driver, named):
    with plugged_in(name) as (port, running):
        (found,) = look(only=[port])
    assert list(found.answers) == [driver], found
    assert named in found.answers[driver]
    assert running.outputs == {}
    assert running.device.active == ()


@pytest.mark.parametrize("name", [name for name, _, _ in THERE] + ["simulated"])
def test_questions_of_other_drivers_are_neither_answered_nor_obeyed(name):
    own = {emulator: driver for emulator, driver, _ in KNOWN}.get(name)
    others = {driver: ask for driver, ask in found_identifiers().items() if driver != own}
    with plugged_in(name) as (port, running):
        (found,) = look(only=[port], identifiers=others)
    assert found.answers == {}
    assert found.asked == tuple(others)
    assert running.outputs == {}
    assert running.device.active == ()
