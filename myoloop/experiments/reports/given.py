"""What was really given in a blinded session, for whoever holds the study's key: channel by channel, beside nominal."""

from __future__ import annotations

from pathlib import Path

from myoloop.experiments.analysis.session import Session
from myoloop.experiments.reports.tables import Table
from myoloop.experiments.unsealed import given, pulses_given


def given_table(session: Session, key: Path | str) -> Table:
    """One row for each channel, and the gate's own account of what was given.

    Raises
    ------
    NotBlinded
        If nothing of the session is sealed.
    SealedError
        If the key cannot be read, or is another study's.
    """
    pulses: dict[str, int] = {}
    charge_uc: dict[str, float] = {}
    peak_ma: dict[str, float] = {}
    for told in pulses_given(session.path, key):
        n, name = len(told.t_ns), told.channel
        pulses[name] = pulses.get(name, 0) + n
        charge_uc[name] = charge_uc.get(name, 0.0) + n * told.current_ma * told.phase_us * 1e-3
        peak_ma[name] = max(peak_ma.get(name, 0.0), told.current_ma if n else 0.0)
    nominal = session.delivered()
    rows = []
    for name in dict.fromkeys([*session.currents, *pulses]):
        track = nominal.get(name)
        of = float(track.charge_uc.sum()) if track is not None else 0.0
        rows.append(
            (
                name, str(pulses.get(name, 0)), f"{peak_ma.get(name, 0.0):.1f}",
                f"{charge_uc.get(name, 0.0) * 1e-3:.3f}", str(len(track)) if track is not None else "0",
                f"{of * 1e-3:.3f}",
                f"{100 * charge_uc.get(name, 0.0) / of:.0f}" if of > 0 else "–",
            )
        )  # fmt: skip
    charge_mc, on_s, count = 0.0, 0.0, 0.0
    for told_at in given(session.path, key):
        charge_mc, on_s, count = told_at.report.dose
    columns = (
        "channel", "pulses given", "peak given (mA)", "charge given (mC)", "pulses, nominal", "charge, nominal (mC)",
        "given of nominal (%)",
    )  # fmt: skip
    caption = (
        f"UNBLINDED: opened with the study's key, and not for anybody who is to stay blind. n = {len(rows)} channels. "
        f"Given: pulses as the device told of them. The true gate's account: {charge_mc:.3f} mC, {on_s:.1f} s, "
        f"{count:.0f} pulses, calibration included. A share of nominal well below 100 % is a sham's."
    )
    return Table(columns, tuple(rows), caption)
