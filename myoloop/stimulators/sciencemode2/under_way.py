"""What is under way to a RehaStim2: the gate's order, the command that waits for its answer, and a refusal in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from myoloop.stimulators.driver import DecodedOutput
from myoloop.stimulators.sciencemode2 import commands
from myoloop.stimulators.sciencemode2.commands import NAMES
from myoloop.stimulators.sciencemode2.frames import Packet


@dataclass(frozen=True, slots=True)
class Order:
    """What the gate has written, and the packets that say it, by command."""

    number: int
    outputs: tuple[DecodedOutput, ...]
    packets: Mapping[int, Packet]
    given_ns: int

    @property
    def channel_list(self) -> bytes:
        """The fields of its InitChannelListMode."""
        return self.packets[commands.INIT_LIST].data


_NO_ORDER = Order(0, (), {}, 0)


@dataclass(slots=True)
class InFlight:
    """The one command that was sent and not answered yet, and the order it is of."""

    packet: Packet
    sent_ns: int
    order: Order = _NO_ORDER
    overdue: bool = False
    #: A stimulation error came first: its success says nothing any more.
    void: bool = False


def refusal(command: int, result: int) -> str:
    """A result that is not success, as the operator is told of it."""
    return f"RehaStim2 refused {NAMES[command]}: {commands.RESULTS.get(result, 'unknown result')} ({result})"
