"""What a rehearsal has found: asked against given, latency, jitter, ends, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from myoloop.experiments.rehearsal.heard import Heard, Times
from myoloop.experiments.rehearsal.measured import (
    Measured,
    Offset,
    amplitudes_of,
    count_of,
    last_pulse_after_stop_ms,
    longest_answer_ms,
    measure,
    offset_of,
    uncertainty_ns_of,
    watched_after_stop_ms,
    zero_said_after_stop_ms,
)
from myoloop.experiments.rehearsal.problems import identities_of, problems_of
from myoloop.experiments.rehearsal.trains import Train, trains_of


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
        by_sync = measure("sync", sync.uncertainty_ns, seen)
    said = [(train, stream.get(train.channel, _NONE)) for train in trains]
    kinds = sorted({kind for each in heard.pulses.values() for kind in each.kinds})
    by_stream = measure("+".join(kinds), uncertainty_ns_of(heard.pulses.values()), said) if kinds else None
    return Findings(
        device="; ".join(identities_of(heard)),
        rows=_rows([train for train in trains if not train.resumed], heard),
        by_sync=by_sync,
        by_stream=by_stream,
        sync_offset=offset_of(trains, heard),
        answer_max_ms=longest_answer_ms(heard),
        stop_ms=last_pulse_after_stop_ms(heard),
        zero_said_ms=zero_said_after_stop_ms(heard),
        watched_ms=watched_after_stop_ms(heard),
        problems=problems_of(heard, trains, said, (by_sync, by_stream), step_ma=step_ma, ended=ended),
    )


_NONE: Times = np.empty(0, np.int64)


def _rows(trains: Sequence[Train], heard: Heard) -> tuple[Row, ...]:
    grouped: dict[tuple[str, float, float, float], list[Train]] = {}
    for train in trains:
        key = (train.channel, round(train.asked_ma, 3), train.current_ma, train.acknowledged_ma)
        grouped.setdefault(key, []).append(train)
    rows = []
    for (channel, asked_ma, allowed_ma, acknowledged_ma), group in grouped.items():
        said = heard.pulses.get(channel)
        amplitudes = np.concatenate([amplitudes_of(each, said) for each in group])
        rows.append(
            Row(
                channel, asked_ma, allowed_ma, acknowledged_ma,
                (float(amplitudes.min()), float(amplitudes.max())) if len(amplitudes) else None,
                len(group),
                sum(count_of(each, said.t_ns) for each in group) if said is not None else 0,
                sum(count_of(each, heard.sync.t_ns) for each in group) if heard.sync is not None else None,
            )
        )  # fmt: skip
    return tuple(rows)
