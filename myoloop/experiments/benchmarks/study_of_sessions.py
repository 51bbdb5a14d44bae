"""Studies of many long sessions, to measure what is done with them: made in seconds a session, not in real time.

A short session of the real loop is played once on a virtual subject: rest, three trials, a stop. What was recorded
between the beginning of the second trial and that of the third is then told again and again, with times, numbers and
references moved on, so that a session of any length has every stream at its real rate, nothing missing, and references
that hold. It goes through the recording writer and the compaction as every session does. Nothing of it is a finding:
each trial is the same one.
"""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy.typing as npt

from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.sessions.lockstep import Lockstep
from myoloop.experiments.sessions.setup import make_setup
from myoloop.experiments.sessions.simulated_rig import simulated_rig_data
from myoloop.experiments.subjects.parameters import SubjectParameters
from myoloop.experiments.training.jobs import Item, Jobs, Result
from myoloop.platform import wire
from myoloop.platform.messages import Message, Phase, SampleDescriptor, Start
from myoloop.platform.recording.compact import compact
from myoloop.platform.recording.folder import create_attempt, keep_copy
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.writer import RecordingWriter
from myoloop.platform.rig import Rig

_PROTOCOL_FILE = "protocol.yaml"
#: Two muscles that are stimulated and heard; six channels more on them that are only recorded.
CHANNELS = {"ext": ("ext", "ext2", "ext3", "ext4"), "flex": ("flex", "flex2", "flex3", "flex4")}
_PROTOCOL = """
protocol:
  id: long-session
  version: 1.0.0
  schema: 1
  title: Trains for as long as it takes
  rigs: [SIM]
  evidence: {grade: none}
devices:
  emg: {min_rate: 1000 Hz, channels: [ext, flex]}
  imu: {optional: false}
  stim: {class: mA, min_step: 1 mA}
sites:
  ext: {muscle: wrist extensors, side: left, pad: 5x5 cm, emg: agonist}
  flex: {muscle: wrist flexors, side: left, pad: 5x5 cm, emg: antagonist}
envelope: {waveform_class: nmes, current_max: 40 mA, charge_max: 13 uC, slew: 10 mA/s}
stimulation:
  ext: {site: ext, phase: 250 us, rate: 35 Hz}
thresholds: {sensory: 6 mA, motor: 12 mA, tolerance: 30 mA}
phases:
  - rest: {name: before, duration: 1 s}
  - block:
      name: trains
      trials: TRIALS
      machine: effort
      cue: 0.5 s
      await: {timeout: 0.5 s, on_timeout: assist}
      ramp_up: 0.5 s
      hold: 1.5 s
      ramp_down: 0.5 s
      rest: 1 s
      intensity: {ref: motor, x: 1.2}
controller: {policy: open_loop}
stop_rules: [{session_max: 120 min}]
outcomes: {primary: trials_done, secondary: [fatigue_index, dose_share, spasm_count, trigger_latency]}
"""
#: Monotonic time of a session's beginning; sessions of one person are days apart by the wall clock.
_WALL_START_NS = 1_750_000_000_000_000_000
_DAY_NS = 86_400_000_000_000
#: Trials that the short session was to have, and how its plan says so.
_TRIALS = 1000
_PLANNED = f'"trials":{_TRIALS}'
_Key = tuple[str, str, int]


class Kept(NamedTuple):
    """A message of the short session."""

    log_time_ns: int
    topic: str
    publisher: str
    epoch: int
    seq: int
    message: Message
    array: npt.NDArray[Any] | None


@dataclass(frozen=True, slots=True)
class Template:
    """A short session, cut in three.

    Attributes
    ----------
    head, cycle, tail
        Up to the second trial; that trial; the third, and the end.
    period_ns
        How long a cycle is.
    counts, rows
        In a cycle: messages by (topic, publisher, epoch), samples by topic.
    """

    descriptors: tuple[SampleDescriptor, ...]
    metadata: Mapping[str, str]
    head: tuple[Kept, ...]
    cycle: tuple[Kept, ...]
    tail: tuple[Kept, ...]
    period_ns: int
    counts: Mapping[_Key, int]
    rows: Mapping[str, int]
    outcome: str
    reason: str

    def cycles(self, length_s: float) -> int:
        """How many cycles make a session of about that length; one at least."""
        rest_ns = self.tail[-1].log_time_ns - self.head[0].log_time_ns - self.period_ns
        return max(1, round((length_s * 1e9 - rest_ns) / self.period_ns))

    def told(self, cycles: int) -> Iterator[Kept]:
        """Every message of a session of so many cycles, in order; none of them its chain."""
        yield from self.head
        for number in range(cycles):
            yield from (self._moved(kept, number) for kept in self.cycle)
        yield from (self._moved(kept, cycles - 1) for kept in self.tail)

    def _moved(self, kept: Kept, by: int) -> Kept:
        """A message as it is so many cycles later."""
        if not by:
            return kept
        key = (kept.topic, kept.publisher, kept.epoch)
        return kept._replace(
            log_time_ns=kept.log_time_ns + by * self.period_ns,
            seq=kept.seq + by * self.counts.get(key, 0),
            message=msgspec.structs.replace(kept.message, **self._changes(kept, by)),
        )

    def _changes(self, kept: Kept, by: int) -> dict[str, Any]:
        message = kept.message
        shift_ns = by * self.period_ns
        changes: dict[str, Any] = {}
        for name in message.__struct_fields__:
            value = getattr(message, name)
            if name.endswith("_ns") and name != "uncertainty_ns":
                if isinstance(value, int) and value > 0:
                    changes[name] = value + shift_ns
                elif isinstance(value, tuple):
                    changes[name] = tuple(t_ns + shift_ns for t_ns in value)
            elif name in ("step", "number"):
                steps = self.counts.get((f"step/{kept.publisher}", kept.publisher, kept.epoch), 0)
                changes[name] = value + by * steps
            elif name == "first_sample":
                changes[name] = value + by * self.rows[kept.topic]
            elif name == "trial" and value:
                changes[name] = value + by
            elif name == "inputs":
                changes[name] = tuple((t, p, e, s + by * self.counts.get((t, p, e), 0)) for t, p, e, s in value)
            elif name == "request" and value is not None:
                publisher, epoch, seq = value
                changes[name] = (publisher, epoch, seq + by * self.counts.get(("request", publisher, epoch), 0))
            elif name == "muscles":
                changes[name] = tuple(_moved_muscle(muscle, shift_ns) for muscle in value)
            elif name == "values" and kept.topic == "truth/spasm":
                changes[name] = {
                    key: each + shift_ns if key.endswith("_ns") and isinstance(each, int) else each
                    for key, each in value.items()
                }
        return changes


def _moved_muscle(muscle: Any, shift_ns: int) -> Any:
    moved = {
        name: value + shift_ns
        for name in ("spasm_onset_ns", "contraction_t_ns", "effort_onset_ns")
        if (value := getattr(muscle, name)) is not None
    }
    return msgspec.structs.replace(muscle, **moved) if moved else muscle


@functools.lru_cache(maxsize=2)
def template(seed: int) -> Template:
    """Play the short session of a virtual person, and cut it."""
    with tempfile.TemporaryDirectory(prefix="myoloop-") as name:
        protocol = _protocol(Path(name), _TRIALS)
        data = simulated_rig_data(protocol)
        for muscle, channels in CHANNELS.items():
            data["nodes"]["body"]["settings"]["muscles"][muscle]["emg"] = list(channels)
        setup = make_setup(
            protocol, Rig.model_validate(data), subject="V001", session="short", folder=create_attempt(name, "V001", 1),
            parameters=SubjectParameters(first_spasm_s=20.0), seed=seed,
        )  # fmt: skip
        stopped: list[bool] = []

        def stop_in_the_third(phase: Phase | None) -> None:
            if phase is not None and (phase.trial, phase.trial_state) == (3, "hold") and not stopped:
                stopped.append(True)
                lockstep.stop("operator", "long enough")

        lockstep = Lockstep(setup, on_tick=stop_in_the_third)
        lockstep.run()
        return _cut(Recording.open(setup.folder))


def _cut(recording: Recording) -> Template:
    parts: tuple[list[Kept], list[Kept], list[Kept]] = ([], [], [])
    at = 0
    for received, log_time_ns in recording.messages(set(recording.topics()) - {"chain"}):
        message = received.message
        if isinstance(message, Phase) and message.trial == at + 2 and at < 2:
            at += 1
        parts[at].append(Kept(log_time_ns, *received.reference, message, received.array))
    head, cycle, tail = parts
    counts: dict[_Key, int] = {}
    rows: dict[str, int] = {}
    for kept in cycle:
        key = (kept.topic, kept.publisher, kept.epoch)
        counts[key] = counts.get(key, 0) + 1
        if kept.array is not None:
            rows[kept.topic] = rows.get(kept.topic, 0) + len(kept.array)
    return Template(
        descriptors=tuple(recording.descriptors.values()),
        metadata=recording.metadata,
        head=tuple(head),
        cycle=tuple(cycle),
        tail=tuple(tail),
        period_ns=tail[0].log_time_ns - cycle[0].log_time_ns,
        counts=counts,
        rows=rows,
        outcome=recording.outcome,
        reason=recording.reason,
    )


def write_session(
    study: Path, person: str, session: int, length_s: float, *, seed: int = 0, compacted: bool = True
) -> Path:
    """Write one session of about `length_s` into a study, and return its attempt's folder."""
    short = template(seed)
    cycles = short.cycles(length_s)
    folder = create_attempt(study, person, session)
    name = "/".join(folder.parts[-3:])
    with tempfile.TemporaryDirectory(prefix="myoloop-") as beside:
        content = Path(_protocol(Path(beside), cycles + 2).path).read_bytes()
    copied, sha256 = keep_copy(folder, _PROTOCOL_FILE, content)
    metadata = {
        **short.metadata, "session": name, "subject": person, copied: sha256,
        "wall_start_ns": str(_WALL_START_NS + session * _DAY_NS),
    }  # fmt: skip
    with RecordingWriter(
        folder, session=name, descriptors=short.descriptors, metadata=metadata, live=False, publisher="recorder"
    ) as writer:
        log_time_ns = 0
        for log_time_ns, topic, publisher, epoch, seq, message, array in short.told(cycles):
            if isinstance(message, Start):
                # The plan of the short session, had it been meant to be as long as this one.
                settings = message.settings.replace(_PLANNED, _PLANNED.replace(str(_TRIALS), str(cycles + 2)))
                message = msgspec.structs.replace(message, settings=settings)
            frames = wire.encode(topic, message, session=name, publisher=publisher, epoch=epoch, seq=seq, array=array)
            writer.write(frames, log_time_ns, seq)
        writer.end(short.outcome, short.reason, log_time_ns)
    if compacted:
        compact(folder)
    return folder


def write_study(
    study: Path, sessions: int, length_s: float, *, people: int = 10, compacted: bool = True, jobs: Jobs | None = None
) -> list[Path]:
    """Write a study of `sessions` sessions of about `length_s` each, shared out over `people`.

    Returns
    -------
    list of Path
        The attempts' folders.
    """
    items = [
        {
            "study": str(study), "person": f"P{number % people + 1:03d}", "session": number // people + 1,
            "length_s": length_s, "compacted": compacted,
        }
        for number in range(sessions)
    ]  # fmt: skip
    return [Path(done["folder"]) for done in (jobs or Jobs()).run("sessions", _write, items)]


def _write(item: Item) -> Result:
    folder = write_session(
        Path(item["study"]), item["person"], item["session"], item["length_s"], compacted=item["compacted"]
    )
    return {"folder": str(folder)}


def _protocol(folder: Path, trials: int) -> Protocol:
    file = folder / _PROTOCOL_FILE
    file.write_text(_PROTOCOL.replace("TRIALS", str(trials)), encoding="utf-8")
    return load_protocol(file)
