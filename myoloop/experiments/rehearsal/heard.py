"""What a recording of a session tells of its stimulator: requests, verdicts, answers, pulses, and the sync channel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from myoloop.controllers.signals.artifact import ArtifactSettings
from myoloop.controllers.signals.source import sync_of
from myoloop.platform.messages import DeviceReport, Pulses, StimReport, StimRequest, Stop
from myoloop.platform.recording.reader import Recording
from myoloop.platform.recording.samples import SampleRecord

Times = npt.NDArray[np.int64]
_TOPICS = frozenset({"request", "report", "device", "pulse", "stop"})


@dataclass(frozen=True, slots=True)
class Sync:
    """Pulses as the amplifier saw them on its sync channel.

    Attributes
    ----------
    topic
        Whose channel it is.
    t_ns
        When the line went up, host time.
    uncertainty_ns
        Half the sampling interval, and how unevenly the amplifier's blocks come. What the amplifier is late on the
        whole is not in it: nobody can see that from here.
    from_ns, until_ns
        When it was looked at.
    """

    topic: str
    t_ns: Times
    uncertainty_ns: int
    from_ns: int
    until_ns: int


@dataclass(frozen=True, slots=True)
class Said:
    """Pulses of one channel as the stimulator said them: parallel rows, in order of time."""

    t_ns: Times
    uncertainty_ns: Times
    current_ma: npt.NDArray[np.float64]
    kinds: frozenset[str]


@dataclass(frozen=True, slots=True)
class Heard:
    """A session, as far as its stimulator is concerned.

    Attributes
    ----------
    outcome, reason
        How it ended.
    requests
        Time of each request, by publisher, epoch and number.
    stop_ns
        When stop was pressed first; None where it was not.
    sync
        None where no source has such a channel.
    """

    outcome: str
    reason: str
    requests: dict[tuple[str, int, int], int]
    reports: Sequence[StimReport]
    devices: Sequence[DeviceReport]
    pulses: dict[str, Said]
    stop_ns: int | None = None
    sync: Sync | None = None


def hear(folder: Path) -> Heard:
    """Read an attempt's recording.

    Raises
    ------
    RecordingError
        If there is none, or it is damaged.
    """
    recording = Recording.open(folder)
    requests: dict[tuple[str, int, int], int] = {}
    reports: list[StimReport] = []
    devices: list[DeviceReport] = []
    pulses: list[Pulses] = []
    stops: list[int] = []
    for each in recording.messages(_TOPICS):
        received = each.received
        message = received.message
        if isinstance(message, StimRequest):
            requests[received.publisher, received.epoch, received.seq] = message.t_ns
        elif isinstance(message, StimReport):
            reports.append(message)
        elif isinstance(message, DeviceReport):
            devices.append(message)
        elif isinstance(message, Pulses):
            pulses.append(message)
        elif isinstance(message, Stop):
            stops.append(message.t_ns)
    # A line that went up is a pulse only while the stimulator was heard.
    since_ns = reports[0].t_ns if reports else 0
    seen = [
        sync_seen(recording.samples(topic), since_ns)
        for topic, descriptor in recording.descriptors.items()
        if descriptor.sync_channel is not None
    ]
    return Heard(
        outcome=recording.outcome,
        reason=recording.reason,
        requests=requests,
        reports=reports,
        devices=devices,
        pulses=said_pulses(pulses),
        stop_ns=min(stops, default=None),
        sync=next((each for each in seen if each is not None), None),
    )


def said_pulses(pulses: Sequence[Pulses]) -> dict[str, Said]:
    """The pulse stream by channel."""
    rows: dict[str, list[tuple[int, int, float]]] = {}
    kinds: dict[str, set[str]] = {}
    for each in pulses:
        kinds.setdefault(each.channel, set()).add(each.kind)
        rows.setdefault(each.channel, []).extend((t_ns, each.uncertainty_ns, each.current_ma) for t_ns in each.t_ns)
    said = {}
    for channel, unsorted in rows.items():
        t_ns, uncertainty_ns, current_ma = zip(*sorted(unsorted), strict=True) if unsorted else ((), (), ())
        said[channel] = Said(
            np.array(t_ns, np.int64), np.array(uncertainty_ns, np.int64), np.array(current_ma, np.float64),
            frozenset(kinds[channel]),
        )  # fmt: skip
    return said


def sync_seen(record: SampleRecord, since_ns: int = 0) -> Sync | None:
    """When the sync channel's line went up; None where the stream has no block."""
    sync = sync_of(record.descriptor)
    if sync is None or not len(record.row):
        return None
    column, scale, offset = sync
    level = ArtifactSettings().sync_level
    rises: list[Times] = []
    uneven_ns = 0.0
    ends: list[tuple[float, float]] = []
    for rows, index, t_ns in _runs(record):
        # Blocks come late, never early: the line through most of them is the amplifier's clock, late by a constant.
        half_ns = 0.5e9 / record.descriptor.rate_hz
        slope, at_ns = np.polyfit(index - index[0], (t_ns - t_ns[0]).astype(float), 1) if len(index) > 2 else (
            1e9 / record.descriptor.rate_hz, 0.0,
        )  # fmt: skip
        away_ns = (t_ns - t_ns[0]) - (slope * (index - index[0]) + at_ns)
        uneven_ns = max(uneven_ns, float(np.percentile(np.abs(away_ns), 95)))
        first = index[-1] - (rows.stop - rows.start) + 1
        values = record.counts[rows, column].astype(float) * scale + offset
        on = values > level
        up = np.flatnonzero(on[1:] & ~on[:-1]) + 1
        found = t_ns[0] + at_ns + slope * (first + up - index[0]) - half_ns
        rises.append(found[found >= since_ns].astype(np.int64))
        ends.append((float(t_ns[0]), float(t_ns[-1])))
    times = np.sort(np.concatenate(rises)) if rises else np.empty(0, np.int64)
    uncertainty_ns = round(0.5e9 / record.descriptor.rate_hz + uneven_ns)
    return Sync(record.descriptor.topic, times, uncertainty_ns, round(max(since_ns, ends[0][0])), round(ends[-1][1]))


def _runs(record: SampleRecord) -> Iterator[tuple[slice, Times, Times]]:
    """Rows without a gap between them; index and host time of each block's newest sample."""
    starts = np.append(record.row, len(record.counts))
    cuts = sorted({0, *(int(np.searchsorted(record.row, gap.row)) for gap in record.gaps), len(record.row)})
    for begin, end in pairwise(cuts):
        if begin < end:
            lengths = np.diff(starts[begin : end + 1])
            newest = record.first_sample[begin:end] + lengths - 1
            yield slice(int(starts[begin]), int(starts[end])), newest, record.t_ns[begin:end]
