"""The line to the device: numbers the packets, remembers which are unanswered, and finds the answers to them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto

from myoloop.stimulators.driver import DriverError
from myoloop.stimulators.sciencemode.answers import Answer, AnswerError, GeneralError, UnknownCommand, read, result_text
from myoloop.stimulators.sciencemode.frames import NUMBERS, Frame, Receiver
from myoloop.stimulators.serial_port import heard_by_ns
from myoloop.stimulators.transport import Transport

#: Result of a stop command where nothing is on, or another level is.
_NOTHING_TO_STOP = 7


class Purpose(Enum):
    """What a command was sent for."""

    ASK = auto()
    BEGIN = auto()
    UPDATE = auto()
    READ_BACK = auto()
    PULSE = auto()
    STOP = auto()
    CHECK_STOP = auto()


@dataclass(frozen=True, slots=True)
class Asked:
    """A command that has been sent and not answered yet."""

    number: int
    purpose: Purpose
    command: int
    sent_ns: int


class Link:
    """Packets out, answers in; nothing is ever sent twice.

    Parameters
    ----------
    transport
        The byte stream.

    Attributes
    ----------
    pending
        Commands without an answer, by packet number, oldest first.
    """

    def __init__(self, transport: Transport) -> None:
        self.pending: dict[int, Asked] = {}
        self._let_go: dict[int, Asked] = {}
        self._transport = transport
        self._receiver = Receiver()
        self._next = 0

    @property
    def next_number(self) -> int:
        """The packet number that the next command is to have: the first in turn that no unanswered command has.

        Raises
        ------
        DriverError
            If all are taken: 64 commands have not been answered.
        """
        for step in range(NUMBERS):
            number = (self._next + step) % NUMBERS
            if number not in self.pending:
                return number
        raise DriverError(f"{NUMBERS} commands are unanswered: the device says nothing any more")

    def send(self, data: bytes, asked: Asked) -> None:
        """Send a command whose number is `asked`'s.

        Raises
        ------
        OSError
            If the port is gone or does not take it.
        """
        self._next = (asked.number + 1) % NUMBERS
        self._transport.send(data)
        self._let_go.pop(asked.number, None)
        self.pending[asked.number] = asked

    def ask(self, build: Callable[[int], bytes], purpose: Purpose, command: int, now_ns: int) -> Asked:
        """Number, build and send a command.

        Raises
        ------
        OSError, DriverError
            If the port does not take it, or too much is unanswered.
        """
        number = self.next_number
        asked = Asked(number, purpose, command, now_ns)
        self.send(build(number), asked)
        return asked

    def forget(self, *purposes: Purpose) -> None:
        """Expect no more answers to these."""
        self._let_go |= {n: asked for n, asked in self.pending.items() if asked.purpose in purposes}
        self.pending = {n: asked for n, asked in self.pending.items() if asked.purpose not in purposes}

    def give_up(self, number: int, sent_ns: int) -> None:
        """Expect no more receipt of the pulse that was sent then."""
        asked = self.pending.get(number)
        if asked is not None and asked.purpose is Purpose.PULSE and asked.sent_ns == sent_ns:
            del self.pending[number]

    def waits_for(self, *purposes: Purpose) -> bool:
        """Whether any such command is unanswered."""
        return any(asked.purpose in purposes for asked in self.pending.values())

    def receive(self) -> tuple[list[tuple[Asked, Answer]], list[str]]:
        """Answers that have come, with what was asked; and what else the device has said that is wrong.

        Raises
        ------
        OSError
            If the port is gone.
        """
        answered: list[tuple[Asked, Answer]] = []
        faults: list[str] = []
        for frame in self._receiver.feed(self._transport.receive()):
            self._sort(frame, answered, faults)
        return answered, faults

    def heard_by_ns(self, now_ns: int) -> int:
        """By when the answers had come that :meth:`receive` gave at `now_ns`: this process may have stood still."""
        return heard_by_ns(self._transport, now_ns)

    def close(self) -> None:
        """Release the port."""
        self._transport.close()

    def _is_late_stop(self, answer: Answer) -> bool:
        """One of several stops, of which an earlier one has left nothing to stop."""
        asked = self._let_go.get(answer.number)
        return (
            asked is not None
            and asked.purpose is Purpose.STOP
            and answer.command == asked.command + 1
            and answer.result == _NOTHING_TO_STOP
        )

    def _sort(self, frame: Frame, answered: list[tuple[Asked, Answer]], faults: list[str]) -> None:
        try:
            answer = read(frame)
        except AnswerError as error:
            faults.append(f"not understood: {error}")
            return
        asked = self.pending.get(answer.number)
        if isinstance(answer, GeneralError):
            # It may carry any number; what it belongs to stays unanswered.
            faults.append(f"general error: {result_text(answer.result)}")
        elif asked is not None and (answer.command == asked.command + 1 or isinstance(answer, UnknownCommand)):
            del self.pending[answer.number]
            answered.append((asked, answer))
        elif answer.result and not self._is_late_stop(answer):
            # With a result of 0 it is an answer twice, or to something that is not waited for any more.
            faults.append(f"an answer to no command of ours: {result_text(answer.result)}")
