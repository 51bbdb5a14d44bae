"""Our own loop, whole: real nodes in separate processes, CURVE, gate, codec, recorder; only its ends are stamped.

The rig has the acquisition, controller, stimulator, director and recorder nodes that every session has, brought up by
the same supervisor and armed through the same acts. A block's latency runs from the source handing it over to the
driver's write of the command that answers it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from myoloop.controllers.choice import Choice
from myoloop.controllers.reflex import ReflexSettings, SpasmReflex
from myoloop.controllers.settings import (
    DEFAULT_ESTIMATORS,
    ControllerSettings,
    EmgSource,
    MuscleInput,
    StimOutput,
)
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.experiments.benchmarks.lineage import read_lineage
from myoloop.experiments.benchmarks.parts import CURRENT_MAX_MA, CURRENT_STEP_MA
from myoloop.experiments.benchmarks.rivals import NotMeasured
from myoloop.experiments.benchmarks.statistics import Round, judge_round
from myoloop.experiments.benchmarks.yardstick.work import Shape
from myoloop.experiments.protocols.plan import BlockPlan, IntensityPlan, PhasePlan, Plan, PulsePlan, StopRules
from myoloop.experiments.sessions.director import DirectorSettings
from myoloop.experiments.sessions.operator import OperatorSettings, ScriptedOperator
from myoloop.experiments.sessions.thresholds import Thresholds
from myoloop.experiments.sessions.trial_machine import TrialTiming
from myoloop.platform.messages import Answer, Phase, SampleDescriptor, StimReport
from myoloop.platform.supervisor import Supervisor, SupervisorError
from myoloop.stimulators.gate.envelope import ChannelLimits, Envelope

SESSION = "yardstick"
SUBJECT = "yardstick"
CHANNEL = "stim"
#: Single twitches: on-time and duty are not limited, so a round may be of any length.
RATE_HZ = 10.0
PHASE_US = 200.0
NODES = {
    "amplifier": "acquisition",
    "controller": "controller",
    "stimulator": "stimulator",
    "director": "director",
    "recorder": "recorder",
}
ARM_S = 20.0
#: The current has risen when so many reports that were looked at in a row speak of no limit.
RISEN_REPORTS = 20
#: After the round, so that what is under way still arrives before the end.
TAIL_S = 0.1
ENTRY_POINTS = f"""\
[myoloop.sources]
yardstick = {__package__}.parts:StampedSource
[myoloop.policies]
yardstick = {__package__}.parts:EveryBlock
[myoloop.drivers]
yardstick = {__package__}.parts:StampedDriver
"""


@dataclass(slots=True)
class Loop:
    """Our loop; each round is a session of its own.

    Attributes
    ----------
    shape
        What is emitted.
    estimators
        With all of the estimators that a session has by default, and with the whole conditioning; without, the
        controller does the yardstick's work: band-pass, RMS, one request per block.
    keep
        Folder that the recordings are left in; None removes them.
    """

    shape: Shape
    estimators: bool = False
    keep: Path | None = None
    _folder: Path | None = None
    _supervisor: Supervisor | None = None
    _phase: Phase | None = None
    _report: StimReport | None = None
    _rounds: int = field(default=0)

    def start(self) -> None:
        """Nothing: each round is a session of its own."""

    def run(self, warm_s: float, seconds: float) -> Round:
        """Bring the rig up, arm it, let it run, end it, and read its recording."""
        self._phase = self._report = None
        folder = self._folder = Path(tempfile.mkdtemp(prefix="myb-"))
        attempt = folder / "att-1"
        attempt.mkdir()
        try:
            with announced(folder):
                self._bring_up(folder, attempt)
            self._arm()
            self._turn(warm_s)
            used_s, began_ns = self._cpu_s(), time.monotonic_ns()
            self._turn(seconds)
            used_s, ended_ns = self._cpu_s() - used_s, time.monotonic_ns()
            self._turn(TAIL_S)
            self._end()
            judged = self._judge(attempt, folder / "writes.npy", began_ns, ended_ns, used_s)
        except (SupervisorError, OSError) as error:
            raise NotMeasured(f"myoloop: {error}") from None
        finally:
            self.close()
        return judged

    def close(self) -> None:
        """End every process and remove the recording."""
        supervisor, self._supervisor = self._supervisor, None
        if supervisor is not None:
            supervisor.close()
        folder, self._folder = self._folder, None
        if folder is not None:
            if self.keep is not None and (folder / "att-1").exists():
                self._rounds += 1
                shutil.move(folder / "att-1", self.keep / f"round-{self._rounds}")
            shutil.rmtree(folder, ignore_errors=True)

    # -- inside ------------------------------------------------------------------------------------------------

    def _bring_up(self, folder: Path, attempt: Path) -> None:
        logs = folder / "logs"
        logs.mkdir()
        supervisor = self._supervisor = Supervisor(
            SESSION, NODES, rig_name="yardstick", log_folder=logs, listen=("phase", "report")
        )
        supervisor.start()
        shape = {"channels": self.shape.channels, "block": self.shape.block, "rate_hz": self.shape.rate_hz}
        source = {"source": "yardstick", "source_settings": shape, "stimulated_person": False}
        answered = supervisor.configure("amplifier", source)
        descriptors = [msgspec.convert(each, SampleDescriptor) for each in answered["descriptors"]]
        recorder = {
            "folder": str(attempt),
            "descriptors": answered["descriptors"],
            "metadata": {"simulated": "true"},
            "required_topics": ["report", "estimate", *(each.topic for each in descriptors)],
        }
        supervisor.configure("recorder", recorder)
        supervisor.configure("stimulator", self._stimulator(folder))
        controller = {"controller": msgspec.to_builtins(controller_settings(descriptors[0], self.estimators))}
        supervisor.configure("controller", controller)
        supervisor.configure("director", {"director": msgspec.to_builtins(director_settings())})
        supervisor.begin(["recorder", "stimulator", "controller", "amplifier", "director"])

    def _stimulator(self, folder: Path) -> dict[str, Any]:
        vital = {
            "topic": "vital/amplifier",
            "rate_hz": self.shape.rate_hz,
            "channels": list(range(self.shape.channels)),
        }
        return {
            "driver": "yardstick",
            "driver_settings": {"notes": str(folder / "writes.npy")},
            "outputs": {CHANNEL: 0},
            "ledger": str(folder / "dose.jsonl"),
            "subject": SUBJECT,
            "session": SESSION,
            "dose_session": SESSION,
            "rig_class": "SIM",
            "watched": ["amplifier", "controller", "director", "recorder", "supervisor"],
            "vitals": [vital],
        }

    def _arm(self) -> None:
        """Let the script do what an operator does, until current flows and no rule of the gate limits it any more."""
        supervisor = self._running()
        operator = ScriptedOperator("SIM", OperatorSettings(reaction_s=0.05))
        deadline = time.monotonic() + ARM_S
        risen = 0
        while risen < RISEN_REPORTS:
            if time.monotonic() > deadline:
                state = self._report.state if self._report is not None else "silent"
                raise NotMeasured(f"myoloop: not armed within {ARM_S:g} s, the stimulator is {state}")
            self._hear(0.02)
            free = self._report is not None and self._report.state == "STIMULATING" and not self._report.rule
            risen = risen + 1 if free else 0
            for received in supervisor.take_answers():
                if isinstance(received.message, Answer):
                    operator.answered(received.message)
            for command in operator.step(self._phase, self._report, supervisor.clock.now_ns()):
                supervisor.operator.ask(command)

    def _turn(self, seconds: float) -> None:
        """Be the supervisor for so long."""
        deadline = time.monotonic() + seconds
        while (left_s := deadline - time.monotonic()) > 0:
            self._hear(min(left_s, 0.02))

    def _hear(self, wait_s: float) -> None:
        supervisor = self._running()
        for received in supervisor.turn(wait_s):
            if isinstance(received.message, Phase):
                self._phase = received.message
            elif isinstance(received.message, StimReport):
                self._report = received.message
        lost = supervisor.lost()
        latched = self._report.latched if self._report is not None else ""
        if lost or latched:
            raise NotMeasured(f"myoloop: {lost[0] if lost else latched}")

    def _end(self) -> None:
        supervisor, self._supervisor = self._running(), None
        try:
            clean = supervisor.end("complete", "measured")
        finally:
            supervisor.close()
        if not clean:
            raise NotMeasured("myoloop: the recorder did not end its file")

    def _judge(self, attempt: Path, notes: Path, began_ns: int, ended_ns: int, cpu_s: float) -> Round:
        writes = {int(step_ns): int(t_ns) for step_ns, t_ns in np.load(notes)}
        lineage = read_lineage(attempt, "emg/amplifier", writes)
        measured = (lineage.emitted_ns >= began_ns) & (lineage.emitted_ns < ended_ns)
        try:
            return judge_round(
                lineage.emitted_ns[measured],
                lineage.arrived_ns[measured],
                period_ns=self.shape.period_ns,
                cpu_s=cpu_s,
                out_of_order=lineage.out_of_order,
                superseded=int((~lineage.own & (lineage.arrived_ns > 0))[measured].sum()),
            )
        except ValueError as error:
            raise NotMeasured(f"myoloop: {error}") from None

    def _cpu_s(self) -> float:
        """CPU time of all nodes and of this process, which supervises them."""
        return time.process_time() + sum(process_cpu_s(pid) for pid in self._running().pids().values())

    def _running(self) -> Supervisor:
        if self._supervisor is None:
            raise NotMeasured("myoloop: not running")
        return self._supervisor


def controller_settings(descriptor: SampleDescriptor, estimators: bool) -> ControllerSettings:
    """The controller: with all its estimators, or with the yardstick's work alone."""
    muscles = tuple(
        MuscleInput(muscle=name, topic=descriptor.topic, column=column)
        for column, name in enumerate(descriptor.channels)
    )
    settings = ControllerSettings(
        # Of somebody else, as a playback is: no sample waits for the pulses among them, so each block has its command.
        emg=(EmgSource(descriptor=descriptor, stimulated=False),),
        muscles=muscles,
        stim=(StimOutput(channel=CHANNEL, phase_us=PHASE_US, rate_hz=RATE_HZ, muscle=muscles[0].muscle),),
        policy=Choice(name="yardstick"),
        estimators=DEFAULT_ESTIMATORS if estimators else (),
        # Without an estimator that tells spasms there is nothing for that reflex to act on.
        reflex=ReflexSettings(spasm=SpasmReflex(enabled=estimators)),
    )
    if estimators:
        return settings
    return msgspec.structs.replace(settings, conditioning=ConditioningSettings(notch="off"))


def director_settings() -> DirectorSettings:
    """One block that goes on for as long as it is let, of small single twitches."""
    envelope = Envelope(
        session=SESSION,
        subject=SUBJECT,
        waveform_class="nmes",
        channels=(ChannelLimits(CHANNEL, 0, 25.0, CURRENT_MAX_MA),),
        phase_us=(100.0, 400.0),
        rate_hz=(2.0, 80.0),
        charge_per_phase_uc=12.0,
        rms_ma=10.0,
        rms_density_ma_cm2=1.0,
        power_density_w_cm2=0.1,
        channels_max=1,
        on_s_max=6.0,
        duty_max=1.0 / 3.0,
        session_on_s_max=1200.0,
        session_charge_mc_max=1000.0,
        day_charge_mc_max=1000.0,
        course_charge_mc_max=1000.0,
        step_ma=1.0,
        new_ground_ma_per_s=5.0,
        known_ground_ramp_s_min=0.1,
        current_ma_calibrating=CURRENT_MAX_MA,
        required_vitals=("vital/amplifier",),
        sensor_age_ms=100.0,
        ramp_down_s=0.5,
    )
    block = BlockPlan(
        timing=TrialTiming("continuous", cue_s=0.1, ramp_up_s=0.1, hold_s=3600.0, ramp_down_s=0.5, rest_s=1.0),
        trials=1,
        repeat=1,
        between_s=0.0,
        intensity=IntensityPlan(fixed_ma=CURRENT_MAX_MA),
        pulses=(PulsePlan(CHANNEL, PHASE_US, RATE_HZ),),
    )
    plan = Plan(
        protocol="yardstick",
        version="1",
        envelope=envelope,
        device_step_ma=CURRENT_STEP_MA,
        phases=(PhasePlan("yardstick", "block", "", block=block),),
        stop=StopRules(),
        thresholds=Thresholds(None, None, None, CURRENT_MAX_MA),
    )
    peers = ("amplifier", "controller", "stimulator", "recorder", "supervisor")
    return DirectorSettings(session=SESSION, plan=plan, peers=tuple(f"heartbeat/{name}" for name in peers))


@contextlib.contextmanager
def announced(folder: Path) -> Iterator[None]:
    """Let the processes started within find the yardstick's source, policy and driver, as they find a lab's own."""
    info = folder / "entry" / "myoloop_yardstick-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: myoloop-yardstick\nVersion: 1\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(ENTRY_POINTS, encoding="utf-8")
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(info.parent), *([before] if before else [])])
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONPATH"]
        else:
            os.environ["PYTHONPATH"] = before


def process_cpu_s(pid: int) -> float:
    """CPU time of a process so far; 0 where the system does not tell."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
