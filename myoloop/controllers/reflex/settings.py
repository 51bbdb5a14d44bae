"""Which rules override the policy, and how."""

from __future__ import annotations

import math

import msgspec


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
        if not 0 <= self.floor <= 1:
            raise ValueError(f"reflex.fatigue.floor is {self.floor}, allowed is 0 to 1")
        if self.rest_at is not None and not 0 < self.rest_at <= 1:
            raise ValueError(f"reflex.fatigue.rest_at is {self.rest_at}, allowed is above 0 to 1")
        for name in ("work_s", "rest_s"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"reflex.fatigue.{name} is {value}, it must be above 0 s")


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
        if self.trials < 1:
            raise ValueError(f"reflex.replan.trials is {self.trials}, allowed is 1 and more")
        if not (math.isfinite(self.window_s) and self.window_s > 0):
            raise ValueError(f"reflex.replan.window_s is {self.window_s}, it must be above 0 s")
        if not 0 < self.short < 1:
            raise ValueError(f"reflex.replan.short is {self.short}, allowed is above 0 to below 1")
        if not 0 < self.factor < 1:
            raise ValueError(f"reflex.replan.factor is {self.factor}, allowed is above 0 to below 1")
        if not 0.05 <= self.floor <= 1:
            raise ValueError(f"reflex.replan.floor is {self.floor}, allowed is 0.05 to 1")
        if not (math.isfinite(self.rest_s) and self.rest_s >= 0):
            raise ValueError(f"reflex.replan.rest_s is {self.rest_s}, allowed is 0 s and more")


class ReflexSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules override the policy, and how."""

    spasm: SpasmReflex = SpasmReflex()
    fatigue: FatigueReflex = FatigueReflex()
    signal: SignalReflex = SignalReflex()
    replan: ReplanReflex = ReplanReflex()
