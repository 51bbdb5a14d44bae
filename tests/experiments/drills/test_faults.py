"""Which drills there are: every process in every way, and everything that an emulator can break."""

from __future__ import annotations

import pytest

from myoloop.experiments.drills.devices import DEVICES, NoSuchDrill, device_of, drill_rig
from myoloop.experiments.drills.faults import STRUCK, chosen, drill_of, drills_of
from myoloop.experiments.drills.run import PROTOCOL
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.platform.rig import Rig
from myoloop.stimulators.emulators.fault_words import fault_kinds, read_fault
from myoloop.stimulators.emulators.registry import emulator_kind

#: Why a knob of an emulator has no drill of its own.
NO_DRILL = {
    "answers-left": "says how often another fault happens",
    "results-left": "says how often another fault happens",
    "results-always": "what results-once does at the first pulse; current has ended by the second",
    "reset-is-silent": "tells of an answer to a command that no session sends",
    "load-factor": "only where loads are fixed",
}
#: Knobs that mean nothing at a level of the device.
LEVEL = {"p24-low": {"mask-flipped"}, "p24-mid": {"queue-full", "stop-delay"}}


def rigs():
    return load_protocol(PROTOCOL)


@pytest.mark.parametrize("name", DEVICES)
def test_every_process_is_killed_frozen_and_hung_on_every_device(name):
    names = {drill.name for drill in drills_of(DEVICES[name])}
    assert {f"{how}-{part}" for how in ("kill", "freeze", "hang") for part in STRUCK} <= names
    assert {"stop-key", "stop-node", "stop-api", "stop-pain"} <= names


@pytest.mark.parametrize("name", DEVICES)
def test_everything_that_an_emulator_can_break_has_a_drill(name):
    device = DEVICES[name]
    drilled = {words.partition("=")[0] for words in device.breaks}
    there = set(fault_kinds(emulator_kind(device.emulator).make(0).faults))
    assert there - drilled <= set(NO_DRILL) | LEVEL.get(name, set())
    assert drilled <= there


@pytest.mark.parametrize("name", DEVICES)
def test_every_fault_of_a_device_can_be_read_by_its_emulator(name):
    device = DEVICES[name]
    for drill in drills_of(device):
        if drill.breaks:
            read_fault(drill.breaks, emulator_kind(device.emulator).make(0).faults)


@pytest.mark.parametrize("name", DEVICES)
def test_names_of_drills_are_their_own(name):
    names = [drill.name for drill in drills_of(DEVICES[name])]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", DEVICES)
def test_the_rig_of_a_drill_has_every_part_that_is_struck_and_is_no_persons(name):
    rig = Rig.model_validate(drill_rig(rigs(), DEVICES[name], 4711))
    assert rig.rig.rig_class == "SIM"
    assert set(STRUCK) - {"supervisor"} | {"body"} == set(rig.nodes)


def test_drills_are_chosen_by_device_name_and_group():
    assert [drill.name for _, drill in chosen(["simulated"], ["kill-recorder"])] == ["kill-recorder"]
    assert {drill.group for _, drill in chosen(["simulated"], ["clock", "stop"])} == {"clock", "stop"}
    assert len(chosen([], [])) == sum(len(drills_of(device)) for device in DEVICES.values())


def test_a_device_or_fault_that_there_is_not_is_told_with_those_there_are():
    with pytest.raises(NoSuchDrill, match="found 'p25', allowed are simulated, p24-low"):
        device_of("p25")
    with pytest.raises(NoSuchDrill, match="found 'p25', allowed are simulated, p24-low"):
        chosen(["p25"], [])
    with pytest.raises(NoSuchDrill, match="--list"):
        chosen(["simulated"], ["kill-everything"])
    with pytest.raises(NoSuchDrill, match="kill-everything"):
        drill_of(DEVICES["simulated"], "kill-everything")
