"""What was really given in a blinded session, for whoever holds the study's key."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from myoloop.platform.errors import UserError
from myoloop.platform.messages import Pulses, Sealed, Start
from myoloop.platform.recording.reader import Recording
from myoloop.platform.sealed import read_key
from myoloop.stimulators.sealing import PULSE, REPORT, Seals, TrueReport
from myoloop.stimulators.stimulator import StimulatorSettings


class NotBlinded(UserError):
    """A session in which nothing is sealed; what was given stands in its open streams."""


@dataclass(frozen=True, slots=True)
class Given:
    """What was given at one step.

    Attributes
    ----------
    t_ns
        Monotonic time of the step.
    """

    t_ns: int
    report: TrueReport


def given(path: Path | str, key: Path | str) -> Iterator[Given]:
    """What was allowed, acknowledged and booked, step by step.

    Raises
    ------
    NotBlinded
        If the session is not blinded.
    SealedError
        If the key cannot be read, or is another study's.
    RecordingError
        If there is no recording, or it is damaged.
    """
    recording, seals = _opened(path, key)
    for message in _sealed(recording, REPORT):
        yield Given(message.t_ns, seals.report(message))


def pulses_given(path: Path | str, key: Path | str) -> Iterator[Pulses]:
    """The pulses that the device told of; raises as :func:`given` does."""
    recording, seals = _opened(path, key)
    for message in _sealed(recording, PULSE):
        yield from seals.pulses(message)


def _opened(path: Path | str, key: Path | str) -> tuple[Recording, Seals]:
    recording = Recording.open(path)
    for each in recording.messages([topic for topic in recording.topics() if topic.startswith("start/")]):
        start = each.received.message
        if isinstance(start, Start) and start.kind == "stimulator":
            settings = msgspec.json.decode(start.settings, type=StimulatorSettings)
            if settings.blinded:
                return recording, Seals(read_key(key), settings.session, settings.outputs)
    raise NotBlinded(f"{recording.path}: nothing of it is sealed")


def _sealed(recording: Recording, topic: str) -> Iterator[Sealed]:
    for each in recording.messages({topic}):
        if isinstance(each.received.message, Sealed):
            yield each.received.message
