"""A session as estimators hear it: through the controller's own muscle group, in steps of 10 ms."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from myoloop.controllers.choice import Choice
from myoloop.controllers.estimators.baseline import BaselineSettings
from myoloop.controllers.estimators.estimator import Estimator, ImuInput, Setup, Situation
from myoloop.controllers.muscles import MuscleGroup
from myoloop.controllers.parts import Faults
from myoloop.controllers.signals.conditioning import Conditioner
from myoloop.controllers.signals.conditioning_settings import ConditioningSettings
from myoloop.experiments.training.estimators.sessions import CHANNEL, MUSCLE, Session, phase_at, report_at
from myoloop.platform.messages import MuscleEstimate, Samples

STEP_NS = 10_000_000
_SILENT_NS = 150_000_000
#: Phase and report come as often as this.
_TOLD_EVERY = 5


def setup_of(session: Session) -> Setup:
    """One muscle under one channel, with an IMU."""
    return Setup(
        (MUSCLE,), session.emg_stream.rate_hz, round(session.emg_stream.rate_hz * STEP_NS * 1e-9), True,
        np.zeros(1, dtype=np.bool_), ((CHANNEL,),), ImuInput(session.imu_stream, (0, 1, 2), (3, 4, 5)),
    )  # fmt: skip


def hear(
    session: Session,
    estimators: Sequence[Choice | Estimator],
    told: Callable[[int, Situation, MuscleEstimate], None],
    every: int = 1,
) -> None:
    """Let estimators hear a whole session; `told` hears every so many steps what they know.

    Raises
    ------
    ValueError
        If an estimator fails: what it would have told is no result.
    """
    setup = setup_of(session)
    conditioner = Conditioner(ConditioningSettings(), session.emg_stream, (0,), True)
    faults = Faults()
    group = MuscleGroup(conditioner, setup, BaselineSettings(), estimators, faults)
    rate_hz, imu_hz = session.emg_stream.rate_hz, session.imu_stream.rate_hz
    used = turned = 0
    phase = phase_at(session.trains, session.plan, 0)
    report = report_at(session.trains, session.plan, 0)
    for step in range(1, round(session.seconds * 1e9) // STEP_NS + 1):
        now_ns = step * STEP_NS
        if step % _TOLD_EVERY == 1:
            phase = phase_at(session.trains, session.plan, now_ns)
            report = report_at(session.trains, session.plan, now_ns)
        rows = min(round(now_ns * 1e-9 * rate_hz), len(session.emg))
        imu_rows = min(round(now_ns * 1e-9 * imu_hz), len(session.imu))
        motion = [(now_ns, session.imu[turned:imu_rows].astype(np.float64))] if imu_rows > turned else []
        situation = Situation(now_ns, phase, baseline=phase.baseline, report=report, imu=motion)
        if rows > used:
            group.add(Samples(first_sample=used, t_ns=now_ns), session.emg[used:rows], 1, situation)
        used, turned = rows, imu_rows
        group.advance(now_ns, True, situation)
        if step % every == 0:
            told(now_ns, situation, group.estimates(now_ns, _SILENT_NS)[0])
    failed = faults.take()
    if failed:
        raise ValueError(f"session of person {session.number}: {'; '.join(failed)}")
