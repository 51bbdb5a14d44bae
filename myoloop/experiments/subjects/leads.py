"""Leads that are to fall off a virtual subject in a certain trial, and are put back a while later. Pure."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from myoloop.experiments.subjects.contact import ElectrodeEvent, Kind
from myoloop.platform.messages import Phase


class LeadFall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One lead that falls off while stimulation is on; JSON-ready.

    Attributes
    ----------
    channel
        Of the amplifier, by name.
    phase, trial
        Name of the phase, and the trial in it, in whose hold it falls; once.
    for_s
        How long it is off.
    """

    channel: str
    phase: str
    trial: int
    for_s: float


class Leads:
    """Watches the screen for the moment at which a lead is to fall.

    Parameters
    ----------
    channels
        The amplifier's, in order.

    Raises
    ------
    ValueError
        If one is to fall that is not there, or in no trial, or for no time.
    """

    def __init__(self, falls: Iterable[LeadFall], channels: tuple[str, ...]) -> None:
        self._falls = list(falls)
        self._channels = channels
        self._back: list[tuple[int, str]] = []
        for number, fall in enumerate(self._falls):
            if fall.channel not in channels:
                allowed = ", ".join(channels)
                raise ValueError(f"leads_off[{number}].channel: found {fall.channel!r}, allowed: {allowed}")
            if fall.trial < 1:
                raise ValueError(f"leads_off[{number}].trial: found {fall.trial}, allowed is 1 or more")
            if not 0.0 < fall.for_s <= 3600.0:
                raise ValueError(f"leads_off[{number}].for_s: found {fall.for_s:g}, allowed is more than 0 to 3600 s")

    def see(self, phase: Phase, now_ns: int) -> list[ElectrodeEvent]:
        """What happens to the electrodes as the screen shows this."""
        due = [
            fall
            for fall in self._falls
            if phase.trial_state == "hold" and (phase.name, phase.trial) == (fall.phase, fall.trial)
        ]
        for fall in due:
            self._falls.remove(fall)
            self._back.append((now_ns + round(fall.for_s * 1e9), fall.channel))
        return [self._event(fall.channel, "off") for fall in due]

    def put_back(self, now_ns: int) -> list[ElectrodeEvent]:
        """Those that were off for long enough."""
        over = [each for each in self._back if each[0] <= now_ns]
        for each in over:
            self._back.remove(each)
        return [self._event(channel, "back") for _, channel in over]

    def _event(self, channel: str, kind: Kind) -> ElectrodeEvent:
        return ElectrodeEvent(0.0, self._channels.index(channel), kind)
