"""What stands above one session: the course, its arms, who gets which, how they are hidden, how treatment goes on."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from myoloop.experiments.protocols.fields import (
    Count,
    Duration,
    Name,
    Number,
    PartOfTheWay,
    Seconds,
    Share,
    Strict,
    Text,
)


class Tidier(Strict):
    """The TIDieR items of an intervention's description that no other part of the file answers."""

    why: Text
    materials: Text
    procedure: Text
    provider: Text
    mode: Text
    where: Text
    when_and_how_much: Text
    tailoring: Text
    modifications: Text
    fidelity: Text


class Spirit(Strict):
    """The SPIRIT items that trial protocols forget most often, each of them required."""

    unblinding: Text
    auditing: Text
    modification_criteria: Text
    adherence: Text
    harms: Text


class Population(Strict):
    """Who may take part, in words; what screening can check it checks by its forms.

    Attributes
    ----------
    competency
        What an operator of this protocol must be used to.
    post_operative
        Whether it is for people after an operation: their site must have been cleared for it.
    """

    include: tuple[Text, ...] = ()
    exclude: tuple[Text, ...] = ()
    competency: str = ""
    post_operative: bool = False


class FirstSession(Strict):
    """The first session is smaller: shares of the envelope's current and of its time on."""

    current_share: Share
    on_share: Share


class Diary(Strict):
    """A form to be filled in so long after each session, and for so long at the latest."""

    form: Name
    after_s: tuple[Duration, ...] = Field(alias="after", min_length=1)
    within_s: Duration = Field(default=12 * 3600.0, alias="within")


class Course(Strict):
    """How often and how long.

    Attributes
    ----------
    min_gap_s
        From one session's begin to the next one's.
    followups_s
        From the course's end.
    carry_over, washout_s
        Whether what one treatment does carries over to the next, and how long is waited for it to be gone.
    """

    sessions_per_week: Count
    weeks: Count
    max_sessions: Count
    min_gap_s: Duration = Field(alias="min_gap")
    sessions_per_day: Count = 1
    first_session: FirstSession | None = None
    followups_s: tuple[Duration, ...] = Field(default=(), alias="followups")
    diary: tuple[Diary, ...] = ()
    washout_s: Duration | None = Field(default=None, alias="washout")
    carry_over: bool = False


class Arm(Strict):
    """One arm of a study.

    Attributes
    ----------
    treatment
        ``active``, or ``sham`` as the section `sham` has it.
    """

    treatment: Literal["active", "sham"]
    text: str = ""


class EmergencyUnblinding(Strict):
    """Who may open one person's arm; it is always two steps and audited."""

    roles: tuple[Text, ...] = Field(min_length=1)


class Allocation(Strict):
    """How persons get their arm.

    Attributes
    ----------
    list_sha256
        Hash of the sealed list that was imported into the study.
    blinded
        Roles that must not learn the arm.
    """

    method: Literal["simple", "permuted_blocks", "minimisation"]
    strata: tuple[Name, ...] = ()
    list_sha256: str = Field(alias="list", pattern=r"^[0-9a-f]{64}$")
    blinded: tuple[Text, ...] = ("operator", "person", "assessor")
    emergency_unblinding: EmergencyUnblinding


class BlindingCheck(Strict):
    """When persons are asked which arm they think they are in."""

    form: Name = "blinding_guess"
    during: bool
    after: bool


class Sham(Strict):
    """What is given instead.

    Attributes
    ----------
    type
        ``transient``: as planned for `on_s` of each train's beginning, then down to zero within `fade_s` and zero from
        there; ``zero_current``: nothing at all, ever.
    on_s, fade_s
        Of a transient sham.
    """

    type: Literal["transient", "zero_current"]
    on_s: Seconds | None = Field(default=None, alias="on")
    fade_s: Seconds | None = Field(default=None, alias="fade")
    check: BlindingCheck | None = None

    @model_validator(mode="after")
    def _lengths_of_a_transient(self) -> Sham:
        if (self.type == "transient") != (self.on_s is not None and self.fade_s is not None):
            raise ValueError("allowed is {type: transient, on, fade} or {type: zero_current}")
        return self


class Progression(Strict):
    """One rule: where a measure of so many sessions (or blocks) in a row is so, one value of the file moves a step.

    Attributes
    ----------
    measure
        An outcome's id.
    path
        Of a plain number or factor in this file, such as ``phases[3].block.intensity.share``.
    by, least, most
        The step (negative for regression), and the bounds.
    """

    name: Text
    when: Literal["session_end", "block_end"] = "session_end"
    measure: Name
    at_least: Number | None = None
    below: Number | None = None
    in_a_row: Count = 1
    path: Text
    by: Number
    least: Number
    most: Number

    @model_validator(mode="after")
    def _one_comparison(self) -> Progression:
        if (self.at_least is None) == (self.below is None):
            raise ValueError("allowed is exactly one of at_least, below")
        if not self.least < self.most or self.by == 0:
            raise ValueError("allowed is by other than 0, and least below most")
        return self


class FlareRule(Strict):
    """After a flare that is recorded, the next session's dose is this share of what it would be.

    One that is told in a session, before anything is given, makes that very session smaller as well.
    """

    next_share: PartOfTheWay
