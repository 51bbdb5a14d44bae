"""On-time and duty of a channel at tetanic rates: a bucket that fills while it is on and empties while it is off.

The bucket fills at (1 - duty) and empties at duty, so it stays level at the duty limit; it is full after an
uninterrupted train of `on_s_max`. A full bucket refuses until it is half empty, so that it cannot chatter.
"""

from __future__ import annotations

from dataclasses import dataclass

from myoloop.stimulators.gate.envelope import Envelope


@dataclass(frozen=True, slots=True)
class OnTime:
    """What the bucket holds, in s, and whether it has run full."""

    level_s: float = 0.0
    exhausted: bool = False


def pass_time(ontime: OnTime, tetanic: bool, elapsed_ns: int, envelope: Envelope) -> OnTime:
    """Let time pass with the channel on at a tetanic rate, or not."""
    if envelope.on_s_max is None:
        return OnTime()
    # A duty limit of 1 leaves on-time as the only limit: off as long as it was on empties the bucket.
    filling = 1.0 - envelope.duty_max if envelope.duty_max < 1.0 else 1.0
    capacity_s = envelope.on_s_max * filling
    elapsed_s = elapsed_ns * 1e-9
    change_s = elapsed_s * filling if tetanic else -elapsed_s * envelope.duty_max
    level_s = max(0.0, ontime.level_s + change_s)
    exhausted = level_s >= capacity_s or (ontime.exhausted and level_s > 0.5 * capacity_s)
    return OnTime(level_s, exhausted)
