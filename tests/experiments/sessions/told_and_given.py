"""What was told of a device's pulses, held against its own ledger of those it gave."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass

import pytest

#: Of a device that times itself a stretch of equal pulses counts from so many on: in a shorter one, on a way up or
#: down, a change of current that falls one pulse away may leave none.
STRETCH_MIN = 4


@dataclass(frozen=True)
class Pulse:
    t_ns: int
    current_ma: float
    width_us: float
    uncertainty_ns: int = 0
    kind: str = "ledger"
    channel: str = ""


def check_pulse_by_pulse(told: list[Pulse], given: list[Pulse], *, ends_unheard: bool = False) -> None:
    """Every pulse that was given was told, at its time as exactly as was said, and none that was not given.

    Where the end came unheard (a stop, a fault), the last pulse of each channel may be told as sent though nobody
    knows whether it was given; one that was acknowledged was given, always.
    """
    told = list(told)
    if ends_unheard:
        last = [at for at, pulse in enumerate(told) if pulse.kind == "sent"]
        surplus = last[len(last) - (len(told) - len(given)) :] if len(told) > len(given) else []
        assert len({told[at].channel for at in surplus}) == len(surplus), "more than one pulse of a channel"
        for at in reversed(surplus):
            later = [pulse for pulse in told[at + 1 :] if pulse.channel == told[at].channel]
            assert not later, "told as sent, not given, and not the last one"
            del told[at]
    assert len(told) == len(given)
    for ours, theirs in zip(told, given, strict=True):
        assert (ours.current_ma, ours.width_us) == (pytest.approx(theirs.current_ma), theirs.width_us)
        assert abs(ours.t_ns - theirs.t_ns) <= ours.uncertainty_ns


def check_train_by_train(told: list[Pulse], given: list[Pulse], usual_ns: int, within_ns: int | None = None) -> None:
    """As a device that times itself can be known: currents, widths and periods, beginnings, ends and charge.

    Each train for itself, and in each its stretches of equal pulses.

    Parameters
    ----------
    usual_ns
        Period of the pulses.
    within_ns
        How exactly times are known; a period, where nothing else is said.
    """
    within_ns = usual_ns if within_ns is None else within_ns
    mine, its = trains(told, usual_ns), trains(given, usual_ns)
    assert len(mine) == len(its)
    for ours, theirs in zip(mine, its, strict=True):
        shift_ns = ours[0].t_ns - theirs[0].t_ns
        assert abs(shift_ns) <= within_ns
        # In the train's own rhythm, which may lie elsewhere within the period.
        assert abs(ours[-1].t_ns - theirs[-1].t_ns - shift_ns) <= within_ns + usual_ns // 20
        assert {period_ns(ours), period_ns(theirs)} == {usual_ns}
        assert {pulse.width_us for pulse in ours} == {pulse.width_us for pulse in theirs}
        for one, others in ((ours, theirs), (theirs, ours)):
            _check_neighbours(one, others, within_ns + usual_ns // 2)
            _check_stretches(one, others, usual_ns, within_ns)
        # One pulse; as many as fit in the time that the driver says it cannot know, where that is longer than a period.
        spare_uc = -(-within_ns // usual_ns) * max(pulse.current_ma * pulse.width_us for pulse in theirs) * 1e-3
        assert abs(charge_uc(ours) - charge_uc(theirs)) <= (spare_uc + 1e-3 * charge_uc(theirs)) * (1 + 1e-9)


def trains(pulses: list[Pulse], usual_ns: int) -> list[list[Pulse]]:
    """Parted where more than two periods lie between two pulses."""
    parted: list[list[Pulse]] = []
    for pulse in pulses:
        if not parted or pulse.t_ns - parted[-1][-1].t_ns > 2 * usual_ns:
            parted.append([])
        parted[-1].append(pulse)
    return parted


def stretches(train: list[Pulse]) -> list[list[Pulse]]:
    """Pulses one after the other of one current and one width."""
    return [list(each) for _, each in itertools.groupby(train, key=lambda one: (one.current_ma, one.width_us))]


def period_ns(train: list[Pulse]) -> int:
    """Usual time between two pulses, to 10 us."""
    gaps = Counter(round((b.t_ns - a.t_ns) / 10_000) * 10_000 for a, b in itertools.pairwise(train))
    return gaps.most_common(1)[0][0]


def charge_uc(pulses: list[Pulse]) -> float:
    return sum(pulse.current_ma * pulse.width_us for pulse in pulses) * 1e-3


def _check_neighbours(one: list[Pulse], others: list[Pulse], near_ns: int) -> None:
    """A change of current may fall one pulse away from where it was reckoned.

    Between those it lies, and where the neighbours are equal it is the same.
    """
    for pulse in one:
        near = [other.current_ma for other in others if abs(other.t_ns - pulse.t_ns) <= near_ns]
        if pulse in (one[0], one[-1]):
            near.append(0.0)
        assert min(near) * (1 - 1e-9) <= pulse.current_ma <= max(near) * (1 + 1e-9), pulse


def _check_stretches(one: list[Pulse], others: list[Pulse], usual_ns: int, within_ns: int) -> None:
    """Each long one has its like there: current, width, period, and where in the train's rhythm it begins and ends."""
    shift_ns = one[0].t_ns - others[0].t_ns
    # Two clocks' drift; it is the rhythm that counts, in whole pulses.
    most_ns = within_ns + usual_ns // 20
    for stretch in stretches(one):
        if len(stretch) < STRETCH_MIN:
            continue
        alike = [
            other for other in stretches(others)
            if other[0].current_ma == pytest.approx(stretch[0].current_ma) and other[0].width_us == stretch[0].width_us
            and abs(stretch[0].t_ns - other[0].t_ns - shift_ns) <= most_ns
            and abs(stretch[-1].t_ns - other[-1].t_ns - shift_ns) <= most_ns
        ]  # fmt: skip
        assert len(alike) == 1, f"{len(stretch)} pulses of {stretch[0].current_ma} mA from {stretch[0].t_ns} on"
        assert {period_ns(stretch), period_ns(alike[0])} == {usual_ns}
