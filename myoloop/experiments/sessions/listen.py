"""View and record without a stimulator: sources and recorder of a rig, nothing that could stimulate.

Sources that hear the rig's virtual subject get it too; its stimulator is then a device that nobody commands.
"""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from myoloop.acquisition.lsl import load_pylsl
from myoloop.acquisition.lsl_outlet import LslOutlets
from myoloop.experiments.origins import SIMULATED, Origins
from myoloop.experiments.replay import processor
from myoloop.experiments.sessions.survey import needs_body, origins_of, survey
from myoloop.experiments.sessions.virtual_body import virtual_body
from myoloop.experiments.studies.blindness import BLINDED_KEY
from myoloop.experiments.subjects.population import draw
from myoloop.platform.messages import Event, SampleDescriptor, Samples, Vital
from myoloop.platform.recording.folder import create_attempt, keep_copy, next_session, no_attempt_if_refused
from myoloop.platform.recording.versions import version_metadata
from myoloop.platform.rig import Rig
from myoloop.platform.steps import Received
from myoloop.platform.supervisor import Supervisor, SupervisorError


@dataclass(slots=True)
class Heard:
    """What has been heard, by topic.

    Attributes
    ----------
    level
        Per stream and channel, root mean square of the newest block about its mean, in the channel's unit.
    ended
        Sources that have no more samples, and why.
    outlets
        Where all of it is sent on to; None for nowhere.
    """

    descriptors: dict[str, SampleDescriptor] = field(default_factory=dict)
    samples: dict[str, int] = field(default_factory=dict)
    level: dict[str, list[float]] = field(default_factory=dict)
    vital: dict[str, Vital] = field(default_factory=dict)
    bytes_written: float = 0.0
    missing: float = 0.0
    ended: dict[str, str] = field(default_factory=dict)
    outlets: LslOutlets | None = None


@dataclass(frozen=True, slots=True)
class Listened:
    """What a recording without stimulation came to.

    Attributes
    ----------
    sent
        Samples sent on by LSL, by topic; empty where none were.
    """

    folder: Path
    outcome: str
    reason: str
    samples: dict[str, int]
    sent: dict[str, int] = field(default_factory=dict)


def listen(
    rig: Rig,
    rig_path: Path,
    *,
    subject: str,
    study: Path,
    seconds: float | None,
    on_turn: Callable[[Heard], str],
    seed: int = 1,
    lsl: bool = False,
) -> Listened:
    """Record a rig's sources until told to end, or until none of them has any more.

    Parameters
    ----------
    seconds
        How long; None until `on_turn` gives a reason or Ctrl-C.
    seed
        Draws the virtual subject of a rig that has one.
    lsl
        Send all streams on by the Lab Streaming Layer too.

    Raises
    ------
    SourceError
        If they are to be sent on, and pylsl is not installed.
    FileError
        With every mistake in the rig that can be seen before anything is started.
    SupervisorError
        If the rig does not come up.
    """
    if lsl:
        load_pylsl()
    origins = origins_of(rig, survey(rig, stimulator=False), stimulates=False)
    folder = create_attempt(study, subject, next_session(study, subject))
    with no_attempt_if_refused(folder):
        return _listened(rig, rig_path, origins, folder, subject, seconds, on_turn, seed, lsl)


def _listened(
    rig: Rig,
    rig_path: Path,
    origins: Origins,
    folder: Path,
    subject: str,
    seconds: float | None,
    on_turn: Callable[[Heard], str],
    seed: int,
    lsl: bool,
) -> Listened:
    session = "/".join(folder.parts[-3:])
    log_folder = folder / "nodes"
    log_folder.mkdir()
    copies = dict([keep_copy(folder, "rig.yaml", rig_path.read_bytes())])
    roles = dict.fromkeys(rig.sources(), "acquisition") | {rig.node_of("recorder") or "recorder": "recorder"}
    if needs_body(rig):
        roles[rig.node_of("subject") or ""] = "subject"
    kinds = ("emg/{}", "imu/{}", "force/{}", "vital/{}", "vital/{}-imu", "vital/{}-force")
    topics = ["event", *(kind.format(name) for name in rig.sources() for kind in kinds)]
    supervisor = Supervisor(session, dict(roles), rig_name=rig.rig.id, log_folder=log_folder, listen=topics)
    heard = Heard()
    outcome, reason = "aborted", "the rig did not come up"
    with _interruptible() as interrupted:
        try:
            supervisor.start()
            _bring_up(supervisor, rig, origins, folder, subject, copies, heard, seed)
            if lsl:
                told = list(heard.descriptors.values())
                heard.outlets = LslOutlets(told, rig=rig.rig.id, session=session, simulated=origins.simulated)
            outcome, reason = _listen(supervisor, rig, seconds, on_turn, heard, interrupted)
        finally:
            try:
                clean = supervisor.end(outcome, reason)
            finally:
                supervisor.close()
                if heard.outlets is not None:
                    heard.outlets.close()
    if not clean:
        raise SupervisorError(f"the recorder did not end its file; see {folder}")
    sent = {} if heard.outlets is None else heard.outlets.samples
    return Listened(folder, outcome, reason, heard.samples, sent)


def _bring_up(
    supervisor: Supervisor,
    rig: Rig,
    origins: Origins,
    folder: Path,
    subject: str,
    copies: dict[str, str],
    heard: Heard,
    seed: int,
) -> None:
    body = rig.node_of("subject") if needs_body(rig) else None
    addresses = {what: f"unix:{supervisor.runtime.socket_path(f'{body}.{what}')}" for what in ("source", "device")}
    if body is not None:
        living = virtual_body(rig, draw(seed), seed)
        settings: dict[str, Any] = {
            "body": msgspec.to_builtins(living),
            "source_address": addresses["source"],
            "device_address": addresses["device"],
        }
        supervisor.configure(body, settings)
    for name in rig.sources():
        node = rig.nodes[name]
        attached = {"address": addresses["source"]} if body is not None and node.source == SIMULATED else {}
        settings = {
            "source": node.source,
            "source_settings": {**node.settings, **attached},
            "stimulated_person": False,
        }
        for each in supervisor.configure(name, settings)["descriptors"]:
            descriptor = msgspec.convert(each, SampleDescriptor)
            heard.descriptors[descriptor.topic] = descriptor
    metadata = {
        **origins.metadata(),
        "subject": subject,
        BLINDED_KEY: "false",
        "protocol": "listen",
        "rig": rig.rig.id,
        "rig_class": rig.rig.rig_class,
        "wall_start_ns": str(time.time_ns()),
        "processor": processor(),
        **version_metadata(),
        **copies,
    }
    recorder = supervisor.recorder or "recorder"
    settings = {
        "folder": str(folder),
        "descriptors": [msgspec.to_builtins(each) for each in heard.descriptors.values()],
        "metadata": metadata,
        "required_topics": list(heard.descriptors),
    }
    supervisor.configure(recorder, settings)
    supervisor.begin([recorder, *([body] if body is not None else []), *rig.sources()])


def _listen(
    supervisor: Supervisor,
    rig: Rig,
    seconds: float | None,
    on_turn: Callable[[Heard], str],
    heard: Heard,
    interrupted: list[str],
) -> tuple[str, str]:
    until = None if seconds is None else time.monotonic() + seconds
    while True:
        for received in supervisor.turn(0.02):
            _hear(received, heard)
        beat = supervisor.beats.get(supervisor.recorder or "")
        if beat is not None:
            heard.bytes_written = beat.counters.get("bytes_written", 0.0)
            heard.missing = beat.counters.get("missing", 0.0)
        lost = supervisor.lost()
        if lost:
            return "fault", lost[0]
        if until is not None and time.monotonic() >= until:
            return "complete", ""
        if heard.ended.keys() >= set(rig.sources()):
            return "complete", "; ".join(heard.ended.values())
        why = interrupted[0] if interrupted else on_turn(heard)
        if why:
            return "complete" if seconds is None else "stopped", why


def _hear(received: Received, heard: Heard) -> None:
    message = received.message
    if heard.outlets is not None:
        heard.outlets.push(received)
    if isinstance(message, Vital):
        heard.vital[message.topic] = message
    elif isinstance(message, Event) and message.kind == "ended":
        heard.ended[message.who] = message.why
    elif isinstance(message, Samples) and received.array is not None and len(received.array):
        descriptor = heard.descriptors[received.topic]
        heard.samples[received.topic] = heard.samples.get(received.topic, 0) + len(received.array)
        spread = received.array.std(axis=0, dtype="f8")
        heard.level[received.topic] = [float(s * k) for s, k in zip(spread, descriptor.scale, strict=True)]


@contextlib.contextmanager
def _interruptible() -> Iterator[list[str]]:
    interrupted: list[str] = []
    before = {
        number: signal.signal(number, lambda *_: interrupted.append("ended by the operator"))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield interrupted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
