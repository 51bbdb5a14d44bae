"""What the current was to the tissue, channel by channel: charge per phase, r.m.s. current and its density, force."""

from __future__ import annotations

import math

import numpy as np

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.analysis.tracks import PulseTrack
from myoloop.experiments.outcomes.attempt import Measured
from myoloop.experiments.reports.tables import Table, number_words


def density(session: Session, measured: Measured) -> Table | None:
    """One row for each channel that had pulses; None where none had."""
    areas = {
        str(each.get("channel")): each.get("pad_area_cm2") for each in session.gate.envelope.get("channels", ())
    }  # fmt: skip
    rows = []
    for name, track in session.delivered().items():
        if not len(track):
            continue
        rms_ma, told, charge = rms(track), areas.get(name), track.charge_uc
        area = float(told) if isinstance(told, int | float) and told > 0 else None
        rows.append(
            (
                name, f"{charge.max():.2f}", f"{np.median(charge):.2f}", number_words(rms_ma, 2),
                number_words(area, 1), number_words(rms_ma / area if area and rms_ma else None, 3),
                number_words(charge.max() / area if area else None, 3),
            )
        )  # fmt: skip
    if not rows:
        return None
    columns = (
        "channel", "charge per phase, most (µC)", "median (µC)", "r.m.s. within trains (mA)", "pad (cm²)",
        "r.m.s. density (mA/cm²)", "charge density, most (µC/cm²)",
    )  # fmt: skip
    integral = measured.values.get("torque_time_integral")
    force = "no force-time integral was an outcome of this protocol"
    if integral is not None:
        force = (
            f"force-time integral of the trains {integral.value:.4g} N s (n = {integral.n} trains)"
            if integral.value is not None
            else f"no force-time integral: {integral.why}"
        )
    caption = (
        f"n = {len(rows)} channels. R.m.s.: current x sqrt(2 x phase x rate) of delivered pulses, both phases, within "
        f"trains; density over the smaller pad of a pair as the envelope has it, evenly spread: at the pad's edge it "
        f"is more. Of the muscle: {force}."
    )
    if session.metadata.get("blinded") == "true":
        caption += " Nominal in every arm: what an active arm would have had."
    return Table(columns, tuple(rows), caption)


def rms(track: PulseTrack) -> float | None:
    """R.m.s. current within trains, mA; None of fewer than two pulses in any train."""
    energy_ma2_s, time_s = 0.0, 0.0
    for train in track.trains():
        inside = (track.t_s >= train.begin_s) & (track.t_s <= train.until(train.begin_s))
        if inside.sum() < 2:
            continue
        apart_s = float(np.median(np.diff(track.t_s[inside])))
        energy_ma2_s += float(np.sum(track.current_ma[inside] ** 2 * 2e-6 * track.phase_us[inside]))
        time_s += float(train.until(train.begin_s) - train.begin_s) + apart_s
    return math.sqrt(energy_ma2_s / time_s) if time_s > 0 else None
