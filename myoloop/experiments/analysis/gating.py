"""What was asked of the gate, what it let through, and why it was less."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from myoloop.experiments.analysis.gather import Gathered
from myoloop.experiments.analysis.tracks import CurrentTrack, GateTally
from myoloop.platform.messages import ChannelSetting, Dose, StimReport
from myoloop.stimulators.gate import DeviceLimits, Envelope, EnvelopeError, parse_envelope
from myoloop.stimulators.gate.limits import current_cap

#: Limited without a rule: rounded down to the device's step.
ROUNDED = "device step"


def gate_tracks(
    got: Gathered, settings: Mapping[str, Mapping[str, Any]]
) -> tuple[dict[str, CurrentTrack], GateTally, Dose]:
    """Currents by channel, what the gate did, and the dose it counted last."""
    reports = got.reports
    if not reports:
        return {}, GateTally(), Dose()
    t_s = np.array([got.seconds(report.t_ns) for report in reports])
    caps = _Caps(got.envelopes, settings)
    channels = {
        setting.channel: None
        for report in reports
        for setting in (*report.requested, *report.allowed, *report.acknowledged)
    }
    named = dict.fromkeys([*caps.channels, *sorted(channels)])
    currents = {}
    for channel in named:
        asked, allowed, acknowledged = (np.zeros(len(reports)) for _ in range(3))
        cap = np.full(len(reports), np.nan)
        for i, report in enumerate(reports):
            setting = _of(channel, report.requested)
            if setting is not None:
                asked[i] = setting.current_ma
            allowed[i] = _ma(channel, report.allowed)
            acknowledged[i] = _ma(channel, report.acknowledged)
            cap[i] = caps.cap_ma(channel, report, setting)
        currents[channel] = CurrentTrack(t_s, asked, allowed, acknowledged, cap)
    return currents, _tally(got, caps), reports[-1].dose


def _tally(got: Gathered, caps: _Caps) -> GateTally:
    reports = got.reports
    limited = rounded = 0
    rules: dict[str, tuple[int, str]] = {}
    latches: list[tuple[float, str]] = []
    states: dict[str, float] = {}
    latched = ""
    for number, report in enumerate(reports):
        if number + 1 < len(reports):
            lasted_s = (reports[number + 1].t_ns - report.t_ns) * 1e-9
            states[report.state] = states.get(report.state, 0.0) + lasted_s
        if report.latched and not latched:
            latches.append((got.seconds(report.t_ns), report.latched))
        latched = report.latched
        if not _less(report):
            continue
        if report.rule:
            limited += 1
        else:
            rounded += 1
        rule = report.rule or ROUNDED
        count, reason = rules.get(rule, (0, report.reasons[0] if report.reasons else ""))
        rules[rule] = (count + 1, reason)
    ordered = dict(sorted(rules.items(), key=lambda item: -item[1][0]))
    in_force = next((r.envelope_sha256 for r in reversed(reports) if r.envelope_sha256), "")
    return GateTally(len(reports), limited, rounded, ordered, tuple(latches), states, caps.envelope(in_force))


def _less(report: StimReport) -> bool:
    allowed = {setting.channel: setting.current_ma for setting in report.allowed}
    return any(allowed.get(setting.channel, 0.0) < setting.current_ma for setting in report.requested)


class _Caps:
    """The most each channel could have, by the envelope in force, at the pulses it had."""

    def __init__(self, told: Sequence[Mapping[str, Any]], settings: Mapping[str, Mapping[str, Any]]) -> None:
        self._envelopes: dict[str, Envelope] = {}
        for values in told:
            try:
                envelope = parse_envelope(values)
            except EnvelopeError:
                # One that is none was refused by the gate too, and never was in force.
                continue
            self._envelopes[envelope.sha256] = envelope
        self._device = _device(settings.get("stimulator", {}))
        self._pulses = {
            out["channel"]: (float(out["phase_us"]), float(out["rate_hz"]))
            for out in settings.get("controller", {}).get("stim", ())
        }
        self._known: dict[tuple[str, str, tuple[float, float], bool], float] = {}

    @property
    def channels(self) -> tuple[str, ...]:
        """Channels that any envelope names."""
        return tuple(dict.fromkeys(c.channel for e in self._envelopes.values() for c in e.channels))

    def envelope(self, sha256: str) -> dict[str, Any]:
        """An envelope as plain data; empty where its command is not in the record."""
        found = self._envelopes.get(sha256)
        return asdict(found) if found is not None else {}

    def cap_ma(self, channel: str, report: StimReport, asked: ChannelSetting | None) -> float:
        """By the envelope in force at a report; NaN where there was none."""
        if asked is not None and asked.phase_us > 0 and asked.rate_hz > 0:
            self._pulses[channel] = (asked.phase_us, asked.rate_hz)
        envelope = self._envelopes.get(report.envelope_sha256)
        pulses = self._pulses.get(channel)
        limits = envelope.channel(channel) if envelope is not None else None
        if envelope is None or limits is None or pulses is None or self._device is None:
            return float("nan")
        calibrating = report.state == "CALIBRATING"
        key = (report.envelope_sha256, channel, pulses, calibrating)
        if key not in self._known:
            self._known[key] = current_cap(limits, envelope, self._device, *pulses, calibrating)[0]
        return self._known[key]


def _device(settings: Mapping[str, Any]) -> DeviceLimits | None:
    try:
        low, high = settings["phase_us"]
        slow, fast = settings["rate_hz"]
        return DeviceLimits(
            settings["outputs"],
            settings["current_max_ma"],
            settings["current_step_ma"],
            (low, high),
            (slow, fast),
            settings.get("period_step_us", 0.0),
            settings.get("restarts_at_once", False),
        )
    except (KeyError, TypeError, ValueError):
        return None


def _of(channel: str, settings: Sequence[ChannelSetting]) -> ChannelSetting | None:
    return next((setting for setting in settings if setting.channel == channel), None)


def _ma(channel: str, settings: Sequence[ChannelSetting]) -> float:
    setting = _of(channel, settings)
    return 0.0 if setting is None else setting.current_ma
