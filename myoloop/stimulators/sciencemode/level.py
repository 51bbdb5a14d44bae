"""What low and mid level have in common, as the driver sees it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from myoloop.platform.messages import ChannelSetting, Pulses
from myoloop.stimulators.driver import Capabilities, DecodedOutput
from myoloop.stimulators.sciencemode.answers import Answer
from myoloop.stimulators.sciencemode.commands import Command
from myoloop.stimulators.sciencemode.link import Asked, Link
from myoloop.stimulators.sciencemode.settings import ScienceMode34Settings


@dataclass(frozen=True, slots=True)
class Order:
    """Bytes that the gate has allowed, with the number they are acknowledged by and what they say."""

    number: int
    data: bytes
    written_ns: int
    outputs: tuple[DecodedOutput, ...]

    def settings(self, wiring: ScienceMode34Settings) -> tuple[ChannelSetting, ...]:
        """What they say, by channel."""
        return tuple(
            ChannelSetting(
                channel=wiring.name_of(one.output),
                current_ma=one.current_ma,
                phase_us=one.phase_us,
                rate_hz=one.rate_hz,
            )
            for one in self.outputs
        )


class Confirmed(NamedTuple):
    """What the device has confirmed that it gives, and which order that is; 0 where it is none's."""

    settings: tuple[ChannelSetting, ...]
    ack_of: int


class Level(Protocol):
    """One of the device's two ways to stimulate; only one can be initialised at a time."""

    #: As it is called in texts.
    name: str
    #: The command that begins it.
    begin_command: Command
    #: What the device says of itself while it is begun: indices of ``answers.LEVELS``.
    begun: frozenset[int]
    #: What went wrong since the driver looked last.
    faults: list[str]

    @property
    def capabilities(self) -> Capabilities:
        """What the device can do at this level."""
        ...

    @property
    def due_ns(self) -> int | None:
        """When the host has to give the next pulse."""
        ...

    @property
    def waiting_since_ns(self) -> int | None:
        """Since when the oldest command of this level is unanswered."""
        ...

    @property
    def confirmed(self) -> Confirmed:
        """What the device has confirmed."""
        ...

    def begin(self, number: int) -> bytes:
        """The command that begins it."""
        ...

    def end(self) -> Sequence[Command | None]:
        """Commands that stop it, in order; None is an Ml_update that enables nothing."""
        ...

    def encode(self, settings: Sequence[ChannelSetting], link: Link | None) -> bytes:
        """Bytes that set all outputs."""
        ...

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """The same bytes read again."""
        ...

    def give(self, order: Order, link: Link, now_ns: int) -> None:
        """Carry out an order; the level is begun."""
        ...

    def pulse(self, link: Link, now_ns: int) -> None:
        """Give the pulses that are due."""
        ...

    def hear(self, asked: Asked, answer: Answer, link: Link, now_ns: int) -> None:
        """Hear an answer to a command of this level."""
        ...

    def halt(self, now_ns: int) -> None:
        """Stop bytes have gone out: give nothing more."""
        ...

    def halted(self, now_ns: int) -> None:
        """The device says that it has stopped."""
        ...

    def let_go(self) -> None:
        """The port is gone: no answer comes any more."""
        ...

    def pulses(self, link: Link | None, now_ns: int) -> tuple[Pulses, ...]:
        """Pulses known since asked last."""
        ...
