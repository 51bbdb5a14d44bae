"""The tables of one recording, as pandas data frames."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from myoloop.experiments.analysis import course, gather
from myoloop.experiments.analysis.columns import MeasureColumn, MuscleColumns, numbers, seconds
from myoloop.experiments.analysis.gather import Gathered
from myoloop.experiments.analysis.tracks import PulseTrack
from myoloop.platform.messages import ChannelSetting, DeviceReport, StimRequest
from myoloop.platform.recording.seek import SeekableRecording

if TYPE_CHECKING:
    import pandas as pd

#: How a recorded pulse is known, best first; what the virtual subject itself counted comes before all.
KNOWN_BY = ("ledger", "acknowledged", "predicted", "sent")


def events(got: Gathered) -> pd.DataFrame:
    """See :class:`myoloop.experiments.analysis.reading.Recording`, as for all of them."""
    rows = [(row.t_s, row.kind, row.who, row.why, dict(row.values)) for row in got.event_rows()]
    return _frame(("t_s", "kind", "who", "why", "values"), rows)


def forms(got: Gathered) -> pd.DataFrame:
    """Answers, one row each."""
    return _frame(("t_s", "form", "who", "field", "value"), list(answers(got.event_rows())))


def answers(rows: Sequence[Any]) -> Iterator[tuple[float, str, str, str, Any]]:
    """Time, form, who filled it in, field and value of each answer among the events."""
    for row in rows:
        if row.kind == "form":
            form = str(row.values.get("form", ""))
            for field, value in row.values.items():
                if field != "form" and value is not None:
                    yield row.t_s, form, row.who, field, value


def estimates(got: Gathered) -> pd.DataFrame:
    """One row per estimate and muscle, in order of time."""
    import pandas as pd

    parts = [pd.DataFrame(_muscle(name, told, got.zero_ns)) for name, told in got.estimates.muscles.items()]
    if not parts:
        return pd.DataFrame(_muscle("", MuscleColumns(), 0))
    return pd.concat(parts, ignore_index=True).sort_values("t_s", kind="stable", ignore_index=True)


def motion(got: Gathered) -> pd.DataFrame:
    """Estimates of the joint."""
    import pandas as pd

    columns: dict[str, Any] = {"t_s": seconds(got.estimates.motion_t_ns, got.zero_ns)}
    for name, column in got.estimates.motion.items():
        columns |= _measure(name, column)
    return pd.DataFrame(columns)


def decisions(recording: SeekableRecording, zero_ns: int) -> pd.DataFrame:
    """Requests, channel by channel."""
    rows: list[tuple[Any, ...]] = []
    for received, _ in recording.messages({"request"}):
        message = received.message
        if isinstance(message, StimRequest):
            t_s = (message.t_ns - zero_ns) * 1e-9
            told = [(c.channel, c.current_ma, c.phase_us, c.rate_hz) for c in message.channels]
            none = [("", np.nan, np.nan, np.nan)]
            rows += [(t_s, message.step, *each, message.lease_ms, message.reason) for each in told or none]
    names = ("t_s", "step", "channel", "current_ma", "phase_us", "rate_hz", "lease_ms", "reason")
    return _frame(names, rows)


def reports(got: Gathered) -> pd.DataFrame:
    """The gate's verdicts, channel by channel."""
    rows: list[tuple[Any, ...]] = []
    for report in got.reports:
        asked, allowed, acknowledged = (_by_channel(s) for s in (report.requested, report.allowed, report.acknowledged))
        begin = (got.seconds(report.t_ns), report.step, report.state)
        end = (report.rule, report.latched, report.dose.session_charge_mc)
        for channel in dict.fromkeys((*asked, *allowed, *acknowledged)) or ("",):
            setting = asked.get(channel) or allowed.get(channel) or acknowledged.get(channel)
            pulse = (np.nan, np.nan) if setting is None else (setting.phase_us, setting.rate_hz)
            currents = (_ma(asked, channel), _ma(allowed, channel), _ma(acknowledged, channel))
            rows.append((*begin, channel, *currents, *pulse, *end))
    names = (
        "t_s", "step", "state", "channel", "asked_ma", "allowed_ma", "acknowledged_ma", "phase_us", "rate_hz", "rule",
        "latched", "session_charge_mc",
    )  # fmt: skip
    return _frame(names, rows)


def device(recording: SeekableRecording, zero_ns: int) -> pd.DataFrame:
    """What the stimulator said of itself."""
    rows = [
        ((message.t_ns - zero_ns) * 1e-9, message.connected, message.identity, ", ".join(message.faults))
        for message in (received.message for received, _ in recording.messages({"device"}))
        if isinstance(message, DeviceReport)
    ]
    return _frame(("t_s", "connected", "identity", "faults"), rows)


def pulses(got: Gathered) -> pd.DataFrame:
    """Delivered pulses by the best account there is, in order of time."""
    import pandas as pd

    truth = gather.truths(got)
    told = dict(truth.pulses) if truth.ledger else gather.pulse_tracks(got)
    kinds = {kind for track in told.values() for kind in track.kind}
    basis = next((kind for kind in KNOWN_BY if kind in kinds), KNOWN_BY[0])
    parts = [pd.DataFrame(pulse_columns(name, track.of_kind(basis))) for name, track in told.items()]
    if not parts:
        return pd.DataFrame(pulse_columns("", PulseTrack(*(np.empty(0),) * 3, (), np.empty(0))))
    return pd.concat(parts, ignore_index=True).sort_values("t_s", kind="stable", ignore_index=True)


def pulse_columns(channel: str, track: PulseTrack) -> dict[str, Any]:
    """Columns of one channel's pulses."""
    return {
        "channel": [channel] * len(track),
        "t_s": track.t_s,
        "current_ma": track.current_ma,
        "phase_us": track.phase_us,
        "charge_uc": track.charge_uc,
        "known_by": list(track.kind),
        "uncertainty_ms": track.uncertainty_s * 1e3,
    }


def phases(got: Gathered) -> pd.DataFrame:
    """Phases of the protocol."""
    rows = [(each.number, each.name, each.kind, each.begin_s, each.end_s) for each in course.course(got)[0]]
    return _frame(("number", "name", "kind", "begin_s", "end_s"), rows)


def trials(got: Gathered) -> pd.DataFrame:
    """One row per trial, what it has told in columns of its own."""
    import pandas as pd

    rows = [
        {
            "kind": trial.kind,
            "name": trial.name,
            "block": trial.block,
            "trial": trial.trial,
            "outcome": trial.outcome,
            "begin_s": begin_s,
            "trigger_s": np.nan if trigger_s is None else trigger_s,
            "end_s": end_s,
            **dict(sorted(trial.values.items())),
        }
        for trial, (begin_s, trigger_s, end_s) in zip(got.trials, got.trial_times(), strict=True)
    ]
    names = ("kind", "name", "block", "trial", "outcome", "begin_s", "trigger_s", "end_s")
    return pd.DataFrame(rows) if rows else _frame(names, [])


def truth(got: Gathered) -> pd.DataFrame:
    """What a virtual subject knew of itself."""
    rows = [
        (got.seconds(message.t_ns), what, name, value)
        for what, told in got.truths.items()
        for message in told
        for name, value in message.values.items()
    ]
    return _frame(("t_s", "what", "name", "value"), rows)


def _muscle(name: str, told: MuscleColumns, zero_ns: int) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "t_s": seconds(told.t_ns, zero_ns),
        "step": np.array(told.step, np.int64),
        "muscle": [name] * len(told.t_ns),
        "level_uv": numbers(told.level_uv),
    }
    for measure, column in told.measures.items():
        columns |= _measure(measure, column)
    return columns


def _measure(name: str, column: MeasureColumn) -> dict[str, Any]:
    """What was valid, and why the rest was not: a value that must not be acted on is none in a table either."""
    track = column.track()
    reasons = np.array(track.told, object)[track.reason]
    return {
        name: np.where(track.valid, track.value, np.nan),
        f"{name}_low": np.where(track.valid, track.low, np.nan),
        f"{name}_high": np.where(track.valid, track.high, np.nan),
        f"{name}_why_not": np.where(track.valid, "", reasons),
    }


def _by_channel(settings: Sequence[ChannelSetting]) -> dict[str, ChannelSetting]:
    return {setting.channel: setting for setting in settings}


def _ma(settings: Mapping[str, ChannelSetting], channel: str) -> float:
    return settings[channel].current_ma if channel in settings else 0.0


def _frame(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(rows, columns=list(names))
