"""On-time and duty of an output at tetanic rates: what a train uses up, rest pays back.

A train uses a second per second and is over when `on_s_max` are used. Rest pays back so that trains and rests in the
proportion of the duty limit stay level. What is used up must be half paid back before the next train, so that it
cannot chatter.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from myoloop.stimulators.gate.envelope import Envelope


@dataclass(frozen=True, slots=True)
class OnTime:
    """What trains have used, and whether it is used up."""

    used_ns: int = 0
    exhausted: bool = False


def pass_time(ontime: OnTime, tetanic: bool, elapsed_ns: int, envelope: Envelope) -> OnTime:
    """Let time pass with the output on at a tetanic rate, or not."""
    if envelope.on_s_max is None:
        return OnTime(ontime.used_ns)
    # From a duty of one half upwards rest pays back as fast as the train used it, never faster.
    payback = envelope.duty_max / max(envelope.duty_max, 1.0 - envelope.duty_max)
    used_ns = ontime.used_ns + elapsed_ns if tetanic else max(0, ontime.used_ns - floor(elapsed_ns * payback))
    most_ns = envelope.on_s_max * 1e9
    return OnTime(used_ns, used_ns >= most_ns or (ontime.exhausted and used_ns > 0.5 * most_ns))
