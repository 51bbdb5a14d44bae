"""Low level: the host gives each pulse by a command of its own, and the device's answer is the receipt.

At most one pulse per output, and four in all, are without receipt. The train that was written last goes on for 100 ms
after that write and no longer; a pulse that comes too late by more than half a period is left out, never caught up.
"""

from __future__ import annotations

import binascii
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from myoloop.platform.messages import ChannelSetting, Pulses
from myoloop.stimulators.driver import Capabilities, DecodedOutput, DriverError
from myoloop.stimulators.sciencemode import commands, decoder
from myoloop.stimulators.sciencemode.answers import LEVELS, Answer, PulseDone, StimStatus, result_text
from myoloop.stimulators.sciencemode.commands import DURATION_MAX_US, Command
from myoloop.stimulators.sciencemode.level import Confirmed, Order
from myoloop.stimulators.sciencemode.link import Asked, Link, Purpose
from myoloop.stimulators.sciencemode.settings import (
    LOW_RATE_MAX_HZ,
    PHASE_MIN_US,
    ScienceMode34Settings,
    wanted_trains,
)

#: A train goes on so long after it was written last.
TRAIN_LEASE_NS = 100_000_000
IN_FLIGHT_MAX = 4
_LOOK_NS = 1_000_000
#: No receipt comes any more after this.
RECEIPT_LATEST_NS = 500_000_000
_PERIOD_STEP_US = 1
_RATE_HZ = (0.1, LOW_RATE_MAX_HZ)
#: Orders that the confirmed state is looked for in.
_ORDERS = 64
#: Results that concern one output; after any other the whole train ends.
_OUTPUT_RESULTS = frozenset((10, 16, 28))


@dataclass(slots=True)
class _Train:
    said: DecodedOutput
    period_ns: int
    due_ns: int
    #: While its last pulse is without receipt: when to look again whether it has come.
    look_ns: int = 0


@dataclass(frozen=True, slots=True)
class _Flying:
    """A pulse without receipt. `overtaken` by a stop: it may have been given or not, and nothing waits for it."""

    said: DecodedOutput
    sent_ns: int
    told: bool = False
    overtaken: bool = False


class LowLevel:
    """Pulse by pulse.

    Parameters
    ----------
    wiring
        The device and its channels.
    """

    name = "low level"
    begin_command = Command.LL_INIT
    begun = frozenset((1,))

    def __init__(self, wiring: ScienceMode34Settings) -> None:
        self.faults: list[str] = []
        self._wiring = wiring
        self._trains: dict[int, _Train] = {}
        self._last_ns: dict[int, int] = {}
        self._flying: dict[int, _Flying] = {}
        self._given: list[Pulses] = []
        self._orders: deque[Order] = deque(maxlen=_ORDERS)
        self._confirmed: dict[int, DecodedOutput] = {}
        self._unstopped: dict[int, DecodedOutput] = {}
        self._asked_at: dict[int, int] = {}
        self._zero_ack = 0
        self._lease_end_ns = 0

    @property
    def capabilities(self) -> Capabilities:
        """The host makes the times; without it the device gives nothing more than four pulses."""
        return Capabilities(
            self._wiring.profile.outputs, self._wiring.current_max_ma, 0.5, float(PHASE_MIN_US), float(DURATION_MAX_US),
            1.0, *_RATE_HZ, TRAIN_LEASE_NS / 1e6, False, period_step_us=float(_PERIOD_STEP_US),
        )  # fmt: skip

    @property
    def due_ns(self) -> int | None:
        """When the next pulse is due, or the receipt that it waits for is to be looked for."""
        due_ns = min((max(train.due_ns, train.look_ns) for train in self._trains.values()), default=None)
        return due_ns if due_ns is not None and due_ns <= self._lease_end_ns else None

    @property
    def waiting_since_ns(self) -> int | None:
        """Since when the oldest pulse is without receipt."""
        return min((one.sent_ns for one in self._flying.values() if not one.overtaken), default=None)

    @property
    def confirmed(self) -> Confirmed:
        """Each output's newest pulse with a receipt, and the newest order that says just that.

        From a stop until the device says that it has stopped, what flowed before counts as flowing.
        """
        given = {**self._unstopped, **self._confirmed}
        if not given:
            return Confirmed((), self._zero_ack)
        outputs = tuple(given[output] for output in sorted(given))
        said = Order(0, b"", 0, outputs).settings(self._wiring)
        return Confirmed(said, next((one.number for one in reversed(self._orders) if one.outputs == outputs), 0))

    def begin(self, number: int) -> bytes:
        """With the lowest voltage that will do."""
        s = self._wiring
        return commands.ll_init(number, high_voltage=s.profile.high_voltage(s.current_max_ma, s.load_ohm))

    def end(self) -> Sequence[Command | None]:
        """One command stops it."""
        return (Command.LL_STOP,)

    def encode(self, settings: Sequence[ChannelSetting], link: Link | None) -> bytes:
        """The table of a train; see :func:`myoloop.stimulators.sciencemode.decoder.train_table`."""
        table = b""
        trains = wanted_trains(self._wiring, settings, _PERIOD_STEP_US, _RATE_HZ)
        for output, points, period_us in trains:
            packet = commands.ll_channel_config(0, output % 4, output // 4, points)
            table += period_us.to_bytes(4, "big") + len(packet).to_bytes(2, "big") + packet
        table = b"MT" + bytes((len(trains),)) + table
        return table + binascii.crc_hqx(table, 0).to_bytes(2, "big")

    def decode(self, data: bytes) -> tuple[DecodedOutput, ...]:
        """Read a table."""
        return tuple(output for output, _ in self._read(data))

    def give(self, order: Order, link: Link, now_ns: int) -> None:
        """Let the train be this from now on: outputs that are new begin as soon as their last pulse allows."""
        self._orders.append(order)
        self._lease_end_ns = order.written_ns + TRAIN_LEASE_NS
        trains = {}
        for said, period_us in self._read(order.data):
            period_ns = period_us * 1000
            running = self._trains.get(said.output)
            last_ns = self._last_ns.get(said.output)
            due_ns = now_ns if last_ns is None else max(now_ns, last_ns + period_ns)
            if running is not None and running.period_ns == period_ns:
                due_ns = running.due_ns
            trains[said.output] = _Train(said, period_ns, due_ns)
        self._trains = trains
        self._tidy()
        if not trains and not self._asked_at:
            # Nothing goes to the device at zero: ask, so that zero, too, is acknowledged by it and by nobody else.
            asked = link.ask(
                lambda number: commands.plain(number, Command.GET_STIM_STATUS), Purpose.READ_BACK,
                Command.GET_STIM_STATUS, now_ns,
            )  # fmt: skip
            self._asked_at[asked.number] = order.number

    def pulse(self, link: Link, now_ns: int) -> None:
        """Write what is due.

        Raises
        ------
        OSError
            If the port is gone.
        DriverError
            If the bytes of a pulse do not say what was allowed; they are not written.
        """
        self._lapse(now_ns)
        for output, train in sorted(self._trains.items(), key=lambda item: item[1].due_ns):
            busy = self._busy()
            if output in busy or len(busy) >= IN_FLIGHT_MAX:
                train.look_ns = now_ns + _LOOK_NS
                continue
            late_ns = now_ns - train.due_ns - train.period_ns // 2
            if late_ns > 0:
                train.due_ns += -(-late_ns // train.period_ns) * train.period_ns
            if train.due_ns <= now_ns:
                self._send(output, train, link, now_ns)

    def hear(self, asked: Asked, answer: Answer, link: Link, now_ns: int) -> None:
        """A receipt, or the state that was asked for at zero."""
        if asked.purpose is Purpose.READ_BACK:
            self._hear_state(asked, answer)
            return
        flying = self._flying.pop(asked.number)
        name = self._wiring.name_of(flying.said.output)
        if isinstance(answer, PulseDone) and answer.result == 0:
            if answer.output != flying.said.output and self._wiring.profile.protocol >= 4:
                said = self._wiring.name_of(-1 if answer.output is None else answer.output)
                self.faults.append(f"{name}: the receipt of its pulse is for {said}")
            if not flying.told:
                self._given.append(self._delivered(flying, now_ns))
            if not flying.overtaken:
                self._confirmed[flying.said.output] = flying.said
                self._tidy()
            return
        self.faults.append(f"{name}: {result_text(answer.result)}")
        if answer.result in _OUTPUT_RESULTS:
            self._trains.pop(flying.said.output, None)
        else:
            self._trains.clear()
        self._tidy()

    def halt(self, now_ns: int) -> None:
        """End the train; what is in flight may have been given or not."""
        self._unstopped |= self._confirmed
        self._trains.clear()
        self._asked_at.clear()
        self._flying = {n: replace(one, overtaken=True) for n, one in self._flying.items()}
        self._tidy()

    def halted(self, now_ns: int) -> None:
        """Nothing flows."""
        self._unstopped.clear()

    def let_go(self) -> None:
        """No receipt comes any more: pulses in flight are told as sent."""
        self.halt(0)
        untold = [one for one in self._flying.values() if not one.told]
        self._given += [self._pulse(one, one.sent_ns, RECEIPT_LATEST_NS, "sent") for one in untold]
        self._flying.clear()

    def pulses(self, link: Link | None, now_ns: int) -> tuple[Pulses, ...]:
        """With a receipt: when that bounds; without one in time: when it was sent."""
        self._lapse(now_ns)
        for number, one in list(self._flying.items()):
            if now_ns - one.sent_ns < RECEIPT_LATEST_NS:
                continue
            if not one.told:
                self._given.append(self._pulse(one, one.sent_ns, RECEIPT_LATEST_NS, "sent"))
                self._flying[number] = replace(one, told=True)
            if one.overtaken:
                del self._flying[number]
                if link is not None:
                    link.give_up(number, one.sent_ns)
        given, self._given = tuple(self._given), []
        return given

    # What is due

    def _read(self, data: bytes) -> tuple[tuple[DecodedOutput, int], ...]:
        s = self._wiring
        return decoder.train_table(data, outputs=s.profile.outputs, gap_us=s.interphase_us)

    def _busy(self) -> set[int]:
        return {one.said.output for one in self._flying.values() if not one.overtaken}

    def _lapse(self, now_ns: int) -> None:
        if self._trains and now_ns > self._lease_end_ns:
            self._trains.clear()
            self._tidy()

    def _tidy(self) -> None:
        """Take as flowing no output that is in no train and has no pulse in flight."""
        on = self._trains.keys() | self._busy()
        self._confirmed = {output: said for output, said in self._confirmed.items() if output in on}

    def _send(self, output: int, train: _Train, link: Link, now_ns: int) -> None:
        number = link.next_number
        said = train.said
        points = self._wiring.points(round(said.current_ma * 2), round(said.phase_us))
        packet = commands.ll_channel_config(number, output % 4, output // 4, points)
        s = self._wiring
        read = decoder.one_pulse(packet, outputs=s.profile.outputs, gap_us=s.interphase_us)
        if read != (number, said.output, said.current_ma, said.phase_us, said.net_charge_wire):
            raise DriverError(f"{s.name_of(output)}: the bytes of a pulse do not say what was allowed")
        train.due_ns = now_ns + train.period_ns
        self._last_ns[output] = now_ns
        link.send(packet, Asked(number, Purpose.PULSE, Command.LL_CHANNEL_CONFIG, now_ns))
        self._flying[number] = _Flying(said, now_ns)

    # What is known

    def _hear_state(self, asked: Asked, answer: Answer) -> None:
        order = self._asked_at.pop(asked.number, 0)
        if not isinstance(answer, StimStatus) or answer.result:
            self.faults.append(f"state: {result_text(answer.result)}")
        elif answer.level not in self.begun:
            self.faults.append(f"the device says {answer}, expected was {LEVELS[1]}: it was restarted?")
        else:
            self._zero_ack = order

    def _delivered(self, flying: _Flying, now_ns: int) -> Pulses:
        """After it was sent, and whole before its receipt was read."""
        whole_ns = round(2 * flying.said.phase_us + self._wiring.interphase_us) * 1000
        latest_ns = max(flying.sent_ns, now_ns - whole_ns)
        middle_ns = (flying.sent_ns + latest_ns) // 2
        return self._pulse(flying, middle_ns, latest_ns - middle_ns, "acknowledged")

    def _pulse(self, flying: _Flying, t_ns: int, uncertainty_ns: int, kind: str) -> Pulses:
        said = flying.said
        return Pulses(
            channel=self._wiring.name_of(said.output), t_ns=(t_ns,), uncertainty_ns=uncertainty_ns, kind=kind,
            current_ma=said.current_ma, phase_us=said.phase_us,
        )  # fmt: skip
