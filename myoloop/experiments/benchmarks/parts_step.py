"""What one step of the controller costs: 8 channels at 2 kHz, an IMU, a block every 10 ms, all eight estimators.

Six of them are on by default, co-contraction and flexion-relaxation are added by a protocol. The blocks are a virtual
subject's, at rest and while stimulated, made before the clock runs. A step takes in what a session gives it: samples,
movement, the pulse messages, the stimulator's report, the phase.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.signal import butter, sosfilt

from myoloop.controllers.choice import Choice
from myoloop.controllers.controller import Controller
from myoloop.controllers.settings import (
    DEFAULT_ESTIMATORS,
    ControllerSettings,
    EmgSource,
    ImuSource,
    MuscleInput,
    StimOutput,
)
from myoloop.experiments.benchmarks.findings import Finding
from myoloop.experiments.subjects.person import MuscleSite
from myoloop.experiments.subjects.population import draw as draw_person
from myoloop.experiments.subjects.subject import VirtualSubject
from myoloop.platform.messages import ChannelSetting, Dose, Phase, Pulses, Samples, StimReport, Target
from myoloop.platform.steps import Received, StepInput
from myoloop.stimulators.emulators.ledger import Pulse

NAME = "step"
CHANNELS = 8
STEP_MAX_US = 250.0
BLOCK_NS = 10_000_000
TRAIN_HZ, CURRENT_MA, PHASE_US = 33.0, 22.0, 250.0
#: Rest, train, rest, train ...: one cycle.
REST_S, TRAIN_S = 3.0, 3.0
SECONDS = 60.0
_WARM_STEPS = 200

Say = Callable[[str], None]


def measure(subjects: int, seeds: int, first_seed: int, say: Say) -> tuple[list[Finding], dict[str, Any]]:
    """Time one controller on one subject; how many were asked for does not matter to a clock."""
    del subjects, seeds
    say("step: the subject lives")
    settings, given, trained = _lived(first_seed)
    say("step: timing")
    spent_us = _timed(settings, given)
    plain_us = _plain(given)
    # The first steps also fill caches; a session warms up before it begins.
    spent_us, trained = spent_us[_WARM_STEPS:], trained[_WARM_STEPS:]
    in_train, resting = spent_us[trained], spent_us[~trained]
    findings = [
        Finding(
            part=NAME,
            what=f"median of a step, {CHANNELS} channels, all eight estimators, {label}",
            value=round(float(np.median(found)), 1),
            unit="us",
            target=STEP_MAX_US,
            sense="at most",
            baseline="sosfilt and RMS alone",
            baseline_value=round(plain_us, 1),
            n=len(found),
        )
        for label, found in (("at rest", resting), (f"at {TRAIN_HZ:g} Hz stimulation", in_train), ("both", spent_us))
    ]
    findings.append(
        Finding(
            part=NAME, what="99th percentile of a step", value=round(float(np.percentile(spent_us, 99)), 1), unit="us"
        )
    )
    edges = np.linspace(0, 2 * STEP_MAX_US, 101)
    return findings, {
        "edges_us": edges.tolist(),
        "rest": np.histogram(resting, edges)[0].tolist(),
        "train": np.histogram(in_train, edges)[0].tolist(),
    }


def draw(curves: dict[str, Any], figure: Any) -> None:
    """How often a step takes how long."""
    axes = figure.add_subplot()
    for name, label in (("rest", "at rest"), ("train", f"stimulating at {TRAIN_HZ:g} Hz")):
        axes.stairs(curves[name], curves["edges_us"], fill=True, alpha=0.5, label=label)
    axes.axvline(STEP_MAX_US, color="0.3", linestyle="--", label="budget")
    axes.set(xlabel="time of one controller step (us)", ylabel="steps")
    axes.legend(frameon=False)


def _lived(seed: int) -> tuple[ControllerSettings, list[StepInput], npt.NDArray[np.bool_]]:
    """Settings, what each step is given, and which steps lie in a train."""
    names = [f"m{number}" for number in range(CHANNELS)]
    sites = [MuscleSite(name, (name,), ((number, name),) if number < 2 else ()) for number, name in enumerate(names)]
    subject = VirtualSubject(draw_person(seed), seed, muscles=sites)
    emg, imu = subject.descriptors("amplifier")[:2]
    settings = ControllerSettings(
        emg=(EmgSource(descriptor=emg),),
        muscles=tuple(MuscleInput(muscle=name, topic=emg.topic, column=number) for number, name in enumerate(names)),
        stim=tuple(StimOutput(channel=name, phase_us=PHASE_US, rate_hz=TRAIN_HZ, muscle=name) for name in names[:2]),
        policy=Choice(name="open_loop"),
        estimators=(
            *DEFAULT_ESTIMATORS,
            Choice(name="cocontraction", settings={"pairs": ((names[0], names[1]),)}),
            Choice(name="flexion_relaxation"),
        ),
        imu=ImuSource(descriptor=imu, gyroscope=(3, 4, 5)),
    )
    given, trained, made = [], [], [0, 0]
    next_ns = 0.0
    for number in range(1, round(SECONDS * 1e9 / BLOCK_NS) + 1):
        begin_ns, now_ns = (number - 1) * BLOCK_NS, number * BLOCK_NS
        in_train = begin_ns * 1e-9 % (REST_S + TRAIN_S) >= REST_S
        times = []
        next_ns = max(next_ns, float(begin_ns))
        while in_train and next_ns < now_ns:
            times.append(int(next_ns))
            next_ns += 1e9 / TRAIN_HZ
        pulses = [Pulse(t_ns, output, CURRENT_MA, PHASE_US) for t_ns in times for output in (0, 1)]
        lived = subject.step(begin_ns, now_ns, pulses)
        received = []
        streams: tuple[tuple[str, npt.NDArray[Any]], ...] = ((emg.topic, lived.emg), (imu.topic, lived.imu))
        for stream, (topic, rows) in enumerate(streams):
            if len(rows):
                block = Samples(first_sample=made[stream], t_ns=now_ns)
                received.append(Received(topic, topic, 1, number, block, rows))
                made[stream] += len(rows)
        received += [_pulses(name, times, number) for name in names[:2] if times]
        if number % 10 == 1:
            received += [_phase(names, in_train, now_ns, number), _report(names, in_train, now_ns, number)]
        given.append(StepInput(number, now_ns, received))
        trained.append(in_train)
    return settings, given, np.array(trained)


def _pulses(channel: str, times: list[int], number: int) -> Received:
    message = Pulses(
        channel=channel,
        t_ns=tuple(times),
        uncertainty_ns=500_000,
        kind="sent",
        current_ma=CURRENT_MA,
        phase_us=PHASE_US,
    )
    return Received("pulse", "pulse", 1, number, message)


def _phase(names: list[str], in_train: bool, now_ns: int, number: int) -> Received:
    cycle_ns = round((REST_S + TRAIN_S) * 1e9)
    begin_ns = now_ns // cycle_ns * cycle_ns + (round(REST_S * 1e9) if in_train else 0)
    message = Phase(
        t_ns=now_ns, session="bench", state="running", index=1, kind="block", block=1, trial=1 + now_ns // cycle_ns,
        trials=100, trial_state="hold" if in_train else "rest", t_state_ns=begin_ns, arm_id="arm",
        targets=tuple(
            Target(
                channel=name, current_ma=CURRENT_MA, phase_us=PHASE_US, rate_hz=TRAIN_HZ, ramp_up_s=0.5, ramp_down_s=0.5
            )
            for name in names[:2]
        ),
    )  # fmt: skip
    return Received("phase", "phase", 1, number, message)


def _report(names: list[str], in_train: bool, now_ns: int, number: int) -> Received:
    current_ma = CURRENT_MA if in_train else 0.0
    flowing = tuple(
        ChannelSetting(channel=name, current_ma=current_ma, phase_us=PHASE_US, rate_hz=TRAIN_HZ) for name in names[:2]
    )
    message = StimReport(
        step=number, t_ns=now_ns, state="STIMULATING", request=("controller", 1, number), requested=flowing,
        allowed=flowing, acknowledged=flowing, rule="", reasons=(), dose=Dose(),
    )  # fmt: skip
    return Received("report", "report", 1, number, message)


def _timed(settings: ControllerSettings, given: list[StepInput]) -> npt.NDArray[np.float64]:
    controller = Controller(settings)
    spent = np.empty(len(given))
    for number, step in enumerate(given):
        begin_ns = time.perf_counter_ns()
        controller.step(step)
        spent[number] = time.perf_counter_ns() - begin_ns
    return spent * 1e-3


def _plain(given: list[StepInput]) -> float:
    """The simplest thing that could be done with a block: band-pass it, and take its RMS."""
    sos = butter(4, (20, 450), "bandpass", fs=2000, output="sos")
    state = np.zeros((len(sos), 2, CHANNELS))
    spent = []
    for step in given[:3000]:
        block = step.received[0].array
        if block is None:
            continue
        begin_ns = time.perf_counter_ns()
        filtered, state = sosfilt(sos, block[:, :CHANNELS] * 1.0, axis=0, zi=state)
        np.sqrt(np.mean(filtered**2, axis=0))
        spent.append(time.perf_counter_ns() - begin_ns)
    return float(np.median(spent)) * 1e-3
