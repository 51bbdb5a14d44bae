"""The script file: every act of operator and person, and every fault, of a session that nobody sits at.

::

    date: 2026-11-21
    operator: {name: A. Smith, role: operator, reaction: 0.2 s}
    others: clear
    forms:
      nrs: {current: 3, average_24h: 3, worst_24h: 5}
      nrs_now: person
    acts:
      - {at: 12 s, do: {score: 5}}
      - {when: {phase: train, trial: 2, state: hold, after: 2 s}, do: {fault: {kind: emg_lead_off, channel: ext}}}

It is played on SIM and BENCH rigs only; the gate refuses a script on any other.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from myoloop.experiments.protocols.fields import Count, Name, Seconds, SecondsOrZero, Strict, Text
from myoloop.platform.yamlfile import load_model

#: What a session can wait for; `ignore` names one.
Wait = Literal[
    "confirm", "arm_calibration", "step", "approve_envelope", "arm", "form", "override", "retry", "resume", "attend"
]  # fmt: skip
State = Literal["idle", "cue", "await_effort", "ramp_up", "hold", "ramp_down", "rest"]
Fault = Literal[
    "electrode_detaches",
    "partial_lift",
    "emg_lead_off",
    "emg_railed",
    "swapped_leads",
    "stream_stops",
    "repeated_block",
    "time_jump",
    "clock_gap",
    "spasm_provoked",
    "usb_unplug",
    "disk_full",
    "disk_slow",
    "controller_nan",
    "controller_exception",
    "controller_late",
    "second_program",
    "operator_absent",
    "power_loss",
]
#: What each kind of fault must be told; `for` may be told of any that can end.
NEEDS: dict[str, frozenset[str]] = {
    **dict.fromkeys(("electrode_detaches", "partial_lift", "emg_lead_off", "emg_railed", "spasm_provoked"),
                    frozenset({"channel"})),
    "swapped_leads": frozenset({"channel", "other"}),
    **dict.fromkeys(("time_jump", "clock_gap"), frozenset({"by"})),
    "controller_late": frozenset({"for"}),
    "disk_slow": frozenset({"for"}),
}  # fmt: skip
#: These have no end: what is gone stays gone.
FOR_GOOD = frozenset({"time_jump", "clock_gap", "spasm_provoked", "disk_full", "second_program", "power_loss"})


def _whole(value: Any) -> Any:
    """``do: stop`` is ``do: {stop: ""}``."""
    if not isinstance(value, str):
        return value
    if value not in Doing.model_fields:
        raise ValueError(f"allowed is {', '.join(Doing.model_fields)}")
    return {value: ""}


def _day(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError("allowed is a day as 2026-11-21, or a moment as 2026-11-21T14:30") from None
    if moment.tzinfo is not None:
        raise ValueError("allowed is a day, or a moment without a zone: it is taken as UTC")
    return text


def _score(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 10:
        raise ValueError("allowed is a number from 0 to 10")
    return float(value)


def _level(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError("allowed is a number from 0 to 1")
    return float(value)


#: ``nrs``, or with whose it is, ``skin.ext``.
FormName = Annotated[str, Field(strict=True, pattern=r"^[a-z0-9_]+(\.[a-z0-9_-]+)?$")]
Said = Annotated[str, Field(strict=True, max_length=2000)]


class Moment(Strict):
    """A place in the protocol: all that is named must hold, for `after` since it first did."""

    phase: Text | None = None
    block: Count | None = None
    trial: Count | None = None
    state: State | None = None
    waiting: Wait | None = None
    after_s: SecondsOrZero = Field(default=0.0, alias="after")

    @model_validator(mode="after")
    def _names_something(self) -> Moment:
        if all(each is None for each in (self.phase, self.block, self.trial, self.state, self.waiting)):
            raise ValueError("allowed is at least one of phase, block, trial, state, waiting")
        return self


class FaultSpec(Strict):
    """What goes wrong.

    Attributes
    ----------
    channel, other
        A muscle with EMG; of ``electrode_detaches`` a stimulation channel.
    source
        Whose samples; the first source if not named.
    for_s
        How long; to the end if not told.
    by_s
        By how much time stamps or clocks jump.
    """

    kind: Fault
    channel: Name | None = None
    other: Name | None = None
    source: Name | None = None
    for_s: Seconds | None = Field(default=None, alias="for")
    by_s: Seconds | None = Field(default=None, alias="by")

    @model_validator(mode="after")
    def _told_what_it_needs(self) -> FaultSpec:
        told = {"channel": self.channel, "other": self.other, "for": self.for_s, "by": self.by_s, "source": self.source}
        missing = sorted(name for name in NEEDS.get(self.kind, ()) if told[name] is None)
        if missing:
            raise ValueError(f"{self.kind} needs {' and '.join(missing)}")
        allowed = set(NEEDS.get(self.kind, ())) | ({"source"} if self.kind in SOURCE_FAULTS else set())
        allowed |= set() if self.kind in FOR_GOOD else {"for"}
        spare = sorted(name for name, value in told.items() if value is not None and name not in allowed)
        if spare:
            raise ValueError(f"{self.kind} takes no {' or '.join(spare)}")
        return self


SOURCE_FAULTS = frozenset({"stream_stops", "repeated_block", "time_jump"})


class FormAct(Strict):
    """A form filled in, asked for or not."""

    id: FormName
    values: dict[str, Any]


class Doing(Strict):
    """One act; exactly one of these. A text is the reason, or what was said."""

    stop: Said | None = None
    subject_stop: Said | None = None
    evacuate: Said | None = None
    pause: Said | None = None
    resume: Text | None = None
    hold: Said | None = None
    end: Said | None = None
    retry: Said | None = None
    skip_mvc: Said | None = None
    skip_optimise: Said | None = None
    mark: Said | None = None
    score: Annotated[float, BeforeValidator(_score)] | None = None
    level: Annotated[float, BeforeValidator(_level)] | None = None
    felt: Literal["sensory", "motor", "tolerance"] | None = None
    attend: Literal["on", "off"] | None = None
    ignore: Wait | None = None
    serve: Wait | None = None
    form: FormAct | None = None
    override: dict[str, Any] | None = None
    fault: FaultSpec | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Doing:
        if len(self.model_fields_set) != 1:
            raise ValueError(f"allowed is exactly one of {', '.join(Doing.model_fields)}")
        return self

    @property
    def kind(self) -> str:
        """Which of them it is."""
        return next(iter(self.model_fields_set))

    @property
    def value(self) -> Any:
        """What is told of it."""
        return getattr(self, self.kind)


class ScriptedAct(Strict):
    """When, and what."""

    at_s: SecondsOrZero | None = Field(default=None, alias="at")
    when: Moment | None = None
    do: Annotated[Doing, BeforeValidator(_whole)]

    @model_validator(mode="after")
    def _at_one_time(self) -> ScriptedAct:
        if (self.at_s is None) == (self.when is None):
            raise ValueError("allowed is either at (protocol time) or when (a place in the protocol)")
        return self


class ScriptOperator(Strict):
    """Who acts, and how long after the session begins to wait."""

    name: Text = "script"
    role: Literal["operator", "clinician"] = "operator"
    reaction_s: Seconds = Field(default=0.2, alias="reaction")


class Script(Strict):
    """A whole session's acts.

    Attributes
    ----------
    date
        The day it plays, as 24-hour rules and courses count it; noon UTC where no time is told. Today if not told.
    forms
        Answers, by form and field; ``person``: the virtual person answers it, with ``--speed max``.
    others
        ``clear``: screening forms that are not here are answered as by a person with nothing to find. Without it a
        form that is asked for and not here ends the session.
    """

    date: Annotated[str, Field(strict=True), AfterValidator(_day)] | None = None
    operator: ScriptOperator = ScriptOperator()
    forms: dict[FormName, dict[str, Any] | Literal["person"]] = Field(default_factory=dict)
    others: Literal["clear"] | None = None
    acts: tuple[ScriptedAct, ...] = ()

    @property
    def moment(self) -> datetime | None:
        """When it begins to play."""
        if self.date is None:
            return None
        told = datetime.fromisoformat(self.date)
        if len(self.date) == len("2026-11-21"):
            told = datetime.combine(date.fromisoformat(self.date), time(12))
        return told.replace(tzinfo=UTC)


def load_script(path: Path | str) -> Script:
    """Read a script.

    Raises
    ------
    FileError
        With every mistake in it, one line each.
    """
    return load_model(path, Script)
