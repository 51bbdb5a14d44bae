"""A task file: who is stimulated, what is to be held, how late everything is, what goes wrong, what is rewarded.

::

    name: isometric_hold
    people: {preset: acute_sci}
    trial: {ramp_s: 1.0, hold_s: 3.0, rest_s: 5.0, repetitions: 60}
    target_share: 0.2225
    faults:
      - {kind: force_lost, at_s: 120, for_s: 10}
    reward: reward.yaml

Numbers are in the unit that their key names. A task is plain data: ``Task.model_validate(task.model_dump())`` is it
again, so that it can stand in a work item or a model's card.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from myoloop.experiments.protocols.envelope import DEFAULTS
from myoloop.experiments.training.reward import FOLDER, Reward, load_reward
from myoloop.platform.yamlfile import FileError, at, explain, load_yaml

#: Tasks that come along, by name.
BUILT_IN = ("isometric_hold",)
#: A step of control.
STEP_S = 0.01
_NMES = DEFAULTS["nmes"]

FaultKind = Literal["force_lost", "force_stuck", "force_late", "pad_half_off", "lead_open", "threshold_drift"]


def _whole_steps(name: str, seconds: float) -> None:
    if not math.isclose(round(seconds / STEP_S) * STEP_S, seconds, abs_tol=1e-9):
        raise ValueError(f"{name}: found {seconds:g}, allowed is a multiple of {STEP_S:g}")


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class People(_Part):
    """Whom the task is done with.

    Attributes
    ----------
    preset
        Of the virtual cohort.
    fatigue_factor
        On each person's own rate of fatigue.
    non_responder_share
        Of the people: those whose muscle hardly answers to what they tolerate.
    spasms
        ``as_drawn``: at each person's own rate; ``none``: nobody has any.
    spasm_rate_per_min
        Everybody's rate instead, where it is given.
    """

    preset: Literal["demo", "able_bodied", "acute_sci", "chronic_sci"] = "acute_sci"
    fatigue_factor: float = Field(default=1.0, ge=0.0, le=3.0)
    non_responder_share: float = Field(default=0.0, ge=0.0, le=1.0)
    spasms: Literal["as_drawn", "none"] = "as_drawn"
    spasm_rate_per_min: float | None = Field(default=None, ge=0.0, le=30.0)


class Trial(_Part):
    """Timing of a trial; trials begin at fixed times.

    Attributes
    ----------
    ramp_s, hold_s, rest_s
        Up and down each, hold, rest after it.
    repetitions
        Trials.
    await_effort_s
        Above 0: the train waits for the person's effort for so long at most, then it is assisted. What is left of the
        wait is added to the rest.
    """

    ramp_s: float = Field(default=1.0, ge=0.1, le=10.0)
    hold_s: float = Field(default=3.0, ge=0.5, le=15.0)
    rest_s: float = Field(default=5.0, ge=0.5, le=120.0)
    repetitions: int = Field(default=60, ge=1, le=360)
    await_effort_s: float = Field(default=0.0, ge=0.0, le=1.0)

    @property
    def on_s(self) -> float:
        """Length of the train."""
        return 2.0 * self.ramp_s + self.hold_s

    @property
    def period_s(self) -> float:
        """From one trial's begin to the next."""
        return self.await_effort_s + self.on_s + self.rest_s

    @property
    def seconds(self) -> float:
        """Length of all trials."""
        return self.repetitions * self.period_s

    @model_validator(mode="after")
    def _on_the_grid(self) -> Trial:
        for name in ("ramp_s", "hold_s", "rest_s", "await_effort_s"):
            _whole_steps(name, getattr(self, name))
        return self


class Stimulation(_Part):
    """Pulses: only their current is controlled."""

    phase_us: float = Field(default=250.0, ge=50.0, le=500.0)
    rate_hz: float = Field(default=33.3, ge=13.0, le=100.0)


class Delays(_Part):
    """How late everything is.

    Attributes
    ----------
    sample_to_request_ms
        From the newest sample to the request at the gate, in whole steps of 10 ms; 10 in lockstep. The gate refuses
        what is older than 50 ms.
    request_to_pulse_ms
        From the gate's verdict to the device: 0 in lockstep, 5 to 15 over USB.
    electromechanical
        Whether force lags each pulse by the person's own delay beyond what the muscle's calcium makes.
    """

    sample_to_request_ms: Literal[10, 20, 30, 40, 50] = 10
    request_to_pulse_ms: int = Field(default=0, ge=0, le=9)
    electromechanical: bool = True


class Fault(_Part):
    """Something that goes wrong.

    Attributes
    ----------
    kind
        ``force_lost``: no force is heard. ``force_stuck``: the last value for ever. ``force_late``: heard `by_ms` late.
        ``pad_half_off``: the stimulation pad has half lifted, all thresholds are `factor` times as high.
        ``lead_open``: no current reaches the person, and the device does not notice. ``threshold_drift``: all
        thresholds go to `factor` times what they were, evenly over `for_s`, and stay there.
    at_s, for_s
        When, from the first trial's begin; for how long (None: to the end).
    share
        Of the people who have it, drawn with each person's seed.
    by_ms, factor
        How late; how many times the current is needed.
    """

    kind: FaultKind
    at_s: float = Field(default=0.0, ge=0.0, le=86400.0)
    for_s: float | None = Field(default=None, gt=0.0, le=86400.0)
    share: float = Field(default=1.0, ge=0.0, le=1.0)
    by_ms: int = Field(default=100, ge=10, le=1000, multiple_of=10)
    factor: float = Field(default=1.3, ge=0.3, le=3.0)

    @model_validator(mode="after")
    def _only_its_own(self) -> Fault:
        own = {"force_late": {"by_ms"}, "pad_half_off": {"factor"}, "threshold_drift": {"factor"}}.get(self.kind, set())
        for name in ("by_ms", "factor"):
            if name in self.model_fields_set and name not in own and getattr(self, name) != _default(name):
                raise ValueError(f"{name} says nothing of {self.kind}")
        if self.kind == "threshold_drift" and self.for_s is None:
            raise ValueError("for_s is needed: over which time the thresholds drift")
        return self


class Limits(_Part):
    """The participant's envelope; what is not said is what a protocol gets that says nothing.

    Attributes
    ----------
    tolerance_share
        The most current is this share of what the person tolerates, rounded down to the device's step.
    current_max_ma, current_step_ma
        Of the device.
    session_s
        Longest time with current.
    """

    tolerance_share: float = Field(default=1.0, gt=0.0, le=1.0)
    current_max_ma: float = Field(default=100.0, gt=0.0, le=130.0)
    current_step_ma: float = Field(default=0.5, gt=0.0, le=1.0)
    pad_area_cm2: float = Field(default=25.0, ge=6.0, le=400.0)
    charge_per_phase_uc: float = Field(default=_NMES.charge_per_phase_uc, gt=0.0, le=50.0)
    rms_ma: float = Field(default=_NMES.rms_ma, gt=0.0, le=25.0)
    rms_density_ma_cm2: float = Field(default=_NMES.rms_density_ma_cm2, gt=0.0, le=2.0)
    power_density_w_cm2: float = Field(default=0.1, gt=0.0, le=0.1)
    on_s_max: float = Field(default=6.0, gt=0.0, le=20.0)
    duty_max: float = Field(default=_NMES.duty_max, gt=0.0, le=0.5)
    session_s: float = Field(default=_NMES.session_s, gt=0.0, le=3600.0)
    session_charge_mc_max: float | None = Field(default=None, gt=0.0, le=20000.0)
    step_ma: float = Field(default=_NMES.step_ma, gt=0.0, le=5.0)
    new_ground_ma_per_s: float = Field(default=_NMES.new_ground_ma_per_s, gt=0.0, le=20.0)
    known_ground_ramp_s_min: float = Field(default=_NMES.known_ground_ramp_s_min, ge=0.1, le=10.0)

    @model_validator(mode="after")
    def _whole_codes(self) -> Limits:
        if not math.isclose(round(1.0 / self.current_step_ma) * self.current_step_ma, 1.0, abs_tol=1e-9):
            raise ValueError(f"current_step_ma: found {self.current_step_ma:g}, allowed is 1 mA over a whole number")
        return self


class Task(_Part):
    """What is to be learnt or compared.

    Attributes
    ----------
    target_share
        Set point, as a share of the force of the person's fresh muscle.
    decide_every_s
        How often a learner decides; the classic controller goes on between.
    supervisor
        Whether the reflexes of a session (spasm, fatigue, task planned anew) stand between policy and gate.
    """

    name: str = Field(min_length=1, max_length=60)
    people: People = People()
    trial: Trial = Trial()
    target_share: float = Field(default=0.2225, gt=0.0, le=0.9)
    stimulation: Stimulation = Stimulation()
    decide_every_s: float = Field(default=0.1, ge=STEP_S, le=2.0)
    delays: Delays = Delays()
    faults: tuple[Fault, ...] = ()
    envelope: Limits = Limits()
    supervisor: bool = False
    reward: Reward

    @model_validator(mode="after")
    def _fits(self) -> Task:
        _whole_steps("decide_every_s", self.decide_every_s)
        if self.trial.on_s > self.envelope.on_s_max:
            raise ValueError(
                f"a train of {self.trial.on_s:g} s, allowed is up to envelope.on_s_max ({self.envelope.on_s_max:g} s)"
            )
        if 2.0 * self.stimulation.phase_us * 1e-6 * self.stimulation.rate_hz > 1.0:
            raise ValueError("stimulation: two phases do not fit between two pulses")
        return self

    @property
    def decide_steps(self) -> int:
        """Steps of control from one decision of a learner to the next."""
        return round(self.decide_every_s / STEP_S)

    def changed(self, **changes: Any) -> Task:
        """The same task with whole keys of it replaced, checked as a file is.

        Raises
        ------
        ValueError
            Saying what is not allowed.
        """
        told = {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in changes.items()}
        return Task.model_validate({**self.model_dump(), **told})


def load_task(path: Path | str) -> Task:
    """Read a task file, or a task that comes along by its name.

    Raises
    ------
    myoloop.platform.yamlfile.FileError
        With every mistake in the file and in its reward file, each with its line.
    """
    file = FOLDER / f"{path}.yaml" if str(path) in BUILT_IN else Path(path)
    data, lines = load_yaml(file)
    if isinstance(data, dict) and isinstance(data.get("reward"), str):
        beside = file.parent / data["reward"]
        if not beside.is_file():
            raise FileError([f"{at(file, lines, ('reward',))}: found {data['reward']!r}, there is no file {beside}"])
        data = {**data, "reward": load_reward(beside).model_dump()}
    try:
        return Task.model_validate(data)
    except ValidationError as error:
        raise FileError(explain(error, file, data, lines, Task)) from None


def _default(name: str) -> Any:
    return Fault.model_fields[name].default
