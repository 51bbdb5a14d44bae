"""What a rehearsal has found: asked against given, latency, jitter, ends, and what is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
import numpy.typing as npt

from myoloop.experiments.rehearsal.heard import Heard, Said, Sync, Times
from myoloop.experiments.rehearsal.trains import Train, trains_of

#: Current has ended so soon after a fault or a stop (docs/safety.md); the device's own bound comes on top.
END_MAX_MS = 250.0
#: The gate takes a device that has not answered for 250 ms for faulty; one that comes near is told before.
ANSWER_MAX_MS = 150.0
#: A first pulse later than this belongs to no request.
_FIRST_PULSE_NS = 1_000_000_000
#: How much before its request the first pulse of a train may be said to be, where its time is reckoned.
_FIRST_EARLY_NS = 20_000_000
#: Amplitudes are the same but for what floats leave over.
_SAME_MA = 1e-6
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


@dataclass(frozen=True, slots=True)
class Row:
    """One level of one channel: what was asked for, and what became of it, over its trains.

    Attributes
    ----------
    delivered_ma
        Least and largest amplitude in the pulse stream while the level was on; None where there was no pulse.
    pulses, synced
        In the pulse stream and on the sync channel, in the whole trains; the latter None without such a channel.
    """

    channel: str
    asked_ma: float
    allowed_ma: float
    acknowledged_ma: float
    delivered_ma: tuple[float, float] | None
    trains: int
    pulses: int
    synced: int | None


@dataclass(frozen=True, slots=True)
class Findings:
    """All of it.

    Attributes
    ----------
    device
        Who it says it is.
    sync_offset
        Of the sync channel's pulses from the stream's; None without either.
    answer_max_ms
        Longest that anything before the stop waited for the device's answer, as far as it was recorded.
    stop_ms
        From the stop to the last pulse; negative where it was before; None where stop was not pressed.
    zero_said_ms
        From the stop until the device said that nothing flows; None where it did not.
    watched_ms
        For how long after the stop it was looked.
    problems
        One line each; without one the rehearsal has passed.
    """

    device: str
    rows: tuple[Row, ...]
    by_sync: Measured | None
    by_stream: Measured | None
    sync_offset: Offset | None
    answer_max_ms: float | None
    stop_ms: float | None
    zero_said_ms: float | None
    watched_ms: float | None
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


def find(heard: Heard, *, step_ma: float, ended: tuple[str, str] = ("complete", "")) -> Findings:
    """Judge a session on a dummy load.

    Parameters
    ----------
    step_ma
        The device's smallest step: so much less than asked for is allowed by rounding down.
    ended
        Outcome and reason that it should have; an empty reason is any.
    """
    trains = trains_of(heard)
    sync = heard.sync
    stream = {channel: said.t_ns for channel, said in heard.pulses.items()}
    by_sync = None
    if sync is not None and len(sync.t_ns):
        # The line does not say of which channel a pulse was.
        seen = [(train, sync.t_ns) for train in trains if train.alone]
        by_sync = _measure("sync", sync.uncertainty_ns, seen)
    said = [(train, stream.get(train.channel, _NONE)) for train in trains]
    kinds = sorted({kind for each in heard.pulses.values() for kind in each.kinds})
    by_stream = _measure("+".join(kinds), _uncertainty_ns(heard.pulses.values()), said) if kinds else None
    rows = _rows([train for train in trains if not train.resumed], heard)
    problems = list(
        dict.fromkeys(
            (
                *_ending(heard, ended),
                *_device(heard),
                *_levels(trains, heard, step_ma),
                *_starts(said, sync, by_sync),
                *_unseen(trains, heard),
                *_ends(by_sync, by_stream),
                *_stopped(heard, stream),
            )
        )
    )
    return Findings(
        device="; ".join(_identities(heard)),
        rows=rows,
        by_sync=by_sync,
        by_stream=by_stream,
        sync_offset=_offset(trains, heard),
        answer_max_ms=_answer_max_ms(heard),
        stop_ms=_stop_ms(heard, stream),
        zero_said_ms=_zero_said_ms(heard),
        watched_ms=_watched_ms(heard),
        problems=tuple(problems),
    )


_NONE: Times = np.empty(0, np.int64)


# Measured


def _measure(by: str, uncertainty_ns: int, trains: Sequence[tuple[Train, Times]]) -> Measured:
    first, last, jitter, missing = [], [], [], 0
    for train, t_ns in trains:
        if train.resumed:
            continue
        began_ns = _first(train, t_ns, uncertainty_ns)
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


def _first(train: Train, t_ns: Times, uncertainty_ns: int) -> int | None:
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


def _uncertainty_ns(said: Iterable[Said]) -> int:
    values = [each.uncertainty_ns for each in said if len(each.uncertainty_ns)]
    return int(np.percentile(np.concatenate(values), 95)) if values else 0


def _rows(trains: Sequence[Train], heard: Heard) -> tuple[Row, ...]:
    grouped: dict[tuple[str, float, float, float], list[Train]] = {}
    for train in trains:
        key = (train.channel, round(train.asked_ma, 3), train.current_ma, train.acknowledged_ma)
        grouped.setdefault(key, []).append(train)
    rows = []
    for (channel, asked_ma, allowed_ma, acknowledged_ma), group in grouped.items():
        said = heard.pulses.get(channel)
        amplitudes = np.concatenate([_amplitudes(each, said) for each in group])
        rows.append(
            Row(
                channel, asked_ma, allowed_ma, acknowledged_ma,
                (float(amplitudes.min()), float(amplitudes.max())) if len(amplitudes) else None,
                len(group),
                sum(_count(each, said.t_ns) for each in group) if said is not None else 0,
                sum(_count(each, heard.sync.t_ns) for each in group) if heard.sync is not None else None,
            )
        )  # fmt: skip
    return tuple(rows)


def _amplitudes(train: Train, said: Said | None) -> npt.NDArray[np.float64]:
    """Of the pulses that were surely given at the level: once the device has answered, and what was before is over."""
    if said is None:
        return np.empty(0)
    settled_ns = train.from_ns + round(2e9 / max(train.rate_hz, 1.0) + ANSWER_MAX_MS * 1e6)
    surely = (said.t_ns - said.uncertainty_ns >= settled_ns) & (said.t_ns + said.uncertainty_ns <= train.until_ns)
    return said.current_ma[surely]


def _count(train: Train, t_ns: Times) -> int:
    begin = np.searchsorted(t_ns, train.asked_ns)
    end = len(t_ns) if train.next_ns is None else np.searchsorted(t_ns, train.next_ns)
    return int(end - begin)


def _offset(trains: Sequence[Train], heard: Heard) -> Offset | None:
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


# What is wrong


def _ending(heard: Heard, ended: tuple[str, str]) -> Iterator[str]:
    outcome, reason = ended
    if heard.outcome != outcome or (reason and heard.reason != reason):
        found = heard.outcome or "cut off"
        yield f"the session ended as {found}{f': {heard.reason}' if heard.reason else ''}; it should be {outcome}"


def _identities(heard: Heard) -> list[str]:
    return list(dict.fromkeys(each.identity for each in heard.devices if each.identity))


def _device(heard: Heard) -> Iterator[str]:
    known = _identities(heard)
    if not known:
        yield "the device has not said who it is"
    elif len(known) > 1:
        yield f"the device was another in between: {' then '.join(known)}"
    for each in heard.devices:
        for fault in each.faults:
            yield f"the device says: {fault}"
        if not each.connected:
            yield "the device was lost"
    longest_ms = _answer_max_ms(heard)
    if longest_ms is not None and longest_ms > ANSWER_MAX_MS:
        yield (
            f"the device answers late: something waited {longest_ms:.0f} ms for it, allowed is {ANSWER_MAX_MS:g} ms "
            "(the gate takes it for faulty at 250 ms)"
        )


def _levels(trains: Sequence[Train], heard: Heard, step_ma: float) -> Iterator[str]:
    if not trains:
        yield "no current was allowed on any channel"
    for train in trains:
        if train.cut:
            yield f"{train.channel}: the gate cut a train of {train.current_ma:g} mA short: {train.cut}"
        if train.resumed or train.cut:
            continue
        where = f"{train.channel} at {train.current_ma:g} mA"
        # The gate rounds down to the step; what floats leave over is no reason.
        if train.asked_ma - train.current_ma >= step_ma * (1 + 1e-6):
            why = "; ".join(train.reasons) or "no reason was told"
            yield f"{train.channel}: {train.asked_ma:.4g} mA were asked for, {train.current_ma:g} mA allowed: {why}"
        if abs(train.acknowledged_ma - train.current_ma) > _SAME_MA:
            yield f"{where}: the device acknowledged {train.acknowledged_ma:g} mA"
        amplitudes = _amplitudes(train, heard.pulses.get(train.channel))
        if len(amplitudes) and np.max(np.abs(amplitudes - train.current_ma)) > _SAME_MA:
            yield f"{where}: pulses of {amplitudes.min():g} to {amplitudes.max():g} mA were delivered"


def _starts(said: Sequence[tuple[Train, Times]], sync: Sync | None, by_sync: Measured | None) -> Iterator[str]:
    without: dict[str, int] = {}
    # One that was cut may have had no time for a pulse.
    said = [each for each in said if not (each[0].resumed or each[0].cut)]
    for train, t_ns in said:
        if _first(train, t_ns, _FIRST_EARLY_NS) is None:
            without[train.channel] = without.get(train.channel, 0) + 1
    for channel, count in without.items():
        total = sum(train.channel == channel for train, _ in said)
        yield f"{channel}: {count} of {total} trains gave no pulse"
    if sync is not None and by_sync is None and len(without) < len({train.channel for train, _ in said}):
        yield f"{sync.topic}: its sync channel has seen no pulse at all: is the stimulator's trigger wired to it?"


def _unseen(trains: Sequence[Train], heard: Heard) -> Iterator[str]:
    """Pulses of which only one of sync channel and stream knows; where the device is reckoned, one per train may be."""
    sync = heard.sync
    if sync is None or not len(sync.t_ns):
        return
    for train in trains:
        said = heard.pulses.get(train.channel)
        if not train.alone or said is None:
            continue
        # Both are counted where both were surely looked at: not past the end of what was recorded.
        told, seen = _count(train, said.t_ns), _count(train, sync.t_ns)
        # A reckoned train may begin and end a pulse early or late.
        spare = 2 if "predicted" in said.kinds else 0
        if abs(told - seen) > spare:
            at = f"{train.channel} at {train.current_ma:g} mA"
            yield f"{at}: the stimulator told of {told} pulses, the sync channel saw {seen}"


def _ends(*measured: Measured | None) -> Iterator[str]:
    for each in measured:
        if each is not None and each.last_pulse is not None and each.last_pulse.max_ms > END_MAX_MS:
            yield (
                f"a pulse came {each.last_pulse.max_ms:.0f} ms after zero was asked for (by {each.by}), "
                f"allowed is {END_MAX_MS:g} ms"
            )


def _stopped(heard: Heard, stream: dict[str, Times]) -> Iterator[str]:
    stop_ms = _stop_ms(heard, stream)
    if stop_ms is not None and stop_ms > END_MAX_MS:
        yield f"a pulse came {stop_ms:.0f} ms after stop was pressed, allowed is {END_MAX_MS:g} ms"
    if heard.stop_ns is not None and heard.devices and _zero_said_ms(heard) is None:
        flowing = ", ".join(f"{one.channel} {one.current_ma:g} mA" for one in heard.devices[-1].acknowledged)
        yield f"after stop was pressed the device has not said zero: {flowing or 'it said nothing'}"


def _zero_said_ms(heard: Heard) -> float | None:
    if heard.stop_ns is None:
        return None
    said = [each.t_ns for each in heard.devices if each.t_ns > heard.stop_ns and not each.acknowledged]
    last = heard.devices[-1] if heard.devices else None
    return (said[0] - heard.stop_ns) * _NS if said and last is not None and not last.acknowledged else None


def _answer_max_ms(heard: Heard) -> float | None:
    waits = [
        (each.t_ns - each.oldest_unacknowledged_ns) * _NS
        for each in heard.devices
        # What stop bytes wait for has its own figure: switching the voltage off takes some devices 40 ms each time.
        if each.oldest_unacknowledged_ns is not None and (heard.stop_ns is None or each.t_ns <= heard.stop_ns)
    ]
    return max(waits) if waits else (0.0 if heard.devices else None)


def _stop_ms(heard: Heard, stream: dict[str, Times]) -> float | None:
    if heard.stop_ns is None:
        return None
    ends = [int(t_ns[-1]) for t_ns in stream.values() if len(t_ns)]
    if heard.sync is not None and len(heard.sync.t_ns):
        ends.append(int(heard.sync.t_ns[-1]))
    return (max(ends) - heard.stop_ns) * _NS if ends else None


def _watched_ms(heard: Heard) -> float | None:
    if heard.stop_ns is None:
        return None
    until = [each.t_ns for each in heard.devices[-1:]]
    if heard.sync is not None:
        until.append(heard.sync.until_ns)
    return (max(until) - heard.stop_ns) * _NS if until else None
