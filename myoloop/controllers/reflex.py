"""The rules that override any policy: a spasm, fatigue, a signal that is lost.

A spasm or a bad signal takes all current away at once. Fatigue takes it away smoothly: the more fatigue is
estimated, the less current is let through. Every intervention says why.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import msgspec

from myoloop.controllers.signals.snapshot import Restorable
from myoloop.platform.messages import MuscleEstimate


class SpasmReflex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Zero at a spasm.

    Attributes
    ----------
    enabled
        Whether it acts.
    muscles
        Whose spasms count; none named means all.
    hold_off_s
        Zero until so long after the spasm's end.
    resume_s
        If the train is still wanted then, it rises again over so long.
    retries_max
        After so many resumptions within one phase of the protocol the next spasm ends stimulation for that phase.
    """

    enabled: bool = True
    muscles: tuple[str, ...] = ()
    hold_off_s: float = 1.0
    resume_s: float = 0.5
    retries_max: int = 20


class FatigueReflex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Less current with more fatigue.

    Attributes
    ----------
    enabled
        Whether it acts.
    begin, full
        Fatigue at which it begins, and at which the current is down to `floor`.
    floor
        Share of the current that is left.
    change_per_s
        The share moves at most this fast.
    """

    enabled: bool = True
    begin: float = 0.15
    full: float = 0.8
    floor: float = 0.3
    change_per_s: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.full <= 1:
            raise ValueError(f"reflex.fatigue: begin {self.begin} and full {self.full} must be 0 <= begin < full <= 1")
        if not 0 <= self.floor <= 1:
            raise ValueError(f"reflex.fatigue.floor is {self.floor}, allowed is 0 to 1")


class SignalReflex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Zero without a signal.

    Attributes
    ----------
    enabled
        Whether it acts.
    silent_ms
        EMG older than this (and what artifact handling makes it wait) is lost.
    invalid_share_max
        A larger share of invalid samples in the last 250 ms (those a pulse spoilt do not count) is a bad signal.
    """

    enabled: bool = True
    silent_ms: float = 100.0
    invalid_share_max: float = 0.5


class ReflexSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules override the policy, and how."""

    spasm: SpasmReflex = SpasmReflex()
    fatigue: FatigueReflex = FatigueReflex()
    signal: SignalReflex = SignalReflex()


@dataclass(frozen=True, slots=True)
class Wish:
    """What the reflexes judge.

    Attributes
    ----------
    now_ns
        The step's time.
    current_ma
        By channel, what the policy asks for.
    estimates
        By muscle.
    bad_signal
        What is wrong with the EMG; empty where nothing is.
    phase_index
        Which phase of the protocol.
    adapt
        False in a calibration, where current may be taken away but not changed.
    """

    now_ns: int
    current_ma: Mapping[str, float]
    estimates: Mapping[str, MuscleEstimate]
    bad_signal: str
    phase_index: int
    adapt: bool


class Reflex(Restorable):
    """Overrides a policy's wish.

    Parameters
    ----------
    settings
        Which rules.
    drives
        By stimulation channel, the muscle it drives (empty where none is named: then the worst counts).
    """

    _kept: ClassVar[tuple[str, ...]] = (
        "_spasm", "_off_until_ns", "_resume", "_retries", "_phase_index", "_shares", "_last_ns",
    )  # fmt: skip

    def __init__(self, settings: ReflexSettings, drives: Mapping[str, str]) -> None:
        self._settings = settings
        self._drives = dict(drives)
        self._spasm = False
        self._off_until_ns: int | None = None
        self._resume = 1.0
        self._retries = 0
        self._phase_index: int | None = None
        self._shares: dict[str, float] = {}
        self._last_ns: int | None = None

    def apply(self, wish: Wish) -> tuple[dict[str, float], str]:
        """What is left of the wish, by channel, and why it is less; empty where nothing was taken."""
        seconds = 0.0 if self._last_ns is None else max(0, wish.now_ns - self._last_ns) * 1e-9
        self._last_ns = wish.now_ns
        if wish.phase_index != self._phase_index:
            self._phase_index = wish.phase_index
            self._retries = 0
        shares, tired = self._fatigue(wish, seconds)
        cramp = self._after_spasm(wish, seconds)
        if self._settings.signal.enabled and wish.bad_signal:
            return dict.fromkeys(wish.current_ma, 0.0), f"bad signal: {wish.bad_signal}"
        if self._resume == 0.0:
            return dict.fromkeys(wish.current_ma, 0.0), cramp
        left = {
            channel: current * self._resume * (shares[channel] if wish.adapt else 1.0)
            for channel, current in wish.current_ma.items()
        }
        reasons = [cramp] if cramp else []
        if tired and wish.adapt:
            reasons.append(tired)
        return left, "; ".join(reasons)

    def _after_spasm(self, wish: Wish, seconds: float) -> str:
        settings = self._settings.spasm
        if not settings.enabled:
            return ""
        watched = settings.muscles or tuple(wish.estimates)
        cramped = [name for name in watched if name in wish.estimates and _is_on(wish.estimates[name])]
        wanted = any(current > 0 for current in wish.current_ma.values())
        if cramped:
            if not self._spasm and wanted:
                self._retries += 1
            self._spasm = True
            self._resume = 0.0
            self._off_until_ns = wish.now_ns + round(settings.hold_off_s * 1e9)
            return f"spasm of {', '.join(cramped)}"
        self._spasm = False
        if self._retries > settings.retries_max:
            self._resume = 0.0
            return f"spasms again after {settings.retries_max} retries: off for this phase"
        if self._off_until_ns is not None and wish.now_ns < self._off_until_ns:
            self._resume = 0.0
            return "hold-off after a spasm"
        self._off_until_ns = None
        if self._resume < 1.0:
            if not wanted or settings.resume_s <= 0:
                self._resume = 1.0
            else:
                self._resume = min(1.0, self._resume + seconds / settings.resume_s)
                return "rising again after a spasm"
        return ""

    def _fatigue(self, wish: Wish, seconds: float) -> tuple[dict[str, float], str]:
        settings = self._settings.fatigue
        shares = dict.fromkeys(wish.current_ma, 1.0)
        if not settings.enabled:
            return shares, ""
        known = {
            name: estimate.fatigue.value
            for name, estimate in wish.estimates.items()
            if estimate.fatigue.valid and estimate.fatigue.value is not None
        }
        worst = max(known.values(), default=None)
        tired = ""
        for channel in wish.current_ma:
            muscle = self._drives.get(channel, "")
            fatigue = known.get(muscle) if muscle else worst
            share = self._shares.get(channel, 1.0)
            if fatigue is not None:
                # Not known means not changed: to raise the current again needs evidence.
                goal = _share(settings, fatigue)
                step = settings.change_per_s * seconds
                share = min(max(goal, share - step), share + step)
                self._shares[channel] = share
            shares[channel] = share
            if share < 1.0 and not tired:
                shown = f" {fatigue:.2f}" if fatigue is not None else " (last known)"
                tired = f"fatigue{shown}: current at {100 * share:.0f} %"
        return shares, tired


def _share(settings: FatigueReflex, fatigue: float) -> float:
    way = min(max((fatigue - settings.begin) / (settings.full - settings.begin), 0.0), 1.0)
    return 1.0 - (1.0 - settings.floor) * way


def _is_on(estimate: MuscleEstimate) -> bool:
    return estimate.spasm.valid and bool(estimate.spasm.value)
