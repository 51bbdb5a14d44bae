"""How well the electrodes lie: impedance that wanders, edges that lift, leads that fall off, rail, or are swapped.

A channel's impedance, relative to the day it was stuck on, raises its noise with the root, its mains hum in
proportion, and divides its signal with the amplifier's input. An edge that lifts multiplies it. A lead that is off
sees the grid or nothing. What happens, and when, is scripted, random at a rate, or both.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from myoloop.experiments.subjects.distributions import LogNormal, Parameters, Uniform, parameter

Array = npt.NDArray[np.float64]
Kind = Literal["lift", "off", "rail", "swap", "back"]

_UPDATE_NS = 100_000_000
#: Impedance of an electrode whose edge has lifted, relative to before.
_LIFTED = 30.0
_LOWEST, _HIGHEST = 0.3, 30.0
#: Source over input impedance when stuck on: 1 % of the signal.
_DIVIDED = 0.01
_OPEN_MAINS_V = 1.0e-3
_OPEN_NOISE = 5.0
#: What wanders goes back to what it was over ten minutes.
_REVERSION_S = 600.0


@dataclass(frozen=True, kw_only=True)
class ContactParameters(Parameters):
    """What disturbs the electrodes of a muscle.

    Attributes
    ----------
    emg_noise_uv, mains_uv, mains_hz
        RMS of electrode and amplifier noise, and of the mains hum, with electrodes that lie well.
    electrode_drift
        By how much the logarithm of an impedance wanders in a minute (standard deviation).
    electrode_lifts_per_h, electrode_lift_s
        How often an edge lifts; mean time until it lies again.
    lead_falls_per_h
        How often a lead falls off; nobody puts it back.
    """

    emg_noise_uv: float = parameter(
        3.0, 0.1, 50.0, varies=Uniform(2.0, 4.0), source="our choice: gel electrodes on prepared skin"
    )
    mains_uv: float = parameter(1.5, 0.0, 200.0, varies=LogNormal(1.5, 0.5), source="our choice: driven right leg")
    mains_hz: float = parameter(50.0, 45.0, 65.0, source="the grid: 50 or 60 Hz")
    electrode_drift: float = parameter(0.0, 0.0, 2.0, varies=Uniform(0.0, 0.1), source="our choice")
    electrode_lifts_per_h: float = parameter(0.0, 0.0, 600.0, source="our choice: none, unless a study asks for it")
    electrode_lift_s: float = parameter(3.0, 0.1, 600.0, source="our choice")
    lead_falls_per_h: float = parameter(0.0, 0.0, 60.0, source="our choice: none, unless a study asks for it")


@dataclass(frozen=True, slots=True)
class ElectrodeEvent:
    """Something that happens to the electrodes of one channel.

    Attributes
    ----------
    t_s
        From the amplifier's first sample; it shows from the first block that begins at that time or later.
    channel
        Number of the EMG channel.
    kind
        ``lift``: an edge lifts; ``off``: the lead falls off; ``rail``: it sticks to the positive rail; ``swap``: it
        changes place with `other`; ``back``: all of this is put right.
    other
        The other channel of a ``swap``.
    floats
        What a lead that is ``off`` sees: the grid, or nothing at all.

    Raises
    ------
    ValueError
        If this cannot happen.
    """

    t_s: float
    channel: int
    kind: Kind
    other: int | None = None
    floats: Literal["mains", "flat"] = "mains"

    def __post_init__(self) -> None:
        if self.kind not in get_args(Kind):
            raise ValueError(f"kind: found {self.kind!r}, allowed are {', '.join(get_args(Kind))}")
        if self.floats not in ("mains", "flat"):
            raise ValueError(f"floats: found {self.floats!r}, allowed are mains, flat")
        if not (math.isfinite(self.t_s) and self.t_s >= 0.0):
            raise ValueError(f"t_s: found {self.t_s}, allowed is a time from 0")
        if (self.other is None) != (self.kind != "swap") or self.other == self.channel:
            raise ValueError(f"other: found {self.other}, allowed is another channel where two are swapped, else none")


class Contact:
    """Contact of every channel of an amplifier.

    Parameters
    ----------
    parameters
        One per channel.
    events
        What happens, in any order.
    rng
        Its own: as many numbers are taken whatever comes of them.

    Attributes
    ----------
    gain
        (channels,) factor on the signal; 0 where the lead is off.
    noise_v, mains_v
        (channels,) RMS of the noise; amplitude of the mains hum.
    contact
        (channels,) truth: 1 as stuck on, below where the impedance has risen (1 over its root), 0 without contact.
    railed
        (channels,) bool.
    order
        (channels,) which electrode each input of the amplifier is plugged to; None: each to its own.
    """

    def __init__(
        self, parameters: Sequence[ContactParameters], events: Sequence[ElectrodeEvent], rng: np.random.Generator
    ) -> None:
        channels = len(parameters)
        for event in events:
            for channel in (event.channel, event.other or 0):
                if not 0 <= channel < channels:
                    raise ValueError(f"channel of an electrode event: found {channel}, allowed is 0 to {channels - 1}")
        self._coming = sorted(events, key=lambda event: event.t_s)
        self._rng = rng
        per_update = _UPDATE_NS / 60e9
        self._drift = np.array([p.electrode_drift for p in parameters]) * math.sqrt(per_update)
        self._lifts = np.array([p.electrode_lifts_per_h for p in parameters]) * per_update / 60
        self._falls = np.array([p.lead_falls_per_h for p in parameters]) * per_update / 60
        self._lift_s = np.array([p.electrode_lift_s for p in parameters])
        self._noise_v = 1e-6 * np.array([p.emg_noise_uv for p in parameters])
        self._mains_v = 1e-6 * math.sqrt(2.0) * np.array([p.mains_uv for p in parameters])
        self._random = bool(self._drift.any() or self._lifts.any() or self._falls.any())
        self._next_ns = _UPDATE_NS
        self._wandered = np.zeros(channels)
        self._lifted = np.zeros(channels, dtype=bool)
        self._lifted_until_ns = np.full(channels, np.inf)
        self._open: list[str] = [""] * channels
        self._order = list(range(channels))
        self.order: npt.NDArray[np.int64] | None = None
        self._settle()

    def step(self, t_ns: int) -> bool:
        """Go on to a time since the first sample; give back whether anything changed."""
        changed = False
        while self._random and t_ns >= self._next_ns:
            self._wander(self._next_ns)
            self._next_ns += _UPDATE_NS
            changed = True
        while self._coming and self._coming[0].t_s * 1e9 <= t_ns:
            self._happen(self._coming.pop(0))
            changed = True
        if changed:
            self._settle()
        return changed

    def happen(self, event: ElectrodeEvent) -> None:
        """Let something happen at the next step, whatever its time says."""
        self._coming.insert(0, replace(event, t_s=0.0))

    def _wander(self, t_ns: int) -> None:
        channels = len(self._wandered)
        normal = self._rng.standard_normal(channels)
        lifts, falls, lasts = self._rng.random((3, channels))
        self._wandered += self._drift * normal - self._wandered * (_UPDATE_NS * 1e-9 / _REVERSION_S)
        np.clip(self._wandered, math.log(_LOWEST), math.log(_HIGHEST), out=self._wandered)
        self._lifted[t_ns >= self._lifted_until_ns] = False
        begins = ~self._lifted & (lifts < -np.expm1(-self._lifts))
        self._lifted |= begins
        self._lifted_until_ns[begins] = t_ns - 1e9 * self._lift_s[begins] * np.log1p(-lasts[begins])
        for channel in np.flatnonzero(falls < -np.expm1(-self._falls)):
            self._open[channel] = self._open[channel] or "mains"

    def _happen(self, event: ElectrodeEvent) -> None:
        channel = event.channel
        if event.kind == "lift":
            self._lifted[channel], self._lifted_until_ns[channel] = True, np.inf
        elif event.kind == "off":
            self._open[channel] = event.floats
        elif event.kind == "rail":
            self._open[channel] = "rail"
        elif event.kind == "swap" and event.other is not None:
            self._swap(channel, event.other)
        else:
            self._lifted[channel], self._open[channel] = False, ""
            self._wandered[channel] = 0.0
            if self._order[channel] != channel:
                self._swap(channel, self._order.index(channel))

    def _swap(self, one: int, other: int) -> None:
        self._order[one], self._order[other] = self._order[other], self._order[one]

    def _settle(self) -> None:
        impedance = np.exp(self._wandered) * np.where(self._lifted, _LIFTED, 1.0)
        self.gain: Array = (1.0 + _DIVIDED) / (1.0 + _DIVIDED * impedance)
        self.noise_v: Array = np.sqrt(impedance) * self._noise_v
        self.mains_v: Array = impedance * self._mains_v
        self.contact: Array = np.minimum(1.0, 1.0 / np.sqrt(impedance))
        for channel, sees in enumerate(self._open):
            if sees:
                self.contact[channel] = self.gain[channel] = 0.0
                floating = sees == "mains"
                self.noise_v[channel] = _OPEN_NOISE * self._noise_v[channel] if floating else 0.0
                self.mains_v[channel] = math.sqrt(2.0) * _OPEN_MAINS_V if floating else 0.0
        self.railed: npt.NDArray[np.bool_] = np.array([sees == "rail" for sees in self._open])
        swapped = self._order != list(range(len(self._order)))
        self.order = np.array(self._order) if swapped else None
