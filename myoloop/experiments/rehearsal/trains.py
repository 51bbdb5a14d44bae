"""Trains as the gate allowed them: when each was asked for, its longest level, when zero was asked for."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from myoloop.experiments.rehearsal.heard import Heard
from myoloop.platform.messages import ChannelSetting, StimReport


@dataclass(frozen=True, slots=True)
class Train:
    """One train on one channel.

    Attributes
    ----------
    asked_ns
        Stamp of the request by which current was allowed first.
    zero_ns
        Stamp of the request by which it was zero again, or when the gate took it; None where the recording ends.
    next_ns
        When the channel's next train was asked for; None where there is none.
    alone
        No other channel had any current meanwhile.
    current_ma, asked_ma, acknowledged_ma
        Of the level that lasted longest: allowed, asked for, and what the device said it gives, at its end.
    rate_hz
        Allowed rate.
    from_ns, until_ns
        Of that level.
    reasons
        Why less was allowed than asked for.
    cut
        Why the gate ended it though current was asked for; empty where it did not, and for a stop.
    resumed
        It is what was left of a train that the gate had cut.
    """

    channel: str
    asked_ns: int
    zero_ns: int | None
    next_ns: int | None
    alone: bool
    current_ma: float
    asked_ma: float
    acknowledged_ma: float
    rate_hz: float
    from_ns: int
    until_ns: int
    reasons: tuple[str, ...]
    cut: str = ""
    resumed: bool = False


@dataclass(slots=True)
class _Level:
    current_ma: float
    rate_hz: float
    from_ns: int
    until_ns: int
    last: StimReport


@dataclass(slots=True)
class _Open:
    asked_ns: int
    levels: list[_Level] = field(default_factory=list)
    alone: bool = True
    zero_ns: int | None = None
    cut: str = ""


#: A train that begins so soon after the gate has cut one is the rest of that one.
_RESUMED_NS = 300_000_000


def trains_of(heard: Heard) -> list[Train]:
    """All trains, in order of their beginning."""
    stamps = sorted(heard.requests.values())
    running: dict[str, _Open] = {}
    ended: list[tuple[str, _Open]] = []
    for report in heard.reports:
        asked_ns = _asked_ns(heard, stamps, report)
        flowing = {each.channel: each for each in report.allowed if each.current_ma > 0}
        for channel in [channel for channel in running if channel not in flowing]:
            train = running.pop(channel)
            train.zero_ns, train.cut = asked_ns, _cut(report, channel)
            ended.append((channel, train))
        for channel, setting in flowing.items():
            train = running.setdefault(channel, _Open(asked_ns))
            train.alone = train.alone and len(flowing) == 1
            _add(train.levels, setting, report)
    ended += running.items()
    ended.sort(key=lambda each: each[1].asked_ns)
    made = []
    before: dict[str, Train] = {}
    for number, (channel, train) in enumerate(ended):
        later = (after.asked_ns for name, after in ended[number + 1 :] if name == channel)
        made.append(_train(channel, train, next(later, None), before.get(channel)))
        before[channel] = made[-1]
    return made


def _cut(report: StimReport, channel: str) -> str:
    if report.state == "FAULT":
        return report.latched
    if not report.rule or report.latched or not any(each.channel == channel for each in report.requested):
        return ""
    return ": ".join(filter(None, (report.rule, "; ".join(report.reasons))))


def _asked_ns(heard: Heard, stamps: Sequence[int], report: StimReport) -> int:
    """Of the request that this verdict answers, else of the newest before it."""
    found = heard.requests.get(report.request) if report.request is not None else None
    if found is not None:
        return found
    # A stop, or what the gate does by itself, answers no request: that happened when it was said.
    if report.rule or report.latched or not report.allowed:
        return report.t_ns
    before = bisect_right(stamps, report.t_ns)
    return stamps[before - 1] if before else report.t_ns


def _add(levels: list[_Level], setting: ChannelSetting, report: StimReport) -> None:
    now = levels[-1] if levels else None
    if now is not None:
        now.until_ns = report.t_ns
    if now is None or now.current_ma != setting.current_ma or now.rate_hz != setting.rate_hz:
        levels.append(_Level(setting.current_ma, setting.rate_hz, report.t_ns, report.t_ns, report))
    else:
        now.last = report


def _train(channel: str, train: _Open, next_ns: int | None, before: Train | None) -> Train:
    level = max(train.levels, key=lambda each: each.until_ns - each.from_ns)
    asked = {each.channel: each.current_ma for each in level.last.requested}
    acknowledged = {each.channel: each.current_ma for each in level.last.acknowledged}
    return Train(
        channel=channel,
        asked_ns=train.asked_ns,
        zero_ns=train.zero_ns,
        next_ns=next_ns,
        alone=train.alone,
        current_ma=level.current_ma,
        asked_ma=asked.get(channel, 0.0),
        acknowledged_ma=acknowledged.get(channel, 0.0),
        rate_hz=level.rate_hz,
        from_ns=level.from_ns,
        until_ns=level.until_ns,
        reasons=level.last.reasons,
        cut=train.cut,
        resumed=before is not None
        and before.zero_ns is not None
        and (bool(before.cut) or before.resumed)
        and train.asked_ns - before.zero_ns < _RESUMED_NS,
    )
