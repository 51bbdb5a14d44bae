"""The screening gate: who may be stimulated where today, from what was answered and what is known.

It is closed until everything has been answered, and nothing that is missing, malformed or unsure is taken for the
answer without a finding. More findings never open anything.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from myoloop.experiments.screening.adverse import event_of, not_followed_up, sites_closed_by
from myoloop.experiments.screening.equipment import device_problems, pads_worn
from myoloop.experiments.screening.fields import parsed_date
from myoloop.experiments.screening.forms import form_of, mistakes_in
from myoloop.experiments.screening.history import History
from myoloop.experiments.screening.item import Item, Override
from myoloop.experiments.screening.items import ITEMS, item_of
from myoloop.experiments.screening.patch_test import reacted, still_open
from myoloop.experiments.screening.places import PlannedSite, sites_within

#: Forms without which nobody is stimulated; a protocol may ask for more, never for fewer.
ONCE_A_SESSION = (
    "contraindications", "medication", "concomitant_care", "consent", "information", "clearance", "supervision",
    "inspection",
)  # fmt: skip
PER_SITE = ("skin", "placement", "pads")
#: How long a clearance counts (PROP).
CLEARANCE_DAYS = 180
RIG_CLASSES = ("SIM", "BENCH", "HUMAN")
#: Of the device; they keep nobody from a rehearsal, whose stimulator is on no person.
_ON_PERSONS_ONLY = frozenset({"device_unknown", "safety_test_expired", "self_test_old"})


@dataclass(frozen=True, slots=True)
class Block:
    """Something that keeps some sites closed.

    Attributes
    ----------
    item
        Its id in `items`.
    sites
        Names of the planned sites.
    why
        What was answered or found.
    override_by
        Roles that could open them; () where nobody can.
    unanswered
        Whether an answer is all that is missing.
    """

    item: str
    sites: tuple[str, ...]
    why: str
    override_by: tuple[str, ...] = ()
    unanswered: bool = False


@dataclass(frozen=True, slots=True)
class Caution:
    """Something to see and to report that closes no site."""

    item: str
    sites: tuple[str, ...]
    why: str


@dataclass(frozen=True, slots=True)
class Overridden:
    """A finding that a named person has overridden for some sites; `given_on` is an ISO date."""

    item: str
    sites: tuple[str, ...]
    why: str
    name: str
    role: str
    reason: str
    given_on: str


@dataclass(frozen=True, slots=True)
class Screened:
    """What screening came to.

    Attributes
    ----------
    sites
        Names of the planned sites.
    blocked, warnings, overridden
        In the order of the items.
    """

    sites: tuple[str, ...]
    blocked: tuple[Block, ...]
    warnings: tuple[Caution, ...]
    overridden: tuple[Overridden, ...]

    @property
    def free_sites(self) -> tuple[str, ...]:
        """The sites that may be stimulated."""
        closed = {site for block in self.blocked for site in block.sites}
        return tuple(site for site in self.sites if site not in closed)

    def to_json(self) -> dict[str, Any]:
        """Plain data for a file, the free sites with it."""
        return {**asdict(self), "free_sites": self.free_sites}


@dataclass(frozen=True, slots=True)
class _Finding:
    item: Item
    sites: tuple[str, ...]
    why: str
    unanswered: bool = False


def required_forms(sites: Sequence[PlannedSite]) -> tuple[str, ...]:
    """Ids of the forms that must be filled in, in the order in which they are asked."""
    return (*ONCE_A_SESSION, *(f"{form}.{site.name}" for site in sites for form in PER_SITE))


def evaluate(
    answers: Mapping[str, Mapping[str, Any]],
    history: History,
    sites: Sequence[PlannedSite],
    now: datetime,
    rig_class: str = "HUMAN",
    *,
    post_operative: bool = False,
) -> Screened:
    """Judge.

    Parameters
    ----------
    answers
        Filled-in forms: `required_forms`, ``override.ITEM`` and ``adverse_event.NAME`` where there are any. Those
        of no concern here (pain scores, guesses) are passed over.
    history
        What is known before today.
    sites
        Where stimulation is planned.
    now
        With the station's zone; its day is today.
    rig_class
        On ``SIM`` and ``BENCH`` the device's papers warn only: its pads are on nobody.
    post_operative
        Whether the protocol is for people after an operation: the clearance must then say who allows it.

    Raises
    ------
    ValueError
        If no site is planned or one twice, `now` has no zone, or there is no such class of rig.
    """
    names = tuple(site.name for site in sites)
    if not names or len(set(names)) != len(names):
        raise ValueError(f"found the sites {', '.join(names) or 'none'}, allowed: at least one, each once")
    if now.tzinfo is None:
        raise ValueError("now: found a time without its zone")
    if rig_class not in RIG_CLASSES:
        raise ValueError(f"rig_class: found {rig_class!r}, allowed: {', '.join(RIG_CLASSES)}")
    case = _Case(answers, history, tuple(sites), now, post_operative)
    weighed = _Weighed(case, rig_class)
    for finding in case.findings():
        weighed.add(finding)
    weighed.add_clinician()
    return weighed.result()


class _Case:
    """One person today: everything that is found, before it is weighed."""

    def __init__(
        self, answers: Mapping[str, Any], history: History, sites: tuple[PlannedSite, ...], now: datetime, post: bool
    ) -> None:
        self.answers = answers
        self.history = history
        self.sites = sites
        self.names = tuple(site.name for site in sites)
        self.now = now
        self.today: date = now.date()
        self.post_operative = post

    def findings(self) -> Iterator[_Finding]:
        yield from self._unknown_forms()
        for form_id in required_forms(self.sites):
            yield from self._form(form_id)
        yield from self._places()
        yield from self._clearance()
        yield from self._pads()
        yield from self._device()
        yield from self._events()

    def whole(self, form_id: str) -> Mapping[str, Any] | None:
        """A form's answers, if it is there without a mistake."""
        values = self.answers.get(form_id)
        return None if values is None or mistakes_in(form_id, values, self.now) else values

    def _said(self, form_id: str, field: str) -> Any:
        values = self.answers.get(form_id)
        return values.get(field) if isinstance(values, Mapping) else None

    def _unknown_forms(self) -> Iterator[_Finding]:
        for form_id in self.answers:
            try:
                form, instance = form_of(form_id)
            except KeyError as error:
                yield _Finding(item_of("incomplete"), self.names, str(error.args[0]), unanswered=True)
                continue
            if form.per == "item" and instance not in {item.id for item in ITEMS}:
                why = f"{form_id}: no such item"
                yield _Finding(item_of("incomplete"), self.names, why, unanswered=True)

    def _form(self, form_id: str) -> Iterator[_Finding]:
        """The findings of the questions of one form, and what is missing in it."""
        form, site = form_of(form_id)
        values = self.answers.get(form_id)
        where = (site,) if site else self.names
        if values is None:
            yield _Finding(item_of("incomplete"), where, f"{form_id}: not filled in", unanswered=True)
            return
        mistakes = {each.field: each.problem for each in form.mistakes(values, self.now)}
        items = {item.id: item for item in ITEMS if item.form == form.id}
        for field, problem in mistakes.items():
            why = f"{form_id}: {field}: {problem}" if field else f"{form_id}: {problem}"
            yield _Finding(items.get(field, item_of("incomplete")), where, why, unanswered=True)
        for item in items.values():
            if "" not in mistakes and item.id not in mistakes and not item.is_clear(values[item.id]):
                yield self._found_in(item, values[item.id], site)

    def _found_in(self, item: Item, value: Any, site: str) -> _Finding:
        places = value if item.answer == "place" else ()
        said = ", ".join(value) if item.answer == "place" else value
        return _Finding(item, sites_within(item.scope, self.sites, site=site, places=places), f"{item.text} {said}")

    def _places(self) -> Iterator[_Finding]:
        for site in self.sites:
            if site.forbidden:
                across = ", through the chest" if site.through_chest else ""
                yield _Finding(item_of("forbidden_place"), (site.name,), f"{site.name}: {site.region}{across}")

    def _clearance(self) -> Iterator[_Finding]:
        values = self.whole("clearance")
        if values is None:
            return
        item = item_of("clearance")
        given = parsed_date(values["given_on"])
        if given is None or (self.today - given).days > CLEARANCE_DAYS:
            yield _Finding(item, self.names, f"the clearance of {given} counted for {CLEARANCE_DAYS} days")
        operated = self.post_operative or self._said("contraindications", "recent_surgery") in ("yes", "unsure")
        if operated and values["after_surgery"] != "yes":
            yield _Finding(item, self.names, "after an operation, the clearance must name who allows it so soon")
        if "all" not in values["sites"]:
            missing = tuple(name for name in self.names if name not in values["sites"])
            if missing:
                yield _Finding(item, missing, f"the clearance is for {', '.join(values['sites'])}")

    def _pads(self) -> Iterator[_Finding]:
        for site in self.names:
            values = self.whole(f"pads.{site}")
            if values is None:
                continue
            if why := pads_worn(values, site, self.history.pads, self.today):
                yield _Finding(item_of("pads_worn"), (site,), why)
            if why := reacted(values["material"], self.history.patch_tests):
                yield _Finding(item_of("patch_test_positive"), (site,), why)
            if why := still_open(values["material"], self.history.patch_tests, self.now):
                yield _Finding(item_of("patch_test_open"), (site,), why)

    def _device(self) -> Iterator[_Finding]:
        values = self.whole("inspection")
        if values is not None:
            for item, why in device_problems(values["serial"], self.history.devices, self.now):
                yield _Finding(item_of(item), self.names, why)

    def _events(self) -> Iterator[_Finding]:
        known = list(self.history.adverse_events)
        for form_id in self.answers:
            form, _, name = form_id.partition(".")
            if form != "adverse_event" or not name:
                continue
            values = self.whole(form_id)
            if values is None:
                why = f"{form_id}: an adverse event that is not filled in whole"
                yield _Finding(item_of("incomplete"), self.names, why, unanswered=True)
            else:
                known.append(event_of(name, values))
        for event in known:
            closed = sites_closed_by(event, self.sites) if event.is_open(self.today) else ()
            if closed:
                why = f"{event.id}: {event.grade} {event.kind} ({event.place}) since {event.began}"
                yield _Finding(item_of("open_adverse_event"), closed, why)
        for site in self.names:
            skin = not_followed_up(site, self.history.skin_after, known)
            if skin is not None:
                yield _Finding(item_of("skin_not_followed_up"), (site,), f"{site}: marked on {skin.on}")


class _Weighed:
    """Findings as blocks, warnings and overrides."""

    def __init__(self, case: _Case, rig_class: str) -> None:
        self._case = case
        self._rig_class = rig_class
        self._blocked: list[Block] = []
        self._warnings: list[Caution] = []
        self._overridden: list[Overridden] = []

    def add(self, finding: _Finding) -> None:
        item, sites, why = finding.item, finding.sites, finding.why
        if not sites:
            # What was answered is no matter for today's sites, but is not to be forgotten.
            self._warnings.append(Caution(item.id, (), why))
        elif finding.unanswered:
            self._blocked.append(Block(item.id, sites, why, unanswered=True))
        elif item.kind in ("precaution", "information") or (item.id in _ON_PERSONS_ONLY and self._rig_class != "HUMAN"):
            self._warnings.append(Caution(item.id, sites, why))
        elif item.kind == "absolute":
            self._blocked.append(Block(item.id, sites, why))
        else:
            self._weigh(item, sites, why)

    def _weigh(self, item: Item, sites: tuple[str, ...], why: str) -> None:
        """A finding that somebody may override, but for where nobody may."""
        never = sites_within(item.never, self._case.sites) if item.never is not None else ()
        closed = tuple(name for name in sites if name in never)
        if closed:
            self._blocked.append(Block(item.id, closed, why))
        others = tuple(name for name in sites if name not in never)
        override, problem = self._override(item)
        opened = tuple(name for name in others if override is not None and _covers(override, name))
        if override is not None and opened:
            given_on = override.given.isoformat()
            self._overridden.append(
                Overridden(item.id, opened, why, override.name, override.role, override.reason, given_on)
            )
        if left := tuple(name for name in others if name not in opened):
            why = f"{why} ({problem})" if problem else why
            self._blocked.append(Block(item.id, left, why, item.override_by))

    def _override(self, item: Item) -> tuple[Override | None, str]:
        """An item's override if it counts; else None and, where there is one, why it does not."""
        form_id = f"override.{item.id}"
        values = self._case.answers.get(form_id)
        if values is None:
            return None, ""
        for mistake in mistakes_in(form_id, values, self._case.now):
            return None, f"the override does not count: {mistake.field}: {mistake.problem}"
        given = date.fromisoformat(values["given_on"])
        override = Override(item.id, values["name"], values["role"], values["reason"], given, tuple(values["sites"]))
        problem = override.problem(item, self._case.today)
        return (None, f"the override does not count: {problem}") if problem else (override, "")

    def add_clinician(self) -> None:
        """A first session, an override or a precaution calls for a clinician in the room (users.md row 19)."""
        values = self._case.whole("supervision")
        if values is None or values["clinician_present"] == "yes":
            return
        reasons = ["first session"] if self._case.history.sessions == 0 else []
        reasons += [f"override of {each.item}" for each in self._overridden]
        reasons += [each.item for each in self._warnings if item_of(each.item).kind == "precaution"]
        if reasons:
            why = f"no clinician is in the room: {', '.join(dict.fromkeys(reasons))}"
            self._blocked.append(Block("clinician_there", self._case.names, why))

    def result(self) -> Screened:
        order = {item.id: number for number, item in enumerate(ITEMS)}
        return Screened(
            sites=self._case.names,
            blocked=tuple(sorted(self._blocked, key=lambda each: order[each.item])),
            warnings=tuple(sorted(self._warnings, key=lambda each: order[each.item])),
            overridden=tuple(sorted(self._overridden, key=lambda each: order[each.item])),
        )


def _covers(override: Override, site: str) -> bool:
    return "all" in override.sites or site in override.sites
