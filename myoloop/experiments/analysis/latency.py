"""How long each leg of the loop took."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from myoloop.experiments.analysis.gather import Gathered
from myoloop.experiments.analysis.tracks import CurrentTrack, Floats, PulseTrack
from myoloop.platform.recording.samples import SampleRecord

#: Quantiles that are told of every latency.
QUANTILES = {"p50": 50.0, "p99": 99.0, "p999": 99.9}


def latencies(
    got: Gathered, currents: Mapping[str, CurrentTrack], pulses: Mapping[str, PulseTrack]
) -> dict[str, Floats]:
    """Each leg, in ms; a leg of which nothing is known is empty.

    ``emg_to_request``: from the newest EMG sample that a controller's step consumed to the request of that step.
    ``request_to_report``: from a request to the gate's report on it, the first one that names it.
    ``verdict_to_pulse``: from the first report that lets current through to the channel's first pulse at or after it.
    """
    return {
        "emg_to_request": _emg_to_request(got),
        "request_to_report": _request_to_report(got),
        "verdict_to_pulse": _verdict_to_pulse(currents, pulses),
    }


def percentiles(values_ms: Floats) -> dict[str, float | int | None]:
    """How many, median, 99 %, 99.9 %, worst; None where there are none."""
    told: dict[str, float | int | None] = {"n": len(values_ms)}
    for name, quantile in QUANTILES.items():
        told[f"{name}_ms"] = round(float(np.percentile(values_ms, quantile)), 3) if len(values_ms) else None
    told["worst_ms"] = round(float(values_ms.max()), 3) if len(values_ms) else None
    return told


def _emg_to_request(got: Gathered) -> Floats:
    steps, requests = got.steps, got.requests
    if not len(requests) or not len(steps.number):
        return np.empty(0)
    newest_ns = np.full(len(steps.number), -1, np.int64)
    of, source, seq = (np.array(column, np.int64) for column in (steps.of, steps.source, steps.seq))
    for (topic, publisher, epoch), number in steps.sources.items():
        rows = source == number
        if topic in got.records:
            np.maximum.at(newest_ns, of[rows], _stamps(got.records[topic], publisher, epoch, seq[rows]))
    # Of steps with one number, after a restart, the last counts.
    numbers, last = np.unique(np.array(steps.number, np.int64)[::-1], return_index=True)
    newest_ns = newest_ns[::-1][last]
    wanted = np.array(requests.step, np.int64)
    at = np.minimum(np.searchsorted(numbers, wanted), len(numbers) - 1)
    known = (numbers[at] == wanted) & (newest_ns[at] >= 0)
    return np.asarray((np.array(requests.t_ns, np.int64)[known] - newest_ns[at][known]) * 1e-6, np.float64)


def _stamps(record: SampleRecord, publisher: str, epoch: int, seq: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """When the newest sample of each of these blocks was taken; -1 of one that is not in the record."""
    own = np.array([each == publisher for each in record.publisher], np.bool_) & (record.epoch == epoch)
    order = np.argsort(record.seq[own], kind="stable")
    numbers, t_ns = record.seq[own][order], record.t_ns[own][order]
    if not len(numbers):
        return np.full(len(seq), -1, np.int64)
    at = np.minimum(np.searchsorted(numbers, seq), len(numbers) - 1)
    return np.where(numbers[at] == seq, t_ns[at], -1)


def _request_to_report(got: Gathered) -> Floats:
    made_ns = got.requests.by_reference()
    seen: set[tuple[str, int, int]] = set()
    found = []
    for report in got.reports:
        reference = report.request
        if reference is None or reference in seen:
            continue
        seen.add(reference)
        t_ns = made_ns.get(reference)
        if t_ns is not None:
            found.append(report.t_ns - t_ns)
    return np.array(found, np.float64) * 1e-6


def _verdict_to_pulse(currents: Mapping[str, CurrentTrack], pulses: Mapping[str, PulseTrack]) -> Floats:
    found: list[float] = []
    for channel, track in currents.items():
        times = pulses[channel].t_s if channel in pulses else np.empty(0)
        on = track.allowed_ma > 0
        begins = np.flatnonzero(on & ~np.append(False, on[:-1]))
        ends = np.flatnonzero(on & ~np.append(on[1:], False))
        for begin, end in zip(begins.tolist(), ends.tolist(), strict=True):
            begin_s, end_s = float(track.t_s[begin]), float(track.t_s[min(end + 1, len(track.t_s) - 1)])
            at = int(np.searchsorted(times, begin_s))
            # A train that was taken back before its first pulse has none.
            if at < len(times) and times[at] <= end_s + 0.1:
                found.append((float(times[at]) - begin_s) * 1e3)
    return np.array(found, np.float64)
