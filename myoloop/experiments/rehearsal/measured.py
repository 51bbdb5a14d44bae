"""What a rehearsal's times and amplitudes were: by the sync channel, by the pulse stream, and around the stop."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from myoloop.experiments.rehearsal.heard import Heard, Said, Times
from myoloop.experiments.rehearsal.trains import Train

#: The gate takes a device that has not answered for 250 ms for faulty; one that comes near is told before.
ANSWER_MAX_MS = 150.0
#: A first pulse later than this belongs to no request.
_FIRST_PULSE_NS = 1_000_000_000
#: A gap of more than this many periods is a missing pulse, not jitter.
_MISSING = 1.5
_NS = 1e-6


@dataclass(frozen=True, slots=True)
class Spread:
    """Many times of one kind, in ms; percentiles by nearest rank, so that of fewer than 100 the 99th is the largest."""

    count: int
    median_ms: float
    p95_ms: float
    p99_ms: float
    max_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """Times measured in one way.

    Attributes
    ----------
    by
        ``sync``: by the amplifier's sync channel; else the kind of the stimulator's own pulse stream
        (``acknowledged``, ``sent``, ``predicted``).
    uncertainty_ms
        Half-width of what is known of a single time.
    first_pulse
        From the request's own stamp to the train's first pulse.
    last_pulse
        From the request for zero to the last pulse; a negative one was before.
    jitter
        How far intervals between pulses are from the period. None where the times were reckoned from the period.
    missing
        Intervals of more than one and a half periods.
    """

    by: str
    uncertainty_ms: float
    first_pulse: Spread | None
    last_pulse: Spread | None
    jitter: Spread | None
    missing: int


@dataclass(frozen=True, slots=True)
class Offset:
    """How far the pulse stream's times are from those on the sync channel, whose amplifier's own delay is in it.

    Attributes
    ----------
    median_ms
        Sync less stream.
    spread_ms
        95 % are within so much of the median.
    within
        Share that is within what the stream said of its own uncertainty.
    """

    count: int
    median_ms: float
    spread_ms: float
    within: float


def measure(by: str, uncertainty_ns: int, trains: Sequence[tuple[Train, Times]]) -> Measured:
    """Latency, end and jitter of trains, each with the pulse times that are of it."""
    first, last, jitter, missing = [], [], [], 0
    for train, t_ns in trains:
        if train.resumed:
            continue
        began_ns = first_pulse_ns(train, t_ns, uncertainty_ns)
        if began_ns is not None:
            first.append((began_ns - train.asked_ns) * _NS)
        ended_ns = _last(train, t_ns)
        if ended_ns is not None and train.zero_ns is not None:
            last.append((ended_ns - train.zero_ns) * _NS)
        if train.rate_hz <= 0:
            continue
        period_ns = 1e9 / train.rate_hz
        steps = np.diff(_within(t_ns, train.from_ns, train.until_ns)).astype(float)
        missing += int(np.count_nonzero(steps > _MISSING * period_ns))
        jitter += np.abs(steps[steps <= _MISSING * period_ns] - period_ns).tolist()
    reckoned = "predicted" in by
    return Measured(
        by, uncertainty_ns * _NS, _spread(first), _spread(last),
        None if reckoned else _spread([each * _NS for each in jitter]), missing,
    )  # fmt: skip


def first_pulse_ns(train: Train, t_ns: Times, uncertainty_ns: int) -> int | None:
    """The train's first pulse; what is known of its time may put it before the request."""
    until_ns = train.asked_ns + _FIRST_PULSE_NS
    if train.next_ns is not None:
        until_ns = min(until_ns, train.next_ns)
    found = _within(t_ns, train.asked_ns - uncertainty_ns, until_ns - uncertainty_ns)
    return int(found[0]) if len(found) else None


def _last(train: Train, t_ns: Times) -> int | None:
    """The train's last pulse, until the next train is asked for."""
    found = t_ns[t_ns >= train.asked_ns]
    if train.next_ns is not None:
        found = found[found < train.next_ns]
    return int(found[-1]) if len(found) else None


def _within(t_ns: Times, from_ns: int, until_ns: int) -> Times:
    return t_ns[(t_ns >= from_ns) & (t_ns <= until_ns)]


def _spread(values: Sequence[float]) -> Spread | None:
    if not len(values):
        return None
    ordered = sorted(values)
    return Spread(len(ordered), *(round(ordered[_rank(len(ordered), part)], 3) for part in (0.5, 0.95, 0.99, 1.0)))


def _rank(count: int, part: float) -> int:
    return max(0, ceil(part * count - 1e-9) - 1)


def uncertainty_ns_of(said: Iterable[Said]) -> int:
    """What 95 % of the stream's times are at least as certain as; 0 without any."""
    values = [each.uncertainty_ns for each in said if len(each.uncertainty_ns)]
    return int(np.percentile(np.concatenate(values), 95)) if values else 0


def amplitudes_of(train: Train, said: Said | None) -> npt.NDArray[np.float64]:
    """Of the pulses that were surely given at the level: once the device has answered, and what was before is over."""
    if said is None:
        return np.empty(0)
    settled_ns = train.from_ns + round(2e9 / max(train.rate_hz, 1.0) + ANSWER_MAX_MS * 1e6)
    surely = (said.t_ns - said.uncertainty_ns >= settled_ns) & (said.t_ns + said.uncertainty_ns <= train.until_ns)
    return said.current_ma[surely]


def count_of(train: Train, t_ns: Times) -> int:
    """Pulses from the train's request to the next train's."""
    begin = np.searchsorted(t_ns, train.asked_ns)
    end = len(t_ns) if train.next_ns is None else np.searchsorted(t_ns, train.next_ns)
    return int(end - begin)


def offset_of(trains: Sequence[Train], heard: Heard) -> Offset | None:
    """How far the stream is from the sync channel, in the trains that were alone; None where nothing is to be told."""
    if heard.sync is None:
        return None
    away_ns: list[float] = []
    within = 0
    for train in trains:
        said = heard.pulses.get(train.channel)
        if not train.alone or said is None or not len(said.t_ns) or train.rate_hz <= 0:
            continue
        for t_ns in _within(heard.sync.t_ns, train.from_ns, train.until_ns):
            nearest = int(np.argmin(np.abs(said.t_ns - t_ns)))
            apart_ns = int(t_ns - said.t_ns[nearest])
            if abs(apart_ns) <= 0.5e9 / train.rate_hz:
                away_ns.append(apart_ns)
                within += abs(apart_ns) <= int(said.uncertainty_ns[nearest]) + heard.sync.uncertainty_ns
    if not away_ns:
        return None
    median_ns = float(np.median(away_ns))
    spread_ns = float(np.percentile(np.abs(np.array(away_ns) - median_ns), 95))
    count = len(away_ns)
    return Offset(count, round(median_ns * _NS, 3), round(spread_ns * _NS, 3), round(within / count, 4))


def zero_said_after_stop_ms(heard: Heard) -> float | None:
    """From the stop until the device said that nothing flows; None where it did not, or not to the end."""
    if heard.stop_ns is None:
        return None
    said = [each.t_ns for each in heard.devices if each.t_ns > heard.stop_ns and not each.acknowledged]
    last = heard.devices[-1] if heard.devices else None
    return (said[0] - heard.stop_ns) * _NS if said and last is not None and not last.acknowledged else None


def longest_answer_ms(heard: Heard) -> float | None:
    """Longest wait for the device's answer before the stop; None where the device said nothing at all."""
    waits = [
        (each.t_ns - each.oldest_unacknowledged_ns) * _NS
        for each in heard.devices
        # What stop bytes wait for has its own figure: switching the voltage off takes some devices 40 ms each time.
        if each.oldest_unacknowledged_ns is not None and (heard.stop_ns is None or each.t_ns <= heard.stop_ns)
    ]
    return max(waits) if waits else (0.0 if heard.devices else None)


def last_pulse_after_stop_ms(heard: Heard) -> float | None:
    """From the stop to the last pulse, by stream or sync channel; None without a stop or a pulse."""
    if heard.stop_ns is None:
        return None
    ends = [int(said.t_ns[-1]) for said in heard.pulses.values() if len(said.t_ns)]
    if heard.sync is not None and len(heard.sync.t_ns):
        ends.append(int(heard.sync.t_ns[-1]))
    return (max(ends) - heard.stop_ns) * _NS if ends else None


def watched_after_stop_ms(heard: Heard) -> float | None:
    """For how long after the stop it was looked; None without one."""
    if heard.stop_ns is None:
        return None
    until = [each.t_ns for each in heard.devices[-1:]]
    if heard.sync is not None:
        until.append(heard.sync.until_ns)
    return (max(until) - heard.stop_ns) * _NS if until else None
