"""Phases of a protocol in words."""

from __future__ import annotations

from math import floor

from myoloop.experiments.protocols.phases import (
    OPTIMUM,
    AnyPhase,
    BlockPhase,
    CalibrationPhase,
    ChecksPhase,
    Intensity,
    MvcPhase,
    OptimisePhase,
    QuestionsPhase,
    RestPhase,
    ScreeningPhase,
)
from myoloop.experiments.protocols.schema import Protocol

_SKIPPED = {
    "rest_noise": "else effort is told by the noise at rest",
    "max_evoked": "else effort is told by the largest evoked answer",
    "refuse": "else the session ends",
}


def duration_text(seconds: float) -> str:
    """Say a length of time: ``12 s``, ``2 min 5 s``, ``1 h 10 min``, ``2 d``, ``4 wk``."""
    if seconds < 60:
        return f"{seconds:g} s"
    minutes, rest_s = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest_s} s" if rest_s else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days = floor(seconds / 86400)
    return f"{days // 7} wk" if days % 7 == 0 else f"{days} d"


def phase_text(protocol: Protocol, phase: AnyPhase) -> str:
    """Say one phase in one line."""
    if isinstance(phase, ScreeningPhase):
        return f"{phase.name}: nothing goes on before {', '.join(phase.forms)} are answered and allow it"
    if isinstance(phase, QuestionsPhase):
        return f"{phase.name}: {', '.join(phase.forms)} are asked"
    if isinstance(phase, ChecksPhase):
        return f"{phase.name}: {_checks(phase)}"
    if isinstance(phase, RestPhase):
        return f"{phase.name}: rest for {duration_text(phase.duration_s)}"
    if isinstance(phase, MvcPhase):
        return (
            f"{phase.name}: {phase.repeats} strongest contractions of {phase.muscle}, "
            f"{duration_text(phase.hold_s)} each with {duration_text(phase.rest_s)} of rest; {_SKIPPED[phase.skip]}"
        )
    if isinstance(phase, OptimisePhase):
        return f"{phase.name}: {_optimise(protocol, phase)}"
    pulses = "".join(
        f", {value:g} {unit}" for value, unit in ((phase.phase_us, "us"), (phase.rate_hz, "Hz")) if value is not None
    )
    channels = ", ".join(phase.channels or protocol.stimulation)
    if isinstance(phase, CalibrationPhase):
        return f"{phase.name}: {_calibration(phase)}{pulses} on {channels}"
    return f"{phase.name}: {_block(phase)} on {channels}{pulses}, at {intensity_text(phase.intensity)}{_turns(phase)}"


def intensity_text(intensity: Intensity) -> str:
    """Say how strong."""
    if intensity.fixed_ma is not None:
        return f"a fixed {intensity.fixed_ma:g} mA"
    if intensity.share is not None:
        return f"{intensity.share:.0%} of the way from {intensity.ref} to {intensity.to} threshold"
    if intensity.ref == OPTIMUM:
        return f"{intensity.x:g} x the current that was chosen, with its pads, width and rate"
    return f"{intensity.x:g} x {intensity.ref} threshold"


def _checks(phase: ChecksPhase) -> str:
    found = []
    if phase.device:
        found.append("the stimulator has tested itself")
    if phase.placement:
        found.append("each pad's place is signed")
    if phase.noise_max_uv is not None:
        found.append(f"EMG at rest is at most {phase.noise_max_uv:g} uV over {duration_text(phase.listen_s)}")
    if phase.impedance_max_ohm is not None:
        found.append(f"impedance is at most {phase.impedance_max_ohm / 1e3:g} kOhm where the device measures it")
    if phase.selectivity:
        found.append("the muscle that is stimulated answers most")
    return ", ".join(found) or "nothing"


def _calibration(phase: CalibrationPhase) -> str:
    text = f"find {', '.join(phase.order)} in steps of {phase.step_ma:g} mA up to {phase.stop_at_ma:g} mA"
    if phase.repeats > 1:
        text += f", {phase.repeats} times"
    if phase.catch_trials:
        text += f", {phase.catch_trials} step{'s' if phase.catch_trials > 1 else ''} of each ascent empty"
    if phase.abort_pain_rise is not None:
        text += f", ending where pain rises by {phase.abort_pain_rise:g}"
    return text


def _optimise(protocol: Protocol, phase: OptimisePhase) -> str:
    found = [
        f"{', '.join(f'{value:g}' for value in values)} {unit}"
        for values, unit in ((phase.phases_us, "us"), (phase.rates_hz, "Hz"))
        if values
    ]
    train = (
        f"up in {duration_text(phase.ramp_up_s)}, held for {duration_text(phase.hold_s)}, "
        f"down in {duration_text(phase.ramp_down_s)}, then {duration_text(phase.rest_s)} of rest"
    )
    what = {"movement": "movement", "mwave": "M-wave"}[phase.response]
    levels = ", ".join(f"{level:.0%}" for level in phase.levels)
    return (
        f"choose among {', '.join((*(phase.channels or tuple(protocol.stimulation)), *found))} and {levels} of the way "
        f"from motor threshold to the most allowed, for the largest {what}, in at most {phase.trials} trains, {train}; "
        f"nothing that is rated above {phase.discomfort_max:g} of 10, nor what is stronger, is given again"
    )


def _block(block: BlockPhase) -> str:
    train = (
        f"up in {duration_text(block.ramp_up_s)}, held for {duration_text(block.hold_s)}, "
        f"down in {duration_text(block.ramp_down_s)}"
    )
    times = f"{block.repeat} x " if block.repeat > 1 else ""
    between = f" with {duration_text(block.between_s)} between" if block.repeat > 1 and block.between_s else ""
    if block.machine == "continuous" and block.trials == 1:
        return f"{times}one train, {train}{between}"
    rest = f", then {duration_text(block.rest_s)} of rest" if block.rest_s else ""
    wait = ""
    if block.await_effort is not None:
        otherwise = "comes without one" if block.await_effort.on_timeout == "assist" else "is left out"
        waited = duration_text(block.await_effort.timeout_s)
        wait = f" that answer an effort (after {waited} the train {otherwise})"
    return f"{times}{block.trials} trials{wait}, {train}{rest}{between}"


def _turns(block: BlockPhase) -> str:
    text = f"; in turn ({block.order}): {', '.join(block.conditions)}" if block.conditions else ""
    return text + (f"; then {', '.join(block.prompts)} are asked" if block.prompts else "")
