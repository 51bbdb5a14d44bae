"""Which rules override the policy, and how."""

from __future__ import annotations

import math
from typing import NoReturn

import msgspec


def _check(name: str, value: float, *, least: float = 0.0, most: float = math.inf) -> None:
    if not (least <= value <= most and math.isfinite(value)):
        _refuse(name, value, f"{least:g} to {most:g}" if math.isfinite(most) else f"{least:g} and more, finite")


def _check_above(name: str, value: float, *, most: float = math.inf) -> None:
    if not (0 < value <= most and math.isfinite(value)):
        _refuse(name, value, f"above 0 to {most:g}" if math.isfinite(most) else "above 0, finite")


def _refuse(name: str, value: float, allowed: str) -> NoReturn:
    raise ValueError(f"reflex.{name} is {value:g}, allowed is {allowed}")


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

    def __post_init__(self) -> None:
        for name in ("hold_off_s", "resume_s", "retries_max"):
            _check(f"spasm.{name}", getattr(self, name))


class FatigueReflex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Less current with more fatigue, then rests.

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
    rest_at
        Fatigue from which on work and rest alternate; None: never.
    work_s, rest_s
        How long current flows then before a rest, and how long that is.
    """

    enabled: bool = True
    begin: float = 0.15
    full: float = 0.8
    floor: float = 0.3
    change_per_s: float = 0.5
    rest_at: float | None = None
    work_s: float = 60.0
    rest_s: float = 30.0

    def __post_init__(self) -> None:
        if not 0 <= self.begin < self.full <= 1:
            raise ValueError(f"reflex.fatigue: begin {self.begin} and full {self.full} must be 0 <= begin < full <= 1")
        _check("fatigue.floor", self.floor, most=1.0)
        _check_above("fatigue.change_per_s", self.change_per_s)
        if self.rest_at is not None:
            _check_above("fatigue.rest_at", self.rest_at, most=1.0)
        _check_above("fatigue.work_s", self.work_s)
        _check_above("fatigue.rest_s", self.rest_s)


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
    resume_s
        If current is still wanted once the signal is back, it rises over so long; 0: as fast as the gate lets it.
    """

    enabled: bool = True
    silent_ms: float = 100.0
    invalid_share_max: float = 0.5
    resume_s: float = 0.0

    def __post_init__(self) -> None:
        _check_above("signal.silent_ms", self.silent_ms)
        _check("signal.invalid_share_max", self.invalid_share_max, most=1.0)
        _check("signal.resume_s", self.resume_s)


class ReplanReflex(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task that cannot be held at the limit of the current is made smaller.

    Attributes
    ----------
    enabled
        Whether it acts.
    trials
        So many trials in a row must have missed.
    window_s
        A hold longer than this is judged in pieces of this length, each as a trial.
    short
        A trial has missed if the current was at its limit for half of its hold or more, and the controlled quantity
        was short of the set point by more than this share.
    factor, floor
        The set point is multiplied by `factor`, down to the share `floor` of what the protocol asks.
    rest_s
        A rest goes with it.
    """

    enabled: bool = False
    trials: int = 3
    window_s: float = 10.0
    short: float = 0.1
    factor: float = 0.8
    floor: float = 0.4
    rest_s: float = 0.0

    def __post_init__(self) -> None:
        _check("replan.trials", self.trials, least=1)
        _check_above("replan.window_s", self.window_s)
        for name in ("short", "factor"):
            value = getattr(self, name)
            if not 0 < value < 1:
                _refuse(f"replan.{name}", value, "above 0 to below 1")
        _check("replan.floor", self.floor, least=0.05, most=1.0)
        _check("replan.rest_s", self.rest_s)


class ReflexSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules override the policy, and how."""

    spasm: SpasmReflex = SpasmReflex()
    fatigue: FatigueReflex = FatigueReflex()
    signal: SignalReflex = SignalReflex()
    replan: ReplanReflex = ReplanReflex()
