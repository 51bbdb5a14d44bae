"""On-time and duty of an output at tetanic rates: what a train uses up, rest pays back.

A train uses a second per second and is over when `on_s_max` are used. Rest pays back so that trains and rests in the
proportion of the duty limit stay level. What is used up must be half paid back before the next train, so that it
cannot chatter.

A device gives pulses and no current: an output that blinks goes on giving them as an unbroken train does. So time off
is rest, from its beginning, only once it is longer than there may be between two pulses of a train; if the output
comes on again before, that time was on.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import floor

from myoloop.stimulators.gate.ceilings import REST_MIN_NS
from myoloop.stimulators.gate.envelope import Envelope


@dataclass(frozen=True, slots=True)
class OnTime:
    """What trains have used, and whether it is used up.

    Attributes
    ----------
    gap_ns
        Time since the train had current of which it is not known yet whether it is rest; None once it is.
    """

    used_ns: int = 0
    exhausted: bool = False
    gap_ns: int | None = None


def pass_time(ontime: OnTime, tetanic: bool, elapsed_ns: int, envelope: Envelope) -> OnTime:
    """Let time pass with the output on at a tetanic rate, or not."""
    if envelope.on_s_max is None:
        return OnTime(ontime.used_ns)
    # From a duty of one half upwards rest pays back as fast as the train used it, never faster.
    payback = envelope.duty_max / max(envelope.duty_max, 1.0 - envelope.duty_max)
    used_ns, gap_ns = ontime.used_ns, (ontime.gap_ns or 0) + elapsed_ns
    if tetanic:
        used_ns, left_ns = used_ns + gap_ns, 0
    elif ontime.gap_ns is not None and gap_ns < REST_MIN_NS:
        left_ns = gap_ns
    else:
        used_ns, left_ns = max(0, used_ns - floor(gap_ns * payback)), None
    most_ns = envelope.on_s_max * 1e9
    exhausted = used_ns >= most_ns or (ontime.exhausted and used_ns > 0.5 * most_ns)
    return OnTime(used_ns, exhausted, left_ns)


def must_rest(ontime: OnTime, envelope: Envelope) -> bool:
    """Whether the output may not be on at a tetanic rate now; what is not known to be rest counts as on."""
    if envelope.on_s_max is None:
        return False
    return ontime.exhausted or ontime.used_ns + (ontime.gap_ns or 0) >= envelope.on_s_max * 1e9
