"""What the driver knows of the device, and what follows from it: packets and times in, bytes out.

One command is in flight at a time, for the device answers "busy" to a second one and does not obey it. An order is
therefore not a queue of commands but an aim: with each answer the next command towards the newest order is chosen
from what the device has acknowledged, so that a superseded one is never sent. An order that was not given again for
100 ms is dropped.

A stop goes round all this, three times at once. While a command is in flight the device refuses it as it does any
other, so it is said again with each refusal. A device that goes on though it was told to stop is left to its own
watchdog: nothing at all is sent until that must have ended it, for a stop is a sign of life as well.
"""

from __future__ import annotations

from collections.abc import Mapping

from myoloop.stimulators.driver import DecodedOutput, DriverError
from myoloop.stimulators.sciencemode2 import commands
from myoloop.stimulators.sciencemode2.commands import NAMES, result_of
from myoloop.stimulators.sciencemode2.decoder import decode_setting
from myoloop.stimulators.sciencemode2.frames import Packet, Parser, frame
from myoloop.stimulators.sciencemode2.timing import (
    ANNOUNCE_NS,
    ANSWER_NS,
    FEED_NS,
    INIT_AGAIN_NS,
    INIT_FRESH_NS,
    LAPSE_MARGIN_NS,
    MS,
    ORDER_NS,
    SILENCE_NS,
    STOP_SAID_NS,
    WATCHDOG_NS,
)
from myoloop.stimulators.sciencemode2.train import PredictedTrain
from myoloop.stimulators.sciencemode2.under_way import InFlight, Order, refusal

#: The device's modes; in UNKNOWN and ANNOUNCING (Init not acknowledged) it takes no command.
UNKNOWN, ANNOUNCING, START, INITIALISED, STARTED = "unknown", "announcing", "start", "initialised", "started"
_MODES = {commands.MODE_START: START, commands.MODE_INITIALISED: INITIALISED, commands.MODE_STARTED: STARTED}


class Session:
    """One connection to a device.

    Attributes
    ----------
    train
        The pulses it should have given.
    faults
        What was found wrong; whoever reads it clears it.
    version
        The protocol version it announced last.
    """

    def __init__(self, channels: Mapping[int, str]) -> None:
        self.train = PredictedTrain()
        self.faults: list[str] = []
        self.version: int | None = None
        self.mode = UNKNOWN
        self.given: tuple[DecodedOutput, ...] = ()
        self.ack_of = self.ordered = 0
        self.next_number = 0
        self._channels = channels
        self._last_given: tuple[DecodedOutput, ...] = ()
        self._channel_list = b""
        self._order: Order | None = None
        self._in_flight: InFlight | None = None
        self._stops: dict[int, int] = {}
        self._stop_since_ns: int | None = None
        self._stop_number = 0
        self._stop_refused = False
        self._to_verify = False
        self._mute_until_ns: int | None = None
        self._sent_ns: int | None = None
        self._init = (0, 0)
        self._greeted_ns: int | None = None

    # -- what the host wants ---------------------------------------------------------------------------------------

    def order(self, data: bytes, now_ns: int) -> bytes:
        """Aim at what these bytes say, and give what may be sent now.

        Raises
        ------
        DriverError
            If they are not the newest bytes of the encoder, or current is asked of a device that has restarted.
        """
        packets = Parser().take(data)
        if b"".join(map(frame, packets)) != data or not packets or packets[0].number != self.next_number:
            raise DriverError(f"RehaStim2: not the bytes of the next setting, whose number is {self.next_number}")
        outputs = decode_setting(data)
        if outputs and (self.mode in (UNKNOWN, ANNOUNCING) or self._lapsed(now_ns)):
            raise DriverError("RehaStim2 has restarted, or its own watchdog has acted: zero comes before current")
        self.ordered += 1
        self.next_number = (self.next_number + len(packets)) % 256
        self._order = Order(self.ordered, outputs, {packet.command: packet for packet in packets}, now_ns)
        self._settle()
        return self.advance(now_ns) or self._sign_of_life(now_ns)

    def stop(self, now_ns: int) -> bytes:
        """Bytes of a stop, three times; none while silence is what ends the device."""
        self._order = None
        if self.mode == ANNOUNCING:
            # It has said itself that it holds nothing; it takes no command now and may leave this one unanswered.
            self._number_anew()
            return b"".join(self._stop_once(now_ns) for _ in range(3))
        if self._stop_since_ns is not None and now_ns - self._stop_since_ns > STOP_SAID_NS:
            self._fall_silent()
        if self._mute_until_ns is not None and now_ns < self._mute_until_ns:
            return b""
        if self._stop_since_ns is None or self._mute_until_ns is not None:
            self._stop_since_ns = now_ns
            self.ordered += 1
            self._stop_number = self.ordered
            self._stops.clear()
        self._mute_until_ns = None
        return b"".join(self._stop_once(now_ns) for _ in range(3))

    def advance(self, now_ns: int) -> bytes:
        """The next command, if one may be sent."""
        self.reckon(now_ns)
        self._watch_answer(now_ns)
        if self._mute_until_ns is not None and now_ns < self._mute_until_ns:
            return b""
        if self._stop_since_ns is not None and self._stop_refused:
            self._stop_refused = False
            return self._stop_once(now_ns) if now_ns - self._stop_since_ns <= STOP_SAID_NS else b""
        if self._in_flight is not None:
            return b""
        if self._to_verify and self._order is None:
            self._to_verify = False
            return self._ask_mode(now_ns)
        if self._stop_since_ns is not None or self.mode in (UNKNOWN, ANNOUNCING):
            return b""
        if self._order is not None and now_ns - self._order.given_ns > ORDER_NS:
            self._order = None
        return b"" if self._order is None else self._towards(self._order, now_ns)

    def acknowledge_init(self, now_ns: int) -> bytes:
        """Take the device into the session, if it has just announced itself with the version this driver speaks."""
        number, heard_ns = self._init
        if self.mode != ANNOUNCING or now_ns - heard_ns > INIT_FRESH_NS:
            return b""
        if self.version != commands.VERSION:
            return self._send(commands.init_ack(number, commands.WRONG_VERSION), now_ns)
        self.mode, self._greeted_ns = START, now_ns
        self._settle()
        return self._send(commands.init_ack(number, commands.DONE), now_ns)

    def lose(self, now_ns: int) -> None:
        """The port is gone: the device's watchdog ends what it gives."""
        self._order = None
        self._presume_started(now_ns)
        self.train.end((now_ns if self._sent_ns is None else self._sent_ns) + WATCHDOG_NS)

    # -- what is known ---------------------------------------------------------------------------------------------

    @property
    def at_rest(self) -> bool:
        """Whether the device has confirmed that it was stopped, and has said since that it is in start mode."""
        return self.mode == START and self._stop_since_ns is None and not self._to_verify and self._in_flight is None

    @property
    def oldest_unanswered_ns(self) -> int | None:
        """When the oldest command without its answer was sent."""
        sent = [] if self._in_flight is None else [self._in_flight.sent_ns]
        return min([*sent, *([] if self._stop_since_ns is None else [self._stop_since_ns])], default=None)

    def reckon(self, now_ns: int) -> None:
        """Let the train run on; not past a command that may change it and was not answered yet."""
        in_flight = self._in_flight
        until_ns = now_ns
        if in_flight is not None and not in_flight.overdue and in_flight.packet.command != commands.GET_MODE:
            until_ns = in_flight.sent_ns
        if self._stop_since_ns is not None and now_ns - self._stop_since_ns <= ANSWER_NS:
            until_ns = min(until_ns, self._stop_since_ns)
        if self._sent_ns is not None:
            until_ns = min(until_ns, self._sent_ns + WATCHDOG_NS)
        self.train.run(until_ns)

    # -- what the device says --------------------------------------------------------------------------------------

    def hear(self, packet: Packet, now_ns: int) -> None:
        """Take in one packet."""
        in_flight = self._in_flight
        if packet.command == commands.INIT:
            self._announced(packet, now_ns)
        elif packet.command == commands.STIMULATION_ERROR:
            self._failed(packet, now_ns)
        elif packet.command == commands.UNKNOWN_COMMAND:
            asked = packet.data[0] if packet.data else None
            self._refuse(f"RehaStim2 does not know command {asked}")
            self._in_flight = None
        elif self._answers_stop(packet):
            self._stop_answered(packet, self._stops.pop(packet.number), now_ns)
        elif in_flight is not None and packet[:2] == (in_flight.packet.number, in_flight.packet.command + 1):
            self._in_flight = None
            self._answered(in_flight, packet, now_ns)

    def _announced(self, packet: Packet, now_ns: int) -> None:
        self.version = packet.data[0] if packet.data else None
        self._init = (packet.number, now_ns)
        if self.mode == ANNOUNCING:
            return
        silent_ns = SILENCE_NS if self._sent_ns is None else now_ns - self._sent_ns
        crossed = self._greeted_ns is not None and now_ns - self._greeted_ns < INIT_AGAIN_NS
        if silent_ns < WATCHDOG_NS - LAPSE_MARGIN_NS and not crossed:
            self.faults.append("RehaStim2 has restarted by itself")
        elif self.given and self._stop_since_ns is None:
            self.faults.append(f"RehaStim2 has stopped by its own watchdog: it heard nothing for {silent_ns // MS} ms")
        self.reckon(now_ns)
        self._halted(ANNOUNCING, now_ns - max(0, silent_ns - WATCHDOG_NS))
        self._order = self._in_flight = self._stop_since_ns = self._mute_until_ns = None
        self._to_verify = self._stop_refused = False

    def _failed(self, packet: Packet, now_ns: int) -> None:
        code = result_of(packet)
        what = commands.ERRORS.get(code, f"stimulation error {code}")
        # The device does not say where; what is on just now is not said either: it would tell a blinded session's arm.
        self._refuse(f"RehaStim2: {what} (wired: {', '.join(self._channels.values())})")
        self._halted(START, now_ns)
        if self._in_flight is not None:
            self._in_flight.void = True
        self._to_verify = True

    def _answers_stop(self, packet: Packet) -> bool:
        stopping = self._stop_since_ns is not None
        return stopping and packet.command == commands.STOP_LIST + 1 and packet.number in self._stops

    def _stop_answered(self, packet: Packet, sent_ns: int, now_ns: int) -> None:
        result = result_of(packet)
        if result == commands.DONE:
            self._stop_confirmed(START, (sent_ns + now_ns) // 2)
            return
        if result == commands.WRONG_MODE:
            # Nothing to stop, or so it says: which mode it is in settles it.
            self._in_flight, self._to_verify = None, True
            return
        if result != commands.BUSY:
            self.faults.append(refusal(commands.STOP_LIST, result))
        self._stop_refused = True

    def _stop_confirmed(self, mode: str, at_ns: int) -> None:
        self._halted(mode, at_ns)
        self._stop_since_ns = self._in_flight = None
        self._stop_refused = False
        self.ack_of = self._stop_number
        self._to_verify = True

    def _answered(self, asked: InFlight, packet: Packet, now_ns: int) -> None:
        command, result = asked.packet.command, result_of(packet)
        self._greeted_ns = None
        if result != commands.DONE:
            self._refuse(refusal(command, result))
        elif command == commands.GET_MODE:
            self._verified(packet, asked.sent_ns)
        elif asked.void:
            self._to_verify = True
        elif command == commands.STOP_LIST:
            self._halted(START, (asked.sent_ns + now_ns) // 2)
            self._to_verify = True
        elif command == commands.INIT_LIST:
            self.mode, self._channel_list, self._to_verify = INITIALISED, asked.packet.data, False
        else:
            self._started(asked.order, asked.sent_ns, now_ns)
        self._settle()

    def _started(self, order: Order, sent_ns: int, now_ns: int) -> None:
        self._begun(order, sent_ns, now_ns)
        self.mode = STARTED
        self.given = order.outputs
        self.ack_of = order.number

    def _begun(self, order: Order, early_ns: int, late_ns: int) -> None:
        if self.mode == STARTED:
            self.train.change((early_ns + late_ns) // 2, order.outputs)
        else:
            self.train.begin(early_ns, late_ns, order.outputs)

    def _verified(self, packet: Packet, asked_ns: int) -> None:
        mode = _MODES.get(packet.data[1]) if len(packet.data) > 1 else None
        if mode is None:
            self._refuse("RehaStim2 is in a mode that there is not")
        elif mode == STARTED and self._stop_since_ns is not None:
            self._stop_refused = True
        elif mode == STARTED and self.mode != STARTED:
            self._refuse("RehaStim2 goes on stimulating though it was stopped: take the leads off")
            self.mode, self.given = STARTED, self._last_given
            self._number_anew()
            self.train.resume()
            self._fall_silent()
        elif self._stop_since_ns is not None:
            self._stop_confirmed(mode, asked_ns)
            self._to_verify = False
        elif mode != self.mode:
            self._refuse(f"RehaStim2 is in mode {mode}, it should be in mode {self.mode}")
            self._halted(mode, asked_ns)

    # -- small things that must go together ------------------------------------------------------------------------

    def _towards(self, order: Order, now_ns: int) -> bytes:
        if order.outputs and self.mode in (INITIALISED, STARTED) and self._channel_list == order.channel_list:
            if self.mode == INITIALISED and now_ns < self.train.ready_ns(order.outputs):
                return b""
            command = commands.START_LIST
        elif order.outputs and self.mode == START:
            command = commands.INIT_LIST
        else:
            command = commands.STOP_LIST
        if command == commands.START_LIST:
            self._last_given = order.outputs
        packet = order.packets[command]
        self._in_flight = InFlight(packet, now_ns, order)
        return self._send(packet, now_ns)

    def _sign_of_life(self, now_ns: int) -> bytes:
        """Where nothing was to be sent: keep the device's watchdog from acting, and hear that it is still there."""
        if self.mode == ANNOUNCING:
            return self.acknowledge_init(now_ns)
        muted = self._mute_until_ns is not None and now_ns < self._mute_until_ns
        if muted or self._in_flight is not None or self._stop_since_ns is not None or self._lapsed(now_ns):
            return b""
        if self._sent_ns is not None and now_ns - self._sent_ns < FEED_NS:
            return b""
        return self._send(commands.watchdog(self._take_number()), now_ns) + self._ask_mode(now_ns)

    def _ask_mode(self, now_ns: int) -> bytes:
        packet = commands.get_mode(self._take_number())
        self._in_flight = InFlight(packet, now_ns)
        return self._send(packet, now_ns)

    def _stop_once(self, now_ns: int) -> bytes:
        packet = commands.stop_list(self._take_number())
        self._stops[packet.number] = now_ns
        return self._send(packet, now_ns)

    def _send(self, packet: Packet, now_ns: int) -> bytes:
        self._sent_ns = now_ns
        return frame(packet)

    def _take_number(self) -> int:
        number = self.next_number
        self.next_number = (number + 1) % 256
        return number

    def _fall_silent(self) -> None:
        self._mute_until_ns = (self._sent_ns or 0) + SILENCE_NS

    def _lapsed(self, now_ns: int) -> bool:
        return self._sent_ns is not None and now_ns - self._sent_ns >= WATCHDOG_NS

    def _watch_answer(self, now_ns: int) -> None:
        quiet_since_ns = self._init[1] if self.mode == ANNOUNCING else (self._sent_ns or now_ns) + WATCHDOG_NS
        if now_ns - quiet_since_ns > ANNOUNCE_NS:
            self._refuse("RehaStim2 has fallen silent: it neither answers nor announces itself")
        in_flight = self._in_flight
        if in_flight is not None and not in_flight.overdue and now_ns - in_flight.sent_ns > ANSWER_NS:
            in_flight.overdue = True
            self._refuse(f"RehaStim2 has not answered {NAMES[in_flight.packet.command]} within {ANSWER_NS // MS} ms")

    def _settle(self) -> None:
        """An order that the device has acknowledged already needs nothing more."""
        order = self._order
        if order is None or self._stop_since_ns is not None:
            return
        if self._in_flight is not None and self._in_flight.packet.command != commands.GET_MODE:
            return
        same = self.mode == STARTED and self._channel_list == order.channel_list if order.outputs else True
        if same and self.given == order.outputs and (order.outputs or self.mode in (START, ANNOUNCING, UNKNOWN)):
            self.ack_of = order.number
            self._order = None

    def _halted(self, mode: str, at_ns: int) -> None:
        self._presume_started(at_ns)
        self.mode, self._channel_list = mode, b""
        self.train.end(at_ns)
        if self.given:
            self.given = ()
            self._number_anew()

    def _presume_started(self, at_ns: int) -> None:
        """Reckon a Start that was never answered as obeyed: what may have been given is told."""
        asked = self._in_flight
        if asked is None or asked.packet.command != commands.START_LIST or asked.void:
            return
        late_ns = max(asked.sent_ns, min(at_ns, asked.sent_ns + ANSWER_NS))
        self._begun(asked.order, asked.sent_ns, late_ns)

    def _number_anew(self) -> None:
        """What the device gives has changed by no order: no order is what it acknowledges now."""
        self.ordered += 1
        self.ack_of = self.ordered

    def _refuse(self, fault: str) -> None:
        self.faults.append(fault)
        self._order = None
