"""Forms: those of a phase one after the other, and the judgement of the screening gate over them.

A form is an act of whoever fills it in; each is checked, told as an event, and kept. Screening asks at least what the
gate needs, whatever the protocol says. What it finds blocks sites or the person; who goes on in spite of an item is
named, with role, reason and date.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec

from myoloop.experiments.protocols.plan import Plan
from myoloop.experiments.screening.adverse import tells_flare
from myoloop.experiments.screening.forms import FORMS, check_form, form_of
from myoloop.experiments.screening.gate import Screened, evaluate, required_forms
from myoloop.experiments.screening.history import History
from myoloop.experiments.screening.places import PlannedSite, checked_region, checked_side
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.experiments.sessions.watch import Ending
from myoloop.platform.messages import Command

#: Forms with a pain score of 0 to 10, and the field that holds it: they count for the stop rules like any score.
PAIN_NOW: dict[str, str] = {"nrs": "current", "nrs_now": "current"}
#: What there may be any number of: these forms are taken whenever they are filled in.
_ANY_TIME = frozenset({"event", "material"})


#: Forms about the pads on the body: those of other pads say nothing of these.
OF_PADS = ("pads", "placement")


class NotScreenable(ValueError):
    """Something that screening needs is not known."""


def enter(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Ask the phase's forms; a stimulator that is armed is disarmed first, people sit with pen and paper now."""
    phase = place.phase(plan)
    if phase is None or phase.asked is None:
        return
    forms = list(phase.asked.forms)
    if phase.kind == "screening":
        try:
            needed = required_forms(planned_sites(plan, place))
        except ValueError as error:
            steering.end(Ending("aborted", f"screening: {error}"), out)
            return
        forms = [*needed, *forms]
    place.forms = instances(plan, place, forms)
    if place.arm_id:
        steering.pause_stimulator("calibrate", phase.name, out)


def instances(plan: Plan, place: Place, forms: Sequence[str]) -> tuple[str, ...]:
    """Forms by their full ids, in order, none twice: what there is one for each site of becomes one for each."""
    sites = [site.name for site in plan.sites if _stimulated(place, site.channels)]
    found: dict[str, None] = {}
    for name in forms:
        form = FORMS.get(name)
        ids = [f"{name}.{site}" for site in sites] if form is not None and form.per == "site" else [name]
        found.update(dict.fromkeys(ids))
    return tuple(found)


def filled(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    """A form has been filled in; why it is not taken, or nothing."""
    form_id, values = command.arguments.get("form"), command.arguments.get("values")
    if not isinstance(form_id, str) or not isinstance(values, Mapping):
        return f"form: found {form_id!r} with {type(values).__name__}, allowed is a form's id and its values"
    try:
        form = form_of(form_id)[0]
    except KeyError as error:
        return str(error.args[0])
    wanted = place.forms if place.stage == "phase" else ()
    # A protocol may name a form of materials or events without saying of which.
    slot = next((each for each in wanted if each in (form_id, form.id)), None)
    if slot is None and form.per not in _ANY_TIME:
        return f"{form_id} is not asked now; asked is {', '.join(wanted) or 'nothing'}"
    mistakes = check_form(form_id, values, wall_time(plan, place))
    if mistakes:
        return "; ".join(mistakes)
    _keep(place, command, form_id, values, out)
    place.forms = tuple(each for each in place.forms if each != slot)
    if form.id in OF_PADS and not place.forms and not _is_screening(plan, place):
        _judge_pads(plan, place, out)
    pain = values.get(PAIN_NOW.get(form.id, ""))
    if isinstance(pain, int | float):
        steering.scored(float(pain), out)
    return ""


def ask_pads_again(plan: Plan, place: Place) -> None:
    """Ask for pads and placement where screening has asked, and what it was told is of other pads."""
    if place.forms or not any(phase.kind == "screening" for phase in plan.phases[: place.index]):
        return
    place.forms = tuple(form for form in instances(plan, place, OF_PADS) if form not in place.answers)


def override(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    """A named person goes on in spite of an item of screening; whether it counts, the gate says."""
    phase = place.phase(plan)
    if place.stage != "phase" or phase is None or phase.kind != "screening":
        return "no screening is under way"
    given = command.arguments
    item = given.get("item")
    if place.blocked and item not in place.blocked:
        return f"override.item: found {item!r}, allowed now: {', '.join(place.blocked)}"
    values = {
        "name": given.get("name"),
        "role": given.get("role"),
        "reason": given.get("reason"),
        "given_on": given.get("date"),
        "sites": given.get("sites", ["all"]),
    }
    form_id = f"override.{item}"
    mistakes = check_form(form_id, values, wall_time(plan, place))
    if mistakes:
        return "; ".join(mistakes)
    try:
        screened = _screened(plan, place, {form_id: values})
    except ValueError as error:
        return str(error)
    if place.blocked and all(done.item != item for done in screened.overridden):
        return next((block.why for block in screened.blocked if block.item == item), f"{item}: not overridden")
    place.answers[form_id] = values
    _tell(command, form_id, values, out)
    place.blocked = {}
    return ""


def go_on(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Go on when the last form is filled in."""
    phase = place.phase(plan)
    if phase is None or phase.asked is None or place.forms or place.blocked:
        return
    if phase.kind == "screening":
        _judge(steering, plan, place, out)
    else:
        _leave(steering, plan, place, out)


def planned_sites(plan: Plan, place: Place) -> tuple[PlannedSite, ...]:
    """Where stimulation is planned, as the screening gate wants it.

    Raises
    ------
    NotScreenable, ValueError
        If it is not known where on the body a site is.
    """
    sites = []
    for site in plan.sites:
        if not _stimulated(place, site.channels):
            continue
        where = plan.screening.places.get(site.name)
        if where is None:
            raise NotScreenable(f"site {site.name}: where on the body it is was not told")
        region, side = checked_region(site.name, where.region), checked_side(site.name, site.side)
        sites.append(PlannedSite(site.name, region, side, where.through_chest))
    return tuple(sites)


def wall_time(plan: Plan, place: Place) -> datetime | None:
    """Now, by the wall clock at the session's begin and the monotonic one since; None where it was not told."""
    try:
        begun = datetime.fromisoformat(plan.screening.wall)
    except ValueError:
        return None
    if begun.tzinfo is None:
        return None
    return begun + timedelta(microseconds=(place.now_ns - (place.begin_ns or 0)) // 1000)


def _screened(plan: Plan, place: Place, more: Mapping[str, Mapping[str, Any]] | None = None) -> Screened:
    now = wall_time(plan, place)
    if now is None:
        raise NotScreenable(f"the session's wall time: found {plan.screening.wall!r}, a time with its zone is needed")
    if not plan.screening.history:
        raise NotScreenable("the person's history was not told")
    try:
        history = msgspec.convert(dict(plan.screening.history), History)
    except msgspec.ValidationError as error:
        raise NotScreenable(f"the person's history: {error}") from None
    screening = plan.screening
    return evaluate(
        {**place.answers, **(more or {})},
        history,
        planned_sites(plan, place),
        now,
        screening.rig_class,
        post_operative=screening.post_operative,
    )


def _judge(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    try:
        screened = _screened(plan, place)
    except ValueError as error:
        steering.end(Ending("aborted", f"screening: {error}"), out)
        return
    for caution in screened.warnings:
        out.event("screening", why=caution.why, values={"item": caution.item, "verdict": "warning"})
    for done in screened.overridden:
        said = {"item": done.item, "verdict": "overridden", "name": done.name, "role": done.role}
        out.event("screening", why=f"{done.why}; {done.reason}", values=said)
    for block in screened.blocked:
        said = {"item": block.item, "verdict": "blocked", "sites": ", ".join(block.sites)}
        out.event("screening", why=block.why, values=said)
    closed = [site for site in screened.sites if site not in screened.free_sites]
    if not closed:
        _leave(steering, plan, place, out)
        return
    needed = cannot_do_without(plan, place, closed)
    if not needed:
        _drop(steering, plan, place, closed, out)
        return
    decisive = [block for block in screened.blocked if set(block.sites) & set(needed)]
    if all(block.override_by for block in decisive):
        place.blocked = {block.item: f"{block.why}; may be overridden by {', '.join(block.override_by)}"
                         for block in decisive}  # fmt: skip
        return
    steering.end(Ending("aborted", "screening: " + "; ".join(f"{each.item}: {each.why}" for each in decisive)), out)


def cannot_do_without(plan: Plan, place: Place, closed: Sequence[str]) -> list[str]:
    """Sites among these without which the protocol cannot be: a phase would have no channel, or no effort to wait for.

    Where it is only all of them together, all are told.
    """
    needed = [site.name for site in plan.sites if site.name in closed and site.needed]
    gone = {channel for site in plan.sites if site.name in closed for channel in site.channels}
    for phase in plan.phases:
        left = place.kept(phase.pulses)
        if phase.pulses and not [pulse for pulse in left if pulse.channel not in gone]:
            without = {site.name for pulse in left if (site := plan.site_of(pulse.channel)) is not None}
            needed += [name for name in closed if name in without and name not in needed]
    return needed


def _is_screening(plan: Plan, place: Place) -> bool:
    phase = place.phase(plan)
    return phase is not None and phase.kind == "screening"


def _judge_pads(plan: Plan, place: Place, out: Outbox) -> None:
    """New pads are judged as the first ones were; what closes a site is put right, and asked for again."""
    if not any(phase.kind == "screening" for phase in plan.phases[: place.index]):
        return
    try:
        screened = _screened(plan, place)
        closed = {site for block in screened.blocked for site in block.sites}
        for block in screened.blocked:
            said = {"item": block.item, "verdict": "blocked", "sites": ", ".join(block.sites)}
            out.event("screening", why=block.why, values=said)
    except ValueError as error:
        closed = {site.name for site in plan.sites}
        out.event("screening", why=str(error), values={"verdict": "blocked"})
    again = tuple(form for form in instances(plan, place, OF_PADS) if form.partition(".")[2] in closed)
    place.answers = {form: values for form, values in place.answers.items() if form not in again}
    place.forms = again


def _leave(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Go on to the next phase; where a flare was told, with a smaller envelope, which is confirmed like any."""
    _spare(plan, place, out)
    smaller = place.own_envelope(plan)
    if smaller.session_on_s_max < place.envelope.session_on_s_max:
        place.envelope = smaller
        place.index += 1
        steering.set_envelope(out)
    else:
        steering.enter(place.index + 1, out)


def _spare(plan: Plan, place: Place, out: Outbox) -> None:
    """Take a flare that was told into account, once, as the next session would."""
    told = [form for form, values in place.answers.items() if tells_flare(form, values)]
    rule = plan.flare
    to_come = any(phase.pulses for phase in plan.phases[place.index :])
    if rule is None or place.flare or not told or not to_come:
        return
    before_s = place.open_envelope(plan).session_on_s_max
    place.flare = ", ".join(told)
    now_s = place.open_envelope(plan).session_on_s_max
    done = "today's dose is smaller for a flare on record already" if rule.on_record else "today's dose is smaller too"
    out.event(
        "flare",
        why=f"a flare was told in {place.flare}: {done}",
        values={"share_of_time_on": rule.on_share, "on_at_most_before_s": before_s, "on_at_most_s": now_s},
    )


def _drop(steering: Steering, plan: Plan, place: Place, closed: list[str], out: Outbox) -> None:
    """Leave sites out of this session: the stimulator's envelope allows nothing on their channels any more."""
    gone = tuple(channel for site in plan.sites if site.name in closed for channel in site.channels)
    _spare(plan, place, out)
    place.dropped = (*place.dropped, *gone)
    out.event("dropped", why="screening", values={"sites": ", ".join(closed), "channels": ", ".join(gone)})
    place.envelope = place.own_envelope(plan)
    place.index += 1
    steering.set_envelope(out)


def _stimulated(place: Place, channels: tuple[str, ...]) -> bool:
    return any(channel not in place.dropped for channel in channels)


def _keep(place: Place, command: Command, form_id: str, values: Mapping[str, Any], out: Outbox) -> None:
    place.answers[form_id] = dict(values)
    _tell(command, form_id, values, out)


def _tell(command: Command, form_id: str, values: Mapping[str, Any], out: Outbox) -> None:
    """An event's values are plain: several choices are told in one text."""
    flat = {
        name: ", ".join(map(str, value)) if isinstance(value, list | tuple) else value for name, value in values.items()
    }
    out.event("form", why=command.why, values={**flat, "form": form_id, "who": command.who})
