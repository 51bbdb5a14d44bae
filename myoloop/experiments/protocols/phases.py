"""The phases of a protocol: screening, questions, checks, rest, MVC, calibration, set-up, blocks of trials."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from myoloop.experiments.protocols.fields import (
    Count,
    CountOrZero,
    Current,
    Factor,
    Name,
    PartOfTheWay,
    PulseWidth,
    Rate,
    Resistance,
    Score,
    Seconds,
    SecondsOrZero,
    Strict,
    Text,
    Voltage,
)

Threshold = Literal["sensory", "motor", "tolerance"]
#: The settings that an `optimise` phase has chosen, instead of a threshold.
OPTIMUM = "optimum"


class ScreeningPhase(Strict):
    """Forms that decide whether the session may go on at all; what they find blocks sites or the person."""

    name: Text = "screening"
    forms: tuple[Name, ...] = Field(min_length=1)
    prompt: str = "Please answer the questions."


class QuestionsPhase(Strict):
    """Forms that are asked and kept, and block nothing but by a stop rule (a pain score, say)."""

    name: Text = "questions"
    forms: tuple[Name, ...] = Field(min_length=1)
    prompt: str = "Please answer the questions."


class ChecksPhase(Strict):
    """What must be right before anything is given.

    Attributes
    ----------
    device
        The stimulator's self-test has passed; on a HUMAN rig also a run on a dummy load.
    placement
        Each electrode's place is signed, pad by pad.
    listen_s, noise_max_uv
        EMG of every channel is heard for so long at rest, and its RMS is at most this.
    impedance_max_ohm
        Where the device measures it.
    selectivity
        The muscle that is stimulated is the one that answers most, in the calibration before.
    """

    name: Text = "checks"
    device: bool = True
    placement: bool = True
    listen_s: Seconds = Field(default=5.0, alias="listen")
    noise_max_uv: Voltage | None = Field(default=None, alias="noise_max")
    impedance_max_ohm: Resistance | None = Field(default=None, alias="impedance_max")
    selectivity: bool = False
    prompt: str = "Rest. Do not move."


class MvcPhase(Strict):
    """Strongest voluntary contractions, without stimulation; the norm of later effort.

    Attributes
    ----------
    muscle
        A site with EMG.
    repeats, hold_s, rest_s
        How many, each how long, and the rest after each.
    skip
        What norms effort for a person who cannot or may not: the noise at rest, or the largest evoked answer.
        ``refuse`` ends the session instead.
    """

    name: Text = "MVC"
    muscle: Name
    repeats: Count = 3
    hold_s: Seconds = Field(default=5.0, alias="hold")
    rest_s: Seconds = Field(default=60.0, alias="rest")
    skip: Literal["rest_noise", "max_evoked", "refuse"] = "rest_noise"
    prompt: str = "Pull as hard as you comfortably can."


class RestPhase(Strict):
    """Nothing is asked and nothing is given; `baseline` lets the estimators learn what rest looks like."""

    name: Text = "rest"
    duration_s: Seconds = Field(alias="duration")
    baseline: bool = True
    prompt: str = "Rest. Do not move."


class CalibrationPhase(Strict):
    """Rising steps, each an act of the operator, until the person says what was asked for.

    Attributes
    ----------
    order
        Thresholds in the order they are met; the last one ends an ascent.
    start_ma, step_ma, stop_at_ma
        First level, its increment, and the highest level tried.
    interval_s, burst_s
        From one step to the next at the soonest, and how long each is on.
    channels, phase_us, rate_hz
        Whose thresholds, and with which pulses if other than the channel's own.
    catch_trials
        So many steps of each ascent give nothing, unknown to the person: who feels them is not believed.
    abort_pain_rise
        The ascent ends as at tolerance where the pain score rises by so much.
    """

    name: Text = "calibration"
    method: Literal["ascending_steps"] = "ascending_steps"
    order: tuple[Threshold, ...] = Field(min_length=1)
    step_ma: Current = Field(alias="step")
    start_ma: Current | None = Field(default=None, alias="start")
    stop_at_ma: Current = Field(alias="stop_at")
    interval_s: Seconds = Field(alias="interval")
    burst_s: Seconds = Field(alias="burst")
    repeats: Count = 1
    channels: tuple[Name, ...] = ()
    phase_us: PulseWidth | None = Field(default=None, alias="phase")
    rate_hz: Rate | None = Field(default=None, alias="rate")
    catch_trials: CountOrZero = 0
    abort_pain_rise: Score | None = None
    prompt: str = "Say when you feel it, when the muscle moves, and when it is enough."


class OptimisePhase(Strict):
    """Trains at one setting after the other, by Bayesian optimisation; the best that was comfortable is chosen.

    After each train the person rates its discomfort, 0 to 10.

    Attributes
    ----------
    response
        What is to be largest: ``movement`` of the joint (by the IMU), or the ``mwave`` of the muscle under the pads.
    channels
        Pads to choose from; each is tried alone.
    levels
        Currents to choose from: shares of the way from motor threshold to the most this person may have, rising.
    phases_us, rates_hz
        Widths and rates to choose from, rising; those of the calibration are among them.
    trials
        At most so many; no more than 60, so that a proposal fits into a step of the director.
    discomfort_max
        The highest rating allowed; a setting that is rated higher is not given again, nor a stronger one.
    abort_pain_rise
        A pain score that has risen by so much ends the train and counts as such a rating.
    kappa
        How much what is not known counts: standard deviations of the upper bound by which a setting is proposed.
    ramp_up_s, hold_s, ramp_down_s, rest_s
        Of each train; the response is that of the hold.
    """

    name: Text = "set-up"
    response: Literal["movement", "mwave"]
    channels: tuple[Name, ...] = ()
    levels: tuple[PartOfTheWay, ...] = Field(min_length=1)
    phases_us: tuple[PulseWidth, ...] = Field(default=(), alias="phases")
    rates_hz: tuple[Rate, ...] = Field(default=(), alias="rates")
    trials: Annotated[int, Field(strict=True, ge=1, le=60)]
    discomfort_max: Score = 7.0
    abort_pain_rise: Score | None = None
    kappa: Factor = 3.0
    ramp_up_s: Seconds = Field(default=0.3, alias="ramp_up")
    hold_s: Seconds = Field(alias="hold")
    ramp_down_s: Seconds = Field(default=0.3, alias="ramp_down")
    rest_s: Seconds = Field(alias="rest")
    prompt: str = "Stay relaxed. Afterwards say how unpleasant it was, from 0 to 10."

    @model_validator(mode="after")
    def _rising(self) -> OptimisePhase:
        for key, values in (("levels", self.levels), ("phases", self.phases_us), ("rates", self.rates_hz)):
            if any(later <= sooner for sooner, later in pairwise(values)):
                raise ValueError(f"{key} must rise, each once")
        return self


class AwaitEffort(Strict):
    """How long an effort is waited for, and what happens without one; what an effort is, the policy judges."""

    timeout_s: Seconds = Field(alias="timeout")
    on_timeout: Literal["assist", "skip"]


class Intensity(Strict):
    """How strong: a threshold times `x`, or a `share` of the way from it `to` a higher one, or fixed microcurrent.

    `ref` ``optimum`` is the current of the settings that an `optimise` phase before it has chosen; its pads, width and
    rate come with it.
    """

    ref: Threshold | Literal["optimum"] | None = None
    x: Factor | None = None
    share: PartOfTheWay | None = None
    to: Threshold = "tolerance"
    fixed_ma: Current | None = Field(default=None, alias="fixed")

    @model_validator(mode="after")
    def _one_way_of_saying_it(self) -> Intensity:
        ways = sum(way is not None for way in (self.x, self.share, self.fixed_ma))
        if ways != 1 or (self.ref is None) != (self.fixed_ma is not None):
            raise ValueError("allowed is {ref, x} or {ref, share, to} or, for microcurrent, {fixed}")
        if self.ref == OPTIMUM and self.x is None:
            raise ValueError("optimum is one current: allowed is {ref: optimum, x: 1.0} or less")
        if self.share is not None and self.ref == self.to:
            raise ValueError(f"a share needs two thresholds, {self.ref} and {self.to} are one")
        return self


def _no_bare_number(value: Any) -> Any:
    if isinstance(value, dict | Intensity):
        return value
    raise ValueError(
        "a bare value is no intensity; allowed is a threshold of the person times a factor, like {ref: motor, x: 1.2}"
    )


class Condition(Strict):
    """One way in which a block's trials differ: another intensity, or other pulses."""

    intensity: Annotated[Intensity, BeforeValidator(_no_bare_number)] | None = None
    phase_us: PulseWidth | None = Field(default=None, alias="phase")
    rate_hz: Rate | None = Field(default=None, alias="rate")


class BlockPhase(Strict):
    """Trials; `repeat` times with `between` of rest.

    Attributes
    ----------
    machine
        ``effort`` (a train answers an effort), ``cyclic`` (trains by the clock), ``continuous`` (one long train).
    cue_s, ramp_up_s, hold_s, ramp_down_s, rest_s
        Length of the trial's states.
    await_effort
        For machine ``effort``.
    at_most_s
        After this long no new trial begins, however many are left.
    channels, phase_us, rate_hz
        Which channels, and with which pulses if other than their own.
    conditions, order
        Trials take turns in these, in the order of the file, at random, or balanced (each as often as the others,
        shuffled in groups); drawn from the session's name, so that a replay and a reader find the same.
    prompts
        Forms asked after each repetition.
    """

    name: Text = "block"
    repeat: Count = 1
    between_s: SecondsOrZero = Field(default=0.0, alias="between")
    trials: Count = 1
    at_most_s: Seconds | None = Field(default=None, alias="at_most")
    machine: Literal["effort", "cyclic", "continuous"]
    cue_s: SecondsOrZero = Field(default=0.0, alias="cue")
    await_effort: AwaitEffort | None = Field(default=None, alias="await")
    ramp_up_s: Seconds = Field(alias="ramp_up")
    hold_s: Seconds = Field(alias="hold")
    ramp_down_s: Seconds = Field(alias="ramp_down")
    rest_s: SecondsOrZero = Field(default=0.0, alias="rest")
    intensity: Annotated[Intensity, BeforeValidator(_no_bare_number)]
    channels: tuple[Name, ...] = ()
    phase_us: PulseWidth | None = Field(default=None, alias="phase")
    rate_hz: Rate | None = Field(default=None, alias="rate")
    conditions: dict[Name, Condition] = Field(default_factory=dict)
    order: Literal["fixed", "random", "balanced"] = "fixed"
    prompts: tuple[Name, ...] = ()
    prompt: str = ""

    @model_validator(mode="after")
    def _waits_only_for_effort(self) -> BlockPhase:
        if self.machine == "effort" and self.await_effort is None:
            raise ValueError("machine effort needs await: {timeout, on_timeout}")
        if self.machine != "effort" and self.await_effort is not None:
            raise ValueError(f"machine {self.machine} waits for no effort; await is allowed with effort only")
        return self

    def variants(self) -> tuple[tuple[tuple[str, ...], BlockPhase], ...]:
        """What a trial of it can be: below which keys of the block it stands, and the block with its values."""
        if not self.conditions:
            return (((), self),)
        return tuple(
            (
                ("conditions", name),
                self.model_copy(
                    update={
                        "intensity": each.intensity or self.intensity,
                        "phase_us": each.phase_us or self.phase_us,
                        "rate_hz": each.rate_hz or self.rate_hz,
                    }
                ),
            )
            for name, each in self.conditions.items()
        )


#: What a phase may be.
AnyPhase = (
    ScreeningPhase | QuestionsPhase | ChecksPhase | RestPhase | MvcPhase | CalibrationPhase | OptimisePhase | BlockPhase
)
Kind = Literal["screening", "questions", "checks", "rest", "mvc", "calibration", "optimise", "block"]


class PhaseItem(Strict):
    """One entry of `phases`: exactly one of the kinds."""

    screening: ScreeningPhase | None = None
    questions: QuestionsPhase | None = None
    checks: ChecksPhase | None = None
    rest: RestPhase | None = None
    mvc: MvcPhase | None = None
    calibration: CalibrationPhase | None = None
    optimise: OptimisePhase | None = None
    block: BlockPhase | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> PhaseItem:
        if len(self._parts()) != 1:
            raise ValueError(f"allowed is exactly one of {', '.join(PhaseItem.model_fields)}")
        return self

    @property
    def kind(self) -> Kind:
        """Which of them it is."""
        return next(iter(self._parts()))

    @property
    def content(self) -> AnyPhase:
        """The one that is there."""
        return next(iter(self._parts().values()))

    def _parts(self) -> dict[Kind, AnyPhase]:
        named: dict[Kind, AnyPhase | None] = {
            "screening": self.screening, "questions": self.questions, "checks": self.checks, "rest": self.rest,
            "mvc": self.mvc, "calibration": self.calibration, "optimise": self.optimise, "block": self.block,
        }  # fmt: skip
        return {kind: part for kind, part in named.items() if part is not None}
