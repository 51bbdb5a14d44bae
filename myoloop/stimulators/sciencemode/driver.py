"""Driver of the Hasomed P24 (ScienceMode 4) and the RehaMove3 (ScienceMode 3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from enum import Enum, auto

from myoloop.platform.messages import ChannelSetting, DeviceReport, Pulses
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.sciencemode import commands
from myoloop.stimulators.sciencemode.answers import Answer, StimStatus, result_text
from myoloop.stimulators.sciencemode.commands import Command
from myoloop.stimulators.sciencemode.identity import identify as identify
from myoloop.stimulators.sciencemode.identity import identity_of, open_port, wait_for
from myoloop.stimulators.sciencemode.level import Level, Order
from myoloop.stimulators.sciencemode.link import Asked, Link, Purpose
from myoloop.stimulators.sciencemode.low_level import LowLevel
from myoloop.stimulators.sciencemode.mid_level import MidLevel
from myoloop.stimulators.sciencemode.settings import ScienceMode34Settings
from myoloop.stimulators.serial_port import with_notes
from myoloop.stimulators.transport import Transport

#: After stop bytes: what answers to them have not come by then do not hold up the question whether it has stopped.
_STOP_ANSWERS_NS = 150_000_000
_STOPS = 3
_ASK_AGAIN_NS = 100_000_000
#: Where more is unanswered, receipts of pulses are given up, so that stop commands find a number.
_PENDING_MAX = 48
#: A stop so soon after another is told once more, not three times: each takes the device 40 ms to answer.
_AGAIN_NS = 100_000_000
#: The gate says stop again each 50 ms until the device says zero: for so long that does not begin the question anew.
_QUESTION_NS = 500_000_000
#: Results of a stop command that are no fault: done, and nothing was on.
_STOP_RESULTS = frozenset((0, 7))
#: The gate writes again at least each 50 ms.
_HELD_NS = 100_000_000
_PULL = "pull the leads"


class _State(Enum):
    CLOSED = auto()
    READY = auto()
    #: Stop bytes have gone out; whether the device has stopped is being asked.
    STOPPING = auto()
    STOPPED = auto()
    #: It says that it has not.
    UNSTOPPED = auto()
    #: The level's first command is on its way.
    BEGINNING = auto()


class ScienceMode34Driver:
    """Driver of a P24 or RehaMove3, at low or mid level.

    After a stop the device has no level initialised; the next order initialises it anew, once the device has said that
    it did stop, and is held until then.

    Parameters
    ----------
    settings
        How it is wired.
    transport
        The byte stream; None opens ``settings.port`` at :meth:`open`.
    sleep
        Waits so many seconds; used by :meth:`open` only.
    """

    Settings = ScienceMode34Settings

    def __init__(
        self,
        settings: ScienceMode34Settings,
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._settings = settings
        self._given_transport = transport
        self._sleep = sleep
        self._level: Level = LowLevel(settings) if settings.level == "low" else MidLevel(settings)
        self._link: Link | None = None
        self._state = _State.CLOSED
        self._connected = False
        self._identity = ""
        self._faults: list[str] = []
        self._sent = 0
        self._held: Order | None = None
        self._stopped_ns = 0
        self._told_stop_ns = 0
        self._not_stopped = ""

    @property
    def capabilities(self) -> Capabilities:
        """What the device can do at the level chosen."""
        return self._level.capabilities

    def open(self) -> str:
        """Open the port, stop whatever runs, ask who it is, begin the level; a port that was lost is opened anew.

        Nothing is sent again that was sent or held before; the next report still tells of the loss.
        """
        if self._connected:
            raise DriverError(f"{self._settings.profile.name}: already open")
        self._let_go()
        transport = self._given_transport if self._given_transport is not None else open_port(self._settings.port)
        link = self._link = Link(transport)
        self._connected = True
        try:
            for one in (None, Command.ML_STOP, Command.LL_STOP):
                # The device may have been left at either level.
                stopped = wait_for(link, self._send_stop(link, one, 0), self._sleep)
                if stopped.result not in _STOP_RESULTS:
                    raise DriverError(f"{self._settings.profile.name}: not stopped: {result_text(stopped.result)}")
            self._identity = with_notes(identity_of(link, self._settings.profile, self._sleep), transport)
            begun = wait_for(link, self._begin(link, 0), self._sleep)
            if begun.result:
                raise DriverError(f"{self._identity}: cannot begin {self._level.name}: {result_text(begun.result)}")
        except OSError as error:
            self.close()
            raise DriverError(f"{self._settings.profile.name}: {error}") from None
        except DriverError:
            self.close()
            raise
        self._state = _State.READY
        self._not_stopped = ""
        self._held = None
        self._level.halted(0)
        return self._identity

    def encode(self, settings: Sequence[ChannelSetting]) -> bytes:
        """Low level: the table of a train; mid level: one Ml_update."""
        return self._level.encode(settings, self._link)

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read them again; see :mod:`myoloop.stimulators.sciencemode.decoder`."""
        return self._level.decode(data)

    def write(self, data: bytes, now_ns: int) -> int:
        """Carry out what the bytes say, or hold it until the level is begun; a newer order takes a held one's place."""
        link = self._link
        if link is None or not self._connected or self._state is _State.CLOSED:
            raise DriverError(f"{self._settings.profile.name}: not open")
        if self._state is _State.UNSTOPPED:
            raise DriverError(self._not_stopped)
        outputs = self._level.decode(data)
        self._sent += 1
        order = Order(self._sent, data, now_ns, outputs)
        try:
            if self._state is _State.READY:
                self._level.give(order, link, now_ns)
            else:
                self._held = order
                if self._state is _State.STOPPED:
                    self._begin(link, now_ns)
        except OSError as error:
            self._lose(error)
            raise DriverError(f"{self._settings.profile.name}: {error}") from None
        return order.number

    def stop(self, now_ns: int) -> None:
        """Stop bytes three times, ahead of everything; then it is asked whether it has stopped."""
        link = self._link
        if link is None:
            return
        self._held = None
        self._level.halt(now_ns)
        link.forget(Purpose.ASK, Purpose.BEGIN, Purpose.UPDATE, Purpose.READ_BACK)
        stopping = self._state is _State.STOPPING
        again = stopping and 0 <= now_ns - self._told_stop_ns < _AGAIN_NS
        # A zero update is told once: it would keep a device that does not obey it alive beyond its own 2 s.
        told = stopping or self._state in (_State.STOPPED, _State.UNSTOPPED)
        ending = [one for one in self._level.end() if one is not None or not told]
        self._told_stop_ns = now_ns
        if not (stopping and 0 <= now_ns - self._stopped_ns < _QUESTION_NS):
            link.forget(Purpose.CHECK_STOP)
            self._stopped_ns = now_ns
        if len(link.pending) > _PENDING_MAX:
            link.forget(Purpose.PULSE, Purpose.STOP)
        if self._state is not _State.CLOSED:
            self._state = _State.STOPPING
        try:
            for _ in range(1 if again else _STOPS):
                for one in ending:
                    self._send_stop(link, one, now_ns)
                ending = [one for one in ending if one is not None]
        except OSError as error:
            self._lose(error)

    @property
    def due_ns(self) -> int | None:
        """When the next pulse is to be written; None at mid level."""
        return self._level.due_ns if self._connected and self._state is _State.READY else None

    def pulse(self, now_ns: int) -> None:
        """Write the pulses that are due."""
        if self._link is None or not self._connected or self._state is not _State.READY:
            return
        # A receipt read now says more exactly when its pulse was than one read at the next poll.
        self._hear(self._link, now_ns)
        if not self._connected:
            return
        try:
            self._level.pulse(self._link, now_ns)
        except OSError as error:
            self._lose(error)
        except DriverError as error:
            self._faults.append(str(error))
            self.stop(now_ns)

    def poll(self, now_ns: int) -> tuple[DeviceReport, tuple[Pulses, ...]]:
        """Collect the device's answers, send what was waiting for them."""
        link = self._link
        if link is not None and self._connected:
            self._hear(link, now_ns)
        pulses = self._level.pulses(link, now_ns)
        faults = [*self._faults, *self._level.faults]
        if self._not_stopped:
            faults.append(self._not_stopped)
        confirmed = self._level.confirmed
        report = DeviceReport(
            t_ns=now_ns,
            connected=self._connected,
            identity=self._identity,
            acknowledged=confirmed.settings,
            ack_of=confirmed.ack_of,
            sent=self._sent,
            oldest_unacknowledged_ns=self._waiting_since_ns(),
            faults=tuple(dict.fromkeys(faults)),
        )
        self._faults.clear()
        self._level.faults.clear()
        return report, pulses

    def close(self) -> None:
        """Stop the device and let go of it."""
        if self._link is not None:
            if self._connected:
                self.stop(0)
            self._let_go()
        self._connected = False

    def _let_go(self) -> None:
        """Release the port; what was under way on it is under way no more."""
        if self._link is None:
            return
        self._link.close()
        self._link = None
        self._held = None
        self._level.let_go()
        self._state = _State.CLOSED

    # What goes out

    def _send_stop(self, link: Link, command: Command | None, now_ns: int) -> Asked:
        if command is None:
            return link.ask(lambda number: commands.ml_update(number, {}), Purpose.STOP, Command.ML_UPDATE, now_ns)
        return link.ask(lambda number: commands.plain(number, command), Purpose.STOP, command, now_ns)

    def _begin(self, link: Link, now_ns: int) -> Asked:
        asked = link.ask(self._level.begin, Purpose.BEGIN, self._level.begin_command, now_ns)
        self._state = _State.BEGINNING
        return asked

    def _check_stopped(self, link: Link, now_ns: int) -> None:
        """Once the stop commands are answered, or late: ask whether the device has stopped."""
        if self._state is not _State.STOPPING:
            return
        # It may be lost; any answer to it will do, so those before it are not forgotten.
        if any(
            now_ns - one.sent_ns < _ASK_AGAIN_NS for one in link.pending.values() if one.purpose is Purpose.CHECK_STOP
        ):
            return
        if link.waits_for(Purpose.STOP) and now_ns - self._stopped_ns < _STOP_ANSWERS_NS:
            return
        link.ask(
            lambda number: commands.plain(number, Command.GET_STIM_STATUS), Purpose.CHECK_STOP,
            Command.GET_STIM_STATUS, now_ns,
        )  # fmt: skip

    def _lose(self, error: OSError) -> None:
        if self._connected:
            self._faults.append(f"port lost: {error}")
        self._connected = False

    # What comes in

    def _hear(self, link: Link, now_ns: int) -> None:
        try:
            answered, faults = link.receive()
            self._faults += faults
            heard_ns = link.heard_by_ns(now_ns)
            for asked, answer in answered:
                self._take(asked, answer, link, heard_ns)
            self._check_stopped(link, now_ns)
        except OSError as error:
            self._lose(error)
        except DriverError as error:
            self._faults.append(str(error))

    def _take(self, asked: Asked, answer: Answer, link: Link, now_ns: int) -> None:
        if asked.purpose is Purpose.STOP:
            if answer.result not in _STOP_RESULTS:
                self._faults.append(f"stop: {result_text(answer.result)}")
        elif asked.purpose is Purpose.CHECK_STOP:
            self._take_check(answer, link, now_ns)
        elif asked.purpose is Purpose.BEGIN:
            held, self._held = self._held, None
            if answer.result:
                self._state = _State.STOPPED
                self._faults.append(f"cannot begin {self._level.name}: {result_text(answer.result)}")
                return
            self._state = _State.READY
            # What was held too long is not carried out after the gap: a healthy gate has written again by now.
            if held is not None and now_ns - held.written_ns <= _HELD_NS:
                self._level.give(held, link, now_ns)
        else:
            self._level.hear(asked, answer, link, now_ns)

    def _take_check(self, answer: Answer, link: Link, now_ns: int) -> None:
        status = answer if isinstance(answer, StimStatus) and answer.result == 0 else None
        if status is not None and status.stopped:
            self._state = _State.STOPPED
            self._not_stopped = ""
            link.forget(Purpose.STOP, Purpose.CHECK_STOP)
            self._level.halted(now_ns)
            if self._held is not None:
                self._begin(link, now_ns)
            return
        self._state = _State.UNSTOPPED
        self._held = None
        says = result_text(answer.result) if status is None else str(status)
        self._not_stopped = f"stopped, but the device says {says}: {_PULL}"

    def _waiting_since_ns(self) -> int | None:
        """When the oldest thing was sent or held that the device has not answered."""
        since = [self._level.waiting_since_ns, self._held.written_ns if self._held is not None else None]
        if self._link is not None:
            since += [one.sent_ns for one in self._link.pending.values() if one.purpose is not Purpose.PULSE]
        return min((t_ns for t_ns in since if t_ns is not None), default=None)
