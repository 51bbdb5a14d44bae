"""The composition: step(samples) -> (estimates, request).

Every step emits one estimate and one request, also where nothing came and also where the request is for zero. The
order is fixed: what has arrived, what can be known, what the policy asks for, what the reflexes leave of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from myoloop.controllers.estimators.estimator import ImuInput, Setup, Situation
from myoloop.controllers.motion import Motion
from myoloop.controllers.muscles import MuscleGroup
from myoloop.controllers.parts import Faults
from myoloop.controllers.policies.guarded import GuardedPolicy, PolicyListener
from myoloop.controllers.policies.policy import (
    PHASE_STALE_NS,
    Decision,
    Policy,
    PolicyInput,
    make_policy,
    trapezoid,
    why_zero,
)
from myoloop.controllers.reflex import Reflex, Wish
from myoloop.controllers.settings import ControllerSettings, EmgSource, ImuSource
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.snapshot import StateError
from myoloop.platform.messages import (
    ChannelSetting,
    Estimate,
    Event,
    MotionEstimate,
    MuscleEstimate,
    Overrun,
    Phase,
    Pulses,
    SampleDescriptor,
    Samples,
    StimReport,
    StimRequest,
)
from myoloop.platform.steps import Outgoing, Received, StepInput

__all__ = ["Controller", "ControllerSettings"]

STATE_VERSION = 4
#: A force older than this, or than so many of its periods where that is longer, says nothing of the present.
FORCE_STALE_NS = 100_000_000
_FORCE_STALE_PERIODS = 3.0
#: States of the gate in which a request may have been accepted.
_LIVE = frozenset({"CALIBRATING", "ARMED", "STIMULATING"})
#: A share of the asked current below this is less; the device's steps round a little.
_LET_THROUGH = 0.98
_PROMPTED = frozenset({"await_effort", "ramp_up", "hold", "ramp_down"})
#: Machines of blocks in which the person tries; of a phase that names none it is taken for granted.
_TRIED = frozenset({"", "effort"})


class Controller:
    """From samples to a request.

    Parameters
    ----------
    settings
        Everything it is made from.
    state
        A saved :meth:`state` to go on from.

    Raises
    ------
    ValueError
        If the settings do not fit together, a named part does not exist (:class:`PluginError`), or the state is
        not of such a controller (:class:`StateError`).
    """

    def __init__(self, settings: ControllerSettings, state: Mapping[str, Any] | None = None) -> None:
        self._settings = settings
        self._imu = None if settings.imu is None else _Stream(settings.imu.descriptor)
        self._force = None if settings.force is None else _Stream(settings.force.descriptor)
        self._motion = None if settings.imu is None else Motion(settings.motion, _imu_input(settings.imu))
        self._faults = Faults()
        self._groups = {source.descriptor.topic: _group(settings, source, self._faults) for source in settings.emg}
        self._widths = {source.descriptor.topic: len(source.descriptor.channels) for source in settings.emg}
        self._order = {item.muscle: place for place, item in enumerate(settings.muscles)}
        self._outputs = {output.channel: output for output in settings.stim}
        channels = tuple(self._outputs)
        policy = make_policy(settings.policy, channels)
        self._policy = GuardedPolicy(policy, settings.policy.name, channels, self._faults)
        self._reflex = Reflex(settings.reflex, {output.channel: output.muscle for output in settings.stim})
        spasm = settings.reflex.spasm
        self._guarding = [
            group
            for group in self._groups.values()
            if spasm.enabled and (not spasm.muscles or {*spasm.muscles} & {*group.muscles})
        ]
        artifact = settings.conditioning.artifact
        self._quiet_after_ns = round(artifact.quiet_after_ms * 1e6)
        self._silent_ns = round(settings.reflex.signal.silent_ms * 1e6)
        self._waiting_ns = round(artifact.wait_ms * 1e6)
        if settings.force is not None:
            periods_ns = _FORCE_STALE_PERIODS * 1e9 / settings.force.descriptor.rate_hz
            self._force_stale_ns = max(FORCE_STALE_NS, round(periods_ns))
        self._force_n: float | None = None
        self._force_ns = 0
        self._phase: Phase | None = None
        self._report: StimReport | None = None
        self._arm_id = ""
        self._accepted = False
        self._stimulating_until_ns = 0
        self._policy_fresh = True
        self._prompted_ns: int | None = None
        self._moved: MotionEstimate | None = None
        #: Of this step: activity and threshold of the muscles whose effort is waited for, µV.
        self._awaited: dict[str, tuple[float, float]] = {}
        #: Of the step before, where that took too long.
        self._overrun_ms = 0.0
        topics = [*self._groups, "phase", "report", "pulse"]
        topics += [stream.descriptor.topic for stream in (self._imu, self._force) if stream is not None]
        self._subscriptions = tuple(topics)
        if state is not None:
            self.restore(state)

    @property
    def name(self) -> str:
        """``controller``."""
        return "controller"

    @property
    def subscriptions(self) -> tuple[str, ...]:
        """EMG, IMU and force cell of the settings, ``phase``, ``report``, ``pulse``."""
        return self._subscriptions

    @property
    def settings(self) -> ControllerSettings:
        """What it was made from."""
        return self._settings

    @property
    def policy(self) -> Policy:
        """The policy that it asks."""
        return self._policy.inner

    def overhear(self, listener: PolicyListener) -> None:
        """Let a listener hear, at each step in which the policy is asked, what it is given and what it decides."""
        self._policy.overhear(listener)

    def step(self, given: StepInput) -> list[Outgoing]:
        """Take one step: one ``estimate`` and one ``request``, in this order; then what a part did wrong, if news."""
        now_ns = given.now_ns
        imu: list[tuple[int, npt.NDArray[np.float64]]] = []
        force: list[tuple[int, npt.NDArray[np.float64]]] = []
        blocks = self._sort(given, imu, force)
        situation = self._situation(now_ns, imu, force)
        for received in blocks:
            self._take(received, situation)
        stimulating = now_ns < self._stimulating_until_ns
        wait_ns = self._waiting_ns if stimulating else 0
        muscles: list[MuscleEstimate] = []
        for group in self._groups.values():
            group.advance(now_ns, stimulating, situation)
            muscles += group.estimates(now_ns, self._silent_ns + wait_ns)
        if len(self._groups) > 1:
            muscles.sort(key=lambda item: self._order[item.muscle])
        estimates = {item.muscle: item for item in muscles}
        self._moved = None if self._motion is None else self._motion.step(situation)
        bad = self._bad_signal(given, wait_ns)
        current_ma, reason, trigger, reflex = self._decide(given, estimates, bad)
        for place, item in enumerate(muscles):
            if item.muscle in self._awaited:
                activity_uv, threshold_uv = self._awaited[item.muscle]
                muscles[place] = msgspec.structs.replace(item, activity_uv=activity_uv, threshold_uv=threshold_uv)
        return [
            Outgoing(
                "estimate",
                Estimate(
                    step=given.number,
                    t_ns=now_ns,
                    muscles=tuple(muscles),
                    trigger=trigger,
                    reflex=reflex,
                    motion=self._moved,
                    bad_signal=bad if self._settings.reflex.signal.enabled else "",
                ),
            ),
            Outgoing("request", self._request(given, current_ma, reason)),
            *(
                Outgoing("event", Event(t_ns=now_ns, kind="fault", who=self.name, why=why))
                for why in self._faults.take()
            ),
        ]

    def state(self) -> dict[str, Any]:
        """What a restored controller needs to go on bit for bit: JSON-ready."""
        return {
            "version": STATE_VERSION,
            "groups": {topic: group.state() for topic, group in self._groups.items()},
            "policy": self._policy.state(),
            "reflex": self._reflex.state(),
            "motion": None if self._motion is None else self._motion.state(),
            "phase": msgspec.to_builtins(self._phase),
            "report": msgspec.to_builtins(self._report),
            "arm_id": self._arm_id,
            "accepted": self._accepted,
            "stimulating_until_ns": self._stimulating_until_ns,
            "policy_fresh": self._policy_fresh,
            "prompted_ns": self._prompted_ns,
            "force_n": self._force_n,
            "force_ns": self._force_ns,
            # Last: a part that cannot save its state is told of here.
            "faults": self._faults.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over a saved state.

        Raises
        ------
        StateError
            If it is not the state of such a controller.
        """
        if state.get("version") != STATE_VERSION:
            raise StateError(f"state of version {state.get('version')}, this controller reads {STATE_VERSION}")
        try:
            if set(state["groups"]) != set(self._groups):
                raise StateError(f"state for {sorted(state['groups'])}, this controller hears {sorted(self._groups)}")
            for topic, group in self._groups.items():
                group.restore(state["groups"][topic])
            self._policy.restore(state["policy"])
            self._reflex.restore(state["reflex"])
            if (state["motion"] is None) != (self._motion is None):
                raise StateError("state with or without an IMU, this controller is the other")
            if self._motion is not None:
                self._motion.restore(state["motion"])
            self._phase = msgspec.convert(state["phase"], Phase | None)
            self._report = msgspec.convert(state["report"], StimReport | None)
            self._arm_id = state["arm_id"]
            self._accepted = state["accepted"]
            self._stimulating_until_ns = state["stimulating_until_ns"]
            self._policy_fresh = state["policy_fresh"]
            self._prompted_ns = state["prompted_ns"]
            self._force_n = state["force_n"]
            self._force_ns = state["force_ns"]
            self._faults.restore(state["faults"])
        except (KeyError, TypeError, msgspec.ValidationError) as error:
            raise StateError(f"not the state of such a controller: {error}") from None

    def _sort(
        self,
        given: StepInput,
        imu: list[tuple[int, npt.NDArray[np.float64]]],
        force: list[tuple[int, npt.NDArray[np.float64]]],
    ) -> list[Received]:
        """Take in all but the EMG, which needs to know it; hand back the EMG."""
        blocks = []
        self._overrun_ms = 0.0
        for received in given.received:
            message = received.message
            if isinstance(message, Samples):
                if received.topic in self._groups:
                    blocks.append(received)
                elif received.array is not None:
                    for stream, blocks_of in ((self._imu, imu), (self._force, force)):
                        if stream is not None and stream.descriptor.topic == received.topic:
                            rows = stream.physical(message, received.array)
                            if len(rows):
                                blocks_of.append((message.t_ns, rows))
            elif isinstance(message, Phase):
                self._phase = message
            elif isinstance(message, Overrun):
                self._overrun_ms = message.took_ms
            elif isinstance(message, StimReport):
                self._report = message
                self._hear_verdict(message)
                if any(item.current_ma > 0 for item in (*message.acknowledged, *message.allowed)):
                    self._may_flow(given.now_ns)
            elif isinstance(message, Pulses):
                if message.t_ns:
                    self._may_flow(given.now_ns)
                for group in self._groups.values():
                    group.hear_pulses(message)
        return blocks

    def _hear_verdict(self, report: StimReport) -> None:
        """Notice that the gate has taken a request of this arming, or still waits for the first."""
        if report.rule == "first request":
            self._accepted = False
        elif report.request is not None and not report.rule and report.state in _LIVE:
            self._accepted = True

    def _may_flow(self, now_ns: int) -> None:
        self._stimulating_until_ns = max(self._stimulating_until_ns, now_ns + self._quiet_after_ns)

    def _situation(
        self,
        now_ns: int,
        imu: list[tuple[int, npt.NDArray[np.float64]]],
        force: list[tuple[int, npt.NDArray[np.float64]]],
    ) -> Situation:
        phase = self._phase
        if phase is not None and now_ns - phase.t_ns > PHASE_STALE_NS:
            phase = None
        expected = self._effort_expected(phase, now_ns)
        baseline = phase is not None and phase.baseline
        if force:
            t_ns, rows = force[-1]
            newest = float(rows[-1, 0])
            self._force_n, self._force_ns = (newest if math.isfinite(newest) else None), t_ns
        return Situation(now_ns, phase, expected, baseline, self._report, imu, force)

    def _force_now(self, now_ns: int) -> float | None:
        """Newest force, None where there is none that speaks of the present."""
        if self._force_n is None or now_ns - self._force_ns > self._force_stale_ns:
            return None
        return self._force_n

    def _effort_expected(self, phase: Phase | None, now_ns: int) -> bool:
        asked = _PROMPTED | {"cue"} if self._settings.effort_from == "cue" else _PROMPTED
        trying = phase is not None and (phase.kind == "mvc" or (phase.kind == "block" and phase.machine in _TRIED))
        in_trial = trying and phase is not None and phase.state == "running"
        if phase is None or not in_trial or phase.trial_state not in asked:
            self._prompted_ns = None
            return False
        if self._prompted_ns is None:
            self._prompted_ns = phase.t_state_ns
        return now_ns - self._prompted_ns >= self._settings.reaction_ms * 1e6

    def _take(self, received: Received, situation: Situation) -> None:
        array, message = received.array, received.message
        # What is not the stream its descriptor speaks of is not used; it then counts as lost.
        fits = array is not None and array.ndim == 2 and array.shape[1] == self._widths[received.topic]
        if fits and isinstance(message, Samples) and array is not None:
            self._groups[received.topic].add(message, array, received.epoch, situation)

    def _decide(
        self, given: StepInput, estimates: dict[str, MuscleEstimate], bad: str
    ) -> tuple[dict[str, float], str, bool, str]:
        """Current by channel, reason of the request, trigger, and what the reflexes did."""
        now_ns, phase = given.now_ns, self._phase
        self._awaited = {}
        nothing = dict.fromkeys(self._outputs, 0.0)
        why = why_zero(phase, now_ns) or self._blind()
        decision = Decision(nothing, why)
        adapt = True
        if phase is None or phase.state != "running":
            self._reset_policy()
        if phase is not None and not why:
            if phase.kind == "calibration":
                decision = Decision(self._calibrate(phase), f"calibration: {phase.trial_state}")
                adapt = False
            elif phase.kind == "optimise":
                # One setting after the other as the director tells it, whatever the policy.
                decision = Decision(self._try(phase, now_ns), f"optimise: {phase.trial_state}")
                adapt = False
            elif phase.kind == "block":
                decision = self._ask(phase, now_ns, estimates)
            else:
                decision = Decision(nothing, f"{phase.kind}: no stimulation")
        left, reflex = self._reflex.apply(self._wish(decision, estimates, bad, now_ns, adapt))
        reason, trigger = decision.reason, decision.trigger and not bad
        arm_id = "" if phase is None else phase.arm_id
        if arm_id != self._arm_id:
            self._arm_id, self._accepted = arm_id, False
        if arm_id and not self._accepted:
            # The gate takes nothing else before it has taken a zero; one message may be lost or come late.
            left, reason = nothing, "zero until the gate has accepted a request of this arming"
        state = str(self._reflex.state_name)
        told = f"{state}: {reflex}" if reflex else state
        return left, "; ".join(part for part in (reason, reflex) if part), trigger, told

    def _wish(
        self, decision: Decision, estimates: dict[str, MuscleEstimate], bad: str, now_ns: int, adapt: bool
    ) -> Wish:
        phase = self._phase
        return Wish(
            now_ns,
            dict(decision.current_ma),
            estimates,
            bad,
            -1 if phase is None else phase.index,
            adapt,
            "" if phase is None else phase.trial_state,
            (0, 0) if phase is None else (phase.block, phase.trial),
            decision.saturated,
            decision.held,
            self._held_back(),
        )

    def _held_back(self) -> bool:
        """Whether the gate let less through than was asked for, by its newest report."""
        report = self._report
        if report is None or not report.rule:
            return False
        asked = sum(item.current_ma for item in report.requested)
        return sum(item.current_ma for item in report.allowed) < _LET_THROUGH * asked

    def _reset_policy(self) -> None:
        if not self._policy_fresh:
            self._policy_fresh = self._policy.reset()

    def _blind(self) -> str:
        """Why no spasm can be seen though it should take the current away; empty where that is not so."""
        why = next((why for group in self._guarding if (why := group.lost("spasm"))), "")
        return f"{why}: no spasm would be seen" if why else ""

    def _ask(self, phase: Phase, now_ns: int, estimates: dict[str, MuscleEstimate]) -> Decision:
        self._policy_fresh = False
        activity = {name: item for group in self._groups.values() for name, item in group.activity().items()}
        # The reflexes judge by the same estimates: a policy may read them, not change them.
        given = PolicyInput(
            now_ns, phase, MappingProxyType(estimates), activity, self._report, self._moved, self._force_now(now_ns),
            self._reflex.set_point_share, self._reflex.let_through, self._overrun_ms,
        )  # fmt: skip
        decision = self._policy.decide(given)
        if decision.threshold_uv:
            self._awaited = {
                name: (activity[name].level_uv, threshold_uv)
                for name, threshold_uv in decision.threshold_uv.items()
                if name in activity
            }
        return decision

    def _calibrate(self, phase: Phase) -> dict[str, float]:
        wanted = dict.fromkeys(self._outputs, 0.0)
        if phase.trial_state == "hold":
            for target in phase.targets:
                if target.channel in wanted and math.isfinite(target.current_ma):
                    wanted[target.channel] = max(0.0, target.current_ma)
        return wanted

    def _try(self, phase: Phase, now_ns: int) -> dict[str, float]:
        wanted = dict.fromkeys(self._outputs, 0.0)
        for target in phase.targets:
            if target.channel in wanted and math.isfinite(target.current_ma):
                wanted[target.channel] = max(0.0, target.current_ma) * trapezoid(phase, target, now_ns)
        return wanted

    def _bad_signal(self, given: StepInput, wait_ns: int) -> str:
        limit = self._settings.reflex.signal.invalid_share_max
        for topic, group in self._groups.items():
            if topic in given.not_alive:
                return f"{topic} is not alive ({given.not_alive[topic]})"
            if group.heard_ns is None:
                return f"{topic} has not been heard"
            age_ns = given.now_ns - group.heard_ns
            if age_ns > self._silent_ns + wait_ns:
                return f"{topic} is silent for {self._settings.reflex.signal.silent_ms:g} ms and more"
            if group.invalid_share > limit:
                return f"{topic} has more than {100 * limit:.0f} % invalid samples of {group.worst_muscle}"
        return ""

    def _request(self, given: StepInput, current_ma: Mapping[str, float], reason: str) -> StimRequest:
        phase = self._phase
        targets = {target.channel: target for target in phase.targets} if phase is not None else {}
        channels = []
        flowing = False
        for name, output in self._outputs.items():
            shape = targets.get(name, output)
            current = current_ma.get(name, 0.0)
            flowing = flowing or current > 0
            channels.append(
                ChannelSetting(channel=name, current_ma=current, phase_us=shape.phase_us, rate_hz=shape.rate_hz)
            )
        if flowing:
            self._may_flow(given.now_ns)
        return StimRequest(
            step=given.number,
            t_ns=given.now_ns,
            arm_id=self._arm_id,
            lease_ms=self._settings.lease_ms,
            channels=tuple(channels),
            reason=reason,
        )


def _group(settings: ControllerSettings, source: EmgSource, faults: Faults) -> MuscleGroup:
    topic = source.descriptor.topic
    heard = [item for item in settings.muscles if item.topic == topic]
    if not heard:
        raise ValueError(f"no muscle is heard on {topic}")
    conditioner = Conditioner(
        settings.conditioning, source.descriptor, tuple(item.column for item in heard), source.stimulated
    )
    setup = Setup(
        muscles=tuple(item.muscle for item in heard),
        rate_hz=source.descriptor.rate_hz,
        hop_samples=conditioner.hop_samples,
        stimulated=source.stimulated,
        effort_muscles=np.array([item.muscle in settings.effort_muscles for item in heard]),
        channels=tuple(
            tuple(output.channel for output in settings.stim if output.muscle == item.muscle) for item in heard
        ),
        imu=None if settings.imu is None else _imu_input(settings.imu),
        force=settings.force.descriptor if settings.force is not None else None,
    )
    return MuscleGroup(conditioner, setup, settings.baseline, settings.estimators, faults)


def _imu_input(source: ImuSource) -> ImuInput:
    return ImuInput(source.descriptor, source.accelerometer, source.gyroscope)


class _Stream:
    """An IMU or a force cell: blocks of it in SI units."""

    def __init__(self, descriptor: SampleDescriptor) -> None:
        self.descriptor = descriptor
        self._scale = np.array(descriptor.scale)
        self._offset = np.array(descriptor.offset)

    def physical(self, message: Samples, array: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Rows of a block, without those that have an invalid sample; none where it is not of this shape."""
        width = len(self.descriptor.channels)
        if array.ndim != 2 or array.shape[1] != width:
            return np.zeros((0, width))
        rows: npt.NDArray[np.float64] = array * self._scale + self._offset
        if message.invalid:
            packed = np.frombuffer(message.invalid, dtype=np.uint8)
            rows = rows[~np.unpackbits(packed, count=array.size).reshape(array.shape).astype(bool).any(axis=1)]
        return rows
