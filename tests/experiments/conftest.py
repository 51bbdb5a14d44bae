"""A session whose every number is known, and a short one of the real loop."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.platform import wire
from myoloop.platform.messages import (
    ChannelSetting,
    ClockSample,
    Command,
    Dose,
    Estimate,
    Event,
    Gap,
    Heartbeat,
    Measure,
    MuscleEstimate,
    Phase,
    Pulses,
    SampleDescriptor,
    Samples,
    Start,
    Step,
    StimReport,
    StimRequest,
    Trial,
    Truth,
)
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.stimulators.gate import parse_envelope

MS = 1_000_000
TICK_MS = 10
TICKS = 400
#: Monotonic time of the session's 0 s: the first phase message.
ZERO_MS = 5_000
EMG = SampleDescriptor(
    topic="emg/amp",
    rate_hz=1000.0,
    dtype="<i2",
    channels=("m1", "m2", "trigger"),
    units=("V", "V", "1"),
    scale=(1e-6, 2e-6, 1.0),
    offset=(0.0, 1e-4, 0.0),
    sync_channel="trigger",
    device="bench amplifier",
)
IMU = SampleDescriptor(
    topic="imu/amp",
    rate_hz=100.0,
    dtype="<f4",
    channels=("acc_x", "acc_y", "acc_z"),
    units=("m/s^2",) * 3,
    scale=(1.0,) * 3,
    offset=(0.0,) * 3,
)
METADATA = {
    "simulated": "true",
    "subject": "P017",
    "protocol": "tiny",
    "protocol_version": "1.2.3",
    "evidence": "very low",
    "rig": "bench <1>",
    "rig_class": "SIM",
    "wall_start_ns": "1700000000000000000",
    "sha256.protocol": "ab" * 32,
    "version.myoloop": "0.1.0",
}
ENVELOPE: dict[str, Any] = {
    "session": "s1", "subject": "P017", "waveform_class": "nmes",
    "channels": [{"channel": "c1", "output": 0, "pad_area_cm2": 25.0, "current_max_ma": 20.0}],
    "phase_us": [200.0, 300.0], "rate_hz": [10.0, 40.0], "charge_per_phase_uc": 12.0, "rms_ma": 20.0,
    "rms_density_ma_cm2": 1.5, "power_density_w_cm2": 0.1, "channels_max": 1, "on_s_max": 10.0, "duty_max": 0.5,
    "session_on_s_max": 600.0, "session_charge_mc_max": 50.0, "day_charge_mc_max": 100.0,
    "course_charge_mc_max": 1000.0, "step_ma": 1.0, "new_ground_ma_per_s": 10.0, "known_ground_ramp_s_min": 0.2,
    "current_ma_calibrating": 30.0, "required_vitals": ["vital/amp"], "sensor_age_ms": 50.0, "ramp_down_s": 0.5,
}  # fmt: skip
CONTROLLER = {
    "muscles": [
        {"muscle": "biceps", "topic": "emg/amp", "column": 0},
        {"muscle": "triceps", "topic": "emg/amp", "column": 1},
    ],
    "stim": [{"channel": "c1", "phase_us": 250.0, "rate_hz": 20.0, "muscle": "biceps"}],
    "policy": {"name": "open_loop", "settings": {}},
}
STIMULATOR = {
    "outputs": 1, "current_max_ma": 100.0, "current_step_ma": 1.0, "phase_us": [50.0, 500.0], "rate_hz": [1.0, 100.0],
}  # fmt: skip


def emg_counts() -> np.ndarray:
    """(4000, 3): noise that is stronger in the train and while biceps has its spasm; the trigger at pulses."""
    rng = np.random.default_rng(7)
    counts = np.zeros((TICKS * TICK_MS, 3), np.int16)
    level = np.full(len(counts), 5.0)
    level[2500:2800] = 200.0
    counts[:, 0] = rng.normal(0.0, level)
    counts[:, 1] = rng.normal(0.0, 8.0, len(counts))
    counts[1005:2000:50, 2] = 1
    return counts


def imu_values() -> np.ndarray:
    """(400, 3), the third axis along gravity."""
    return np.random.default_rng(8).normal((0.0, 0.0, 9.81), 1.0, (TICKS, 3)).astype("<f4")


class Maker:
    """Writes what happens, tick by tick, with numbers as publishers give them."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer = writer
        self._seq: dict[tuple[str, str], int] = {}

    def say(self, topic: str, publisher: str, message: Any, t_ms: float, array: np.ndarray | None = None) -> int:
        key = (topic, publisher)
        seq = self._seq.get(key, 0)
        self._seq[key] = seq + 1
        frames = wire.encode(topic, message, session="s1", publisher=publisher, epoch=1, seq=seq, array=array)
        self._writer.write(frames, round((ZERO_MS + t_ms) * MS), seq)
        return seq


def ns(t_ms: float) -> int:
    return round((ZERO_MS + t_ms) * MS)


def write_session(
    folder: Path, *, end: bool = True, metadata: dict[str, str] | None = None, lost_block: int | None = 320
) -> Path:
    """Write the session; see the tests for what is in it."""
    folder.mkdir(parents=True, exist_ok=True)
    with RecordingWriter(
        folder, session="s1", descriptors=[EMG, IMU], metadata=metadata or METADATA, live=False
    ) as writer:
        maker = Maker(writer)
        _begin(maker)
        counts, imu = emg_counts(), imu_values()
        for tick in range(TICKS):
            _tick(maker, tick, counts, imu, lost_block)
        _end(maker)
        if end:
            writer.end("stopped", "stop (operator)", ns(4001))
    return folder


def _begin(maker: Maker) -> None:
    for kind, settings in (("controller", CONTROLLER), ("stimulator", STIMULATOR), ("director", {})):
        start = Start(object=kind, kind=kind, settings=json.dumps(settings), state="{}")
        maker.say(f"start/{kind}", kind, start, -5)
    command = Command(t_ns=ns(-4), id="d1", kind="set_envelope", target="stimulator", arguments=ENVELOPE)
    maker.say("command", "director", command, -4)
    maker.say("clock", "amp", ClockSample(t_ns=ns(0), wall_ns=1_700_000_000_000_000_000, boottime_ns=ns(0)), 0)


def _tick(maker: Maker, tick: int, counts: np.ndarray, imu: np.ndarray, lost_block: int | None) -> None:
    t_ms = tick * TICK_MS
    _phase(maker, tick, t_ms)
    inputs: tuple[tuple[str, str, int, int], ...] = ()
    if tick != lost_block:
        rows = slice(t_ms, t_ms + TICK_MS)
        invalid = b""
        if tick == 50:
            mask = np.zeros((TICK_MS, 3), bool)
            mask[2:6, 0] = True
            invalid = np.packbits(mask).tobytes()
        block = Samples(first_sample=t_ms, t_ns=ns(t_ms + 9), invalid=invalid)
        inputs = (("emg/amp", "amp", 1, maker.say("emg/amp", "amp", block, t_ms + 9, counts[rows])),)
    maker.say("imu/amp", "amp", Samples(first_sample=tick, t_ns=ns(t_ms + 9)), t_ms + 9, imu[tick : tick + 1])
    t_ms += 10
    maker.say("step/controller", "controller", Step(number=tick + 1, now_ns=ns(t_ms), inputs=inputs), t_ms)
    maker.say("estimate", "controller", _estimate(tick, t_ms), t_ms)
    asked_ma = 12.4 if 100 <= tick < 200 else 0.0
    request = StimRequest(step=tick + 1, t_ns=ns(t_ms), arm_id="a", lease_ms=100, channels=(_setting(asked_ma),))
    reference = ("controller", 1, maker.say("request", "controller", request, t_ms))
    maker.say("report", "stimulator", _report(tick, t_ms + 3, asked_ma, reference), t_ms + 3)
    if tick % 4 == 0:
        worst = 9.0 if tick >= 200 else 2.0
        beat = Heartbeat(
            t_ns=ns(t_ms), node="controller", role="controller", state="running", cycle_ms=1.0, cycle_mean_ms=1.0,
            cycle_worst_ms=worst,
        )  # fmt: skip
        maker.say("heartbeat/controller", "controller", beat, t_ms)
        truth = {"biceps": 0.3 * tick / (TICKS - 4), "triceps": 0.0}
        maker.say("truth/fatigue", "body", Truth(t_ns=ns(t_ms), values=truth), t_ms)
        maker.say("truth/force", "body", Truth(t_ns=ns(t_ms), values={"biceps": 1.0, "triceps": 0.0}), t_ms)
    if 100 <= tick < 200 and tick % 5 == 0:
        # 20 Hz: the first pulse 2 ms after the first report that let current through.
        pulse_ms = t_ms + 5
        told = Pulses(
            channel="c1", t_ns=(ns(pulse_ms),), uncertainty_ns=500_000, kind="acknowledged", current_ma=10.0,
            phase_us=250.0,
        )  # fmt: skip
        maker.say("pulse", "stimulator", told, pulse_ms)
        values = {"output": 0, "channel": "c1", "current_ma": 10.0, "phase_us": 250.0}
        maker.say("truth/pulse", "body", Truth(t_ns=ns(pulse_ms), values=values, pulses_ns=(ns(pulse_ms),)), pulse_ms)
    if tick in (250, 280):
        values = {"muscle": "biceps", "onset_ns": ns(2500), "end_ns": ns(2800) if tick == 280 else None}
        maker.say("truth/spasm", "body", Truth(t_ns=ns(t_ms), values=values), t_ms)


def _phase(maker: Maker, tick: int, t_ms: float) -> None:
    if tick % 10:
        return
    in_block = 50 <= tick < 300
    state = "hold" if 100 <= tick < 200 else "rest" if tick >= 200 else "cue"
    since_ms = {"cue": 500, "hold": 1000, "rest": 2000}[state]
    message = Phase(
        t_ns=ns(t_ms), session="s1", state="running", index=int(in_block) + 2 * (tick >= 300),
        name="work" if in_block else "before" if tick < 50 else "after", kind="block" if in_block else "rest",
        block=int(in_block), trial=int(in_block), trials=1, trial_state=state if in_block else "rest",
        t_state_ns=ns(since_ms) if in_block else 0,
    )  # fmt: skip
    maker.say("phase", "director", message, t_ms)


def _estimate(tick: int, t_ms: float) -> Estimate:
    if tick < 200:
        fatigue = Measure(reason="not enough evidence")
    elif tick < 390:
        fatigue = Measure(value=0.25, low=0.1, high=0.4, valid=True, reason="")
    else:
        fatigue = Measure(value=0.9, valid=False, reason="signal lost")
    # Bursts of biceps: from 2.52 s, which is true, and from 3.5 s, which is not; one of triceps that never ends.
    onset_ms = 2520 if 255 <= tick < 282 else 3500 if 352 <= tick < 360 else None
    late_ms = 3900 if tick >= 392 else None
    return Estimate(
        step=tick + 1,
        t_ns=ns(t_ms),
        muscles=(
            MuscleEstimate(muscle="biceps", level_uv=20.0, fatigue=fatigue, **_spasm(onset_ms)),
            MuscleEstimate(muscle="triceps", level_uv=None, fatigue=Measure(), **_spasm(late_ms)),
        ),
    )


def _spasm(onset_ms: float | None) -> dict[str, Any]:
    return {
        "spasm": Measure(value=0.0 if onset_ms is None else 1.0, valid=True, reason=""),
        "spasm_onset_ns": None if onset_ms is None else ns(onset_ms),
        "effort": Measure(),
        "response": Measure(),
    }


def _report(tick: int, t_ms: float, asked_ma: float, reference: tuple[str, int, int]) -> StimReport:
    rising = 100 <= tick < 120
    allowed_ma = 10.0 if rising else 12.0 if asked_ma else 0.0
    latched = "stop (operator)" if tick >= 380 else ""
    allowed = (_setting(allowed_ma),) if allowed_ma else ()
    return StimReport(
        step=tick + 1,
        t_ns=ns(t_ms),
        state="STOPPED" if latched else "STIMULATING" if allowed_ma else "ARMED",
        request=reference,
        requested=(_setting(asked_ma),) if asked_ma else (),
        allowed=allowed,
        acknowledged=allowed,
        rule="rise onto new ground" if rising else "",
        reasons=("c1: 10 of 12.4 mA, rise onto new ground",) if rising else (),
        dose=Dose(session_charge_mc=0.05, session_on_s=1.0, session_pulses=20),
        envelope_sha256=parse_envelope(ENVELOPE).sha256 if tick >= 20 else "",
        latched=latched,
    )


def _setting(current_ma: float) -> ChannelSetting:
    return ChannelSetting(channel="c1", current_ma=current_ma, phase_us=250.0, rate_hz=20.0)


def _end(maker: Maker) -> None:
    trial = Trial(
        t_ns=ns(3000), kind="block", name="work", block=1, trial=1, outcome="effort", begin_ns=ns(500),
        trigger_ns=ns(900), end_ns=ns(3000),
        values={"charge_mc": 0.05, "effort_after_ms": 400.0, "target_ma_c1": 12.4, "peak_ma_c1": 12.0,
                "fatigue_biceps": 0.25},
    )  # fmt: skip
    maker.say("trial", "director", trial, 4000)
    stop = Event(t_ns=ns(3803), kind="stop", who="stimulator", why="stop <operator>", values={"from": "ARMED"})
    maker.say("event", "stimulator", stop, 4000)
    gap = Gap(t_ns=ns(3300), topic="phase", publisher="director", epoch=1, first_missing=3, last_missing=4)
    maker.say("gap", "controller", gap, 4000)
    last = Phase(t_ns=ns(4000), session="s1", state="ended", outcome="stopped", reason="stop (operator)")
    maker.say("phase", "director", last, 4000)


SHORT = """
protocol:
  id: short
  version: 1.0.0
  schema: 1
  title: Two trains
  rigs: [SIM]
  evidence: {grade: none}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 40 mA, charge_max: 13 uC, slew: 10 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {sensory: 6 mA, motor: 12 mA, tolerance: 30 mA}
phases:
  - rest: {name: baseline, duration: 2 s}
  - block:
      name: trains
      trials: 2
      machine: effort
      cue: 0.2 s
      await: {timeout: 1 s, on_timeout: assist}
      ramp_up: 0.5 s
      hold: 1 s
      ramp_down: 0.3 s
      rest: 1 s
      intensity: {ref: motor, x: 1.2}
controller: {policy: open_loop}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""


@pytest.fixture(scope="session")
def known() -> SimpleNamespace:
    """The session of known numbers: `write` it anywhere, with what it was made of."""
    return SimpleNamespace(
        write=write_session, EMG=EMG, IMU=IMU, METADATA=METADATA, counts=emg_counts(), imu=imu_values()
    )


@pytest.fixture(scope="session")
def known_attempt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of that session, read only."""
    return write_session(tmp_path_factory.mktemp("study") / "sub-P017" / "ses-03" / "att-2")


@pytest.fixture(scope="session")
def lockstep_attempt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short session of the real loop on the virtual subject."""
    folder = tmp_path_factory.mktemp("lockstep")
    file = folder / "short.yaml"
    file.write_text(SHORT, encoding="utf-8")
    protocol = load_protocol(file)
    attempt = create_attempt(folder, "V001", 1)
    setup = make_setup(
        protocol, simulated_rig(protocol), subject="V001", session="short-1", folder=attempt,
        parameters=SubjectParameters(first_spasm_s=600.0), seed=3,
    )  # fmt: skip
    Lockstep(setup).run()
    return attempt
