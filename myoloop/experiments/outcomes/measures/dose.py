"""What was given: charge, time on, and how far below what the person could bear."""

from __future__ import annotations

import math
from collections.abc import Callable

from myoloop.experiments.analysis.dosing import ChannelDose, block_doses
from myoloop.experiments.outcomes.kind import Measure, OutcomeKind
from myoloop.experiments.outcomes.view import Value, View

_NO_PLAN = "the record holds no plan of blocks"
_NOMINAL = "nominal in a blinded session: what an active arm would have had"


def _doses(view: View) -> tuple[ChannelDose, ...]:
    return block_doses(view.session)


def _why(view: View) -> str:
    return _NOMINAL if view.session.metadata.get("blinded") == "true" else ""


def dose_charge(view: View) -> Value:
    """Charge of one phase, summed over delivered pulses of all blocks and channels."""
    return _summed(view, lambda dose: dose.delivered.charge_mc)


def dose_on_time(view: View) -> Value:
    """First to last pulse of each train, summed over blocks and channels."""
    return _summed(view, lambda dose: dose.delivered.on_s)


def _summed(view: View, of: Callable[[ChannelDose], float]) -> Value:
    """Over blocks, channel by channel and altogether."""
    doses = _doses(view)
    if not doses:
        return Value(None, why=_NO_PLAN)
    parts: dict[str, float] = {}
    for dose in doses:
        parts[dose.channel] = parts.get(dose.channel, 0.0) + of(dose)
    return Value(math.fsum(parts.values()), len(doses), parts, _why(view))


def dose_tolerance(view: View) -> Value:
    """Mean current over the tolerance found in the session, weighed by time on."""
    known = [(dose, share) for dose in _doses(view) if (share := dose.tolerance_share) is not None]
    on_s = math.fsum(dose.delivered.on_s for dose, _ in known)
    if not on_s > 0:
        return Value(None, why="no tolerance was found at the pulse width that was given")
    share = math.fsum(each * dose.delivered.on_s for dose, each in known) / on_s
    return Value(100.0 * share, len(known), None, _why(view))


_CHARGE = "first phase of each delivered pulse within a block, by the best account there is"
MEASURES = (
    Measure("dose_charge", OutcomeKind("charge of the session's blocks", "mC", ("block",)), dose_charge, _CHARGE),
    Measure("dose_on_time", OutcomeKind("time on of the session's blocks", "s", ("block",)), dose_on_time,
            "first to last pulse of each train", {"pause_min_s": 0.2}),
    Measure("dose_tolerance", OutcomeKind("mean current as a share of tolerance", "%", ("block", "calibration")),
            dose_tolerance, "mean current of a block over the tolerance at the same width, weighed by time on"),
)  # fmt: skip
