"""The checks phase: nothing is given before device, placement, noise, impedance and selectivity are right.

Every check is told with what it found. What is wrong is named and waited for: somebody puts it right and has it
checked again, ends the session, or, where the wrong muscle answers, takes it upon themselves by name.
"""

from __future__ import annotations

from dataclasses import replace

from myoloop.experiments.protocols.plan import ChecksPlan, Plan
from myoloop.experiments.screening.forms import check_form
from myoloop.experiments.sessions import asking, expiry, listening, trialblock
from myoloop.experiments.sessions.outbox import Outbox
from myoloop.experiments.sessions.place import Checking, Place
from myoloop.experiments.sessions.steering import Steering
from myoloop.platform.messages import Command

#: What a named person may go on in spite of.
OVERRIDABLE = frozenset({"selectivity"})


def enter(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Ask for the placement of pads that screening has not asked for, then listen."""
    phase = place.phase(plan)
    if phase is None or phase.checks is None:
        return
    place.checking = Checking(since_ns=place.now_ns)
    if phase.checks.placement:
        wanted = asking.instances(plan, place, ("placement",))
        place.forms = tuple(form for form in wanted if form not in place.answers)
    if place.arm_id:
        steering.pause_stimulator("calibrate", "checks", out)


def go_on(steering: Steering, plan: Plan, place: Place, out: Outbox) -> None:
    """Let time pass."""
    phase, now = place.phase(plan), place.checking
    if phase is None or phase.checks is None or now is None or place.forms:
        return
    if now.state == "forms":
        _listen(place, now)
    elif now.state == "listen" and place.now_ns - now.since_ns >= round(phase.checks.listen_s * 1e9):
        _judge(steering, plan, place, phase.checks, now, out)


def resumed(place: Place) -> None:
    """After a pause it is listened anew."""
    if place.checking is not None and place.checking.state == "listen":
        _listen(place, place.checking)


def retry(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    """What was wrong has been put right: check again."""
    now = place.checking
    if place.stage != "phase" or now is None or now.state != "wait":
        return "no check waits to be tried again"
    if set(now.wrong) == {"selectivity"}:
        # The same answers would be judged again: leads or pads have been moved, and that needs new thresholds.
        if expiry.next_calibration(plan, place.index) is None:
            return "selectivity is found in a calibration, and none is left in this session; override or end"
        out.event("retry", why=f"{command.who}: {command.why}", values={"check": "selectivity"})
        place.stale = "electrodes were moved for the right muscle to answer"
        expiry.renew(steering, plan, place, out)
        return ""
    out.event("retry", why=f"{command.who}: {command.why}", values={"check": ", ".join(now.wrong)})
    _listen(place, now)
    return ""


def override(steering: Steering, plan: Plan, place: Place, command: Command, out: Outbox) -> str:
    """A named person takes a check that has not passed upon themselves."""
    now, item = place.checking, command.arguments.get("item")
    if place.stage != "phase" or now is None or now.state != "wait":
        return "no check waits for an override"
    if item not in now.wrong or item not in OVERRIDABLE:
        allowed = ", ".join(sorted(OVERRIDABLE & set(now.wrong))) or "none of them: retry or end"
        return f"override.item: found {item!r}, allowed is {allowed}"
    given = command.arguments
    values = {
        "name": given.get("name"), "role": given.get("role"), "reason": given.get("reason"),
        "given_on": given.get("date"), "sites": given.get("sites", ["all"]),
    }  # fmt: skip
    now_wall = asking.wall_time(plan, place)
    mistakes = check_form(f"override.{item}", values, now_wall)
    if mistakes:
        return "; ".join(mistakes)
    # What was decided on another day was not about what is seen now.
    if now_wall is not None and values["given_on"] != now_wall.date().isoformat():
        return f"override.date: found {values['given_on']}, allowed is today, {now_wall.date().isoformat()}"
    said = {name: value for name, value in values.items() if isinstance(value, str)}
    out.event("override", why=str(values["reason"]), values={**said, "item": str(item), "who": command.who})
    left = {check: why for check, why in now.wrong.items() if check != item}
    place.checking = replace(now, wrong=left, overridden=(*now.overridden, str(item)))
    if not left:
        steering.enter(place.index + 1, out)
    return ""


def _listen(place: Place, now: Checking) -> None:
    place.heard = {}
    place.checking = replace(now, state="listen", since_ns=place.now_ns, wrong={})


def _judge(steering: Steering, plan: Plan, place: Place, checks: ChecksPlan, now: Checking, out: Outbox) -> None:
    listening.rest_noise(place)
    wrong: dict[str, str] = {}
    found = {
        "device": _device(plan, place) if checks.device else None,
        "noise": _noise(plan, place, checks.noise_max_uv),
        "impedance": _impedance(place, checks.impedance_max_ohm) if checks.impedance_max_ohm is not None else None,
        "selectivity": _selectivity(plan, place) if checks.selectivity else None,
    }
    for name, finding in found.items():
        if finding is None:
            continue
        why, values = finding
        taken = name in now.overridden
        out.event("check", why=why, values={"check": name, "ok": not why, "overridden": taken, **values})
        if why and not taken:
            wrong[name] = why
    if wrong:
        place.checking = replace(now, state="wait", wrong=wrong)
    else:
        steering.enter(place.index + 1, out)


#: Why a check has not passed (empty where it has), and what was found.
Finding = tuple[str, dict[str, float | str | bool | None]]


def _device(plan: Plan, place: Place) -> Finding:
    """READY is the gate's own word for: device connected, acknowledges zero, tells no fault, nodes alive."""
    gate, screening = place.gate, plan.screening
    values: dict[str, float | str | bool | None] = {"state": gate.state, "dummy_load": screening.dummy_load or None}
    if gate.state != "READY" or gate.flowing:
        return f"the stimulator is {gate.state}{' and gives current' if gate.flowing else ''}, not ready", values
    if screening.rig_class == "HUMAN" and not screening.dummy_load:
        return "the device has not been run on a dummy load", values
    return "", values


def _noise(plan: Plan, place: Place, most_uv: float | None) -> Finding:
    listened = [site.name for site in plan.sites if site.listened]
    values: dict[str, float | str | bool | None] = {f"{name}_uv": place.noise_uv.get(name) for name in listened}
    if most_uv is None:
        return "", values
    wrong = [f"{name}: no EMG was heard" for name in listened if name not in place.noise_uv]
    wrong += [
        f"{name}: {place.noise_uv[name]:.1f} uV at rest, at most {most_uv:g}"
        for name in listened
        if place.noise_uv.get(name, 0.0) > most_uv
    ]
    return "; ".join(wrong), values


def _impedance(place: Place, most_ohm: float) -> Finding:
    if not place.impedance_ohm:
        return "", {"measured": False, "found": "not measured"}
    values: dict[str, float | str | bool | None] = {f"{name}_ohm": z for name, z in place.impedance_ohm.items()}
    wrong = [f"{name}: {z:.0f} Ohm, at most {most_ohm:g}" for name, z in place.impedance_ohm.items() if z > most_ohm]
    return "; ".join(wrong), {"measured": True, **values}


def _selectivity(plan: Plan, place: Place) -> Finding:
    go_on = plan.go_on
    if go_on is not None and not place.evoked_uv and not place.anew:
        # No calibration was needed in this attempt.
        later = range(place.index + 1, len(plan.phases))
        if all(plan.phases[n].block is None or trialblock.used_up(plan, n) for n in later):
            return "", {"found": "no trial is left that needs it"}
        if "selectivity" in go_on.checked:
            return "", {"found": f"passed in {go_on.attempt}"}
    wrong: list[str] = []
    values: dict[str, float | str | bool | None] = {}
    channels = [limits.channel for limits in plan.envelope.channels if limits.channel not in place.dropped]
    for channel in channels:
        # M-waves say it best; where there are none, the level of the EMG while steps were on.
        waves = place.evoked_uv.get(channel) or {}
        answers = waves or place.evoked_level_uv.get(channel) or {}
        values |= {f"{channel}_{muscle}_uv": size for muscle, size in answers.items()}
        if channel in place.moved_rad:
            values[f"{channel}_moved_rad"] = place.moved_rad[channel]
        why = _whose_answer(plan, place, channel, answers)
        if why:
            wrong.append(f"{channel}: {why}")
    return "; ".join(wrong), values


def _whose_answer(plan: Plan, place: Place, channel: str, answers: dict[str, float]) -> str:
    site = plan.site_of(channel)
    if site is None or not site.listened:
        moved = place.moved_rad.get(channel)
        seen = "no movement was measured" if moved is None else f"the joint moved by {moved:.2f} rad"
        return f"no EMG of its muscle is heard, and {seen}: somebody must look which muscle answers"
    if not answers.get(site.name):
        return f"{site.name} has not answered"
    most = max(answers, key=lambda muscle: (answers[muscle], muscle == site.name))
    if most != site.name:
        return f"{most} answers with {answers[most]:.0f} uV, {site.name} with {answers[site.name]:.0f} uV"
    return ""
