"""What a person may do with labels, and what keeps an act from being one: pure, nothing is written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from math import isfinite
from typing import Any

from myoloop.experiments.review.labels import CLASSES, Label, Span, State

ACTS = ("confirm", "reject", "move", "reclass", "add", "whole")
#: Acts that need a reason.
_REASONED = frozenset({"reject", "move", "reclass", "add"})
#: Times are the same that differ by no more: a file of labels has microseconds.
SAME_S = 1e-6
#: Acts on a label that is there.
OF_LABEL = ("confirm", "reject", "move", "reclass")


@dataclass(frozen=True, slots=True)
class Act:
    """One act on one label.

    Attributes
    ----------
    act
        ``confirm``, ``reject``, ``move`` (to `span`), ``reclass`` (it is of `kind`), ``add``, or ``whole``: the
        recording was looked through for events of a class that the detector missed.
    id
        Of the label; empty for ``add`` and ``whole``.
    span
        Where; of `confirm`, `reject` and `reclass`, as of `kind` and `muscle`, what is said must be what the label is.
    kind, muscle
        Of what is added, or was looked for (no muscle means all); what a label becomes that is of another class.
    """

    act: str
    id: str = ""
    kind: str = ""
    muscle: str = ""
    span: Span | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class Labels:
    """Labels as they stand.

    Attributes
    ----------
    by_id
        Every label, of which some may be rejected.
    whole
        Classes that somebody has looked through for missed events, each with the muscle; "" for all.
    muscles
        Those that were heard: others have no labels.
    end_s
        Where the recording ends.
    """

    by_id: Mapping[str, Label]
    muscles: tuple[str, ...]
    end_s: float
    whole: frozenset[tuple[str, str]] = field(default_factory=frozenset)

    def problem(self, act: Act) -> str:
        """Why an act cannot be done; empty if it can."""
        if act.act not in ACTS:
            return f"act: found {act.act!r}, allowed: {', '.join(ACTS)}"
        if act.act in _REASONED and not act.why.strip():
            return f"why: {act.act} needs a reason"
        if act.act in OF_LABEL:
            if act.id not in self.by_id:
                return f"id: found {act.id!r}, there is no such label"
            if act.act == "confirm" and self.by_id[act.id].state in ("moved", "reclassed", "added"):
                return f"id: {act.id} was {self.by_id[act.id].state} by a person, who has confirmed it so"
            if problem := self._other_problem(act) or (self._class_problem(act) if act.act == "reclass" else ""):
                return problem
        else:
            if act.kind not in CLASSES:
                return f"class: found {act.kind!r}, allowed: {', '.join(CLASSES)}"
            if act.muscle not in self.muscles and not (act.act == "whole" and not act.muscle):
                return f"muscle: found {act.muscle!r}, allowed: {', '.join(self.muscles) or 'none was heard'}"
        return self._span_problem(act) if act.act in ("move", "add") else ""

    def _other_problem(self, act: Act) -> str:
        """What an act says of its label that it does not change, and that the label is not."""
        label = self.by_id[act.id]
        if act.muscle and act.muscle != label.muscle:
            return f"muscle: found {act.muscle!r}, {act.id} is of {label.muscle}: reject it, and add it there"
        if act.act != "reclass" and act.kind and act.kind != label.kind:
            return f"class: found {act.kind!r}, {act.id} is of class {label.kind}: use reclass"
        if act.act == "move" or act.span is None:
            return ""
        for name, found, own in zip(Span._fields, act.span, label.span, strict=True):
            if (found is None) != (own is None) or abs((found or 0.0) - (own or 0.0)) > SAME_S:
                said = "nothing" if found is None else f"{found:.6f}"
                there = "the end of the recording" if own is None else f"{own:.6f} s"
                return f"{name}: found {said}, {act.id} has {there}: use move"
        return ""

    def _class_problem(self, act: Act) -> str:
        if act.kind not in CLASSES:
            return f"class: found {act.kind!r}, allowed: {', '.join(CLASSES)}"
        if act.kind == self.by_id[act.id].kind:
            return f"class: {act.id} is of class {act.kind} already"
        return ""

    def _span_problem(self, act: Act) -> str:
        if act.span is None:
            return f"begin_s: {act.act} needs where"
        begin_s, end_s = act.span
        if not isfinite(begin_s) or not 0.0 <= begin_s <= self.end_s:
            return f"begin_s: found {begin_s:g}, allowed: 0 to {self.end_s:g} s"
        if end_s is not None and not begin_s < end_s <= self.end_s:
            return f"end_s: found {end_s:g}, allowed: after {begin_s:g} s, up to {self.end_s:g} s"
        return ""

    def after(self, act: Act) -> Labels:
        """The labels after an act that has no problem."""
        if act.act == "whole":
            return replace(self, whole=self.whole | {(act.kind, act.muscle)})
        if act.act == "add" and act.span is not None:
            number = 1 + sum(each.detected is None for each in self.by_id.values())
            new = Label(f"added-{number}", act.kind, act.muscle, None, act.span, "added")
            return replace(self, by_id={**self.by_id, new.id: new})
        old = self.by_id[act.id]
        if act.act == "move" and act.span is not None:
            state: State = "added" if old.detected is None else "moved"
            changed = replace(old, span=act.span, state=state)
        elif act.act == "reclass":
            said = old.detected_kind if old.detected_kind != act.kind else ""
            state = "added" if old.detected is None else "reclassed"
            changed = replace(old, kind=act.kind, detected_as=said, state=state)
        elif act.act == "confirm":
            # Of a rejected label that a person had added, this is a word taken back.
            changed = replace(old, state="added" if old.detected is None else "confirmed")
        else:
            changed = replace(old, state="rejected")
        return replace(self, by_id={**self.by_id, act.id: changed})


def problems_of(labels: Labels, acts: Iterable[Act]) -> list[tuple[int, str]]:
    """What is wrong with acts done one after the other: (place in the row of acts, what) of each that cannot be."""
    found = []
    for place, act in enumerate(acts):
        problem = labels.problem(act)
        if problem:
            found.append((place, problem))
        else:
            labels = labels.after(act)
    return found


def label_data(label: Label | None) -> dict[str, Any] | None:
    """A label as the log keeps it."""
    if label is None:
        return None
    return {
        "class": label.kind, "muscle": label.muscle, "begin_s": label.span.begin_s, "end_s": label.span.end_s,
        "state": label.state, **({"detected_as": label.detected_as} if label.detected_as else {}),
    }  # fmt: skip
