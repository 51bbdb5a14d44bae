"""The dose of each block, channel by channel: what the plan was to give beside what was delivered.

What was planned is the director's own plan, with this person's values in it. Its current is the targets that were
resolved; where a trial did not come to a target, the mean of those that did stands for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import PhaseSpan, PulseTrack
from myoloop.experiments.protocols.planned import BlockPlan, Plan, PulsePlan
from myoloop.platform.messages import Trial


@dataclass(frozen=True, slots=True)
class Amount:
    """Trains, their time, pulses, and charge of one phase of each pulse; NaN where it is not known."""

    trains: float
    on_s: float
    pulses: float
    charge_mc: float


@dataclass(frozen=True, slots=True)
class ChannelDose:
    """One channel in one block.

    Attributes
    ----------
    planned
        Charge is NaN where no target was resolved.
    delivered
        In a blinded session what an active arm would have had.
    used_before
        Trials of the block that an earlier attempt had used up; they are part of what was planned.
    mean_ma
        Over the delivered pulses; None without any.
    tolerance_share
        That over the tolerance found in this session at the same width; None where there is none.
    """

    block: str
    channel: str
    planned: Amount
    delivered: Amount
    used_before: int
    mean_ma: float | None
    tolerance_share: float | None


def plan_of(session: Session) -> Plan | None:
    """The director's plan; None where the record has none that this version can read."""
    told = session.settings.get("director", {}).get("plan")
    try:
        return msgspec.convert(told, Plan) if isinstance(told, Mapping) else None
    except (msgspec.ValidationError, ValueError):
        return None


def block_doses(session: Session) -> tuple[ChannelDose, ...]:
    """Each channel of each block of the plan, begun or not; nothing where there is no plan."""
    plan = plan_of(session)
    if plan is None:
        return ()
    tracks = session.delivered()
    found = []
    for number, phase in enumerate(plan.phases):
        if phase.block is None:
            continue
        spans = [span for span in session.phases if span.number == number and span.kind == "block"]
        rows = [row for row in session.trials if row.kind == "block" and row.name == phase.name]
        used = plan.go_on.used_of(number) if plan.go_on is not None else {}
        for channel in _channels(phase.block):
            given = _within(tracks.get(channel), spans)
            found.append(
                ChannelDose(
                    phase.name,
                    channel,
                    _planned(phase.block, channel, rows),
                    _amount(given),
                    sum(used.values()),
                    float(given.current_ma.mean()) if given is not None and len(given) else None,
                    _tolerance_share(session, channel, given),
                )
            )
    return tuple(found)


def _channels(block: BlockPlan) -> tuple[str, ...]:
    pulses = (*block.pulses, *(pulse for each in block.conditions for pulse in each.pulses))
    return tuple(dict.fromkeys(pulse.channel for pulse in pulses))


def _planned(block: BlockPlan, channel: str, rows: Sequence[Trial]) -> Amount:
    trials, timing = block.trials * block.repeat, block.timing
    on_s = timing.ramp_up_s + timing.hold_s + timing.ramp_down_s
    # Where conditions take turns, as many trials of each.
    pulses = [pulse for each in block.conditions for pulse in each.pulses if pulse.channel == channel]
    pulses = pulses or [pulse for pulse in block.pulses if pulse.channel == channel]
    turns = len(block.conditions) or 1
    rate_hz = sum(pulse.rate_hz for pulse in pulses) / turns
    told_uc_s = [_uc_per_s(block, channel, row, pulses) for row in rows]
    known_uc_s = [value for value in told_uc_s if math.isfinite(value)]
    per_s_uc = sum(known_uc_s) / len(known_uc_s) if known_uc_s else math.nan
    # A ramp gives half of what its whole length would.
    full_s = timing.hold_s + 0.5 * (timing.ramp_up_s + timing.ramp_down_s)
    return Amount(trials, trials * on_s, trials * on_s * rate_hz, trials * full_s * per_s_uc * 1e-3)


def _uc_per_s(block: BlockPlan, channel: str, row: Trial, pulses: Sequence[PulsePlan]) -> float:
    target_ma = row.values.get(f"target_ma_{channel}")
    if not isinstance(target_ma, int | float):
        return math.nan
    named = next((each.pulses for each in block.conditions if each.name == row.values.get("condition")), tuple(pulses))
    pulse = next((each for each in named if each.channel == channel), None)
    return target_ma * pulse.phase_us * pulse.rate_hz * 1e-3 if pulse is not None else 0.0


def _within(track: PulseTrack | None, spans: Sequence[PhaseSpan]) -> PulseTrack | None:
    """The pulses of a block."""
    if track is None:
        return None
    keep = np.zeros(len(track), np.bool_)
    for span in spans:
        keep |= (track.t_s >= span.begin_s) & (track.t_s < span.end_s)
    kinds = tuple(kind for kind, kept in zip(track.kind, keep, strict=True) if kept)
    return PulseTrack(track.t_s[keep], track.current_ma[keep], track.phase_us[keep], kinds, track.uncertainty_s[keep])


def _amount(given: PulseTrack | None) -> Amount:
    if given is None or not len(given):
        return Amount(0, 0.0, 0, 0.0)
    trains = given.trains()
    on_s = math.fsum(train.until(float(given.t_s[-1])) - train.begin_s for train in trains)
    return Amount(len(trains), on_s, len(given), float(given.charge_uc.sum()) * 1e-3)


def _tolerance_share(session: Session, channel: str, given: PulseTrack | None) -> float | None:
    if given is None or not len(given):
        return None
    rows: list[Mapping[str, Any]] = [
        row.values for row in session.trials if row.kind == "threshold" and row.values.get("channel") == channel
    ]
    found = rows[-1] if rows else {}
    tolerance_ma, phase_us = found.get("tolerance_ma"), found.get("phase_us")
    same_width = isinstance(phase_us, int | float) and bool(np.all(np.isclose(given.phase_us, phase_us)))
    if not isinstance(tolerance_ma, int | float) or tolerance_ma <= 0 or not same_width:
        return None
    return float(given.current_ma.mean()) / tolerance_ma
