"""The place in the protocol: everything the director remembers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec

from myoloop.experiments.protocols.plan import PhasePlan, Plan, PulsePlan, personal_envelope
from myoloop.experiments.sessions.thresholds import Ascent, Thresholds
from myoloop.experiments.sessions.trial_machine import TrialState
from myoloop.experiments.sessions.watch import Peers, Tally
from myoloop.experiments.training.optimisation import OptimiserSettings, Tried
from myoloop.platform.messages import Phase, Target
from myoloop.stimulators.gate.envelope import Envelope

Stage = Literal["starting", "setting", "confirming", "phase", "pausing", "approving", "paused", "ended"]


@dataclass(frozen=True, slots=True)
class Calibrating:
    """Where a calibration stands.

    Attributes
    ----------
    channel
        Index into the phase's pulses.
    burst
        ``ask`` (for the operator's step), ``hold``, ``rest``.
    step_ns
        When the last step was taken.
    catch, caught
        Whether the last step gives nothing; before which steps of this ascent that has been so.
    false_alarms
        Ascents of this channel that were not believed.
    """

    channel: int = 0
    ascent: Ascent = field(default_factory=Ascent)
    burst: Literal["ask", "hold", "rest"] = "ask"
    since_ns: int = 0
    step_ns: int = 0
    catch: bool = False
    caught: tuple[int, ...] = ()
    false_alarms: int = 0


@dataclass(frozen=True, slots=True)
class InBlock:
    """Where a block stands.

    Attributes
    ----------
    repeat, trial
        Which, from 1; trial 0 before the first.
    between_ns
        Since when the rest between two repetitions lasts, if it does.
    targets
        Resolved when the block is entered.
    peak_ma, dose_mc
        Of this trial: the most the gate allowed on each channel, and the session's charge at its beginning.
    fatigue
        Valid estimates per muscle at its beginning.
    condition
        Of this trial; empty where the block has none.
    begun
        Whether its time runs: from its first arming.
    capped
        Whether the gate has held this trial's train at a limit.
    asked
        The last repetition after which its forms were asked.
    """

    repeat: int = 1
    trial: int = 0
    state: TrialState = TrialState()
    between_ns: int | None = None
    targets: tuple[Target, ...] = ()
    peak_ma: Mapping[str, float] = field(default_factory=dict)
    dose_mc: float = 0.0
    fatigue: Mapping[str, float] = field(default_factory=dict)
    condition: str = ""
    begun: bool = False
    capped: bool = False
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Checking:
    """Where the checks stand.

    Attributes
    ----------
    state
        ``forms``, ``listen``, or ``wait`` for somebody to put right what is wrong.
    since_ns
        Since when it is listened.
    wrong
        The checks that have not passed: name to why.
    overridden
        Checks that a named person has taken upon themselves.
    """

    state: Literal["forms", "listen", "wait"] = "forms"
    since_ns: int = 0
    wrong: Mapping[str, str] = field(default_factory=dict)
    overridden: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pulling:
    """Where the maximal contractions stand.

    Attributes
    ----------
    attempt
        Which, from 1.
    state, since_ns
        ``cue``, ``pull``, ``rest``, since when.
    levels
        Time in ns and level in uV within the plateau's width.
    peak_uv, best_uv
        Highest plateau of this attempt, and of all.
    """

    attempt: int = 1
    state: Literal["cue", "pull", "rest"] = "cue"
    since_ns: int = 0
    levels: tuple[tuple[int, float], ...] = ()
    peak_uv: float | None = None
    best_uv: float | None = None


@dataclass(frozen=True, slots=True)
class Optimising:
    """Where an optimisation of settings stands.

    Attributes
    ----------
    settings
        What there is to choose from for this person.
    tried
        Trials that are over.
    point, why
        Of the trial under way, or to be given next; None where none is.
    response
        Of the trial under way, so far.
    held_back
        How often this point was given without reaching its current.
    reached
        Whether the current of the trial under way has been reached.
    spoilt
        Why the response of the trial under way says nothing (a spasm); empty where it does.
    refused
        Why the setting under way is not to be given again; empty while there is no reason.
    rating
        Whether the person is to say how unpleasant it was.
    ended
        Why no more trials are given; empty while they are.
    """

    settings: OptimiserSettings
    tried: tuple[Tried, ...] = ()
    point: int | None = None
    why: str = ""
    response: float | None = None
    held_back: int = 0
    reached: bool = False
    spoilt: str = ""
    refused: str = ""
    rating: bool = False
    ended: str = ""


@dataclass(frozen=True, slots=True)
class ChosenSettings:
    """What an optimisation has chosen for the blocks after it."""

    channel: str
    current_ma: float
    phase_us: float
    rate_hz: float
    phase: str


@dataclass(frozen=True, slots=True)
class Norm:
    """What a muscle's effort is relative to: ``mvc``, ``rest_noise`` or ``max_evoked``, and its EMG."""

    kind: str
    value_uv: float | None = None


class Gate(msgspec.Struct, frozen=True):
    """What the stimulator last reported; `flowing` while any channel has current, by the gate or by the device."""

    state: str = ""
    envelope_sha256: str = ""
    t_ns: int = 0
    charge_mc: float = 0.0
    flowing: bool = False


class Place(msgspec.Struct):
    """Everything the director remembers; JSON-ready through msgspec.

    Attributes
    ----------
    stage, stage_ns
        What it is doing, since when.
    then
        What follows a pause: ``channel``, ``calibrate``, ``paused``, ``end``.
    disarmed_ns
        When the stimulator answered the present pause; None before. It is over when current has ramped to zero.
    index, since_ns
        Which phase, and since when it runs (a pause moves it forward).
    running_ns
        Protocol time passed.
    envelope, envelope_sha256, set_ns
        In force or being set; its hash as the stimulator answered, and when.
    asked
        Commands without an answer yet: id to kind and when it was sent.
    effort, fatigue
        Newest estimate.
    told, told_ns
        The phase message last published, but for its running numbers.
    forms, answers
        Forms still to be filled in, in order; what was answered, by the form's id.
    blocked
        Items of screening that wait for a named person's override, with why.
    dropped
        Channels that screening has taken out of this session.
    heard
        While it is listened at rest, per muscle: how many levels, and the sum of their squares in uV^2.
    noise_uv, evoked_uv, evoked_level_uv, moved_rad
        EMG at rest per muscle; in calibrations, per channel: each muscle's largest M-wave and largest level, and how
        far the joint has moved.
    impedance_ohm
        As devices that measure it have told, by channel.
    norms
        Per muscle.
    found_ns
        When each channel's thresholds were found.
    stale, anew
        Why thresholds do not hold any more, until they are measured again; whether any ever were not.
    attended_ns
        When the operator last did anything.
    flare
        Forms in which a flare was told that has been taken into account; empty where none was.
    chosen
        By the newest optimisation; None before any.
    blind, blind_ns
        What current rests on and is missing, as ``gate`` and ``controller`` tell; since when anything is.
    """

    envelope: Envelope
    stage: Stage = "starting"
    stage_ns: int = 0
    then: str = ""
    begin_ns: int | None = None
    now_ns: int = 0
    running_ns: int = 0
    disarmed_ns: int | None = None
    index: int = 0
    since_ns: int = 0
    paused_ns: int = 0
    envelope_sha256: str = ""
    set_ns: int = 0
    arm_id: str = ""
    armed_ns: int = 0
    thresholds: dict[str, Thresholds] = {}
    calibrating: Calibrating | None = None
    block: InBlock | None = None
    gate: Gate = Gate()
    peers: Peers = Peers()
    tally: Tally = Tally()
    asked: dict[str, tuple[str, int]] = {}
    commands: int = 0
    effort: bool = False
    fatigue: dict[str, float] = {}
    level: float = 0.0
    holding: bool = False
    outcome: str = ""
    reason: str = ""
    told: Phase | None = None
    told_ns: int = 0
    forms: tuple[str, ...] = ()
    answers: dict[str, dict[str, Any]] = {}
    blocked: dict[str, str] = {}
    dropped: tuple[str, ...] = ()
    checking: Checking | None = None
    pulling: Pulling | None = None
    optimising: Optimising | None = None
    chosen: ChosenSettings | None = None
    heard: dict[str, tuple[int, float]] = {}
    noise_uv: dict[str, float] = {}
    evoked_uv: dict[str, dict[str, float]] = {}
    evoked_level_uv: dict[str, dict[str, float]] = {}
    moved_rad: dict[str, float] = {}
    impedance_ohm: dict[str, float] = {}
    norms: dict[str, Norm] = {}
    found_ns: dict[str, int] = {}
    stale: str = ""
    anew: bool = False
    attended_ns: int = 0
    flare: str = ""
    blind: dict[str, str] = {}
    blind_ns: int | None = None

    def phase(self, plan: Plan) -> PhasePlan | None:
        """The phase it is in, or will enter next; None after the last."""
        return plan.phases[self.index] if self.index < len(plan.phases) else None

    def kept(self, pulses: tuple[PulsePlan, ...]) -> tuple[PulsePlan, ...]:
        """Those whose channel screening has left in."""
        return tuple(pulse for pulse in pulses if pulse.channel not in self.dropped)

    def open_envelope(self, plan: Plan) -> Envelope:
        """The protocol's envelope, with nothing on channels that screening has taken out, and shorter after a flare."""
        # They stay in it: a controller names every channel in each request, and one that is unknown is refused.
        channels = tuple(
            replace(limits, current_max_ma=0.0) if limits.channel in self.dropped else limits
            for limits in plan.envelope.channels
        )
        on_s = plan.envelope.session_on_s_max
        if self.flare and plan.flare is not None and not plan.flare.on_record:
            on_s *= min(plan.flare.on_share, 1.0)
        return replace(plan.envelope, channels=channels, session_on_s_max=on_s)

    def own_envelope(self, plan: Plan) -> Envelope:
        """The same below what this person called enough."""
        open_envelope = self.open_envelope(plan)
        known = {channel: found for channel, found in self.thresholds.items() if channel not in self.dropped}
        return personal_envelope(replace(plan, envelope=open_envelope), known)


def moved(block: InBlock, by_ns: int) -> InBlock:
    """The block as if its times were later: after a pause."""
    if block.between_ns is None:
        return block
    return replace(block, between_ns=block.between_ns + by_ns)
