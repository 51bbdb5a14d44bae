"""The contract of a driver: what stands between the gate's verdict and a device.

A driver is one file: a class that meets :class:`Driver`, with a frozen settings dataclass, named by an entry point
of the group ``myoloop.drivers``. It encodes what the gate allowed, and only that; it has no thread, no retry and no
keep-alive of its own. No call blocks longer than 5 ms: it writes and returns, and what the device answers is
collected by :meth:`Driver.poll`.

`decode` is written apart from `encode` (it shares no table or function with it), so that the gate can read the very
bytes again before they are written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from myoloop.platform.errors import UserError
from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses


class DriverError(UserError):
    """The device cannot be opened, or a value cannot be said in its protocol; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the device can do, in its own units' steps.

    Attributes
    ----------
    outputs
        Number of output channels.
    current_max_ma, current_step_ma
        Largest amplitude and smallest step.
    phase_min_us, phase_max_us, phase_step_us
        Pulse width per phase; a step of 0 where any width in between can be said.
    rate_min_hz, rate_max_hz, rate_step_hz
        Pulse rate; a step of 0 where any rate in between can be said.
    lease_ms
        The device goes to zero by itself this long after the last command; None if it never does.
    times_itself
        True where the device makes the pulse times (the host only predicts them).
    period_step_us
        Periods between pulses are whole numbers of this; 0 where any can be said. The gate rounds rates down to it.
    one_rate
        True where all outputs share one rate.
    restarts_at_once
        True where an output that comes on gives a pulse at once, however short the time since its last one: the gate
        then keeps it at zero for a period.
    """

    outputs: int
    current_max_ma: float
    current_step_ma: float
    phase_min_us: float
    phase_max_us: float
    phase_step_us: float
    rate_min_hz: float
    rate_max_hz: float
    lease_ms: float | None
    times_itself: bool
    rate_step_hz: float = 0.0
    period_step_us: float = 0.0
    one_rate: bool = False
    restarts_at_once: bool = False


@dataclass(frozen=True, slots=True)
class DecodedOutput:
    """One output as the wire bytes say it, in physical units computed from the wire's own integers.

    Attributes
    ----------
    output
        Output number on the device, from 0.
    current_ma, phase_us, rate_hz
        Amplitude, width per phase, rate.
    net_charge_wire
        Sum over the pulse's points of signed current code times duration code: exactly 0 when balanced.
    """

    output: int
    current_ma: float
    phase_us: float
    rate_hz: float
    net_charge_wire: int


@runtime_checkable
class PulseByPulse(Protocol):
    """What a driver also has whose device gives one pulse per command (``times_itself`` is False).

    The driver keeps the schedule of the train that was last written; it goes on only for a moment after that write, so
    that a host which does not write any more gives no more pulses.
    """

    @property
    def due_ns(self) -> int | None:
        """Host time at which the next pulse is to be written; None where none is."""
        ...

    def pulse(self, now_ns: int) -> None:
        """Write the pulses that are due; at most 5 ms; never raises."""
        ...


@runtime_checkable
class Driver(Protocol):
    """Anything that turns an allowed setting into current."""

    @property
    def capabilities(self) -> Capabilities:
        """What the device can do; known before it is opened."""
        ...

    def open(self) -> str:
        """Open the port, stop the device, ask who it is; return its identity.

        May take seconds; is never called while current may flow.

        Raises
        ------
        DriverError
            If there is no such device, or it is not what the rig says.
        """
        ...

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        """Wire bytes that set all outputs to `settings` and nothing else; a channel not named is zero.

        Current is rounded down to the device's step. These bytes are also the keep-alive.

        Raises
        ------
        DriverError
            If a channel is unknown or a value cannot be said exactly in the device's protocol.
        """
        ...

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read wire bytes back, by code that shares nothing with `encode`; every output that is not zero.

        Raises
        ------
        DriverError
            If the bytes are anything but one whole setting of the outputs.
        """
        ...

    def write(self, data: bytes, now_ns: int) -> int:
        """Hand bytes from :meth:`encode` to the port; at most 5 ms.

        Returns
        -------
        int
            The number by which :meth:`poll` will say that they were acknowledged.

        Raises
        ------
        DriverError
            If the port is gone or does not take them.
        """
        ...

    def stop(self, now_ns: int) -> None:
        """Write the stop bytes, whatever else is in flight; at most 5 ms; never raises; may be called at any time."""
        ...

    def poll(self, now_ns: int) -> tuple[DeviceReport, tuple[Pulses, ...]]:
        """What the device has said since last asked, and the pulses known since then; at most 5 ms; never raises."""
        ...

    def close(self) -> None:
        """Stop and release the port; may be called twice."""
        ...
