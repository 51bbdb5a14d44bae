"""What a protocol needs to know of a rig: no more than this, so that it can be checked without opening anything."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from myoloop.platform.messages import ChannelSetting
from myoloop.stimulators.driver import Capabilities


@dataclass(frozen=True, slots=True)
class InputChannel:
    """One channel that the rig acquires.

    Attributes
    ----------
    name
        The protocol's name of it; for EMG that of a site.
    kind
        ``emg``, ``imu`` or ``force``.
    rate_hz
        Nominal rate; None where it is only known once the source is open.
    source
        The acquisition node, as in ``vital/<source>``.
    """

    name: str
    kind: Literal["emg", "imu", "force"]
    rate_hz: float | None
    source: str


@dataclass(frozen=True, slots=True)
class OutputChannel:
    """One stimulation channel that the rig has: the protocol's name of it, the device's output, its pad."""

    name: str
    output: int
    pad_area_cm2: float


@dataclass(frozen=True, slots=True)
class RigSummary:
    """A rig, as far as a protocol is concerned.

    Attributes
    ----------
    name
        For messages.
    rig_class
        ``SIM``, ``BENCH`` or ``HUMAN``.
    inputs, outputs
        Channels acquired, and channels that can stimulate.
    device
        What the stimulator can do; None on a rig without one.
    driver
        Name of its driver, and of the device where the driver serves several: by these makers' own rules are found;
        empty without one.
    refuses
        Why the driver cannot say settings of its channels, in one line; empty where it can. None where nobody can tell.
    """

    name: str
    rig_class: Literal["SIM", "BENCH", "HUMAN"]
    inputs: tuple[InputChannel, ...]
    outputs: tuple[OutputChannel, ...] = ()
    device: Capabilities | None = None
    driver: str = ""
    refuses: Callable[[Sequence[ChannelSetting]], str] | None = None

    @property
    def the_device(self) -> str:
        """The stimulator, for messages."""
        return f"the device {self.driver}" if self.driver else "the device"

    def input(self, kind: str, name: str | None = None) -> InputChannel | None:
        """First channel of a kind, or the one of that name."""
        for channel in self.inputs:
            if channel.kind == kind and name in (None, channel.name):
                return channel
        return None

    def output(self, name: str) -> OutputChannel | None:
        """The stimulation channel of that name."""
        for channel in self.outputs:
            if channel.name == name:
                return channel
        return None
