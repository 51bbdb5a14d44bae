"""Every message that passes between nodes: one frozen struct each.

A message is a plain record of facts with its units in its field names. It knows nothing of sockets; how it
becomes bytes stands in :mod:`myoloop.platform.wire`, which stream carries it in
:mod:`myoloop.platform.streams`. Times are ``time.monotonic_ns()`` of the host that stamped them.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What all messages have in common: nothing but being a frozen record."""


class Measure(Message, frozen=True, kw_only=True):
    """One estimated quantity, with what is known of its truth.

    Attributes
    ----------
    value
        The estimate, or None where nothing can be said.
    low, high
        95 % interval, where the estimator can give one.
    valid
        False wherever `value` must not be acted on.
    reason
        Why it is not valid; empty where it is.
    """

    value: float | None = None
    low: float | None = None
    high: float | None = None
    valid: bool = False
    reason: str = "not estimated"


class SampleDescriptor(Message, frozen=True, kw_only=True):
    """What a reader must know of a sample stream; constant for a session, part of the recorded chain.

    A physical value is ``(raw * scale + offset)`` in `units`, channel by channel.

    Attributes
    ----------
    topic
        ``emg/<source>``, ``imu/<source>`` or ``force/<source>``.
    rate_hz
        Nominal sampling rate.
    dtype
        numpy dtype of the array as it travels and is stored, little endian (``<i2``, ``<i4``, ``<f4``, ``<f8``).
    channels, units, scale, offset
        One entry per channel, in the array's column order. Units are SI (``V``, ``m/s^2``, ``rad/s``, ``N``) or
        ``1`` for a counter or trigger.
    rail_low, rail_high
        Raw values at and beyond which the amplifier is saturated; None where unknown.
    sync_channel
        Name of the channel that samples the stimulator's trigger, if there is one.
    mains_hz
        Mains frequency where the recording was made.
    device
        Maker, model, serial number, firmware: whatever the device tells.
    """

    topic: str
    rate_hz: float
    dtype: str
    channels: tuple[str, ...]
    units: tuple[str, ...]
    scale: tuple[float, ...]
    offset: tuple[float, ...]
    rail_low: float | None = None
    rail_high: float | None = None
    sync_channel: str | None = None
    mains_hz: float = 50.0
    device: str = ""


class Samples(Message, frozen=True, kw_only=True):
    """A block of samples; the array (n_samples, n_channels) travels beside it, raw.

    Attributes
    ----------
    first_sample
        Index of the block's first sample since the source was opened; a jump is a loss at the device.
    t_ns
        Host time of the newest sample.
    device_t
        The device's own stamp or counter of the newest sample, if it has one; kept, not believed.
    invalid
        Packed bits (``numpy.packbits`` of the C-ordered (n_samples, n_channels) mask), 1 where a sample must not
        be used; empty where all are good.
    """

    first_sample: int
    t_ns: int
    device_t: float | None = None
    invalid: bytes = b""


class Vital(Message, frozen=True, kw_only=True):
    """The health of a source, sent with each block: what the gate listens to.

    Attributes
    ----------
    topic, samples_seq
        Which block it speaks of.
    t_ns
        The block's own stamp.
    rate_hz
        Rate measured over the last second; None before there is enough to tell.
    valid_share
        Share of valid samples in the block, per channel.
    flags
        Per channel, what is wrong: ``rail``, ``flat``, ``mains``, ``repeated``, ``gap``, ``rate``, comma-separated.
    """

    topic: str
    samples_seq: int
    t_ns: int
    rate_hz: float | None
    valid_share: tuple[float, ...]
    flags: tuple[str, ...]


class Step(Message, frozen=True, kw_only=True):
    """What one step of a pure object consumed: enough to take the same step again.

    Attributes
    ----------
    number
        1, 2, 3, … since the object was started.
    now_ns
        The time the object was given.
    inputs
        In the order they were consumed: (topic, publisher, epoch, seq).
    not_alive
        Every subscribed topic that was not alive, and why (``never``, ``silent``, ``slow``, ``gap``).
    digest
        CRC-32 over the bytes of all inputs, so that one changed count shows even where it changes no output.
    """

    number: int
    now_ns: int
    inputs: tuple[tuple[str, str, int, int], ...]
    not_alive: dict[str, str] = {}
    digest: int = 0


class Overrun(Message, frozen=True, kw_only=True):
    """A step of a pure object took too long; the object, which has no clock, hears it with its next step.

    Attributes
    ----------
    step
        Its number.
    took_ms, limit_ms
        How long it took, and how long it may.
    """

    t_ns: int
    step: int
    took_ms: float
    limit_ms: float


class Start(Message, frozen=True, kw_only=True):
    """What a pure object was before its first step: from here a replay begins.

    Attributes
    ----------
    object, kind
        Name of the object and what builds it (``controller``, ``stimulator``, ``director``).
    settings, state
        JSON, as the object's own `settings` and `state()` gave them.
    """

    object: str
    kind: str
    settings: str
    state: str
    versions: dict[str, str] = {}


class MWave(Message, frozen=True, kw_only=True):
    """The synchronous answer of a muscle to stimulation pulses, averaged over the newest of them.

    Attributes
    ----------
    t_ns, pulses
        Of the newest pulse; how many were averaged.
    channel
        Stimulation channel; empty where it cannot be told which of several.
    peak_to_peak_uv, rectified_area_uv_ms, duration_ms, latency_ms
        Size; area of the absolute value; time from the one peak to the other; time from the pulse to the first peak.
    first_phase_uv_ms, second_phase_uv_ms
        Areas of the two phases: in fatigue they go different ways.
    clipped
        Whether the amplifier was at its rail within the window: the sizes are then too small.
    """

    t_ns: int
    pulses: int
    channel: str
    peak_to_peak_uv: float
    rectified_area_uv_ms: float
    first_phase_uv_ms: float
    second_phase_uv_ms: float
    duration_ms: float
    latency_ms: float
    clipped: bool = False


class MuscleEstimate(Message, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of one muscle.

    Attributes
    ----------
    muscle
        The protocol's name of it.
    level_uv
        RMS of the band-passed EMG over its window, valid samples only.
    fatigue
        0 (fresh) to 1 (no force left).
    spasm
        1 while an involuntary burst is on, else 0; `spasm_onset_ns` names its beginning.
    effort
        Voluntary activation relative to this session's reference, 0 to 1.
    response
        Mechanical response per unit of charge relative to the session's first trains.
    median_frequency_hz, contractions
        Of the newest contraction that counted, and how many have.
    fatigue_emg, fatigue_mwave, fatigue_mechanical
        The terms of `fatigue`, side by side: by the spectrum of voluntary contractions, by the M-wave, and by the
        mechanical response.
    frequency_slope_pct_per_min, jasa
        Slope of the mean frequency relative to its beginning; quadrant of the joint analysis of spectrum and
        amplitude (``fatigue``, ``force increase``, ``recovery``, ``force decrease`` or ``undetermined``; empty where
        there is not enough evidence).
    spasm_kind, clonus_frequency_hz
        ``unit``, ``tonic``, ``clonus`` or ``myoclonus`` of the burst that is on, or of the newest while `spasm` is 0;
        empty until it is decided. The rhythm of a clonus.
    effort_onset_ns
        Beginning of the voluntary contraction that is on.
    mwave
        The newest average of M-waves.
    cocontraction
        Of the pair that the muscle belongs to: Falconer and Winter's index, 0 to 1.
    flexion_relaxation
        RMS at full flexion over the largest while flexing.
    activity_uv, threshold_uv
        Where a policy waits for effort: the activity that it looks at, and the level above which it is effort.
    """

    muscle: str
    level_uv: float | None
    fatigue: Measure
    spasm: Measure
    effort: Measure
    response: Measure
    spasm_onset_ns: int | None = None
    median_frequency_hz: float | None = None
    mean_frequency_hz: float | None = None
    contraction_t_ns: int | None = None
    contractions: int = 0
    fatigue_emg: Measure = Measure()
    fatigue_mwave: Measure = Measure()
    fatigue_mechanical: Measure = Measure()
    frequency_slope_pct_per_min: Measure = Measure()
    jasa: str = ""
    spasm_kind: str = ""
    clonus_frequency_hz: float | None = None
    effort_onset_ns: int | None = None
    mwave: MWave | None = None
    cocontraction: Measure = Measure()
    flexion_relaxation: Measure = Measure()
    activity_uv: float | None = None
    threshold_uv: float | None = None


class MotionEstimate(Message, frozen=True, kw_only=True):
    """How the segment with the IMU lies and moves.

    Attributes
    ----------
    inclination_rad
        Angle between the segment's long axis and the vertical.
    angle_rad
        Of the joint, from where it was at rest.
    tremor_frequency_hz, tremor_rad_s
        Peak of the gyroscope's spectrum within 3 to 12 Hz, and its RMS in that band; not valid where there is none.
    """

    inclination_rad: Measure = Measure()
    angle_rad: Measure = Measure()
    tremor_frequency_hz: Measure = Measure()
    tremor_rad_s: Measure = Measure()


class Estimate(Message, frozen=True, kw_only=True):
    """Everything a controller believes at one step; `motion` is None where there is no IMU.

    Attributes
    ----------
    bad_signal
        Why the signals are no ground for any current; empty while they are.
    """

    step: int
    t_ns: int
    muscles: tuple[MuscleEstimate, ...]
    trigger: bool = False
    reflex: str = ""
    motion: MotionEstimate | None = None
    bad_signal: str = ""


class ChannelSetting(Message, frozen=True, kw_only=True):
    """Stimulation of one channel: symmetric biphasic pulses, current-controlled.

    Attributes
    ----------
    channel
        The protocol's name of the stimulation channel.
    current_ma
        Amplitude of each phase.
    phase_us
        Width of each phase.
    rate_hz
        Pulses per second.
    """

    channel: str
    current_ma: float
    phase_us: float
    rate_hz: float


class StimRequest(Message, frozen=True, kw_only=True):
    """A controller's wish, good for `lease_ms` from its own `t_ns` and no longer."""

    step: int
    t_ns: int
    arm_id: str
    lease_ms: int
    channels: tuple[ChannelSetting, ...]
    reason: str = ""


class Shadow(Message, frozen=True, kw_only=True):
    """What a learned policy would have asked for that computes and does not act; nothing listens to it.

    Attributes
    ----------
    asked_ma, would_ma
        By channel: what the policy that acts asks for in this step, and what this one would have, both before reflexes
        and gate.
    residual
        Its factor on what is asked for, less 1.
    same
        Whether it goes on from what is really asked for: its own adaptive gain asks for the same.
    reason, fault
        In words; `fault` where it would have fallen back, and why.
    """

    step: int
    t_ns: int
    asked_ma: dict[str, float]
    would_ma: dict[str, float]
    residual: float
    same: bool
    reason: str = ""
    fault: str = ""


class Dose(Message, frozen=True, kw_only=True):
    """What the person has had."""

    session_charge_mc: float = 0.0
    session_on_s: float = 0.0
    session_pulses: int = 0
    day_charge_mc: float = 0.0
    course_charge_mc: float = 0.0


class StimReport(Message, frozen=True, kw_only=True):
    """What was asked, what was allowed, what the device says it does, and why they differ."""

    step: int
    t_ns: int
    state: str
    request: tuple[str, int, int] | None
    requested: tuple[ChannelSetting, ...]
    allowed: tuple[ChannelSetting, ...]
    acknowledged: tuple[ChannelSetting, ...]
    rule: str
    reasons: tuple[str, ...]
    dose: Dose
    envelope_sha256: str = ""
    latched: str = ""


class DeviceReport(Message, frozen=True, kw_only=True):
    """What the stimulator said since it was last asked: input of the gate, and recorded as such."""

    t_ns: int
    connected: bool
    identity: str
    acknowledged: tuple[ChannelSetting, ...] = ()
    ack_of: int = 0
    sent: int = 0
    oldest_unacknowledged_ns: int | None = None
    faults: tuple[str, ...] = ()


class Pulses(Message, frozen=True, kw_only=True):
    """When current flowed.

    Attributes
    ----------
    t_ns
        Host time of each pulse's leading edge.
    uncertainty_ns
        Half-width of what is known of it.
    kind
        ``sent``, ``acknowledged`` or ``predicted`` by a device that times itself.
    """

    channel: str
    t_ns: tuple[int, ...]
    uncertainty_ns: int
    kind: str
    current_ma: float
    phase_us: float


class Sealed(Message, frozen=True, kw_only=True):
    """Something of a blinded session that only the study's key opens.

    Attributes
    ----------
    number
        Which of its stream; bound to what is closed.
    t_ns
        When it was closed.
    box
        Padded and encrypted, see :mod:`myoloop.platform.sealed`.
    """

    number: int
    t_ns: int
    box: bytes


class Target(Message, frozen=True, kw_only=True):
    """What the protocol wants on one channel now, thresholds already resolved."""

    channel: str
    current_ma: float
    phase_us: float
    rate_hz: float
    ramp_up_s: float
    ramp_down_s: float


class Phase(Message, frozen=True, kw_only=True):
    """The whole state of the protocol, ten times a second and at each change.

    Attributes
    ----------
    state
        ``waiting`` (for an operator's act), ``running``, ``paused``, ``ended``.
    waiting_for
        The act: ``confirm``, ``form``, ``override``, ``retry``, ``arm_calibration``, ``step``, ``approve_envelope``,
        ``arm``, ``resume``; empty while running.
    index, name, kind
        Which phase of the protocol: ``screening``, ``questions``, ``checks``, ``rest``, ``mvc``, ``calibration``,
        ``optimise``, ``block``.
    machine
        Of a block: ``effort`` (the person is asked for effort), ``cyclic``, ``continuous``; empty outside blocks.
    block, trial, trials
        Repetition of the block, trial in it (from 1) and how many there are; 0 outside blocks.
    trial_state, t_state_ns, state_s
        ``idle``, ``cue``, ``await_effort``, ``ramp_up``, ``hold``, ``ramp_down``, ``rest``; since when; planned length.
    session_s, seconds_left
        Protocol time passed, and left in this phase.
    arm_id
        What every request must carry; empty while not armed.
    targets
        Per channel.
    level
        The operator's dial for policy ``manual``, 0 to 1.
    baseline
        True while the person is at rest and estimators may learn their baseline.
    outcome, reason
        Once ended: ``complete``, ``stopped``, ``aborted``, ``fault``, and why.
    forms
        Ids of the forms still to be filled in, in order, while `waiting_for` is ``form``.
    attention_left_s
        How long the operator may still be without an act before the session pauses; None where no rule says so.
    muscle
        Of a maximal contraction: which muscle is to make it; empty else.
    wrong
        While `waiting_for` is ``retry`` the checks that have not passed, while it is ``override`` the items of
        screening that somebody may override: name to why.
    """

    t_ns: int
    session: str
    state: str
    waiting_for: str = ""
    index: int = 0
    name: str = ""
    kind: str = ""
    machine: str = ""
    block: int = 0
    trial: int = 0
    trials: int = 0
    trial_state: str = "idle"
    t_state_ns: int = 0
    state_s: float = 0.0
    session_s: float = 0.0
    seconds_left: float = 0.0
    arm_id: str = ""
    targets: tuple[Target, ...] = ()
    level: float = 0.0
    baseline: bool = False
    prompt: str = ""
    outcome: str = ""
    reason: str = ""
    forms: tuple[str, ...] = ()
    attention_left_s: float | None = None
    muscle: str = ""
    wrong: dict[str, str] = {}


class Trial(Message, frozen=True, kw_only=True):
    """One row at the end of every trial: of a block, one channel's thresholds, one maximal contraction, one setting.

    `kind` is ``block``, ``threshold``, ``mvc`` or ``optimise``.
    """

    t_ns: int
    kind: str
    name: str
    block: int
    trial: int
    outcome: str
    begin_ns: int
    trigger_ns: int | None = None
    end_ns: int = 0
    values: dict[str, float | str | None] = {}


class Event(Message, frozen=True, kw_only=True):
    """Something that happened once: stop, pain score, mark, fault, adverse event, an operator's act.

    A person's answers are events too: ``felt`` with ``values["what"]`` one of ``sensory``, ``motor``, ``tolerance``, or
    ``stop``, which ends the session. A filled-in form is a ``form``: its id, who filled it in, and its answers.
    ``electrode_changed`` and ``impedance`` (ohm by channel) tell what devices and operators notice.
    """

    t_ns: int
    kind: str
    who: str
    why: str = ""
    values: dict[str, float | str | bool | None] = {}


class Gap(Message, frozen=True, kw_only=True):
    """Messages that a subscriber never got."""

    t_ns: int
    topic: str
    publisher: str
    epoch: int
    first_missing: int
    last_missing: int


class Command(Message, frozen=True, kw_only=True):
    """An act addressed to one node, and answered.

    Attributes
    ----------
    id
        Chosen by the sender; the answer repeats it.
    kind
        ``configure``, ``begin``, ``end``, ``confirm``, ``set_envelope``, ``arm``, ``step``, ``pause``, ``hold``,
        ``acknowledge``, ``armed``, ``level``, ``form``, ``override``, ``retry``, ``skip_mvc``,
        ``skip_optimise``, ``attend``, ``electrode_changed``, and what else the director's acts are.
    who, role
        Who acts; the role is the one the sender's key has, put there by the receiver, never by the sender.
    nonce
        Randomness for the object that handles it, put there by the receiver so that a replay has the same.
    """

    t_ns: int
    id: str
    kind: str
    target: str
    who: str = ""
    why: str = ""
    arguments: dict[str, Any] = {}
    role: str = ""
    nonce: str = ""


class Answer(Message, frozen=True, kw_only=True):
    """The answer to a command."""

    t_ns: int
    id: str
    ok: bool
    reason: str = ""
    values: dict[str, Any] = {}


class Stop(Message, frozen=True, kw_only=True):
    """Zero, now. Anybody may; it is never refused and never waits."""

    t_ns: int
    who: str
    why: str


class Heartbeat(Message, frozen=True, kw_only=True):
    """Sent every 40 ms from the loop itself, never from a thread beside it."""

    t_ns: int
    node: str
    role: str
    state: str
    cycle_ms: float
    cycle_mean_ms: float
    cycle_worst_ms: float
    heard: tuple[str, ...] = ()
    counters: dict[str, float] = {}


class ClockSample(Message, frozen=True, kw_only=True):
    """Stamps of one host's clocks, and of an exchange with another where there is one."""

    t_ns: int
    wall_ns: int
    boottime_ns: int
    peer: str = ""
    sent_ns: int | None = None
    peer_ns: int | None = None
    received_ns: int | None = None


class Truth(Message, frozen=True, kw_only=True):
    """What the virtual subject knows of itself. Recorded; no controller may subscribe."""

    t_ns: int
    values: dict[str, float | int | str | None] = {}
    pulses_ns: tuple[int, ...] = ()


class Chain(Message, frozen=True, kw_only=True):
    """The running hash over everything before it in the file."""

    records: int
    sha256: str
