"""What a plan is made of: plain frozen dataclasses of floats in named units, JSON-ready."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from myoloop.experiments.sessions.thresholds import AscentPlan, Thresholds
from myoloop.experiments.sessions.trial_machine import TrialTiming
from myoloop.stimulators.gate.envelope import Envelope


@dataclass(frozen=True, slots=True)
class PulsePlan:
    """One channel's pulses in a phase."""

    channel: str
    phase_us: float
    rate_hz: float


@dataclass(frozen=True, slots=True)
class IntensityPlan:
    """How strong: threshold `ref` times `x`, or `share` of the way from `ref` to `to`, or `fixed_ma`."""

    ref: str = ""
    x: float | None = None
    share: float | None = None
    to: str = "tolerance"
    fixed_ma: float | None = None


@dataclass(frozen=True, slots=True)
class RestPlan:
    """Nothing asked, nothing given."""

    duration_s: float
    baseline: bool


@dataclass(frozen=True, slots=True)
class FormsPlan:
    """Forms to be filled in, in this order."""

    forms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ChecksPlan:
    """What must be right before anything is given; None where nothing is judged."""

    device: bool
    placement: bool
    listen_s: float
    noise_max_uv: float | None = None
    impedance_max_ohm: float | None = None
    selectivity: bool = False


@dataclass(frozen=True, slots=True)
class MvcPlan:
    """Strongest voluntary contractions of one muscle; `skip` norms effort for who does none."""

    muscle: str
    repeats: int
    hold_s: float
    rest_s: float
    skip: str


@dataclass(frozen=True, slots=True)
class CalibrationPlan:
    """Thresholds to find, channel by channel.

    Attributes
    ----------
    catch_trials
        So many steps of each ascent give nothing.
    abort_pain_rise
        A pain score so far above the person's first one ends an ascent as tolerance does.
    """

    ascent: AscentPlan
    interval_s: float
    burst_s: float
    pulses: tuple[PulsePlan, ...]
    catch_trials: int = 0
    abort_pain_rise: float | None = None


@dataclass(frozen=True, slots=True)
class OptimisePlan:
    """Settings to try, and how long each train is.

    Attributes
    ----------
    timing
        Of a trial; machine ``cyclic``, without a cue.
    pulses
        Of each pad in the calibration: where its current is found first.
    response
        ``movement`` or ``mwave``.
    levels, phases_us, rates_hz
        To choose from.
    trials
        At most so many.
    discomfort_max, abort_pain_rise, kappa
        As in the protocol.
    """

    timing: TrialTiming
    pulses: tuple[PulsePlan, ...]
    response: str
    levels: tuple[float, ...]
    phases_us: tuple[float, ...]
    rates_hz: tuple[float, ...]
    trials: int
    discomfort_max: float
    abort_pain_rise: float | None
    kappa: float


@dataclass(frozen=True, slots=True)
class ConditionPlan:
    """One way in which a block's trials differ."""

    name: str
    intensity: IntensityPlan
    pulses: tuple[PulsePlan, ...]


@dataclass(frozen=True, slots=True)
class BlockPlan:
    """Trials to do; after `at_most_s` no new one begins.

    Attributes
    ----------
    conditions, order
        Trials take turns in these; without any, `intensity` and `pulses` hold for all.
    prompts
        Forms asked after each repetition.
    yoked
        Whether the triggers are another person's, so that a train is no answer to an effort.
    """

    timing: TrialTiming
    trials: int
    repeat: int
    between_s: float
    intensity: IntensityPlan
    pulses: tuple[PulsePlan, ...]
    at_most_s: float | None = None
    conditions: tuple[ConditionPlan, ...] = ()
    order: str = "fixed"
    prompts: tuple[str, ...] = ()
    yoked: bool = False


@dataclass(frozen=True, slots=True)
class PhasePlan:
    """One phase of the protocol; exactly one of the parts is there, by its kind.

    `asked` is of the kinds ``screening`` and ``questions``.
    """

    name: str
    kind: str
    prompt: str
    rest: RestPlan | None = None
    calibration: CalibrationPlan | None = None
    block: BlockPlan | None = None
    asked: FormsPlan | None = None
    checks: ChecksPlan | None = None
    mvc: MvcPlan | None = None
    optimise: OptimisePlan | None = None

    @property
    def pulses(self) -> tuple[PulsePlan, ...]:
        """What it may give; nothing in a phase without stimulation."""
        if self.calibration is not None:
            return self.calibration.pulses
        if self.optimise is not None:
            return self.optimise.pulses
        return self.block.pulses if self.block is not None else ()


@dataclass(frozen=True, slots=True)
class StopRules:
    """When the session ends by itself; None where a rule is not asked for.

    Attributes
    ----------
    attention_s
        Without an act of the operator for so long the stimulator ramps down and the session pauses.
    cap_hits
        So many trains that the gate had to hold at a limit end the session.
    """

    pain_rise: float | None = None
    pain_ceiling: float | None = None
    spasm_count: int | None = None
    spasm_within_s: float = 0.0
    session_max_s: float | None = None
    timeouts: int | None = None
    attention_s: float | None = None
    cap_hits: int | None = None


@dataclass(frozen=True, slots=True)
class SitePlan:
    """A site, as far as screening and selectivity need it.

    Attributes
    ----------
    ref
        Its entry in the site library without ``lib/``; empty where the protocol names none.
    channels
        Stimulation channels on it; empty where it is only listened to.
    listened
        Whether its EMG is heard, and whether the trials wait for it.
    needed
        Whether trials wait for the effort of this very muscle.
    """

    name: str
    ref: str
    muscle: str
    side: str
    channels: tuple[str, ...] = ()
    listened: bool = False
    needed: bool = False


@dataclass(frozen=True, slots=True)
class PlaceOnBody:
    """Where a site is, for screening."""

    region: str
    through_chest: bool = False


@dataclass(frozen=True, slots=True)
class ScreeningPlan:
    """What the screening gate must know beside the answers; plain data, so that a replay has it too.

    Attributes
    ----------
    wall
        When the session begins, ISO with its zone; a screening phase cannot be judged without.
    rig_class
        ``SIM``, ``BENCH`` or ``HUMAN``; the plan's maker puts it in.
    history
        :class:`myoloop.experiments.screening.history.History` as ``msgspec.to_builtins`` makes it.
    places
        Per stimulated site where on the body it is: `region` and `through_chest` of
        :class:`myoloop.experiments.screening.places.PlannedSite`; a site without an entry is not stimulated.
    post_operative
        Whether the protocol is for people after an operation.
    dummy_load
        What shows that this device has been run on a dummy load (a date, a hash); needed on a HUMAN rig.
    """

    wall: str = ""
    rig_class: str = ""
    history: Mapping[str, Any] = field(default_factory=dict)
    places: Mapping[str, PlaceOnBody] = field(default_factory=dict)
    post_operative: bool = False
    dummy_load: str = ""


@dataclass(frozen=True, slots=True)
class FlarePlan:
    """What becomes of this session's dose where a flare is told in it, before anything is given.

    Attributes
    ----------
    on_share
        Share of the envelope's time on that is left.
    on_record
        Whether that share is taken already, for a flare that was on record before.
    """

    on_share: float
    on_record: bool = False


@dataclass(frozen=True, slots=True)
class UsedTrials:
    """Trials of one repetition of a block that have begun in an earlier attempt; none of them is given again.

    Attributes
    ----------
    phase, repeat, trials
        Index of the phase, repetition from 1, number of the last trial that began.
    elapsed_s
        How long the block had run, of its `at_most_s`; told in any one of its repetitions.
    """

    phase: int
    repeat: int
    trials: int
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class FoundThresholds:
    """Thresholds that an earlier attempt has found in a calibration, and how old they are at this one's begin."""

    phase: int
    channel: str
    thresholds: Thresholds
    age_s: float


@dataclass(frozen=True, slots=True)
class Continuation:
    """What a killed attempt of this very session has used up and found.

    Attributes
    ----------
    attempt
        Name of the attempt, for the record.
    checked
        Checks that it has passed, of those that need a calibration: ``selectivity``.
    new_electrodes
        Whether any electrode has been changed since: then no threshold holds any more.
    pain_baseline
        The person's own first pain score of the session, the lowest of its attempts; None where none was given.
    """

    attempt: str
    used: tuple[UsedTrials, ...] = ()
    found: tuple[FoundThresholds, ...] = ()
    checked: tuple[str, ...] = ()
    new_electrodes: bool = False
    pain_baseline: float | None = None

    def used_of(self, phase: int) -> dict[int, int]:
        """Trials that have begun, per repetition of a block."""
        return {each.repeat: each.trials for each in self.used if each.phase == phase}

    def elapsed_of_s(self, phase: int) -> float:
        """How long a block has run."""
        return max((each.elapsed_s for each in self.used if each.phase == phase), default=0.0)


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything the director follows.

    Attributes
    ----------
    protocol, version
        Which protocol it was.
    envelope
        Before this person's thresholds are known.
    device_step_ma
        Currents are rounded down to it.
    thresholds
        Given instead of measured, for every channel; SIM and BENCH only.
    sites
        In the order of the protocol.
    screening
        For the screening gate and the checks.
    overrides
        Values of the protocol's file that this person's progression has moved, by path.
    go_on
        What an attempt that was killed leaves to go on with; None for a fresh one.
    flare
        For a flare that is told today; None where the protocol has no such rule.
    """

    protocol: str
    version: str
    envelope: Envelope
    device_step_ma: float
    phases: tuple[PhasePlan, ...]
    stop: StopRules
    thresholds: Thresholds | None = None
    sites: tuple[SitePlan, ...] = ()
    screening: ScreeningPlan = ScreeningPlan()
    overrides: Mapping[str, float] = field(default_factory=dict)
    go_on: Continuation | None = None
    flare: FlarePlan | None = None

    def site_of(self, channel: str) -> SitePlan | None:
        """Where a stimulation channel is."""
        return next((site for site in self.sites if channel in site.channels), None)
