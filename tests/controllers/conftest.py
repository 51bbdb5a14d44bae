"""A small scene of our own: a muscle, its antagonist, an IMU, a director and a stimulator, all plain and seeded.

It shares no code with the package, so that the controller is not tested against its own idea of a muscle.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from myoloop.controllers.choice import Choice
from myoloop.controllers.controller import Controller
from myoloop.controllers.settings import ControllerSettings, EmgSource, ImuSource, MuscleInput, StimOutput
from myoloop.platform.messages import (
    ChannelSetting,
    Dose,
    Estimate,
    Phase,
    Pulses,
    SampleDescriptor,
    Samples,
    StimReport,
    StimRequest,
    Target,
)
from myoloop.platform.steps import Received, StepInput

TICK_NS = 10_000_000
START_NS = 1_000_000_000


def emg_descriptor(rate_hz: float = 2000.0, channels: int = 2, **more: Any) -> SampleDescriptor:
    given: dict[str, Any] = {
        "topic": "emg/sim",
        "rate_hz": rate_hz,
        "dtype": "<i2",
        "channels": tuple(f"e{i}" for i in range(channels)),
        "units": ("V",) * channels,
        "scale": (1e-6,) * channels,
        "offset": (0.0,) * channels,
    }
    return SampleDescriptor(**{**given, **more})


IMU = SampleDescriptor(
    topic="imu/sim",
    rate_hz=100.0,
    dtype="<f4",
    channels=("ax", "ay", "az", "gx", "gy", "gz"),
    units=("m/s^2",) * 3 + ("rad/s",) * 3,
    scale=(1.0,) * 6,
    offset=(0.0,) * 6,
)


def controller_settings(policy: str = "open_loop", /, **more: Any) -> ControllerSettings:
    needs = {"emg_trigger": {"muscle": "agonist"}, "pi": {"muscle": "agonist", "quantity": "effort", "setpoint": 0.5}}
    given: dict[str, Any] = {
        "emg": (EmgSource(descriptor=emg_descriptor()),),
        "muscles": (
            MuscleInput(muscle="agonist", topic="emg/sim", column=0),
            MuscleInput(muscle="antagonist", topic="emg/sim", column=1),
        ),
        "stim": (StimOutput(channel="ch1", phase_us=250.0, rate_hz=35.0, muscle="agonist"),),
        "policy": Choice(name=policy, settings=needs.get(policy, {})),
        "effort_muscles": ("agonist",) if policy == "emg_trigger" else (),
        "imu": ImuSource(descriptor=IMU, gyroscope=(3, 4, 5)),
    }
    return ControllerSettings(**{**given, **more})


def target(current_ma: float = 20.0, **more: Any) -> Target:
    given = {"channel": "ch1", "phase_us": 250.0, "rate_hz": 35.0, "ramp_up_s": 0.5, "ramp_down_s": 0.5}
    return Target(current_ma=current_ma, **{**given, **more})


def phase(now_ns: int, trial_state: str = "hold", **more: Any) -> Phase:
    given: dict[str, Any] = {
        "t_ns": now_ns,
        "session": "s",
        "state": "running",
        "index": 1,
        "kind": "block",
        "block": 1,
        "trial": 1,
        "trials": 10,
        "trial_state": trial_state,
        "t_state_ns": now_ns,
        "arm_id": "arm",
        "targets": (target(),),
    }
    return Phase(**{**given, **more})


def received(topic: str, message: Any, seq: int = 0, array: Any = None, epoch: int = 1) -> Received:
    return Received(topic, topic, epoch, seq, message, array)


def report_of(request: StimRequest, now_ns: int, factor: float = 1.0, rule: str | None = None) -> StimReport:
    """What the gate says where it lets this share through; `rule` "" where only the device's step left so much."""
    allowed = tuple(
        ChannelSetting(channel=c.channel, current_ma=c.current_ma * factor, phase_us=c.phase_us, rate_hz=c.rate_hz)
        for c in request.channels
    )
    return StimReport(
        step=request.step, t_ns=now_ns, state="STIMULATING", request=("controller", 1, request.step),
        requested=request.channels,
        allowed=allowed, acknowledged=allowed, rule=("current" if factor < 1.0 else "") if rule is None else rule,
        reasons=(), dose=Dose(),
    )  # fmt: skip


def verdict_of(request: StimRequest | None, now_ns: int, *, rule: str = "", state: str = "ARMED") -> StimReport:
    """What the gate says of a request for nothing; of none where none came."""
    reference = None if request is None else ("controller", 1, request.step)
    return StimReport(
        step=1, t_ns=now_ns, state=state, request=reference, requested=(), allowed=(), acknowledged=(), rule=rule,
        reasons=(), dose=Dose(),
    )  # fmt: skip


@dataclass
class Trials:
    """A director: the trial's states and how long each lasts, s; `await_effort` ends with the trigger."""

    states: tuple[tuple[str, float], ...]
    rest_first_s: float = 4.0
    state: str = "rest"
    since_ns: int = START_NS
    at: int = -1
    trial: int = 0

    def go_on(self, now_ns: int, trigger: bool) -> bool:
        if self.at < 0:
            ended = (now_ns - START_NS) * 1e-9 >= self.rest_first_s
        else:
            name, length = self.states[self.at]
            ended = trigger if name == "await_effort" else (now_ns - self.since_ns) * 1e-9 >= length
            ended = ended or (now_ns - self.since_ns) * 1e-9 >= length
        if ended:
            self.at = (self.at + 1) % len(self.states)
            self.trial += self.at == 0
            self.state, self.since_ns = self.states[self.at][0], now_ns
        return ended


@dataclass
class Scene:
    """A whole loop under virtual time.

    `fatigue_per_s` of stimulation or effort; spasms are (begin_s, length_s, µV, muscle).
    """

    seed: int = 1
    policy: str = "emg_trigger"
    seconds: float = 60.0
    spasms: tuple[tuple[float, float, float, int], ...] = ()
    states: tuple[tuple[str, float], ...] = (
        ("cue", 1.0), ("await_effort", 4.0), ("ramp_up", 0.5), ("hold", 3.0), ("ramp_down", 0.5), ("rest", 4.0),
    )  # fmt: skip
    rest_uv: float = 5.0
    effort_uv: float = 100.0
    effort_first_s: float = 1.6
    fatigue_per_s: float = 0.004
    artifact: bool = True
    pulse_hz: float = 35.0
    settings: dict[str, Any] = field(default_factory=dict)
    steps: list[tuple[float, str, Estimate, StimRequest]] = field(default_factory=list)
    truth: list[float] = field(default_factory=list)

    def run(self, on_step: Callable[[int, Controller], Controller] | None = None) -> Scene:
        rng = np.random.default_rng(self.seed)
        controller = Controller(controller_settings(self.policy, **self.settings))
        director = Trials(self.states)
        count = round(self.seconds * 100)
        white = rng.standard_normal((count * 20, 2))
        bands = {}
        zi: dict[int, Any] = {}
        fatigue, effort, angle = 0.0, 0.0, 0.0
        next_pulse_ns, carried = 0, np.zeros((80, 2))
        pending: list[Received] = []
        request: StimRequest | None = None
        trigger = False
        effort_gain = 1.0
        for n in range(1, count + 1):
            now_ns = START_NS + n * TICK_NS
            t = n * 0.01
            changed = director.go_on(now_ns, trigger)
            if changed and director.state == "cue":
                effort_gain = 1.0 + 0.1 * rng.standard_normal()
            inbox = pending
            pending = []
            if changed or n % 10 == 1:
                state = "cue" if director.at < 0 else director.state
                known = "rest" if director.at < 0 else "block"
                inbox.append(received("phase", phase(
                    now_ns, state if known == "block" else "idle", kind=known, trial=director.trial,
                    t_state_ns=director.since_ns, baseline=known == "rest",
                )))  # fmt: skip
            current = request.channels[0].current_ma if request is not None else 0.0
            working = self._working(director, now_ns)
            effort += 0.05 * ((effort_gain if working else 0.0) - effort)
            fatigue += (1 - fatigue) * self.fatigue_per_s * 0.01 * (effort + current / 20.0)
            self.truth.append(fatigue)
            # EMG: shaped noise, slower with fatigue.
            velocity = round(1 - 0.5 * fatigue, 2)
            key = int(velocity * 100)
            if key not in bands:
                sos = butter(2, (40 * velocity, 130 * velocity), btype="bandpass", fs=2000, output="sos")
                bands[key] = sos / np.ones_like(sos)
            sos = bands[key]
            state_z = zi.get(0, np.zeros((len(sos), 2, 2)))
            shaped, zi[0] = sosfilt(sos, white[(n - 1) * 20 : n * 20], axis=0, zi=state_z)
            shaped = shaped / np.sqrt(2 * 90 * velocity / 2000)
            level = np.array([effort * self.effort_uv, 0.08 * effort * self.effort_uv])
            for begin, length, size, muscle in self.spasms:
                if begin <= t < begin + length:
                    level[muscle] = np.hypot(level[muscle], size)
            emg = shaped * np.hypot(level, self.rest_uv)
            emg, pulses_ns, next_pulse_ns = self._stimulate(emg, current, now_ns, next_pulse_ns, carried)
            if pulses_ns:
                pending.append(received("pulse", Pulses(
                    channel="ch1", t_ns=tuple(pulses_ns), uncertainty_ns=200_000, kind="sent",
                    current_ma=current, phase_us=250.0,
                )))  # fmt: skip
            raw = np.clip(np.round(emg), -4000, 4000).astype("<i2")
            inbox.append(received("emg/sim", Samples(first_sample=(n - 1) * 20, t_ns=now_ns), n, raw))
            goal = (0.02 * current + 0.3 * effort) * (1 - fatigue)
            angle += 0.05 * (goal - angle)
            gravity = 9.81 * np.array([[np.sin(angle), 0.0, np.cos(angle)]]) + 0.03 * rng.standard_normal((1, 3))
            imu = np.concatenate([gravity, np.zeros((1, 3))], axis=1).astype("<f4")
            inbox.append(received("imu/sim", Samples(first_sample=n - 1, t_ns=now_ns), n, imu))
            if on_step is not None:
                controller = on_step(n, controller)
            given = StepInput(n, now_ns, inbox)
            said, asked = (out.message for out in controller.step(given))
            assert isinstance(said, Estimate)
            assert isinstance(asked, StimRequest)
            request, trigger = asked, said.trigger
            pending.append(received("report", report_of(asked, now_ns), n))
            self.steps.append((t, director.state if director.at >= 0 else "first", said, asked))
        return self

    def _working(self, director: Trials, now_ns: int) -> bool:
        """The person begins half a second into the cue's end and works until the ramp down."""
        if self.policy != "emg_trigger" or director.at < 0:
            return False
        if director.state == "await_effort":
            return (now_ns - director.since_ns) * 1e-9 > 0.3
        return director.state in ("ramp_up", "hold") or (
            director.state == "ramp_down" and (now_ns - director.since_ns) * 1e-9 < 0.5
        )

    def _stimulate(
        self, emg: Any, current: float, now_ns: int, next_ns: int, carried: Any
    ) -> tuple[Any, list[int], int]:
        pulses = []
        begin_ns = now_ns - TICK_NS
        if current > 0:
            next_ns = max(next_ns, begin_ns + 1)
            while next_ns <= now_ns:
                pulses.append(next_ns)
                next_ns += round(1e9 / self.pulse_hz)
        if self.artifact:
            for pulse_ns in pulses:
                row = int((pulse_ns - begin_ns) // 500_000)
                k = np.arange(36)
                wave = 2500 * np.exp(-k / 2.0) + 600 * np.sin(2 * np.pi * k / 24) * np.exp(-(((k - 14) / 7) ** 2))
                wave[34:] = 0
                carried[row : row + 36] += (wave * current / 20)[:, None] * np.array([1.0, 0.3])
        emg = emg + carried[:20]
        carried[:-20] = carried[20:].copy()
        carried[-20:] = 0
        return emg, pulses, next_ns

    def onsets_s(self, muscle: int) -> list[float]:
        found: list[float] = []
        for _, _, said, _ in self.steps:
            onset = said.muscles[muscle].spasm_onset_ns
            if onset is not None:
                onset_s = (onset - START_NS) * 1e-9
                if not found or onset_s != found[-1]:
                    found.append(onset_s)
        return found


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """Builders of messages and settings."""
    return SimpleNamespace(
        descriptor=emg_descriptor, settings=controller_settings, phase=phase, target=target, received=received,
        report_of=report_of, verdict_of=verdict_of, report_settings=ChannelSetting, imu=IMU, start_ns=START_NS,
        tick_ns=TICK_NS,
    )  # fmt: skip


@pytest.fixture(scope="session")
def scene() -> type[Scene]:
    return Scene
