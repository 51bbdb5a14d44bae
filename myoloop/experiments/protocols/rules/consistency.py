"""Does the file hang together: names that exist, thresholds measured before they are used, evidence that points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from myoloop.controllers.estimators import estimator
from myoloop.controllers.policies import policy
from myoloop.controllers.reflex import ReflexSettings
from myoloop.experiments.protocols.evidence import FREE_MARKS
from myoloop.experiments.protocols.phases import OPTIMUM, BlockPhase, CalibrationPhase
from myoloop.experiments.protocols.plan import length_s
from myoloop.experiments.protocols.schema import ControllerChoice, Protocol
from myoloop.experiments.sessions.tuning import TuningError, tune
from myoloop.platform.plugins import PluginError, find_plugin
from myoloop.platform.yamlfile import KeyPath

Finding = tuple[KeyPath, str, Any]


def names_exist(protocol: Protocol) -> Iterator[Finding]:
    """Sites and channels that are named must be there."""
    sites = ", ".join(protocol.sites)
    for index, name in enumerate(protocol.devices.emg.channels):
        if name not in protocol.sites:
            yield (
                ("devices", "emg", "channels", index),
                f"found {name!r}, allowed is one of the sites: {sites}",
                "error",
            )
    for name, channel in protocol.stimulation.items():
        keys: KeyPath = ("stimulation", name, "site")
        if channel.site not in protocol.sites:
            yield keys, f"found {channel.site!r}, allowed is one of the sites: {sites}", "error"
        elif protocol.sites[channel.site].pad_area_cm2 is None:
            yield (
                ("sites", channel.site),
                "pad is missing, but needed: this site is stimulated, like pad: 5x9 cm",
                "error",
            )
    for index, item in enumerate(protocol.phases):
        if isinstance(item.content, BlockPhase | CalibrationPhase):
            for place, name in enumerate(item.content.channels):
                if name not in protocol.stimulation:
                    allowed = ", ".join(protocol.stimulation)
                    keys = ("phases", index, item.kind, "channels", place)
                    yield keys, f"found {name!r}, allowed is a channel of stimulation: {allowed}", "error"


def effort_can_be_heard(protocol: Protocol) -> Iterator[Finding]:
    """A trial that awaits effort needs a muscle whose effort counts, and a rest to know it from."""
    agonists = [name for name in protocol.devices.emg.channels if _role(protocol, name) == "agonist"]
    rested = False
    for index, item in enumerate(protocol.phases):
        if item.rest is not None and item.rest.baseline:
            rested = True
        if item.block is None or item.block.machine != "effort":
            continue
        if not agonists:
            text = "machine effort needs a site with emg: agonist among devices.emg.channels"
            yield ("phases", index, "block", "machine"), text, "error"
        if not rested:
            text = "no rest phase with baseline before it: effort can only be told from rest that was seen"
            yield ("phases", index, "block"), text, "warning"


def thresholds_are_measured_first(protocol: Protocol) -> Iterator[Finding]:
    """Intensity refers to a threshold that is known by then, for pulses of the same width."""
    given = protocol.thresholds
    known: dict[str, tuple[float | None, set[str]]] = {}
    if given is not None:
        names = {"tolerance"}
        names |= {"sensory"} if given.sensory_ma is not None else set()
        names |= {"motor"} if given.motor_ma is not None else set()
        known = {channel: (None, set(names)) for channel in protocol.stimulation}
        if "HUMAN" in protocol.protocol.rigs:
            text = "thresholds are given, not measured: allowed with rigs: [SIM, BENCH] only"
            yield ("thresholds",), text, "error"
    for index, item in enumerate(protocol.phases):
        if item.calibration is not None:
            for channel in _channels(protocol, item.calibration):
                known[channel] = (_width_us(protocol, item.calibration, channel), set(item.calibration.order))
        for below, block in item.block.variants() if item.block is not None else ():
            if block.intensity.fixed_ma is None and block.intensity.ref != OPTIMUM:
                yield from _references(protocol, ("phases", index, "block", *below, "intensity"), block, known)


def ascents_go_up(protocol: Protocol) -> Iterator[Finding]:
    """Thresholds are looked for in the order in which they are met, from one step above nothing."""
    rank = ("sensory", "motor", "tolerance")
    for index, item in enumerate(protocol.phases):
        calibration = item.calibration
        if calibration is None:
            continue
        keys: KeyPath = ("phases", index, "calibration")
        found = [rank.index(name) for name in calibration.order]
        if sorted(set(found)) != found:
            text = f"found {', '.join(calibration.order)}, allowed is each once, in the order {', '.join(rank)}"
            yield (*keys, "order"), text, "error"
        start_ma = calibration.start_ma or calibration.step_ma
        if start_ma > calibration.step_ma * (1 + 1e-9):
            text = f"found {start_ma:g} mA, allowed is at most one step of {calibration.step_ma:g} mA from zero"
            yield (*keys, "start"), text, "error"
        if calibration.stop_at_ma < start_ma:
            text = f"found {calibration.stop_at_ma:g} mA, allowed is at least the first level of {start_ma:g} mA"
            yield (*keys, "stop_at"), text, "error"
        if calibration.burst_s >= calibration.interval_s:
            text = f"found {calibration.burst_s:g} s, allowed is less than the interval of {calibration.interval_s:g} s"
            yield (*keys, "burst"), text, "error"


def session_can_end(protocol: Protocol) -> Iterator[Finding]:
    """There is a reason to stop, and a limit in time."""
    if not protocol.stop_rules:
        yield ("stop_rules",), "no stop rule; at least one is needed, like - session_max: 20 min", "error"
    elif not any(rule.session_max_s for rule in protocol.stop_rules):
        yield ("stop_rules",), "no session_max: nothing ends a session that waits", "warning"
    least_s, _ = length_s(protocol)
    for index, rule in enumerate(protocol.stop_rules):
        if rule.session_max_s is not None and rule.session_max_s < least_s:
            text = (
                f"found {rule.session_max_s:g} s, the shortest course takes {least_s:g} s: no session comes to its end"
            )
            yield ("stop_rules", index, "session_max"), text, "error"


def controller_fits(protocol: Protocol) -> Iterator[Finding]:
    """Policy, reflexes and estimators exist and take the settings they are given."""
    yield from choice_fits(protocol.controller, protocol.devices.emg.channels)


def choice_fits(chosen: ControllerChoice, muscles: Sequence[str]) -> Iterator[Finding]:
    """The same of the part ``controller`` alone.

    Parameters
    ----------
    muscles
        Those whose EMG it will hear.
    """
    try:
        part = find_plugin(policy.GROUP, policy.BUILT_IN, chosen.policy)
    except PluginError as error:
        yield ("controller", "policy"), str(error), "error"
    else:
        muscle = {"muscle": muscles[0]} if "muscle" in _fields(part.Settings) else {}
        yield from _tuned(("controller", "settings"), {**muscle, **chosen.settings}, part.Settings)
    yield from _tuned(("controller", "reflex"), chosen.reflex, ReflexSettings)
    for name, values in chosen.estimators.items():
        keys: KeyPath = ("controller", "estimators", name)
        if not isinstance(values, Mapping):
            yield keys, f"found {values!r}, allowed is a map of settings", "error"
            continue
        try:
            part = find_plugin(estimator.GROUP, estimator.BUILT_IN, name)
        except PluginError as error:
            yield keys, str(error), "error"
        else:
            yield from _tuned(keys, values, part.Settings)
    muscle_named = chosen.settings.get("muscle")
    if muscle_named is not None and muscle_named not in muscles:
        allowed = ", ".join(muscles)
        text = f"found {muscle_named!r}, allowed is one of the EMG channels: {allowed}"
        yield ("controller", "settings", "muscle"), text, "error"


def evidence_points(protocol: Protocol) -> Iterator[Finding]:
    """Every mark names a value of this file and a source of its list."""
    evidence = protocol.protocol.evidence
    for path, marks in evidence.marks.items():
        keys: KeyPath = ("protocol", "evidence", "marks", path)
        if not protocol.has(path):
            yield keys, "found a mark for a value that is not in this file", "error"
        for mark in marks:
            if mark not in evidence.sources and mark not in FREE_MARKS:
                allowed = ", ".join((*evidence.sources, *FREE_MARKS))
                yield keys, f"found {mark!r}, allowed is one of {allowed}", "error"


RULES = (
    names_exist,
    effort_can_be_heard,
    thresholds_are_measured_first,
    ascents_go_up,
    session_can_end,
    controller_fits,
    evidence_points,
)


def _references(
    protocol: Protocol, keys: KeyPath, block: BlockPhase, known: dict[str, tuple[float | None, set[str]]]
) -> Iterator[Finding]:
    wanted = {str(block.intensity.ref)} | ({block.intensity.to} if block.intensity.share is not None else set())
    for channel in _channels(protocol, block):
        width_us, measured = known.get(channel, (None, set()))
        missing = sorted(wanted - measured)
        if missing:
            text = f"refers to the {' and '.join(missing)} threshold of {channel}, which no calibration before it finds"
            yield keys, text, "error"
        elif width_us is not None and width_us != _width_us(protocol, block, channel):
            used_us = _width_us(protocol, block, channel)
            text = f"{channel} is used at {used_us:g} us, its thresholds were found at {width_us:g} us"
            yield keys, text, "error"


def _tuned(keys: KeyPath, values: Mapping[str, Any], kind: Any) -> Iterator[Finding]:
    where = ".".join(map(str, keys))
    try:
        plain = tune(where, values, kind)
    except TuningError as error:
        # The text begins with the full key, whose line is known better here.
        path, _, text = str(error).partition(": ")
        yield tuple(path.split(".")), text, "error"
        return
    try:
        msgspec.convert(plain, kind)
    except (msgspec.ValidationError, ValueError, TypeError) as error:
        text, _, inner = str(error).partition(" - at `$")
        text = text[:1].lower() + text[1:]
        yield (*keys, *inner.strip("`.").split(".")) if inner else keys, text, "error"


def _fields(kind: Any) -> tuple[str, ...]:
    return tuple(getattr(kind, "__struct_fields__", ())) or tuple(getattr(kind, "__dataclass_fields__", ()))


def _channels(protocol: Protocol, phase: BlockPhase | CalibrationPhase) -> tuple[str, ...]:
    return tuple(name for name in phase.channels or protocol.stimulation if name in protocol.stimulation)


def _width_us(protocol: Protocol, phase: BlockPhase | CalibrationPhase, channel: str) -> float:
    return phase.phase_us or protocol.stimulation[channel].phase_us


def _role(protocol: Protocol, name: str) -> str:
    site = protocol.sites.get(name)
    return site.emg if site is not None else ""
