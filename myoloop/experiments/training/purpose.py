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
