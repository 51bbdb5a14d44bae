"""What fatigue takes: a share of the current that falls as fatigue rises, and rests once it is high."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

from myoloop.controllers.reflex.settings import FatigueReflex
from myoloop.controllers.reflex.wish import Wish
from myoloop.controllers.signals.snapshot import Restorable


class Duty(Restorable):
    """Shares of the current by channel, and the alternation of work and rest.

    Parameters
    ----------
    drives
        By stimulation channel, the muscle it drives (empty where none is named: then the worst counts).
    """

    _kept: ClassVar[tuple[str, ...]] = ("_shares", "_worst", "_worked_s", "_rest_until_ns", "_work")

    def __init__(self, settings: FatigueReflex, drives: Mapping[str, str]) -> None:
        self._settings = settings
        self._drives = dict(drives)
        self._shares: dict[str, float] = {}
        self._worst: float | None = None
        self._worked_s = 0.0
        self._rest_until_ns: int | None = None
        #: 1 while working, 0 at rest; between the two it moves as fast as the shares do.
        self._work = 1.0

    def shares(self, wish: Wish, seconds: float) -> tuple[dict[str, float], str]:
        """Share of the current of each channel, and why it is less than 1."""
        settings = self._settings
        shares = dict.fromkeys(wish.current_ma, 1.0)
        if not settings.enabled:
            return shares, ""
        known = {
            name: estimate.fatigue.value
            for name, estimate in wish.estimates.items()
            if estimate.fatigue.valid and estimate.fatigue.value is not None and math.isfinite(estimate.fatigue.value)
        }
        worst = max(known.values(), default=None)
        tired, most_tired = "", None
        for channel in wish.current_ma:
            muscle = self._drives.get(channel, "")
            fatigue = known.get(muscle) if muscle else worst
            share = self._shares.get(channel, 1.0)
            if fatigue is not None:
                # Not known means not changed: to raise the current again needs evidence.
                goal = share_of(settings, fatigue)
                step = settings.change_per_s * seconds
                share = min(max(goal, share - step), share + step)
                self._shares[channel] = share
                most_tired = fatigue if most_tired is None else max(most_tired, fatigue)
            shares[channel] = share
            if share < 1.0 and not tired:
                shown = f" {fatigue:.2f}" if fatigue is not None else " (last known)"
                tired = f"fatigue{shown}: current at {100 * share:.0f} %"
        if most_tired is not None:
            self._worst = most_tired
        return shares, tired

    def work(self, wish: Wish, seconds: float, flowing: bool) -> float:
        """Share of work, 0 at rest.

        Parameters
        ----------
        flowing
            Whether current is wanted and nothing else holds it back.
        """
        settings = self._settings
        if not settings.enabled or settings.rest_at is None or not wish.adapt:
            return 1.0
        if self._rest_until_ns is not None and wish.now_ns >= self._rest_until_ns:
            self._rest_until_ns = None
            self._worked_s = 0.0
        if self._rest_until_ns is None:
            self._worked_s += seconds if flowing else 0.0
            if self._worst is not None and self._worst >= settings.rest_at and self._worked_s >= settings.work_s:
                self._rest_until_ns = wish.now_ns + round(settings.rest_s * 1e9)
        goal, step = float(self._rest_until_ns is None), settings.change_per_s * seconds
        self._work = min(max(goal, self._work - step), self._work + step)
        return self._work

    @property
    def resting(self) -> str:
        """Why it rests, or comes back from a rest."""
        shown = "" if self._worst is None else f" {self._worst:.2f}"
        return f"rest for fatigue{shown}" if self._rest_until_ns is not None else "rising again after a rest"


def share_of(settings: FatigueReflex, fatigue: float) -> float:
    """Share of the current at a fatigue."""
    way = min(max((fatigue - settings.begin) / (settings.full - settings.begin), 0.0), 1.0)
    return 1.0 - (1.0 - settings.floor) * way
