"""What the screening gate can object to, and an override of it; the items themselves stand in `items`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Literal

from myoloop.experiments.screening.places import Scope

#: How it weighs: blocks for good; blocks but for an override; is shown and calls for a clinician; is shown.
Kind = Literal["absolute", "override", "precaution", "information"]
#: How it is answered; `place` names parts of the body, `found` items come of no question but of a rule of the gate.
Answer = Literal["yes_no", "yes_no_unsure", "place", "found"]

#: Who a person with a say can be. An operator never overrides.
ROLES = (
    "clinician", "physician", "cardiologist", "neurologist", "oncologist", "obstetrician", "surgeon", "dermatologist",
)  # fmt: skip
#: Answers to a question about places that name none.
NOWHERE, UNSURE = "none", "unsure"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that the gate can object to.

    Attributes
    ----------
    id
        Its name, and the key of its answer in the form.
    form
        The form that asks it, or "" where a rule finds it.
    text
        The question, or what was found.
    kind, scope
        How it weighs, and on which sites.
    answer
        How it is answered.
    clear
        The answer without a finding; every other one is a finding, unsure too.
    never
        Where no override counts, beside what `kind` says.
    override_by, valid_days
        Roles that may override, and how many days an override counts, the day it is given being 0.
    named_sites
        Whether an override must name its sites, ``all`` being none.
    rows, sources
        Rows of the table of claims; marks of sources beyond it.
    """

    id: str
    form: str
    text: str
    kind: Kind
    scope: Scope = "all"
    answer: Answer = "yes_no_unsure"
    clear: str = "no"
    never: Scope | None = None
    override_by: tuple[str, ...] = ()
    valid_days: int = 0
    named_sites: bool = False
    rows: tuple[int, ...] = ()
    sources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        overridable = self.kind == "override"
        if overridable != bool(self.override_by) or (self.never is not None and not overridable):
            raise ValueError(f"{self.id}: who may override must be told of an item that can be, and of no other")
        if not set(self.override_by) <= set(ROLES):
            raise ValueError(f"{self.id}: override_by: found {self.override_by}, allowed: {', '.join(ROLES)}")
        if not self.rows and not self.sources:
            raise ValueError(f"{self.id}: an item must tell where it comes from")

    def is_clear(self, value: Any) -> bool:
        """Whether a well-formed answer is without a finding."""
        if self.answer == "place":
            return list(value) == [NOWHERE]
        return bool(value == self.clear)


@dataclass(frozen=True, slots=True)
class Override:
    """A named person's decision that a finding does not keep today's session from some sites.

    Attributes
    ----------
    sites
        Names of sites, or ``all`` alone.
    """

    item: str
    name: str
    role: str
    reason: str
    given: date
    sites: tuple[str, ...]

    def problem(self, item: Item, today: date) -> str:
        """Why it does not count for an item; "" if it does."""
        if item.kind != "override":
            return "nobody may override this"
        if self.item != item.id:
            return f"the override is for {self.item}"
        if not self.name.strip() or not self.reason.strip():
            return "the override needs a name and a reason"
        if self.role not in item.override_by:
            return f"{self.role} may not override this, allowed: {', '.join(item.override_by)}"
        if self.given > today:
            return f"the override is of {self.given}, which is not yet"
        if (today - self.given).days > item.valid_days:
            return f"the override of {self.given} counted for {item.valid_days} days"
        if item.named_sites and "all" in self.sites:
            return "the override must name each site it is for"
        return ""
