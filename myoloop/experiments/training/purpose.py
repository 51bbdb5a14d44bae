"""What a trained controller is for: stimulation channels and envelope, outside of which no session takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from myoloop.experiments.training.artefact import ChannelUse, channels_of, envelope_of
from myoloop.experiments.training.bodies import MUSCLE
from myoloop.experiments.training.stimulated import CHANNEL
from myoloop.experiments.training.task import Task
from myoloop.platform.errors import UserError


@dataclass(frozen=True, slots=True)
class Purpose:
    """Channels by name, and a protocol's envelope in plain words."""

    channels: Mapping[str, ChannelUse]
    envelope: Mapping[str, Any]


#: What a protocol says of its envelope, and what a task calls it.
_SAME = {
    "current_max_ma": "current_max_ma", "charge_max_uc": "charge_per_phase_uc", "rms_max_ma": "rms_ma",
    "density_max_ma_cm2": "rms_density_ma_cm2", "power_density_max_w_cm2": "power_density_w_cm2",
    "on_max_s": "on_s_max", "duty_max": "duty_max", "total_on_s": "session_s",
    "session_charge_mc": "session_charge_mc_max", "step_ma": "step_ma", "slew_ma_per_s": "new_ground_ma_per_s",
    "ramp_min_s": "known_ground_ramp_s_min",
}  # fmt: skip


def within(task: Task, protocol: str | None) -> Task:
    """The task within the envelope of a protocol: what is trained within is what the artefact says.

    Raises
    ------
    UserError
        If the protocol cannot be read, or the task's trials do not fit into its envelope.
    """
    if protocol is None:
        return task
    from pydantic import ValidationError

    from myoloop.experiments.protocols.schema import load_protocol

    said = envelope_of(load_protocol(protocol).envelope)
    limits = {ours: said[theirs] for theirs, ours in _SAME.items() if theirs in said}
    try:
        return task.changed(envelope={**task.envelope.model_dump(), **limits})
    except ValidationError as error:
        why = "; ".join(str(each["msg"]) for each in error.errors())
        raise UserError(f"{protocol}: the task {task.name} does not fit into its envelope: {why}") from None


def purpose_of(protocol: str | None, task: Task) -> Purpose:
    """Of a protocol (file, or preset by name); None: the task's own.

    Raises
    ------
    UserError
        If the protocol cannot be read, or no channel of it has the pulses that the task is trained with.
    """
    stim = task.stimulation
    if protocol is None:
        own = {CHANNEL: ChannelUse(muscle=MUSCLE, phase_us=stim.phase_us, rate_hz=stim.rate_hz)}
        return Purpose(own, task.envelope.model_dump(mode="json", exclude_none=True))
    from myoloop.experiments.protocols.schema import load_protocol
    from myoloop.experiments.sessions.setup import stim_outputs

    read = load_protocol(protocol)
    channels = channels_of(stim_outputs(read))
    if not any((use.phase_us, use.rate_hz) == (stim.phase_us, stim.rate_hz) for use in channels.values()):
        there = ", ".join(f"{name} {use.phase_us:g} us at {use.rate_hz:g} Hz" for name, use in channels.items())
        raise UserError(
            f"{protocol}: found {there or 'no channel'}; the task {task.name} is trained with {stim.phase_us:g} us at "
            f"{stim.rate_hz:g} Hz: set stimulation in the task file"
        )
    return Purpose(channels, envelope_of(read.envelope))
