"""Two gates side by side: what a person of the active arm would be allowed, and what this one is.

The **nominal** gate is given the request as it came, the **true** one what the arm's treatment leaves of what the
nominal one grants. Both have the same evidence and the same acts, so everything that is told of the nominal one is
the same in every arm, and what flows is what the true one has judged. Both always run, in the active arm too: the
work is the same.

- The true gate never allows more than the nominal one, on any channel, at any time.
- In the active arm they are equal.
- A stop, a fault, a latch of either latches both: nothing that is wrong is hidden.
- While thresholds are sought both are equal in every arm: what is found must be the person's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from myoloop.stimulators import gate
from myoloop.stimulators.gate.ceilings import REQUEST_AGE_MAX_NS
from myoloop.stimulators.sham import Trains, Treatment, give


@dataclass(frozen=True, slots=True)
class Blind:
    """What is constant for a session.

    Attributes
    ----------
    nominal, true
        Settings of the two gates; they differ in the dose of earlier attempts alone.
    """

    treatment: Treatment
    nominal: gate.GateSettings
    true: gate.GateSettings


@dataclass(frozen=True, slots=True)
class Pair:
    """What the two gates and the treatment remember between two steps.

    Attributes
    ----------
    newest
        The newest request that has come.
    """

    nominal: gate.GateState = gate.GateState()
    true: gate.GateState = gate.GateState()
    trains: Trains = field(default_factory=dict)
    newest: gate.Request | None = None


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What is shown, and what is done."""

    nominal: gate.Verdict
    true: gate.Verdict


def step(
    pair: Pair,
    blind: Blind,
    evidence: gate.Evidence,
    request: gate.Request | None,
    acts: Sequence[gate.Act],
    stops: Sequence[str],
    now_ns: int,
) -> tuple[Pair, Verdicts]:
    """Take one step; as :func:`myoloop.stimulators.gate.step` does for one gate."""
    shown, nominal = gate.step(pair.nominal, blind.nominal, evidence, request, acts, stops, now_ns)
    newest = request if request is not None else pair.newest
    trains, wish = _wish(pair, blind.treatment, shown, request, newest, now_ns)
    accepted = {reply.id for reply in nominal.replies if reply.ok}
    true_acts = [act for act in acts if act.id in accepted]
    real, true = gate.step(pair.true, blind.true, evidence, wish, true_acts, stops, now_ns)
    # Less flows through the true gate, so a fault may be none to it (a peer lost in a ramp that it does not have).
    if shown.latch is not None and real.latch is None:
        real, true = gate.step(pair.true, blind.true, evidence, wish, true_acts, (shown.latch.cause,), now_ns)
    elif real.latch is not None and shown.latch is None:
        shown, nominal = gate.step(pair.nominal, blind.nominal, evidence, request, acts, (real.latch.cause,), now_ns)
    nominal = replace(nominal, replies=_both(nominal.replies, true.replies))
    return Pair(shown, real, trains, newest), Verdicts(nominal, true)


def _wish(
    pair: Pair,
    treatment: Treatment,
    shown: gate.GateState,
    request: gate.Request | None,
    newest: gate.Request | None,
    now_ns: int,
) -> tuple[Trains, gate.Request | None]:
    """What the true gate is asked for; None where it goes on with what it was asked for."""
    if treatment.kind == "active":
        return {}, request
    granted = {setting.channel: setting.current_ma for setting in shown.risen}
    now = Treatment() if shown.calibrating else treatment
    trains, given = give(now, pair.trains, granted, now_ns)
    if newest is None:
        return trains, None
    settings = tuple(replace(each, current_ma=given.get(each.channel, 0.0)) for each in newest.settings)
    wish = replace(newest, settings=settings)
    if request is not None:
        return trains, wish
    # Between two requests time goes on: what was asked for last is asked for again, changed, with its own age.
    if pair.true.lease is None:
        return trains, None
    held = {each.channel: each.current_ma for each in pair.true.lease.settings}
    wanted = {each.channel: each.current_ma for each in settings if each.current_ma > 0.0}
    falls = any(current_ma > wanted.get(channel, 0.0) for channel, current_ma in held.items())
    # An old one is refused and ends the lease: right where less must flow, and too soon where no less need.
    fresh = now_ns - newest.t_ns <= REQUEST_AGE_MAX_NS
    return trains, wish if falls or (fresh and held != wanted) else None


def _both(shown: Sequence[gate.Reply], real: Sequence[gate.Reply]) -> tuple[gate.Reply, ...]:
    """The nominal gate's answers; what the true one refuses is refused."""
    refused = {reply.id: reply for reply in real if not reply.ok}
    return tuple(refused.get(reply.id, reply) if reply.ok else reply for reply in shown)
