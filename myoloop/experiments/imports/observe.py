"""What a controller would have asked for while an imported recording was made.

No trials were held in it, nothing was decided and no threshold is known. So a protocol says when trials would have
been: its first rest with a baseline, then its first block's trials one after the other until the recording ends. The
target on every channel is 1, so what is asked for is a share of the protocol's target; the gate is not asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from myoloop.controllers.choice import Choice
from myoloop.controllers.settings import (
    ControllerSettings,
    EmgSource,
    ForceSource,
    MuscleInput,
)
from myoloop.experiments.imports.write import IMPORTED, ORIGIN
from myoloop.experiments.origins import origins_in
from myoloop.experiments.protocols.plan import timing_of
from myoloop.experiments.protocols.schema import Protocol, load_protocol
from myoloop.experiments.replay import ReplayError
from myoloop.experiments.sessions import trial_machine
from myoloop.experiments.sessions.setup import imu_source, stim_outputs
from myoloop.platform.messages import (
    ChannelSetting,
    Dose,
    Estimate,
    Message,
    Phase,
    Start,
    StimReport,
    StimRequest,
    Target,
)
from myoloop.platform.recording.folder import find_recording
from myoloop.platform.recording.layout import SESSION
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.scan import Scan
from myoloop.platform.steps import Received, StepInput, Stepped

STEP_NS = 10_000_000
_PHASE_NS = 100_000_000
_ARM_ID = "observed"
_OBSERVER = "observer"
NOTE = (
    "Nobody was stimulated by this controller, and the gate was not asked: shares of the target that it would have "
    "asked for, in trials that follow one another as the protocol's first block times them."
)


@dataclass(slots=True)
class _Course:
    """The protocol's first baseline and its first block, over and over."""

    timing: trial_machine.TrialTiming
    rest_s: float
    targets: tuple[Target, ...]
    begin_ns: int
    state: trial_machine.TrialState = field(default_factory=trial_machine.TrialState)
    trials: int = 0
    triggers_s: list[float] = field(default_factory=list)

    def step(self, now_ns: int, effort: bool) -> Phase:
        """The phase at a time; `effort`: whether the controller saw one in its last step."""
        passed_s = (now_ns - self.begin_ns) * 1e-9
        if passed_s < self.rest_s:
            return Phase(t_ns=now_ns, session=_ARM_ID, state="running", kind="rest", name="baseline", baseline=True)
        if self.state.name == "idle":
            self.state, _ = trial_machine.begin(self.state, now_ns)
            self.trials += 1
        else:
            self.state, moved = trial_machine.advance(self.timing, self.state, now_ns, effort)
            if moved is not None and moved.cause == "effort":
                self.triggers_s.append(round(passed_s, 3))
        return Phase(
            t_ns=now_ns,
            session=_ARM_ID,
            state="running",
            index=1,
            name="block",
            kind="block",
            machine=self.timing.machine,
            block=1,
            trial=self.trials,
            trials=self.trials,
            trial_state=self.state.name,
            t_state_ns=self.state.since_ns,
            state_s=self.timing.length_s(self.state.name),
            session_s=passed_s,
            arm_id=_ARM_ID,
            targets=self.targets,
        )


@dataclass(slots=True)
class _Tally:
    """What was asked for on a channel."""

    steps: int = 0
    total: float = 0.0
    most: float = 0.0
    on: int = 0

    def add(self, share: float) -> None:
        self.steps += 1
        self.total += share
        self.most = max(self.most, share)
        self.on += share > 0

    def as_data(self) -> dict[str, float]:
        return {
            "mean_share": self.total / max(self.steps, 1),
            "most_share": self.most,
            "on_s": self.on * STEP_NS * 1e-9,
        }


def is_imported(session: Path | str) -> bool:
    """Whether a recording came from another program; only its beginning is read.

    Raises
    ------
    RecordingError
        If there is none, or its beginning is damaged.
    """
    path = find_recording(session)
    with path.open("rb") as stream:
        scan = Scan(stream, path.stat().st_size, check_crcs=False)
        for _ in scan.records():
            if SESSION in scan.metadata:
                break
    return scan.metadata.get(SESSION, {}).get(ORIGIN) == IMPORTED


def observe(
    session: Path | str, protocol_path: Path | str, build: Callable[[Start], Stepped]
) -> tuple[dict[str, Any], str]:
    """Let a protocol's controller look at an imported recording; in numbers and in words.

    Parameters
    ----------
    protocol_path
        Whose muscles, channels and timing are meant.
    build
        Makes the controller, given the settings that the recording leads to.

    Raises
    ------
    FileError
        If the protocol cannot be used.
    ReplayError
        If the recording has none of its muscles, or the protocol no block.
    """
    recording = Recording.open(session)
    protocol = load_protocol(protocol_path)
    settings = _settings(recording, protocol)
    controller = build(Start(object="controller", kind="controller", settings=settings.to_json(), state="{}"))
    course = _course(recording, protocol)
    tallies = {output.channel: _Tally() for output in settings.stim}
    valid: dict[str, dict[str, int]] = {item.muscle: {} for item in settings.muscles}
    steps = 0
    for estimate, request in _steps(recording, controller, course):
        steps += 1
        for asked in request.channels:
            tallies[asked.channel].add(asked.current_ma)
        for muscle in estimate.muscles:
            for name in ("fatigue", "spasm", "effort"):
                known = getattr(muscle, name)
                valid[muscle.muscle][name] = valid[muscle.muscle].get(name, 0) + known.valid
    data = {
        "steps": steps,
        "trials": course.trials,
        "triggers_s": course.triggers_s,
        "channels": {channel: tally.as_data() for channel, tally in tallies.items()},
        "valid_share": {
            muscle: {name: count / max(steps, 1) for name, count in counts.items()} for muscle, counts in valid.items()
        },
        "note": NOTE,
    }
    return data, _in_words(data)


def _steps(recording: Recording, controller: Stepped, course: _Course) -> Iterator[tuple[Estimate, StimRequest]]:
    """Step after step over the whole recording, each with what had come by then."""
    begin_ns, end_ns = recording.first_ns or 0, recording.last_ns or 0
    waiting = recording.messages(set(controller.subscriptions) & set(recording.topics()))
    coming = next(waiting, None)
    report, effort, phase_ns, state = _report(0, 0, ()), False, begin_ns - _PHASE_NS, ""
    for number, now_ns in enumerate(range(begin_ns + STEP_NS, end_ns + STEP_NS, STEP_NS), 1):
        inputs: list[Received] = []
        while coming is not None and coming.log_time_ns <= now_ns:
            inputs.append(coming.received)
            coming = next(waiting, None)
        phase = course.step(now_ns, effort)
        if phase.trial_state != state or now_ns - phase_ns >= _PHASE_NS:
            phase_ns, state = now_ns, phase.trial_state
            inputs.append(Received("phase", _OBSERVER, 1, number, phase))
        inputs.append(Received("report", _OBSERVER, 1, number, report))
        said: list[Message] = [each.message for each in controller.step(StepInput(number, now_ns, inputs))]
        estimate = next(each for each in said if isinstance(each, Estimate))
        request = next(each for each in said if isinstance(each, StimRequest))
        report, effort = _report(number, now_ns, request.channels), estimate.trigger
        yield estimate, request


def _report(number: int, now_ns: int, asked: tuple[ChannelSetting, ...]) -> StimReport:
    """As of a gate that takes everything; no current flows, which it says too."""
    return StimReport(
        step=number,
        t_ns=now_ns,
        state="ARMED",
        request=("controller", 1, number) if number else None,
        requested=asked,
        allowed=(),
        acknowledged=(),
        rule="",
        reasons=(),
        dose=Dose(),
    )


def _settings(recording: Recording, protocol: Protocol) -> ControllerSettings:
    heard = {
        name: (topic, column)
        for topic, descriptor in recording.descriptors.items()
        if topic.startswith("emg/")
        for column, name in enumerate(descriptor.channels)
        if descriptor.units[column] == "V"
    }
    missing = [muscle for muscle in protocol.devices.emg.channels if muscle not in heard]
    if missing:
        where = protocol.place(("devices", "emg", "channels"))
        raise ReplayError(f"{where}: found {', '.join(missing)}, the recording has {', '.join(heard) or 'no EMG'}")
    if not protocol.stimulation or not protocol.devices.emg.channels:
        raise ReplayError(f"{protocol.path}: names no EMG or no stimulation channel; a controller needs both")
    muscles = tuple(
        MuscleInput(muscle=muscle, topic=heard[muscle][0], column=heard[muscle][1])
        for muscle in protocol.devices.emg.channels
    )
    origins = origins_in(recording.metadata)
    stimulated = origins is not None and origins.stimulation != "none"
    tried = [item for item in protocol.devices.emg.channels if protocol.sites[item].emg == "agonist"]
    block = _first_block(protocol)
    by_kind = {topic.partition("/")[0]: each for topic, each in reversed(list(recording.descriptors.items()))}
    topics = dict.fromkeys(item.topic for item in muscles)
    return ControllerSettings(
        emg=tuple(EmgSource(descriptor=recording.descriptors[topic], stimulated=stimulated) for topic in topics),
        muscles=muscles,
        stim=stim_outputs(protocol),
        policy=Choice(name="open_loop"),
        effort_muscles=tuple(tried) if block.machine == "effort" else (),
        imu=imu_source(by_kind.get("imu")),
        force=ForceSource(descriptor=by_kind["force"]) if "force" in by_kind else None,
    )


def _course(recording: Recording, protocol: Protocol) -> _Course:
    block = _first_block(protocol)
    rest = next((item.rest for item in protocol.phases if item.rest is not None and item.rest.baseline), None)
    targets = tuple(
        Target(
            channel=channel,
            current_ma=1.0,
            phase_us=block.phase_us or protocol.stimulation[channel].phase_us,
            rate_hz=block.rate_hz or protocol.stimulation[channel].rate_hz,
            ramp_up_s=block.ramp_up_s,
            ramp_down_s=block.ramp_down_s,
        )
        for channel in block.channels or tuple(protocol.stimulation)
    )
    timing = timing_of(protocol, block)
    return _Course(timing, 0.0 if rest is None else rest.duration_s, targets, recording.first_ns or 0)


def _first_block(protocol: Protocol) -> Any:
    block = next((item.block for item in protocol.phases if item.block is not None), None)
    if block is None:
        raise ReplayError(f"{protocol.path}: has no block, so nothing says when trials would have been")
    return block


def _in_words(data: dict[str, Any]) -> str:
    lines = [f"{data['steps']} steps, {data['trials']} trials, {len(data['triggers_s'])} of them triggered by effort"]
    lines += [f"  triggered at {', '.join(f'{t_s:.2f}' for t_s in data['triggers_s'])} s"] if data["triggers_s"] else []
    lines += [
        f"  {channel:12} asks for {row['mean_share']:.3f} of the target in the mean, at most {row['most_share']:.2f}, "
        f"for {row['on_s']:.1f} s"
        for channel, row in data["channels"].items()
    ]
    lines += [
        f"  {muscle:12} valid: " + ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
        for muscle, shares in data["valid_share"].items()
    ]
    return "\n".join([*lines, data["note"]])
