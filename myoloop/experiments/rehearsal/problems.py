"""What is wrong with a rehearsal: one line for each thing that is not as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from myoloop.experiments.rehearsal.heard import Heard, Sync, Times
from myoloop.experiments.rehearsal.measured import (
    ANSWER_MAX_MS,
    Measured,
    amplitudes_of,
    count_of,
    first_pulse_ns,
    last_pulse_after_stop_ms,
    longest_answer_ms,
    zero_said_after_stop_ms,
)
from myoloop.experiments.rehearsal.trains import Train

#: Current has ended so soon after a fault or a stop (docs/safety.md); the device's own bound comes on top.
END_MAX_MS = 250.0
#: How much before its request the first pulse of a train may be said to be, where its time is reckoned.
_FIRST_EARLY_NS = 20_000_000
#: Amplitudes are the same but for what floats leave over.
_SAME_MA = 1e-6


def problems_of(
    heard: Heard,
    trains: Sequence[Train],
    said: Sequence[tuple[Train, Times]],
    measured: tuple[Measured | None, Measured | None],
    *,
    step_ma: float,
    ended: tuple[str, str],
) -> tuple[str, ...]:
    """Each once, in order.

    Parameters
    ----------
    said
        Each train with the times of its channel in the pulse stream.
    measured
        By the sync channel, by the pulse stream.
    step_ma, ended
        As of :func:`~myoloop.experiments.rehearsal.findings.find`.
    """
    by_sync, by_stream = measured
    found = (
        *_ending(heard, ended),
        *_device(heard),
        *_levels(trains, heard, step_ma),
        *_starts(said, heard.sync, by_sync),
        *_unseen(trains, heard),
        *_ends(by_sync, by_stream),
        *_stopped(heard),
    )
    return tuple(dict.fromkeys(found))


def identities_of(heard: Heard) -> tuple[str, ...]:
    """Who the device said it is, each once."""
    return tuple(dict.fromkeys(each.identity for each in heard.devices if each.identity))


def _ending(heard: Heard, ended: tuple[str, str]) -> Iterator[str]:
    outcome, reason = ended
    if heard.outcome != outcome or (reason and heard.reason != reason):
        found = heard.outcome or "cut off"
        yield f"the session ended as {found}{f': {heard.reason}' if heard.reason else ''}; it should be {outcome}"


def _device(heard: Heard) -> Iterator[str]:
    known = identities_of(heard)
    if not known:
        yield "the device has not said who it is"
    elif len(known) > 1:
        yield f"the device was another in between: {' then '.join(known)}"
    for each in heard.devices:
        for fault in each.faults:
            yield f"the device says: {fault}"
        if not each.connected:
            yield "the device was lost"
    longest_ms = longest_answer_ms(heard)
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
        amplitudes = amplitudes_of(train, heard.pulses.get(train.channel))
        if len(amplitudes) and np.max(np.abs(amplitudes - train.current_ma)) > _SAME_MA:
            yield f"{where}: pulses of {amplitudes.min():g} to {amplitudes.max():g} mA were delivered"


def _starts(said: Sequence[tuple[Train, Times]], sync: Sync | None, by_sync: Measured | None) -> Iterator[str]:
    without: dict[str, int] = {}
    # One that was cut may have had no time for a pulse.
    said = [each for each in said if not (each[0].resumed or each[0].cut)]
    for train, t_ns in said:
        if first_pulse_ns(train, t_ns, _FIRST_EARLY_NS) is None:
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
        told, seen = count_of(train, said.t_ns), count_of(train, sync.t_ns)
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


def _stopped(heard: Heard) -> Iterator[str]:
    stop_ms = last_pulse_after_stop_ms(heard)
    if stop_ms is not None and stop_ms > END_MAX_MS:
        yield f"a pulse came {stop_ms:.0f} ms after stop was pressed, allowed is {END_MAX_MS:g} ms"
    if heard.stop_ns is not None and heard.devices and zero_said_after_stop_ms(heard) is None:
        flowing = ", ".join(f"{one.channel} {one.current_ma:g} mA" for one in heard.devices[-1].acknowledged)
        yield f"after stop was pressed the device has not said zero: {flowing or 'it said nothing'}"
