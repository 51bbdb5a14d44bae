"""A study with short recorded sessions: two that track a force, two open loop, and what cannot be used."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from myoloop.experiments.protocols.schema import load_protocol
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig
from myoloop.experiments.subjects.population import draw
from myoloop.platform import wire
from myoloop.platform.messages import Step
from myoloop.platform.recording.folder import create_attempt
from myoloop.platform.recording.layout import SESSION_FILE
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.writer import RecordingWriter

TRACKED = """
protocol: {id: tracked, version: 1.0.0, schema: 1, title: Short trains to a force, rigs: [SIM], evidence: {grade: none}}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext]}
  stim: {class: mA, min_step: 1 mA}
  force: {}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
envelope: {waveform_class: nmes, current_max: 40 mA, charge_max: 13 uC, step: 2 mA, slew: 20 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {motor: 12 mA, tolerance: 35 mA}
phases:
  - block: {name: trains, trials: 2, machine: cyclic, ramp_up: 0.3 s, hold: 0.6 s, ramp_down: 0.1 s, rest: 2 s,
            intensity: {ref: motor, x: 1.8}}
controller:
  policy: adaptive_gain
  settings: {quantity: force, setpoint: 4, full_response: 40, recruitment_median_ma: 18 mA}
  reflex: {spasm: {enabled: false}}
stop_rules: [{session_max: 1 min}]
outcomes: {primary: trials_done}
"""
_SETTINGS = "  settings: {quantity: force, setpoint: 4, full_response: 40, recruitment_median_ma: 18 mA}\n"
OPEN = (
    TRACKED.replace("id: tracked", "id: open")
    .replace("policy: adaptive_gain", "policy: open_loop")
    .replace(_SETTINGS, "")
    .replace("trials: 2", "trials: 3")
)
#: Who is recorded, by what protocol, and who of the demo group they are.
RECORDED = (("P001", TRACKED, 3), ("P002", TRACKED, 4), ("P003", OPEN, 5))


def run_session(study: Path, person: str, text: str, seed: int, metadata: dict[str, str] | None = None) -> Path:
    """Record a session; its folder."""
    file = study.parent / f"{person}.yaml"
    file.write_text(text, encoding="utf-8")
    protocol = load_protocol(file)
    attempt = create_attempt(study, person, 1)
    setup = make_setup(
        protocol, simulated_rig(protocol), subject=person, session="/".join(attempt.parts[-3:]), folder=attempt,
        parameters=draw(seed), seed=seed,
    )  # fmt: skip
    Lockstep(setup).run()
    return attempt


@pytest.fixture(scope="session")
def recorded_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the study; read only."""
    study = tmp_path_factory.mktemp("training") / "study"
    for person, text, seed in RECORDED:
        run_session(study, person, text, seed)
    broken = study / "sub-P004" / "ses-01" / "att-1"
    broken.mkdir(parents=True)
    (broken / SESSION_FILE).write_bytes(b"no recording")
    return study


@pytest.fixture(scope="session")
def sessions() -> SimpleNamespace:
    """How sessions are recorded (`run`) and forged (`rewrite`), and by which protocols."""
    return SimpleNamespace(run=run_session, rewrite=rewrite, TRACKED=TRACKED, OPEN=OPEN)


@pytest.fixture
def study_copy(recorded_study: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(recorded_study, tmp_path / "study"))


def rewrite(
    attempt: Path,
    *,
    metadata: dict[str, str] | None = None,
    outcome: str | None = "complete",
    until: int | None = None,
    change: Callable[[Any], Any] = lambda message: message,
) -> None:
    """Write a recording anew with other metadata or messages, up to a step of the controller; a forger's work.

    `outcome` None leaves it without an end.
    """
    old = Recording.open(attempt)
    folder = attempt.parent / "again"
    folder.mkdir()
    with RecordingWriter(
        folder,
        session=old.session,
        descriptors=list(old.descriptors.values()),
        metadata={**old.metadata, **(metadata or {})},
        live=False,
    ) as writer:
        for topic, frames, log_time_ns in old.frames():
            if topic == "chain":
                continue
            head, received = wire.decode(frames)
            step = received.message.number if isinstance(received.message, Step) else 0
            if until is not None and topic == "step/controller" and step > until:
                break
            changed = change(received.message)
            if changed is not received.message:
                frames = wire.encode(
                    topic, changed, session=head.session, publisher=head.publisher, epoch=head.epoch, seq=head.seq,
                    array=received.array,
                )  # fmt: skip
            writer.write(frames, log_time_ns, head.seq)
        if outcome is not None:
            writer.end(outcome, old.reason, old.last_ns or 0)
    shutil.rmtree(attempt)
    folder.rename(attempt)
