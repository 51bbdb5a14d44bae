"""Planning a task anew: where the current is at its limit and the target is still not held, less is aimed at."""

from __future__ import annotations

from typing import ClassVar

from myoloop.controllers.reflex.settings import ReplanReflex
from myoloop.controllers.reflex.wish import Wish
from myoloop.controllers.signals.snapshot import Restorable


class Replan(Restorable):
    """Judges trials, and lowers the set point of what cannot be held.

    More current is not an answer to a muscle that gives no more: the limit is there for a reason, and a tired muscle
    driven at its limit only tires further.

    Attributes
    ----------
    share
        Of the protocol's set point that is aimed at.
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "share", "_missed", "_hold_s", "_limit_s", "_known_s", "_held_s", "_trial", "_phase_index", "_rest_until_ns",
    )  # fmt: skip

    def __init__(self, settings: ReplanReflex) -> None:
        self._settings = settings
        self.share = 1.0
        self._missed = 0
        self._hold_s = self._limit_s = self._known_s = self._held_s = 0.0
        self._trial: list[int] = []
        self._phase_index: int | None = None
        self._rest_until_ns: int | None = None

    def go_on(self, wish: Wish, seconds: float) -> bool:
        """Take in a step; whether the muscle rests for the new plan's sake."""
        settings = self._settings
        if wish.phase_index != self._phase_index:
            # Another phase is another task.
            self._phase_index = wish.phase_index
            self.share = 1.0
            self._missed = 0
            self._rest_until_ns = None
            self._begin()
        if not settings.enabled or not wish.adapt:
            return False
        trial = list(wish.trial)
        if self._hold_s > 0 and (wish.trial_state != "hold" or trial != self._trial):
            self._judge(wish.now_ns)
        self._trial = trial
        if wish.trial_state == "hold":
            self._hold_s += seconds
            if wish.saturated or wish.limited:
                self._limit_s += seconds
            if wish.held is not None:
                self._known_s += seconds
                self._held_s += wish.held * seconds
            if self._hold_s >= settings.window_s:
                self._judge(wish.now_ns)
        if self._rest_until_ns is not None and wish.now_ns >= self._rest_until_ns:
            self._rest_until_ns = None
        return self._rest_until_ns is not None

    @property
    def text(self) -> str:
        """What has been planned anew; empty where nothing has."""
        if self.share >= 1.0:
            return ""
        return f"target not held at the current's limit: set point at {100 * self.share:.0f} %"

    def _judge(self, now_ns: int) -> None:
        settings = self._settings
        at_limit = self._limit_s >= 0.5 * self._hold_s
        # What was not known has not been shown to be missed.
        short = self._known_s > 0 and self._held_s < (1.0 - settings.short) * self._known_s
        self._missed = self._missed + 1 if at_limit and short else 0
        self._begin()
        if self._missed >= settings.trials:
            self._missed = 0
            self.share = min(self.share, max(self.share * settings.factor, settings.floor))
            if settings.rest_s > 0:
                self._rest_until_ns = now_ns + round(settings.rest_s * 1e9)

    def _begin(self) -> None:
        self._hold_s = self._limit_s = self._known_s = self._held_s = 0.0
