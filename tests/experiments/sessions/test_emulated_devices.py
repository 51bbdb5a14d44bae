"""Whole closed-loop sessions, each node in its process, with real drivers at emulated devices behind a pseudo terminal.

What was given is what the device's own ledger says; what was recorded is held against that.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from myoloop.experiments.objects import BUILDERS
from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.replay import replay
from myoloop.experiments.sessions.emulated_rig import emulated_rig_data
from myoloop.experiments.sessions.run import SessionEnd, prepare, run_live
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.verify import verify
from myoloop.stimulators.gate.envelope import Envelope

SPEC = importlib.util.spec_from_file_location("told_and_given", Path(__file__).with_name("told_and_given.py"))
compare = sys.modules[SPEC.name] = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(compare)

pytestmark = [pytest.mark.processes, pytest.mark.timeout(170)]

PROTOCOL = Path(__file__).parents[2] / "data" / "device_train.yaml"
MS = 1_000_000
PERIOD_NS = 25 * MS
#: What the protocol must be like for a device that has few currents, or one.
COARSE = {
    "openemsstim": {"min_step: 1 mA": "min_step: 5 mA"},
    "ttl": {
        "min_step: 1 mA": "min_step: 5 mA",
        "current_max: 15 mA": "current_max: 5 mA",
        "motor: 12 mA, tolerance: 15 mA": "motor: 5 mA, tolerance: 6 mA",
    },
}
#: A train of some five seconds, and a current that lets a P24 notice an open electrode.
LONG = {"hold: 1 s": "hold: 4 s", "rest: 2 s": "rest: 6 s"}
STRONG = {
    "current_max: 15 mA": "current_max: 20 mA",
    "motor: 12 mA, tolerance: 15 mA": "motor: 17 mA, tolerance: 20 mA",
}


class Session:
    """One that has ended: how, what the device gave, what was told of it."""

    def __init__(self, end: SessionEnd, envelope: Envelope) -> None:
        self.end, self.envelope = end, envelope
        self.recording = Recording.open(end.folder)
        lines = (end.folder / "body-ledger.jsonl").read_text().splitlines()
        rows = [json.loads(line) for line in lines]
        self.given = [compare.Pulse(row["t_ns"], row["current_ma"], row["width_us"]) for row in rows]
        self.unbalanced = [row for row in rows if row.get("net_charge_nc")]
        told = []
        for each in self.recording.messages({"pulse"}):
            message = each.received.message
            told += [
                compare.Pulse(
                    t_ns, message.current_ma, message.phase_us, message.uncertainty_ns, message.kind, message.channel
                )
                for t_ns in message.t_ns
            ]
        self.told = sorted(told, key=lambda pulse: pulse.t_ns)

    def check_safe(self) -> None:
        """Nothing beyond the envelope, by the device's own ledger."""
        most_ma = max(channel.current_max_ma for channel in self.envelope.channels)
        least_us, most_us = self.envelope.phase_us
        assert self.unbalanced == []
        for pulse in self.given:
            assert 0 < pulse.current_ma <= most_ma
            assert least_us <= pulse.width_us <= most_us
            assert pulse.current_ma * pulse.width_us * 1e-3 <= self.envelope.charge_per_phase_uc
        times = [pulse.t_ns for pulse in self.given]
        assert all(b - a >= 1e9 / self.envelope.rate_hz[1] for a, b in itertools.pairwise(times))

    def check_whole(self) -> None:
        """It went to its end, its record is good, and runs through the same code again to the same decisions."""
        assert (self.end.outcome, self.end.reason) == ("complete", "")
        assert len(self.given) >= 40
        self.check_safe()
        self.check_record()

    def check_record(self) -> None:
        found = verify(self.end.folder)
        assert found.status == "good", found.problems
        again = replay(self.end.folder, BUILDERS)
        assert again.equal, again

    def check_pulse_by_pulse(self, *, ends_unheard: bool = False) -> None:
        compare.check_pulse_by_pulse(self.told, self.given, ends_unheard=ends_unheard)

    def check_train_by_train(self, within_ns: int = PERIOD_NS) -> None:
        compare.check_train_by_train(self.told, self.given, PERIOD_NS, within_ns)


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Run one on an emulated device."""
    sockets = Path("/tmp") / f"e{os.getpid()}-{abs(hash(str(tmp_path))) % 10**6}"
    sockets.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(sockets))

    def run(device, level="low", *, faults=(), changed=None, on_turn=None, source=PROTOCOL):
        text = source.read_text()
        for old, new in (changed or COARSE.get(device, {})).items():
            assert old in text
            text = text.replace(old, new)
        protocol, rig = tmp_path / "protocol.yaml", tmp_path / "rig.yaml"
        protocol.write_text(text)
        with rig.open("w") as file:
            YAML().dump(emulated_rig_data(load_protocol(str(protocol)), device, level=level, faults=faults), file)
        setup = prepare(
            str(protocol), subject="SIM1", rig=str(rig), study=tmp_path / "study", seed=1, speed="real"
        )  # fmt: skip
        end = run_live(setup, on_turn)
        assert not list(sockets.glob("myo-*"))
        return Session(end, setup.plan.envelope)

    yield run
    shutil.rmtree(sockets)


def test_a_session_on_a_p24_whose_pulses_the_host_gives(session):
    ended = session("p24")
    ended.check_whole()
    ended.check_pulse_by_pulse()
    assert {pulse.kind for pulse in ended.told} == {"acknowledged"}


# The drills have one in every run.
@pytest.mark.prove
def test_a_session_on_a_rehastim2_that_times_itself(session):
    ended = session("rehastim2")
    ended.check_whole()
    ended.check_train_by_train()


@pytest.mark.prove
def test_a_session_on_a_rehamove3_whose_pulses_the_host_gives(session):
    ended = session("rehamove3")
    ended.check_whole()
    ended.check_pulse_by_pulse()


@pytest.mark.prove
@pytest.mark.parametrize("device", ["p24", "rehamove3"])
def test_a_session_at_mid_level(session, device):
    ended = session(device, "mid")
    ended.check_whole()
    ended.check_train_by_train()


@pytest.mark.prove
def test_a_session_on_a_stimulator_behind_the_trigger_box(session):
    ended = session("ttl")
    ended.check_whole()
    ended.check_train_by_train()
    ended.check_pulse_by_pulse()
    assert {pulse.current_ma for pulse in ended.given} == {5.0}


@pytest.mark.prove
def test_a_session_on_an_openemsstim_board(session):
    """Its relays close and open some time within what the driver says it cannot know."""
    ended = session("openemsstim")
    ended.check_whole()
    ended.check_train_by_train(ended.told[0].uncertainty_ns)


@pytest.mark.prove
@pytest.mark.timeout(900)
def test_a_calibration_and_eleven_efforts_on_a_p24(session):
    """The demonstration that ships: thresholds found step by step, each effort answered by a train, pauses and all."""
    ended = session("p24", source=Path(load_protocol("demo").path))
    ended.check_whole()
    ended.check_pulse_by_pulse()
    assert len(compare.trains(ended.given, PERIOD_NS)) >= 15


#: What breaks 1.5 s after the first pulse, and what the reason says of it.
FAULTS = {
    "electrode open": ("open-electrodes=0@1.5", ("electrode",)),
    "port gone": ("vanished@1.5", ("port lost", "device lost")),
    "reset": ("restart@1.5", ("restarted", "no acknowledgement")),
}
#: What the trigger box and the openEMSstim board do not measure they cannot tell.
NOTICED = [
    (device, fault)
    for device in ("p24", "rehamove3", "rehastim2", "ttl", "openemsstim")
    for fault in FAULTS
    if fault != "electrode open" or device not in ("ttl", "openemsstim")
]
#: Whose pulses the host gives one by one.
HOST_TIMED = ("p24", "rehamove3")
#: How long a device goes on by itself when nobody can reach it any more.
OWN_BOUND_MS = {"p24": 100, "rehamove3": 100, "rehastim2": 1200, "ttl": 250, "openemsstim": 300}


def last_ms(ended: Session) -> float:
    """From the fault to the last pulse."""
    return (ended.given[-1].t_ns - ended.given[0].t_ns) / MS - 1500


@pytest.mark.prove
@pytest.mark.parametrize(("device", "fault"), NOTICED)
def test_a_fault_of_the_device_ends_in_zero_with_its_reason(session, device, fault):
    words, reasons = FAULTS[fault]
    ended = session(device, faults=(words,), changed={**LONG, **COARSE.get(device, STRONG)})
    print(device, fault, ended.end.outcome, ended.end.reason, f"last pulse after {last_ms(ended):.0f} ms")  # noqa: T201
    assert ended.end.outcome == "fault"
    assert any(reason in ended.end.reason for reason in reasons), ended.end.reason
    assert last_ms(ended) <= 250 + (OWN_BOUND_MS[device] if fault == "port gone" else 0)
    ended.check_safe()
    ended.check_record()
    if device in HOST_TIMED:
        ended.check_pulse_by_pulse(ends_unheard=True)


@pytest.mark.prove
@pytest.mark.parametrize("device", ["p24", "rehastim2"])
def test_the_stop_key_ends_in_zero(session, device):
    pressed_ns = []

    def turn(seen):
        flows = seen.report is not None and sum(each.current_ma for each in seen.report.acknowledged) >= 10
        if flows:
            pressed_ns.append(time.monotonic_ns())
        return "stop key" if flows else ""

    ended = session(device, changed={**LONG, **STRONG}, on_turn=turn)
    assert (ended.end.outcome, ended.end.reason) == ("stopped", "stop key")
    assert ended.given[-1].t_ns - pressed_ns[0] <= 250 * MS
    ended.check_safe()
    ended.check_record()
    if device in HOST_TIMED:
        ended.check_pulse_by_pulse(ends_unheard=True)
