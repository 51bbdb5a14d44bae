"""What a drill puts into a node does nothing until it is switched on, then what its name says; on no person's rig."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from myoloop.acquisition.source import Block
from myoloop.experiments.drills.devices import DEVICES, NoSuchDrill, drill_rig
from myoloop.experiments.drills.faults import drills_of
from myoloop.experiments.drills.injected import (
    HEARTBEATS,
    JUMPS_NS,
    REQUESTS,
    JumpingClock,
    SpoiltSource,
    Switch,
    spoilt,
)
from myoloop.experiments.drills.node import run
from myoloop.experiments.drills.rig import refuse_unless_simulated
from myoloop.experiments.drills.run import PROTOCOL
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.platform.messages import ChannelSetting, ClockSample, Heartbeat, StimRequest
from myoloop.platform.process import write_rig_file
from myoloop.platform.rig import Rig
from myoloop.platform.steps import Outgoing

SECOND_NS = 1_000_000_000
SETTING = ChannelSetting(channel="ext", current_ma=14.0, phase_us=250.0, rate_hz=35.0)
REQUEST = StimRequest(step=1, t_ns=5 * SECOND_NS, arm_id="a", lease_ms=100, channels=(SETTING,))
BEAT = Heartbeat(
    t_ns=SECOND_NS, node="controller", role="controller", state="running",
    cycle_ms=1.0, cycle_mean_ms=1.0, cycle_worst_ms=1.0,
)  # fmt: skip


def said(fault, topic, message):
    return [each.message for each in spoilt(fault, Outgoing(topic, message))]


def test_every_injected_fault_is_one_that_something_does():
    names = {drill.name for drill in drills_of(DEVICES["simulated"]) if drill.how == "inject" and not drill.breaks}
    doing = {*REQUESTS, *HEARTBEATS, *JUMPS_NS, "clock-slept"}
    assert {name for name in names if not name.startswith(("hang-", "samples-"))} == doing


def test_requests_become_what_the_fault_says():
    assert math.isnan(said("request-nan", "request", REQUEST)[0].channels[0].current_ma)
    assert said("request-over-current", "request", REQUEST)[0].channels[0].current_ma == 1000.0
    assert said("request-flood", "request", REQUEST) == [REQUEST] * 10
    assert said("request-stops", "request", REQUEST) == []
    assert said("request-old", "request", REQUEST)[0].t_ns == REQUEST.t_ns - SECOND_NS // 10


def test_a_fault_changes_only_what_it_is_about():
    for fault in (*REQUESTS, "clock-slept"):
        assert said(fault, "heartbeat/controller", BEAT) == [BEAT]
    for fault in HEARTBEATS:
        assert said(fault, "request", REQUEST) == [REQUEST]
        assert said(fault, "heartbeat/controller", BEAT) != [BEAT]
    sample = ClockSample(t_ns=0, wall_ns=0, boottime_ns=0)
    assert said("clock-slept", "clock", sample)[0].boottime_ns == 5 * SECOND_NS


@pytest.mark.parametrize("name", JUMPS_NS)
def test_a_clock_jumps_when_it_is_switched(name):
    switch = Switch()
    clock = JumpingClock(JUMPS_NS[name], switch)
    before_ns = clock.now_ns()
    switch.on = True
    assert abs(clock.now_ns() - before_ns - JUMPS_NS[name]) < SECOND_NS // 2


class Blocks:
    """A source of numbered rows."""

    def __init__(self) -> None:
        self.number = 0

    def read(self, wait_s):
        rows = np.arange(self.number, self.number + 20, dtype="<i2")[:, None]
        block = Block("emg/amplifier", self.number, self.number * 500_000, rows)
        self.number += 20
        return [block]


@pytest.fixture
def source_of():
    def make(fault):
        switch = Switch()
        source = SpoiltSource(Blocks(), fault, switch)
        source.keep_rails({"emg/amplifier": 32767.0})
        (first,) = source.read(0.0)
        assert np.array_equal(first.array[:, 0], np.arange(20)), "nothing is spoilt before it is time"
        switch.on = True
        return source

    return make


def test_stale_samples_do_not_come(source_of):
    assert source_of("samples-stale").read(0.0) == []


def test_repeated_samples_are_the_last_good_ones(source_of):
    (block,) = source_of("samples-repeated").read(0.0)
    assert np.array_equal(block.array[:, 0], np.arange(20))
    assert block.first_sample == 20


def test_railed_and_flat_samples_have_one_value(source_of):
    assert set(source_of("samples-railed").read(0.0)[0].array.ravel()) == {32767}
    assert set(source_of("samples-flat").read(0.0)[0].array.ravel()) == {19}


@pytest.mark.parametrize(("fault", "rows"), [("samples-half-rate", 10), ("samples-double-rate", 40)])
def test_another_rate_has_no_gap(source_of, fault, rows):
    source = source_of(fault)
    blocks = [source.read(0.0)[0] for _ in range(3)]
    assert [len(block.array) for block in blocks] == [rows] * 3
    assert [block.first_sample for block in blocks] == [20, 20 + rows, 20 + 2 * rows]


@pytest.mark.parametrize(("fault", "by_ns"), [("samples-late", -SECOND_NS), ("samples-future", SECOND_NS)])
def test_stamps_can_be_wrong(source_of, fault, by_ns):
    (block,) = source_of(fault).read(0.0)
    assert block.t_ns == 20 * 500_000 + by_ns


# -- on no person's rig ------------------------------------------------------------------------------------------------


def rig_data():
    return drill_rig(load_protocol(PROTOCOL), DEVICES["p24-low"], 4711)


def test_a_drills_own_rig_is_allowed():
    refuse_unless_simulated(Rig.model_validate(rig_data()))


@pytest.mark.parametrize("rig_class", ["HUMAN", "BENCH"])
def test_no_fault_is_brought_into_a_rig_for_people(rig_class):
    rig = Rig.model_validate(rig_data())
    header = rig.rig.model_copy(update={"rig_class": rig_class})
    with pytest.raises(NoSuchDrill, match=f"found class {rig_class}, faults are brought into SIM rigs only"):
        refuse_unless_simulated(rig.model_copy(update={"rig": header}))


def test_no_fault_is_brought_into_a_rig_with_a_real_port():
    data = rig_data()
    data["nodes"]["stimulator"]["settings"]["port"] = "/dev/ttyACM0"
    with pytest.raises(NoSuchDrill, match="neither simulated nor emulated"):
        refuse_unless_simulated(Rig.model_validate(data))


def test_a_drills_node_refuses_a_session_without_a_virtual_subject(tmp_path):
    write_rig_file(tmp_path, "s", {"stimulator": "stimulator", "controller": "controller"}, "real")
    device = DEVICES["simulated"]
    drill = next(each for each in drills_of(device) if each.name == "request-nan")
    with pytest.raises(NoSuchDrill, match="needs a virtual subject"):
        run(device, drill, tmp_path, "controller")


def test_no_message_of_a_session_can_switch_a_fault_on():
    """A switch is a plain object in the drill's own process; nothing that is decoded from a wire holds one."""
    assert [field.name for field in dataclasses.fields(Switch)] == ["on"]
    import myoloop.platform.node as node
    import myoloop.stimulators.node as stimulator

    for module in (node, stimulator):
        assert not any("drills" in str(getattr(value, "__module__", "")) for value in vars(module).values())
