"""What the loop said step by step that tracks do not keep: M-waves, reasons of requests, reflex states, deadlines."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from myoloop.experiments.analysis.session import Session
from myoloop.platform.messages import Estimate, MWave, Overrun, StimRequest
from myoloop.platform.recording.seek import SeekableRecording


class Evoked(NamedTuple):
    """One average of M-waves that the estimator told, at its newest pulse."""

    t_s: float
    wave: MWave


@dataclass(slots=True)
class LoopWalk:
    """What was found.

    Attributes
    ----------
    mwaves
        By muscle, each average once, in order of time.
    reasons
        Of requests, by how many gave it; figures in it are left as they are.
    reflexes
        States of the reflexes, by how many estimates told it.
    overruns_ms
        How long each step took that missed its deadline.
    """

    mwaves: dict[str, list[Evoked]] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    reflexes: Counter[str] = field(default_factory=Counter)
    overruns_ms: list[float] = field(default_factory=list)


def walk_loop(session: Session) -> LoopWalk:
    """Go through estimates, requests and overruns once.

    Raises
    ------
    RecordingError
        If the recording cannot be read.
    """
    found = LoopWalk()
    recording = SeekableRecording.open(session.path)
    topics = {"estimate", "request", *(topic for topic in recording.topics() if topic.startswith("overrun/"))}
    for received, _ in recording.messages(topics):
        message = received.message
        if isinstance(message, Estimate):
            found.reflexes[message.reflex.partition(":")[0] or "none"] += 1
            for muscle in message.muscles:
                if muscle.mwave is not None:
                    _add(found.mwaves, muscle.muscle, (muscle.mwave.t_ns - session.zero_ns) * 1e-9, muscle.mwave)
        elif isinstance(message, StimRequest):
            found.reasons[message.reason] += 1
        elif isinstance(message, Overrun):
            found.overruns_ms.append(message.took_ms)
    return found


def fallbacks(reasons: Mapping[str, int]) -> int:
    """Requests that a policy failed to make: zero in its place."""
    return sum(count for reason, count in reasons.items() if reason.startswith(("policy failed", "policy refused")))


def _add(mwaves: dict[str, list[Evoked]], muscle: str, t_s: float, wave: MWave) -> None:
    told = mwaves.setdefault(muscle, [])
    # The newest average stands in every estimate until there is another.
    if not told or told[-1].wave.t_ns != wave.t_ns:
        told.append(Evoked(t_s, wave))
