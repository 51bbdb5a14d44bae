"""Hostile requests through gate, handover and codec, and an auditor who knows only what the bytes say.

A :class:`Station` is the gate, the node's handover and a real driver's `encode` and `decode`; what would be written to
the device is read by the separate decoder and shown to the auditor (``auditor.py``); requests come from
``hostile.py``.
"""

from __future__ import annotations

import importlib.util
import json
import math
import random
import sys
from dataclasses import asdict
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from myoloop.platform.messages import ChannelSetting, DeviceReport
from myoloop.stimulators import gate
from myoloop.stimulators.analog import AnalogDriver
from myoloop.stimulators.analog_source import AnalogSettings
from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.node import Handover
from myoloop.stimulators.openemsstim import OpenEmsStimDriver
from myoloop.stimulators.openemsstim_lines import OpenEmsStimDriverSettings
from myoloop.stimulators.sciencemode.driver import ScienceMode34Driver
from myoloop.stimulators.sciencemode.settings import ScienceMode34Settings
from myoloop.stimulators.sciencemode2 import RehaStim2Driver, RehaStim2Settings
from myoloop.stimulators.simulated import SimulatedDriver, SimulatedDriverSettings
from myoloop.stimulators.stimulator import DeviceOrder
from myoloop.stimulators.ttl_trigger import TtlTriggerDriver
from myoloop.stimulators.ttl_trigger_settings import TtlTriggerDriverSettings


def _beside(name: str) -> ModuleType:
    """A module of this folder, which is no package."""
    spec = importlib.util.spec_from_file_location(f"adversarial_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


_auditor, _hostile = _beside("auditor"), _beside("hostile")
MS = 1_000_000
S = 1_000 * MS
CEILING = json.loads((Path(__file__).parents[2] / "data" / "default_envelope.json").read_text())["ceiling"]
#: Largest step in mA and fastest new ground in mA/s of each class (E.6 of the project's reference).
STEP_MA = {"nmes": 5.0, "tens": 5.0, "microcurrent": 0.05}
PER_S_MA = {"nmes": 20.0, "tens": 20.0, "microcurrent": 0.5}
WIRED = {"left": 0, "right": 1}
#: No `False`, so a pause that says so ends current at once.
ODD_YES = (0, 0.0, "", "no", None, math.nan, [], {})


def _sciencemode(device, level, **more):
    return ScienceMode34Driver(ScienceMode34Settings(WIRED, "", device, 130.0, level=level, **more))


def _analog(volts_per_ma, most_ma, zero_code):
    return AnalogDriver(AnalogSettings(WIRED, "Dev1", "BENCH", volts_per_ma, most_ma, zero_code))


#: Class of waveform and driver of each kind.
KINDS = {
    "simulated": ("nmes", lambda: SimulatedDriver(SimulatedDriverSettings(WIRED))),
    "sciencemode34 low, P24": ("nmes", lambda: _sciencemode("p24", "low")),
    "sciencemode34 mid, P24": ("nmes", lambda: _sciencemode("p24", "mid", interphase_us=100)),
    "sciencemode34 mid, RehaMove3": ("tens", lambda: _sciencemode("rehamove3", "mid")),
    "sciencemode2": ("nmes", lambda: RehaStim2Driver(RehaStim2Settings(WIRED))),
    "openemsstim": (
        "nmes",
        lambda: OpenEmsStimDriver(OpenEmsStimDriverSettings(WIRED, "", 12.0, 200.0, 40.0, "symmetric_biphasic")),
    ),
    "ttl_trigger": (
        "nmes", lambda: TtlTriggerDriver(TtlTriggerDriverSettings(WIRED, "", 4.5, 300.0, "symmetric_biphasic")),
    ),
    "analog": ("nmes", lambda: _analog(0.5, 15.0, 3)),
    "analog, microcurrent": ("microcurrent", lambda: _analog(10.0, 0.9, 0)),
}  # fmt: skip


def an_envelope(rng: random.Random, waveform_class: str, can) -> gate.Envelope:
    """Of a person, somewhere between wide open and tight in every limit."""
    top = CEILING[waveform_class]
    device = min(top["current_mA"], can.current_max_ma)
    # What may be given is the class's most for an hour, or as good as nothing in one of four ways.
    dose = dict.fromkeys(
        ("session_charge", "day_charge", "course_charge"), top["charge_per_phase_uC"] * top["rate_hz"][1] * 3.6
    )
    dose["session_on_s"] = 3600.0
    if rng.random() < 0.4:
        tight = rng.choice(tuple(dose))
        dose[tight] *= 1e-3 if tight == "session_on_s" else 1e-6

    def share(most, *shares):
        return most * rng.choice((1.0, 1.0, *shares))

    continuous = top["on_s_max"] is None
    on_s_max = None if continuous else share(top["on_s_max"], 0.05, 0.2)
    return gate.Envelope(
        session="s1", subject="P001", waveform_class=waveform_class,
        channels=tuple(
            gate.ChannelLimits(name, output, rng.choice((6.0, 25.0, 80.0)), share(device, 0.3, 0.61803))
            for name, output in WIRED.items()
        ),
        # Wide enough, and not so wide that reading the samples of a pulse is all there is time for.
        phase_us=(max(top["phase_us"][0], can.phase_min_us), min(top["phase_us"][1], can.phase_max_us, 600.0)),
        rate_hz=(max(top["rate_hz"][0], can.rate_min_hz), min(top["rate_hz"][1], can.rate_max_hz)),
        charge_per_phase_uc=share(top["charge_per_phase_uC"], 0.1, 0.02),
        rms_ma=share(top["rms_mA_per_channel"], 0.3, 0.05),
        rms_density_ma_cm2=share(top["rms_density_mA_cm2"], 0.1),
        power_density_w_cm2=share(top["power_density_W_cm2"], 0.01),
        channels_max=rng.choice((1, 2, 2)),
        on_s_max=on_s_max, duty_max=1.0 if continuous else rng.choice((0.5, 0.2)),
        session_on_s_max=dose["session_on_s"], session_charge_mc_max=dose["session_charge"],
        day_charge_mc_max=dose["day_charge"], course_charge_mc_max=dose["course_charge"],
        step_ma=max(share(STEP_MA[waveform_class], 0.2), can.current_step_ma),
        new_ground_ma_per_s=share(PER_S_MA[waveform_class], 0.25), known_ground_ramp_s_min=rng.choice((0.1, 0.5)),
        current_ma_calibrating=share(device, 0.5), required_vitals=("vital/emg",), sensor_age_ms=100.0, ramp_down_s=0.5,
    )  # fmt: skip


# -- gate, handover and codec ------------------------------------------------------------------------------------------


class Tap:
    """A driver's real `encode` and `decode`; what would go to the device is kept. An encoder may go mad on request."""

    def __init__(self, driver, rng: random.Random) -> None:
        self.driver, self.rng, self.capabilities = driver, rng, driver.capabilities
        self.flowing: tuple = ()
        self.mad = False
        self.stops = self.writes = 0

    def encode(self, settings):
        if not self.mad or not settings:
            return self.driver.encode(settings)
        # Whole bytes with a good checksum that say something else, or bytes spoilt on their way.
        rng, self.mad = self.rng, False
        field_, factor = rng.choice(("current_ma", "phase_us", "rate_hz")), rng.choice((0.5, 1.25, 2.0, 4.0))
        said = [{name: getattr(one, name) for name in one.__struct_fields__} for one in settings]
        said[0][field_] *= factor
        try:
            data = bytearray(self.driver.encode([ChannelSetting(**one) for one in said]))
        except DriverError:
            data = bytearray(self.driver.encode(settings))
        if rng.random() < 0.5:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        return bytes(data)

    def decode(self, data):
        return self.driver.decode(data)

    def write(self, data, now_ns):
        self.flowing = self.driver.decode(data)
        self.writes += 1
        return self.writes

    def stop(self, now_ns):
        self.flowing = ()
        self.stops += 1

    def poll(self, now_ns):
        return DeviceReport(t_ns=now_ns, connected=True, identity="tap", ack_of=self.writes, sent=self.writes), ()


class Station:
    """One session: an envelope, a gate, a handover and a driver's codec, audited at every step.

    Parameters
    ----------
    kind
        One of `KINDS`.
    """

    def __init__(self, kind: str, seed: int, session: int) -> None:
        self.rng = rng = random.Random(f"{kind} {seed} {session}")
        waveform_class, make = KINDS[kind]
        self.tap = Tap(make(), rng)
        can = self.tap.capabilities
        device = gate.DeviceLimits(
            can.outputs, can.current_max_ma, can.current_step_ma, (can.phase_min_us, can.phase_max_us),
            (can.rate_min_hz, can.rate_max_hz), can.period_step_us, can.restarts_at_once,
        )  # fmt: skip
        self.envelope = gate.parse_envelope(asdict(an_envelope(rng, waveform_class, can)))
        self.sha256 = self.envelope.sha256
        # An hour's session that has just begun, or one that is nearly used up.
        e = self.envelope
        used = rng.choice((0.0, 0.0, 1 - 1e-6))
        prior = gate.PriorDose(used * e.day_charge_mc_max, used * max(e.day_charge_mc_max, e.course_charge_mc_max))
        self.settings = gate.GateSettings("s1", "P001", "SIM", (), device, prior)
        self.state = gate.GateState()
        self.now_ns = 10 * S
        self.node = SimpleNamespace(order=DeviceOrder(), gate_state=self.state, device_limits=device)
        self.handover = Handover(self.tap, self.node)
        self.auditor = _auditor.Auditor(self.envelope, can, prior, self.now_ns)
        self.hostile = _hostile.Hostile(rng, self.auditor)
        self.requests = self.nonces = self.refused = self.over = 0
        self.madness = 0.0005
        self.faults: tuple[str, ...] = ()

    def act(self, kind: str, role: str = "operator", **arguments) -> gate.Act:
        self.nonces += 1
        return gate.Act(f"id{self.nonces}", kind, role, arguments, False, f"arm-{self.nonces}")

    def acts(self) -> list[gate.Act]:
        """What an operator would do now: back to current, a step of a calibration, now and then a pause."""
        rng, name = self.rng, self.state.name
        if name == "CONNECTED" and self.state.envelope is None:
            return [self.act("set_envelope", "director", **asdict(self.envelope))]
        if name == "CONNECTED":
            return [self.act("confirm", envelope_sha256=self.sha256)]
        if name == "READY":
            how = (
                {"mode": "calibration", "channel": rng.choice(tuple(WIRED))}
                if rng.random() < 0.15
                else {"mode": "normal"}
            )
            # On the way down of a pause, which may be cut short, nobody is armed yet.
            cut = [self.pause()] if self.auditor.pausing and rng.random() < 0.05 else []
            return [*cut, self.act("arm", session="s1", envelope_sha256=self.sha256, **how)]
        if name == "CALIBRATING" and rng.random() < 0.1:
            a = self.auditor
            more_ma = rng.choice((a.envelope.step_ma, a.envelope.step_ma * 1.01, math.nan, -1.0, 1e9))
            return [self.act("step", channel=a.calibrating, current_ma=a.level_ma + more_ma)]
        if name in ("FAULT", "STOPPED") and rng.random() < 0.1:
            return [self.act("acknowledge")]
        return [self.pause()] if rng.random() < 1 / (100 if name == "CALIBRATING" else 1500) else []

    def pause(self) -> gate.Act:
        """By a ramp or at once, which is anything but a plain no."""
        hows = ({}, {"at_once": False}, {"at_once": True}, {"at_once": True}, {"at_once": self.rng.choice(ODD_YES)})
        return self.act("pause", self.rng.choice(("operator", "director")), **self.rng.choice(hows))

    def elapse(self) -> float:
        """Milliseconds to the next step: cycles, floods, a late host, and now and then a clock that jumps."""
        rng = self.rng
        if self.state.name in ("FAULT", "STOPPED"):
            return rng.choice((99.0, 99.0, 100.0, 1.0))
        if rng.random() < 0.0003:
            return rng.choice((-0.000001, -50.0, 100.000001, 5000.0))
        return rng.choice((10.0, 10.0, 10.0, 10.0, 1.0, 0.0, 99.0, 100.0) if rng.random() < 0.2 else (10.0,))

    def step(self) -> None:
        """One cycle: hear, decide, hand over, and let the auditor see what flows now."""
        rng, tap = self.rng, self.tap
        self.now_ns += round(self.elapse() * MS)
        now_ns = self.now_ns
        report, _ = self.handover.poll(now_ns)
        if report is not None:
            self.faults = report.faults
        arm_id = self.auditor.armed or rng.choice(self.hostile.stale)
        request = None if rng.random() < 0.01 else self.hostile.draw(now_ns, arm_id)
        self.requests += request is not None
        acts = self.acts()
        stops = ["key"] if rng.random() < 0.0002 else []
        evidence = gate.Evidence(
            vitals={"vital/emg": gate.VitalSign(now_ns, True)}, peers={}, ended_peers=frozenset(), phase_ns=now_ns,
            phase_running=True, device=gate.DeviceEvidence(True, not tap.flowing, None, self.faults), slept_ns=0,
        )  # fmt: skip
        self.state, verdict = gate.step(self.state, self.settings, evidence, request, acts, stops, now_ns)
        for act, reply in zip(acts, verdict.replies, strict=True):
            if reply.ok:
                self.hostile.stale.append(self.auditor.armed)
                self.auditor.answered(act, reply, now_ns)
        allowed = tuple(ChannelSetting(**asdict(one)) for one in verdict.allowed)
        self.node.order = DeviceOrder(verdict.stop, verdict.write, allowed, self.state.calibrating)
        self.node.gate_state = self.state
        # Mad until it has said something: a device that seldom has current would else hardly ever hear such bytes.
        tap.mad = tap.mad or rng.random() < self.madness
        before = tap.stops
        self.handover.obey(now_ns)
        self.refused += tap.stops > before and not verdict.stop
        # Nothing flows and nobody is armed any more once the dose is used up.
        self.over += verdict.rule == "dose" or any("used up" in reply.reason for reply in verdict.replies)
        self.auditor.judge(now_ns, request, tap.flowing, tap.stops > before)


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Name of a driver, and of the class it is tried with."""
    return request.param


@pytest.fixture(scope="session")
def kinds() -> dict[str, object]:
    """All of them."""
    return KINDS


@pytest.fixture(scope="session")
def new_station():
    """Make a station: `new_station(kind, seed, session)`."""
    return Station


@pytest.fixture(scope="session")
def violation():
    """What an auditor raises."""
    return _auditor.Violation
